//! Changes of height and width: every output pixel is a mean of at most four input pixels.

use crate::graph::Interpolation;
use crate::graph::Resize;

use super::simd::dispatched;

/// A resize of images `[h, w, c]`.
#[derive(Clone, Debug)]
pub struct ResizePlan {
    input: [usize; 3],
    output: [usize; 3],
    /// Per axis and output position: input positions with their shares.
    sources: [Vec<[(usize, f32); 2]>; 2],
}

impl ResizePlan {
    /// Plans `resize` of images `[h, w, c]`.
    pub fn new(resize: &Resize, input: [usize; 3]) -> Self {
        let axis = |d: usize| {
            let (from, to) = (input[d], resize.size[d]);
            (0..to).map(|out| sources(resize.interpolation, out, to, from)).collect()
        };
        let output = [resize.size[0], resize.size[1], input[2]];
        ResizePlan { input, output, sources: [axis(0), axis(1)] }
    }

    /// Calls `f(output index, input index, share)` for every pair of pixels with a share.
    #[inline(always)]
    fn each_pair(&self, mut f: impl FnMut(usize, usize, f32)) {
        let c = self.input[2];
        for (y, rows) in self.sources[0].iter().enumerate() {
            for (x, columns) in self.sources[1].iter().enumerate() {
                for &(row, a) in rows {
                    for &(column, b) in columns {
                        if a * b != 0.0 {
                            let to = (y * self.output[1] + x) * c;
                            f(to, (row * self.input[1] + column) * c, a * b);
                        }
                    }
                }
            }
        }
    }

    fn lens(&self) -> [usize; 2] {
        [self.input.iter().product(), self.output.iter().product()]
    }
}

/// Input positions of output `out` and their shares, as ONNX `half_pixel` defines them.
fn sources(how: Interpolation, out: usize, to: usize, from: usize) -> [(usize, f32); 2] {
    let at = (out as f32 + 0.5) * from as f32 / to as f32 - 0.5;
    match how {
        Interpolation::Nearest => {
            let nearest = ((at - 0.5).ceil().max(0.0) as usize).min(from - 1);
            [(nearest, 1.0), (nearest, 0.0)]
        }
        Interpolation::Bilinear => {
            let at = at.clamp(0.0, (from - 1) as f32);
            let low = at as usize;
            let second = at - low as f32;
            [(low, 1.0 - second), ((low + 1).min(from - 1), second)]
        }
    }
}

dispatched! {
    /// Values at the new size.
    pub fn forward(plan: &ResizePlan, x: &[f32], y: &mut [f32]) {
        let ([input, output], c) = (plan.lens(), plan.input[2]);
        y.fill(0.0);
        for (x, y) in x.chunks(input).zip(y.chunks_mut(output)) {
            plan.each_pair(|to, from, share| {
                let x = &x[from..][..c];
                y[to..][..c].iter_mut().zip(x).for_each(|(y, x)| *y += share * x);
            });
        }
    }
}

dispatched! {
    /// Adds the gradient of the input.
    pub fn backward(plan: &ResizePlan, dy: &[f32], dx: &mut [f32]) {
        let ([input, output], c) = (plan.lens(), plan.input[2]);
        for (dx, dy) in dx.chunks_mut(input).zip(dy.chunks(output)) {
            plan.each_pair(|from, to, share| {
                let dy = &dy[from..][..c];
                dx[to..][..c].iter_mut().zip(dy).for_each(|(dx, dy)| *dx += share * dy);
            });
        }
    }
}
