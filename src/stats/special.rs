//! Special functions.

/// Logarithm of the gamma function for `x > 0`; relative error below 1e-13.
///
/// # Source
///
/// Lanczos, *A Precision Approximation of the Gamma Function*, SIAM 1964, with `g = 7` and the
/// nine coefficients of Godfrey.
pub(super) fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const COEFFICIENTS: [f64; 8] = [
        676.5203681218851,
        -1259.1392167224028,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507343278686905,
        -0.13857109526572012,
        9.984_369_578_019_572e-6,
        1.5056327351493116e-7,
    ];
    let x = x - 1.0;
    let terms = COEFFICIENTS.iter().enumerate().map(|(i, c)| c / (x + i as f64 + 1.0));
    let series = 0.999_999_999_999_809_9 + terms.sum::<f64>();
    let t = x + G + 0.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + series.ln()
}

/// The regularised incomplete beta function `I_x(a, b)` for `a, b > 0`: the distribution function
/// of Beta(a, b) at `x`.
///
/// # Source
///
/// Continued fraction 8.17.22 of the Digital Library of Mathematical Functions, and the symmetry
/// 8.17.4 on the side where it converges slowly.
pub(super) fn regularised_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularised_beta(1.0 - x, b, a);
    }
    let ln_beta = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let factor = (a * x.ln() + b * (-x).ln_1p() - ln_beta).exp() / a;
    factor * beta_fraction(x, a, b)
}

/// Evaluates the continued fraction from the front (Lentz's method, as modified by Thompson and
/// Barnett, *Journal of Computational Physics* 1986).
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const STEPS: usize = 500;
    let away_from_zero = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..STEPS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0f64).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_of_an_integer_is_a_factorial() {
        let mut factorial = 1.0f64;
        for n in 1..20 {
            assert!((ln_gamma(f64::from(n)) - factorial.ln()).abs() < 1e-12, "{n}");
            factorial *= f64::from(n);
        }
    }

    /// For integer parameters the function is a binomial tail (DLMF 8.17.5).
    #[test]
    fn the_incomplete_beta_function_is_a_binomial_tail() {
        let choose =
            |n: i32, k: i32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        for (a, b) in [(1, 1), (2, 5), (7, 3), (20, 20), (1, 30)] {
            for x in [0.01, 0.3, 0.5, 0.77, 0.99f64] {
                let n = a + b - 1;
                let tail = (a..=n).map(|k| choose(n, k) * x.powi(k) * (1.0 - x).powi(n - k));
                let found = regularised_beta(x, f64::from(a), f64::from(b));
                assert!((found - tail.sum::<f64>()).abs() < 1e-12, "{a} {b} {x}");
            }
        }
    }
}
