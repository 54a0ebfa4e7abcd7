//! How hot the device is, and how hot it may become.
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::conditions::Conditions;

/// The zone under which a battery's temperature is told.
const BATTERY_ZONE: &str = "battery";

/// A temperature zone and how hot it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heat {
    /// Name of the zone, as the device calls it.
    pub zone: String,
    /// Its temperature, °C.
    pub celsius: f64,
}

/// At which temperature a launch ends before its time; the agent looks now and then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatLimit {
    /// Zones that count, as for [`Conditions::hottest`].
    pub zones: Vec<String>,
    /// Temperature above which it ends, °C.
    pub limit_c: f64,
    /// Time in runs from one look to the next, µs.
    pub every_us: f64,
}

impl HeatLimit {
    /// The hottest zone, if it is too hot.
    pub fn exceeded(&self, now: &Conditions) -> Option<Heat> {
        now.hottest(&self.zones).filter(|heat| heat.celsius > self.limit_c)
    }
}

impl fmt::Display for Heat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has {:.1} °C", self.zone, self.celsius)
    }
}

impl Conditions {
    /// The hottest zone of those that count: whose names contain one of `zones` (upper and lower
    /// case, `_` and `-` are the same), all where there is none; a battery is the zone `battery`.
    /// `None` if none of them is known.
    pub fn hottest(&self, zones: &[String]) -> Option<Heat> {
        let plain = |name: &str| name.to_lowercase().replace('_', "-");
        let counts =
            |zone: &str| zones.is_empty() || zones.iter().any(|z| plain(zone).contains(&plain(z)));
        let battery = self.battery.and_then(|b| b.celsius);
        let battery = battery.map(|celsius| (BATTERY_ZONE.to_owned(), celsius));
        let known = self.temperatures_c.iter().flatten().cloned().chain(battery);
        let counted = known.filter(|(zone, _)| counts(zone));
        let (zone, celsius) = counted.max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Heat { zone, celsius })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Battery;

    #[track_caller]
    fn check_hottest(zones: &[&str], expected: Option<(&str, f64)>) {
        let known = [("cpu_thermal temp1", 48.5), ("GPU", 55.0)];
        let temperatures_c = known.map(|(zone, celsius)| (zone.to_owned(), celsius)).to_vec();
        let battery = Battery { celsius: Some(33.0), ..Battery::default() };
        let now = Conditions {
            temperatures_c: Some(temperatures_c),
            battery: Some(battery),
            ..Conditions::default()
        };
        let zones: Vec<String> = zones.iter().map(|z| (*z).to_owned()).collect();
        let found = now.hottest(&zones).map(|heat| (heat.zone, heat.celsius));
        assert_eq!(found, expected.map(|(zone, celsius)| (zone.to_owned(), celsius)));
    }

    #[test]
    fn the_hottest_of_the_named_zones_counts_and_without_names_of_all() {
        check_hottest(&[], Some(("GPU", 55.0)));
        check_hottest(&["cpu-thermal"], Some(("cpu_thermal temp1", 48.5)));
        check_hottest(&["battery", "cpu-thermal"], Some(("cpu_thermal temp1", 48.5)));
        check_hottest(&["battery"], Some(("battery", 33.0)));
        check_hottest(&["npu"], None);
    }
}
