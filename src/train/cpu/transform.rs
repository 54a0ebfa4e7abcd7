//! The transforms of [`super::winograd`], a register of channels at a time.
#![expect(unsafe_code, reason = "loads and stores through pointers checked once per call")]

use std::ops::Range;

use super::lanes::Lanes;
use super::lanes::Plain;
use super::simd::Level;
use super::simd::Simd;
use super::simd::dispatched;
use super::tile::Init;

/// An image that is cut into tiles.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// Height and width.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Tiles in a row.
    pub columns: usize,
}

/// Weights that are transformed at once.
type Some16 = [f32; 16];

#[inline(always)]
fn some(from: &[f32], at: usize) -> Some16 {
    let mut some = [0.0; 16];
    let part = &from[at..(at + 16).min(from.len())];
    some[..part.len()].copy_from_slice(part);
    some
}

/// `G g` of columns or rows.
#[inline(always)]
fn kernel_line([a, b, c]: [Some16; 3]) -> [Some16; 4] {
    let (mut plus, mut minus) = ([0.0; 16], [0.0; 16]);
    for i in 0..16 {
        plus[i] = 0.5 * (a[i] + b[i] + c[i]);
        minus[i] = 0.5 * (a[i] - b[i] + c[i]);
    }
    [a, plus, minus, c]
}

/// `Gᵀ u` of columns or rows.
#[inline(always)]
fn kernel_gradient_line([a, b, c, d]: [Some16; 4]) -> [Some16; 3] {
    let mut out = [[0.0; 16]; 3];
    for i in 0..16 {
        out[0][i] = a[i] + 0.5 * (b[i] + c[i]);
        out[1][i] = 0.5 * (b[i] - c[i]);
        out[2][i] = 0.5 * (b[i] + c[i]) + d[i];
    }
    out
}

dispatched! {
    /// `to = G g Gᵀ`, from `[9, weights]` to `[16, weights]`.
    pub fn kernels(weights: &[f32], to: &mut [f32]) {
        let n = weights.len() / 9;
        for at in (0..n).step_by(16) {
            let mut columns = [[[0.0; 16]; 4]; 3];
            for (x, column) in columns.iter_mut().enumerate() {
                let tap = |y: usize| some(&weights[(3 * y + x) * n..][..n], at);
                *column = kernel_line([tap(0), tap(1), tap(2)]);
            }
            let [a, b, c] = columns;
            for y in 0..4 {
                for (x, values) in kernel_line([a[y], b[y], c[y]]).iter().enumerate() {
                    let to = &mut to[(4 * y + x) * n..][..n];
                    let to = &mut to[at..(at + 16).min(n)];
                    to.copy_from_slice(&values[..to.len()]);
                }
            }
        }
    }
}

dispatched! {
    /// `gradient += Gᵀ sums G`, from `[16, weights]` to `[9, weights]`.
    pub fn add_kernel_gradient(sums: &[f32], gradient: &mut [f32]) {
        let n = gradient.len() / 9;
        for at in (0..n).step_by(16) {
            let mut columns = [[[0.0; 16]; 3]; 4];
            for (x, column) in columns.iter_mut().enumerate() {
                let tap = |y: usize| some(&sums[(4 * y + x) * n..][..n], at);
                *column = kernel_gradient_line([tap(0), tap(1), tap(2), tap(3)]);
            }
            let [a, b, c, d] = columns;
            for y in 0..3 {
                let rows = kernel_gradient_line([a[y], b[y], c[y], d[y]]);
                for (x, values) in rows.iter().enumerate() {
                    let to = &mut gradient[(3 * y + x) * n..][..n];
                    let to = &mut to[at..(at + 16).min(n)];
                    to.iter_mut().zip(values).for_each(|(g, v)| *g += v);
                }
            }
        }
    }
}

/// Position of a transformed kernel that holds `position` of the flipped kernel.
pub fn flipped(position: usize) -> usize {
    let line = [3, 1, 2, 0];
    4 * line[position / 4] + line[position % 4]
}

/// Distance of two positions among transformed tiles. One line of the cache more than the values,
/// so that sixteen positions do not compete for the same places in it.
pub fn step(tiles: usize, channels: usize) -> usize {
    tiles * channels + 16
}

/// `Bᵀ d B` of the tiles in `rows`, from a padded image to `[16, tiles, channels]`.
///
/// # Panics
///
/// If a tile leaves the image or `to` is too short.
pub fn inputs(simd: Simd, image: &Image, from: &[f32], rows: Range<usize>, to: &mut [f32]) {
    let [h, w] = image.size;
    assert!(2 * rows.end + 2 <= h && 2 * image.columns + 2 <= w);
    assert!(from.len() >= h * w * image.channels);
    assert!(to.len() >= 16 * step(rows.len() * image.columns, image.channels));
    run(simd, image, rows, Work::Inputs { from, to });
}

/// `A dy Aᵀ` of the tiles in `rows`, from an image to `[16, tiles, channels]`; what lies outside
/// of the image is 0.
///
/// # Panics
///
/// If the image or `to` is too short.
pub fn gradients(simd: Simd, image: &Image, from: &[f32], rows: Range<usize>, to: &mut [f32]) {
    assert!(from.len() >= image.size[0] * image.size[1] * image.channels);
    assert!(to.len() >= 16 * step(rows.len() * image.columns, image.channels));
    run(simd, image, rows, Work::Gradients { from, to });
}

/// `init + Aᵀ m A` of the tiles in `rows`, from `[16, tiles, channels]` to an image.
///
/// # Panics
///
/// If the image or `from` is too short.
pub fn outputs(
    simd: Simd,
    image: &Image,
    from: &[f32],
    rows: Range<usize>,
    init: Init,
    to: &mut [f32],
) {
    assert!(to.len() >= image.size[0] * image.size[1] * image.channels);
    assert!(from.len() >= 16 * step(rows.len() * image.columns, image.channels));
    if let Init::Bias(bias) = init {
        assert!(bias.len() >= image.channels);
    }
    run(simd, image, rows, Work::Outputs { from, init, to });
}

enum Work<'a> {
    Inputs { from: &'a [f32], to: &'a mut [f32] },
    Gradients { from: &'a [f32], to: &'a mut [f32] },
    Outputs { from: &'a [f32], init: Init<'a>, to: &'a mut [f32] },
}

fn run(simd: Simd, image: &Image, rows: Range<usize>, work: Work) {
    // SAFETY: the callers have checked all bounds, and the level's instructions exist.
    unsafe {
        match simd.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512(image, rows, work),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2(image, rows, work),
            #[cfg(target_arch = "x86_64")]
            Level::Baseline => each_tile::<Plain>(image, rows, work),
            #[cfg(not(target_arch = "x86_64"))]
            _ => each_tile::<Plain>(image, rows, work),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512(image: &Image, rows: Range<usize>, work: Work) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { each_tile::<super::lanes::Avx512>(image, rows, work) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(image: &Image, rows: Range<usize>, work: Work) {
    // SAFETY: the caller's contract, and the features are enabled here.
    unsafe { each_tile::<super::lanes::Avx2>(image, rows, work) }
}

/// # Safety
///
/// The checks of the public functions hold, and the instructions of `V` exist.
#[inline(always)]
unsafe fn each_tile<V: Lanes>(image: &Image, rows: Range<usize>, mut work: Work) {
    let (c, width) = (image.channels, image.size[1]);
    let step = step(rows.len() * image.columns, c);
    for (row, y) in rows.enumerate() {
        for x in 0..image.columns {
            for channel in (0..c).step_by(V::LEN) {
                let tile = Tile {
                    at: (2 * y * width + 2 * x) * c + channel,
                    inside: [2 * y + 1 < image.size[0], 2 * x + 1 < width],
                    row: width * c,
                    pixel: c,
                    packed: (row * image.columns + x) * c + channel,
                    step,
                    channel,
                    count: (c - channel).min(V::LEN),
                };
                // SAFETY: tiles, channels and rows are those that were checked.
                unsafe {
                    match &mut work {
                        Work::Inputs { from, to } => {
                            tile.inputs::<V>(from.as_ptr(), to.as_mut_ptr());
                        }
                        Work::Gradients { from, to } => {
                            tile.gradients::<V>(from.as_ptr(), to.as_mut_ptr());
                        }
                        Work::Outputs { from, init, to } => {
                            tile.outputs::<V>(from.as_ptr(), *init, to.as_mut_ptr());
                        }
                    }
                }
            }
        }
    }
}

/// Some channels of one tile.
struct Tile {
    /// Its first pixel in the image.
    at: usize,
    /// Are the second row and the second column of outputs inside the image?
    inside: [bool; 2],
    /// Distance of rows in the image.
    row: usize,
    /// Distance of pixels in the image.
    pixel: usize,
    /// Its place among the transformed tiles.
    packed: usize,
    /// Distance of two positions among the transformed tiles.
    step: usize,
    /// First channel.
    channel: usize,
    /// Channels: a register, or what is left.
    count: usize,
}

impl Tile {
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
    unsafe fn inputs<V: Lanes>(&self, from: *const f32, to: *mut f32) {
        // SAFETY: all sixteen pixels and positions are inside.
        unsafe {
            let mut columns = [[V::splat(0.0); 4]; 4];
            for (x, column) in columns.iter_mut().enumerate() {
                for (y, value) in column.iter_mut().enumerate() {
                    *value = self.load(from.add(self.at + y * self.row + x * self.pixel));
                }
                *column = input_line(*column);
            }
            let [a, b, c, d] = columns;
            for y in 0..4 {
                self.store_line(input_line([a[y], b[y], c[y], d[y]]), y, to);
            }
        }
    }

    #[inline(always)]
    unsafe fn gradients<V: Lanes>(&self, from: *const f32, to: *mut f32) {
        // SAFETY: pixels outside are not touched; all positions are inside.
        unsafe {
            let mut columns = [[V::splat(0.0); 4]; 2];
            for (x, column) in columns.iter_mut().enumerate() {
                let mut values = [V::splat(0.0); 2];
                for (y, value) in values.iter_mut().enumerate() {
                    if (y == 0 || self.inside[0]) && (x == 0 || self.inside[1]) {
                        *value = self.load(from.add(self.at + y * self.row + x * self.pixel));
                    }
                }
                *column = gradient_line(values);
            }
            let [a, b] = columns;
            for y in 0..4 {
                self.store_line(gradient_line([a[y], b[y]]), y, to);
            }
        }
    }

    #[inline(always)]
    unsafe fn outputs<V: Lanes>(&self, from: *const f32, init: Init, to: *mut f32) {
        // SAFETY: pixels outside are not touched; all positions are inside.
        unsafe {
            let mut columns = [[V::splat(0.0); 2]; 4];
            for (x, column) in columns.iter_mut().enumerate() {
                let mut values = [V::splat(0.0); 4];
                for (y, value) in values.iter_mut().enumerate() {
                    *value = self.load(from.add(self.packed + (4 * y + x) * self.step));
                }
                *column = output_line(values);
            }
            let bias: V = match init {
                Init::Bias(bias) => self.load(bias.as_ptr().add(self.channel)),
                Init::Zero | Init::Output => V::splat(0.0),
            };
            let add = matches!(init, Init::Output);
            let [a, b, c, d] = columns;
            for y in 0..2 {
                let values = output_line([a[y], b[y], c[y], d[y]]);
                for (x, value) in values.into_iter().enumerate() {
                    if (y == 0 || self.inside[0]) && (x == 0 || self.inside[1]) {
                        let to = to.add(self.at + y * self.row + x * self.pixel);
                        let start = if add { self.load(to) } else { bias };
                        self.store(start.add(value), to);
                    }
                }
            }
        }
    }

    /// Stores row `y` of a transformed tile.
    #[inline(always)]
    unsafe fn store_line<V: Lanes>(&self, values: [V; 4], y: usize, to: *mut f32) {
        for (x, value) in values.into_iter().enumerate() {
            // SAFETY: all positions are inside.
            unsafe { self.store(value, to.add(self.packed + (4 * y + x) * self.step)) };
        }
    }
}

/// `Bᵀ d`.
#[inline(always)]
unsafe fn input_line<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 4] {
    // SAFETY: the instructions of `V` exist.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}

/// `A y`.
#[inline(always)]
unsafe fn gradient_line<V: Lanes>([a, b]: [V; 2]) -> [V; 4] {
    // SAFETY: the instructions of `V` exist.
    unsafe { [a, a.add(b), a.sub(b), V::splat(0.0).sub(b)] }
}

/// `Aᵀ m`.
#[inline(always)]
unsafe fn output_line<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 2] {
    // SAFETY: the instructions of `V` exist.
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
}
