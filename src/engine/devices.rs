//! What the engine knows of the run's devices: who is there, who is away, who failed at what.
//!
//! A device that is away keeps nobody waiting while another is there. One measurement is tried on it
//! again and again; when that succeeds it is back, and measures what it missed.
use crate::measure::MeasureError;
use crate::store::CandidateId;
use crate::store::DeviceAt;
use crate::store::Measured;

use super::Engine;
use super::EngineError;
use super::Event;
use super::State;
use super::error::whole;

impl Engine {
    /// How often the device measured the candidate.
    pub(super) fn rounds(&self, device: DeviceAt, candidate: CandidateId) -> usize {
        self.state.candidates()[&candidate].rounds_on(device).count()
    }

    /// What an error of a device begins with, where there are several.
    pub(super) fn on(&self, device: DeviceAt) -> String {
        match self.run.devices.as_slice() {
            [_] => String::new(),
            several => format!("on {}: ", several[device].name),
        }
    }

    /// Takes note that a device is away.
    pub(super) fn miss(
        &mut self,
        device: DeviceAt,
        why: String,
        watch: &mut dyn FnMut(&Event, &State),
    ) {
        self.lanes.set_away(device);
        watch(&Event::Paused(why), &self.state);
    }

    /// What a measurement is worth that ended now; `None` if it failed, which is remembered.
    ///
    /// # Errors
    ///
    /// If the device cannot measure anything at all, and no other device is left.
    pub(super) fn arrived(
        &mut self,
        device: DeviceAt,
        id: CandidateId,
        result: Result<Option<Measured>, MeasureError>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Option<Measured>, EngineError> {
        if !self.lanes.is_present(device) {
            if self.lanes.training > 0 && result.is_ok() {
                // It is back, but measured while this machine was training: it is asked again.
                return Ok(None);
            }
            self.lanes.set_present(device);
        }
        let at_s = self.seconds();
        let reason = match result {
            Ok(Some(measured)) => return Ok(Some(Measured { at_s, ..measured })),
            Ok(None) => "the device sent no samples".to_owned(),
            Err(error) if error.concerns_every_model() => {
                self.lose(device, error, watch)?;
                return Ok(None);
            }
            Err(error) => whole(&error),
        };
        let reason = self.on(device) + &reason;
        self.failures.insert((id, device), reason);
        Ok(None)
    }

    /// A device that cannot measure anything is not asked any more; the last one ends the run.
    fn lose(
        &mut self,
        device: DeviceAt,
        error: MeasureError,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<(), EngineError> {
        self.lost.insert(device);
        if self.lost.len() == self.run.devices.len() {
            return Err(EngineError::Measure(error));
        }
        let why = format!("{}{}", self.on(device), whole(&error));
        self.miss(device, why, watch);
        Ok(())
    }
}
