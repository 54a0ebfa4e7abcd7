//! Repeated measurements of one candidate become one.

/// One round of measuring, without its raw samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// 0 for the first.
    pub round: u32,
    /// The run's latency statistic, µs.
    pub latency_us: f64,
    /// 95 % interval of it, µs.
    pub latency_interval_us: [f64; 2],
    /// Peak minus baseline, if readable.
    pub memory_bytes: Option<u64>,
    /// Size of the ONNX file.
    pub model_bytes: u64,
    /// `stable`, `noisy`, `throttled`, `too-few` or `failed`.
    pub verdict: String,
}

/// What all rounds say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined {
    /// Latency, µs.
    pub latency_us: f64,
    /// 95 % interval of it, µs.
    pub latency_interval_us: [f64; 2],
    /// Middle of the readable rounds (the lower of two).
    pub memory_bytes: Option<u64>,
    /// Least and most of the readable rounds, a page further to each side.
    pub memory_interval_bytes: Option<[u64; 2]>,
    /// Size of the ONNX file, of the latest round.
    pub model_bytes: u64,
    /// Of the latest round that counts.
    pub verdict: String,
    /// Rounds that count.
    pub rounds: usize,
}

/// Resident memory is counted in pages, so that much of a difference means nothing.
const PAGE: u64 = 4096;

/// Half-width of a log interval below which no clock can be trusted.
const FINEST: f64 = 1e-4;

/// Combines the rounds of one candidate; `None` if all failed.
///
/// Only stable rounds count, or, if there is none, all that did not fail. Log latencies are
/// averaged with weights of one over the squared interval; where rounds differ by more than their
/// intervals explain, the interval is widened until they do not. One round stays as it is.
///
/// # Source
///
/// Particle Data Group, *Review of Particle Physics*, Introduction, "Unconstrained averaging"
/// (weights and the scale factor, also called the Birge ratio).
pub fn combine(rounds: &[Round]) -> Option<Combined> {
    let counted = counted(rounds);
    let latest = counted.last()?;
    let (latency_us, latency_interval_us) = match counted.as_slice() {
        [only] => (only.latency_us, only.latency_interval_us),
        several => average(several),
    };
    let mut memory: Vec<u64> = counted.iter().filter_map(|r| r.memory_bytes).collect();
    memory.sort_unstable();
    let ends = memory.first().zip(memory.last());
    Some(Combined {
        latency_us,
        latency_interval_us,
        memory_bytes: memory.get(memory.len().saturating_sub(1) / 2).copied(),
        memory_interval_bytes: ends
            .map(|(low, high)| [low.saturating_sub(PAGE), high.saturating_add(PAGE)]),
        model_bytes: latest.model_bytes,
        verdict: latest.verdict.clone(),
        rounds: counted.len(),
    })
}

fn counted(rounds: &[Round]) -> Vec<&Round> {
    let of = |wanted: fn(&str) -> bool| rounds.iter().filter(|r| wanted(&r.verdict)).collect();
    let stable: Vec<&Round> = of(|verdict| verdict == "stable");
    if stable.is_empty() { of(|verdict| verdict != "failed") } else { stable }
}

fn average(rounds: &[&Round]) -> (f64, [f64; 2]) {
    let logs: Vec<f64> = rounds.iter().map(|r| r.latency_us.ln()).collect();
    let weights: Vec<f64> = rounds.iter().map(|r| 1.0 / half_width(r).powi(2)).collect();
    let total: f64 = weights.iter().sum();
    let mean = logs.iter().zip(&weights).map(|(y, w)| w * y).sum::<f64>() / total;
    let scatter: f64 = logs.iter().zip(&weights).map(|(y, w)| w * (y - mean).powi(2)).sum();
    // Half-widths are 1.96 standard errors, so the scatter is too small by that squared.
    let scale = (1.96_f64.powi(2) * scatter / (rounds.len() - 1) as f64).sqrt().max(1.0);
    let half = scale / total.sqrt();
    (mean.exp(), [(mean - half).exp(), (mean + half).exp()])
}

fn half_width(round: &Round) -> f64 {
    let [low, high] = round.latency_interval_us;
    let half = (high / low).ln() / 2.0;
    if half.is_finite() { half.max(FINEST) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(latency_us: f64, half: f64, verdict: &str) -> Round {
        Round {
            round: 0,
            latency_us,
            latency_interval_us: [latency_us * (-half).exp(), latency_us * half.exp()],
            memory_bytes: Some(latency_us as u64),
            model_bytes: 1,
            verdict: verdict.to_owned(),
        }
    }

    fn log_half(combined: &Combined) -> f64 {
        (combined.latency_interval_us[1] / combined.latency_interval_us[0]).ln() / 2.0
    }

    #[test]
    fn one_round_stays_as_it_is() {
        let only = round(143.2, 0.03, "noisy");
        let combined = combine(std::slice::from_ref(&only)).unwrap();
        assert_eq!(combined.latency_us, only.latency_us);
        assert_eq!(combined.latency_interval_us, only.latency_interval_us);
    }

    #[test]
    fn rounds_that_agree_narrow_the_interval() {
        let rounds = [round(100.0, 0.02, "stable"), round(100.0, 0.02, "stable")];
        let combined = combine(&rounds).unwrap();
        assert!((combined.latency_us - 100.0).abs() < 1e-9);
        assert!((log_half(&combined) - 0.02 / 2.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn rounds_that_disagree_widen_it() {
        let rounds = [round(100.0, 0.001, "stable"), round(110.0, 0.001, "stable")];
        let combined = combine(&rounds).unwrap();
        assert!((combined.latency_us - (100.0_f64 * 110.0).sqrt()).abs() < 1e-9);
        // Of two equal weights: 1.96 times the standard error, which is half the distance.
        let expected = 1.96 * 1.1_f64.ln() / 2.0;
        assert!((log_half(&combined) - expected).abs() < 1e-12, "{}", log_half(&combined));
    }

    #[test]
    fn the_narrower_round_counts_more() {
        let rounds = [round(100.0, 0.08, "stable"), round(110.0, 0.02, "stable")];
        let combined = combine(&rounds).unwrap();
        let expected = (100.0_f64.ln() + 16.0 * 110.0_f64.ln()) / 17.0;
        assert!((combined.latency_us.ln() - expected).abs() < 1e-12);
    }

    #[test]
    fn only_stable_rounds_count_where_there_are_any() {
        let rounds = [round(300.0, 0.2, "throttled"), round(100.0, 0.02, "stable")];
        assert_eq!(combine(&rounds).unwrap().latency_us, 100.0);
        let noisy = [round(300.0, 0.2, "noisy"), round(0.0, 0.0, "failed")];
        assert_eq!(combine(&noisy).unwrap().latency_us, 300.0);
        assert_eq!(combine(&noisy[1..]), None);
        assert_eq!(combine(&[]), None);
    }

    #[test]
    fn memory_is_the_middle_of_the_rounds_and_known_to_a_page() {
        let rounds = [9000.0, 100_000.0, 30_000.0].map(|us| round(us, 0.02, "stable"));
        let combined = combine(&rounds).unwrap();
        assert_eq!(combined.memory_bytes, Some(30_000));
        assert_eq!(combined.memory_interval_bytes, Some([4904, 104_096]));
        let unread = Round { memory_bytes: None, ..rounds[0].clone() };
        assert_eq!(combine(&[unread]).unwrap().memory_interval_bytes, None);
    }

    #[test]
    fn an_interval_of_no_width_is_not_taken_for_certainty() {
        let rounds = [round(100.0, 0.0, "stable"), round(101.0, 0.0, "stable")];
        let combined = combine(&rounds).unwrap();
        assert!(combined.latency_us > 100.0 && combined.latency_us < 101.0);
        assert!(log_half(&combined).is_finite() && log_half(&combined) > 0.004);
    }
}
