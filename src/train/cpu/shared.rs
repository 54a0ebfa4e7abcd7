//! What all chunks read: parameters, packed weights, normalisations.

use crate::graph::Network;
use crate::graph::Params;

use super::conv::Packed;
use super::norm;
use super::norm::Affine;
use super::norm::Backward;
use super::parameters;
use super::program::Kernel;
use super::program::Program;
use super::workers::Workers;

/// Parameters and what is derived from them.
#[derive(Debug)]
pub struct Shared {
    /// All parameters, in the order of [`Program::slots`].
    pub parameters: Vec<f32>,
    /// By step; empty except for convolutions.
    pub packed: Vec<Packed>,
    /// By step: scale and shift of a constant normalisation, repeated.
    pub constants: Vec<[Vec<f32>; 2]>,
    /// By normalisation: running mean and variance.
    pub running: Vec<[Vec<f32>; 2]>,
    /// By normalisation: what is applied now.
    pub affine: Vec<Affine>,
    /// By normalisation: how its gradient is computed in this step.
    pub backward: Vec<Backward>,
}

impl Shared {
    /// Parameters and statistics of `network`, nothing packed yet.
    pub fn new(program: &Program, network: &Network) -> Shared {
        let mut parameters = vec![0.0; program.parameters];
        parameters::read(network, &program.slots, &mut parameters);
        let steps = program.steps.len();
        let norms = program.norms.len();
        let mut shared = Shared {
            parameters,
            packed: vec![Packed::default(); steps],
            constants: vec![Default::default(); steps],
            running: program.norms.iter().map(|&n| parameters::statistics(network, n)).collect(),
            affine: vec![Affine::default(); norms],
            backward: vec![Backward::default(); norms],
        };
        for (step, constants) in program.steps.iter().zip(&mut shared.constants) {
            if let Kernel::Normalize = step.kernel {
                *constants = scale_and_shift(network.params(step.node));
            }
        }
        shared
    }

    /// Packs the weights of all convolutions, for the backward pass too if `training`.
    pub fn pack(&mut self, program: &Program, training: bool, workers: &Workers) {
        let parameters = &self.parameters;
        workers.each(&mut self.packed, |i, packed| {
            let step = &program.steps[i];
            if let Kernel::Conv { plan, weight, .. } = &step.kernel {
                let weights = program.slots[*weight].of(parameters);
                let wanted = training && program.wants_gradient[step.inputs[0]];
                plan.pack(program.simd, weights, wanted, packed);
            }
        });
    }

    /// Normalises with running statistics: all normalisations, or the frozen ones alone.
    pub fn use_running_statistics(&mut self, program: &Program, only_frozen: bool) {
        for step in &program.steps {
            if let Kernel::Norm { index, gamma, epsilon, is_frozen, .. } = step.kernel
                && (is_frozen || !only_frozen)
            {
                let [mean, variance] = self.running[index].clone();
                self.normalise(program, index, gamma, epsilon, &mean, &variance);
            }
        }
    }

    /// Normalises with these statistics.
    pub fn normalise(
        &mut self,
        program: &Program,
        index: usize,
        gamma: usize,
        epsilon: f32,
        mean: &[f32],
        variance: &[f32],
    ) {
        let [gamma, beta] = [gamma, gamma + 1].map(|s| program.slots[s].of(&self.parameters));
        self.affine[index] = Affine::new(gamma, beta, mean, variance, epsilon);
        self.backward[index] = Backward::frozen(&self.affine[index]);
    }
}

fn scale_and_shift(params: &Params) -> [Vec<f32>; 2] {
    match params {
        Params::Normalize { mean, std } => {
            let scale: Vec<f32> = std.data.iter().map(|s| 1.0 / s).collect();
            let shift: Vec<f32> = mean.data.iter().zip(&scale).map(|(m, s)| -m * s).collect();
            [norm::repeated(&scale), norm::repeated(&shift)]
        }
        Params::Conv { .. } | Params::BatchNorm { .. } | Params::Linear { .. } => {
            panic!("G6: a normalisation has constants")
        }
    }
}
