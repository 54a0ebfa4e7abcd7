//! Attributes of one node, each read once.
use std::collections::BTreeMap;

use super::OnnxError;
use super::error::shown;
use super::proto::AttributeProto;
use super::proto::NodeProto;

/// The attributes that have not been asked for yet.
pub(super) struct Attributes<'a> {
    node: &'a NodeProto,
    left: BTreeMap<&'a str, &'a AttributeProto>,
}

impl<'a> Attributes<'a> {
    pub(super) fn of(node: &'a NodeProto) -> Self {
        Attributes { node, left: node.attribute.iter().map(|a| (a.name(), a)).collect() }
    }

    /// Exactly `N` sizes.
    pub(super) fn sizes<const N: usize>(&mut self, name: &str) -> Result<[usize; N], OnnxError> {
        let found = self.left.remove(name).and_then(|a| {
            let sizes = a.ints.iter().map(|&i| usize::try_from(i).ok());
            sizes.collect::<Option<Vec<usize>>>()?.try_into().ok()
        });
        found.ok_or_else(|| self.expected(format!("{N} sizes as `{name}`")))
    }

    /// A padding that is the same on both sides, `[y, x]`.
    pub(super) fn padding(&mut self) -> Result<[usize; 2], OnnxError> {
        match self.sizes("pads")? {
            [top, left, bottom, right] if (top, left) == (bottom, right) => Ok([top, left]),
            _ => Err(self.expected("the same `pads` on both sides".to_owned())),
        }
    }

    /// One size.
    pub(super) fn size(&mut self, name: &str) -> Result<usize, OnnxError> {
        let found = self.left.remove(name).and_then(|a| a.i);
        let size = found.and_then(|i| usize::try_from(i).ok());
        size.ok_or_else(|| self.expected(format!("a size as `{name}`")))
    }

    /// One number.
    pub(super) fn float(&mut self, name: &str) -> Result<f32, OnnxError> {
        let found = self.left.remove(name).and_then(|a| a.f);
        found.ok_or_else(|| self.expected(format!("a number as `{name}`")))
    }

    /// A text, empty if it is not there.
    pub(super) fn text(&mut self, name: &str) -> &'a [u8] {
        self.left.remove(name).map_or(&[], |a| a.s())
    }

    /// One size that must be `wanted`.
    pub(super) fn ensure_size(&mut self, name: &str, wanted: usize) -> Result<(), OnnxError> {
        match self.size(name)? == wanted {
            true => Ok(()),
            false => Err(self.expected(format!("{wanted} as `{name}`"))),
        }
    }

    /// Refuses attributes that nobody asked for, or that are there twice.
    pub(super) fn finish(self) -> Result<(), OnnxError> {
        let mut names: Vec<&str> = self.node.attribute.iter().map(|a| a.name()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        match self.left.keys().next().copied().or(twice) {
            Some(name) => Err(self.expected(format!("no (other) attribute `{}`", shown(name)))),
            None => Ok(()),
        }
    }

    fn expected(&self, expected: String) -> OnnxError {
        OnnxError::UnexpectedNode { node: shown(self.node.name()), expected }
    }
}
