//! How candidates are found.
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::Serialize;

use crate::search;
use crate::search::Acceptance;
use crate::space;
use crate::space::Size;

use super::ConfigError;
use super::at_least_one;
use super::one_of;

/// Most repeats, filters and blocks that can be asked for.
const MOST: [usize; 3] = [64, 512, 10];

/// How candidates are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Name of a strategy; by default what suits the space.
    pub strategy: Option<String>,
    /// Name of a space of architectures.
    pub space: String,
    /// Cells or layers in each stage of a fixed space's networks; by default what suits the data.
    pub repeats: Option<usize>,
    /// Filters of their first stage, likewise.
    pub filters: Option<usize>,
    /// Blocks of each cell, likewise.
    pub blocks: Option<usize>,
    /// Members of a fixed space, in its own words, that are evaluated first.
    pub starts: Vec<String>,
    /// How children are chosen.
    pub acceptance: Acceptance,
    /// Do children have their parent's weights?
    pub inherit: bool,
    /// Structures made in a generation.
    pub children: usize,
    /// Structures accepted of them.
    pub accept: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        SearchConfig {
            strategy: None,
            space: "morphism".into(),
            repeats: None,
            filters: None,
            blocks: None,
            starts: Vec::new(),
            acceptance: Acceptance::default(),
            inherit: true,
            children: 64,
            accept: 8,
        }
    }
}

impl SearchConfig {
    /// Name of the strategy: where none is asked for, `lemonade` in the open space and `citron` in a fixed
    /// one.
    pub fn strategy(&self) -> &str {
        let suitable = if self.is_open() { "lemonade" } else { "citron" };
        self.strategy.as_deref().unwrap_or(suitable)
    }

    /// How large networks are, as far as the configuration says it.
    pub fn size(&self) -> Size {
        let SearchConfig { repeats, filters, blocks, .. } = *self;
        Size { repeats, filters, blocks }
    }

    fn is_open(&self) -> bool {
        self.space == "morphism"
    }

    /// As [`RunConfig::validate`](super::RunConfig::validate).
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        at_least_one("search.children", self.children)?;
        at_least_one("search.accept", self.accept)?;
        let known = search::STRATEGIES.iter().chain(search::VARIANTS).map(|(name, _)| *name);
        one_of("search.strategy", self.strategy(), known)?;
        if self.strategy() == "rena" && !self.inherit {
            let wanted = "true: rena learns from what became of its morphisms".to_owned();
            let (key, found) = ("search.inherit", "false".to_owned());
            return Err(ConfigError::Value { key, found, wanted });
        }
        let spaces = space::SPACES.iter().map(|(name, _)| *name);
        one_of("search.space", &self.space, spaces)?;
        let Size { repeats, filters, blocks } = self.size();
        let [most_repeats, most_filters, most_blocks] = MOST;
        self.check_size("search.repeats", repeats, 1..=most_repeats)?;
        // From 2 on the options of a chain differ.
        self.check_size("search.filters", filters, 2..=most_filters)?;
        self.check_size("search.blocks", blocks, 1..=most_blocks)?;
        self.check_starts()
    }

    fn check_size(
        &self,
        key: &'static str,
        found: Option<usize>,
        range: RangeInclusive<usize>,
    ) -> Result<(), ConfigError> {
        let Some(found) = found else { return Ok(()) };
        let sizes = space::sizes(&self.space);
        let wanted = match sizes {
            [] => format!("left out: networks of `{}` grow to any size", self.space),
            _ if !sizes.iter().any(|size| key.ends_with(size)) => {
                format!("left out: `{}` has {} alone", self.space, sizes.join(" and "))
            }
            _ if range.contains(&found) => return Ok(()),
            _ => format!("from {} to {}", range.start(), range.end()),
        };
        Err(ConfigError::Value { key, found: found.to_string(), wanted })
    }

    /// Whether a fixed space has them is found out when the images are known.
    fn check_starts(&self) -> Result<(), ConfigError> {
        match self.starts.first().filter(|_| self.is_open()) {
            None => Ok(()),
            Some(text) => Err(ConfigError::Start {
                text: text.clone(),
                space: self.space.clone(),
                reason: "members of the open space have no text; name a fixed one with --space"
                    .to_owned(),
            }),
        }
    }
}
