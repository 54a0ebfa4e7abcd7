//! What Android's services tell and its kernel does not: thermal status, temperatures, battery.
use std::env;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::conditions::Battery;
use super::conditions::Conditions;

/// How long a service may take.
const DEADLINE: Duration = Duration::from_secs(3);

/// Adds what the services tell to what the kernel told, if this is Android. Costs some hundredths
/// of a second there, so it is not for right before a sample.
pub fn ask(conditions: &mut Conditions) {
    let Some(dumpsys) = program("dumpsys") else { return };
    let say = |service| said_by(&dumpsys, service);
    if let Some(text) = say("thermalservice") {
        conditions.thermal_status = thermal_status(&text);
        conditions.temperatures_c =
            conditions.temperatures_c.take().or_else(|| temperatures(&text));
    }
    conditions.battery = conditions.battery.or_else(|| battery(&say("battery")?));
}

/// Is this Android's emulator? Its images set one of these properties.
pub fn is_emulator() -> bool {
    let Some(getprop) = program("getprop") else { return false };
    ["ro.boot.qemu", "ro.kernel.qemu"]
        .iter()
        .any(|name| said_by(&getprop, name).is_some_and(|value| value.trim() == "1"))
}

/// A program that asks the system; there is none elsewhere.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn said_by(program: &Path, what: &str) -> Option<String> {
    let mut child = Command::new(program)
        .arg(what)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut pipe = child.stdout.take()?;
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.read_to_string(&mut text);
        sender.send(read.map(|_| text)).ok();
    });
    let text = answer.recv_timeout(DEADLINE);
    // It has ended or it never will.
    child.kill().ok();
    child.wait().ok();
    text.ok()?.ok()
}

/// 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown.
fn thermal_status(text: &str) -> Option<u8> {
    let status = text.lines().find_map(|l| l.trim().strip_prefix("Thermal Status:"))?;
    status.trim().parse().ok().filter(|status| *status <= 6)
}

/// `Temperature{mValue=33.5, mType=3, mName=VIRTUAL-SKIN, mStatus=0}` of those that are current,
/// else of those that were kept; hottest first.
fn temperatures(text: &str) -> Option<Vec<(String, f64)>> {
    let current = text.split_once("Current temperatures from HAL:").map_or(text, |(_, now)| now);
    let zone = |line: &str| {
        let fields = line.trim().strip_prefix("Temperature{")?.strip_suffix('}')?;
        let field =
            |name: &str| fields.split(", ").find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let celsius = field("mValue")?.parse::<f64>().ok()?;
        let is_possible = (-40.0..=200.0).contains(&celsius);
        is_possible.then_some((field("mName")?.to_owned(), celsius))
    };
    let mut zones: Vec<_> = current.lines().filter_map(zone).collect();
    zones.sort_by(|a, b| b.1.total_cmp(&a.1));
    (!zones.is_empty()).then_some(zones)
}

fn battery(text: &str) -> Option<Battery> {
    let field = |name: &str| {
        let value = text.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().parse::<f64>().ok()
    };
    let percent = Some(100.0 * field("level")? / field("scale").filter(|scale| *scale > 0.0)?);
    // `BatteryManager`: 2 charging, 3 discharging, 4 not charging, 5 full.
    let charging = match field("status") {
        Some(2.0 | 5.0) => Some(true),
        Some(3.0 | 4.0) => Some(false),
        _ => None,
    };
    let celsius = field("temperature").map(|tenths| tenths / 10.0);
    let percent = percent.filter(|p| (0.0..=100.0).contains(p));
    Some(Battery { percent, charging, celsius })
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERMAL: &str = "IsStatusOverride: false\nThermal Status: 3\nCached temperatures:\n\
        \tTemperature{mValue=90.0, mType=0, mName=OLD, mStatus=0}\nHAL Ready: true\n\
        Current temperatures from HAL:\n\
        \tTemperature{mValue=33.5, mType=3, mName=VIRTUAL-SKIN, mStatus=3}\n\
        \tTemperature{mValue=47.2, mType=0, mName=BIG, mStatus=0}\n\
        \tTemperature{mValue=-3276.8, mType=0, mName=BROKEN, mStatus=0}\n\
        Current cooling devices from HAL:\n\tCoolingDevice{mValue=0, mType=2, mName=cpu0}\n";

    #[test]
    fn the_thermal_service_is_read() {
        assert_eq!(thermal_status(THERMAL), Some(3));
        let zones = vec![("BIG".to_owned(), 47.2), ("VIRTUAL-SKIN".to_owned(), 33.5)];
        assert_eq!(temperatures(THERMAL), Some(zones));
        assert_eq!((thermal_status("Thermal Status: 9"), temperatures("nothing")), (None, None));
    }

    #[test]
    fn the_battery_service_is_read() {
        let text = "Current Battery Service state:\n  status: 3\n  level: 38\n  scale: 50\n  \
                    temperature: 294\n";
        let battery = battery(text).unwrap();
        assert_eq!((battery.percent, battery.charging), (Some(76.0), Some(false)));
        assert_eq!(battery.celsius, Some(29.4));
        assert_eq!(super::battery("Can't find service: battery"), None);
    }
}
