//! A fixed number of images with all their values: the unit of parallel work.
//!
//! Chunks do not depend on the number of threads, and sums over chunks are taken in their order:
//! this is why results are bit-equal at any number of threads.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::memory::Buffers;
use super::norm::GradientSums;
use super::norm::Moments;
use super::program::Program;

/// Images of a chunk; the last may hold fewer.
pub const IMAGES: usize = 8;

/// A kind of work, for profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkKind {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// `forward`, `backward`, ..
    pub pass: &'static str,
}

impl fmt::Display for WorkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.kernel, self.pass))
    }
}

/// Values, gradients and partial sums of some images.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Images that it holds now.
    pub images: usize,
    /// Images that kernels work on now; a few at a time, so that what one kernel writes is still
    /// in the cache when the next reads it.
    pub block: Range<usize>,
    /// By buffer.
    pub values: Vec<Vec<f32>>,
    /// By buffer.
    pub gradients: Vec<Vec<f32>>,
    /// By step: where the largest values of a pooling came from.
    pub places: Vec<Vec<u32>>,
    /// By normalisation: statistics of these images.
    pub moments: Vec<Moments>,
    /// By normalisation: sums for the gradient.
    pub sums: Vec<GradientSums>,
    /// Of all parameters, summed over these images.
    pub parameter_gradient: Vec<f32>,
    /// For kernels.
    pub scratch: Vec<f32>,
    /// Of this chunk's dropout in this step.
    pub seed: u64,
    /// Probabilities that the outputs are compared with, `[images, classes]`.
    pub targets: Vec<f32>,
    /// Outputs of the teacher, `[images, classes]`; empty without one.
    pub teacher: Vec<f32>,
    /// Sum of the losses.
    pub loss: f64,
    /// Time spent by kind of work.
    pub times: BTreeMap<WorkKind, Duration>,
}

impl Chunk {
    /// An empty chunk with room for `images` images.
    pub fn new(program: &Program, buffers: &Buffers, images: usize) -> Chunk {
        let room = |lens: &[usize]| lens.iter().map(|len| vec![0.0; len * images]).collect();
        Chunk {
            images: 0,
            values: room(&buffers.value_len),
            gradients: room(&buffers.gradient_len),
            places: buffers.places_len.iter().map(|len| vec![0; len * images]).collect(),
            moments: vec![Moments::default(); program.norms.len()],
            sums: vec![GradientSums::default(); program.norms.len()],
            parameter_gradient: vec![0.0; buffers.parameters],
            scratch: vec![0.0; buffers.scratch],
            ..Chunk::default()
        }
    }

    /// Value `index` of the images of the block.
    pub fn value(&self, program: &Program, buffers: &Buffers, index: usize) -> &[f32] {
        &self.values[buffers.value[index]][self.range(program.len(index))]
    }

    /// Where the block's gradients of value `index` lie in their buffer.
    ///
    /// Buffers of gradients are used again within a block, for other lengths; so each image has
    /// as much room as the longest needs, and no block writes into another.
    pub fn gradient_range(
        &self,
        program: &Program,
        buffers: &Buffers,
        index: usize,
    ) -> Range<usize> {
        let first = self.block.start * buffers.gradient_len[buffers.gradient[index]];
        first..first + self.block.len() * program.len(index)
    }

    /// Where the block lies in a buffer of so many values an image.
    pub fn range(&self, len: usize) -> Range<usize> {
        self.block.start * len..self.block.end * len
    }
}

/// Bytes of the largest value of a block: a few values fit the second cache.
const BLOCK_BYTES: usize = 128 * 1024;

/// Images of a block.
pub fn block_images(program: &Program) -> usize {
    let largest = (0..program.shapes.len()).map(|v| program.len(v)).max().unwrap_or(1);
    (BLOCK_BYTES / (4 * largest)).clamp(1, IMAGES)
}
