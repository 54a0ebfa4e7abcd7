//! Why there is no measurement.
use std::io;
use std::path::PathBuf;

use crate::device::DeviceError;

/// Stands for the model where there is none.
pub(super) const NO_MODEL: &str = "the runtime";

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The model file cannot be read on the host.
    #[error("cannot read `{}`", path.display())]
    Model {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The model to be measured cannot be written on the host.
    #[error("cannot write `{}`, which is to be measured", path.display())]
    NotWritten {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The device does not have the runtime.
    #[error("the runtime `{runtime}` is not ready on {device}: {reason}")]
    NoRuntime {
        /// As it was asked for.
        runtime: String,
        /// Address of the device.
        device: String,
        /// In the agent's words, with a way out.
        reason: String,
    },

    /// The device, its runner or the model failed.
    #[error("cannot measure `{model}`")]
    Device {
        /// What was to be measured; `the runtime` for its memory baseline.
        model: String,
        /// How.
        source: DeviceError,
    },
}

impl MeasureError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Device { source, .. } => source.hint(),
            Self::NotWritten { .. } => {
                Some("make room in the folder for temporary files, or name another by TMPDIR")
            }
            Self::Model { .. } | Self::NoRuntime { .. } => None,
        }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Device { source, .. } => source.is_transient(),
            Self::Model { .. } | Self::NotWritten { .. } | Self::NoRuntime { .. } => false,
        }
    }

    /// Whether there was no room on the host, which may come back.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::NotWritten { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
            }
            Self::Model { .. } | Self::NoRuntime { .. } | Self::Device { .. } => false,
        }
    }

    /// Whether no model could have been measured: then it is no result of this one.
    pub fn concerns_every_model(&self) -> bool {
        match self {
            Self::Device { source, .. } => source.concerns_every_model(),
            Self::NotWritten { .. } | Self::NoRuntime { .. } => true,
            Self::Model { .. } => false,
        }
    }

    /// Whether the model is to blame, and the device is fine: exit code 3 instead of 12.
    pub fn is_the_models_fault(&self) -> bool {
        match self {
            Self::Device { model, source } => model != NO_MODEL && source.is_the_models_fault(),
            Self::Model { .. } => true,
            Self::NotWritten { .. } | Self::NoRuntime { .. } => false,
        }
    }
}
