//! Why there is no measurement.
use std::io;
use std::path;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::agent::Heat;
use crate::device::DeviceError;
use crate::units::Bytes;

use super::sustained::NoCurve;

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

    /// The device did not cool down in time.
    #[error(
        "{heat} on {device}, a measurement begins at {limit_c} °C; waited {} s",
        waited.as_secs()
    )]
    TooHot {
        /// Address of the device.
        device: String,
        /// The hottest of the zones that count.
        heat: Heat,
        /// [`Gates::start_max_c`](super::Gates::start_max_c).
        limit_c: f64,
        /// How long it was waited for.
        waited: Duration,
    },

    /// The device became too hot amid a measurement without a pause.
    #[error(
        "{device} became too hot to run `{model}` without a pause: {heat}, {limit_c} are allowed"
    )]
    Overheated {
        /// What was measured.
        model: String,
        /// Address of the device.
        device: String,
        /// The hottest of the zones that count.
        heat: Heat,
        /// [`Gates::abort_c`](super::Gates::abort_c).
        limit_c: f64,
    },

    /// It did so each time.
    #[error(
        "{device} became too hot {times} times while it ran `{model}` without a pause, which is more \
         than it can take: {heat}, {limit_c} are allowed"
    )]
    Overheats {
        /// What was measured.
        model: String,
        /// Address of the device.
        device: String,
        /// How often it was tried.
        times: u32,
        /// The last time.
        heat: Heat,
        /// [`Gates::abort_c`](super::Gates::abort_c).
        limit_c: f64,
    },

    /// The model is too slow for a latency after so long.
    #[error(
        "`{model}` made {} runs in {:.0} s without a pause, a latency after so long needs {}",
        few.runs,
        few.seconds,
        few.least
    )]
    NoCurve {
        /// What was measured.
        model: String,
        /// How few runs it made.
        few: NoCurve,
    },

    /// The battery is too low to begin.
    #[error("the battery of {device} has {percent} %, a measurement begins with {limit} %")]
    LowBattery {
        /// Address of the device.
        device: String,
        /// Its charge.
        percent: f64,
        /// [`Gates::battery_min_percent`](super::Gates::battery_min_percent).
        limit: f64,
    },

    /// The battery does not charge, but must.
    #[error("the battery of {device} does not charge, a measurement begins only when it does")]
    NotCharging {
        /// Address of the device.
        device: String,
    },

    /// Nearly nothing fits on the device any more.
    #[error("{free} are free on {device}, {least} are wanted")]
    NoSpace {
        /// Address of the device.
        device: String,
        /// What is free where models are put.
        free: Bytes,
        /// What is wanted.
        least: Bytes,
    },

    /// Not even the reference model runs.
    #[error(
        "the reference model does not run on {device}: {reason} (fault {faults}; after {most} in a \
         row the device is not used any more)"
    )]
    Unfit {
        /// Address of the device.
        device: String,
        /// Faults in a row, this one included.
        faults: u32,
        /// Faults from which on it is in quarantine.
        most: u32,
        /// Why it does not.
        reason: String,
    },

    /// The device went away each time that it ran the model.
    #[error("the device went away {losses} times while it ran `{model}`, which may bring it down")]
    BringsDown {
        /// What was to be measured.
        model: String,
        /// How often it was tried.
        losses: u32,
        /// The last time.
        source: Box<DeviceError>,
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
            Self::TooHot { .. } | Self::Overheated { .. } | Self::Overheats { .. } => {
                Some("let it cool down: away from the sun, off its charger, a fan; or wait longer")
            }
            Self::LowBattery { .. } | Self::NotCharging { .. } => {
                Some("connect its charger, to a port that gives enough")
            }
            Self::NoSpace { .. } => {
                Some("make room there, or name another `workdir` for the device")
            }
            Self::Unfit { .. } => {
                Some("start the device anew; `citronade devices check NAME` tries it")
            }
            Self::BringsDown { .. } => {
                Some("does its power supply hold under load, and has it memory for the model?")
            }
            Self::NoCurve { .. } => Some("let it run for longer: a larger `sustained`"),
            Self::NoRuntime { .. } => Some("`--runtime tract` is always there"),
            Self::Model { .. } => None,
        }
    }

    /// Whether the device was not in the state it must be in to be measured.
    pub fn is_a_closed_gate(&self) -> bool {
        match self {
            Self::TooHot { .. }
            | Self::Overheated { .. }
            | Self::LowBattery { .. }
            | Self::NotCharging { .. } => true,
            Self::Model { .. }
            | Self::NotWritten { .. }
            | Self::NoRuntime { .. }
            | Self::NoSpace { .. }
            | Self::Unfit { .. }
            | Self::BringsDown { .. }
            | Self::Overheats { .. }
            | Self::NoCurve { .. }
            | Self::Device { .. } => false,
        }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Device { source, .. } => source.is_transient(),
            Self::TooHot { .. }
            | Self::Overheated { .. }
            | Self::LowBattery { .. }
            | Self::NotCharging { .. }
            | Self::NoSpace { .. }
            | Self::Unfit { .. } => true,
            Self::Model { .. }
            | Self::NotWritten { .. }
            | Self::NoRuntime { .. }
            | Self::Overheats { .. }
            | Self::NoCurve { .. }
            | Self::BringsDown { .. } => false,
        }
    }

    /// Whether there was no room on the host, which may come back.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::NotWritten { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
            }
            Self::Model { .. }
            | Self::NoRuntime { .. }
            | Self::TooHot { .. }
            | Self::Overheated { .. }
            | Self::Overheats { .. }
            | Self::NoCurve { .. }
            | Self::LowBattery { .. }
            | Self::NotCharging { .. }
            | Self::NoSpace { .. }
            | Self::Unfit { .. }
            | Self::BringsDown { .. }
            | Self::Device { .. } => false,
        }
    }

    /// Whether the device was lost while it ran this very model: not while that was brought there, nor at
    /// the reference model.
    pub fn is_a_lost_run_of(&self, model: &Path) -> bool {
        match self {
            Self::Device { model: lost, source: DeviceError::Gone { at_work, .. } } => {
                let it = path::absolute(model);
                *at_work && it.is_ok_and(|it| it.to_string_lossy() == *lost)
            }
            _ => false,
        }
    }

    /// The same after `losses` lost runs of one model: it is its doing.
    pub fn brings_down(self, losses: u32) -> Self {
        match self {
            Self::Device { model, source } => {
                Self::BringsDown { model, losses, source: Box::new(source) }
            }
            other => other,
        }
    }

    /// The same after `times` times that the device became too hot, having begun cool enough: it is
    /// the model's doing.
    pub fn overheats(self, times: u32) -> Self {
        match self {
            Self::Overheated { model, device, heat, limit_c } => {
                Self::Overheats { model, device, times, heat, limit_c }
            }
            other => other,
        }
    }

    /// Whether waiting may help: no room on the host, a device that is away, taken, full, too hot,
    /// too low on its battery, or so unwell that not even the reference model runs.
    pub fn may_pass(&self) -> bool {
        let is_away = match self {
            Self::Device { source, .. } => source.is_away(),
            Self::NoSpace { .. } | Self::Unfit { .. } => true,
            _ => false,
        };
        is_away || self.is_full() || self.is_a_closed_gate()
    }

    /// Whether no model could have been measured: then it is no result of this one.
    pub fn concerns_every_model(&self) -> bool {
        match self {
            Self::Device { source, .. } => source.concerns_every_model(),
            Self::NotWritten { .. }
            | Self::NoRuntime { .. }
            | Self::TooHot { .. }
            | Self::Overheated { .. }
            | Self::LowBattery { .. }
            | Self::NotCharging { .. }
            | Self::NoSpace { .. }
            | Self::Unfit { .. } => true,
            Self::Model { .. }
            | Self::BringsDown { .. }
            | Self::Overheats { .. }
            | Self::NoCurve { .. } => false,
        }
    }

    /// Whether the model is to blame, and the device is fine: exit code 3 instead of 12.
    pub fn is_the_models_fault(&self) -> bool {
        match self {
            Self::Device { model, source } => model != NO_MODEL && source.is_the_models_fault(),
            Self::Model { .. }
            | Self::BringsDown { .. }
            | Self::Overheats { .. }
            | Self::NoCurve { .. } => true,
            Self::NotWritten { .. }
            | Self::NoRuntime { .. }
            | Self::TooHot { .. }
            | Self::Overheated { .. }
            | Self::LowBattery { .. }
            | Self::NotCharging { .. }
            | Self::NoSpace { .. }
            | Self::Unfit { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loss_amid_a_run_of_the_very_model_is_laid_to_it() {
        let lost = |model: &str, at_work| {
            let (address, doing, complaint) = ("a".into(), "b".into(), String::new());
            let source = DeviceError::Gone { address, doing, complaint, at_work };
            let error = MeasureError::Device { model: model.to_owned(), source };
            error.is_a_lost_run_of(Path::new("/x/candidate.onnx"))
        };
        assert!(lost("/x/candidate.onnx", true));
        assert!(!lost("/x/candidate.onnx", false), "it was on its way there");
        assert!(!lost("/y/reference.onnx", true) && !lost(NO_MODEL, true));
    }
}
