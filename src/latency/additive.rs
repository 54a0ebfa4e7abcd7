//! A latency that is a sum of parts.
use nalgebra::SMatrix;
use nalgebra::SVector;

use super::features::PARTS;

type Square = SMatrix<f64, PARTS, PARTS>;
type Column = SVector<f64, PARTS>;

/// Coefficients, none negative, of the parts of a network's latency.
#[derive(Clone, Debug)]
pub(super) struct Additive {
    /// In µs for one unit of the part's scale.
    coefficients: Column,
    /// One over the mean of each part among the networks fitted; 0 for a part that none has.
    scale: Column,
    /// No network is predicted faster than this, µs.
    floor: f64,
}

/// Pull towards all parts being equally slow, so that few measurements suffice; it is forgotten
/// where measurements say something.
const PULL: f64 = 1e-4;

impl Additive {
    /// Minimises the squared *relative* errors of the latencies, µs.
    pub(super) fn fit(parts: &[[f64; PARTS]], latencies: &[f64]) -> Additive {
        let mut mean = Column::zeros();
        for row in parts {
            mean += Column::from(*row) / parts.len() as f64;
        }
        let scale = mean.map(|m| if m > 0.0 { 1.0 / m } else { 0.0 });
        let floor = 1e-3 * latencies.iter().copied().fold(f64::INFINITY, f64::min);
        let empty = Additive { coefficients: Column::zeros(), scale, floor };
        let sums = empty.sums(parts, latencies);
        Additive { coefficients: sums.solve(), ..empty }
    }

    /// The fits that leave out one network each, in order.
    pub(super) fn without_each(
        &self,
        parts: &[[f64; PARTS]],
        latencies: &[f64],
    ) -> impl Iterator<Item = Additive> {
        let all = self.sums(parts, latencies);
        parts.iter().zip(latencies).map(move |(row, &us)| {
            let without = all.less(self.relative(row, us));
            Additive { coefficients: without.solve(), ..self.clone() }
        })
    }

    /// Logarithm of the latency in µs.
    pub(super) fn predict_ln(&self, parts: &[f64; PARTS]) -> f64 {
        self.relative(parts, 1.0).dot(&self.coefficients).max(self.floor).ln()
    }

    /// The scaled parts as shares of the latency, were all coefficients 1.
    fn relative(&self, parts: &[f64; PARTS], latency: f64) -> Column {
        Column::from(*parts).component_mul(&self.scale) / latency
    }

    fn sums(&self, parts: &[[f64; PARTS]], latencies: &[f64]) -> Sums {
        let nothing = Sums { squares: Square::zeros(), linear: Column::zeros(), rows: 0.0 };
        let rows = parts.iter().zip(latencies).map(|(row, &us)| self.relative(row, us));
        rows.fold(nothing, Sums::plus)
    }
}

/// What least squares need to know of the rows `z`, of which each should give 1.
struct Sums {
    /// `Σ z zᵀ`.
    squares: Square,
    /// `Σ z`.
    linear: Column,
    rows: f64,
}

impl Sums {
    fn plus(self, z: Column) -> Sums {
        Sums {
            squares: self.squares + z * z.transpose(),
            linear: self.linear + z,
            rows: self.rows + 1.0,
        }
    }

    fn less(&self, z: Column) -> Sums {
        Sums {
            squares: self.squares - z * z.transpose(),
            linear: self.linear - z,
            rows: self.rows - 1.0,
        }
    }

    /// The coefficients.
    fn solve(&self) -> Column {
        let equal = self.rows / self.linear.sum();
        let pull = PULL * self.rows;
        let squares = self.squares * equal * equal + Square::identity() * pull;
        let linear = self.linear * equal + Column::repeat(pull);
        non_negative(&squares, &linear) * equal
    }
}

/// The minimum of `xᵀ A x / 2 - bᵀ x` over `x ≥ 0`, for a positive definite `A`.
///
/// # Source
///
/// NNLS in Lawson, Hanson, *Solving Least Squares Problems*, 1974, chapter 23.
fn non_negative(a: &Square, b: &Column) -> Column {
    const MOST_STEPS: usize = 20 * PARTS;
    let mut free = [false; PARTS];
    let mut x = Column::zeros();
    for _ in 0..MOST_STEPS {
        let goal = restricted(a, b, &free);
        if let Some(step) = step_to_border(&x, &goal, &free) {
            x += (goal - x) * step;
            (0..PARTS).for_each(|i| free[i] &= x[i] > 1e-12);
            x = Column::from_fn(|i, _| if free[i] { x[i] } else { 0.0 });
            continue;
        }
        x = goal;
        let slope = b - a * x;
        let wanting = (0..PARTS).filter(|&i| !free[i] && slope[i] > 1e-10 * b.amax());
        let Some(next) = wanting.max_by(|&i, &j| slope[i].total_cmp(&slope[j])) else { break };
        free[next] = true;
    }
    x
}

/// The minimum where all but the `free` coordinates are 0.
fn restricted(a: &Square, b: &Column, free: &[bool; PARTS]) -> Column {
    let matrix = Square::from_fn(|i, j| match free[i] && free[j] {
        true => a[(i, j)],
        false => f64::from(u8::from(i == j)),
    });
    let side = Column::from_fn(|i, _| if free[i] { b[i] } else { 0.0 });
    matrix.cholesky().expect("a pulled matrix is positive definite").solve(&side)
}

/// How far towards `goal` all free coordinates stay positive; `None` if all the way.
fn step_to_border(x: &Column, goal: &Column, free: &[bool; PARTS]) -> Option<f64> {
    let leaving = (0..PARTS).filter(|&i| free[i] && goal[i] <= 0.0);
    leaving.map(|i| x[i] / (x[i] - goal[i])).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_problem() -> impl Strategy<Value = (Square, Column)> {
        let entries = |n| prop::collection::vec(-1.0..1.0f64, n);
        (entries(PARTS * PARTS), entries(PARTS)).prop_map(|(a, b)| {
            let root = Square::from_vec(a);
            (root.transpose() * root + Square::identity() * 1e-3, Column::from_vec(b))
        })
    }

    proptest! {
        /// The conditions of Karush, Kuhn and Tucker hold at the minimum and nowhere else.
        #[test]
        fn the_minimum_cannot_be_improved((a, b) in any_problem()) {
            let x = non_negative(&a, &b);
            let slope = b - a * x;
            for i in 0..PARTS {
                prop_assert!(x[i] >= 0.0);
                prop_assert!(slope[i] < 1e-8, "{i}: {slope}");
                prop_assert!(x[i] == 0.0 || slope[i].abs() < 1e-8, "{i}: {slope}");
            }
        }

        #[test]
        fn a_sum_of_parts_is_found_again(
            slopes in prop::collection::vec(0.5..2.0f64, PARTS),
            rows in prop::collection::vec(prop::array::uniform7(0.1..10.0f64), 40..60),
        ) {
            let law = |row: &[f64; PARTS]| row.iter().zip(&slopes).map(|(x, s)| x * s).sum::<f64>();
            let latencies: Vec<f64> = rows.iter().map(law).collect();
            let fitted = Additive::fit(&rows, &latencies);
            for (row, us) in rows.iter().zip(&latencies) {
                prop_assert!((fitted.predict_ln(row) - us.ln()).abs() < 1e-2);
            }
        }

        #[test]
        fn leaving_a_row_out_is_as_if_it_had_not_been_there(
            rows in prop::collection::vec(prop::array::uniform7(0.1..10.0f64), 8..20),
        ) {
            let latencies: Vec<f64> = rows.iter().map(|r| 1.0 + r[0] + r[3] * r[1]).collect();
            let all = Additive::fit(&rows, &latencies);
            for (i, without) in all.without_each(&rows, &latencies).enumerate() {
                let rest = |j: &usize| *j != i;
                let (some, us): (Vec<_>, Vec<_>) =
                    (0..rows.len()).filter(rest).map(|j| (rows[j], latencies[j])).unzip();
                let again = Additive { coefficients: all.sums(&some, &us).solve(), ..all.clone() };
                let gap = without.predict_ln(&rows[i]) - again.predict_ln(&rows[i]);
                prop_assert!(gap.abs() < 1e-6, "{gap}");
            }
        }
    }
}
