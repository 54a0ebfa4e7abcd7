//! What a repeat of the measurement would show.
use serde::Deserialize;
use serde::Serialize;

use crate::units::Micros;

use super::measurement::Measurement;

/// How much the same model differs on this device, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Standard deviation of the logarithm of a launch's median, between launches of one
    /// measurement.
    pub launches: f64,
    /// Measurements it was learnt from; 0 = assumed.
    pub learnt_from: u32,
}

impl Default for Noise {
    fn default() -> Self {
        Noise { launches: 0.02, learnt_from: 0 }
    }
}

impl Noise {
    /// Takes one more measurement into account.
    pub fn learn(&mut self, _m: &Measurement) {
        self.learnt_from += 1;
    }
}

impl Measurement {
    /// Where the median of a repeat will lie, nine times of ten.
    pub fn prediction_interval(&self) -> Option<[Micros; 2]> {
        self.interval(0.5)
    }
}
