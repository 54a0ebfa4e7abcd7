//! Stochastic gradient descent with Nesterov momentum, and its schedule.

use crate::train::TrainPlan;

use super::chunk::Chunk;
use super::program::Program;
use super::workers::Workers;

/// Parameters that are updated together; fixed, so that the norm of the gradient does not depend
/// on the number of threads.
const RANGE: usize = 16 * 1024;

/// How parameters move in one step.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Learning rate.
    pub rate: f32,
    /// Of the momentum.
    pub momentum: f32,
    /// Coupled L2 decay of weights.
    pub weight_decay: f32,
    /// Largest global norm of the gradient; 0 for any.
    pub clip_norm: f32,
}

impl Rule {
    /// The rule of `plan` for a step, counted from 0 over all epochs of so many steps.
    pub fn at(step: usize, steps_per_epoch: usize, plan: &TrainPlan) -> Rule {
        let steps = plan.epochs as usize * steps_per_epoch;
        let warmup = plan.warmup_steps as usize;
        Rule {
            rate: rate_at(step, steps, warmup, plan.learning_rate),
            momentum: plan.momentum,
            weight_decay: plan.weight_decay,
            clip_norm: plan.clip_norm,
        }
    }
}

/// State of the optimizer.
#[derive(Debug)]
pub struct Optimizer {
    ranges: Vec<Range>,
}

#[derive(Debug)]
struct Range {
    first: usize,
    gradient: Vec<f32>,
    momentum: Vec<f32>,
    /// Weight decay counts where this is 1; nothing moves where `moves` is 0.
    decays: Vec<f32>,
    moves: Vec<f32>,
    squares: f64,
}

impl Optimizer {
    /// At rest.
    pub fn new(program: &Program) -> Optimizer {
        let mut decays = vec![0.0; program.parameters];
        let mut moves = vec![0.0; program.parameters];
        for slot in &program.slots {
            slot.of_mut(&mut decays).fill(f32::from(slot.decays()));
            slot.of_mut(&mut moves).fill(f32::from(slot.is_trained));
        }
        let ranges = decays.chunks(RANGE).zip(moves.chunks(RANGE)).enumerate();
        let ranges = ranges.map(|(i, (decays, moves))| Range {
            first: i * RANGE,
            gradient: vec![0.0; decays.len()],
            momentum: vec![0.0; decays.len()],
            decays: decays.to_vec(),
            moves: moves.to_vec(),
            squares: 0.0,
        });
        Optimizer { ranges: ranges.collect() }
    }

    /// Values of all ranges, as they are.
    #[cfg(test)]
    pub fn held_values(&self) -> usize {
        self.ranges.iter().map(|r| r.gradient.len() * Self::VALUES_PER_PARAMETER).sum()
    }

    /// Values kept for each parameter.
    pub const VALUES_PER_PARAMETER: usize = 4;

    /// Moves `parameters` against the sum of the chunks' gradients.
    pub fn step(
        &mut self,
        program: &Program,
        rule: &Rule,
        chunks: &[Chunk],
        parameters: &mut [f32],
        workers: &Workers,
    ) {
        workers.each(&mut self.ranges, |_, range| range.sum(chunks));
        let norm = self.ranges.iter().map(|r| r.squares).sum::<f64>().sqrt();
        let limit = f64::from(rule.clip_norm);
        let scale = if limit > 0.0 && norm > limit { (limit / norm) as f32 } else { 1.0 };
        debug_assert_eq!(parameters.len(), program.parameters);
        let mut work: Vec<_> = self.ranges.iter_mut().zip(parameters.chunks_mut(RANGE)).collect();
        workers.each(&mut work, |_, (range, parameters)| range.update(rule, scale, parameters));
    }
}

impl Range {
    fn sum(&mut self, chunks: &[Chunk]) {
        self.gradient.fill(0.0);
        for chunk in chunks.iter().filter(|c| c.images > 0) {
            let part = &chunk.parameter_gradient[self.first..];
            self.gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p);
        }
        self.gradient.iter_mut().zip(&self.moves).for_each(|(g, m)| *g *= m);
        self.squares = self.gradient.iter().map(|g| f64::from(*g) * f64::from(*g)).sum();
    }

    fn update(&mut self, rule: &Rule, scale: f32, parameters: &mut [f32]) {
        let masks = self.decays.iter().zip(&self.moves);
        let state = self.gradient.iter().zip(&mut self.momentum);
        for ((p, (g, v)), (decays, moves)) in parameters.iter_mut().zip(state).zip(masks) {
            let g = scale * g + rule.weight_decay * decays * *p;
            *v = rule.momentum * *v + g;
            *p -= rule.rate * moves * (g + rule.momentum * *v);
        }
    }
}

/// Learning rate of step `step` of `steps`: linear warm-up, then half a cosine down to 0.
fn rate_at(step: usize, steps: usize, warmup: usize, peak: f32) -> f32 {
    if step < warmup {
        return peak * (step + 1) as f32 / warmup as f32;
    }
    let done = (step - warmup) as f64 / (steps.saturating_sub(warmup)).max(1) as f64;
    peak * (0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_linearly_and_falls_as_a_cosine() {
        let rate = |step| rate_at(step, 14, 4, 0.8);
        assert_eq!([rate(0), rate(1), rate(3), rate(4)], [0.2, 0.4, 0.8, 0.8]);
        assert!((rate(9) - 0.4).abs() < 1e-6, "half way down");
        assert!(rate(13) > 0.0 && rate(13) < 0.03);
        assert_eq!(rate(14), 0.0);
    }
}
