//! Where a sample lies and how far it spreads.
use super::special::regularised_beta;

/// The `q`-quantile of `values`, which need not be sorted; `None` of an empty sample.
///
/// `q` is clamped to `0..=1`. Costs one selection, linear in the number of values.
///
/// # Source
///
/// Type 7 in Hyndman, Fan, *Sample Quantiles in Statistical Packages*, The American Statistician
/// 1996: linear between the order statistics, the default of R and NumPy.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let (below, share) = (at.floor() as usize, at.fract());
    let mut values = values.to_vec();
    let (_, &mut low, rest) = values.select_nth_unstable_by(below, f64::total_cmp);
    if share == 0.0 {
        return Some(low);
    }
    let high = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    Some(low * (1.0 - share) + high * share)
}

/// The median of `values`, which need not be sorted; `None` of an empty sample.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The median absolute deviation from the median, not scaled; `None` of an empty sample.
///
/// Times 1.4826 it estimates the standard deviation of a normal distribution.
///
/// # Source
///
/// Hampel, *The Influence Curve and Its Role in Robust Estimation*, JASA 1974.
pub fn mad(values: &[f64]) -> Option<f64> {
    let centre = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    median(&deviations)
}

/// The `q`-quantile as a weighted mean of all order statistics; `None` of an empty sample.
///
/// Less variable than [`quantile`] on small samples. The weight of the `i`-th of `n` values is
/// `I(i/n) - I((i-1)/n)`, where `I` is the distribution function of Beta((n+1)q, (n+1)(1-q)).
/// At 0 and 1 it is the smallest and the largest value.
///
/// # Source
///
/// Harrell, Davis, *A New Distribution-Free Quantile Estimator*, Biometrika 1982.
pub fn harrell_davis(values: &[f64], q: f64) -> Option<f64> {
    if q <= 0.0 || q >= 1.0 {
        return quantile(values, q);
    }
    let sorted = sorted(values);
    let n = sorted.len() as f64;
    let (a, b) = ((n + 1.0) * q, (n + 1.0) * (1.0 - q));
    let mut below = 0.0;
    let mut sum = 0.0;
    for (i, value) in sorted.iter().enumerate() {
        let upto = regularised_beta((i + 1) as f64 / n, a, b);
        sum += (upto - below) * value;
        below = upto;
    }
    (!sorted.is_empty()).then_some(sum)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: [f64; 7] = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.3];

    #[track_caller]
    fn check_close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} {expected}");
    }

    #[test]
    fn quantiles_agree_with_numpy() {
        check_close(quantile(&SAMPLE, 0.0), 1.0);
        check_close(quantile(&SAMPLE, 0.1), 1.3);
        check_close(quantile(&SAMPLE, 0.5), 3.0);
        check_close(quantile(&SAMPLE, 0.9), 6.78);
        check_close(quantile(&SAMPLE, 1.0), 9.0);
    }

    #[test]
    fn an_empty_sample_has_no_quantile() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(median(&[]), None);
        assert_eq!(mad(&[]), None);
        assert_eq!(harrell_davis(&[], 0.5), None);
        assert_eq!(harrell_davis(&[], 1.0), None);
    }

    #[test]
    fn the_median_of_an_even_sample_lies_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(mad(&[4.0, 1.0, 3.0, 2.0]), Some(1.0));
    }

    #[test]
    fn one_outlier_moves_the_mad_little() {
        assert_eq!(mad(&[1.0, 2.0, 3.0, 4.0, 1e9]), Some(1.0));
    }

    #[test]
    fn harrell_davis_agrees_with_scipy() {
        check_close(harrell_davis(&SAMPLE, 0.5), 3.262274829608169);
        check_close(harrell_davis(&SAMPLE, 0.9), 7.970572346263147);
        check_close(harrell_davis(&SAMPLE, 0.05), 1.0723883921511814);
        check_close(harrell_davis(&[7.0], 0.3), 7.0);
    }

    #[test]
    fn harrell_davis_of_a_constant_sample_is_the_constant() {
        check_close(harrell_davis(&[2.5; 100], 0.99), 2.5);
    }
}
