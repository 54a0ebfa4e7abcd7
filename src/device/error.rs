//! What can go wrong between the host and a device.
use std::io;
use std::time::Duration;

use crate::agent::Refusal;

/// What can go wrong between the host and a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No transport reads this address.
    #[error("`{text}` is not the address of a device; `local` is this machine")]
    UnknownAddress {
        /// What was read.
        text: String,
    },

    /// The agent could not be started.
    #[error("the runner `{program}` cannot be started on {address}")]
    NotStarted {
        /// Whole command line.
        program: String,
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// Why.
        source: io::Error,
    },

    /// No answer in time; the agent was killed.
    #[error("the runner on {address} hung: no answer within {} s while it should {doing}; it was killed", timeout.as_secs_f64())]
    Hung {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// The limit that was hit.
        timeout: Duration,
    },

    /// The agent was ended by a signal.
    #[error(
        "the runner on {address} crashed (signal {signal}) while it should {doing}{}",
        tail(stderr_tail)
    )]
    Crashed {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// Which signal, e.g. 6 for an abort.
        signal: i32,
        /// Last lines of its standard error.
        stderr_tail: String,
    },

    /// The agent ended without an answer.
    #[error("the runner on {address} ended {} while it should {doing}{}", with_status(*status), tail(stderr_tail))]
    Ended {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// Exit status, if there is one.
        status: Option<i32>,
        /// Last lines of its standard error.
        stderr_tail: String,
    },

    /// Something else than the agent answered.
    #[error("what answers on {address} is not this version of the runner: {reason}")]
    Garbage {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// What was wrong with the line, and its start.
        reason: String,
    },

    /// The agent did not do it.
    #[error("{reason}")]
    Refused {
        /// Whose fault it is.
        kind: Refusal,
        /// In the agent's words.
        reason: String,
    },
}

impl DeviceError {
    /// What the user can do about it; printed by the CLI under the error.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UnknownAddress { .. } => Some("leave `--device` out to measure on this machine"),
            Self::NotStarted { .. } => Some("is the program there, and may it be executed?"),
            Self::Hung { .. } => {
                Some("the model may be too slow for this device, or the machine too busy")
            }
            Self::Crashed { signal: 6 | 9 | 11, .. } => {
                Some("the model may need more memory than is free on the device")
            }
            Self::Crashed { .. } | Self::Ended { .. } => {
                Some("`citronade doctor` shows whether the runner works at all")
            }
            Self::Garbage { .. } => Some("use the same version of citronade on both sides"),
            Self::Refused { kind: Refusal::Runtime, .. } => {
                Some("`--runtime tract` is always there")
            }
            Self::Refused { kind: Refusal::Model | Refusal::Request, .. } => None,
        }
    }

    /// Whether trying again can help; the engine retries only these.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Hung { .. } | Self::Crashed { .. } | Self::Ended { .. } => true,
            Self::UnknownAddress { .. }
            | Self::NotStarted { .. }
            | Self::Garbage { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Whether no model could have been run: the runner or the device is not what it should be.
    pub fn concerns_every_model(&self) -> bool {
        match self {
            Self::UnknownAddress { .. }
            | Self::NotStarted { .. }
            | Self::Garbage { .. }
            | Self::Refused { kind: Refusal::Request | Refusal::Runtime, .. } => true,
            Self::Hung { .. }
            | Self::Crashed { .. }
            | Self::Ended { .. }
            | Self::Refused { kind: Refusal::Model, .. } => false,
        }
    }

    /// Whether the model is to blame, and the device is fine.
    pub fn is_the_models_fault(&self) -> bool {
        match self {
            Self::Refused { kind: Refusal::Model, .. } | Self::Crashed { .. } => true,
            Self::Refused { kind: Refusal::Request | Refusal::Runtime, .. }
            | Self::Hung { .. }
            | Self::Ended { .. }
            | Self::UnknownAddress { .. }
            | Self::NotStarted { .. }
            | Self::Garbage { .. } => false,
        }
    }
}

fn with_status(status: Option<i32>) -> String {
    status.map_or_else(|| "without an answer".to_owned(), |s| format!("with status {s}"))
}

fn tail(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
