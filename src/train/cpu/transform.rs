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

/// `G g Gᵀ`: a 3×3 kernel in the transformed domain.
pub fn kernel(g: [f32; 9]) -> [f32; 16] {
    let line = |a: f32, b: f32, c: f32| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f32; 4]; 3] = std::array::from_fn(|x| line(g[x], g[3 + x], g[6 + x]));
    let mut tile = [0.0; 16];
    for y in 0..4 {
        tile[4 * y..4 * y + 4].copy_from_slice(&line(columns[0][y], columns[1][y], columns[2][y]));
    }
    tile
}

dispatched! {
    /// `gradient += Gᵀ sums G`, from `[16, weights]` to `[9, weights]`.
    pub fn add_kernel_gradient(sums: &[f32], gradient: &mut [f32]) {
        let n = gradient.len() / 9;
        for k in 0..n {
            let line = |a: f32, b: f32, c: f32, d: f32| {
                [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
            };
            let at = |y: usize, x: usize| sums[(4 * y + x) * n + k];
            let columns: [[f32; 3]; 4] =
                std::array::from_fn(|x| line(at(0, x), at(1, x), at(2, x), at(3, x)));
            for y in 0..3 {
                let [a, b, c, d] = columns.map(|c| c[y]);
                for (x, value) in line(a, b, c, d).into_iter().enumerate() {
                    gradient[(3 * y + x) * n + k] += value;
                }
            }
        }
    }
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
    assert!(to.len() >= 16 * rows.len() * image.columns * image.channels);
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
    assert!(to.len() >= 16 * rows.len() * image.columns * image.channels);
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
    assert!(from.len() >= 16 * rows.len() * image.columns * image.channels);
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
    let step = rows.len() * image.columns * c;
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
            let line = |[a, b, c, d]: [V; 4]| [a.sub(c), b.add(c), c.sub(b), b.sub(d)];
            let from = from.add(self.at);
            let columns: [[V; 4]; 4] = std::array::from_fn(|x| {
                line(std::array::from_fn(|y| self.load(from.add(y * self.row + x * self.pixel))))
            });
            for y in 0..4 {
                let values = line(std::array::from_fn(|x| columns[x][y]));
                for (x, value) in values.into_iter().enumerate() {
                    self.store(value, to.add(self.packed + (4 * y + x) * self.step));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn gradients<V: Lanes>(&self, from: *const f32, to: *mut f32) {
        // SAFETY: pixels outside are not touched; all positions are inside.
        unsafe {
            let zero = V::splat(0.0);
            let line = |[a, b]: [V; 2]| [a, a.add(b), a.sub(b), zero.sub(b)];
            let [second_row, second_column] = self.inside;
            let at = |y: usize, x: usize| {
                if (y == 1 && !second_row) || (x == 1 && !second_column) {
                    return zero;
                }
                self.load(from.add(self.at + y * self.row + x * self.pixel))
            };
            let columns = [line([at(0, 0), at(1, 0)]), line([at(0, 1), at(1, 1)])];
            for y in 0..4 {
                let values = line([columns[0][y], columns[1][y]]);
                for (x, value) in values.into_iter().enumerate() {
                    self.store(value, to.add(self.packed + (4 * y + x) * self.step));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn outputs<V: Lanes>(&self, from: *const f32, init: Init, to: *mut f32) {
        // SAFETY: pixels outside are not touched; all positions are inside.
        unsafe {
            let line = |[a, b, c, d]: [V; 4]| [a.add(b).add(c), b.sub(c).sub(d)];
            let columns: [[V; 2]; 4] = std::array::from_fn(|x| {
                line(std::array::from_fn(|y| {
                    self.load(from.add(self.packed + (4 * y + x) * self.step))
                }))
            });
            let bias: V = match init {
                Init::Bias(bias) => self.load(bias.as_ptr().add(self.channel)),
                Init::Zero | Init::Output => V::splat(0.0),
            };
            let add = matches!(init, Init::Output);
            for y in 0..2 {
                let values = line(std::array::from_fn(|x| columns[x][y]));
                for (x, value) in values.into_iter().enumerate() {
                    if (y == 1 && !self.inside[0]) || (x == 1 && !self.inside[1]) {
                        continue;
                    }
                    let to = to.add(self.at + y * self.row + x * self.pixel);
                    let start = if add { self.load(to) } else { bias };
                    self.store(start.add(value), to);
                }
            }
        }
    }
}
