//! From a parent's weights to a trained child: what a train lane does.
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use crate::data::DataSet;
use crate::data::Samples;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::Weights;
use crate::morphism;
use crate::morphism::Applied;
use crate::morphism::Exactness;
use crate::morphism::MorphismError;
use crate::space;
use crate::store::StepOutcome;
use crate::train::Distill;
use crate::train::Epoch;
use crate::train::TrainError;
use crate::train::TrainPlan;
use crate::train::Trainer;
use crate::train::Watch;

/// Images that morphisms see.
const OBSERVED_IMAGES: usize = 128;
/// Images that batch normalisations are calibrated on.
const CALIBRATION_IMAGES: usize = 1024;
/// Images that the error before and after a morphism is counted on.
const PROBE_IMAGES: usize = 1000;
/// Images that a child imitates its parent on.
pub(super) const IMITATED_IMAGES: usize = 3000;
/// Share of the distillation loss.
const DISTILL_WEIGHT: f32 = 0.9;
/// Temperature of the distillation.
const DISTILL_TEMPERATURE: f32 = 2.0;

/// The data set and the parts of it that development looks at, taken once.
#[derive(Debug)]
pub struct Material {
    /// All of it.
    pub data: DataSet,
    /// Mean and standard deviation of the training images, by channel.
    pub statistics: (Vec<f32>, Vec<f32>),
    observed: Samples,
    calibration: Samples,
    probe: Samples,
    /// What a child imitates its parent on: few images, for its own epochs teach it more
    /// (`cargo bench --bench imitation`).
    imitated: DataSet,
}

/// Where a network's weights come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Random numbers.
    Scratch(Graph),
    /// A parent, and what is done to it.
    Parent {
        /// The parent as it was trained.
        network: Arc<Network>,
        /// In order.
        steps: Vec<Applied>,
    },
    /// Nowhere: for a trainer that reads no weights, where nobody else wants any either.
    Nowhere {
        /// The first structure.
        graph: Graph,
        /// What is done to it, in order.
        steps: Vec<Applied>,
    },
}

/// A trained candidate.
#[derive(Debug)]
pub struct Developed {
    /// With its final weights.
    pub network: Network,
    /// Validation error.
    pub error: f64,
    /// Training curve.
    pub curve: Vec<Epoch>,
    /// Did the watcher stop it?
    pub stopped: bool,
    /// What each morphism did before training.
    pub outcomes: Vec<StepOutcome>,
}

/// Why there is no trained candidate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevelopError {
    /// The trainer could not.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A morphism could not.
    #[error(transparent)]
    Morphism(#[from] MorphismError),
}

impl Material {
    /// Takes the parts of `data` that development looks at.
    pub fn new(data: DataSet) -> Material {
        let probe = data.validation.take(PROBE_IMAGES, 3);
        let imitated = DataSet {
            name: data.name.clone(),
            shape: data.shape,
            classes: data.classes.clone(),
            notes: Vec::new(),
            train: data.train.take(IMITATED_IMAGES, 4),
            validation: probe.clone(),
            test: data.test.subset(&[]),
        };
        Material {
            imitated,
            statistics: crate::data::channel_statistics(&data.train),
            observed: data.train.take(OBSERVED_IMAGES, 1),
            calibration: data.train.take(CALIBRATION_IMAGES, 2),
            probe,
            data,
        }
    }

    /// Random weights for `graph`, normalised for this data.
    pub fn scratch(&self, graph: &Graph, rng: &mut ChaCha8Rng) -> Network {
        let (mean, std) = &self.statistics;
        space::initial_weights(graph, mean, std, rng)
    }
}

/// Makes the weights of a candidate and trains them.
///
/// `distill_epochs` of imitation of the parent come before the plan's own epochs if a morphism
/// was approximate.
///
/// # Errors
///
/// What trainer and morphisms answer; a stop by `watch` is none.
pub fn develop(
    trainer: &dyn Trainer,
    material: &Material,
    source: Source,
    plan: &TrainPlan,
    distill_epochs: u32,
    rng: &mut ChaCha8Rng,
    watch: &mut dyn FnMut(&Epoch) -> Watch,
) -> Result<Developed, DevelopError> {
    let (network, outcomes) = match source {
        Source::Scratch(graph) => (material.scratch(&graph, rng), Vec::new()),
        Source::Parent { network: parent, steps } => {
            let (child, outcomes) = inherit(trainer, material, &parent, &steps, rng)?;
            let near = outcomes.iter().any(|o| is_approximate(&o.step.morphism));
            let child = match near && distill_epochs > 0 {
                true => distilled(trainer, material, child, parent, plan, distill_epochs)?,
                false => child,
            };
            (child, outcomes)
        }
        Source::Nowhere { graph, steps } => without_weights(trainer, material, graph, steps)?,
    };
    let (network, report) = trainer.train(&network, &material.data, plan, watch)?;
    let error = match report.curve.last() {
        Some(epoch) => epoch.validation_error.0,
        // Nobody reads it.
        None if report.stopped => 1.0,
        None => trainer.evaluate(&network, &material.data.validation)?.error.0,
    };
    Ok(Developed { network, error, curve: report.curve, stopped: report.stopped, outcomes })
}

/// Does this morphism change what the network computes?
pub(super) fn is_approximate(name: &str) -> bool {
    morphism::by_name(name).is_ok_and(|m| m.exactness() == Exactness::Approximate)
}

/// Applies the chain of morphisms to the parent's weights, counting the error at each link.
fn inherit(
    trainer: &dyn Trainer,
    material: &Material,
    parent: &Network,
    steps: &[Applied],
    rng: &mut ChaCha8Rng,
) -> Result<(Network, Vec<StepOutcome>), DevelopError> {
    let mut network = parent.clone();
    let mut outcomes = Vec::new();
    let mut before = trainer.evaluate(&network, &material.probe)?.error.0;
    for applied in steps {
        let morphism = morphism::by_name(&applied.step.morphism)?;
        let wanted = morphism.observes(&network.graph, applied);
        let seen = trainer.observe(&network, &material.observed, &wanted)?;
        network = morphism.initialise(&network, applied, &seen, rng)?;
        if morphism.exactness() == Exactness::Approximate {
            network = trainer.recalibrate(&network, &material.calibration)?;
        }
        let after = trainer.evaluate(&network, &material.probe)?.error.0;
        let step = applied.step.clone();
        outcomes.push(StepOutcome { step, error_before: before, error_after: after });
        before = after;
    }
    Ok((network, outcomes))
}

/// The last structure, counting the error at each link: what [`inherit`] does, less the weights.
fn without_weights(
    trainer: &dyn Trainer,
    material: &Material,
    graph: Graph,
    steps: Vec<Applied>,
) -> Result<(Network, Vec<StepOutcome>), DevelopError> {
    let mut network = Network { graph, weights: Weights::new() };
    let mut outcomes = Vec::with_capacity(steps.len());
    let mut before = None;
    for Applied { graph, step } in steps {
        let error_before = match before {
            Some(error) => error,
            None => trainer.evaluate(&network, &material.probe)?.error.0,
        };
        network.graph = graph;
        let error_after = trainer.evaluate(&network, &material.probe)?.error.0;
        outcomes.push(StepOutcome { step, error_before, error_after });
        before = Some(error_after);
    }
    Ok((network, outcomes))
}

/// A short imitation of the parent.
fn distilled(
    trainer: &dyn Trainer,
    material: &Material,
    child: Network,
    teacher: Arc<Network>,
    plan: &TrainPlan,
    epochs: u32,
) -> Result<Network, DevelopError> {
    let (weight, temperature) = (DISTILL_WEIGHT, DISTILL_TEMPERATURE);
    let distill = Some(Distill { teacher, weight, temperature });
    let seed = plan.seed ^ 1;
    let plan = TrainPlan { epochs, distill, seed, ..plan.clone() };
    let (child, _) = trainer.train(&child, &material.imitated, &plan, &mut |_| Watch::Continue)?;
    Ok(child)
}
