//! Search by expected hypervolume improvement: what `citron` and `qnehvi` have in common.
use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::space::Architecture;
use crate::space::Features;
use crate::space::Identity;

use super::Costs;
use super::Evaluated;
use super::Generation;
use super::Situation;
use super::batch::Batch;
use super::beliefs::OF_COST;
use super::beliefs::OF_ERROR;
use super::beliefs::Process;
use super::fronts::Outlook;
use super::fronts::chosen;
use super::groups::Detail;
use super::groups::Pool;
use super::history::History;
use super::random;
use super::random::begin;

/// Errors above this multiple of the reference error are cut there: clearly worthless, yet no outliers.
/// (Cut at the reference itself, half of the belief would promise an improvement.)
const CAP: f64 = 1.5;
/// Lowest error that is told apart, so that 0 has a logarithm.
const LEAST_ERROR: f64 = 1e-3;
/// Random architectures among the candidates of a fixed space that is not recorded.
const SAMPLES: usize = 256;
/// Children of the front among the candidates of a space that is not recorded.
const CHILDREN: usize = 384;
/// Most changes from a parent to a child.
const MAX_CHANGES: usize = 3;
/// Newest results that are learnt from where the candidates are drawn anew each time.
const MEMORY: usize = 256;
/// Steps of a fit from the last optimum, and of one from the start.
const STEPS: [usize; 2] = [12, 30];
/// Fronts that the noise may hide are drawn so often.
const FRONTS: usize = 8;
/// What tells such strategies apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Features of the candidates.
    pub detail: Detail,
    /// Does the space's own list of starts come first?
    pub starts: bool,
    /// Architectures before the model takes over: those, then random ones.
    pub first: usize,
    /// Are front and candidates what is observed, with its noise, or what lies behind it?
    pub recorded: bool,
}

/// The search.
#[derive(Debug)]
pub(super) struct Bayes {
    style: Style,
    /// Do children have their parents' weights?
    inherit: bool,
    history: History,
    whole: Option<Whole>,
}

/// What is kept of a space whose members are all listed.
#[derive(Debug)]
struct Whole {
    rows: BTreeMap<Identity, usize>,
    model: Model,
    /// How much of the history it knows.
    seen: usize,
}

/// Beliefs over a pool.
#[derive(Clone, Debug)]
struct Model {
    pool: Pool,
    error: Process,
    /// By objective without the error; only those that are not known are fitted.
    costs: Vec<Process>,
    trended: bool,
}

impl Bayes {
    pub(super) fn new(style: Style, inherit: bool) -> Bayes {
        Bayes { style, inherit, history: History::default(), whole: None }
    }

    pub(super) fn tell(&mut self, evaluated: &Evaluated) {
        self.history.add(evaluated);
    }

    pub(super) fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, self.style.starts, self.style.first, rng);
        if batch.room() < situation.room || situation.reference.is_none() {
            return batch.done();
        }
        match situation.space.all() {
            Some(all) => self.among_all(&mut batch, situation, all, rng),
            None => self.among_drawn(&mut batch, situation, rng),
        }
        random::fill(&mut batch, situation, rng);
        batch.done()
    }

    /// All members of the space are candidates; the model is kept from one generation to the next.
    fn among_all(
        &mut self,
        batch: &mut Batch<'_>,
        situation: &Situation<'_>,
        all: &[Architecture],
        rng: &mut ChaCha8Rng,
    ) {
        let style = self.style;
        let whole = self.whole.get_or_insert_with(|| Whole::of(situation, all, style));
        for evaluated in &self.history.evaluated()[whole.seen..] {
            let row = whole.rows[&evaluated.architecture.identity()];
            whole.model.observe(row, evaluated, situation);
        }
        whole.seen = self.history.evaluated().len();
        let mut free: Vec<(usize, Costs)> = Vec::new();
        for (row, architecture) in all.iter().enumerate() {
            if !situation.known.contains(&architecture.identity())
                && let Some(costs) = (situation.costs)(architecture)
            {
                free.push((row, costs));
            }
        }
        let Some(outlook) = whole.model.outlook(&free, all.len(), style, rng) else { return };
        for row in chosen(situation, &free, &outlook, batch.room()) {
            batch.offer(all[row].clone(), None);
        }
    }

    /// Candidates are drawn anew: random ones where they can be had, and children of the front.
    fn among_drawn(&self, batch: &mut Batch<'_>, situation: &Situation<'_>, rng: &mut ChaCha8Rng) {
        let evaluated = self.history.evaluated();
        let known: Vec<&Evaluated> = evaluated.iter().filter(|e| e.error.is_some()).collect();
        let known = &known[known.len().saturating_sub(MEMORY)..];
        let drawn = drawn(batch, situation, self.inherit, rng);
        if known.len() < 2 || drawn.is_empty() {
            return;
        }
        let features = |a: &Architecture| situation.space.features(a);
        let rows: Vec<Features> = known.iter().map(|e| features(&e.architecture)).collect();
        let drawn_rows = drawn.iter().map(|d| features(&d.architecture));
        let rows: Vec<Features> = rows.into_iter().chain(drawn_rows).collect();
        let inherited = known.iter().map(|e| e.parent_error);
        let inherited = inherited.chain(drawn.iter().map(|d| d.parent_error));
        let inherited: Vec<Vec<f64>> = inherited.map(inherited_columns).collect();
        let pool = Pool::new(&rows, &inherited, self.style.detail);
        let costs = drawn[0].costs.len();
        let mut model = Model::new(pool, costs, self.style, STEPS[1]);
        for (at, evaluated) in known.iter().enumerate() {
            model.observe(at, evaluated, situation);
        }
        let free: Vec<(usize, Costs)> =
            drawn.iter().zip(known.len()..).map(|(d, at)| (at, d.costs.clone())).collect();
        let Some(outlook) = model.outlook(&free, rows.len(), self.style, rng) else { return };
        let mut drawn: Vec<Option<Drawn>> = drawn.into_iter().map(Some).collect();
        for at in chosen(situation, &free, &outlook, batch.room()) {
            if let Some(drawn) = drawn[at - known.len()].take() {
                batch.add(drawn.architecture, drawn.parent);
            }
        }
    }
}

/// Logarithm of the error of the parent whose weights a candidate has, and whether it has one.
fn inherited_columns(parent_error: Option<f64>) -> Vec<f64> {
    let log = parent_error.map_or(0.0, |error| error.max(LEAST_ERROR).ln());
    vec![log, f64::from(u8::from(parent_error.is_some()))]
}

/// A candidate with what is known of it.
struct Drawn {
    architecture: Architecture,
    parent: Option<u64>,
    parent_error: Option<f64>,
    costs: Costs,
}

fn drawn(
    batch: &mut Batch<'_>,
    situation: &Situation<'_>,
    inherit: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Drawn> {
    let mut drawn = Vec::new();
    let is_fixed = situation.space.choices().is_some();
    for _ in 0..if is_fixed { SAMPLES } else { 0 } {
        let architecture = situation.space.sample(rng);
        if let Some(costs) = batch.look_at(&architecture) {
            drawn.push(Drawn { architecture, parent: None, parent_error: None, costs });
        }
    }
    for _ in 0..CHILDREN {
        let Some(parent) = situation.front.choose(rng) else { break };
        let changes = rng.random_range(1..=MAX_CHANGES);
        let child = situation.space.mutate(&parent.architecture, changes, rng);
        let Some(architecture) = child else { continue };
        if let Some(costs) = batch.look_at(&architecture) {
            // Children in a fixed space are trained from scratch.
            let parent_error = (inherit && !is_fixed).then_some(parent.values[situation.error_at]);
            drawn.push(Drawn { architecture, parent: Some(parent.id), parent_error, costs });
        }
    }
    drawn
}

impl Whole {
    fn of(situation: &Situation<'_>, all: &[Architecture], style: Style) -> Whole {
        let features: Vec<Features> = all.iter().map(|a| situation.space.features(a)).collect();
        let pool = Pool::new(&features, &[], style.detail);
        let costs = situation.reference.map_or(1, |r| r.objectives().len() - 1);
        let rows = all.iter().map(Architecture::identity).zip(0..).collect();
        Whole { rows, model: Model::new(pool, costs, style, STEPS[0]), seen: 0 }
    }
}

impl Model {
    fn new(pool: Pool, costs: usize, style: Style, steps: usize) -> Model {
        let groups = pool.groups();
        Model {
            pool,
            error: Process::new(OF_ERROR, groups, steps),
            costs: vec![Process::new(OF_COST, groups, steps); costs],
            trended: style.detail == Detail::Whole,
        }
    }

    fn observe(&mut self, at: usize, evaluated: &Evaluated, situation: &Situation<'_>) {
        let (Some(error), Some(reference)) = (evaluated.error, situation.reference) else { return };
        let distances = Arc::new(self.pool.distances(at));
        let worst = reference.reference()[situation.error_at];
        let log = error.min(CAP * worst).max(LEAST_ERROR).ln();
        self.error.observe(at, log, distances.clone());
        // What is worthless (often cut through) has costs unlike any that matter.
        let costs = evaluated.costs.get(situation.device).filter(|_| error < worst);
        for (process, cost) in self.costs.iter_mut().zip(costs.into_iter().flatten()) {
            if let Some(cost) = cost {
                process.observe(at, cost.max(f64::MIN_POSITIVE).ln(), distances.clone());
            }
        }
    }

    /// `None` while too little is known.
    fn outlook(
        &mut self,
        free: &[(usize, Costs)],
        candidates: usize,
        style: Style,
        rng: &mut ChaCha8Rng,
    ) -> Option<Outlook> {
        let (_, example) = free.first()?;
        if self.error.len() < 2 {
            return None;
        }
        let error = self.error.predict(candidates, None, style.recorded);
        let mut costs = Vec::new();
        for (process, known) in self.costs.iter_mut().zip(example) {
            if known.is_some() {
                costs.push(None);
                continue;
            }
            if process.len() < 2 {
                return None;
            }
            let trend = if self.trended { process.trend(&self.pool) } else { None };
            costs.push(Some(process.predict(candidates, trend.as_deref(), style.recorded)));
        }
        let drawn = if style.recorded { Vec::new() } else { self.draw_fronts(rng) };
        Some(Outlook { error, costs, drawn })
    }

    /// Draws of the errors behind the observations, by cost, each with its cost as observed: only the error
    /// is noisy.
    fn draw_fronts(&self, rng: &mut ChaCha8Rng) -> Vec<Vec<Vec<(f64, f64)>>> {
        let draws: Vec<Vec<f64>> = (0..FRONTS).filter_map(|_| self.error.draw(None, rng)).collect();
        let observed = self.error.observed_logs();
        let with_cost = |process: &Process| {
            let logs: BTreeMap<usize, f64> = process.observed_logs().into_iter().collect();
            let beside = |errors: &Vec<f64>| {
                let each = errors.iter().zip(&observed);
                each.filter_map(|(&log, (at, _))| Some((log, *logs.get(at)?))).collect()
            };
            draws.iter().map(beside).collect()
        };
        self.costs.iter().map(with_cost).collect()
    }
}
