//! What a repeat of the measurement would show.
//!
//! A confidence interval says where the true median lies, not where the next measurement will:
//! that one has its own launches, at another time. Both add to the noise here, on a logarithmic
//! scale, since timings differ by factors.
use std::collections::HashMap;

use serde::Deserialize;
use serde::Serialize;

use crate::stats::student_quantile;
use crate::units::Micros;

use super::measurement::Measurement;
use super::spread::MEDIAN_VARIANCE;

/// Share of repeats that the interval is made for.
const LEVEL: f64 = 0.95;

/// Launches, and repeats, that the knowledge of the device counts for against one measurement's
/// own.
const WEIGHT: f64 = 5.0;

/// Least deviation between repeats that is believed: repeats that follow each other at once look
/// alike, those an hour apart do not.
const LEAST_REPEATS: f64 = 0.01;

/// How much the same model differs on a device: standard deviations of the logarithm, so 0.01 is
/// about 1 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Of a launch's median, between the launches of one measurement.
    pub launches: f64,
    /// Of a measurement's median, beyond what its launches explain.
    pub repeats: f64,
    /// Measurements it was learnt from.
    pub measurements: u32,
    /// Those among them that repeated an earlier one.
    pub repeated: u32,
}

impl Default for Noise {
    /// Assumed before anything is known: launches within 1 %, repeats within 1.5 %, as seen on a
    /// virtual machine with others at work.
    fn default() -> Self {
        Noise { launches: 0.01, repeats: 0.015, measurements: 0, repeated: 0 }
    }
}

/// Learns the noise of a device from what is measured on it.
#[derive(Clone, Debug, Default)]
pub struct NoiseLearner {
    noise: Noise,
    /// The last measurement of each model, by its hash.
    last: HashMap<String, Median>,
}

/// The logarithm of a measurement's median, and its variance as far as the launches explain it.
#[derive(Clone, Copy, Debug)]
struct Median {
    log: f64,
    variance: f64,
}

impl NoiseLearner {
    /// What is known by now.
    pub fn noise(&self) -> Noise {
        self.noise
    }

    /// Takes one more measurement into account; one of a single launch teaches nothing.
    pub fn learn(&mut self, m: &Measurement) {
        let (Some(variance), Some(median)) = (m.between_launches(), explained(m)) else { return };
        let noise = &mut self.noise;
        noise.launches = blend(noise.launches, noise.measurements, variance);
        noise.measurements += 1;
        if let Some(last) = self.last.insert(m.model.blake3.clone(), median) {
            // Two medians differ by twice what each varies.
            let square = (median.log - last.log).powi(2);
            let unexplained = ((square - median.variance - last.variance) / 2.0).max(0.0);
            let repeats = blend(noise.repeats, noise.repeated, unexplained);
            noise.repeats = repeats.max(LEAST_REPEATS);
            noise.repeated += 1;
        }
    }
}

/// The standard deviation after one more variance; that before counts as [`WEIGHT`] of them and
/// those seen.
fn blend(deviation: f64, seen: u32, variance: f64) -> f64 {
    let weight = WEIGHT + f64::from(seen);
    ((deviation.powi(2) * weight + variance) / (weight + 1.0)).sqrt()
}

fn explained(m: &Measurement) -> Option<Median> {
    let variance = MEDIAN_VARIANCE * m.between_launches()? / m.launches.len() as f64;
    Some(Median { log: m.p50()?.0.ln(), variance })
}

impl Measurement {
    /// Where the median of a repeat with as many launches will lie, in 95 of 100 repeats; `None`
    /// without samples.
    ///
    /// With `g` launches whose medians vary by `s²`, on a device whose launches vary by `σ²` and
    /// whose measurements by `τ²` beyond that (all logarithmic), the repeat differs by a variance
    /// of `2 (π/2 v/g + τ²)`, where `v` is the mean of `s²` and `σ²` weighted by `g − 1` and five
    /// degrees of freedom; the quantile is Student's with as many. The five keep two launches that
    /// happen to agree from promising too much.
    ///
    /// # Source
    ///
    /// Prediction of a mean in Hahn, Meeker, *Statistical Intervals*, 1991; pooling a variance
    /// with prior knowledge as in Smyth, *Linear Models and Empirical Bayes Methods*, 2004.
    pub fn prediction_interval(&self) -> Option<[Micros; 2]> {
        let median = self.p50()?.0;
        let launches = self.launch_medians().len() as f64;
        let freedom = launches - 1.0 + WEIGHT;
        let own = self.between_launches().unwrap_or(0.0) * (launches - 1.0);
        let variance = (own + self.noise.launches.powi(2) * WEIGHT) / freedom;
        let repeat = MEDIAN_VARIANCE * variance / launches + self.noise.repeats.powi(2);
        let half = student_quantile(0.5 + LEVEL / 2.0, freedom) * (2.0 * repeat).sqrt();
        Some([Micros(median * (-half).exp()), Micros(median * half.exp())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assumed_counts_less_the_more_is_seen() {
        let mut deviation = 0.01;
        for seen in 0..200 {
            deviation = blend(deviation, seen, 0.03_f64.powi(2));
        }
        assert!((deviation - 0.03).abs() < 1e-3, "{deviation}");
    }
}
