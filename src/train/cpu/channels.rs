//! Values per channel, and orders of channels.

use super::simd::dispatched;

dispatched! {
    /// `y = scale · x + shift` with vectors per channel, repeated so that the inner loop is long.
    pub fn scale(x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
        let span = scale.len();
        for (x, y) in x.chunks(span).zip(y.chunks_mut(span)) {
            for ((y, x), (a, b)) in y.iter_mut().zip(x).zip(scale.iter().zip(shift)) {
                *y = a * x + b;
            }
        }
    }
}

dispatched! {
    /// `sums += Σ over pixels x`.
    pub fn add_sums(x: &[f32], sums: &mut [f32]) {
        for x in x.chunks(sums.len()) {
            sums.iter_mut().zip(x).for_each(|(s, x)| *s += x);
        }
    }
}

dispatched! {
    /// `y = x · gate` for each image of `pixels` pixels with its own gate per channel.
    pub fn gate(pixels: usize, c: usize, x: &[f32], gate: &[f32], y: &mut [f32]) {
        let images = x.chunks(pixels * c).zip(y.chunks_mut(pixels * c));
        for ((x, y), gate) in images.zip(gate.chunks(c)) {
            for (x, y) in x.chunks(c).zip(y.chunks_mut(c)) {
                y.iter_mut().zip(x).zip(gate).for_each(|((y, x), g)| *y = x * g);
            }
        }
    }
}

dispatched! {
    /// `dx += dy · gate`.
    pub fn gate_backward_image(pixels: usize, c: usize, dy: &[f32], gate: &[f32], dx: &mut [f32]) {
        let images = dy.chunks(pixels * c).zip(dx.chunks_mut(pixels * c));
        for ((dy, dx), gate) in images.zip(gate.chunks(c)) {
            for (dy, dx) in dy.chunks(c).zip(dx.chunks_mut(c)) {
                dx.iter_mut().zip(dy).zip(gate).for_each(|((dx, dy), g)| *dx += dy * g);
            }
        }
    }
}

dispatched! {
    /// `d_gate += Σ over pixels dy · x`.
    pub fn gate_backward_gate(pixels: usize, c: usize, dy: &[f32], x: &[f32], d_gate: &mut [f32]) {
        let images = dy.chunks(pixels * c).zip(x.chunks(pixels * c));
        for ((dy, x), gate) in images.zip(d_gate.chunks_mut(c)) {
            for (dy, x) in dy.chunks(c).zip(x.chunks(c)) {
                gate.iter_mut().zip(dy).zip(x).for_each(|((g, dy), x)| *g += dy * x);
            }
        }
    }
}

/// Copies channels into a wider image, from channel `first` on.
pub fn place(x: &[f32], c: usize, first: usize, width: usize, y: &mut [f32]) {
    for (x, y) in x.chunks(c).zip(y.chunks_mut(width)) {
        y[first..first + c].copy_from_slice(x);
    }
}

/// The reverse of [`place`]: adds those channels of `dy`.
pub fn take(dy: &[f32], c: usize, first: usize, width: usize, dx: &mut [f32]) {
    for (dy, dx) in dy.chunks(width).zip(dx.chunks_mut(c)) {
        dx.iter_mut().zip(&dy[first..first + c]).for_each(|(dx, dy)| *dx += dy);
    }
}

/// Images from `[pixels, c]` to `[c, pixels]`.
pub fn to_planes(x: &[f32], pixels: usize, c: usize, y: &mut [f32]) {
    for (x, y) in x.chunks(pixels * c).zip(y.chunks_mut(pixels * c)) {
        for (i, y) in y.chunks_mut(pixels).enumerate() {
            y.iter_mut().zip(x[i..].iter().step_by(c)).for_each(|(y, x)| *y = *x);
        }
    }
}

/// Images from `[c, pixels]` to `[pixels, c]`.
pub fn from_planes(x: &[f32], pixels: usize, c: usize, y: &mut [f32]) {
    to_planes(x, c, pixels, y);
}
