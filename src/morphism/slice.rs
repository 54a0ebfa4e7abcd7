//! Fewer channels: weights are sliced, and those who read them are refitted.
use rand_chacha::ChaCha8Rng;

use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::Tensor;

use super::Layout;
use super::MorphismError;
use super::channels::Group;
use super::channels::weight_of;
use super::fresh;
use super::remap::Source;
use super::remap::remap_rows;
use super::repair;

/// A group of a parent that is to lose channels.
pub(super) struct Slice<'a> {
    /// On whose behalf.
    pub morphism: &'static str,
    /// Before.
    pub parent: &'a Network,
    /// Of the parent.
    pub layout: &'a Layout<'a>,
    /// Which channels.
    pub group: &'a Group,
}

impl Slice<'_> {
    /// How much what the consumers compute varies with each channel: its observed variance times
    /// the squared weights that read it, summed over consumers.
    ///
    /// # Errors
    ///
    /// [`MorphismError::MissingActivations`] if an input of a consumer was not observed.
    pub fn importance(&self, activations: &Activations) -> Result<Vec<f64>, MorphismError> {
        let mut scores = vec![0.0; self.group.width];
        for &consumer in &self.group.consumers {
            let input = self.layout.first_input(consumer).expect("G3: it reads one input");
            let seen = fresh::observed(activations, self.morphism, input)?;
            let per_channel = self.layout.per_channel(input);
            for (column, read) in squared_columns(weight_of(self.parent, consumer)) {
                if let Some(channel) = self.group.position(input, column / per_channel) {
                    scores[channel] += read * f64::from(seen.variance[column]);
                }
            }
        }
        Ok(scores)
    }

    /// The child with only the channels `kept` of the group, its consumers refitted.
    ///
    /// # Errors
    ///
    /// [`MorphismError::MissingActivations`] if an input of a consumer was not observed.
    pub fn without_the_rest(
        &self,
        graph: &Graph,
        kept: &[usize],
        activations: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let map: Vec<Source> = kept.iter().map(|&c| Source::Kept(c)).collect();
        let nothing_new = &mut |_: usize, _: f32| Vec::new();
        let shares = vec![1.0; kept.len()];
        let mut child = self.group.remap(self.parent, graph, &map, &shares, nothing_new);
        for &id in &self.group.consumers {
            let input = self.layout.first_input(id).expect("G3: it reads one input");
            let seen = fresh::observed(activations, self.morphism, input)?;
            let rows = self.group.sources(self.layout, id, &map);
            let before = remap_rows(weight_of(self.parent, id), &rows, nothing_new);
            let len = before.data.len() / before.shape[0] / self.layout.channels(input);
            let columns: Vec<usize> = self
                .group
                .sources(self.layout, input, &map)
                .iter()
                .flat_map(|source| source.columns(len))
                .collect();
            let op = self.parent.graph.op(id);
            repair::refit(&mut child, id, op, &before, &columns, &seen.values, rng);
        }
        Ok(child)
    }
}

/// Number of each column of `weight` and the sum of its squares over rows and taps.
fn squared_columns(weight: &Tensor) -> impl Iterator<Item = (usize, f64)> {
    let (rows, columns) = (weight.shape[0], weight.shape[1]);
    let taps = weight.data.len() / rows / columns;
    let square = |w: &f32| f64::from(*w) * f64::from(*w);
    (0..columns).map(move |column| {
        let own = |row: usize| &weight.data[(row * columns + column) * taps..][..taps];
        (column, (0..rows).flat_map(own).map(square).sum())
    })
}
