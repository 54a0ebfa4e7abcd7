//! A strategy against a table.
use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::dominates;
use crate::search;
use crate::search::Costs;
use crate::search::Evaluated;
use crate::search::Parent;
use crate::search::STRATEGIES;
use crate::search::Settings;
use crate::search::Situation;
use crate::search::Strategy;
use crate::search::VARIANTS;
use crate::space::Architecture;
use crate::space::Identity;
use crate::units::names_for;

use super::Course;
use super::Device;
use super::Table;
use super::TableError;

/// Is the latency of an architecture free, or does a query return it together with the error?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// Only a query tells it.
    #[default]
    Learnt,
    /// Free, as on a device that measures in seconds what takes hours to train.
    Known,
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Where.
    pub table: &'a Table,
    /// On which device; one of the table.
    pub device: &'a Device,
    /// How it is scored.
    pub course: &'a Course,
    /// Who knows the latency.
    pub latency: Latency,
    /// Distinct architectures that may be asked for.
    pub queries: usize,
    /// Error beyond which nothing counts.
    pub reference_error: f64,
}

/// What a strategy asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Rows in the order of the queries; all differ.
    pub rows: Vec<usize>,
}

/// Empty generations in a row after which a strategy is out of proposals.
const PATIENCE: usize = 10;

/// How far below the reference a latency is still told apart.
const SPAN: f64 = 1e9;

/// The strategy of this name, for a game on the table.
///
/// # Errors
///
/// [`TableError::NoStrategy`]; [`TableError::CannotPlay`] on this space.
pub fn player(name: &str, table: &Table) -> Result<Box<dyn Strategy>, TableError> {
    let known = STRATEGIES.iter().chain(VARIANTS).map(|(name, _)| *name);
    let strategy = search::strategy(name, Settings::default()).ok_or_else(|| {
        let known = names_for(name, &known.collect::<Vec<_>>());
        TableError::NoStrategy { found: name.to_owned(), known }
    })?;
    match strategy.cannot_run_on(table.space.as_ref()) {
        Some(reason) => Err(TableError::CannotPlay { strategy: strategy.name(), reason }),
        None => Ok(strategy),
    }
}

/// Plays one game. The same seed gives the same trace; nothing is carried from one to the next.
///
/// # Errors
///
/// [`TableError::Stuck`] if the strategy has no more proposals.
pub fn play(task: &Task<'_>, strategy: &mut dyn Strategy, seed: u64) -> Result<Trace, TableError> {
    let mut game = Game::new(task);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut empty = 0;
    while game.rows.len() < task.queries {
        let room = strategy.batch().min(task.queries - game.rows.len());
        let generation = strategy.ask(&game.situation(room), &mut rng);
        let before = game.rows.len();
        for proposal in generation.proposals {
            if let Some(evaluated) = game.query(&proposal.architecture) {
                strategy.tell(&evaluated);
            }
        }
        empty = if game.rows.len() == before { empty + 1 } else { 0 };
        if empty == PATIENCE {
            let queries = game.rows.len();
            return Err(TableError::Stuck { strategy: strategy.name(), queries });
        }
    }
    Ok(Trace { rows: game.rows })
}

/// Costs that are known of an architecture before it is asked for.
type CostsOf<'a> = dyn Fn(&Architecture) -> Option<Costs> + 'a;

/// What the strategy may know so far.
struct Game<'a> {
    task: &'a Task<'a>,
    reference: Reference,
    costs: Box<CostsOf<'a>>,
    rows: Vec<usize>,
    known: BTreeSet<Identity>,
    front: Vec<Parent>,
}

impl<'a> Game<'a> {
    fn new(task: &'a Task<'a>) -> Game<'a> {
        let costs = move |architecture: &Architecture| {
            let row = task.table.space.row(architecture)?;
            Some(vec![match task.latency {
                Latency::Learnt => None,
                Latency::Known => Some(task.device.latency[row]),
            }])
        };
        let slowest = task.course.slowest();
        let reference = Reference::between(
            vec![Objective::Error, Objective::Latency],
            vec![0.0, slowest / SPAN],
            vec![task.reference_error, slowest],
        );
        Game {
            task,
            reference: reference.expect("a table's axes are not empty"),
            costs: Box::new(costs),
            rows: Vec::new(),
            known: BTreeSet::new(),
            front: Vec::new(),
        }
    }

    fn situation(&self, room: usize) -> Situation<'_> {
        Situation {
            space: self.task.table.space.as_ref(),
            front: &self.front,
            known: &self.known,
            reference: Some(&self.reference),
            limits: &[],
            costs: &self.costs,
            error_at: 0,
            device: 0,
            room,
        }
    }

    /// `None` for what the table does not have or what was asked for before.
    fn query(&mut self, architecture: &Architecture) -> Option<Evaluated> {
        let row = self.task.table.space.row(architecture)?;
        if !self.known.insert(architecture.identity()) {
            return None;
        }
        let id = self.rows.len() as u64;
        self.rows.push(row);
        let (error, latency) = (self.task.table.error[row], self.task.device.latency[row]);
        let values = vec![error, latency];
        if !self.front.iter().any(|member| dominates(&member.values, &values)) {
            self.front.retain(|member| !dominates(&values, &member.values));
            self.front.push(Parent { id, architecture: architecture.clone(), values });
        }
        Some(Evaluated {
            id,
            architecture: architecture.clone(),
            grown: None,
            // A table's networks inherit nothing.
            parent_error: None,
            error: Some(error),
            costs: vec![vec![Some(latency)]],
        })
    }
}
