//! The two products that nearly all arithmetic of a training is made of.
//!
//! A convolution is a product of *windows* with weights. A window is a few runs of contiguous
//! values ("taps") at fixed distances from a pixel, so no columns are ever copied out; a fully
//! connected layer is the case of one tap. [`multiply`] computes outputs, [`correlate`] the
//! gradient of the weights. Both keep a tile of results in registers.
#![expect(unsafe_code, reason = "loads and stores through pointers checked once per call")]

use super::lanes::Lanes;
use super::lanes::Plain;
use super::simd::Level;
use super::simd::Simd;

/// Which windows to multiply, and where results lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// Distance of each tap from its pixel in the input.
    pub taps: Vec<usize>,
    /// Contiguous values of a tap.
    pub depth: usize,
    /// Contiguous outputs of a pixel.
    pub width: usize,
    /// Rows and columns of pixels.
    pub pixels: [usize; 2],
    /// Distance of two rows and of two columns in the input.
    pub input_step: [usize; 2],
    /// Distance of two rows and of two columns in the output.
    pub output_step: [usize; 2],
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Init<'a> {
    /// Nothing.
    Zero,
    /// The same values at each pixel, at least `width` of them.
    Bias(&'a [f32]),
    /// What the output holds.
    Output,
}

impl Windows {
    /// Length of the weights once packed for `simd`.
    pub fn packed_len(&self, simd: Simd) -> usize {
        self.taps.len() * self.depth * self.width.next_multiple_of(lanes(simd))
    }

    fn is_empty(&self) -> bool {
        self.pixels.contains(&0)
    }

    fn last(&self, step: [usize; 2]) -> usize {
        (self.pixels[0] - 1) * step[0] + (self.pixels[1] - 1) * step[1]
    }

    /// Panics unless every window lies in an input, and every result in an output, so long.
    fn check(&self, input: usize, output: usize) {
        let tap = self.taps.iter().max().copied().unwrap_or(0);
        assert!(self.taps.is_empty() || self.last(self.input_step) + tap + self.depth <= input);
        assert!(self.last(self.output_step) + self.width <= output);
    }
}

/// Values in a register at this level.
fn lanes(simd: Simd) -> usize {
    match simd.level() {
        Level::Avx512 => 16,
        Level::Avx2 | Level::Baseline => 8,
    }
}

/// Orders weights `weight(tap, depth, output)` as [`multiply`] reads them: for each block of two
/// registers of outputs (the last may be one), all taps; missing outputs are zero.
pub fn pack(
    simd: Simd,
    windows: &Windows,
    weight: impl Fn(usize, usize, usize) -> f32,
    out: &mut Vec<f32>,
) {
    out.clear();
    for (first, registers) in blocks(windows.width, lanes(simd)) {
        let end = first + registers * lanes(simd);
        for tap in 0..windows.taps.len() {
            for k in 0..windows.depth {
                out.extend((first..end.min(windows.width)).map(|o| weight(tap, k, o)));
                out.extend((windows.width..end).map(|_| 0.0));
            }
        }
    }
}

/// First output and number of registers of each block.
fn blocks(width: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..width).step_by(2 * lanes).map(move |o| (o, if width - o > lanes { 2 } else { 1 }))
}

/// `output[pixel] = init + Σ input[pixel + tap] · weights`, with weights from [`pack`].
///
/// # Panics
///
/// If a window or a result lies outside of its slice.
pub fn multiply(
    simd: Simd,
    windows: &Windows,
    input: &[f32],
    packed: &[f32],
    init: Init,
    output: &mut [f32],
) {
    if windows.is_empty() {
        return;
    }
    windows.check(input.len(), output.len());
    assert!(packed.len() >= windows.packed_len(simd));
    if let Init::Bias(bias) = init {
        assert!(bias.len() >= windows.width);
    }
    // SAFETY: the assertions bound every access, and the level's instructions exist.
    unsafe {
        match simd.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => multiply_avx512(windows, input, packed, init, output),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => multiply_avx2(windows, input, packed, init, output),
            #[cfg(target_arch = "x86_64")]
            Level::Baseline => multiply_with::<Plain>(windows, input, packed, init, output),
            #[cfg(not(target_arch = "x86_64"))]
            _ => multiply_with::<Plain>(windows, input, packed, init, output),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn multiply_avx512(w: &Windows, x: &[f32], packed: &[f32], init: Init, y: &mut [f32]) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { multiply_with::<super::lanes::Avx512>(w, x, packed, init, y) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_avx2(w: &Windows, x: &[f32], packed: &[f32], init: Init, y: &mut [f32]) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { multiply_with::<super::lanes::Avx2>(w, x, packed, init, y) }
}

/// # Safety
///
/// The checks of [`multiply`] hold, and the instructions of `V` exist.
#[inline(always)]
unsafe fn multiply_with<V: Lanes>(
    w: &Windows,
    input: &[f32],
    packed: &[f32],
    init: Init,
    output: &mut [f32],
) {
    let mut weights = packed.as_ptr();
    for (first, registers) in blocks(w.width, V::LEN) {
        let bias = match init {
            Init::Bias(bias) => bias[first..].as_ptr(),
            Init::Zero | Init::Output => std::ptr::null(),
        };
        let add = matches!(init, Init::Output);
        let count = (w.width - first).min(registers * V::LEN);
        for row in 0..w.pixels[0] {
            let mut column = 0;
            while column < w.pixels[1] {
                let left = w.pixels[1] - column;
                let rows = V::TILES.iter().copied().find(|&r| r <= left).unwrap_or(1);
                // SAFETY: the offsets are those that `Windows::check` bounded.
                unsafe {
                    let tile = Tile {
                        taps: &w.taps,
                        depth: w.depth,
                        x: input.as_ptr().add(row * w.input_step[0] + column * w.input_step[1]),
                        x_step: w.input_step[1],
                        weights,
                        bias,
                        add,
                        y: output
                            .as_mut_ptr()
                            .add(row * w.output_step[0] + column * w.output_step[1] + first),
                        y_step: w.output_step[1],
                        count,
                    };
                    match registers {
                        1 => tile.rows::<V, 1>(rows),
                        _ => tile.rows::<V, 2>(rows),
                    }
                }
                column += rows;
            }
        }
        // SAFETY: one block of the packed weights, whose length was checked.
        weights = unsafe { weights.add(w.taps.len() * w.depth * registers * V::LEN) };
    }
}

/// A few pixels of one row times one block of outputs.
struct Tile<'a> {
    taps: &'a [usize],
    depth: usize,
    x: *const f32,
    x_step: usize,
    weights: *const f32,
    bias: *const f32,
    add: bool,
    y: *mut f32,
    y_step: usize,
    count: usize,
}

impl Tile<'_> {
    #[inline(always)]
    unsafe fn rows<V: Lanes, const B: usize>(&self, rows: usize) {
        // SAFETY: the contract of `multiply_with`.
        unsafe {
            match rows {
                12 => self.run::<V, 12, B>(),
                8 => self.run::<V, 8, B>(),
                6 => self.run::<V, 6, B>(),
                4 => self.run::<V, 4, B>(),
                2 => self.run::<V, 2, B>(),
                _ => self.run::<V, 1, B>(),
            }
        }
    }

    #[inline(always)]
    unsafe fn run<V: Lanes, const R: usize, const B: usize>(&self) {
        // SAFETY: the contract of `multiply_with`.
        unsafe {
            let mut sums = self.start::<V, R, B>();
            let mut weights = self.weights;
            for &tap in self.taps {
                let mut x = self.x.add(tap);
                for _ in 0..self.depth {
                    let w: [V; B] = std::array::from_fn(|b| V::load(weights.add(b * V::LEN)));
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(*x.add(r * self.x_step));
                        for b in 0..B {
                            sums[b] = value.mul_add(w[b], sums[b]);
                        }
                    }
                    weights = weights.add(B * V::LEN);
                    x = x.add(1);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (b, sum) in sums.iter().enumerate() {
                    let to = self.y.add(r * self.y_step + b * V::LEN);
                    match self.count - b * V::LEN {
                        left if left >= V::LEN => sum.store(to),
                        left => sum.store_first(to, left),
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn start<V: Lanes, const R: usize, const B: usize>(&self) -> [[V; B]; R] {
        // SAFETY: the contract of `multiply_with`.
        unsafe {
            let load = |from: *const f32, b: usize| match self.count - b * V::LEN {
                left if left >= V::LEN => V::load(from.add(b * V::LEN)),
                left => V::load_first(from.add(b * V::LEN), left),
            };
            if self.add {
                std::array::from_fn(|r| {
                    std::array::from_fn(|b| load(self.y.add(r * self.y_step), b))
                })
            } else if !self.bias.is_null() {
                let bias: [V; B] = std::array::from_fn(|b| load(self.bias, b));
                [bias; R]
            } else {
                [[V::splat(0.0); B]; R]
            }
        }
    }
}

/// `gradient[tap][k][o] += Σ over pixels input[pixel + tap + k] · output[pixel][o]`.
///
/// `stride` is the distance of two depths in `gradient`, where tap `t` begins at `t · depth ·
/// stride`.
///
/// # Panics
///
/// If a window or a result lies outside of its slice.
pub fn correlate(
    simd: Simd,
    windows: &Windows,
    input: &[f32],
    output: &[f32],
    stride: usize,
    gradient: &mut [f32],
) {
    if windows.is_empty() || windows.taps.is_empty() {
        return;
    }
    windows.check(input.len(), output.len());
    let depths = windows.taps.len() * windows.depth;
    assert!((depths - 1) * stride + windows.width <= gradient.len());
    // SAFETY: the assertions bound every access, and the level's instructions exist.
    unsafe {
        match simd.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => correlate_avx512(windows, input, output, stride, gradient),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => correlate_avx2(windows, input, output, stride, gradient),
            #[cfg(target_arch = "x86_64")]
            Level::Baseline => correlate_with::<Plain>(windows, input, output, stride, gradient),
            #[cfg(not(target_arch = "x86_64"))]
            _ => correlate_with::<Plain>(windows, input, output, stride, gradient),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn correlate_avx512(w: &Windows, x: &[f32], y: &[f32], stride: usize, g: &mut [f32]) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { correlate_with::<super::lanes::Avx512>(w, x, y, stride, g) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn correlate_avx2(w: &Windows, x: &[f32], y: &[f32], stride: usize, g: &mut [f32]) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { correlate_with::<super::lanes::Avx2>(w, x, y, stride, g) }
}

/// Values of input and output rows that are gone through at once, so that they stay in the
/// innermost cache.
const BAND: usize = 8 * 1024;

/// # Safety
///
/// The checks of [`correlate`] hold, and the instructions of `V` exist.
#[inline(always)]
unsafe fn correlate_with<V: Lanes>(
    w: &Windows,
    input: &[f32],
    output: &[f32],
    stride: usize,
    gradient: &mut [f32],
) {
    let row = w.pixels[1] * (w.input_step[1] + w.output_step[1]);
    let band = if w.pixels[0] == 1 { 1 } else { (BAND / row.max(1)).max(1) };
    for first_row in (0..w.pixels[0]).step_by(band) {
        let pixels = [band.min(w.pixels[0] - first_row), w.pixels[1]];
        for (t, &tap) in w.taps.iter().enumerate() {
            let mut k = 0;
            while k < w.depth {
                let left = w.depth - k;
                let rows = V::TILES.iter().copied().find(|&r| r <= left).unwrap_or(1);
                for (first, registers) in blocks(w.width, V::LEN) {
                    // SAFETY: the offsets are those that `correlate` checked.
                    unsafe {
                        let outer = Outer {
                            x: input.as_ptr().add(first_row * w.input_step[0] + tap + k),
                            y: output.as_ptr().add(first_row * w.output_step[0] + first),
                            pixels,
                            x_step: w.input_step,
                            y_step: w.output_step,
                            g: gradient.as_mut_ptr().add((t * w.depth + k) * stride + first),
                            stride,
                            count: (w.width - first).min(registers * V::LEN),
                        };
                        match registers {
                            1 => outer.rows::<V, 1>(rows),
                            _ => outer.rows::<V, 2>(rows),
                        }
                    }
                }
                k += rows;
            }
        }
    }
}

/// A sum over pixels of outer products.
struct Outer {
    x: *const f32,
    y: *const f32,
    pixels: [usize; 2],
    x_step: [usize; 2],
    y_step: [usize; 2],
    g: *mut f32,
    stride: usize,
    count: usize,
}

impl Outer {
    #[inline(always)]
    unsafe fn rows<V: Lanes, const B: usize>(&self, rows: usize) {
        let full = self.count == B * V::LEN;
        // SAFETY: the contract of `correlate_with`.
        unsafe {
            match (rows, full) {
                (12, true) => self.run::<V, 12, B, true>(),
                (12, false) => self.run::<V, 12, B, false>(),
                (8, true) => self.run::<V, 8, B, true>(),
                (8, false) => self.run::<V, 8, B, false>(),
                (6, true) => self.run::<V, 6, B, true>(),
                (6, false) => self.run::<V, 6, B, false>(),
                (4, true) => self.run::<V, 4, B, true>(),
                (4, false) => self.run::<V, 4, B, false>(),
                (2, _) => self.run::<V, 2, B, false>(),
                (_, _) => self.run::<V, 1, B, false>(),
            }
        }
    }

    #[inline(always)]
    unsafe fn run<V: Lanes, const R: usize, const B: usize, const FULL: bool>(&self) {
        // SAFETY: the contract of `correlate_with`.
        unsafe {
            let last = if FULL { V::LEN } else { self.count - (B - 1) * V::LEN };
            let load = |from: *const f32, b: usize| match FULL || b + 1 < B || last == V::LEN {
                true => V::load(from.add(b * V::LEN)),
                false => V::load_first(from.add(b * V::LEN), last),
            };
            let mut sums: [[V; B]; R] = std::array::from_fn(|r| {
                std::array::from_fn(|b| load(self.g.add(r * self.stride), b))
            });
            for row in 0..self.pixels[0] {
                let mut x = self.x.add(row * self.x_step[0]);
                let mut y = self.y.add(row * self.y_step[0]);
                for _ in 0..self.pixels[1] {
                    let out: [V; B] = std::array::from_fn(|b| load(y, b));
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(*x.add(r));
                        for b in 0..B {
                            sums[b] = value.mul_add(out[b], sums[b]);
                        }
                    }
                    x = x.wrapping_add(self.x_step[1]);
                    y = y.wrapping_add(self.y_step[1]);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (b, sum) in sums.iter().enumerate() {
                    let to = self.g.add(r * self.stride + b * V::LEN);
                    match FULL || b + 1 < B || last == V::LEN {
                        true => sum.store(to),
                        false => sum.store_first(to, last),
                    }
                }
            }
        }
    }
}
