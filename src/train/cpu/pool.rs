//! Poolings over windows and over the whole image.

use crate::graph::Pool;

use super::simd::dispatched;

/// A pooling of images `[h, w, c]`.
#[derive(Clone, Debug)]
pub struct PoolPlan {
    pool: Pool,
    input: [usize; 3],
    output: [usize; 3],
}

impl PoolPlan {
    /// Plans `pool` from images `input` to images `output`, both `[h, w, c]`.
    pub fn new(pool: &Pool, input: [usize; 3], output: [usize; 3]) -> Self {
        PoolPlan { pool: *pool, input, output }
    }

    /// Positions of the window of output `out` along axis `d` that lie inside the input.
    #[inline(always)]
    fn window(&self, d: usize, out: usize) -> std::ops::Range<usize> {
        let start = out * self.pool.stride[d];
        let end = (start + self.pool.kernel[d]).saturating_sub(self.pool.padding[d]);
        start.saturating_sub(self.pool.padding[d])..end.min(self.input[d])
    }

    /// Calls `f(index of the output pixel, rows, columns)` for every window.
    #[inline(always)]
    fn each_window(
        &self,
        mut f: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>),
    ) {
        for y in 0..self.output[0] {
            for x in 0..self.output[1] {
                let at = (y * self.output[1] + x) * self.output[2];
                f(at, self.window(0, y), self.window(1, x));
            }
        }
    }

    #[inline(always)]
    fn at(&self, y: usize, x: usize) -> usize {
        (y * self.input[1] + x) * self.input[2]
    }

    fn lens(&self) -> [usize; 2] {
        [self.input.iter().product(), self.output.iter().product()]
    }
}

dispatched! {
    /// Largest value of each window; `places` gets the index of its pixel in the image.
    pub fn max(plan: &PoolPlan, x: &[f32], y: &mut [f32], places: &mut [u32]) {
        let ([input, output], c) = (plan.lens(), plan.input[2]);
        let images = y.chunks_mut(output).zip(places.chunks_mut(output));
        for (x, (y, places)) in x.chunks(input).zip(images) {
            plan.each_window(|to, rows, columns| {
                let (y, places) = (&mut y[to..][..c], &mut places[to..][..c]);
                let window = Window { plan, x, rows, columns };
                let wide = window.largest::<16>(0, y, places);
                let half = window.largest::<8>(wide, y, places);
                let quarter = window.largest::<4>(half, y, places);
                window.largest::<1>(quarter, y, places);
            });
        }
    }
}

/// A window of one image.
struct Window<'a> {
    plan: &'a PoolPlan,
    x: &'a [f32],
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
}

impl Window<'_> {
    /// Largest values and their places for the channels from `first` on, `N` at a time in registers, as
    /// long as there are `N`; answers the first channel that is left.
    #[inline(always)]
    fn largest<const N: usize>(&self, first: usize, y: &mut [f32], places: &mut [u32]) -> usize {
        let start = self.plan.at(self.rows.start, self.columns.start) as u32;
        let mut channel = first;
        while channel + N <= y.len() {
            let (mut best, mut place) = ([f32::NEG_INFINITY; N], [start; N]);
            for row in self.rows.clone() {
                for column in self.columns.clone() {
                    let from = self.plan.at(row, column);
                    let x = &self.x[from + channel..][..N];
                    for i in 0..N {
                        let wins = x[i] > best[i];
                        best[i] = if wins { x[i] } else { best[i] };
                        place[i] = if wins { from as u32 } else { place[i] };
                    }
                }
            }
            y[channel..][..N].copy_from_slice(&best);
            places[channel..][..N].copy_from_slice(&place);
            channel += N;
        }
        channel
    }
}

dispatched! {
    /// Adds the gradient of each output where its value came from.
    pub fn max_backward(plan: &PoolPlan, places: &[u32], dy: &[f32], dx: &mut [f32]) {
        let ([input, output], c) = (plan.lens(), plan.input[2]);
        let images = dy.chunks(output).zip(places.chunks(output));
        for (dx, (dy, places)) in dx.chunks_mut(input).zip(images) {
            for (dy, places) in dy.chunks(c).zip(places.chunks(c)) {
                for (channel, (dy, place)) in dy.iter().zip(places).enumerate() {
                    dx[*place as usize + channel] += dy;
                }
            }
        }
    }
}

dispatched! {
    /// Mean of each window, padding not counted.
    pub fn average(plan: &PoolPlan, x: &[f32], y: &mut [f32]) {
        let ([input, output], c) = (plan.lens(), plan.input[2]);
        for (x, y) in x.chunks(input).zip(y.chunks_mut(output)) {
            plan.each_window(|to, rows, columns| {
                let y = &mut y[to..][..c];
                let share = 1.0 / (rows.len() * columns.len()) as f32;
                y.fill(0.0);
                for row in rows {
                    for column in columns.clone() {
                        let x = &x[plan.at(row, column)..][..c];
                        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                    }
                }
                y.iter_mut().for_each(|y| *y *= share);
            });
        }
    }
}

dispatched! {
    /// Adds the gradient of each output to the values of its window, in equal parts.
    pub fn average_backward(plan: &PoolPlan, dy: &[f32], dx: &mut [f32]) {
        let ([input, output], c) = (plan.lens(), plan.input[2]);
        for (dx, dy) in dx.chunks_mut(input).zip(dy.chunks(output)) {
            plan.each_window(|from, rows, columns| {
                let dy = &dy[from..][..c];
                let share = 1.0 / (rows.len() * columns.len()) as f32;
                for row in rows {
                    for column in columns.clone() {
                        let dx = &mut dx[plan.at(row, column)..][..c];
                        dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += share * dy);
                    }
                }
            });
        }
    }
}

dispatched! {
    /// Mean over the `pixels` of each image.
    pub fn global_average(pixels: usize, c: usize, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks(pixels * c).zip(y.chunks_mut(c)) {
            y.fill(0.0);
            for x in x.chunks(c) {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
            }
            y.iter_mut().for_each(|y| *y /= pixels as f32);
        }
    }
}

dispatched! {
    /// Gradient of [`global_average`], added to what `dx` holds if `add`.
    pub fn global_average_backward(pixels: usize, c: usize, dy: &[f32], add: bool, dx: &mut [f32]) {
        let share = 1.0 / pixels as f32;
        for (dx, dy) in dx.chunks_mut(pixels * c).zip(dy.chunks(c)) {
            for dx in dx.chunks_mut(c) {
                for (dx, dy) in dx.iter_mut().zip(dy) {
                    *dx = if add { *dx + share * dy } else { share * dy };
                }
            }
        }
    }
}
