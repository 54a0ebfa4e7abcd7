//! Backward kernels of one chunk.

use std::mem::take;

use super::channels;
use super::chunk::Chunk;
use super::elementwise;
use super::forward::drop_out;
use super::memory::Buffers;
use super::norm;
use super::pool;
use super::program::Kernel;
use super::program::Program;
use super::resize;
use super::shared::Shared;

/// Gradients of the parameters and inputs of step `i`, from that of its output.
pub fn backward(
    program: &Program,
    buffers: &Buffers,
    shared: &Shared,
    i: usize,
    chunk: &mut Chunk,
) {
    if !program.wants_gradient[i + 1] {
        return;
    }
    let mut out = take(&mut chunk.gradients[buffers.gradient[i + 1]]);
    let dy = &mut out[chunk.gradient_range(program, buffers, i + 1)];
    if program.steps[i].is_trained {
        parameter_gradient(program, buffers, i, dy, chunk);
    }
    for n in 0..program.steps[i].inputs.len() {
        let value = program.steps[i].inputs[n];
        if program.wants_gradient[value] {
            let mut into = take(&mut chunk.gradients[buffers.gradient[value]]);
            let dx = &mut into[chunk.gradient_range(program, buffers, value)];
            input_gradient(program, buffers, shared, i, n, dy, chunk, dx);
            chunk.gradients[buffers.gradient[value]] = into;
        }
    }
    chunk.gradients[buffers.gradient[i + 1]] = out;
}

/// Adds the gradient of the weight and the bias of step `i` over the images of the chunk.
fn parameter_gradient(
    program: &Program,
    buffers: &Buffers,
    i: usize,
    dy: &[f32],
    chunk: &mut Chunk,
) {
    let (step, simd) = (&program.steps[i], program.simd);
    let mut gradient = take(&mut chunk.parameter_gradient);
    let mut scratch = take(&mut chunk.scratch);
    let x = chunk.value(program, buffers, step.inputs[0]);
    let slots = &program.slots;
    let bias = match &step.kernel {
        Kernel::Conv { plan, weight, bias } => {
            let to = slots[*weight].of_mut(&mut gradient);
            plan.backward_weights(simd, x, dy, &mut scratch, to);
            *bias
        }
        Kernel::Depthwise { plan, weight, bias } => {
            let to = slots[*weight].of_mut(&mut gradient);
            plan.backward_weights(simd, x, dy, &mut scratch, to);
            *bias
        }
        Kernel::Norm { .. }
        | Kernel::Normalize
        | Kernel::Activation(_)
        | Kernel::Add
        | Kernel::Mul
        | Kernel::Gate
        | Kernel::Concat
        | Kernel::MaxPool(_)
        | Kernel::AvgPool(_)
        | Kernel::GlobalAveragePool
        | Kernel::Flatten
        | Kernel::Dropout { .. }
        | Kernel::Resize(_) => None,
    };
    if let Some(bias) = bias {
        channels::add_sums(simd, dy, slots[bias].of_mut(&mut gradient));
    }
    chunk.scratch = scratch;
    chunk.parameter_gradient = gradient;
}

/// The gradient `dx` of input `n` of step `i`; added if there is something already.
#[expect(clippy::too_many_arguments, reason = "buffers are borrowed apart from the chunk")]
fn input_gradient(
    program: &Program,
    buffers: &Buffers,
    shared: &Shared,
    i: usize,
    n: usize,
    dy: &mut [f32],
    chunk: &mut Chunk,
    dx: &mut [f32],
) {
    let (step, simd) = (&program.steps[i], program.simd);
    let mut scratch = take(&mut chunk.scratch);
    let add = step.adds[n];
    let input = |n: usize| chunk.value(program, buffers, step.inputs[n]);
    let [h, w, c] = program.shapes[step.inputs[0]];
    let cleared = |dx: &mut [f32]| {
        if !add {
            dx.fill(0.0);
        }
    };
    match &step.kernel {
        Kernel::Normalize => panic!("a constant normalisation has no gradient"),
        Kernel::Conv { plan, .. } => {
            plan.backward_data(simd, dy, &shared.packed[i], add, &mut scratch, dx);
        }
        Kernel::Depthwise { plan, weight, .. } => {
            let weights = program.slots[*weight].of(&shared.parameters);
            plan.backward_data(simd, dy, weights, add, &mut scratch, dx);
        }
        Kernel::Norm { index, activation, .. } => {
            let by = &shared.backward[*index];
            norm::backward(simd, input(0), dy, by, *activation, add, dx);
        }
        Kernel::Activation(f) => {
            elementwise::activate_backward(simd, input(0), dy, *f, add, dx);
        }
        Kernel::Add => elementwise::hand_on(simd, dy, add, dx),
        Kernel::Mul => {
            cleared(dx);
            elementwise::multiply_add(simd, dy, input(1 - n), dx);
        }
        Kernel::Gate if n == 0 => {
            cleared(dx);
            channels::gate_backward_image(simd, h * w, c, dy, input(1), dx);
        }
        Kernel::Gate => {
            cleared(dx);
            channels::gate_backward_gate(simd, h * w, c, dy, input(0), dx);
        }
        Kernel::Concat => {
            let channels = |v: usize| program.shapes[v][2];
            let first = step.inputs[..n].iter().map(|&v| channels(v)).sum();
            cleared(dx);
            channels::take(dy, channels(step.inputs[n]), first, channels(i + 1), dx);
        }
        Kernel::MaxPool(plan) => {
            cleared(dx);
            let places = &chunk.places[i][chunk.range(program.len(i + 1))];
            pool::max_backward(simd, plan, places, dy, dx);
        }
        Kernel::AvgPool(plan) => {
            cleared(dx);
            pool::average_backward(simd, plan, dy, dx);
        }
        Kernel::GlobalAveragePool => {
            pool::global_average_backward(simd, h * w, c, dy, add, dx);
        }
        Kernel::Flatten if add => {
            let moved = &mut vec![0.0; dy.len()];
            channels::from_planes(dy, h * w, c, moved);
            elementwise::add(simd, moved, dx);
        }
        Kernel::Flatten => channels::from_planes(dy, h * w, c, dx),
        Kernel::Dropout { rate } => {
            drop_out(chunk, i, *rate, dy);
            elementwise::hand_on(simd, dy, add, dx);
        }
        Kernel::Resize(plan) => {
            cleared(dx);
            resize::backward(simd, plan, dy, dx);
        }
    }
    chunk.scratch = scratch;
}
