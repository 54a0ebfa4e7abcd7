//! Holding the device while a model is measured: the lock, the model there, patience with crashes.
use std::path::Path;
use std::time::Duration;

use crate::device::DeviceError;

use super::Bench;
use super::MeasureError;
use super::ModelFile;
use super::NO_MODEL;
use super::Plan;
use crate::measure::hold::Hold;

/// One measurement as the device sees it: it is ours, and the model is there.
pub(super) struct Visit<'a> {
    pub(super) file: &'a ModelFile,
    /// The model's name on the device.
    pub(super) placed: String,
    hold: Hold,
    pub(super) patience: Patience,
    /// The longest that a launch may take.
    longest: Duration,
}

/// One crash of a measurement is forgiven.
pub(super) struct Patience {
    crashes: u32,
}

impl Patience {
    /// Makes a launch, and once more if it crashed and none did before.
    pub(super) fn with<T>(
        &mut self,
        launch: impl Fn() -> Result<T, MeasureError>,
    ) -> Result<T, MeasureError> {
        match launch() {
            Err(error) if error.is_transient() && self.crashes == 0 && !is_final(&error) => {
                self.crashes += 1;
                launch()
            }
            result => result,
        }
    }
}

/// Waiting as long again would tell nothing new; and where there is no runner, no model is either.
fn is_final(error: &MeasureError) -> bool {
    match error {
        MeasureError::Device { source, .. } => {
            matches!(source, DeviceError::Hung { .. }) || source.is_missing_runner()
        }
        _ => false,
    }
}

impl Bench {
    /// Takes the device, and brings the model there.
    pub(super) fn visit<'a>(
        &self,
        model: &Path,
        file: &'a ModelFile,
        plan: &Plan,
    ) -> Result<Visit<'a>, MeasureError> {
        let mut patience = Patience { crashes: 0 };
        let hold = patience.with(|| self.hold(plan.longest()))?;
        let placed = self.place(model, file)?;
        let mut visit = Visit { file, placed, hold, patience, longest: plan.longest() };
        // Bringing it may have taken longer than the lease: then the device is taken anew, since
        // nothing was measured yet.
        if self.keep(&mut visit).is_err() {
            self.keep(&mut visit)?;
        }
        Ok(visit)
    }

    /// Keeps the device for longer; false if it had to be taken anew: somebody else may have had it
    /// since the last time.
    pub(super) fn keep(&self, visit: &mut Visit<'_>) -> Result<bool, MeasureError> {
        match visit.hold.renew() {
            Ok(()) => Ok(true),
            // It was the runner that held it, not the model.
            Err(error) if error.is_transient() => {
                let longest = visit.longest;
                visit.hold = visit.patience.with(|| self.hold(longest))?;
                Ok(false)
            }
            Err(source) => Err(self.failed(NO_MODEL, source)),
        }
    }

    /// Keeps the device for this bench until the value is dropped, waiting for others.
    pub(super) fn hold(&self, longest: Duration) -> Result<Hold, MeasureError> {
        Hold::take(&*self.transport, longest).map_err(|source| self.failed(NO_MODEL, source))
    }

    /// Brings the model to the device; says how it is called there.
    fn place(&self, model: &Path, file: &ModelFile) -> Result<String, MeasureError> {
        let placed = self.transport.place(model, &file.blake3);
        placed.map_err(|source| self.failed(&file.path, source))
    }
}
