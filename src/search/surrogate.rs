//! What the error of a structure may be, learnt from the run so far.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::space::MorphismSpace;

use super::Evaluated;
use super::Forest;

/// Fewest results before the surrogate is asked.
const ENOUGH: usize = 12;
/// Newest results that are learnt from; older ones had worse parents.
const MEMORY: usize = 1500;
/// Added to an error before its logarithm is taken, so that 0 has one.
const ERROR_FLOOR: f64 = 2e-3;

/// Results of the run as rows and targets.
#[derive(Debug, Default)]
pub(super) struct Results {
    rows: Vec<Vec<f64>>,
    targets: Vec<f64>,
}

impl Results {
    pub(super) fn add(&mut self, evaluated: &Evaluated) {
        let Some(error) = evaluated.error else { return };
        self.rows.push(row(&evaluated.graph, evaluated.parent_error));
        self.targets.push((error + ERROR_FLOOR).ln());
    }

    /// A surrogate of the newest results; `None` while there are too few.
    pub(super) fn fit(&self, rng: &mut ChaCha8Rng) -> Option<Surrogate> {
        let from = self.rows.len().saturating_sub(MEMORY);
        let enough = self.rows.len() >= ENOUGH;
        enough.then(|| Surrogate {
            forest: Forest::fit(&self.rows[from..], &self.targets[from..], rng.random()),
        })
    }
}

/// A forest over structure and the parent's error.
pub(super) struct Surrogate {
    forest: Forest,
}

impl Surrogate {
    /// One draw of the error that `graph` may have, from the spread of the trees (independent
    /// Thompson sampling, as in BANANAS).
    pub(super) fn draw(
        &self,
        graph: &Graph,
        parent_error: Option<f64>,
        rng: &mut ChaCha8Rng,
    ) -> f64 {
        let belief = self.forest.predict(&row(graph, parent_error));
        let drawn = belief.mean + belief.deviation * normal(rng);
        (drawn.exp() - ERROR_FLOOR).clamp(0.0, 1.0)
    }
}

fn row(graph: &Graph, parent_error: Option<f64>) -> Vec<f64> {
    let mut row = MorphismSpace::features(graph);
    row.push(parent_error.map_or(0.0, |e| (e + ERROR_FLOOR).ln()));
    row.push(f64::from(u8::from(parent_error.is_some())));
    row
}

/// A standard normal draw (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
