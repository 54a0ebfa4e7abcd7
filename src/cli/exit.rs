//! Exit codes: API, decided in one place.
use std::process::ExitCode;

use crate::data::DataError;
use crate::device::DeviceError;
use crate::device::ProfileError;
use crate::engine::ConfigError;
use crate::engine::EngineError;
use crate::measure::MeasureError;
use crate::report::ReportError;
use crate::store::StoreError;
use crate::tabular::TableError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Unexpected failure.
    Failure = 1,
    /// Wrong usage.
    Usage = 2,
    /// Bad configuration, data or model.
    BadInput = 3,
    /// Nothing selected: an empty front, no such candidate.
    Nothing = 4,
    /// The device is unknown, unavailable or unhealthy.
    Device = 12,
    /// The store is in use by another process.
    StoreInUse = 20,
    /// Interrupted; the state is saved.
    Interrupted = 130,
}

/// A selection that selects nothing; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NothingSelected(pub String);

/// A run goes on only on the device, and with the runtime, that it was measured with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AnotherDevice(pub String);

/// A value on the command line that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl Exit {
    /// The code for an error: the first cause that has one.
    pub fn of(error: &anyhow::Error) -> Exit {
        let known = error.chain().find_map(of_cause);
        known.unwrap_or(Exit::Failure)
    }
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if cause.is::<UsageError>() {
        return Some(Exit::Usage);
    }
    if cause.is::<NothingSelected>() {
        return Some(Exit::Nothing);
    }
    if cause.is::<DataError>() || cause.is::<ConfigError>() {
        return Some(Exit::BadInput);
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(of_store(error));
    }
    if let Some(error) = cause.downcast_ref::<ProfileError>() {
        return Some(of_profile(error));
    }
    if cause.is::<DeviceError>() || cause.is::<AnotherDevice>() {
        return Some(Exit::Device);
    }
    if let Some(ReportError::Store(error)) = cause.downcast_ref::<ReportError>() {
        return Some(of_store(error));
    }
    if let Some(error) = cause.downcast_ref::<MeasureError>() {
        return Some(of_measure(error));
    }
    if let Some(error) = cause.downcast_ref::<TableError>() {
        return Some(of_table(error));
    }
    match cause.downcast_ref::<EngineError>()? {
        EngineError::Store(error) => Some(of_store(error)),
        EngineError::Measure(error) => Some(of_measure(error)),
        EngineError::ImpossibleLimit { .. }
        | EngineError::NothingTrained { .. }
        | EngineError::Config(_)
        | EngineError::CannotSearch(_) => Some(Exit::BadInput),
        EngineError::InterruptedWhilePaused => Some(Exit::Interrupted),
        EngineError::Weights { .. } | EngineError::Replay(_) | EngineError::Reference(_) => None,
    }
}

fn of_store(error: &StoreError) -> Exit {
    match error {
        _ if error.is_busy() => Exit::StoreInUse,
        StoreError::NoSuchRun { .. } => Exit::Nothing,
        StoreError::Damaged { .. } => Exit::Failure,
        _ => Exit::BadInput,
    }
}

fn of_table(error: &TableError) -> Exit {
    match error {
        TableError::Interrupted => Exit::Interrupted,
        TableError::Trace(_) => Exit::Failure,
        TableError::NoFormat { .. }
        | TableError::NoDevice { .. }
        | TableError::NoStrategy { .. }
        | TableError::TooManyQueries { .. } => Exit::Usage,
        _ => Exit::BadInput,
    }
}

fn of_profile(error: &ProfileError) -> Exit {
    match error {
        ProfileError::Address { .. } => Exit::Device,
        _ => Exit::BadInput,
    }
}

fn of_measure(error: &MeasureError) -> Exit {
    match error.is_the_models_fault() {
        true => Exit::BadInput,
        false => Exit::Device,
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
