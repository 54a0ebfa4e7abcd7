//! How a device is: what was learnt of it, and what follows.
//!
//! Pure: no clock, no device. [`Ledger`](super::Ledger) keeps it between processes.
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::stats::mad;
use crate::stats::median;

use super::Absence;
use super::DeviceError;

/// Faults in a row after which a device is in quarantine.
pub const MOST_FAULTS: u32 = 3;

/// How long a check with the reference model counts, s.
pub const CHECKED_EVERY_S: u64 = 3600;

/// Checks of one runtime that are kept: a day of them, so that what lasts becomes the usual.
const KEPT: usize = 24;

/// Fewest earlier checks that say what is usual.
const FEWEST: usize = 3;

/// Times the usual up to which nothing is said: machines that others share vary as much.
const UNSPECTACULAR: f64 = 1.25;

/// Robust deviations beyond which a value is an outlier; see [`Health::slowdown`].
const OUTLIER: f64 = 3.5;

/// A median absolute deviation times this estimates the standard deviation of normal values.
const MAD_TO_DEVIATION: f64 = 1.4826;

/// In which state a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It can be measured.
    #[default]
    Ready,
    /// Somebody else measures on it.
    Busy,
    /// Too hot to begin.
    Hot,
    /// Not there, or silent.
    Offline,
    /// It does not let this user in, or is not surely the one that is meant.
    Unauthorised,
    /// Its battery is too low, or does not charge.
    LowBattery,
    /// Nothing more fits on it.
    NoSpace,
    /// It is there, but the runner does not work on it.
    Faulty,
    /// It failed [`MOST_FAULTS`] times in a row, and is not used until a check passes.
    Quarantined,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Ready => "ready",
            State::Busy => "busy",
            State::Hot => "hot",
            State::Offline => "offline",
            State::Unauthorised => "unauthorised",
            State::LowBattery => "low-battery",
            State::NoSpace => "no-space",
            State::Faulty => "faulty",
            State::Quarantined => "quarantined",
        })
    }
}

/// What was learnt of a device at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It did what it should.
    Answered,
    /// It was found in this state, which is not its fault and may pass.
    Found(State),
    /// A model crashed or hung on it. Whose fault that is, the reference model has to tell.
    Suspected,
    /// It failed with no model to blame, the reference model included.
    Fault {
        /// In words.
        reason: String,
    },
    /// The reference model ran.
    Passed {
        /// The runtime with its version and threads: figures of two are never compared.
        setting: String,
        /// Median of a run, µs.
        p50_us: f64,
        /// When, in seconds since 1970.
        at_s: u64,
    },
}

/// What is known of a device's health; the default is that nothing is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// As it was found last; a quarantine is not in it.
    found: State,
    /// Faults since the reference model passed.
    faults: u32,
    /// The last of them.
    last_fault: Option<String>,
    /// A model failed since the reference model passed.
    is_suspected: bool,
    /// Checks by their setting, the newest last.
    checks: BTreeMap<String, Vec<Check>>,
}

/// The reference model ran.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// When, in seconds since 1970.
    pub at_s: u64,
    /// Median of a run, µs.
    pub p50_us: f64,
    /// How many times the usual that is, if it is out of the ordinary.
    pub slower: Option<f64>,
}

impl Health {
    /// In which state it is, as far as is known.
    pub fn state(&self) -> State {
        match self.faults {
            MOST_FAULTS.. => State::Quarantined,
            _ => self.found,
        }
    }

    /// Faults since the reference model passed.
    pub fn faults(&self) -> u32 {
        self.faults
    }

    /// The last of them.
    pub fn last_fault(&self) -> Option<&str> {
        self.last_fault.as_deref()
    }

    /// The newest check, with whatever runtime.
    pub fn last_check(&self) -> Option<Check> {
        self.checks.values().filter_map(|checks| checks.last()).max_by_key(|c| c.at_s).copied()
    }

    /// The newest check with one runtime.
    pub fn check(&self, setting: &str) -> Option<Check> {
        self.checks.get(setting)?.last().copied()
    }

    /// Shall the reference model run before anything else does, `now_s` seconds after 1970? At the
    /// first use of a runtime, each hour, and after any fault. A check from the future counts for
    /// nothing: somebody has set the clock.
    pub fn is_due(&self, setting: &str, now_s: u64) -> bool {
        let age_s = self.check(setting).and_then(|check| now_s.checked_sub(check.at_s));
        self.is_suspected || self.faults > 0 || age_s.is_none_or(|age| age >= CHECKED_EVERY_S)
    }

    /// With what was learnt.
    ///
    /// Only a check that passes ends a row of faults; neither an absence nor a good measurement
    /// does, and neither of them is a fault.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Answered => self.found = State::Ready,
            Event::Found(state) => self.found = *state,
            Event::Suspected => self.is_suspected = true,
            Event::Fault { reason } => {
                self.found = State::Faulty;
                self.faults = self.faults.saturating_add(1);
                self.last_fault = Some(reason.clone());
            }
            Event::Passed { setting, p50_us, at_s } => {
                let slower = self.slowdown(setting, *p50_us);
                let checks = self.checks.entry(setting.clone()).or_default();
                checks.push(Check { at_s: *at_s, p50_us: *p50_us, slower });
                checks.drain(..checks.len().saturating_sub(KEPT));
                let checks = std::mem::take(&mut self.checks);
                *self = Health { checks, ..Health::default() };
            }
        }
    }

    /// How many times as long as usual the reference model took, if that is out of the ordinary:
    /// beyond a quarter more than the median of earlier checks, and beyond 3.5 of their robust
    /// deviations, both of logarithms. `None` while there are fewer than three.
    ///
    /// # Source
    ///
    /// The modified z-score with the limit 3.5: Iglewicz, Hoaglin, *How to Detect and Handle
    /// Outliers*, 1993. The quarter is our own.
    fn slowdown(&self, setting: &str, p50_us: f64) -> Option<f64> {
        let earlier = self.checks.get(setting).filter(|checks| checks.len() >= FEWEST)?;
        let logs: Vec<f64> = earlier.iter().map(|check| check.p50_us.ln()).collect();
        let (usual, deviation) = (median(&logs)?, MAD_TO_DEVIATION * mad(&logs)?);
        let beyond = p50_us.ln() - usual;
        let limit = UNSPECTACULAR.ln().max(OUTLIER * deviation);
        (beyond > limit).then(|| beyond.exp())
    }
}

impl DeviceError {
    /// In which state the device is that gives this error.
    pub fn state(&self) -> State {
        match self {
            Self::Quarantined { .. } => State::Quarantined,
            Self::Absent { absence, .. } => absence.state(),
            Self::Gone { .. } => State::Offline,
            Self::Busy { .. } => State::Busy,
            Self::NotWritable { .. } if self.is_away() => State::NoSpace,
            Self::NotWritable { .. }
            | Self::UnknownAddress { .. }
            | Self::NotStarted { .. }
            | Self::Hung { .. }
            | Self::NoRoom { .. }
            | Self::Damaged { .. }
            | Self::NoRunner { .. }
            | Self::WrongRunner { .. }
            | Self::NotRead { .. }
            | Self::Crashed { .. }
            | Self::Overran { .. }
            | Self::Ended { .. }
            | Self::Garbage { .. }
            | Self::Refused { .. } => State::Faulty,
        }
    }

    /// What it teaches of the device when no model was involved; `None` if nothing: what this
    /// computer lacks is not the device's fault.
    pub fn teaches(&self) -> Option<Event> {
        match self {
            Self::Absent { .. } | Self::Gone { .. } | Self::Busy { .. } => {
                Some(Event::Found(self.state()))
            }
            Self::NotWritable { .. } if self.is_away() => Some(Event::Found(State::NoSpace)),
            Self::Hung { .. }
            | Self::Crashed { .. }
            | Self::Ended { .. }
            | Self::Garbage { .. }
            | Self::Damaged { .. } => Some(Event::Fault { reason: self.to_string() }),
            Self::Quarantined { .. }
            | Self::NotWritable { .. }
            | Self::UnknownAddress { .. }
            | Self::NotStarted { .. }
            | Self::NoRoom { .. }
            | Self::NoRunner { .. }
            | Self::WrongRunner { .. }
            | Self::NotRead { .. }
            | Self::Overran { .. }
            | Self::Refused { .. } => None,
        }
    }
}

impl Absence {
    fn state(self) -> State {
        match self {
            Absence::NotLetIn
            | Absence::PhoneNotLetIn
            | Absence::NoPermission
            | Absence::HostKey => State::Unauthorised,
            Absence::NoSuchHost
            | Absence::Offline
            | Absence::PhoneOffline
            | Absence::NotPlugged
            | Absence::Unknown => State::Offline,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATES: [State; 6] = [
        State::Busy,
        State::Hot,
        State::Offline,
        State::Unauthorised,
        State::LowBattery,
        State::NoSpace,
    ];

    fn fault() -> Event {
        Event::Fault { reason: "it hung".to_owned() }
    }

    fn passed(p50_us: f64, at_s: u64) -> Event {
        Event::Passed { setting: "tract".to_owned(), p50_us, at_s }
    }

    fn after(events: &[Event]) -> Health {
        let mut health = Health::default();
        events.iter().for_each(|event| health.apply(event));
        health
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            2 => Just(Event::Answered),
            2 => (0..STATES.len()).prop_map(|i| Event::Found(STATES[i])),
            1 => Just(Event::Suspected),
            4 => Just(fault()),
            1 => (1.0..2.0).prop_map(|p50_us| passed(p50_us, 0)),
        ]
    }

    proptest! {
        /// The count is made anew here, from the whole past, and not step by step.
        #[test]
        fn quarantine_is_three_faults_without_a_passing_check_and_nothing_else(
            events in prop::collection::vec(any_event(), 0..40)
        ) {
            let health = after(&events);
            let is_pass = |event: &Event| matches!(event, Event::Passed { .. });
            let since = events.iter().rposition(is_pass).map_or(0, |at| at + 1);
            let faults = events[since..].iter().filter(|event| **event == fault()).count();
            prop_assert_eq!(health.faults() as usize, faults);
            prop_assert_eq!(health.state() == State::Quarantined, faults >= 3);
            let is_suspected = events[since..].contains(&Event::Suspected);
            let was_checked = since > 0;
            let is_due = !was_checked || faults > 0 || is_suspected;
            prop_assert_eq!(health.is_due("tract", 0), is_due);
        }

        #[test]
        fn the_last_event_is_the_state_of_a_device_that_is_not_in_quarantine(
            events in prop::collection::vec(any_event(), 0..40), last in any_event()
        ) {
            let before = after(&events);
            let mut health = before.clone();
            health.apply(&last);
            let expected = match last {
                Event::Passed { .. } => State::Ready,
                _ if health.faults() >= 3 => State::Quarantined,
                Event::Answered => State::Ready,
                Event::Found(state) => state,
                Event::Suspected => before.state(),
                Event::Fault { .. } => State::Faulty,
            };
            prop_assert_eq!(health.state(), expected);
        }

        #[test]
        fn what_is_written_is_read_back(events in prop::collection::vec(any_event(), 0..40)) {
            let health = after(&events);
            let json = serde_json::to_string(&health).unwrap();
            prop_assert_eq!(serde_json::from_str::<Health>(&json).unwrap(), health);
        }
    }

    #[test]
    fn a_device_that_is_away_three_times_is_offline_and_has_no_fault() {
        let health = after(&[const { Event::Found(State::Offline) }; 3]);
        assert_eq!((health.state(), health.faults()), (State::Offline, 0));
    }

    #[test]
    fn a_check_is_due_each_hour_and_with_another_runtime_at_once() {
        let health = after(&[passed(100.0, 5000)]);
        let due = [4999, 5000, 8599, 8600].map(|now_s| health.is_due("tract", now_s));
        assert_eq!(due, [true, false, false, true]);
        assert!(health.is_due("ort", 5000));
    }

    #[track_caller]
    fn check_slower(usual: &[f64], p50_us: f64, expected: Option<f64>) {
        let mut health = Health::default();
        usual.iter().for_each(|us| health.apply(&passed(*us, 0)));
        health.apply(&passed(p50_us, 1));
        let slower = health.check("tract").unwrap().slower;
        assert_eq!(slower.map(|by| (100.0 * by).round() / 100.0), expected, "{usual:?} {p50_us}");
        assert_eq!(health.last_check(), health.check("tract"));
    }

    #[test]
    fn slower_than_usual_is_told_and_what_varies_anyway_is_not() {
        check_slower(&[], 900.0, None);
        check_slower(&[100.0, 100.0], 900.0, None);
        check_slower(&[100.0, 101.0, 99.0], 140.0, Some(1.4));
        check_slower(&[100.0, 101.0, 99.0], 130.0, Some(1.3));
        check_slower(&[100.0, 101.0, 99.0], 120.0, None);
        check_slower(&[100.0, 101.0, 99.0], 50.0, None);
        check_slower(&[70.0, 150.0, 100.0, 140.0, 80.0], 160.0, None);
        // One bad hour among the earlier ones changes nothing.
        check_slower(&[100.0, 101.0, 99.0, 400.0, 100.0], 140.0, Some(1.4));
    }

    #[test]
    fn what_lasts_becomes_the_usual_within_a_day() {
        let mut health = after(&[passed(100.0, 0), passed(100.0, 0), passed(100.0, 0)]);
        let told = (0..KEPT).map(|_| {
            health.apply(&passed(200.0, 0));
            health.check("tract").unwrap().slower.is_some()
        });
        let told: Vec<bool> = told.collect();
        assert!(told[0] && !told[KEPT - 1], "{told:?}");
        assert_eq!(health.checks["tract"].len(), KEPT);
    }

    #[test]
    fn health_v1_still_parses() {
        let golden = r#"{"found":"no-space","faults":2,"last_fault":"it hung","is_suspected":true,"checks":{"tract 0.23.9, 1 thread":[{"at_s":7,"p50_us":81.5,"slower":1.4},{"at_s":9,"p50_us":80.0,"slower":null}]}}"#;
        let health: Health = serde_json::from_str(golden).unwrap();
        assert_eq!((health.state(), health.faults()), (State::NoSpace, 2));
        assert_eq!(serde_json::to_string(&health).unwrap(), golden);
    }
}
