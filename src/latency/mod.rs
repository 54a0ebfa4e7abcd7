//! Latency of what is not measured yet, with its error bar.
//!
//! A small regression on what the graph alone tells, fitted to the measurements of one run (one
//! device, runtime and thread count). It serves acceptance only; what is accepted is measured.
mod features;
mod ridge;

use crate::graph::Graph;
use crate::stats::median;
use crate::stats::normal_quantile;

use features::features;
use ridge::Ridge;

/// Predicts latencies from those measured so far.
///
/// With five or more measurements: ridge regression of `ln(latency / MACs)` on features of the
/// graph (see the source of `features`), so that few measurements leave a network of twice the
/// multiply-accumulates twice as slow, and many correct it. With fewer: the multiply-accumulates
/// times the median of latency per multiply-accumulate.
#[derive(Clone, Debug)]
pub struct Predictor {
    model: Model,
    samples: usize,
}

/// A predicted latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Best guess, µs; positive and finite.
    pub latency_us: f64,
    /// 95 % interval, µs.
    pub interval_us: [f64; 2],
    /// Measurements behind it.
    pub samples: usize,
}

#[derive(Clone, Debug)]
enum Model {
    /// Logarithm of microseconds per multiply-accumulate, and how far off it may be.
    PerMac {
        rate: f64,
        spread: f64,
    },
    Ridge(Ridge),
}

impl Predictor {
    /// Measurements from which on the regression is used.
    pub const ENOUGH: usize = 5;

    /// Learns from measured networks and their latencies in µs; others than positive finite ones
    /// are ignored.
    ///
    /// Costs about 20 µs for each network and once the cube of the number of features: refit after
    /// each measurement. Deterministic.
    pub fn fit<'a>(measured: impl IntoIterator<Item = (&'a Graph, f64)>) -> Predictor {
        let usable = measured.into_iter().filter(|(_, us)| us.is_finite() && *us > 0.0);
        let (rows, rates): (Vec<_>, Vec<_>) = usable
            .map(|(graph, us)| {
                let features = features(graph);
                let rate = us.ln() - features.ln_macs;
                (features.values, rate)
            })
            .unzip();
        let model = match rates.len() < Predictor::ENOUGH {
            true => per_mac(&rates),
            false => Model::Ridge(Ridge::fit(&rows, &rates)),
        };
        Predictor { model, samples: rates.len() }
    }

    /// The latency of `graph`.
    ///
    /// Before the first measurement only the order of predictions means anything.
    pub fn predict(&self, graph: &Graph) -> Prediction {
        let features = features(graph);
        let (rate, deviation) = match &self.model {
            Model::PerMac { rate, spread } => (*rate, *spread),
            Model::Ridge(ridge) => ridge.predict(&features.values),
        };
        let micros = |ln: f64| ln.clamp(SMALLEST_LN, LARGEST_LN).exp();
        let centre = rate + features.ln_macs;
        let half = normal_quantile(0.975) * deviation;
        Prediction {
            latency_us: micros(centre),
            interval_us: [micros(centre - half), micros(centre + half)],
            samples: self.samples,
        }
    }
}

/// Predictions stay between a picosecond and about thirty thousand years, so that they are
/// positive and finite whatever is extrapolated.
const SMALLEST_LN: f64 = -14.0;
const LARGEST_LN: f64 = 42.0;

/// One microsecond per multiply-accumulate until something is known.
///
/// Networks of one search differ by less than a factor of 10 in latency per multiply-accumulate;
/// that is the error bar until there are two measurements, and four times their spread after.
fn per_mac(rates: &[f64]) -> Model {
    const UNKNOWN: f64 = 1.2;
    let rate = median(rates).unwrap_or(0.0);
    let farthest = rates.iter().map(|r| (r - rate).abs()).fold(0.0, f64::max);
    Model::PerMac { rate, spread: UNKNOWN.max(farthest) }
}
