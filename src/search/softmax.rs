//! One of several options, with probabilities that can be learnt.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Logarithms of the probabilities of options.
pub(super) fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::MIN, f64::max);
    let log_sum = most + logits.iter().map(|l| (l - most).exp()).sum::<f64>().ln();
    logits.iter().map(|l| l - log_sum).collect()
}

/// An option. A higher temperature makes them more alike: 1 are the probabilities themselves.
pub(super) fn draw(log_probabilities: &[f64], temperature: f64, rng: &mut ChaCha8Rng) -> usize {
    let weights: Vec<f64> = log_probabilities.iter().map(|l| (l / temperature).exp()).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    let drawn = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    drawn.unwrap_or(weights.len() - 1)
}

/// Slopes of a decision's loss by its logits: of the choice, weighted with `push`, and of the entropy.
pub(super) fn slopes(
    log_probabilities: &[f64],
    choice: usize,
    push: f64,
    entropy: f64,
) -> Vec<f64> {
    let surprise = -log_probabilities.iter().map(|log| log.exp() * log).sum::<f64>();
    let slope = |(option, log): (usize, &f64)| {
        let probability = log.exp();
        let is_chosen = f64::from(u8::from(option == choice));
        push * (probability - is_chosen) + entropy * probability * (log + surprise)
    };
    log_probabilities.iter().enumerate().map(slope).collect()
}
