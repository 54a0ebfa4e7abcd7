//! Convolutions of 3×3 kernels with stride 1 in 2.25 times fewer multiplications.
//!
//! Two by two outputs come from four by four inputs. Both are transformed, so that the
//! convolution becomes sixteen products of matrices `[tiles, c_in] × [c_in, c_out]`; the
//! gradient of the weights is the transpose of the same algorithm. Results differ from the direct
//! product by rounding alone, about 1e-6 of the largest value.
//!
//! # Source
//!
//! Lavin, Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016: F(2×2, 3×3).

use super::simd::Simd;
use super::tile;
use super::tile::Init;
use super::tile::Windows;
use super::transform;
use super::transform::Image;

/// Positions of a tile.
const POSITIONS: usize = 16;
/// Values of the transformed tiles that are worked on at once: they stay in the second cache.
const BAND: usize = 64 * 1024;

/// A convolution of an image that has been padded to [`WinogradPlan::padded`].
#[derive(Clone, Debug)]
pub struct WinogradPlan {
    output: [usize; 2],
    channels: [usize; 2],
    /// Rows and columns of tiles.
    tiles: [usize; 2],
    /// Rows of tiles in a band.
    band: usize,
}

impl WinogradPlan {
    /// Plans a convolution to `output` pixels, from and to so many channels.
    pub fn new(output: [usize; 2], channels: [usize; 2]) -> Self {
        let tiles = output.map(|n| n.div_ceil(2));
        let row = tiles[1] * POSITIONS * (channels[0] + channels[1]);
        WinogradPlan { output, channels, tiles, band: (BAND / row).clamp(1, tiles[0]) }
    }

    /// Is it faster than the direct product?
    pub fn pays(&self) -> bool {
        self.channels[0] >= 16 && self.channels[1] >= 16 && self.tiles[0] * self.tiles[1] >= 4
    }

    /// Is the gradient of the weights faster than by the direct product? The transformed weights
    /// are gone through once for each image, which must not be the larger part of the work.
    pub fn pays_for_weights(&self) -> bool {
        self.pays() && self.tiles[0] * self.tiles[1] >= 32
    }

    /// Height and width of the padded image.
    pub fn padded(&self) -> [usize; 2] {
        self.tiles.map(|n| 2 * n + 2)
    }

    /// Scratch values of a call.
    pub fn scratch(&self) -> usize {
        let band = self.band * self.tiles[1] * POSITIONS * (self.channels[0] + self.channels[1]);
        let weights = if self.pays_for_weights() { self.weights() } else { 0 };
        band + weights
    }

    /// Length of the packed weights.
    pub fn packed_len(&self, simd: Simd) -> usize {
        POSITIONS * self.product(1).packed_len(simd)
    }

    fn weights(&self) -> usize {
        POSITIONS * self.channels[0] * self.channels[1]
    }

    fn product(&self, tiles: usize) -> Windows {
        let [depth, width] = self.channels;
        Windows {
            taps: vec![0],
            depth,
            width,
            pixels: [1, tiles],
            input_step: [0, depth],
            output_step: [0, width],
        }
    }

    /// Transforms and packs the weights `weight(ky · 3 + kx, input, output)`.
    pub fn pack(
        &self,
        simd: Simd,
        weight: impl Fn(usize, usize, usize) -> f32,
        packed: &mut Vec<f32>,
    ) {
        let [c_in, c_out] = self.channels;
        let mut all = vec![0.0; self.weights()];
        for k in 0..c_in {
            for o in 0..c_out {
                let tile = transform::kernel(std::array::from_fn(|t| weight(t, k, o)));
                for (position, value) in tile.into_iter().enumerate() {
                    all[(position * c_in + k) * c_out + o] = value;
                }
            }
        }
        packed.clear();
        let product = self.product(1);
        let mut one = Vec::new();
        for weights in all.chunks(c_in * c_out) {
            tile::pack(simd, &product, |_, k, o| weights[k * c_out + o], &mut one);
            packed.extend_from_slice(&one);
        }
    }

    /// `y = init + conv(x)` for a padded image `x`.
    pub fn multiply(
        &self,
        simd: Simd,
        x: &[f32],
        packed: &[f32],
        init: Init,
        scratch: &mut [f32],
        y: &mut [f32],
    ) {
        let packed_len = packed.len() / POSITIONS;
        for rows in self.bands() {
            let tiles = rows.len() * self.tiles[1];
            let (inputs, outputs) = self.halves(tiles, scratch);
            transform::inputs(simd, &self.input(), x, rows.clone(), inputs);
            let product = self.product(tiles);
            let positions = inputs.chunks(tiles * self.channels[0]);
            let positions = positions.zip(outputs.chunks_mut(tiles * self.channels[1]));
            for ((input, output), packed) in positions.zip(packed.chunks(packed_len)) {
                tile::multiply(simd, &product, input, packed, Init::Zero, output);
            }
            transform::outputs(simd, &self.result(), outputs, rows, init, y);
        }
    }

    /// Adds the gradient of the weights, `[3, 3, c_in, c_out]`, for a padded image `x`.
    pub fn correlate(
        &self,
        simd: Simd,
        x: &[f32],
        dy: &[f32],
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        let (sums, scratch) = scratch.split_at_mut(self.weights());
        sums.fill(0.0);
        for rows in self.bands() {
            let tiles = rows.len() * self.tiles[1];
            let (inputs, outputs) = self.halves(tiles, scratch);
            transform::inputs(simd, &self.input(), x, rows.clone(), inputs);
            transform::gradients(simd, &self.result(), dy, rows, outputs);
            let product = self.product(tiles);
            let [c_in, c_out] = self.channels;
            let positions = inputs.chunks(tiles * c_in).zip(outputs.chunks(tiles * c_out));
            for ((input, output), sums) in positions.zip(sums.chunks_mut(c_in * c_out)) {
                tile::correlate(simd, &product, input, output, c_out, sums);
            }
        }
        transform::add_kernel_gradient(simd, sums, gradient);
    }

    fn bands(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (all, band) = (self.tiles[0], self.band);
        (0..all).step_by(band).map(move |first| first..(first + band).min(all))
    }

    fn halves<'a>(&self, tiles: usize, scratch: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        let [c_in, c_out] = self.channels;
        let (inputs, rest) = scratch.split_at_mut(POSITIONS * tiles * c_in);
        (inputs, &mut rest[..POSITIONS * tiles * c_out])
    }

    fn input(&self) -> Image {
        Image { size: self.padded(), channels: self.channels[0], columns: self.tiles[1] }
    }

    fn result(&self) -> Image {
        Image { size: self.output, channels: self.channels[1], columns: self.tiles[1] }
    }
}
