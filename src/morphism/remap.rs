//! Rows and columns of weights, rearranged by a channel map.
use std::ops::Range;

use crate::graph::Tensor;

/// Where a channel comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// This channel of the parent.
    Kept(usize),
    /// Nowhere.
    Fresh,
    /// It computes what the channel before it does, and consumers read it with opposite sign.
    Twin,
}

impl Source {
    /// The same, `by` channels further on in the parent.
    pub fn shifted(self, by: usize) -> Source {
        match self {
            Source::Kept(channel) => Source::Kept(channel + by),
            Source::Fresh | Source::Twin => self,
        }
    }

    /// Columns of the parent's weights that belong to it, `len` for a channel.
    pub fn columns(self, len: usize) -> Range<usize> {
        match self {
            Source::Kept(channel) => channel * len..(channel + 1) * len,
            Source::Fresh | Source::Twin => 0..0,
        }
    }
}

/// `tensor` of shape `[channels, ..]` with its rows taken from `sources`.
///
/// A fresh row of a weight is random; a fresh value of a vector is the mean of all.
pub(super) fn remap_rows(
    tensor: &Tensor,
    sources: &[Source],
    random: &mut dyn FnMut(usize, f32) -> Vec<f32>,
) -> Tensor {
    let len: usize = tensor.shape[1..].iter().product();
    let size = deviation(&tensor.data);
    let mut data: Vec<f32> = Vec::with_capacity(sources.len() * len);
    for source in sources {
        match source {
            Source::Kept(channel) => {
                data.extend_from_slice(&tensor.data[channel * len..][..len]);
            }
            Source::Fresh if tensor.shape.len() == 1 => {
                data.push(tensor.data.iter().sum::<f32>() / tensor.data.len() as f32);
            }
            Source::Fresh => data.extend(random(len, size)),
            Source::Twin => data.extend_from_within(data.len() - len..),
        }
    }
    let mut shape = tensor.shape.clone();
    shape[0] = sources.len();
    Tensor::new(&shape, data)
}

/// `weight` of shape `[rows, channels · n, ..]` with the columns of each channel taken from
/// `sources` and scaled by `shares`.
pub(super) fn remap_columns(
    weight: &Tensor,
    channels: usize,
    sources: &[Source],
    shares: &[f32],
    random: &mut dyn FnMut(usize, f32) -> Vec<f32>,
) -> Tensor {
    let rows = weight.shape[0];
    let len = weight.data.len() / rows / channels;
    let size = deviation(&weight.data);
    let mut data: Vec<f32> = Vec::with_capacity(rows * sources.len() * len);
    for row in weight.data.chunks(channels * len) {
        for (source, share) in sources.iter().zip(shares) {
            match source {
                Source::Kept(c) => data.extend(row[c * len..][..len].iter().map(|w| w * share)),
                Source::Fresh => data.extend(random(len, size)),
                Source::Twin => {
                    let before = data.len() - len;
                    data.extend_from_within(before..);
                    data[before + len..].iter_mut().for_each(|w| *w = -*w);
                }
            }
        }
    }
    let mut shape = weight.shape.clone();
    shape[1] = shape[1] / channels * sources.len();
    Tensor::new(&shape, data)
}

/// Root mean square of `weights`; of a fresh layer if they are all 0.
fn deviation(weights: &[f32]) -> f32 {
    let mean_square = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
    match mean_square > 0.0 {
        true => mean_square.sqrt(),
        false => 0.1,
    }
}

/// Multiplies each row of `tensor` by its factor.
pub(super) fn scale_rows(tensor: &mut Tensor, factors: &[f32]) {
    let len = tensor.data.len() / factors.len();
    for (row, factor) in tensor.data.chunks_mut(len).zip(factors) {
        row.iter_mut().for_each(|x| *x *= factor);
    }
}
