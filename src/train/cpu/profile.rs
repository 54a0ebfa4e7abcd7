//! Where the time of a training step goes.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::data::Samples;
use crate::graph::Network;
use crate::train::TrainPlan;

use super::Cpu;
use super::batches::Feed;
use super::optimizer::Rule;
use super::program::Program;
use super::session::Objective;
use super::session::Session;
use super::workers::Workers;

/// Times of some training steps on one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Of each step: forward, backward and update.
    pub steps: Vec<Duration>,
    /// Sum over steps and chunks by kind of work, e.g. `Conv forward`.
    pub kernels: BTreeMap<String, Duration>,
}

impl Cpu {
    /// Times `steps` training steps of `network` on a batch of all `samples`, as planned.
    pub fn profile(
        &self,
        network: &Network,
        samples: &Samples,
        plan: &TrainPlan,
        steps: usize,
    ) -> Profile {
        let program = Program::compile(&network.graph, self.simd, &[], &plan.frozen);
        let workers = Workers::new(plan.threads);
        let mut session = Session::new(&program, network, samples.len(), Objective::default());
        let plan = TrainPlan { batch: samples.len(), ..plan.clone() };
        let mut feed = Feed::new(samples, program.classes(), &plan);
        let order = feed.order(1);
        feed.fill(&mut session, 1, &order, 0);
        let rule = Rule::at(0, steps, &plan);
        let step = |_| {
            let start = Instant::now();
            session.step(&rule, &workers);
            start.elapsed()
        };
        let steps = (0..steps).map(step).collect();
        let mut kernels: BTreeMap<String, Duration> = BTreeMap::new();
        for (name, time) in session.chunks.iter().flat_map(|c| &c.times) {
            *kernels.entry(name.to_string()).or_default() += *time;
        }
        Profile { steps, kernels }
    }
}
