//! Forward kernels of one chunk.

use std::mem::take;

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::channels;
use super::chunk::Chunk;
use super::chunk::IMAGES;
use super::elementwise;
use super::memory::Buffers;
use super::norm;
use super::pool;
use super::program::Kernel;
use super::program::Program;
use super::resize;
use super::shared::Shared;

/// Computes the value of step `i`. Dropout drops only in `training`.
pub fn forward(
    program: &Program,
    buffers: &Buffers,
    shared: &Shared,
    i: usize,
    training: bool,
    chunk: &mut Chunk,
) {
    let (step, simd) = (&program.steps[i], program.simd);
    let mut out = take(&mut chunk.values[buffers.value[i + 1]]);
    let mut scratch = take(&mut chunk.scratch);
    let mut places = take(&mut chunk.places[i]);
    let range = chunk.range(program.len(i + 1));
    let y = &mut out[range.clone()];
    let input = |n: usize| chunk.value(program, buffers, step.inputs[n]);
    let [h, w, c] = program.shapes[step.inputs[0]];
    let slot = |s: usize| program.slots[s].of(&shared.parameters);
    match &step.kernel {
        Kernel::Normalize => {
            let [scale, shift] = &shared.constants[i];
            channels::scale(simd, input(0), scale, shift, y);
        }
        Kernel::Conv { plan, bias, .. } => {
            let bias = bias.map(slot);
            plan.forward(simd, input(0), &shared.packed[i], bias, &mut scratch, y);
        }
        Kernel::Depthwise { plan, weight, bias } => {
            plan.forward(simd, input(0), slot(*weight), bias.map(slot), &mut scratch, y);
        }
        Kernel::Norm { index, activation, .. } => {
            norm::forward(simd, input(0), &shared.affine[*index], *activation, y);
        }
        Kernel::Activation(f) => elementwise::activate(simd, input(0), *f, y),
        Kernel::Add => {
            y.copy_from_slice(input(0));
            (1..step.inputs.len()).for_each(|n| elementwise::add(simd, input(n), y));
        }
        Kernel::Mul => elementwise::multiply(simd, input(0), input(1), y),
        Kernel::Gate => channels::gate(simd, h * w, c, input(0), input(1), y),
        Kernel::Concat => {
            let width = program.shapes[i + 1][2];
            let mut first = 0;
            for (n, &value) in step.inputs.iter().enumerate() {
                let c = program.shapes[value][2];
                channels::place(input(n), c, first, width, y);
                first += c;
            }
        }
        Kernel::MaxPool(plan) => pool::max(simd, plan, input(0), y, &mut places[range]),
        Kernel::AvgPool(plan) => pool::average(simd, plan, input(0), y),
        Kernel::GlobalAveragePool => pool::global_average(simd, h * w, c, input(0), y),
        Kernel::Flatten => channels::to_planes(input(0), h * w, c, y),
        Kernel::Dropout { rate } if training => {
            y.copy_from_slice(input(0));
            drop_out(chunk, i, *rate, y);
        }
        Kernel::Dropout { .. } => y.copy_from_slice(input(0)),
        Kernel::Resize(plan) => resize::forward(simd, plan, input(0), y),
    }
    chunk.places[i] = places;
    chunk.scratch = scratch;
    chunk.values[buffers.value[i + 1]] = out;
}

/// Zeroes values at random and scales up the others; for the same images, the same values.
pub fn drop_out(chunk: &Chunk, step: usize, rate: f32, values: &mut [f32]) {
    let scale = 1.0 / (1.0 - rate);
    let len = values.len() / chunk.block.len();
    for (image, values) in chunk.block.clone().zip(values.chunks_mut(len)) {
        let mut rng = ChaCha8Rng::seed_from_u64(chunk.seed);
        rng.set_stream((step * IMAGES + image) as u64);
        for value in values {
            *value *= if rng.random::<f32>() < rate { 0.0 } else { scale };
        }
    }
}
