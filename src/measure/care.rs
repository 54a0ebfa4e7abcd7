//! Looking after the device: what its errors say of it, the reference model, quarantine.
//!
//! Only where the transport has a ledger; without one nobody cares.
use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use crate::agent::Hello;
use crate::device::DeviceError;
use crate::device::Event;
use crate::device::Health;
use crate::device::MOST_FAULTS;
use crate::device::State;
use crate::device::Transport;

use super::bench::Bench;
use super::bench::Progress;
use super::error::MeasureError;
use super::error::NO_MODEL;
use super::gates::Gates;
use super::measurement::Measurement;
use super::reference;

/// What a check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the device said of itself.
    pub hello: Hello,
    /// The reference model, with tract and one thread.
    pub reference: Measurement,
}

/// Measures the reference model, also on a device in quarantine, which ends if the model runs.
///
/// # Errors
///
/// As for [`Bench::measure`]; a fault is counted.
pub fn check(transport: Arc<dyn Transport>, gates: Gates) -> Result<Checked, MeasureError> {
    let opened = Bench::open_even_in_quarantine(transport.clone(), "tract", 1);
    let opened = opened.map_err(|error| blamed(&*transport, error));
    let mut bench = opened?.with_gates(gates);
    let reference = bench.check(&mut |_| {})?;
    Ok(Checked { hello: bench.hello().clone(), reference })
}

impl Bench {
    /// Nothing speaks against measuring: the device is not in quarantine, and the reference model has
    /// run within the hour and since the last fault; else it does now.
    pub(super) fn prepare(&mut self, watch: &mut dyn FnMut(&Progress)) -> Result<(), MeasureError> {
        ensure_usable(self.transport())?;
        let Some(ledger) = self.transport().ledger() else { return Ok(()) };
        match ledger.health().is_due(&self.setting(), now_s()) {
            true => self.check(watch).map(drop),
            false => Ok(()),
        }
    }

    /// Takes note of how a measurement ended. What may be the model's doing or the device's, the
    /// reference model tells: if it fails as well, its error is the result.
    pub(super) fn judged(
        &mut self,
        result: Result<Measurement, MeasureError>,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Measurement, MeasureError> {
        let Some(ledger) = self.transport().ledger() else { return result };
        match result {
            Ok(measurement) => {
                let health = ledger.note(&Event::Answered);
                let slower = health.check(&self.setting()).and_then(|check| check.slower);
                Ok(Measurement { slower, ..measurement })
            }
            Err(error) if error.teaches() == Some(Event::Suspected) => {
                ledger.note(&Event::Suspected);
                self.check(watch)?;
                Err(error)
            }
            Err(error) => Err(blamed(self.transport(), error)),
        }
    }

    /// Measures the reference model, and takes note of it.
    fn check(&mut self, watch: &mut dyn FnMut(&Progress)) -> Result<Measurement, MeasureError> {
        watch(&Progress::Reference);
        let mut only_heat = |progress: &Progress| {
            if matches!(progress, Progress::Cooling { .. }) {
                watch(progress);
            }
        };
        let result = self.measure_reference(&mut only_heat);
        let event = match &result {
            Ok(measurement) => match measurement.p50() {
                Some(p50) => {
                    let (setting, p50_us, at_s) = (self.setting(), p50.0, now_s());
                    Some(Event::Passed { setting, p50_us, at_s })
                }
                None => Some(Event::Fault { reason: "it sent no samples".to_owned() }),
            },
            Err(error) => error.teaches_of_the_reference(),
        };
        let (Some(event), Some(ledger)) = (event, self.transport().ledger()) else { return result };
        let health = ledger.note(&event);
        match event {
            Event::Fault { reason } => Err(unfit(self.transport(), &health, reason)),
            Event::Passed { .. } => {
                let slower = health.check(&self.setting()).and_then(|check| check.slower);
                result.map(|measurement| Measurement { slower, ..measurement })
            }
            Event::Answered | Event::Found(_) | Event::Suspected => result,
        }
    }

    fn measure_reference(
        &mut self,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Measurement, MeasureError> {
        let not_written = |source| {
            let path = std::env::temp_dir().join("reference.onnx");
            MeasureError::NotWritten { path, source }
        };
        let folder = tempfile::tempdir().map_err(not_written)?;
        let path = folder.path().join("reference.onnx");
        fs::write(&path, reference::model()).map_err(not_written)?;
        self.measure_whole(&path, &reference::plan(), watch)
    }

    /// What figures of the reference model may be compared by.
    fn setting(&self) -> String {
        let (runtime, threads) = (self.runtime(), self.threads());
        let version = runtime.version.as_deref().unwrap_or_default();
        format!("{} {version}, {threads} threads, {}", runtime.name, reference::id())
    }
}

/// Refuses a device in quarantine.
pub(super) fn ensure_usable(transport: &dyn Transport) -> Result<(), MeasureError> {
    match transport.ledger().map(|ledger| ledger.health()) {
        Some(health) if health.state() == State::Quarantined => {
            Err(quarantined(transport, &health))
        }
        _ => Ok(()),
    }
}

/// The error, after what it teaches of the device is noted; that of a quarantine if that follows.
pub(super) fn blamed(transport: &dyn Transport, error: MeasureError) -> MeasureError {
    let (Some(event), Some(ledger)) = (error.teaches(), transport.ledger()) else { return error };
    let health = ledger.note(&event);
    match (event, health.state()) {
        (Event::Fault { .. }, State::Quarantined) => quarantined(transport, &health),
        _ => error,
    }
}

fn unfit(transport: &dyn Transport, health: &Health, reason: String) -> MeasureError {
    match health.state() {
        State::Quarantined => quarantined(transport, health),
        _ => MeasureError::Unfit {
            device: transport.address(),
            faults: health.faults(),
            most: MOST_FAULTS,
            reason,
        },
    }
}

fn quarantined(transport: &dyn Transport, health: &Health) -> MeasureError {
    let source = DeviceError::Quarantined {
        address: transport.address(),
        faults: health.faults(),
        reason: health.last_fault().unwrap_or("unknown").to_owned(),
    };
    MeasureError::Device { model: NO_MODEL.to_owned(), source }
}

impl MeasureError {
    /// In which state the device is that gives this error.
    pub fn state(&self) -> State {
        match self {
            Self::Device { source, .. } => source.state(),
            Self::TooHot { .. } | Self::Overheated { .. } | Self::Overheats { .. } => State::Hot,
            Self::LowBattery { .. } | Self::NotCharging { .. } => State::LowBattery,
            Self::NoSpace { .. } => State::NoSpace,
            Self::BringsDown { source, .. } => source.state(),
            Self::Unfit { .. }
            | Self::Model { .. }
            | Self::NoCurve { .. }
            | Self::NotWritten { .. }
            | Self::NoRuntime { .. } => State::Faulty,
        }
    }

    /// What it teaches of the device; `None` if nothing.
    fn teaches(&self) -> Option<Event> {
        match self {
            Self::TooHot { .. }
            | Self::Overheated { .. }
            | Self::LowBattery { .. }
            | Self::NotCharging { .. }
            | Self::NoSpace { .. } => Some(Event::Found(self.state())),
            Self::Device { model, source } => match source.teaches() {
                Some(Event::Fault { .. }) if model != NO_MODEL && source.may_be_the_models() => {
                    Some(Event::Suspected)
                }
                teaches => teaches,
            },
            Self::Unfit { .. }
            | Self::BringsDown { .. }
            | Self::Overheats { .. }
            | Self::NoCurve { .. }
            | Self::Model { .. }
            | Self::NotWritten { .. }
            | Self::NoRuntime { .. } => None,
        }
    }

    /// The same if it was the reference model that was measured, which is never to blame.
    fn teaches_of_the_reference(&self) -> Option<Event> {
        let is_at_fault = match self {
            Self::Device { source, .. } => source.is_the_models_fault(),
            _ => false,
        };
        match self.teaches() {
            Some(Event::Suspected) => Some(Event::Fault { reason: self.in_words() }),
            None if is_at_fault => Some(Event::Fault { reason: self.in_words() }),
            teaches => teaches,
        }
    }

    /// Why, without what was to be measured.
    fn in_words(&self) -> String {
        match self {
            Self::Device { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }
}

/// Seconds since 1970, as far as this computer knows.
pub(super) fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
