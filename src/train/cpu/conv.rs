//! Convolutions, dense and grouped, and fully connected layers, as products of windows.
//!
//! The data gradient is a *forward* product too: of the zero-padded output gradient with the
//! flipped kernel; with a stride, one product per phase of the input position.

use crate::graph::Conv;

use super::simd::Simd;
use super::tile;
use super::tile::Init;
use super::tile::Windows;
use super::transform;
use super::winograd::WinogradPlan;

/// A convolution of images `[h, w, c]`, planned once.
///
/// Weights are `[kh, kw, c_in / groups, c_out]`.
#[derive(Clone, Debug)]
pub struct ConvPlan {
    input: [usize; 3],
    output: [usize; 3],
    groups: usize,
    kernel: [usize; 2],
    input_pad: Option<Padding>,
    forward: Windows,
    output_pad: Option<Padding>,
    phases: Vec<Phase>,
    /// In place of `forward` and of `phases`, where that is faster.
    fast: Option<[WinogradPlan; 2]>,
}

/// Zeros around an image.
#[derive(Clone, Copy, Debug)]
struct Padding {
    before: [usize; 2],
    size: [usize; 2],
}

/// The part of the data gradient at one position modulo the stride.
#[derive(Clone, Debug)]
struct Phase {
    /// Where its first value lies in the input gradient.
    start: usize,
    windows: Windows,
    /// Kernel position `ky · kw + kx` of each tap.
    taps: Vec<usize>,
}

/// Weights in the order in which both products read them.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// By group.
    forward: Vec<Vec<f32>>,
    /// By group and phase; empty if the data gradient is never wanted.
    backward: Vec<Vec<f32>>,
    /// Room for transformed weights.
    transformed: Vec<f32>,
}

#[cfg(test)]
impl Packed {
    /// Values of all packed weights, as they are.
    pub fn held_values(&self) -> usize {
        let both = self.forward.iter().chain(&self.backward);
        both.map(Vec::len).sum::<usize>() + self.transformed.len()
    }
}

impl ConvPlan {
    /// Plans `conv` from images `input` to images `output`, both `[h, w, c]`.
    pub fn new(conv: &Conv, input: [usize; 3], output: [usize; 3]) -> Self {
        let padded = |d: usize| {
            let reach = (output[d] - 1) * conv.stride[d] + conv.dilation[d] * (conv.kernel[d] - 1);
            (reach + 1).max(input[d] + conv.padding[d])
        };
        let size = [padded(0), padded(1)];
        let needed = conv.padding != [0, 0];
        ConvPlan {
            input,
            output,
            groups: conv.groups,
            kernel: conv.kernel,
            input_pad: needed.then_some(Padding { before: conv.padding, size }),
            forward: forward_windows(conv, input, output, size[1].max(input[1])),
            output_pad: None,
            phases: Vec::new(),
            fast: None,
        }
        .with_phases(conv)
        .with_winograd(conv)
    }

    /// Pads for tiles in place of windows if the convolution is one for them.
    fn with_winograd(mut self, conv: &Conv) -> Self {
        let fits = conv.kernel == [3; 2]
            && conv.stride == [1; 2]
            && conv.dilation == [1; 2]
            && conv.groups == 1
            && conv.padding.iter().all(|&p| p <= 2);
        let ([h, w, c_in], [oh, ow, c_out]) = (self.input, self.output);
        let forward = WinogradPlan::new([oh, ow], [c_in, c_out]);
        let backward = WinogradPlan::new([h, w], [c_out, c_in]);
        if fits && forward.pays() {
            self.input_pad = Some(Padding { before: conv.padding, size: forward.padded() });
            let before = conv.padding.map(|p| 2 - p);
            self.output_pad = Some(Padding { before, size: backward.padded() });
            self.forward = forward_windows(conv, self.input, self.output, forward.padded()[1]);
            self.fast = Some([forward, backward]);
        }
        self
    }

    /// Plans the product of a vector with a matrix `[length, features]`.
    pub fn linear(length: usize, features: usize) -> Self {
        let conv = Conv { padding: [0; 2], ..Conv::same(features, 1) };
        ConvPlan::new(&conv, [1, 1, length], [1, 1, features])
    }

    fn with_phases(mut self, conv: &Conv) -> Self {
        let axes = [
            Axis::new(conv, 0, self.input[0], self.output[0]),
            Axis::new(conv, 1, self.input[1], self.output[1]),
        ];
        let before = [axes[0].before, axes[1].before];
        let size = [axes[0].before + axes[0].reach, axes[1].before + axes[1].reach];
        let needed = size != [self.output[0], self.output[1]];
        self.output_pad = needed.then_some(Padding { before, size });
        for y in 0..conv.stride[0].min(self.input[0]) {
            for x in 0..conv.stride[1].min(self.input[1]) {
                self.phases.push(self.phase(conv, &axes, size[1], [y, x]));
            }
        }
        self
    }

    fn phase(&self, conv: &Conv, axes: &[Axis; 2], padded_width: usize, at: [usize; 2]) -> Phase {
        let [_, w, c_in] = self.input;
        let c_out = self.output[2];
        let mut taps = Vec::new();
        let mut offsets = Vec::new();
        for &(ky, dy) in &axes[0].taps[at[0]] {
            for &(kx, dx) in &axes[1].taps[at[1]] {
                taps.push(ky * conv.kernel[1] + kx);
                offsets.push((dy * padded_width + dx) * c_out);
            }
        }
        let count = |d: usize| (self.input[d] - at[d]).div_ceil(conv.stride[d]);
        let windows = Windows {
            taps: offsets,
            depth: c_out / conv.groups,
            width: c_in / conv.groups,
            pixels: [count(0), count(1)],
            input_step: [padded_width * c_out, c_out],
            output_step: [conv.stride[0] * w * c_in, conv.stride[1] * c_in],
        };
        Phase { start: (at[0] * w + at[1]) * c_in, windows, taps }
    }

    /// Most scratch values that a call on one image needs.
    pub fn scratch(&self) -> usize {
        let len = |pad: &Option<Padding>, c: usize| pad.map_or(0, |p| p.size[0] * p.size[1] * c);
        let padded = len(&self.input_pad, self.input[2]).max(len(&self.output_pad, self.output[2]));
        padded + self.fast.iter().flatten().map(WinogradPlan::scratch).max().unwrap_or(0)
    }

    /// Length of the packed weights, both directions.
    pub fn packed_len(&self, simd: Simd) -> usize {
        if let Some([forward, backward]) = &self.fast {
            return forward.packed_len(simd) + backward.packed_len(simd) + forward.weights();
        }
        let backward: usize = self.phases.iter().map(|p| p.windows.packed_len(simd)).sum();
        self.groups * (self.forward.packed_len(simd) + backward)
    }

    /// Packs `weights`; those of the data gradient only if it is `wanted`.
    pub fn pack(&self, simd: Simd, weights: &[f32], wanted: bool, packed: &mut Packed) {
        if let Some(fast) = &self.fast {
            return self.pack_fast(simd, fast, weights, wanted, packed);
        }
        let (c_out, per_group) = (self.output[2], self.output[2] / self.groups);
        let depth_in = self.input[2] / self.groups;
        let backward = if wanted { self.groups * self.phases.len() } else { 0 };
        packed.forward.resize(self.groups, Vec::new());
        packed.backward.resize(backward, Vec::new());
        for g in 0..self.groups {
            let forward =
                |t, k, o| weights[(t * self.forward.depth + k) * c_out + g * per_group + o];
            packed.forward[g].clear();
            tile::pack(simd, &self.forward, forward, &mut packed.forward[g]);
        }
        for (i, out) in packed.backward.iter_mut().enumerate() {
            let (g, phase) = (i / self.phases.len(), &self.phases[i % self.phases.len()]);
            let flipped = |t: usize, o: usize, k: usize| {
                weights[(phase.taps[t] * depth_in + k) * c_out + g * per_group + o]
            };
            out.clear();
            tile::pack(simd, &phase.windows, flipped, out);
        }
    }

    fn pack_fast(
        &self,
        simd: Simd,
        fast: &[WinogradPlan; 2],
        weights: &[f32],
        wanted: bool,
        packed: &mut Packed,
    ) {
        packed.forward.resize(1, Vec::new());
        packed.backward.resize(usize::from(wanted), Vec::new());
        packed.transformed.resize(fast[0].weights(), 0.0);
        transform::kernels(simd, weights, &mut packed.transformed);
        fast[0].pack(simd, &packed.transformed, &mut packed.forward[0]);
        for backward in &mut packed.backward {
            fast[1].pack_flipped(simd, &packed.transformed, backward);
        }
    }

    /// `y = conv(x) + bias` for all images of `x`.
    pub fn forward(
        &self,
        simd: Simd,
        x: &[f32],
        packed: &Packed,
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        y: &mut [f32],
    ) {
        let count = x.len() / len(self.input);
        let (windows, images) = self.merged(&self.forward, count, [self.input[2], self.output[2]]);
        let per_group = [self.input[2] / self.groups, self.output[2] / self.groups];
        for (x, y) in x.chunks(x.len() / images).zip(y.chunks_mut(y.len() / images)) {
            let (x, scratch) = padded(&self.input_pad, self.input, x, scratch);
            if let Some([fast, _]) = &self.fast {
                let init = bias.map_or(Init::Zero, Init::Bias);
                fast.multiply(simd, x, &packed.forward[0], init, scratch, y);
                continue;
            }
            for (g, packed) in packed.forward.iter().enumerate() {
                let init = bias.map_or(Init::Zero, |b| Init::Bias(&b[g * per_group[1]..]));
                let (x, y) = (&x[g * per_group[0]..], &mut y[g * per_group[1]..]);
                tile::multiply(simd, &windows, x, packed, init, y);
            }
        }
    }

    /// `dx = ∂loss/∂x`, added to what `dx` holds if `add`.
    pub fn backward_data(
        &self,
        simd: Simd,
        dy: &[f32],
        packed: &Packed,
        add: bool,
        scratch: &mut [f32],
        dx: &mut [f32],
    ) {
        let init = if add { Init::Output } else { Init::Zero };
        let count = dy.len() / len(self.output);
        let channels = [self.output[2], self.input[2]];
        let images = self.merged(&self.phases[0].windows, count, channels).1;
        let per_group = [self.input[2] / self.groups, self.output[2] / self.groups];
        for (dy, dx) in dy.chunks(dy.len() / images).zip(dx.chunks_mut(dx.len() / images)) {
            let (dy, scratch) = padded(&self.output_pad, self.output, dy, scratch);
            if let Some([_, fast]) = &self.fast {
                fast.multiply(simd, dy, &packed.backward[0], init, scratch, dx);
                continue;
            }
            for (i, packed) in packed.backward.iter().enumerate() {
                let (g, phase) = (i / self.phases.len(), &self.phases[i % self.phases.len()]);
                let windows = self.merged(&phase.windows, count, channels).0;
                let to = &mut dx[phase.start + g * per_group[0]..];
                tile::multiply(simd, &windows, &dy[g * per_group[1]..], packed, init, to);
            }
        }
    }

    /// Adds `∂loss/∂weights` to `gradient`.
    pub fn backward_weights(
        &self,
        simd: Simd,
        x: &[f32],
        dy: &[f32],
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        let count = x.len() / len(self.input);
        let (windows, images) = self.merged(&self.forward, count, [self.input[2], self.output[2]]);
        let per_group = [self.input[2] / self.groups, self.output[2] / self.groups];
        for (x, dy) in x.chunks(x.len() / images).zip(dy.chunks(dy.len() / images)) {
            let (x, scratch) = padded(&self.input_pad, self.input, x, scratch);
            if let Some([fast, _]) = self.fast.as_ref().filter(|f| f[0].pays_for_weights()) {
                fast.correlate(simd, x, dy, scratch, gradient);
                continue;
            }
            for g in 0..self.groups {
                let (x, dy) = (&x[g * per_group[0]..], &dy[g * per_group[1]..]);
                let to = &mut gradient[g * per_group[1]..];
                tile::correlate(simd, &windows, x, dy, self.output[2], to);
            }
        }
    }

    /// All images as one row of pixels where windows are single pixels, else `windows` and the
    /// number of images.
    fn merged(&self, windows: &Windows, images: usize, channels: [usize; 2]) -> (Windows, usize) {
        let pointwise = self.kernel == [1, 1]
            && self.input[..2] == self.output[..2]
            && self.input_pad.is_none()
            && self.output_pad.is_none();
        if !pointwise {
            return (windows.clone(), images);
        }
        let pixels = [1, images * self.input[0] * self.input[1]];
        let (input_step, output_step) = ([0, channels[0]], [0, channels[1]]);
        (Windows { pixels, input_step, output_step, ..windows.clone() }, 1)
    }
}

fn len(shape: [usize; 3]) -> usize {
    shape.iter().product()
}

/// Windows of the forward product over an image `width` pixels wide. The taps of a kernel row
/// are one run of values where nothing lies between them.
fn forward_windows(conv: &Conv, input: [usize; 3], output: [usize; 3], width: usize) -> Windows {
    let c_in = input[2];
    let [kh, kw] = conv.kernel;
    let contiguous = conv.groups == 1 && (conv.dilation[1] == 1 || kw == 1);
    let (runs, depth) = if contiguous { (1, kw * c_in) } else { (kw, c_in / conv.groups) };
    let tap = |ky: usize, kx: usize| (ky * conv.dilation[0] * width + kx * conv.dilation[1]) * c_in;
    Windows {
        taps: (0..kh)
            .flat_map(|ky| (0..runs).map(move |kx| (ky, kx)))
            .map(|(y, x)| tap(y, x))
            .collect(),
        depth,
        width: output[2] / conv.groups,
        pixels: [output[0], output[1]],
        input_step: [conv.stride[0] * width * c_in, conv.stride[1] * c_in],
        output_step: [output[1] * output[2], output[2]],
    }
}

/// Along one axis: which kernel positions reach an input position, by position modulo stride.
struct Axis {
    /// Per phase: kernel position, and its place in the padded output gradient relative to the
    /// index within the phase.
    taps: Vec<Vec<(usize, usize)>>,
    /// Zeros before the output gradient.
    before: usize,
    /// Values of the output gradient with the zeros after it.
    reach: usize,
}

impl Axis {
    fn new(conv: &Conv, d: usize, input: usize, output: usize) -> Self {
        let (stride, padding) = (conv.stride[d] as isize, conv.padding[d] as isize);
        let shifts: Vec<Vec<(usize, isize)>> = (0..stride)
            .map(|phase| {
                let at = |k: usize| phase + padding - (k * conv.dilation[d]) as isize;
                let reaching = (0..conv.kernel[d]).filter(|&k| at(k).rem_euclid(stride) == 0);
                reaching.map(|k| (k, at(k).div_euclid(stride))).collect()
            })
            .collect();
        let all = || shifts.iter().flatten().map(|&(_, shift)| shift);
        let before = -all().min().unwrap_or(0).min(0);
        let last = (input as isize - 1) / stride + all().max().unwrap_or(0).max(0);
        let taps = shifts.into_iter().map(|phase| {
            phase.into_iter().map(|(k, shift)| (k, (shift + before) as usize)).collect()
        });
        let taps = taps.collect();
        let reach = (last + 1).max(output as isize) as usize;
        Axis { taps, before: before as usize, reach }
    }
}

/// The image with zeros around, in `scratch`, and the rest of it; as it is without padding.
fn padded<'a>(
    pad: &Option<Padding>,
    shape: [usize; 3],
    image: &'a [f32],
    scratch: &'a mut [f32],
) -> (&'a [f32], &'a mut [f32]) {
    let Some(Padding { before, size }) = *pad else { return (image, scratch) };
    let [h, w, c] = shape;
    let row = size[1] * c;
    let (padded, rest) = scratch.split_at_mut(size[0] * row);
    for (y, to) in padded.chunks_mut(row).enumerate() {
        match y.checked_sub(before[0]).filter(|&y| y < h) {
            None => to.fill(0.0),
            Some(y) => {
                let (left, rest) = to.split_at_mut(before[1] * c);
                let (middle, right) = rest.split_at_mut(w * c);
                left.fill(0.0);
                middle.copy_from_slice(&image[y * w * c..(y + 1) * w * c]);
                right.fill(0.0);
            }
        }
    }
    (padded, rest)
}
