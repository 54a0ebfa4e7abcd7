//! Batch normalisation, together with the activation that follows it.
//!
//! Vectors per channel are repeated to a few hundred values ([`repeated`]), so that the inner
//! loops are long and plain whatever the number of channels.

use crate::graph::Activation;

use super::elementwise::Function;
use super::elementwise::with_function;
use super::simd::dispatched;

/// Least length of a repeated vector.
const SPAN: usize = 256;

/// Values per channel one after another until there are at least [`SPAN`].
pub fn repeated(channels: &[f32]) -> Vec<f32> {
    let copies = SPAN.div_ceil(channels.len()).max(1);
    channels.repeat(copies)
}

/// Adds up values that belong to the same channel.
fn fold(sums: &[f32], into: &mut [f64]) {
    for sums in sums.chunks(into.len()) {
        into.iter_mut().zip(sums).for_each(|(a, b)| *a += f64::from(*b));
    }
}

/// Count, mean and sum of squared deviations of some values, per channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// Values per channel.
    pub count: f64,
    /// `[C]`.
    pub mean: Vec<f64>,
    /// `[C]`.
    pub deviation: Vec<f64>,
}

impl Moments {
    /// Moments of `x`, pixels of `channels` values.
    ///
    /// One pass; values are taken relative to the first pixel, so nothing cancels however far
    /// the mean is from zero.
    pub fn of(simd: super::simd::Simd, x: &[f32], channels: usize) -> Self {
        let origin = &x[..channels];
        let shift = repeated(origin);
        let mut sums = [vec![0.0; channels], vec![0.0; channels]];
        let mut partial = [vec![0.0; shift.len()], vec![0.0; shift.len()]];
        let stretch = shift.len() * BLOCKS;
        for x in x.chunks(stretch) {
            partial.iter_mut().for_each(|p| p.fill(0.0));
            let [sum, square] = &mut partial;
            add_moments(simd, x, &shift, sum, square);
            fold(sum, &mut sums[0]);
            fold(square, &mut sums[1]);
        }
        let count = (x.len() / channels) as f64;
        let [sum, square] = sums;
        let deviation = sum.iter().zip(&square).map(|(s, q)| (q - s * s / count).max(0.0));
        let deviation = deviation.collect();
        let mean = sum.iter().zip(origin).map(|(s, o)| f64::from(*o) + s / count).collect();
        Moments { count, mean, deviation }
    }

    /// Moments of both sets of values together (Chan, Golub, LeVeque 1979).
    pub fn merge(&mut self, other: &Moments) {
        if self.count == 0.0 {
            self.clone_from(other);
            return;
        }
        let count = self.count + other.count;
        for c in 0..self.mean.len() {
            let delta = other.mean[c] - self.mean[c];
            self.mean[c] += delta * other.count / count;
            self.deviation[c] +=
                other.deviation[c] + delta * delta * self.count * other.count / count;
        }
        self.count = count;
    }

    /// Biased variance, `[C]`.
    pub fn variance(&self) -> Vec<f64> {
        self.deviation.iter().map(|d| d / self.count).collect()
    }
}

/// Repeated vectors that are summed in `f32` before the sums go on in `f64`.
const BLOCKS: usize = 64;

dispatched! {
    fn add_moments(x: &[f32], shift: &[f32], sum: &mut [f32], square: &mut [f32]) {
        for x in x.chunks(shift.len()) {
            let sums = sum.iter_mut().zip(square.iter_mut());
            for ((x, k), (s, q)) in x.iter().zip(shift).zip(sums) {
                let d = x - k;
                *s += d;
                *q += d * d;
            }
        }
    }
}

/// A normalisation as `scale · x + shift`, vectors repeated.
#[derive(Clone, Debug, Default)]
pub struct Affine {
    /// `gamma / sqrt(variance + epsilon)`.
    pub scale: Vec<f32>,
    /// `beta - mean · scale`.
    pub shift: Vec<f32>,
    /// Mean.
    pub mean: Vec<f32>,
    /// `1 / sqrt(variance + epsilon)`.
    pub inverse: Vec<f32>,
}

impl Affine {
    /// The normalisation with these parameters, `[C]` each.
    pub fn new(gamma: &[f32], beta: &[f32], mean: &[f32], variance: &[f32], epsilon: f32) -> Self {
        let inverse: Vec<f32> = variance.iter().map(|v| 1.0 / (v + epsilon).sqrt()).collect();
        let scale: Vec<f32> = gamma.iter().zip(&inverse).map(|(g, i)| g * i).collect();
        let moved = beta.iter().zip(mean).zip(&scale);
        let shift: Vec<f32> = moved.map(|((b, m), s)| b - m * s).collect();
        Affine {
            scale: repeated(&scale),
            shift: repeated(&shift),
            mean: repeated(mean),
            inverse: repeated(&inverse),
        }
    }
}

dispatched! {
    /// `y = f(scale · x + shift)`.
    pub fn forward(x: &[f32], affine: &Affine, f: Option<Activation>, y: &mut [f32]) {
        with_function!(f, |f| {
            let span = affine.scale.len();
            for (x, y) in x.chunks(span).zip(y.chunks_mut(span)) {
                let terms = affine.scale.iter().zip(&affine.shift);
                for ((y, x), (a, b)) in y.iter_mut().zip(x).zip(terms) {
                    *y = f.value(a * x + b);
                }
            }
        });
    }
}

/// Sums over pixels that the gradient of a normalisation needs, per channel.
#[derive(Clone, Debug, Default)]
pub struct GradientSums {
    /// Of the gradient of the normalised value: the gradient of beta.
    pub shift: Vec<f64>,
    /// Of that times the standardised input: the gradient of gamma.
    pub scale: Vec<f64>,
}

impl GradientSums {
    /// The sums for inputs `x` and output gradients `dy`.
    pub fn of(
        simd: super::simd::Simd,
        x: &[f32],
        dy: &[f32],
        affine: &Affine,
        f: Option<Activation>,
        channels: usize,
    ) -> Self {
        let span = affine.scale.len();
        let mut sums = GradientSums { shift: vec![0.0; channels], scale: vec![0.0; channels] };
        let mut partial = [vec![0.0; span], vec![0.0; span]];
        let stretch = span * BLOCKS;
        for (x, dy) in x.chunks(stretch).zip(dy.chunks(stretch)) {
            partial.iter_mut().for_each(|p| p.fill(0.0));
            let [shift, scale] = &mut partial;
            add_gradient_sums(simd, x, dy, affine, f, shift, scale);
            fold(shift, &mut sums.shift);
            fold(scale, &mut sums.scale);
        }
        let inverse = &affine.inverse;
        sums.scale.iter_mut().zip(inverse).for_each(|(s, i)| *s *= f64::from(*i));
        sums
    }

    /// Adds the sums of other pixels.
    pub fn merge(&mut self, other: &GradientSums) {
        if self.shift.is_empty() {
            self.clone_from(other);
            return;
        }
        self.shift.iter_mut().zip(&other.shift).for_each(|(a, b)| *a += b);
        self.scale.iter_mut().zip(&other.scale).for_each(|(a, b)| *a += b);
    }
}

dispatched! {
    fn add_gradient_sums(
        x: &[f32],
        dy: &[f32],
        affine: &Affine,
        f: Option<Activation>,
        shift: &mut [f32],
        scale: &mut [f32],
    ) {
        with_function!(f, |f| {
            let span = affine.scale.len();
            for (x, dy) in x.chunks(span).zip(dy.chunks(span)) {
                let terms = affine.scale.iter().zip(&affine.shift).zip(&affine.mean);
                let sums = shift.iter_mut().zip(scale.iter_mut());
                for (((x, dy), ((a, b), m)), (s, q)) in x.iter().zip(dy).zip(terms).zip(sums) {
                    let dz = dy * f.slope(a * x + b);
                    *s += dz;
                    *q += dz * (x - m);
                }
            }
        });
    }
}

/// `dx = scale · dz - slope · x - constant` with `dz = dy · f'(scale · x + shift)`; vectors
/// repeated.
#[derive(Clone, Debug, Default)]
pub struct Backward {
    scale: Vec<f32>,
    shift: Vec<f32>,
    slope: Vec<f32>,
    constant: Vec<f32>,
}

impl Backward {
    /// Statistics of the batch: they depend on `x` as well.
    pub fn training(affine: &Affine, sums: &GradientSums, count: f64) -> Self {
        let channels = sums.shift.len();
        let each = |f: &dyn Fn(usize) -> f64| {
            repeated(&(0..channels).map(|c| f(c) as f32).collect::<Vec<f32>>())
        };
        let factor = |c: usize| f64::from(affine.scale[c]) / count;
        let slope = |c: usize| factor(c) * sums.scale[c] * f64::from(affine.inverse[c]);
        let constant = |c: usize| factor(c) * sums.shift[c] - slope(c) * f64::from(affine.mean[c]);
        let (slope, constant) = (each(&slope), each(&constant));
        Backward { slope, constant, ..Backward::frozen(affine) }
    }

    /// Statistics are constants.
    pub fn frozen(affine: &Affine) -> Self {
        let zeros = vec![0.0; affine.scale.len()];
        Backward {
            scale: affine.scale.clone(),
            shift: affine.shift.clone(),
            slope: zeros.clone(),
            constant: zeros,
        }
    }
}

dispatched! {
    /// Gradient of the input; added to what `dx` holds if `add`.
    pub fn backward(
        x: &[f32],
        dy: &[f32],
        by: &Backward,
        f: Option<Activation>,
        add: bool,
        dx: &mut [f32],
    ) {
        with_function!(f, |f| {
            let span = by.scale.len();
            for ((x, dy), dx) in x.chunks(span).zip(dy.chunks(span)).zip(dx.chunks_mut(span)) {
                let terms = by.scale.iter().zip(&by.shift);
                let terms = terms.zip(by.slope.iter().zip(&by.constant));
                for (((dx, x), dy), ((a, b), (q, r))) in dx.iter_mut().zip(x).zip(dy).zip(terms) {
                    let dz = dy * f.slope(a * x + b);
                    let gradient = a * dz - q * x - r;
                    *dx = if add { *dx + gradient } else { gradient };
                }
            }
        });
    }
}
