//! How far a front is from the true one.
use crate::pareto::front;
use crate::pareto::hypervolume;
use crate::stats::student_quantile;

use super::Device;
use super::Table;

/// Scale of a table's hypervolume on one device.
#[derive(Clone, Debug)]
pub struct Course {
    points: Vec<[f64; 2]>,
    reference: [f64; 2],
    whole: f64,
}

impl Course {
    /// Error and logarithm of the latency, both minimised; the reference point is `reference_error`
    /// and the table's largest logarithm of a latency plus 0.1.
    pub fn new(error: &[f64], device: &Device, reference_error: f64) -> Course {
        let log = device.latency.iter().map(|latency| latency.ln());
        let points: Vec<[f64; 2]> = error.iter().zip(log).map(|(&e, l)| [e, l]).collect();
        let slowest = points.iter().map(|p| p[1]).fold(f64::NEG_INFINITY, f64::max);
        let reference = [reference_error, slowest + 0.1];
        let whole = hypervolume(&points, &reference);
        Course { points, reference, whole }
    }

    /// The table's largest latency, times e^0.1.
    pub fn slowest(&self) -> f64 {
        self.reference[1].exp()
    }

    /// Hypervolume of the whole table; 0 if no row lies below the reference.
    pub fn whole(&self) -> f64 {
        self.whole
    }

    /// Regret in % after each of the rows, in their order: `100 (1 - HV_k / HV*)`.
    pub fn regrets(&self, rows: &[usize]) -> Vec<f64> {
        let mut best: Vec<[f64; 2]> = Vec::new();
        let regret = |&row: &usize| {
            best.push(self.points[row]);
            best = front(&best).into_iter().map(|i| best[i]).collect();
            100.0 * (1.0 - hypervolume(&best, &self.reference) / self.whole)
        };
        rows.iter().map(regret).collect()
    }
}

/// A mean over seeds with half its 95 % interval (Student's t); `None` of a single seed.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval.
    pub half: Option<f64>,
}

/// The mean of at least one number.
pub fn mean(numbers: &[f64]) -> Mean {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half =
        (numbers.len() > 1).then(|| student_quantile(0.975, n - 1.0) * (variance / n).sqrt());
    Mean { mean, half }
}

impl Table {
    /// The course on which queries are scored, and the one of final errors where the table has them.
    pub fn courses(&self, device: &Device, reference_error: f64) -> (Course, Option<Course>) {
        let course = |error: &Vec<f64>| Course::new(error, device, reference_error);
        (course(&self.error), self.final_error.as_ref().map(course))
    }
}
