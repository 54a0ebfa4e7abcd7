//! Gaussian process on groups of features: one Matérn-5/2 kernel of a weighted sum of the groups'
//! squared distances, fitted by maximum a posteriori with weak priors.

use super::cholesky::Cholesky;
use super::cholesky::dot;

/// Normal prior of the logarithm of a hyperparameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogPrior {
    pub mean: f64,
    pub std: f64,
}

/// Priors of the three kinds of hyperparameter; the targets are standardised, the groups' squared
/// distances have mean 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Priors {
    /// Inverse squared length scale of one group.
    pub weight: LogPrior,
    /// Variance of the latent function.
    pub signal: LogPrior,
    /// Variance of the noise.
    pub noise: LogPrior,
}

impl Priors {
    /// Priors of the entries of [`Hyper`], in order.
    fn in_order(&self, groups: usize) -> Vec<LogPrior> {
        let mut all = vec![self.weight; groups];
        all.push(self.signal);
        all.push(self.noise);
        all
    }
}

/// Logarithms of the hyperparameters: one weight a group, then signal variance, then noise variance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hyper {
    log: Vec<f64>,
}

/// Variance of the unknown constant mean of a standardised target.
const MEAN_VARIANCE: f64 = 1.0;
/// Least variance of the noise of a standardised target, for a stable factor.
const NOISE_FLOOR: f64 = 1e-5;
const SQRT5: f64 = 2.236_067_977_499_79;

/// Matérn-5/2 of a squared distance.
#[inline]
pub(super) fn matern52(r2: f64) -> f64 {
    let a = SQRT5 * r2.sqrt();
    (1.0 + a + 5.0 / 3.0 * r2) * (-a).exp()
}

impl Hyper {
    pub fn prior_mean(groups: usize, priors: &Priors) -> Self {
        Self { log: priors.in_order(groups).iter().map(|p| p.mean).collect() }
    }

    /// Inverse squared length scale of each group.
    pub fn weights(&self) -> Vec<f64> {
        self.log[..self.log.len() - 2].iter().map(|l| l.exp()).collect()
    }

    pub fn signal(&self) -> f64 {
        self.log[self.log.len() - 2].exp()
    }

    pub fn noise(&self) -> f64 {
        NOISE_FLOOR + self.log[self.log.len() - 1].exp()
    }

    pub fn latent_variance(&self) -> f64 {
        MEAN_VARIANCE + self.signal()
    }
}

/// Squared distances, one a group, of each pair `(i, j <= i)` of the observed points.
#[derive(Clone, Debug, Default)]
pub(super) struct PairDistances {
    groups: usize,
    n: usize,
    packed: Vec<f64>,
}

impl PairDistances {
    pub fn new(groups: usize) -> Self {
        Self { groups, ..Self::default() }
    }

    /// Adds a point; `distance(g, j)` is its squared distance in group `g` to the earlier point `j`.
    pub fn push(&mut self, distance: impl Fn(usize, usize) -> f64) {
        for j in 0..=self.n {
            for g in 0..self.groups {
                self.packed.push(if j == self.n { 0.0 } else { distance(g, j) });
            }
        }
        self.n += 1;
    }

    pub fn len(&self) -> usize {
        self.n
    }

    #[inline]
    fn pair(&self, i: usize, j: usize) -> &[f64] {
        let at = (i * (i + 1) / 2 + j) * self.groups;
        &self.packed[at..at + self.groups]
    }
}

/// Grows the factor of the covariance of the observed points (noise included) to all of `pairs`.
fn extend_factor(factor: &mut Cholesky, hyper: &Hyper, pairs: &PairDistances) -> Option<()> {
    let (weights, signal, noise) = (hyper.weights(), hyper.signal(), hyper.noise());
    for i in factor.len()..pairs.n {
        let covariance =
            |j: usize| MEAN_VARIANCE + signal * matern52(dot(&weights, pairs.pair(i, j)));
        let mut row: Vec<f64> = (0..=i).map(covariance).collect();
        row[i] += noise;
        factor.push(row)?;
    }
    Some(())
}

/// A draw of the latent function at the observed points, given standardised targets `y`; `normal` gives
/// standard normal numbers. `None` if the covariance is not positive definite.
pub(super) fn draw(
    hyper: &Hyper,
    pairs: &PairDistances,
    y: &[f64],
    normal: &mut dyn FnMut() -> f64,
) -> Option<Vec<f64>> {
    let mut noisy = Cholesky::default();
    extend_factor(&mut noisy, hyper, pairs)?;
    let (weights, signal, n) = (hyper.weights(), hyper.signal(), pairs.n);
    let mut latent = vec![0.0; n * n];
    for (i, j) in (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))) {
        let covariance = MEAN_VARIANCE + signal * matern52(dot(&weights, pairs.pair(i, j)));
        (latent[i * n + j], latent[j * n + i]) = (covariance, covariance);
    }
    let jitter = |i: usize, j: usize| latent[i * n + j] + if i == j { NOISE_FLOOR } else { 0.0 };
    let factor = Cholesky::new(n, jitter)?;
    let white: Vec<f64> = (0..pairs.n).map(|_| normal()).collect();
    let prior: Vec<f64> = (0..pairs.n).map(|i| dot(factor.row(i), &white[..=i])).collect();
    let spread = hyper.noise().sqrt();
    let missed: Vec<f64> = y.iter().zip(&prior).map(|(y, f)| y - f - spread * normal()).collect();
    let alpha = noisy.solve_upper(&noisy.solve_lower(&missed));
    let shift =
        |i: usize| latent[i * n..(i + 1) * n].iter().zip(&alpha).map(|(l, a)| l * a).sum::<f64>();
    Some((0..n).map(|i| prior[i] + shift(i)).collect())
}

/// Logarithm of marginal likelihood times prior, and its gradient in the log-hyperparameters.
pub(super) fn log_posterior(
    hyper: &Hyper,
    pairs: &PairDistances,
    y: &[f64],
    priors: &Priors,
) -> Option<(f64, Vec<f64>)> {
    let n = pairs.n;
    let mut l = Cholesky::default();
    extend_factor(&mut l, hyper, pairs)?;
    let alpha = l.solve_upper(&l.solve_lower(y));
    let inverse = l.inverse();
    let mut value = -0.5 * dot(y, &alpha) - 0.5 * l.ln_det();
    let mut grad = vec![0.0; hyper.log.len()];
    // d value = 1/2 tr((alpha alpha' - K^-1) dK); an off-diagonal pair counts twice.
    let outer = |i: usize, j: usize| alpha[i] * alpha[j] - inverse[i * n + j];
    let (weights, signal, groups) = (hyper.weights(), hyper.signal(), pairs.groups);
    for i in 0..n {
        for j in 0..=i {
            let m = signal * outer(i, j) * if i == j { 0.5 } else { 1.0 };
            let d = pairs.pair(i, j);
            let a = SQRT5 * dot(&weights, d).sqrt();
            let e = m * (-a).exp();
            grad[groups] += (1.0 + a + a * a / 3.0) * e;
            let slope = -5.0 / 6.0 * (1.0 + a) * e;
            for g in 0..groups {
                grad[g] += slope * weights[g] * d[g];
            }
        }
    }
    let diagonal: f64 = (0..n).map(|i| outer(i, i)).sum();
    grad[hyper.log.len() - 1] += 0.5 * diagonal * (hyper.noise() - NOISE_FLOOR);
    for ((g, x), p) in grad.iter_mut().zip(&hyper.log).zip(priors.in_order(groups)) {
        let z = (x - p.mean) / p.std;
        value -= 0.5 * z * z;
        *g -= z / p.std;
    }
    Some((value, grad))
}

/// Maximises [`log_posterior`] from `start` by BFGS with backtracking.
pub(super) fn fit(
    start: &Hyper,
    pairs: &PairDistances,
    y: &[f64],
    priors: &Priors,
    iterations: usize,
) -> Hyper {
    let dim = start.log.len();
    let mut x = start.clone();
    let Some((mut fx, mut gx)) = log_posterior(&x, pairs, y, priors) else {
        return Hyper::prior_mean(pairs.groups, priors);
    };
    let mut h = identity(dim, FIRST_STEP);
    for _ in 0..iterations {
        let mut step: Vec<f64> = (0..dim).map(|i| dot(&h[i * dim..(i + 1) * dim], &gx)).collect();
        let longest = step.iter().fold(0.0f64, |m, s| m.max(s.abs()));
        if longest > LONGEST_STEP {
            step.iter_mut().for_each(|s| *s *= LONGEST_STEP / longest);
        }
        let slope = dot(&step, &gx);
        if slope < 1e-3 {
            break;
        }
        let Some((next, value, grad, t)) =
            backtrack(&x, fx, &step, slope, |z| log_posterior(z, pairs, y, priors))
        else {
            break;
        };
        let s: Vec<f64> = step.iter().map(|v| v * t).collect();
        let q: Vec<f64> = gx.iter().zip(&grad).map(|(a, b)| a - b).collect();
        update_inverse_hessian(&mut h, &s, &q);
        (x, fx, gx) = (next, value, grad);
    }
    x
}

/// Scale of the first inverse Hessian.
const FIRST_STEP: f64 = 0.1;
/// Longest step in a log-hyperparameter.
const LONGEST_STEP: f64 = 1.5;

fn identity(dim: usize, scale: f64) -> Vec<f64> {
    (0..dim * dim).map(|k| if k % (dim + 1) == 0 { scale } else { 0.0 }).collect()
}

/// Halves the step until the value rises enough (Armijo); the point, value, gradient and step length.
fn backtrack(
    x: &Hyper,
    fx: f64,
    step: &[f64],
    slope: f64,
    f: impl Fn(&Hyper) -> Option<(f64, Vec<f64>)>,
) -> Option<(Hyper, f64, Vec<f64>, f64)> {
    let mut t = 1.0;
    for _ in 0..6 {
        let next = Hyper { log: x.log.iter().zip(step).map(|(a, s)| a + t * s).collect() };
        if let Some((value, grad)) = f(&next)
            && value >= fx + 1e-4 * t * slope
        {
            return Some((next, value, grad, t));
        }
        t *= 0.4;
    }
    None
}

/// BFGS update of the inverse Hessian of the negated objective; `q` is the change of its gradient.
fn update_inverse_hessian(h: &mut [f64], s: &[f64], q: &[f64]) {
    let dim = s.len();
    let sq = dot(s, q);
    if sq <= 1e-9 {
        return;
    }
    let hq: Vec<f64> = (0..dim).map(|i| dot(&h[i * dim..(i + 1) * dim], q)).collect();
    let c = (1.0 + dot(q, &hq) / sq) / sq;
    for i in 0..dim {
        for j in 0..dim {
            h[i * dim + j] += c * s[i] * s[j] - (hq[i] * s[j] + s[i] * hq[j]) / sq;
        }
    }
}

/// Candidates a block holds: one block of `v` at 200 observations fits the second-level cache.
const BLOCK: usize = 256;

/// Posterior at every candidate, kept up to date as observations arrive: `v = L^-1 K(X, candidates)`,
/// stored by blocks of candidates.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    hyper: Hyper,
    factor: Cholesky,
    candidates: usize,
    /// Per block: one row of `BLOCK` an observation.
    v: Vec<Vec<f64>>,
    variance: Vec<f64>,
}

impl Posterior {
    pub fn new(hyper: Hyper, candidates: usize) -> Self {
        let blocks = candidates.div_ceil(BLOCK);
        let variance = vec![hyper.latent_variance(); blocks * BLOCK];
        Self {
            hyper,
            factor: Cholesky::default(),
            candidates,
            v: vec![Vec::new(); blocks],
            variance,
        }
    }

    /// Takes in the observations that `pairs` has and this posterior has not; `distances(i, g)` are
    /// the squared distances in group `g` of observation `i` to every candidate. `None`: the
    /// covariance is not positive definite.
    pub fn extend<'d>(
        &mut self,
        pairs: &PairDistances,
        distances: impl Fn(usize, usize) -> &'d [f32],
    ) -> Option<()> {
        let seen = self.factor.len();
        extend_factor(&mut self.factor, &self.hyper, pairs)?;
        let weights = self.hyper.weights();
        let signal = self.hyper.signal();
        for b in 0..self.v.len() {
            let range = b * BLOCK..((b + 1) * BLOCK).min(self.candidates);
            for i in seen..pairs.len() {
                let mut row = [0.0; BLOCK];
                for (g, &w) in weights.iter().enumerate() {
                    for (r, d) in row.iter_mut().zip(&distances(i, g)[range.clone()]) {
                        *r += w * f64::from(*d);
                    }
                }
                row.iter_mut().for_each(|r| *r = MEAN_VARIANCE + signal * matern52(*r));
                self.append(b, i, row);
            }
        }
        Some(())
    }

    /// Solves for row `i` of block `b` by forward substitution, given its covariances.
    fn append(&mut self, b: usize, i: usize, mut row: [f64; BLOCK]) {
        let l = self.factor.row(i);
        subtract_combination(&mut row, &l[..i], &self.v[b]);
        let pivot = 1.0 / l[i];
        for (x, s) in row.iter_mut().zip(&mut self.variance[b * BLOCK..]) {
            *x *= pivot;
            *s -= *x * *x;
        }
        self.v[b].extend_from_slice(&row);
    }

    /// Posterior mean of the latent function at every candidate.
    pub fn mean(&self, y: &[f64]) -> Vec<f64> {
        let beta: Vec<f64> = self.factor.solve_lower(y).iter().map(|b| -b).collect();
        let mut mean = Vec::with_capacity(self.variance.len());
        for v in &self.v {
            let mut row = [0.0; BLOCK];
            subtract_combination(&mut row, &beta, v);
            mean.extend_from_slice(&row);
        }
        mean.truncate(self.candidates);
        mean
    }

    /// Posterior variance of the latent function at every candidate.
    pub fn variance(&self) -> &[f64] {
        &self.variance[..self.candidates]
    }
}

/// `row -= sum of coefficients[j] * v[j]`, four rows at a time.
fn subtract_combination(row: &mut [f64; BLOCK], coefficients: &[f64], v: &[f64]) {
    let mut rows = v.chunks_exact(4 * BLOCK);
    let mut fours = coefficients.chunks_exact(4);
    for (v, c) in rows.by_ref().zip(fours.by_ref()) {
        let (v0, v1, v2, v3) =
            (&v[..BLOCK], &v[BLOCK..2 * BLOCK], &v[2 * BLOCK..3 * BLOCK], &v[3 * BLOCK..]);
        for k in 0..BLOCK {
            row[k] -= (c[0] * v0[k] + c[1] * v1[k]) + (c[2] * v2[k] + c[3] * v3[k]);
        }
    }
    for (v, c) in rows.remainder().chunks_exact(BLOCK).zip(fours.remainder()) {
        for k in 0..BLOCK {
            row[k] -= c * v[k];
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const PRIORS: Priors = Priors {
        weight: LogPrior { mean: -1.0, std: 1.0 },
        signal: LogPrior { mean: 0.0, std: 1.0 },
        noise: LogPrior { mean: -4.0, std: 1.0 },
    };

    fn line(n: usize) -> (PairDistances, Vec<f64>) {
        let x = |i: usize| (i as f64 * 0.37).sin() * 2.0 + i as f64 * 0.1;
        let mut pairs = PairDistances::new(2);
        for i in 0..n {
            pairs.push(|g, j| {
                if g == 0 {
                    (x(i) - x(j)).powi(2)
                } else {
                    ((i % 3) as f64 - (j % 3) as f64).powi(2)
                }
            });
        }
        (pairs, (0..n).map(|i| x(i).cos()).collect())
    }

    /// As `make_posterior.py` writes it.
    #[derive(serde::Deserialize)]
    struct Case {
        x: Vec<[f64; 2]>,
        y: Vec<f64>,
        weights: Vec<f64>,
        signal: f64,
        noise: f64,
        mean: Vec<f64>,
        variance: Vec<f64>,
        log_likelihood: f64,
    }

    #[test]
    fn posteriors_agree_with_scikit_learn() {
        let text = include_str!("../../tests/integration/golden/posterior.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let n = case.y.len();
            let square = |a: usize, b: usize, g: usize| (case.x[a][g] - case.x[b][g]).powi(2);
            let mut pairs = PairDistances::new(2);
            (0..n).for_each(|i| pairs.push(|g, j| square(i, j, g)));
            let mut log: Vec<f64> = case.weights.iter().map(|w| w.ln()).collect();
            log.extend([case.signal.ln(), (case.noise - NOISE_FLOOR).ln()]);
            let hyper = Hyper { log };
            let distances: Vec<Vec<Vec<f32>>> = (0..n)
                .map(|i| {
                    let to = |g| (n..case.x.len()).map(|c| square(i, c, g) as f32).collect();
                    (0..2).map(to).collect()
                })
                .collect();
            let mut posterior = Posterior::new(hyper.clone(), case.mean.len());
            posterior.extend(&pairs, |i, g| &distances[i][g]).unwrap();
            let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
            posterior.mean(&case.y).iter().zip(&case.mean).for_each(|(a, b)| close(*a, *b));
            posterior.variance().iter().zip(&case.variance).for_each(|(a, b)| close(*a, *b));
            // Without the priors; ours leaves the constant out.
            let flat = LogPrior { mean: 0.0, std: 1e9 };
            let priors = Priors { weight: flat, signal: flat, noise: flat };
            let (value, _) = log_posterior(&hyper, &pairs, &case.y, &priors).unwrap();
            let constant = 0.5 * n as f64 * (2.0 * std::f64::consts::PI).ln();
            close(value - constant, case.log_likelihood);
        }
    }

    /// Draws of what lies behind the observations have the mean and the variance of the posterior there.
    #[test]
    fn draws_have_the_moments_of_the_posterior() {
        let (pairs, y) = line(12);
        let hyper = Hyper { log: vec![-0.5, -1.5, 0.0, -2.0] };
        let distances: Vec<Vec<Vec<f32>>> = (0..12)
            .map(|i: usize| {
                let to =
                    |g| (0..12).map(|j: usize| pairs.pair(i.max(j), i.min(j))[g] as f32).collect();
                (0..2).map(to).collect()
            })
            .collect();
        let mut posterior = Posterior::new(hyper.clone(), 12);
        posterior.extend(&pairs, |i, g| &distances[i][g]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let n = 4000;
        let mut normal = || crate::search::surrogate::normal(&mut rng);
        let draws: Vec<Vec<f64>> =
            (0..n).map(|_| draw(&hyper, &pairs, &y, &mut normal).unwrap()).collect();
        for (at, (mean, variance)) in
            posterior.mean(&y).iter().zip(posterior.variance()).enumerate()
        {
            let drawn: Vec<f64> = draws.iter().map(|d| d[at]).collect();
            let m = drawn.iter().sum::<f64>() / f64::from(n);
            let v = drawn.iter().map(|x| (x - m).powi(2)).sum::<f64>() / f64::from(n);
            // Five standard errors of each.
            assert!((m - mean).abs() < 5.0 * (variance / f64::from(n)).sqrt() + 1e-3, "{m} {mean}");
            assert!(
                (v / variance - 1.0).abs() < 5.0 * (2.0 / f64::from(n)).sqrt() + 0.01,
                "{v} {variance}"
            );
        }
    }

    #[test]
    fn gradient_equals_difference_quotient() {
        let (pairs, y) = line(9);
        let hyper = Hyper { log: vec![-0.5, -1.5, 0.3, -3.0] };
        let (_, grad) = log_posterior(&hyper, &pairs, &y, &PRIORS).unwrap();
        for (k, slope) in grad.iter().enumerate() {
            let f = |d: f64| {
                let mut h = hyper.clone();
                h.log[k] += d;
                log_posterior(&h, &pairs, &y, &PRIORS).unwrap().0
            };
            let numeric = (f(1e-5) - f(-1e-5)) / 2e-5;
            assert!((numeric - slope).abs() < 1e-5, "{k}: {numeric} {slope}");
        }
    }

    #[test]
    fn fit_raises_the_posterior_and_interpolates() {
        let (pairs, y) = line(20);
        let start = Hyper::prior_mean(2, &PRIORS);
        let hyper = fit(&start, &pairs, &y, &PRIORS, 30);
        let value = |h: &Hyper| log_posterior(h, &pairs, &y, &PRIORS).unwrap().0;
        assert!(value(&hyper) > value(&start) + 1.0);

        let dist: Vec<Vec<f32>> = (0..40)
            .map(|k| {
                (0..20).map(|j| pairs.pair((k / 2).max(j), (k / 2).min(j))[k % 2] as f32).collect()
            })
            .collect();
        let mut post = Posterior::new(hyper, 20);
        post.extend(&pairs, |i, g| &dist[2 * i + g]).unwrap();
        let error = post.mean(&y).iter().zip(&y).map(|(m, t)| (m - t).abs()).fold(0.0, f64::max);
        assert!(error < 0.25, "{error}");
    }
}
