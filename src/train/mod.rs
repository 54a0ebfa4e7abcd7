//! How good a network is: training, evaluation, and what is seen inside it.
//!
//! [`Trainer`] is the door; nothing in it supposes a processor of this machine.

mod cpu;
mod formula;

pub use cpu::Cpu;
pub use cpu::Level;
pub use cpu::Profile;
pub use cpu::Simd;
pub use formula::Formula;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::Serialize;

pub use crate::data::Augment;
use crate::data::DataError;
use crate::data::DataSet;
use crate::data::Samples;
use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::units::Bytes;
use crate::units::Fraction;

/// Trains and scores networks.
///
/// The engine calls it from its train lanes, several at a time; implementations hold no state
/// between calls. Deterministic: the same network, data and plan give the same result, at any
/// number of threads.
pub trait Trainer: Send + Sync {
    /// Name in configuration, logs and the store, e.g. `cpu`.
    fn name(&self) -> &str;

    /// Most memory that training `graph` at this batch size will hold, known before it starts.
    fn peak_memory(&self, graph: &Graph, batch: usize) -> Bytes;

    /// Does it look at weights? One that does not may be given networks without any.
    fn reads_weights(&self) -> bool {
        true
    }

    /// Trains a copy of `network` on `data.train`, scoring `data.validation` after each epoch.
    ///
    /// `watch` is called after each epoch and may stop the training, which is not an error; nor is
    /// a stop by the plan's flag, after which the epoch under way is missing in the curve.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] on a loss that is not finite, or what the trainer cannot do.
    fn train(
        &self,
        network: &Network,
        data: &DataSet,
        plan: &TrainPlan,
        watch: &mut dyn FnMut(&Epoch) -> Watch,
    ) -> Result<(Network, TrainReport), TrainError>;

    /// Error and loss of `network` on `samples`, in evaluation mode.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] if an output is not finite.
    fn evaluate(&self, network: &Network, samples: &Samples) -> Result<Evaluation, TrainError>;

    /// Values at `nodes` while `samples` pass in evaluation mode.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] if a value is not finite.
    fn observe(
        &self,
        network: &Network,
        samples: &Samples,
        nodes: &[NodeId],
    ) -> Result<Activations, TrainError>;

    /// A copy of `network` whose batch normalisations have the statistics of `samples`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] if a statistic is not finite.
    fn recalibrate(&self, network: &Network, samples: &Samples) -> Result<Network, TrainError>;
}

/// How to train. [`TrainPlan::default`] is the default of every field.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainPlan {
    /// Passes over the training data.
    pub epochs: u32,
    /// Images a step.
    pub batch: usize,
    /// Learning rate at the start of the cosine schedule, which ends at 0.
    pub learning_rate: f32,
    /// Steps of linear warm-up before the schedule.
    pub warmup_steps: u32,
    /// Of the (Nesterov) momentum.
    pub momentum: f32,
    /// Coupled L2 decay of weights; biases, gamma and beta are free of it.
    pub weight_decay: f32,
    /// Share of the target given to all classes alike, `0.0..1.0`.
    pub label_smoothing: f32,
    /// Gradients are scaled down to this global norm; 0 means never.
    pub clip_norm: f32,
    /// What is done to training images.
    pub augment: Augment,
    /// Learn from another network's outputs too.
    pub distill: Option<Distill>,
    /// Nodes whose parameters stay as they are.
    pub frozen: Vec<NodeId>,
    /// Of the order of images, augmentation and dropout.
    pub seed: u64,
    /// Threads to use; never changes the result.
    pub threads: usize,
    /// Ends the training at its next step, from another thread.
    pub stop: StopFlag,
}

/// Set once to end a training that is under way; it is no part of what is trained, so all flags are
/// equal.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(pub Arc<AtomicBool>);

impl StopFlag {
    /// Was it set?
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for StopFlag {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Distillation: part of the loss is the cross entropy to a teacher's softened outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Distill {
    /// Who is imitated.
    pub teacher: Arc<Network>,
    /// Share of the loss, `0.0..=1.0`.
    pub weight: f32,
    /// Of the softmax of both; the gradient is scaled by its square.
    pub temperature: f32,
}

impl Default for TrainPlan {
    fn default() -> Self {
        TrainPlan {
            epochs: 10,
            batch: 64,
            learning_rate: 0.05,
            warmup_steps: 0,
            momentum: 0.9,
            weight_decay: 5e-4,
            label_smoothing: 0.0,
            clip_norm: 5.0,
            augment: Augment::default(),
            distill: None,
            frozen: Vec::new(),
            seed: 0,
            threads: 1,
            stop: StopFlag::default(),
        }
    }
}

/// One epoch's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Error on the validation split.
    pub validation_error: Fraction,
    /// Cross entropy on the validation split.
    pub validation_loss: f64,
}

/// What the watcher of a training wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Train on.
    Continue,
    /// Stop here and return the network as it is.
    Stop,
}

/// How a training went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// One entry per finished epoch.
    pub curve: Vec<Epoch>,
    /// Did the watcher stop it, or the plan's flag?
    pub stopped: bool,
}

/// Score of a network on some samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// `1 - accuracy`.
    pub error: Fraction,
    /// Mean cross entropy, in nats.
    pub loss: f64,
    /// Number of samples.
    pub samples: usize,
}

/// Why there is no trained network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss or a value became NaN or infinite.
    #[error("training diverged in epoch {epoch}: the loss is not finite")]
    Diverged {
        /// Counted from 1; 0 outside of training.
        epoch: u32,
    },
    /// The images do not fit the network.
    #[error(
        "the network reads images of {}, but these are {}; use a data set of the network's shape",
        text(network),
        text(images)
    )]
    WrongShape {
        /// `[C, H, W]` of the input.
        network: [usize; 3],
        /// `[C, H, W]` of the images.
        images: [usize; 3],
    },
    /// The augmentation does not fit the images.
    #[error(transparent)]
    WrongAugment(#[from] DataError),
    /// The classes do not fit the network.
    #[error(
        "the network has {outputs} outputs for {classes} classes; replace its last linear layer"
    )]
    WrongClasses {
        /// Outputs of the network.
        outputs: usize,
        /// Classes of the data set.
        classes: usize,
    },
}

/// `3×32×32`.
fn text(shape: &[usize; 3]) -> String {
    shape.map(|n| n.to_string()).join("×")
}
