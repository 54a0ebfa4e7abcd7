//! Expected hypervolume improvement of two minimised objectives, in closed form.
//!
//! With independent beliefs, the improvement integrates strip by strip: between two neighbours of
//! the front the best error is constant, so a strip contributes *expected error gain* times
//! *expected width*. Both are values of `E[(t - X)+]` (Emmerich et al. 2006; Yang et al. 2019).

use std::sync::LazyLock;

const Z_MAX: f64 = 8.0;
const STEPS_PER_UNIT: f64 = 128.0;

/// Nodes `(phi(z), Phi(z))` at `z = -Z_MAX + i / STEPS_PER_UNIT`.
static NORMAL: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let n = (2.0 * Z_MAX * STEPS_PER_UNIT) as usize;
    let h = 1.0 / STEPS_PER_UNIT;
    let pdf = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    // Gauss-Legendre of three points on each step; the mass below -Z_MAX is 6e-16.
    let node = 0.5 * h * 0.6f64.sqrt();
    let mut cdf = 6.220960574271785e-16;
    (0..=n)
        .map(|i| {
            let z = -Z_MAX + i as f64 * h;
            let here = (pdf(z), cdf);
            let mid = z + 0.5 * h;
            cdf += h / 18.0 * (5.0 * pdf(mid - node) + 8.0 * pdf(mid) + 5.0 * pdf(mid + node));
            here
        })
        .collect()
});

/// Standard normal distribution function, by a third-order Taylor step from a table (error below 1e-10).
#[inline]
pub(super) fn normal_cdf(z: f64) -> f64 {
    if z <= -Z_MAX {
        return 0.0;
    }
    if z >= Z_MAX {
        return 1.0;
    }
    let i = ((z + Z_MAX) * STEPS_PER_UNIT + 0.5) as usize;
    let (pdf, cdf) = NORMAL[i];
    let z0 = i as f64 / STEPS_PER_UNIT - Z_MAX;
    let d = z - z0;
    cdf + pdf * d * (1.0 - d * (z0 / 2.0 - d * (z0 * z0 - 1.0) / 6.0))
}

/// Belief about one objective of one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Belief {
    Exact(f64),
    Gaussian {
        mean: f64,
        std: f64,
    },
    /// `exp(N(mean, std))`.
    LogNormal {
        mean: f64,
        std: f64,
        expectation: f64,
    },
}

impl Belief {
    pub fn log_normal(mean: f64, std: f64) -> Self {
        Self::LogNormal { mean, std, expectation: (mean + 0.5 * std * std).exp() }
    }

    /// Its median.
    pub fn middle(&self) -> f64 {
        match *self {
            Self::Exact(x) => x,
            Self::Gaussian { mean, .. } => mean,
            Self::LogNormal { mean, .. } => mean.exp(),
        }
    }

    /// `E[(t - X)+]`, the expected gain below `t`, whose logarithm is at hand.
    #[inline]
    pub fn gain_below(&self, t: f64, ln_t: f64) -> f64 {
        match *self {
            Self::Exact(x) => (t - x).max(0.0),
            Self::Gaussian { mean, std } => {
                let z = (t - mean) / std;
                if z <= -Z_MAX {
                    0.0
                } else if z >= Z_MAX {
                    t - mean
                } else {
                    let pdf = (-0.5 * z * z).exp() * 0.3989422804014327;
                    (std * (z * normal_cdf(z) + pdf)).max(0.0)
                }
            }
            Self::LogNormal { mean, std, expectation } => {
                let d = (ln_t - mean) / std;
                if d <= -Z_MAX {
                    0.0
                } else if d - std >= Z_MAX {
                    t - expectation
                } else {
                    (t * normal_cdf(d) - expectation * normal_cdf(d - std)).max(0.0)
                }
            }
        }
    }
}

/// Pareto front of two minimised objectives below a reference point.
#[derive(Clone, Debug)]
pub(super) struct Front {
    reference: (f64, f64),
    /// `(error, latency)`, latency ascending, error strictly descending.
    points: Vec<(f64, f64)>,
    /// Logarithms of the reference error, then of the points' errors; not numbers, and not needed, where errors
    /// are logarithms themselves.
    ln_errors: Vec<f64>,
}

impl Front {
    pub fn new(reference: (f64, f64)) -> Self {
        Self { reference, points: Vec::new(), ln_errors: vec![reference.0.ln()] }
    }

    /// What all of some fronts of one reference dominate, so that nothing improves one of them by more.
    pub fn common(fronts: &[Front]) -> Option<Front> {
        let mut common = Front::new(fronts.first()?.reference);
        for &(_, latency) in fronts.iter().flat_map(|front| &front.points) {
            let best = fronts.iter().map(|front| front.best_up_to(latency));
            common.insert((best.fold(f64::NEG_INFINITY, f64::max), latency));
        }
        Some(common)
    }

    /// The lowest error of at most this latency.
    fn best_up_to(&self, latency: f64) -> f64 {
        match self.points.partition_point(|point| point.1 <= latency) {
            0 => self.reference.0,
            n => self.points[n - 1].0,
        }
    }

    /// Adds a point; says whether it is on the front.
    pub fn insert(&mut self, p: (f64, f64)) -> bool {
        let outside = p.0 >= self.reference.0 || p.1 >= self.reference.1;
        if outside || self.points.iter().any(|q| q.0 <= p.0 && q.1 <= p.1) {
            return false;
        }
        self.points.retain(|q| !(p.0 <= q.0 && p.1 <= q.1));
        let at = self.points.partition_point(|q| q.1 < p.1);
        self.points.insert(at, p);
        let errors = [self.reference.0].into_iter().chain(self.points.iter().map(|q| q.0));
        self.ln_errors = errors.map(f64::ln).collect();
        true
    }

    /// The strips from the least latency on, the first open to minus infinity.
    fn strips(&self) -> impl Iterator<Item = Strip> + '_ {
        let n = self.points.len();
        (0..=n).map(move |i| {
            let best = if i == 0 { self.reference.0 } else { self.points[i - 1].0 };
            let to = if i == n { self.reference.1 } else { self.points[i].1 };
            Strip { best, ln_best: self.ln_errors[i], to }
        })
    }

    /// Expected hypervolume improvement by a point of independent beliefs.
    pub fn improvement(&self, error: &Belief, latency: &Belief) -> f64 {
        expected_improvement(self.strips(), error, latency)
    }
}

/// Part of the plane up to the latency `to`, where the best error so far is `best`.
struct Strip {
    best: f64,
    ln_best: f64,
    to: f64,
}

fn expected_improvement(
    strips: impl Iterator<Item = Strip>,
    error: &Belief,
    latency: &Belief,
) -> f64 {
    let mut below = 0.0;
    let mut total = 0.0;
    for s in strips {
        let up_to = latency.gain_below(s.to, 0.0);
        let width = up_to - below;
        below = up_to;
        if width > 0.0 {
            let gain = error.gain_below(s.best, s.ln_best);
            if gain <= 0.0 {
                break; // the next strips have a smaller error still
            }
            total += gain * width;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }

    /// As another room has it.
    fn hypervolume(front: &Front) -> f64 {
        let points: Vec<[f64; 2]> = front.points.iter().map(|p| [p.0, p.1]).collect();
        crate::pareto::hypervolume(&points, &[front.reference.0, front.reference.1])
    }

    fn draw(b: &Belief, rng: &mut ChaCha8Rng) -> f64 {
        match *b {
            Belief::Exact(x) => x,
            Belief::Gaussian { mean, std } => mean + std * gaussian(rng),
            Belief::LogNormal { mean, std, .. } => (mean + std * gaussian(rng)).exp(),
        }
    }

    #[test]
    fn cdf_is_precise() {
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.8413447460685429),
            (-2.5, 0.006209665325776132),
            (4.0, 0.9999683287581669),
        ] {
            assert!((normal_cdf(z) - p).abs() < 1e-9, "{z}");
        }
    }

    #[test]
    fn nothing_improves_a_front_by_more_than_what_all_have_in_common() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..20 {
            let mut draw = || {
                let mut front = Front::new((10.0, 5.0));
                for _ in 0..6 {
                    front.insert((rng.random_range(1.0..11.0), rng.random_range(0.0..5.5)));
                }
                front
            };
            let fronts = [draw(), draw(), draw()];
            let common = Front::common(&fronts).unwrap();
            let error = Belief::log_normal(rng.random_range(0.0..2.0), 0.4);
            let latency = Belief::Gaussian { mean: rng.random_range(0.0..5.0), std: 0.7 };
            let bound = common.improvement(&error, &latency);
            for front in &fronts {
                assert!(front.improvement(&error, &latency) <= bound * (1.0 + 1e-12));
            }
            let alone = Front::common(&fronts[..1]).unwrap().improvement(&error, &latency);
            assert_eq!(alone, fronts[0].improvement(&error, &latency));
        }
    }

    #[test]
    fn ehvi_equals_monte_carlo() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for case in 0..12 {
            let mut front = Front::new((10.0, 5.0));
            for _ in 0..case {
                front.insert((rng.random_range(1.0..10.0), rng.random_range(0.0..5.0)));
            }
            let error = if case % 2 == 0 {
                Belief::Gaussian { mean: rng.random_range(1.0..9.0), std: 1.5 }
            } else {
                Belief::log_normal(rng.random_range(0.0..2.0), 0.4)
            };
            let latency = match case % 3 {
                0 => Belief::Exact(rng.random_range(0.0..5.0)),
                _ => Belief::Gaussian { mean: rng.random_range(0.0..5.0), std: 0.7 },
            };
            let (n, before) = (200_000, hypervolume(&front));
            let mut sum = 0.0;
            for _ in 0..n {
                let mut f = front.clone();
                f.insert((draw(&error, &mut rng), draw(&latency, &mut rng)));
                sum += hypervolume(&f) - before;
            }
            let (mc, exact) = (sum / n as f64, front.improvement(&error, &latency));
            assert!((mc - exact).abs() < 0.02 * exact + 0.02, "case {case}: {mc} {exact}");
        }
    }
}
