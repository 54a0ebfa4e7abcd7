//! When a device may be measured, and when no longer.
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::agent::Conditions;
use crate::agent::Heat;
use crate::agent::HeatLimit;
use crate::device::Profile;

use super::error::MeasureError;

/// How long a hot device is waited for, if nothing else is said.
const PATIENCE: Duration = Duration::from_secs(300);

/// A hot device is asked again after a hundredth of the time it is waited for, but within these.
const ASKED_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// How often a launch without a pause looks at its temperature, µs of runs: a look takes a millisecond, on
/// Android some hundredths of a second.
const LOOKED_EVERY_US: f64 = 5e6;

/// What a device must be like to be measured; the default asks for nothing.
///
/// What the device does not say is no reason to refuse it: the measurement then says that the gate
/// could not look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gates {
    /// Temperature zones that count, as for [`Conditions::hottest`].
    pub zones: Vec<String>,
    /// Temperature of the hottest zone above which a measurement does not begin, °C.
    pub start_max_c: Option<f64>,
    /// Temperature above which no further launch is made, and one without a pause ends, °C.
    pub abort_c: Option<f64>,
    /// How long to wait for a device that is too hot to begin; five minutes if it is not said.
    pub wait: Option<Duration>,
    /// Pause between launches.
    pub cool_down: Option<Duration>,
    /// Charge of the battery below which a measurement does not begin, percent.
    pub battery_min_percent: Option<f64>,
    /// Must the battery charge?
    pub require_charging: bool,
}

/// What the gates of a measurement saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gated {
    /// How long it took until the device was cool enough, s.
    pub waited_s: f64,
    /// What a gate had to look at and the device did not say, e.g. `temperature`.
    pub unknown: Vec<String>,
    /// Why there are fewer launches than planned.
    pub stopped: Option<Stopped>,
}

/// A zone that became too hot between launches, or in the one without a pause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// How hot it was.
    pub heat: Heat,
    /// [`Gates::abort_c`].
    pub limit_c: f64,
    /// After how long in the launch without a pause, s; `None` for between launches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_s: Option<f64>,
}

impl From<&Profile> for Gates {
    /// What a device's profile asks for.
    fn from(profile: &Profile) -> Gates {
        let (thermal, require) = (&profile.thermal, &profile.require);
        let seconds = |seconds: Option<u32>| seconds.map(|s| Duration::from_secs(s.into()));
        Gates {
            zones: thermal.zones.clone().unwrap_or_default(),
            start_max_c: thermal.start_max_c,
            abort_c: thermal.abort_c,
            wait: seconds(thermal.wait_s),
            cool_down: seconds(thermal.cool_down_s),
            battery_min_percent: require.battery_min_percent.map(f64::from),
            require_charging: require.charging.unwrap_or(false),
        }
    }
}

impl Gates {
    /// Do they ask for nothing?
    pub fn are_open(&self) -> bool {
        *self == Gates::default()
    }

    /// For somebody who waits by other means: a device that is too hot is refused at once.
    pub fn without_waiting(self) -> Self {
        Gates { wait: Some(Duration::ZERO), ..self }
    }

    /// Refuses a device that is in no state to begin.
    pub(super) fn pass(
        &self,
        device: &str,
        now: &Conditions,
        gated: &mut Gated,
    ) -> Result<(), MeasureError> {
        self.power(device, now, gated)?;
        match self.too_hot(now, gated) {
            None => Ok(()),
            Some((heat, limit_c)) => {
                let (device, waited) = (device.to_owned(), Duration::ZERO);
                Err(MeasureError::TooHot { device, heat, limit_c, waited })
            }
        }
    }

    /// Is there anything to look at before the first launch?
    pub(super) fn look_before(&self) -> bool {
        self.start_limit().is_some() || self.battery_min_percent.is_some() || self.require_charging
    }

    /// What is too hot to go on is too hot to begin.
    fn start_limit(&self) -> Option<f64> {
        self.start_max_c.or(self.abort_c)
    }

    /// The limit to begin, and the hottest zone if that is above it.
    fn too_hot(&self, now: &Conditions, gated: &mut Gated) -> Option<(Heat, f64)> {
        self.above(self.start_limit(), now, gated)
    }

    /// Is a zone too hot for another launch?
    pub(super) fn stopped(&self, now: &Conditions, gated: &mut Gated) -> Option<Stopped> {
        let (heat, limit_c) = self.above(self.abort_c, now, gated)?;
        Some(Stopped { heat, limit_c, after_s: None })
    }

    /// When the launch without a pause ends before its time.
    pub(super) fn heat_limit(&self) -> Option<HeatLimit> {
        let limit_c = self.abort_c?;
        Some(HeatLimit { zones: self.zones.clone(), limit_c, every_us: LOOKED_EVERY_US })
    }

    /// Refuses a battery that is too low, or does not charge.
    fn power(&self, device: &str, now: &Conditions, gated: &mut Gated) -> Result<(), MeasureError> {
        let battery = now.battery.unwrap_or_default();
        if let Some(limit) = self.battery_min_percent {
            match battery.percent {
                None => gated.lacks("battery"),
                Some(percent) if percent < limit => {
                    let device = device.to_owned();
                    return Err(MeasureError::LowBattery { device, percent, limit });
                }
                Some(_) => {}
            }
        }
        match (self.require_charging, battery.charging) {
            (true, None) => gated.lacks("charging"),
            (true, Some(false)) => {
                return Err(MeasureError::NotCharging { device: device.to_owned() });
            }
            (true, Some(true)) | (false, _) => {}
        }
        Ok(())
    }

    /// How long to wait in all, and between two looks.
    pub(super) fn waiting(&self) -> [Duration; 2] {
        let wait = self.wait.unwrap_or(PATIENCE);
        [wait, (wait / 100).clamp(ASKED_EVERY[0], ASKED_EVERY[1])]
    }

    fn above(
        &self,
        limit: Option<f64>,
        now: &Conditions,
        gated: &mut Gated,
    ) -> Option<(Heat, f64)> {
        let limit = limit?;
        match now.hottest(&self.zones) {
            None => {
                gated.lacks("temperature");
                None
            }
            Some(heat) => (heat.celsius > limit).then_some((heat, limit)),
        }
    }
}

impl Gated {
    fn lacks(&mut self, what: &str) {
        if !self.unknown.iter().any(|u| u == what) {
            self.unknown.push(what.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Battery;

    fn conditions(zones: &[(&str, f64)], battery: Option<Battery>) -> Conditions {
        let zones: Vec<_> = zones.iter().map(|(zone, t)| ((*zone).to_owned(), *t)).collect();
        let temperatures_c = (!zones.is_empty()).then_some(zones);
        Conditions { temperatures_c, battery, ..Conditions::default() }
    }

    #[test]
    fn a_limit_is_kept_up_to_itself() {
        let gates = Gates { start_max_c: Some(50.0), abort_c: Some(80.0), ..Gates::default() };
        let mut gated = Gated::default();
        let at = |celsius| conditions(&[("cpu", celsius)], None);
        assert_eq!(gates.too_hot(&at(50.0), &mut gated), None);
        let heat = Heat { zone: "cpu".to_owned(), celsius: 50.1 };
        assert_eq!(gates.too_hot(&at(50.1), &mut gated), Some((heat, 50.0)));
        assert!(gates.stopped(&at(80.0), &mut gated).is_none());
        assert!(gates.stopped(&at(81.0), &mut gated).is_some());
        assert_eq!(gated, Gated::default());
    }

    #[test]
    fn what_the_device_does_not_say_passes_and_is_noted_once() {
        let gates = Gates {
            start_max_c: Some(50.0),
            battery_min_percent: Some(30.0),
            require_charging: true,
            ..Gates::default()
        };
        let (nothing, mut gated) = (conditions(&[], None), Gated::default());
        for _ in 0..2 {
            assert_eq!(gates.too_hot(&nothing, &mut gated), None);
            gates.power("local", &nothing, &mut gated).unwrap();
        }
        assert_eq!(gated.unknown, ["temperature", "battery", "charging"]);
    }

    #[test]
    fn a_low_battery_and_one_that_does_not_charge_are_refused() {
        let battery = Battery { percent: Some(20.0), charging: Some(false), celsius: None };
        let (now, mut gated) = (conditions(&[], Some(battery)), Gated::default());
        let refused =
            |gates: Gates, gated: &mut Gated| gates.power("usb", &now, gated).unwrap_err();
        let low = Gates { battery_min_percent: Some(30.0), ..Gates::default() };
        assert_eq!(
            refused(low, &mut gated).to_string(),
            "the battery of usb has 20 %, a measurement begins with 30 %"
        );
        let charging = Gates { require_charging: true, ..Gates::default() };
        assert!(matches!(refused(charging, &mut gated), MeasureError::NotCharging { .. }));
        assert_eq!(Gates::default().power("usb", &now, &mut gated).ok(), Some(()));
    }

    #[test]
    fn a_device_is_asked_often_but_not_too_often() {
        let every = |seconds| {
            let gates = Gates { wait: Some(Duration::from_secs(seconds)), ..Gates::default() };
            gates.waiting()[1].as_secs_f64()
        };
        assert_eq!([0, 60, 300, 3600].map(every), [0.1, 0.6, 3.0, 5.0]);
        assert_eq!(Gates::default().waiting()[0], PATIENCE);
    }
}
