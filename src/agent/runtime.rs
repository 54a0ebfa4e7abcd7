//! The door to inference libraries.
use std::path::Path;
use std::time::Duration;

use super::inputs::InputError;
use super::inputs::InputSpec;
use super::inputs::TensorData;
use super::protocol::MemoryUse;
use super::protocol::OpTime;
use super::protocol::ProviderShare;
use super::protocol::Refusal;
use super::protocol::RuntimeFacts;
use super::scan::ScanError;

/// An inference library.
///
/// The agent calls [`load`](Self::load) at most once per request. A runtime may panic on a bad
/// model: the caller is guarded.
pub trait Runtime {
    /// As requests name it.
    fn name(&self) -> &'static str;

    /// Its version.
    fn version(&self) -> String;

    /// Does it only say what runs took, while nothing runs? Then the state of the machine around it
    /// means nothing, and is not read.
    fn simulates(&self) -> bool {
        false
    }

    /// Refuses a model that [`load`](Self::load) must not see. The agent asks once before, so that
    /// this is no part of what is timed and weighed.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Model`].
    fn check(&self, model: Source<'_>) -> Result<(), RuntimeError> {
        let _ = model;
        Ok(())
    }

    /// Times each operation of `model` on inputs of [`Fill::Scattered`](super::Fill::Scattered): the median of the last `runs`
    /// of twice as many, in the order in which they are run.
    ///
    /// Looking costs time of its own, so the sum is more than a run takes.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Model`], also if the library cannot tell.
    fn per_op(
        &self,
        model: Source<'_>,
        threads: usize,
        runs: u32,
    ) -> Result<Vec<OpTime>, RuntimeError> {
        let _ = (model, threads, runs);
        let reason = "it does not tell what single operations take".to_owned();
        Err(RuntimeError::Model { runtime: self.name(), doing: "profile", reason })
    }

    /// Makes `model` ready to run on at most `threads` threads.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Model`] if the library refuses the model.
    fn load(&self, model: Source<'_>, threads: usize) -> Result<Box<dyn Loaded>, RuntimeError>;
}

/// Where a model is.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In a file of the device.
    File(&'a Path),
    /// In memory.
    Bytes(&'a [u8]),
}

/// A model that is ready to run.
pub trait Loaded {
    /// What it is to be run on.
    fn inputs(&self) -> &[InputSpec];

    /// Threads that a run may use.
    fn threads(&self) -> usize;

    /// Does the thread that calls [`run`](Self::run) wait while others compute, or is it one of
    /// them?
    fn caller_waits(&self) -> bool {
        false
    }

    /// Sets the inputs of all runs to come, which have the shapes of [`inputs`](Self::inputs).
    fn prepare(&mut self, inputs: Vec<TensorData>) -> Result<(), RuntimeError>;

    /// Runs once and says how long it took, from the prepared inputs to outputs in memory.
    fn run(&mut self) -> Result<Duration, RuntimeError>;

    /// What the last run computed.
    fn outputs(&mut self) -> Result<Vec<TensorData>, RuntimeError>;

    /// Who computes what, if the runtime has execution providers and tells.
    fn providers(&self) -> Option<Vec<ProviderShare>> {
        None
    }

    /// What memory it takes, if that is not what this process takes.
    fn simulated_memory(&self) -> Option<MemoryUse> {
        None
    }
}

/// What can go wrong inside the agent.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nobody ever heard of it.
    #[error("there is no runtime `{name}`; this agent knows {known}")]
    Unknown {
        /// As the request named it.
        name: String,
        /// Names that would have been right.
        known: String,
    },

    /// It is not installed.
    #[error("{reason}")]
    Missing {
        /// Where it was looked for, with a way out.
        reason: String,
    },

    /// The model file cannot be read.
    #[error("cannot read the model: {0}")]
    Unreadable(#[from] std::io::Error),

    /// The model is not fit for any library to see.
    #[error(transparent)]
    Scan(#[from] ScanError),

    /// The library refused the model, or failed at it.
    #[error("{runtime} cannot {doing} the model: {reason}")]
    Model {
        /// Which library.
        runtime: &'static str,
        /// `load` or `run`.
        doing: &'static str,
        /// In the library's words.
        reason: String,
    },

    /// The model's inputs cannot be made.
    #[error(transparent)]
    Inputs(#[from] InputError),

    /// The model wants something that is not a plain tensor of numbers.
    #[error("`{name}` is of type {element}, which cannot be generated or read back")]
    Element {
        /// Name of the input or output.
        name: String,
        /// Its type, in the library's words.
        element: String,
    },
}

impl RuntimeError {
    /// Whose fault it is.
    pub fn kind(&self) -> Refusal {
        match self {
            Self::Unknown { .. } | Self::Missing { .. } => Refusal::Runtime,
            Self::Inputs(InputError::Mismatch { .. }) => Refusal::Request,
            Self::Inputs(InputError::TooLarge { .. })
            | Self::Unreadable(_)
            | Self::Scan(_)
            | Self::Model { .. }
            | Self::Element { .. } => Refusal::Model,
        }
    }
}

/// The runtimes that an agent offers.
pub trait Runtimes {
    /// All known ones, the ready ones first in the order of preference.
    fn list(&self) -> Vec<RuntimeFacts>;

    /// The one called `name`, from `library` where that is given.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Unknown`] and [`RuntimeError::Missing`].
    fn open(&self, name: &str, library: Option<&Path>) -> Result<Box<dyn Runtime>, RuntimeError>;
}
