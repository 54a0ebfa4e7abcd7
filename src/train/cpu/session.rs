//! One network being trained: steps of forward, backward and update.

use std::time::Instant;

use crate::graph::Activation;
use crate::graph::Network;

use super::backward::backward;
use super::chunk::Chunk;
use super::chunk::IMAGES;
use super::chunk::WorkKind;
use super::chunk::block_images;
use super::forward::forward;
use super::loss;
use super::loss::Goal;
use super::memory::Buffers;
use super::norm::Backward;
use super::norm::GradientSums;
use super::norm::Moments;
use super::optimizer::Optimizer;
use super::optimizer::Rule;
use super::parameters;
use super::program::Kernel;
use super::program::Program;
use super::shared::Shared;
use super::workers::Workers;

/// Share of the batch in running statistics.
const STATISTICS_MOMENTUM: f64 = 0.1;

/// Part of the work of a step that a chunk does without the others.
#[derive(Clone, Copy, Debug)]
enum Task {
    Forward(usize),
    Moments(usize),
    Loss,
    GradientSums(usize),
    Backward(usize),
}

impl Task {
    fn kind(self, program: &Program) -> WorkKind {
        let kernel = |i: usize| program.steps[i].kernel.name();
        match self {
            Task::Forward(i) => WorkKind { kernel: kernel(i), pass: "forward" },
            Task::Moments(i) => WorkKind { kernel: kernel(i), pass: "moments" },
            Task::Loss => WorkKind { kernel: "Loss", pass: "and its gradient" },
            Task::GradientSums(i) => WorkKind { kernel: kernel(i), pass: "gradient sums" },
            Task::Backward(i) => WorkKind { kernel: kernel(i), pass: "backward" },
        }
    }
}

/// What is put together once all chunks have done their tasks.
#[derive(Clone, Copy, Debug)]
enum Reduction {
    Moments(usize),
    GradientSums(usize),
    Nothing,
}

/// Tasks, then a reduction.
#[derive(Clone, Debug)]
struct Phase {
    tasks: Vec<Task>,
    then: Reduction,
}

/// How the loss of a step is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Objective {
    /// Share and temperature of the teacher's outputs, if there is one.
    pub teacher: Option<(f32, f32)>,
}

/// A network being trained on batches that lie in [`Session::chunks`].
#[derive(Debug)]
pub struct Session<'a> {
    /// What is run.
    pub program: &'a Program,
    /// Parameters and statistics.
    pub shared: Shared,
    /// The batch: images, targets, seeds are filled in by the caller.
    pub chunks: Vec<Chunk>,
    buffers: Buffers,
    phases: Vec<Phase>,
    optimizer: Optimizer,
    objective: Objective,
}

impl<'a> Session<'a> {
    /// A session for batches of at most `batch` images.
    pub fn new(
        program: &'a Program,
        network: &Network,
        batch: usize,
        objective: Objective,
    ) -> Session<'a> {
        let buffers = Buffers::for_training(program);
        let room = |i: usize| IMAGES.min(batch - i * IMAGES);
        let chunks = (0..batch.div_ceil(IMAGES)).map(|i| Chunk::new(program, &buffers, room(i)));
        Session {
            program,
            shared: Shared::new(program, network),
            chunks: chunks.collect(),
            phases: phases(program),
            optimizer: Optimizer::new(program),
            buffers,
            objective,
        }
    }

    /// Mean loss of the batch, and a step of the optimizer.
    ///
    /// Chunks without images do nothing.
    pub fn step(&mut self, rule: &Rule, workers: &Workers) -> f64 {
        let loss = self.gradients(workers);
        self.optimizer.step(self.program, rule, &self.chunks, &mut self.shared.parameters, workers);
        loss
    }

    /// Mean loss of the batch; leaves the gradients of the parameters in the chunks.
    pub fn gradients(&mut self, workers: &Workers) -> f64 {
        self.shared.pack(self.program, true, workers);
        for chunk in &mut self.chunks {
            chunk.parameter_gradient.fill(0.0);
            chunk.loss = 0.0;
        }
        self.run(self.phases.len(), workers);
        let images: usize = self.chunks.iter().map(|c| c.images).sum();
        self.chunks.iter().map(|c| c.loss).sum::<f64>() / images as f64
    }

    /// Leaves the moments of all batch normalisations for the batch in the chunks.
    pub fn statistics(&mut self, workers: &Workers) {
        self.shared.pack(self.program, false, workers);
        let forward = |p: &&Phase| matches!(p.then, Reduction::Moments(_));
        self.run(self.phases.iter().filter(forward).count(), workers);
    }

    /// Values of all buffers and weights, as they are.
    #[cfg(test)]
    pub fn held_values(&self) -> usize {
        let all = |buffers: &[Vec<f32>]| buffers.iter().map(Vec::len).sum::<usize>();
        let chunk = |c: &Chunk| {
            let places: usize = c.places.iter().map(Vec::len).sum();
            let rest = c.parameter_gradient.len() + c.scratch.len() + places;
            all(&c.values) + all(&c.gradients) + rest
        };
        let weights = self.shared.parameters.len() + self.optimizer.held_values();
        let packed: usize = self.shared.packed.iter().map(|p| p.held_values()).sum();
        self.chunks.iter().map(chunk).sum::<usize>() + weights + packed
    }

    fn run(&mut self, phases: usize, workers: &Workers) {
        let Session { program, shared, chunks, buffers, objective, .. } = self;
        shared.use_running_statistics(program, true);
        let images: usize = chunks.iter().map(|c| c.images).sum();
        let scale = 1.0 / images as f32;
        let block = block_images(program);
        for phase in &self.phases[..phases] {
            let shared_now = &*shared;
            workers.each(chunks, |_, chunk| {
                for first in (0..chunk.images).step_by(block) {
                    chunk.block = first..(first + block).min(chunk.images);
                    for &task in &phase.tasks {
                        let start = Instant::now();
                        run(task, program, buffers, shared_now, *objective, scale, chunk);
                        *chunk.times.entry(task.kind(program)).or_default() += start.elapsed();
                    }
                }
            });
            match phase.then {
                Reduction::Moments(i) => join_moments(program, shared, i, chunks),
                Reduction::GradientSums(i) => join_gradient_sums(program, shared, i, chunks),
                Reduction::Nothing => {}
            }
        }
    }

    /// Are all parameters and statistics numbers? Activations and poolings may hide from the loss that
    /// they are not.
    pub fn is_finite(&self) -> bool {
        let running = self.shared.running.iter().flatten().flatten();
        self.shared.parameters.iter().chain(running).all(|x| x.is_finite())
    }

    /// `network` with the parameters and statistics of now.
    pub fn network(&self, network: &Network) -> Network {
        let mut trained = network.clone();
        parameters::write(&mut trained, &self.program.slots, &self.shared.parameters);
        for (&node, running) in self.program.norms.iter().zip(&self.shared.running) {
            parameters::set_statistics(&mut trained, node, running);
        }
        trained
    }
}

/// Splits the work of a step where a batch normalisation needs sums over all chunks.
fn phases(program: &Program) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut tasks = Vec::new();
    let joins = |i: usize| matches!(program.steps[i].kernel, Kernel::Norm { is_frozen: false, .. });
    for i in 0..program.steps.len() {
        if joins(i) {
            tasks.push(Task::Moments(i));
            phases.push(Phase { tasks: std::mem::take(&mut tasks), then: Reduction::Moments(i) });
        }
        tasks.push(Task::Forward(i));
    }
    tasks.push(Task::Loss);
    for i in (0..program.steps.len()).rev().filter(|&i| program.wants_gradient[i + 1]) {
        if joins(i) {
            tasks.push(Task::GradientSums(i));
            let then = Reduction::GradientSums(i);
            phases.push(Phase { tasks: std::mem::take(&mut tasks), then });
        }
        tasks.push(Task::Backward(i));
    }
    phases.push(Phase { tasks, then: Reduction::Nothing });
    phases
}

fn run(
    task: Task,
    program: &Program,
    buffers: &Buffers,
    shared: &Shared,
    objective: Objective,
    scale: f32,
    chunk: &mut Chunk,
) {
    match task {
        Task::Forward(i) => forward(program, buffers, shared, i, true, chunk),
        Task::Backward(i) => backward(program, buffers, shared, i, chunk),
        Task::Loss => take_loss(program, buffers, objective, scale, chunk),
        Task::Moments(i) => {
            let (index, _) = norm_of(program, i);
            let value = program.steps[i].inputs[0];
            let x = chunk.value(program, buffers, value);
            let moments = Moments::of(program.simd, x, program.shapes[value][2]);
            match chunk.block.start {
                0 => chunk.moments[index] = moments,
                _ => chunk.moments[index].merge(&moments),
            }
        }
        Task::GradientSums(i) => {
            let (index, activation) = norm_of(program, i);
            let value = program.steps[i].inputs[0];
            let range = chunk.gradient_range(program, buffers, i + 1);
            let x = chunk.value(program, buffers, value);
            let dy = &chunk.gradients[buffers.gradient[i + 1]][range];
            let affine = &shared.affine[index];
            let channels = program.shapes[value][2];
            let sums = GradientSums::of(program.simd, x, dy, affine, activation, channels);
            match chunk.block.start {
                0 => chunk.sums[index] = sums,
                _ => chunk.sums[index].merge(&sums),
            }
        }
    }
}

fn take_loss(
    program: &Program,
    buffers: &Buffers,
    objective: Objective,
    scale: f32,
    chunk: &mut Chunk,
) {
    let value = program.output();
    let mut gradient = std::mem::take(&mut chunk.gradients[buffers.gradient[value]]);
    let logits = chunk.value(program, buffers, value);
    let range = chunk.range(program.classes());
    let teacher = objective.teacher.map(|(w, t)| (&chunk.teacher[range.clone()], w, t));
    let goal = Goal { targets: &chunk.targets[range.clone()], teacher };
    let into = &mut gradient[chunk.gradient_range(program, buffers, value)];
    chunk.loss += loss::loss(logits, &goal, program.classes(), scale, into);
    chunk.gradients[buffers.gradient[value]] = gradient;
}

/// Index and activation of the normalisation that step `i` is.
fn norm_of(program: &Program, i: usize) -> (usize, Option<Activation>) {
    let Kernel::Norm { index, activation, .. } = program.steps[i].kernel else {
        panic!("only normalisations are joined")
    };
    (index, activation)
}

/// Statistics of the batch, for this step and a little for the running ones.
fn join_moments(program: &Program, shared: &mut Shared, i: usize, chunks: &[Chunk]) {
    let Kernel::Norm { index, gamma, epsilon, .. } = program.steps[i].kernel else {
        panic!("only normalisations are joined")
    };
    let mut all = Moments::default();
    chunks.iter().filter(|c| c.images > 0).for_each(|c| all.merge(&c.moments[index]));
    let statistics = [all.mean.clone(), all.variance()];
    for (running, batch) in shared.running[index].iter_mut().zip(&statistics) {
        for (r, b) in running.iter_mut().zip(batch) {
            *r = (f64::from(*r) + STATISTICS_MOMENTUM * (b - f64::from(*r))) as f32;
        }
    }
    let [mean, variance] =
        statistics.map(|s| s.into_iter().map(|v| v as f32).collect::<Vec<f32>>());
    shared.normalise(program, index, gamma, epsilon, &mean, &variance);
}

/// Sums of the batch, for the gradient of the input, of gamma and of beta.
fn join_gradient_sums(program: &Program, shared: &mut Shared, i: usize, chunks: &mut [Chunk]) {
    let Kernel::Norm { index, gamma, .. } = program.steps[i].kernel else {
        panic!("only normalisations are joined")
    };
    let mut all = GradientSums::default();
    let mut count = 0.0;
    for chunk in chunks.iter().filter(|c| c.images > 0) {
        all.merge(&chunk.sums[index]);
        count += chunk.moments[index].count;
    }
    shared.backward[index] = Backward::training(&shared.affine[index], &all, count);
    let first = &mut chunks[0].parameter_gradient;
    for (slot, sums) in [(gamma, &all.scale), (gamma + 1, &all.shift)] {
        let to = program.slots[slot].of_mut(first);
        to.iter_mut().zip(sums).for_each(|(g, s)| *g = *s as f32);
    }
}
