//! What rewards are counted from.

/// What a step of the moving average keeps.
const DECAY: f64 = 0.9;

/// A moving average of rewards; none before the first.
#[derive(Debug, Default)]
pub(super) struct Baseline(Option<f64>);

impl Baseline {
    /// Reward over the baseline, which then follows it.
    pub(super) fn advantage(&mut self, reward: f64) -> f64 {
        let baseline = self.0.unwrap_or(reward);
        self.0 = Some(DECAY * baseline + (1.0 - DECAY) * reward);
        reward - baseline
    }
}
