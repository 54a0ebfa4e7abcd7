//! Ridge regression with an honest error bar.
use nalgebra::DMatrix;
use nalgebra::DVector;

/// A linear function fitted to few rows.
///
/// # Source
///
/// Hoerl, Kennard, *Ridge Regression*, Technometrics 1970. Leave-one-out residuals in closed form,
/// `eᵢ / (1 - hᵢ)`: Allen, *The Relationship between Variable Selection and Data Augmentation and a
/// Method for Prediction* (PRESS), Technometrics 1974; they also choose the penalty.
#[derive(Clone, Debug)]
pub(super) struct Ridge {
    mean: Vec<f64>,
    scale: Vec<f64>,
    intercept: f64,
    slope: DVector<f64>,
    /// `(XᵀX + λI)⁻¹` of the scaled rows: how far a row lies from those that were seen.
    inverse: DMatrix<f64>,
    rows: f64,
    /// Root mean square of the leave-one-out residuals.
    error: f64,
}

/// Penalties tried, times the number of rows; scaled columns have variance 1. The largest leaves
/// next to nothing but the intercept.
const PENALTIES: [f64; 9] = [1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0, 100.0];

impl Ridge {
    /// Fits `targets` as a linear function of `rows`, all of one length.
    pub(super) fn fit(rows: &[&[f64]], targets: &[f64]) -> Ridge {
        let mean = column_means(rows);
        let scale = column_scales(rows, &mean);
        let x = DMatrix::from_fn(rows.len(), mean.len(), |i, j| (rows[i][j] - mean[j]) / scale[j]);
        let intercept = targets.iter().sum::<f64>() / targets.len() as f64;
        let y = DVector::from_iterator(targets.len(), targets.iter().map(|t| t - intercept));
        let fits = PENALTIES.iter().filter_map(|p| penalised(&x, &y, p * rows.len() as f64));
        let best = fits.min_by(|a, b| a.error.total_cmp(&b.error));
        let Fit { slope, inverse, error } = best.expect("a penalised matrix is positive definite");
        Ridge { mean, scale, intercept, slope, inverse, rows: rows.len() as f64, error }
    }

    /// The prediction for `row` and its standard deviation, which grows away from the rows seen.
    pub(super) fn predict(&self, row: &[f64]) -> (f64, f64) {
        let scaled = row.iter().zip(&self.mean).zip(&self.scale).map(|((x, m), s)| (x - m) / s);
        let x = DVector::from_iterator(row.len(), scaled);
        let leverage = 1.0 / self.rows + x.dot(&(&self.inverse * &x));
        (self.intercept + self.slope.dot(&x), self.error * (1.0 + leverage).sqrt())
    }
}

struct Fit {
    slope: DVector<f64>,
    inverse: DMatrix<f64>,
    error: f64,
}

/// The fit at one penalty; `None` if rounding spoiled it.
fn penalised(x: &DMatrix<f64>, y: &DVector<f64>, penalty: f64) -> Option<Fit> {
    let normal = x.tr_mul(x) + DMatrix::identity(x.ncols(), x.ncols()) * penalty;
    let inverse = normal.cholesky()?.inverse();
    let slope = &inverse * x.tr_mul(y);
    let residuals = y - x * &slope;
    let projected = x * &inverse;
    let left_out = (0..x.nrows()).map(|i| {
        let leverage = 1.0 / x.nrows() as f64 + projected.row(i).dot(&x.row(i));
        residuals[i] / (1.0 - leverage).max(1e-9)
    });
    let error = (left_out.map(|e| e * e).sum::<f64>() / x.nrows() as f64).sqrt();
    Some(Fit { slope, inverse, error })
}

fn column_means(rows: &[&[f64]]) -> Vec<f64> {
    let n = rows.len() as f64;
    (0..rows[0].len()).map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / n).collect()
}

/// Standard deviations; 1 for a column that does not vary, which then counts nothing.
fn column_scales(rows: &[&[f64]], mean: &[f64]) -> Vec<f64> {
    let n = rows.len() as f64;
    let deviation = |j: usize| {
        let squares: f64 = rows.iter().map(|r| (r[j] - mean[j]).powi(2)).sum();
        (squares / n).sqrt()
    };
    (0..mean.len()).map(deviation).map(|s| if s > 1e-12 { s } else { 1.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of three columns and what they are to predict, nearly linear in them.
    fn any_table() -> impl Strategy<Value = (Vec<[f64; 3]>, Vec<f64>)> {
        let rows = prop::collection::vec(prop::array::uniform3(-1.0..1.0f64), 20..40);
        let noise = prop::collection::vec(-0.1..0.1f64, 40);
        (rows, noise).prop_map(|(rows, noise)| {
            let law = |r: &[f64; 3]| 2.0 + 3.0 * r[0] - r[1];
            let targets = rows.iter().zip(noise).map(|(r, e)| law(r) + e).collect();
            (rows, targets)
        })
    }

    fn fit(rows: &[[f64; 3]], targets: &[f64]) -> Ridge {
        let rows: Vec<&[f64]> = rows.iter().map(|r| &r[..]).collect();
        Ridge::fit(&rows, targets)
    }

    proptest! {
        #[test]
        fn a_linear_law_is_found((rows, targets) in any_table(), x in prop::array::uniform3(-1.0..1.0f64)) {
            let (found, _) = fit(&rows, &targets).predict(&x);
            prop_assert!((found - (2.0 + 3.0 * x[0] - x[1])).abs() < 0.2, "{found}");
        }

        /// Mean and scale are taken once, from all rows, so the closed form is near, not equal.
        #[test]
        fn the_error_is_that_of_rows_really_left_out((rows, targets) in any_table()) {
            let squares = (0..rows.len()).map(|i| {
                let rest = |j: &usize| *j != i;
                let (some, some_targets): (Vec<_>, Vec<_>) =
                    (0..rows.len()).filter(rest).map(|j| (rows[j], targets[j])).unzip();
                (fit(&some, &some_targets).predict(&rows[i]).0 - targets[i]).powi(2)
            });
            let expected = (squares.sum::<f64>() / rows.len() as f64).sqrt();
            let found = fit(&rows, &targets).error;
            prop_assert!((found / expected - 1.0).abs() < 0.1, "{found} {expected}");
        }

        #[test]
        fn the_error_bar_grows_away_from_what_was_seen((rows, targets) in any_table()) {
            let ridge = fit(&rows, &targets);
            let bar = |x: f64| ridge.predict(&[x; 3]).1;
            prop_assert!(ridge.error < bar(0.0) && bar(0.0) < bar(3.0) && bar(3.0) < bar(30.0));
        }
    }
}
