//! The little dense linear algebra that a Gaussian process needs: some hundred rows at most.

/// Lower-triangular Cholesky factor that can grow by one row at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Cholesky {
    rows: Vec<Vec<f64>>,
}

/// Dot product with four accumulators, so that the compiler can use vector registers.
#[inline]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut acc = [0.0; 4];
    let (ca, cb) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = ca.remainder().iter().zip(cb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ca.zip(cb) {
        for k in 0..4 {
            acc[k] += x[k] * y[k];
        }
    }
    acc.iter().sum::<f64>() + tail
}

impl Cholesky {
    /// Factor of the symmetric positive definite matrix whose entry `(i, j <= i)` is `entry(i, j)`;
    /// `None` when a pivot is not positive.
    pub fn new(n: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let mut factor = Self { rows: Vec::with_capacity(n) };
        for i in 0..n {
            let row: Vec<f64> = (0..=i).map(|j| entry(i, j)).collect();
            factor.push(row)?;
        }
        Some(factor)
    }

    /// Appends one row of the matrix (`row[i]` last, the diagonal).
    pub fn push(&mut self, mut row: Vec<f64>) -> Option<()> {
        let i = self.rows.len();
        for j in 0..i {
            let s = dot(&row[..j], &self.rows[j][..j]);
            row[j] = (row[j] - s) / self.rows[j][j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        row[i] = pivot.sqrt();
        self.rows.push(row);
        Some(())
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn row(&self, i: usize) -> &[f64] {
        &self.rows[i]
    }

    /// Solves `L x = b`.
    pub fn solve_lower(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in 0..x.len() {
            x[i] = (x[i] - dot(&self.rows[i][..i], &x[..i])) / self.rows[i][i];
        }
        x
    }

    /// Solves `L' x = b`.
    pub fn solve_upper(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in (0..x.len()).rev() {
            x[i] /= self.rows[i][i];
            let xi = x[i];
            for (xj, l) in x[..i].iter_mut().zip(&self.rows[i]) {
                *xj -= l * xi;
            }
        }
        x
    }

    /// Logarithm of the determinant of the factored matrix.
    pub fn ln_det(&self) -> f64 {
        2.0 * self.rows.iter().enumerate().map(|(i, r)| r[i].ln()).sum::<f64>()
    }

    /// Inverse of the factored matrix, row-major, lower triangle filled.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.len();
        // Row j of `t` is column j of L^-1 (zero before j).
        let mut t = vec![0.0; n * n];
        for j in 0..n {
            let col = &mut t[j * n..(j + 1) * n];
            col[j] = 1.0 / self.rows[j][j];
            for i in j + 1..n {
                col[i] = -dot(&self.rows[i][j..i], &col[j..i]) / self.rows[i][i];
            }
        }
        let mut inv = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                inv[i * n + j] = dot(&t[i * n + i..(i + 1) * n], &t[j * n + i..(j + 1) * n]);
            }
        }
        inv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_and_inverts() {
        let a =
            |i: usize, j: usize| if i == j { 3.0 + i as f64 } else { 1.0 / (1.0 + (i + j) as f64) };
        let n = 7;
        let l = Cholesky::new(n, a).unwrap();
        let b: Vec<f64> = (0..n).map(|i| i as f64 - 2.0).collect();
        let x = l.solve_upper(&l.solve_lower(&b));
        let inv = l.inverse();
        for i in 0..n {
            let ax: f64 = (0..n).map(|j| a(i.max(j), i.min(j)) * x[j]).sum();
            assert!((ax - b[i]).abs() < 1e-10);
            let y: f64 = (0..n).map(|j| inv[i.max(j) * n + i.min(j)] * b[j]).sum();
            assert!((y - x[i]).abs() < 1e-10);
        }
    }
}
