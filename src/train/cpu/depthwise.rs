//! Depthwise convolutions, directly: every channel by itself, all channels at once.

use crate::graph::Conv;

use super::simd::Simd;
use super::simd::dispatched;
use super::sliding;
use super::sliding::Sliding;
use super::sliding::Start;

/// A depthwise convolution of images `[h, w, c]`. Weights are `[kh, kw, c]`.
#[derive(Clone, Debug)]
pub struct DepthwisePlan {
    conv: Conv,
    input: [usize; 3],
    output: [usize; 3],
    padded: [usize; 2],
    /// Over the padded input, if there are fast kernels for it.
    forward: Option<Sliding>,
    /// Over the output gradient spread out by the stride.
    backward: Option<Sliding>,
}

impl DepthwisePlan {
    /// Plans `conv` from images `input` to images `output`, both `[h, w, c]`.
    pub fn new(conv: &Conv, input: [usize; 3], output: [usize; 3]) -> Self {
        let padded = |d: usize| {
            let reach = (output[d] - 1) * conv.stride[d] + conv.dilation[d] * (conv.kernel[d] - 1);
            (reach + 1).max(input[d] + conv.padding[d])
        };
        let (kernel, stride) = (conv.kernel[0], conv.stride[0]);
        let is_square = conv.kernel[1] == kernel && conv.stride[1] == stride;
        let is_fast = is_square && conv.dilation == [1; 2] && Sliding::exists(kernel, stride);
        let sliding = |stride: usize, padded_width: usize, output: [usize; 3]| {
            let output = [output[0], output[1]];
            let sliding = Sliding { channels: input[2], kernel, stride, padded_width, output };
            is_fast.then_some(sliding)
        };
        DepthwisePlan {
            conv: *conv,
            input,
            output,
            padded: [padded(0), padded(1)],
            forward: sliding(stride, padded(1), output),
            backward: sliding(1, input[1] + kernel - 1, input),
        }
    }

    /// Scratch values that a call needs, the flipped kernel among them.
    pub fn scratch(&self) -> usize {
        let [kh, kw] = self.conv.kernel;
        let spread = (self.input[0] + kh - 1) * (self.input[1] + kw - 1);
        (self.padded[0] * self.padded[1]).max(spread) * self.input[2] + kh * kw * self.input[2]
    }

    /// `y = conv(x) + bias` for all images of `x`.
    pub fn forward(
        &self,
        simd: Simd,
        x: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        y: &mut [f32],
    ) {
        for (x, y) in x.chunks(len(self.input)).zip(y.chunks_mut(len(self.output))) {
            let x = self.pad(x, scratch);
            match &self.forward {
                Some(sliding) => {
                    let start = bias.map_or(Start::Zero, Start::Bias);
                    sliding::convolve(simd, sliding, x, weights, start, y);
                }
                None => forward(simd, self, x, weights, bias, y),
            }
        }
    }

    /// `dx = ∂loss/∂x`, added to what `dx` holds if `add`.
    pub fn backward_data(
        &self,
        simd: Simd,
        dy: &[f32],
        weights: &[f32],
        add: bool,
        scratch: &mut [f32],
        dx: &mut [f32],
    ) {
        let (flipped, scratch) = scratch.split_at_mut(weights.len());
        let c = self.input[2];
        for (to, from) in flipped.chunks_mut(c).zip(weights.chunks(c).rev()) {
            to.copy_from_slice(from);
        }
        for (dy, dx) in dy.chunks(len(self.output)).zip(dx.chunks_mut(len(self.input))) {
            match &self.backward {
                Some(sliding) => {
                    let dy = self.spread(dy, sliding, scratch);
                    let start = if add { Start::Output } else { Start::Zero };
                    sliding::convolve(simd, sliding, dy, flipped, start, dx);
                }
                None => {
                    let scratch = &mut scratch[..self.padded[0] * self.padded[1] * c];
                    scratch.fill(0.0);
                    scatter(simd, self, dy, weights, scratch);
                    self.unpad(scratch, add, dx);
                }
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
        for (x, dy) in x.chunks(len(self.input)).zip(dy.chunks(len(self.output))) {
            let x = self.pad(x, scratch);
            match &self.forward {
                Some(sliding) => sliding::correlate(simd, sliding, x, dy, gradient),
                None => correlate(simd, self, x, dy, gradient),
            }
        }
    }

    fn pad<'a>(&self, x: &[f32], scratch: &'a mut [f32]) -> &'a [f32] {
        let [h, w, c] = self.input;
        let [top, left] = self.conv.padding;
        let padded = &mut scratch[..self.padded[0] * self.padded[1] * c];
        for (y, row) in padded.chunks_mut(self.padded[1] * c).enumerate() {
            match y.checked_sub(top).filter(|&y| y < h) {
                None => row.fill(0.0),
                Some(y) => {
                    row[..left * c].fill(0.0);
                    row[left * c..][..w * c].copy_from_slice(&x[y * w * c..][..w * c]);
                    row[(left + w) * c..].fill(0.0);
                }
            }
        }
        padded
    }

    /// The output gradient with zeros between its pixels and around, so that the input gradient
    /// is its convolution with the flipped kernel and stride 1.
    fn spread<'a>(&self, dy: &[f32], sliding: &Sliding, scratch: &'a mut [f32]) -> &'a [f32] {
        let ([oh, ow, c], stride) = (self.output, self.conv.stride[0]);
        let size = [self.input[0] + sliding.kernel - 1, sliding.padded_width];
        let spread = &mut scratch[..size[0] * size[1] * c];
        spread.fill(0.0);
        let place = |d: usize, at: usize| {
            let at = (at * stride + sliding.kernel - 1).checked_sub(self.conv.padding[d])?;
            (at < size[d]).then_some(at)
        };
        for y in 0..oh {
            let Some(to_y) = place(0, y) else { continue };
            for x in 0..ow {
                let Some(to_x) = place(1, x) else { continue };
                let to = &mut spread[(to_y * size[1] + to_x) * c..][..c];
                to.copy_from_slice(&dy[(y * ow + x) * c..][..c]);
            }
        }
        spread
    }

    fn unpad(&self, scratch: &[f32], add: bool, dx: &mut [f32]) {
        let [_, w, c] = self.input;
        for (y, dx) in dx.chunks_mut(w * c).enumerate() {
            let from = &scratch[self.at(y + self.conv.padding[0], self.conv.padding[1])..][..w * c];
            match add {
                true => dx.iter_mut().zip(from).for_each(|(a, b)| *a += b),
                false => dx.copy_from_slice(from),
            }
        }
    }

    /// Index of a pixel of the padded image.
    #[inline(always)]
    fn at(&self, y: usize, x: usize) -> usize {
        (y * self.padded[1] + x) * self.input[2]
    }

    /// Calls `f(output index, padded input index, weight index)` for every pixel and tap.
    #[inline(always)]
    fn each_tap(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ([oh, ow, c], conv) = (self.output, &self.conv);
        for y in 0..oh {
            for x in 0..ow {
                for ky in 0..conv.kernel[0] {
                    for kx in 0..conv.kernel[1] {
                        let from = self.at(
                            y * conv.stride[0] + ky * conv.dilation[0],
                            x * conv.stride[1] + kx * conv.dilation[1],
                        );
                        f((y * ow + x) * c, from, (ky * conv.kernel[1] + kx) * c);
                    }
                }
            }
        }
    }
}

fn len(shape: [usize; 3]) -> usize {
    shape.iter().product()
}

dispatched! {
    /// Output of one padded image.
    fn forward(plan: &DepthwisePlan, x: &[f32], weights: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let c = plan.input[2];
        match bias {
            Some(bias) => y.chunks_mut(c).for_each(|y| y.copy_from_slice(bias)),
            None => y.fill(0.0),
        }
        plan.each_tap(|to, from, at| {
            let terms = x[from..][..c].iter().zip(&weights[at..][..c]);
            y[to..][..c].iter_mut().zip(terms).for_each(|(y, (x, w))| *y += x * w);
        });
    }
}

dispatched! {
    /// Gradient of one padded image, added to zeros.
    fn scatter(plan: &DepthwisePlan, dy: &[f32], weights: &[f32], dx: &mut [f32]) {
        let c = plan.input[2];
        plan.each_tap(|to, from, at| {
            let terms = dy[to..][..c].iter().zip(&weights[at..][..c]);
            dx[from..][..c].iter_mut().zip(terms).for_each(|(dx, (dy, w))| *dx += dy * w);
        });
    }
}

dispatched! {
    /// Gradient of the weights from one padded image.
    fn correlate(plan: &DepthwisePlan, x: &[f32], dy: &[f32], gradient: &mut [f32]) {
        let c = plan.input[2];
        plan.each_tap(|to, from, at| {
            let terms = dy[to..][..c].iter().zip(&x[from..][..c]);
            gradient[at..][..c].iter_mut().zip(terms).for_each(|(g, (dy, x))| *g += dy * x);
        });
    }
}
