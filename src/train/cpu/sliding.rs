//! Depthwise products of square kernels of 3 or 5 without dilation: a run of outputs is kept in
//! registers, and every input that is loaded serves all the outputs it reaches.
#![expect(unsafe_code, reason = "loads and stores through pointers checked once per call")]

use super::lanes::Lanes;
use super::lanes::Plain;
use super::simd::Level;
use super::simd::Simd;

/// A window that slides over a padded image `[_, padded_width, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Sliding {
    /// Of input, output and kernel.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step along both axes.
    pub stride: usize,
    /// Pixels of a row of the input.
    pub padded_width: usize,
    /// `[height, width]` of the output.
    pub output: [usize; 2],
}

impl Sliding {
    /// Are there kernels for this window?
    pub fn exists(kernel: usize, stride: usize) -> bool {
        matches!((kernel, stride), (3 | 5, 1 | 2))
    }

    fn check(&self, input: usize, weights: usize, output: usize) {
        assert!(Sliding::exists(self.kernel, self.stride));
        let last = |d: usize| (self.output[d] - 1) * self.stride + self.kernel - 1;
        assert!((last(0) * self.padded_width + last(1) + 1) * self.channels <= input);
        assert!(self.kernel * self.kernel * self.channels <= weights);
        assert!(self.output[0] * self.output[1] * self.channels <= output);
    }
}

/// What happens to the pixels of a [`Sliding`].
enum Pass<'a> {
    /// Reads the first two, writes the last.
    Outputs { weights: &'a [f32], init: Start<'a>, y: &'a mut [f32] },
    /// Reads the first, adds to the last.
    Gradient { dy: &'a [f32], gradient: &'a mut [f32] },
}

/// What outputs are added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing.
    Zero,
    /// One value per channel.
    Bias(&'a [f32]),
    /// What the output holds.
    Output,
}

/// `y = start + Σ x · weights`; weights are `[kernel, kernel, channels]`.
///
/// # Panics
///
/// If the window leaves the input, or a slice is too short.
pub fn convolve(
    simd: Simd,
    sliding: &Sliding,
    x: &[f32],
    weights: &[f32],
    init: Start,
    y: &mut [f32],
) {
    sliding.check(x.len(), weights.len(), y.len());
    if let Start::Bias(bias) = init {
        assert!(bias.len() >= sliding.channels);
    }
    run(simd, sliding, x, Pass::Outputs { weights, init, y });
}

/// `gradient += Σ over pixels x · dy`, `[kernel, kernel, channels]`.
///
/// # Panics
///
/// If the window leaves the input, or a slice is too short.
pub fn correlate(simd: Simd, sliding: &Sliding, x: &[f32], dy: &[f32], gradient: &mut [f32]) {
    sliding.check(x.len(), gradient.len(), dy.len());
    run(simd, sliding, x, Pass::Gradient { dy, gradient });
}

fn run(simd: Simd, sliding: &Sliding, x: &[f32], pass: Pass) {
    // SAFETY: the callers have checked all bounds, and the level's instructions exist.
    unsafe {
        match simd.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512(sliding, x, pass),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2(sliding, x, pass),
            #[cfg(target_arch = "x86_64")]
            Level::Baseline => with::<Plain, 4>(sliding, x, pass),
            #[cfg(not(target_arch = "x86_64"))]
            _ => with::<Plain, 4>(sliding, x, pass),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512(sliding: &Sliding, x: &[f32], pass: Pass) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { with::<super::lanes::Avx512, 8>(sliding, x, pass) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(sliding: &Sliding, x: &[f32], pass: Pass) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { with::<super::lanes::Avx2, 4>(sliding, x, pass) }
}

/// # Safety
///
/// The checks of [`convolve`] or [`correlate`] hold, and the instructions of `V` exist.
#[inline(always)]
unsafe fn with<V: Lanes, const T: usize>(s: &Sliding, x: &[f32], pass: Pass) {
    // SAFETY: handed on.
    unsafe {
        match (s.kernel, s.stride) {
            (3, 1) => each_block::<V, T, 3, 1>(s, x, pass),
            (3, _) => each_block::<V, T, 3, 2>(s, x, pass),
            (_, 1) => each_block::<V, T, 5, 1>(s, x, pass),
            (_, _) => each_block::<V, T, 5, 2>(s, x, pass),
        }
    }
}

/// # Safety
///
/// As [`with`]; `K` and `S` are the kernel and the stride.
#[inline(always)]
unsafe fn each_block<V: Lanes, const T: usize, const K: usize, const S: usize>(
    s: &Sliding,
    x: &[f32],
    mut pass: Pass,
) {
    for channel in (0..s.channels).step_by(V::LEN) {
        // SAFETY: `count` channels from `channel` on exist in every pixel.
        unsafe {
            let count = (s.channels - channel).min(V::LEN);
            let block = Block { s, x: x.as_ptr().add(channel), count };
            match &mut pass {
                Pass::Outputs { weights, init, y } => {
                    let weights = weights.as_ptr().add(channel);
                    let y = y.as_mut_ptr().add(channel);
                    let bias = match init {
                        Start::Bias(bias) => block.load::<V>(bias.as_ptr().add(channel)),
                        Start::Zero | Start::Output => V::splat(0.0),
                    };
                    let add = matches!(init, Start::Output);
                    block.outputs::<V, T, K, S>(weights, bias, add, y);
                }
                Pass::Gradient { dy, gradient } => {
                    let dy = dy.as_ptr().add(channel);
                    block.gradient::<V, T, K, S>(dy, gradient.as_mut_ptr().add(channel));
                }
            }
        }
    }
}

/// As many channels as a register holds, or what is left.
struct Block<'a> {
    s: &'a Sliding,
    x: *const f32,
    count: usize,
}

impl Block<'_> {
    #[inline(always)]
    unsafe fn load<V: Lanes>(&self, from: *const f32) -> V {
        // SAFETY: `count` values are there.
        unsafe {
            match self.count == V::LEN {
                true => V::load(from),
                false => V::load_first(from, self.count),
            }
        }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(&self, value: V, to: *mut f32) {
        // SAFETY: there is room for `count` values.
        unsafe {
            match self.count == V::LEN {
                true => value.store(to),
                false => value.store_first(to, self.count),
            }
        }
    }

    #[inline(always)]
    unsafe fn outputs<V: Lanes, const T: usize, const K: usize, const S: usize>(
        &self,
        weights: *const f32,
        bias: V,
        add: bool,
        y: *mut f32,
    ) {
        let (c, [height, width]) = (self.s.channels, self.s.output);
        // SAFETY: every pixel lies within the checked bounds.
        unsafe {
            for row in 0..height {
                let x = self.x.add(row * S * self.s.padded_width * c);
                let y = y.add(row * width * c);
                let mut at = 0;
                while at + T <= width {
                    self.run::<V, T, K, S>(x.add(at * S * c), weights, bias, add, y.add(at * c));
                    at += T;
                }
                while at < width {
                    self.run::<V, 1, K, S>(x.add(at * S * c), weights, bias, add, y.add(at * c));
                    at += 1;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn run<V: Lanes, const T: usize, const K: usize, const S: usize>(
        &self,
        x: *const f32,
        weights: *const f32,
        bias: V,
        add: bool,
        y: *mut f32,
    ) {
        let c = self.s.channels;
        // SAFETY: as the caller.
        unsafe {
            let mut sums = [bias; T];
            if add {
                sums = std::array::from_fn(|t| self.load::<V>(y.add(t * c)));
            }
            for ky in 0..K {
                let x = x.add(ky * self.s.padded_width * c);
                let w: [V; K] = std::array::from_fn(|kx| self.load(weights.add((ky * K + kx) * c)));
                for at in 0..(T - 1) * S + K {
                    let value = self.load::<V>(x.add(at * c));
                    for (kx, w) in w.iter().enumerate() {
                        if at >= kx && (at - kx) % S == 0 && (at - kx) / S < T {
                            let t = (at - kx) / S;
                            sums[t] = value.mul_add(*w, sums[t]);
                        }
                    }
                }
            }
            for (t, sum) in sums.into_iter().enumerate() {
                self.store(sum, y.add(t * c));
            }
        }
    }

    #[inline(always)]
    unsafe fn gradient<V: Lanes, const T: usize, const K: usize, const S: usize>(
        &self,
        dy: *const f32,
        gradient: *mut f32,
    ) {
        let (c, [height, width]) = (self.s.channels, self.s.output);
        // SAFETY: every pixel lies within the checked bounds.
        unsafe {
            for ky in 0..K {
                let mut sums = [[V::splat(0.0); K]; 2];
                for row in 0..height {
                    let x = self.x.add((row * S + ky) * self.s.padded_width * c);
                    let dy = dy.add(row * width * c);
                    let mut at = 0;
                    while at + T <= width {
                        self.taps::<V, T, K, S>(x.add(at * S * c), dy.add(at * c), &mut sums);
                        at += T;
                    }
                    while at < width {
                        self.taps::<V, 1, K, S>(x.add(at * S * c), dy.add(at * c), &mut sums);
                        at += 1;
                    }
                }
                let [even, odd] = sums;
                for (kx, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                    let to = gradient.add((ky * K + kx) * c);
                    self.store(even.add(odd).add(self.load(to)), to);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn taps<V: Lanes, const T: usize, const K: usize, const S: usize>(
        &self,
        x: *const f32,
        dy: *const f32,
        sums: &mut [[V; K]; 2],
    ) {
        let c = self.s.channels;
        // SAFETY: as the caller.
        unsafe {
            let dy: [V; T] = std::array::from_fn(|t| self.load(dy.add(t * c)));
            for at in 0..(T - 1) * S + K {
                let value = self.load::<V>(x.add(at * c));
                let [even, odd] = &mut *sums;
                for (kx, (even, odd)) in even.iter_mut().zip(odd).enumerate() {
                    if at >= kx && (at - kx) % S == 0 && (at - kx) / S < T {
                        let t = (at - kx) / S;
                        let sum = if t.is_multiple_of(2) { even } else { odd };
                        *sum = value.mul_add(dy[t], *sum);
                    }
                }
            }
        }
    }
}
