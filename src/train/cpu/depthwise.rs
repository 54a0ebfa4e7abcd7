//! Depthwise convolutions, directly: every channel by itself, all channels at once.

use crate::graph::Conv;

use super::simd::Simd;
use super::simd::dispatched;

/// A depthwise convolution of images `[h, w, c]`. Weights are `[kh, kw, c]`.
#[derive(Clone, Debug)]
pub struct DepthwisePlan {
    conv: Conv,
    input: [usize; 3],
    output: [usize; 3],
    padded: [usize; 2],
}

impl DepthwisePlan {
    /// Plans `conv` from images `input` to images `output`, both `[h, w, c]`.
    pub fn new(conv: &Conv, input: [usize; 3], output: [usize; 3]) -> Self {
        let padded = |d: usize| {
            let reach = (output[d] - 1) * conv.stride[d] + conv.dilation[d] * (conv.kernel[d] - 1);
            (reach + 1).max(input[d] + conv.padding[d])
        };
        DepthwisePlan { conv: *conv, input, output, padded: [padded(0), padded(1)] }
    }

    /// Scratch values that a call needs.
    pub fn scratch(&self) -> usize {
        self.padded[0] * self.padded[1] * self.input[2]
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
        let scratch = &mut scratch[..self.scratch()];
        let images = x.chunks(len(self.input)).zip(y.chunks_mut(len(self.output)));
        for (x, y) in images {
            self.pad(x, scratch);
            forward(simd, self, scratch, weights, bias, y);
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
        let scratch = &mut scratch[..self.scratch()];
        for (dy, dx) in dy.chunks(len(self.output)).zip(dx.chunks_mut(len(self.input))) {
            scratch.fill(0.0);
            scatter(simd, self, dy, weights, scratch);
            self.unpad(scratch, add, dx);
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
        let scratch = &mut scratch[..self.scratch()];
        for (x, dy) in x.chunks(len(self.input)).zip(dy.chunks(len(self.output))) {
            self.pad(x, scratch);
            correlate(simd, self, scratch, dy, gradient);
        }
    }

    fn pad(&self, x: &[f32], scratch: &mut [f32]) {
        let [h, w, c] = self.input;
        scratch.fill(0.0);
        for y in 0..h {
            scratch[self.at(y + self.conv.padding[0], self.conv.padding[1])..][..w * c]
                .copy_from_slice(&x[y * w * c..][..w * c]);
        }
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
