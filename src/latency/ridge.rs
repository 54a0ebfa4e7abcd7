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

/// Penalties tried, times the number of rows; scaled columns have variance 1.
const PENALTIES: [f64; 9] = [1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0];

impl Ridge {
    /// Fits `targets` as a linear function of `rows`, all of one length.
    pub(super) fn fit(rows: &[Vec<f64>], targets: &[f64]) -> Ridge {
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

fn column_means(rows: &[Vec<f64>]) -> Vec<f64> {
    let n = rows.len() as f64;
    (0..rows[0].len()).map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / n).collect()
}

/// Standard deviations; 1 for a column that does not vary, which then counts nothing.
fn column_scales(rows: &[Vec<f64>], mean: &[f64]) -> Vec<f64> {
    let n = rows.len() as f64;
    let deviation = |j: usize| {
        let squares: f64 = rows.iter().map(|r| (r[j] - mean[j]).powi(2)).sum();
        (squares / n).sqrt()
    };
    (0..mean.len()).map(deviation).map(|s| if s > 1e-12 { s } else { 1.0 }).collect()
}
