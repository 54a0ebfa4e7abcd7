//! Functions of each value alone, sums and products.

use crate::graph::Activation;

use super::simd::dispatched;

/// A function and its slope, known when a loop over values is compiled.
pub trait Function: Copy {
    /// `f(z)`.
    fn value(self, z: f32) -> f32;
    /// `f'(z)`; 0 at a kink.
    fn slope(self, z: f32) -> f32;
}

/// `z`.
#[derive(Clone, Copy)]
pub struct Identity;
/// `max(z, 0)`.
#[derive(Clone, Copy)]
pub struct Relu;
/// `min(max(z, 0), 6)`.
#[derive(Clone, Copy)]
pub struct Relu6;
/// `z · clamp(z / 6 + 1 / 2, 0, 1)`.
#[derive(Clone, Copy)]
pub struct HardSwish;
/// `z · sigmoid(z)`.
#[derive(Clone, Copy)]
pub struct Silu;
/// `1 / (1 + exp(-z))`.
#[derive(Clone, Copy)]
pub struct Sigmoid;

impl Function for Identity {
    #[inline(always)]
    fn value(self, z: f32) -> f32 {
        z
    }

    #[inline(always)]
    fn slope(self, _: f32) -> f32 {
        1.0
    }
}

impl Function for Relu {
    #[inline(always)]
    fn value(self, z: f32) -> f32 {
        z.max(0.0)
    }

    #[inline(always)]
    fn slope(self, z: f32) -> f32 {
        f32::from(z > 0.0)
    }
}

impl Function for Relu6 {
    #[inline(always)]
    fn value(self, z: f32) -> f32 {
        z.clamp(0.0, 6.0)
    }

    #[inline(always)]
    fn slope(self, z: f32) -> f32 {
        f32::from(z > 0.0 && z < 6.0)
    }
}

impl Function for HardSwish {
    #[inline(always)]
    fn value(self, z: f32) -> f32 {
        z * (z / 6.0 + 0.5).clamp(0.0, 1.0)
    }

    #[inline(always)]
    fn slope(self, z: f32) -> f32 {
        let inside = z / 3.0 + 0.5;
        if z <= -3.0 {
            0.0
        } else if z >= 3.0 {
            1.0
        } else {
            inside
        }
    }
}

impl Function for Silu {
    #[inline(always)]
    fn value(self, z: f32) -> f32 {
        z * Sigmoid.value(z)
    }

    #[inline(always)]
    fn slope(self, z: f32) -> f32 {
        let s = Sigmoid.value(z);
        s * (1.0 + z * (1.0 - s))
    }
}

impl Function for Sigmoid {
    #[inline(always)]
    fn value(self, z: f32) -> f32 {
        1.0 / (1.0 + exp(-z))
    }

    #[inline(always)]
    fn slope(self, z: f32) -> f32 {
        let s = self.value(z);
        s * (1.0 - s)
    }
}

/// `exp(x)` without branches, so that loops over it become vector code; within 2 units in the
/// last place for `-87 < x < 88`, clamped outside.
///
/// # Source
///
/// Range reduction and polynomial of Cephes, `expf.c` (Moshier 1992).
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4f32;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits(((n as i32 + 127) as u32) << 23);
    (p * r * r + r + 1.0) * power
}

/// Runs the body with `f` bound to the function of an `Option<Activation>`.
macro_rules! with_function {
    ($choice:expr, |$f:ident| $body:block) => {
        match $choice {
            None => {
                let $f = $crate::train::cpu::elementwise::Identity;
                $body
            }
            Some(Activation::Relu) => {
                let $f = $crate::train::cpu::elementwise::Relu;
                $body
            }
            Some(Activation::Relu6) => {
                let $f = $crate::train::cpu::elementwise::Relu6;
                $body
            }
            Some(Activation::HardSwish) => {
                let $f = $crate::train::cpu::elementwise::HardSwish;
                $body
            }
            Some(Activation::Silu) => {
                let $f = $crate::train::cpu::elementwise::Silu;
                $body
            }
            Some(Activation::Sigmoid) => {
                let $f = $crate::train::cpu::elementwise::Sigmoid;
                $body
            }
        }
    };
}

pub(crate) use with_function;

dispatched! {
    /// `y = f(x)`.
    pub fn activate(x: &[f32], f: Activation, y: &mut [f32]) {
        with_function!(Some(f), |f| {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = f.value(*x));
        });
    }
}

dispatched! {
    /// `dx = dy · f'(x)`, added to what `dx` holds if `add`.
    pub fn activate_backward(x: &[f32], dy: &[f32], f: Activation, add: bool, dx: &mut [f32]) {
        with_function!(Some(f), |f| {
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                let gradient = dy * f.slope(*x);
                *dx = if add { *dx + gradient } else { gradient };
            }
        });
    }
}

dispatched! {
    /// `y += x`.
    pub fn add(x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
    }
}

dispatched! {
    /// `y = a · b`.
    pub fn multiply(a: &[f32], b: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = a * b);
    }
}

dispatched! {
    /// `y += a · b`.
    pub fn multiply_add(a: &[f32], b: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y += a * b);
    }
}

/// `dx = dy`, or `dx += dy` if `add`.
pub fn hand_on(simd: super::simd::Simd, dy: &[f32], is_added: bool, dx: &mut [f32]) {
    match is_added {
        true => add(simd, dy, dx),
        false => dx.copy_from_slice(dy),
    }
}
