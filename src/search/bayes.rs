//! Search by expected hypervolume improvement: what `citron` and `qnehvi` have in common.
use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::pareto::gain;
use crate::space::Architecture;
use crate::space::Features;
use crate::space::Identity;

use super::Costs;
use super::Evaluated;
use super::Generation;
use super::Situation;
use super::batch::Batch;
use super::beliefs::Moments;
use super::beliefs::OF_COST;
use super::beliefs::OF_ERROR;
use super::beliefs::Process;
use super::greedy::Offer;
use super::greedy::choose;
use super::groups::Detail;
use super::groups::Pool;
use super::history::History;
use super::improvement::Belief;
use super::improvement::Front;
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
/// Where the error is looked at under more than two objectives, in standard deviations, with weights:
/// Gauss-Hermite of five points.
const NODES: [(f64, f64); 5] = [
    (-2.856_970, 0.011_257),
    (-1.355_626, 0.222_076),
    (0.0, 0.533_333),
    (1.355_626, 0.222_076),
    (2.856_970, 0.011_257),
];

/// What tells such strategies apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Features of the candidates.
    pub detail: Detail,
    /// Does the space's own list of starts come first?
    pub starts: bool,
    /// Architectures before the model takes over: those, then random ones.
    pub first: usize,
    /// Is the front what was observed, with its noise, or what lies behind it?
    pub recorded: bool,
}

/// The search.
#[derive(Debug)]
pub(super) struct Bayes {
    style: Style,
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

/// What is believed of the candidates of a pool.
struct Outlook {
    /// Of the logarithm.
    error: Moments,
    /// Of the logarithm of each cost that is not known.
    costs: Vec<Option<Moments>>,
    /// What lies behind the observed points, `[error, logarithm of the cost]`, drawn some times.
    drawn: Vec<Vec<(f64, f64)>>,
}

impl Bayes {
    pub(super) fn new(style: Style) -> Bayes {
        Bayes { style, history: History::default(), whole: None }
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
        let drawn = drawn(batch, situation, rng);
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

fn drawn(batch: &mut Batch<'_>, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Vec<Drawn> {
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
            let parent_error = (!is_fixed).then_some(parent.values[situation.error_at]);
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
        let error = self.error.predict(candidates, None);
        let mut costs = Vec::new();
        let mut drawn_costs = None;
        for (process, known) in self.costs.iter_mut().zip(example) {
            if known.is_some() {
                costs.push(None);
                continue;
            }
            if process.len() < 2 {
                return None;
            }
            let trend = if self.trended { process.trend(&self.pool) } else { None };
            costs.push(Some(process.predict(candidates, trend.as_deref())));
            drawn_costs = Some(process.observed_logs());
        }
        let drawn = match style.recorded {
            true => Vec::new(),
            false => self.draw_fronts(drawn_costs.as_deref(), rng),
        };
        Some(Outlook { error, costs, drawn })
    }

    /// Draws of the errors behind the observations, each with its cost as observed: of the two only the error
    /// is noisy.
    fn draw_fronts(
        &self,
        costs: Option<&[(usize, f64)]>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Vec<(f64, f64)>> {
        let logs: BTreeMap<usize, f64> = match costs {
            Some(costs) => costs.iter().copied().collect(),
            None => self.costs[0].observed_logs().into_iter().collect(),
        };
        let draws = (0..FRONTS).filter_map(|_| self.error.draw(None, rng));
        let with_costs = |errors: Vec<f64>| {
            let observed = self.error.observed_logs();
            let each = errors.into_iter().zip(observed);
            each.filter_map(|(log, (at, _))| Some((log.exp(), *logs.get(&at)?))).collect()
        };
        draws.map(with_costs).collect()
    }
}

/// What is worth most, greedily: each stands on the front with what is expected of it when the next is
/// chosen.
fn chosen(
    situation: &Situation<'_>,
    free: &[(usize, Costs)],
    outlook: &Outlook,
    wanted: usize,
) -> Vec<usize> {
    let mut fronts = Fronts::of(situation, outlook);
    let offer = |(at, costs): &(usize, Costs)| {
        let prospect = Prospect::of(*at, costs, outlook);
        Offer { worth: fronts.worth(&prospect), item: (*at, prospect) }
    };
    let mut offers: Vec<Offer<(usize, Prospect)>> = free.iter().map(offer).collect();
    let worth = |fronts: &Fronts<'_>, (_, prospect): &(usize, Prospect)| fronts.worth(prospect);
    let chosen = choose(&mut offers, wanted, &mut fronts, worth, |fronts, (_, prospect)| {
        fronts.insert(prospect);
    });
    chosen.into_iter().map(|(at, _)| at).collect()
}

/// What is believed of one candidate.
struct Prospect {
    error: (f64, f64),
    /// Of the logarithm of each cost.
    costs: Vec<Belief>,
}

impl Prospect {
    fn of(at: usize, costs: &Costs, outlook: &Outlook) -> Prospect {
        let believed =
            costs.iter().zip(&outlook.costs).map(|(cost, moments)| match (cost, moments) {
                (Some(cost), _) => Belief::Exact(cost.max(f64::MIN_POSITIVE).ln()),
                (None, Some(moments)) => {
                    Belief::Gaussian { mean: moments[at].0, std: moments[at].1 }
                }
                (None, None) => Belief::Exact(f64::INFINITY),
            });
        Prospect { error: outlook.error[at], costs: believed.collect() }
    }

    fn error_belief(&self) -> Belief {
        Belief::log_normal(self.error.0, self.error.1)
    }
}

/// The front that is to be improved.
enum Fronts<'a> {
    /// Of the error and the logarithm of one cost; several where noise hides which it is.
    Plane(Vec<Front>),
    /// Of more objectives, on the axes of the reference.
    Space { points: Vec<Vec<f64>>, situation: &'a Situation<'a> },
}

impl<'a> Fronts<'a> {
    fn of(situation: &'a Situation<'a>, outlook: &Outlook) -> Fronts<'a> {
        let reference = situation.reference.expect("a model has a scale");
        let normalised = || situation.front.iter().map(|p| reference.normalise(&p.values));
        if outlook.costs.len() != 1 {
            return Fronts::Space { points: normalised().collect(), situation };
        }
        let at = situation.error_at;
        let corner = (reference.reference()[at], reference.reference()[1 - at].ln());
        let recorded = || {
            let points = situation.front.iter();
            points.map(|p| (p.values[at], p.values[1 - at].ln())).collect::<Vec<_>>()
        };
        let all = match outlook.drawn.is_empty() {
            true => vec![recorded()],
            false => outlook.drawn.clone(),
        };
        let front = |points: Vec<(f64, f64)>| {
            let mut front = Front::new(corner);
            for point in points {
                front.insert(point);
            }
            front
        };
        Fronts::Plane(all.into_iter().map(front).collect())
    }

    /// Expected improvement of the hypervolume.
    fn worth(&self, prospect: &Prospect) -> f64 {
        match self {
            Fronts::Plane(fronts) => {
                let (error, cost) = (prospect.error_belief(), prospect.costs[0]);
                let sum: f64 = fronts.iter().map(|front| front.improvement(&error, &cost)).sum();
                sum / fronts.len() as f64
            }
            Fronts::Space { points, situation } => {
                let corner = vec![1.0; points.first().map_or(0, Vec::len)];
                let at = |(z, weight): &(f64, f64)| {
                    weight * gain(points, &placed(situation, prospect, *z), &corner)
                };
                if corner.is_empty() { 0.0 } else { NODES.iter().map(at).sum() }
            }
        }
    }

    /// Takes a candidate in as what is expected of it.
    fn insert(&mut self, prospect: &Prospect) {
        match self {
            Fronts::Plane(fronts) => {
                let point = (prospect.error.0.exp(), prospect.costs[0].middle());
                fronts.iter_mut().for_each(|front| {
                    front.insert(point);
                });
            }
            Fronts::Space { points, situation } => points.push(placed(situation, prospect, 0.0)),
        }
    }
}

/// Where a candidate lies on the axes of the reference, its error so many deviations from the middle.
fn placed(situation: &Situation<'_>, prospect: &Prospect, deviations: f64) -> Vec<f64> {
    let reference = situation.reference.expect("a model has a scale");
    let mut values: Vec<f64> = prospect.costs.iter().map(|cost| cost.middle().exp()).collect();
    let (mean, std) = prospect.error;
    values.insert(situation.error_at, (mean + deviations * std).exp());
    reference.normalise(&values)
}
