//! What a search begins with: its space, its strategy, members that are asked for.
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::data::DataSet;
use crate::graph::Graph;
use crate::graph::check;
use crate::search;
use crate::search::Proposal;
use crate::search::Settings;
use crate::search::Strategy;
use crate::space;
use crate::space::Architecture;
use crate::space::Identity;
use crate::space::Space;

use super::ConfigError;
use super::Engine;
use super::EngineError;
use super::RunConfig;
use super::SearchConfig;

/// The space of a valid configuration, for its data.
///
/// # Errors
///
/// [`EngineError::CannotSearch`] if its strategy can do nothing there, or its networks would be too large.
pub fn space_of(config: &RunConfig, data: &DataSet) -> Result<Arc<dyn Space>, EngineError> {
    let (name, size) = (&config.search.space, config.search.size());
    let space = space::sized(name, size, data.shape, data.classes.len(), data.train.len());
    let (space, strategy) = (space.expect("a valid configuration has one"), strategy(config));
    if let Some(reason) = strategy.cannot_run_on(space.as_ref()) {
        let text = format!("{} cannot search in {}: {reason}", strategy.name(), space.name());
        return Err(EngineError::CannotSearch(text));
    }
    let largest = first_networks(space.as_ref()).into_iter().find_map(|graph| check(&graph).err());
    match largest {
        Some(error) => {
            let text = format!("networks of `{name}` would be too large for these images: {error}");
            Err(EngineError::CannotSearch(text))
        }
        None => Ok(space),
    }
}

/// Networks of the architectures that the space begins with.
pub(super) fn first_networks(space: &dyn Space) -> Vec<Graph> {
    space.starts().iter().filter_map(|start| space.build(start)).collect()
}

/// The strategy of a valid configuration.
pub(super) fn strategy(config: &RunConfig) -> Box<dyn Strategy> {
    let SearchConfig { acceptance, children, inherit, .. } = config.search;
    let settings = Settings { acceptance, children, inherit };
    search::strategy(config.search.strategy(), settings).expect("a valid configuration has one")
}

/// The members of the space with which the configuration begins.
///
/// # Errors
///
/// [`ConfigError::Start`] with the first text that is none.
pub fn starts_of(config: &RunConfig, space: &dyn Space) -> Result<Vec<Architecture>, ConfigError> {
    let read = |text: &String| {
        let wrong = |reason: String| ConfigError::Start {
            text: text.clone(),
            space: space.name().to_owned(),
            reason,
        };
        let choices = space.choices().expect("a valid configuration starts in fixed spaces alone");
        let choices = choices.parse(text).map_err(|error| wrong(error.to_string()))?;
        let member = Architecture::Chosen(choices);
        match space.build(&member) {
            Some(_) => Ok(member),
            None => Err(wrong("nothing comes through it".to_owned())),
        }
    };
    config.search.starts.iter().map(read).collect()
}

impl Engine {
    /// What the configuration begins with and is not `known` yet, and from now on is; at most `room`,
    /// whatever the strategy would say.
    pub(super) fn begin(
        &self,
        known: &mut Cow<'_, BTreeSet<Identity>>,
        room: usize,
    ) -> Vec<Proposal> {
        let mut proposals = Vec::new();
        for start in &self.starts {
            let graph = self.space.build(start).expect("a start is a network");
            let structure = Identity::Structure(graph.arch_id());
            if proposals.len() < room && !known.contains(&structure) {
                known.to_mut().extend([structure, start.identity()]);
                proposals.push(Proposal { parent: None, architecture: start.clone() });
            }
        }
        proposals
    }
}
