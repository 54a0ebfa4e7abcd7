//! A fixed number of images with all their values: the unit of parallel work.
//!
//! Chunks do not depend on the number of threads, and sums over chunks are taken in their order:
//! this is why results are bit-equal at any number of threads.

use super::memory::Buffers;
use super::norm::GradientSums;
use super::norm::Moments;
use super::program::Program;

/// Images of a chunk; the last may hold fewer.
pub const IMAGES: usize = 8;

/// Values, gradients and partial sums of some images.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Images that it holds now.
    pub images: usize,
    /// By buffer.
    pub values: Vec<Vec<f32>>,
    /// By buffer.
    pub gradients: Vec<Vec<f32>>,
    /// By value: does its gradient hold something yet?
    pub is_written: Vec<bool>,
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
}

impl Chunk {
    /// An empty chunk with room for `images` images.
    pub fn new(program: &Program, buffers: &Buffers, images: usize) -> Chunk {
        let room = |lens: &[usize]| lens.iter().map(|len| vec![0.0; len * images]).collect();
        Chunk {
            images: 0,
            values: room(&buffers.value_len),
            gradients: room(&buffers.gradient_len),
            is_written: vec![false; program.shapes.len()],
            places: buffers.places_len.iter().map(|len| vec![0; len * images]).collect(),
            moments: vec![Moments::default(); program.norms.len()],
            sums: vec![GradientSums::default(); program.norms.len()],
            parameter_gradient: vec![0.0; buffers.parameters],
            scratch: vec![0.0; buffers.scratch],
            ..Chunk::default()
        }
    }

    /// The values of value `index`, all images.
    pub fn value(&self, program: &Program, buffers: &Buffers, index: usize) -> &[f32] {
        &self.values[buffers.value[index]][..self.images * program.len(index)]
    }
}
