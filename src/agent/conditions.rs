//! The machine and the state it is in; what cannot be read is `null`, never 0.
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use sysinfo::Components;
use sysinfo::System;

use super::sandbox;

/// Where the kernel shows processors (`Documentation/admin-guide/pm/cpufreq.rst`).
const CPU: &str = "/sys/devices/system/cpu";

/// Where the kernel shows temperatures of zones (`Documentation/driver-api/thermal/sysfs-api.rst`).
const THERMAL: &str = "/sys/class/thermal";

/// Where it shows batteries and chargers (`Documentation/ABI/testing/sysfs-class-power`).
const POWER_SUPPLY: &str = "/sys/class/power_supply";

/// What does not change while the machine is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// As the system calls itself, e.g. `pixel-6` or `bench-3`.
    pub host: Option<String>,
    /// Instruction set, e.g. `aarch64`.
    pub arch: String,
    /// Operating system with version.
    pub os: Option<String>,
    /// Kernel version.
    pub kernel: Option<String>,
    /// Model of the processor, or of the board where that is what the system names.
    pub cpu: Option<String>,
    /// Logical processors that this process may use.
    pub cores: Option<usize>,
    /// Main memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Does the processor belong to a virtual machine?
    pub virtual_machine: Option<bool>,
    /// What the phone is sold as, as Android says it.
    #[serde(default)]
    pub model: Option<String>,
    /// Its system on a chip, as Android says it.
    #[serde(default)]
    pub soc: Option<String>,
    /// The build of its system, as Android says it: drivers and schedulers change with it.
    #[serde(default)]
    pub build: Option<String>,
    /// Is its processor played by software of another machine? Its times then say nothing.
    #[serde(default)]
    pub emulated: Option<bool>,
}

/// What may change from one moment to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Clock of each logical processor of the machine, in the order of their numbers, MHz; `None` for
    /// one that does not say.
    pub clocks_mhz: Option<Vec<Option<f64>>>,
    /// Frequency governor of the first processor.
    pub governor: Option<String>,
    /// Frequency governors of all processors, where they are not that of the first.
    #[serde(default)]
    pub governors: Option<Vec<String>>,
    /// Temperature zones, hottest first, °C.
    pub temperatures_c: Option<Vec<(String, f64)>>,
    /// Load average over a minute.
    pub load: Option<f64>,
    /// Memory that is free for use, bytes.
    pub available_bytes: Option<u64>,
    /// Share of the last 10 s in which some task waited for a processor, percent.
    pub cpu_pressure_percent: Option<f64>,
    /// Processor time of the whole machine so far.
    pub ticks: Option<Ticks>,
    /// Of this process so far.
    pub own: Option<OwnTime>,
    /// Android's thermal status: 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency,
    /// 6 shutdown. Not right before the samples, since asking for it takes a while.
    #[serde(default)]
    pub thermal_status: Option<u8>,
    /// What holds the process that ran the model: `memory`, `cpu`, `landlock`, `seccomp`; `None`
    /// from an agent that does not say.
    #[serde(default)]
    pub sandbox: Option<Vec<String>>,
    /// What the device runs on when it is not plugged in.
    #[serde(default)]
    pub battery: Option<Battery>,
    /// Is its screen on?
    #[serde(default)]
    pub screen_on: Option<bool>,
    /// How long it has been on, s.
    #[serde(default)]
    pub uptime_s: Option<f64>,
}

/// The device's own battery; each part is `null` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Battery {
    /// Charge, percent of a full one.
    pub percent: Option<f64>,
    /// Does it charge, or is it full with the charger connected?
    pub charging: Option<bool>,
    /// Its temperature, °C.
    pub celsius: Option<f64>,
}

/// Processor time since the machine was started, summed over processors, in clock ticks
/// (`USER_HZ`, 10 ms nearly everywhere).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks {
    /// Of any process, kernel and interrupts included.
    pub busy: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Taken by the hypervisor for others.
    pub steal: u64,
}

/// What this process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnTime {
    /// Processor time, in clock ticks.
    pub ticks: u64,
    /// How often another task was put in its place.
    pub preempted: u64,
}

impl Facts {
    /// Reads them.
    pub fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Facts {
            host: System::host_name().ok(),
            arch: std::env::consts::ARCH.to_owned(),
            os: System::long_os_version().ok(),
            kernel: System::kernel_version().ok(),
            cpu: cpu_name(&cpuinfo),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: meminfo("MemTotal:"),
            virtual_machine: (!cpuinfo.is_empty()).then(|| is_virtual(&cpuinfo)),
            model: None,
            soc: None,
            build: None,
            // Of Linux 6.1 and later; an emulator answers `uname` itself, but not this.
            emulated: line("/proc/sys/kernel/arch")
                .map(|kernel| family(&kernel) != family(std::env::consts::ARCH)),
        }
    }
}

impl Conditions {
    /// Reads them; costs about a millisecond.
    pub fn read() -> Self {
        let governors = governors(Path::new(CPU));
        let governor = governors.first().cloned();
        let differ = governors.iter().any(|other| Some(other) != governor.as_ref());
        Conditions {
            clocks_mhz: clocks(Path::new(CPU)),
            governor,
            governors: differ.then_some(governors),
            temperatures_c: temperatures().or_else(|| zones(Path::new(THERMAL))),
            load: line("/proc/loadavg").and_then(|l| l.split(' ').next()?.parse().ok()),
            available_bytes: meminfo("MemAvailable:"),
            cpu_pressure_percent: line("/proc/pressure/cpu").and_then(|l| pressure(&l)),
            ticks: line("/proc/stat").and_then(|l| ticks(&l)),
            own: own(),
            thermal_status: None,
            sandbox: Some(sandbox::held()),
            battery: battery(Path::new(POWER_SUPPLY)),
            screen_on: None,
            uptime_s: line("/proc/uptime").and_then(|l| l.split(' ').next()?.parse().ok()),
        }
    }

    /// Frequency governors other than `performance`, each once.
    pub fn scaling(&self) -> Vec<&str> {
        let all = self.governor.iter().chain(self.governors.iter().flatten());
        let mut names: Vec<&str> =
            all.map(String::as_str).filter(|g| *g != "performance").collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The first line of a file, without its end.
fn line(file: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().next().map(|l| l.trim().to_owned())
}

fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let value = text.lines().find_map(|l| l.strip_prefix(name))?;
    Some(1024 * value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

/// x86 names the processor, ARM kernels the board.
fn cpu_name(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|l| l.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    field("model name").or_else(|| field("Hardware")).or_else(|| field("Model"))
}

fn is_virtual(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
    flags.split(' ').any(|flag| flag == "hypervisor")
}

/// Governors of the processors that have one, in the order of their numbers.
fn governors(folder: &Path) -> Vec<String> {
    let governor = |core: PathBuf| line(core.join("cpufreq/scaling_governor"));
    cores(folder).into_iter().filter_map(governor).collect()
}

/// Clocks of all processors, also those that this process may not use; `None` if none says.
fn clocks(folder: &Path) -> Option<Vec<Option<f64>>> {
    let mhz = |core: PathBuf| {
        let khz: f64 = line(core.join("cpufreq/scaling_cur_freq"))?.parse().ok()?;
        (khz > 0.0).then_some(khz / 1e3)
    };
    let clocks: Vec<Option<f64>> = cores(folder).into_iter().map(mhz).collect();
    clocks.iter().any(Option::is_some).then_some(clocks)
}

/// Folders of the processors, in the order of their numbers.
fn cores(folder: &Path) -> Vec<PathBuf> {
    let number = |path: &PathBuf| -> Option<u32> {
        path.file_name()?.to_str()?.strip_prefix("cpu")?.parse().ok()
    };
    let mut cores: Vec<(u32, PathBuf)> =
        children(folder).into_iter().filter_map(|path| Some((number(&path)?, path))).collect();
    cores.sort();
    cores.into_iter().map(|(_, core)| core).collect()
}

/// Processors of one family run each other's programs.
fn family(arch: &str) -> &str {
    match arch {
        "aarch64" => "arm",
        "x86_64" | "i386" | "i486" | "i586" | "i686" => "x86",
        arm if arm.starts_with("arm") => "arm",
        other => other,
    }
}

fn temperatures() -> Option<Vec<(String, f64)>> {
    let components = Components::new_with_refreshed_list().ok()?;
    let mut zones: Vec<(String, f64)> = components
        .iter()
        .filter_map(|c| Some((c.label().to_owned(), f64::from(c.temperature()?))))
        .filter(|(_, t)| t.is_finite())
        .collect();
    zones.sort_by(|a, b| b.1.total_cmp(&a.1));
    (!zones.is_empty()).then_some(zones)
}

/// The zones `thermal_zone*/{type,temp}` of a folder, hottest first. The sensors that the library
/// knows are those of `hwmon`, which boards and phones may lack.
fn zones(folder: &Path) -> Option<Vec<(String, f64)>> {
    let is_zone = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("thermal_zone"))
    };
    let zone = |path: PathBuf| {
        let celsius = plausible(line(path.join("temp"))?.parse().ok()?)?;
        Some((line(path.join("type"))?, celsius))
    };
    let zones = children(folder).into_iter().filter(is_zone).filter_map(zone);
    let mut zones: Vec<(String, f64)> = zones.collect();
    zones.sort_by(|a, b| b.1.total_cmp(&a.1));
    (!zones.is_empty()).then_some(zones)
}

/// A zone's reading in °C. The kernel counts in thousandths, but some phones in whole degrees; a
/// zone without a sensor reads far below zero.
fn plausible(reading: f64) -> Option<f64> {
    let celsius = if reading.abs() < 200.0 { reading } else { reading / 1e3 };
    (-40.0..=200.0).contains(&celsius).then_some(celsius)
}

/// The first battery of a folder of power supplies that is the device's own, not that of a mouse.
fn battery(folder: &Path) -> Option<Battery> {
    let is_own = |supply: &PathBuf| {
        line(supply.join("type")).as_deref() == Some("Battery")
            && line(supply.join("scope")).as_deref() != Some("Device")
            && line(supply.join("present")).as_deref() != Some("0")
    };
    let supply = children(folder).into_iter().find(is_own)?;
    let number = |name: &str| line(supply.join(name))?.parse::<f64>().ok();
    Some(Battery {
        percent: number("capacity").filter(|p| (0.0..=100.0).contains(p)),
        charging: line(supply.join("status")).and_then(|status| is_charging(&status)),
        celsius: number("temp").map(|tenths| tenths / 10.0),
    })
}

fn is_charging(status: &str) -> Option<bool> {
    match status {
        "Charging" | "Full" => Some(true),
        "Discharging" | "Not charging" => Some(false),
        _ => None,
    }
}

/// What lies in `folder`, by name.
fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut children: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    children.sort();
    children
}

/// `some avg10=1.23 avg60=… total=…`
fn pressure(line: &str) -> Option<f64> {
    line.split(' ').find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`
fn ticks(line: &str) -> Option<Ticks> {
    let fields: Vec<u64> = line
        .strip_prefix("cpu ")?
        .split_whitespace()
        .map(|f| f.parse().ok())
        .collect::<Option<_>>()?;
    let at = |i: usize| fields.get(i).copied();
    let busy = at(0)? + at(1)? + at(2)? + at(5)? + at(6)?;
    Some(Ticks { busy, idle: at(3)? + at(4)?, steal: at(7)? })
}

fn own() -> Option<OwnTime> {
    let stat = line("/proc/self/stat")?;
    // The name in parentheses may hold anything; the fields behind it are numbers from the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let preempted = status.lines().find_map(|l| l.strip_prefix("nonvoluntary_ctxt_switches:"))?;
    Some(OwnTime { ticks: field(14)? + field(15)?, preempted: preempted.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_split_into_busy_idle_and_stolen() {
        let line = "cpu  100 20 30 4000 50 6 7 80 9 0";
        assert_eq!(ticks(line), Some(Ticks { busy: 163, idle: 4050, steal: 80 }));
        assert_eq!(ticks("intr 1 2 3"), None);
    }

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn with(test: &str, files: &[(&str, &str)]) -> Self {
            let root =
                std::env::temp_dir().join(format!("citronade-{}-{test}", std::process::id()));
            for (file, text) in files {
                fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
                fs::write(root.join(file), format!("{text}\n")).unwrap();
            }
            Folder(root)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn all_governors_are_read_in_the_order_of_their_processors() {
        let files = [
            ("cpu0/cpufreq/scaling_governor", "schedutil"),
            ("cpu10/cpufreq/scaling_governor", "powersave"),
            ("cpu2/cpufreq/scaling_governor", "performance"),
            ("cpu3/online", "0"),
            ("cpufreq/boost", "1"),
        ];
        let folder = Folder::with("governors", &files);
        let found = governors(&folder.0);
        assert_eq!(found, ["schedutil", "performance", "powersave"]);
        let governor = Some("schedutil".to_owned());
        let conditions = Conditions { governor, governors: Some(found), ..Conditions::default() };
        assert_eq!(conditions.scaling(), ["powersave", "schedutil"]);
        assert!(Conditions::default().scaling().is_empty());
        assert!(governors(Path::new("/nowhere")).is_empty());
    }

    #[test]
    fn every_processor_has_its_clock_or_says_none() {
        let files = [
            ("cpu0/cpufreq/scaling_cur_freq", "1800000"),
            ("cpu1/online", "0"),
            ("cpu10/cpufreq/scaling_cur_freq", "600000"),
            ("cpu2/cpufreq/scaling_cur_freq", "0"),
            ("cpufreq/boost", "1"),
        ];
        let folder = Folder::with("clocks", &files);
        let expected = vec![Some(1800.0), None, None, Some(600.0)];
        assert_eq!(clocks(&folder.0), Some(expected));
        let silent = Folder::with("no-clocks", &[("cpu0/online", "1"), ("cpu1/online", "1")]);
        assert_eq!([clocks(&silent.0), clocks(Path::new("/nowhere"))], [None, None]);
    }

    #[test]
    fn zones_are_read_hottest_first_and_those_without_a_sensor_left_out() {
        let folder = Folder::with(
            "zones",
            &[
                ("cooling_device0/type", "Processor"),
                ("thermal_zone0/type", "cpu-thermal"),
                ("thermal_zone0/temp", "41500"),
                ("thermal_zone1/type", "skin"),
                ("thermal_zone1/temp", "43"),
                ("thermal_zone2/type", "modem"),
                ("thermal_zone2/temp", "-274000"),
                ("thermal_zone3/type", "empty"),
                ("thermal_zone3/temp", ""),
            ],
        );
        let expected = vec![("skin".to_owned(), 43.0), ("cpu-thermal".to_owned(), 41.5)];
        assert_eq!(zones(&folder.0), Some(expected));
        assert_eq!(zones(&folder.0.join("nowhere")), None);
    }

    #[test]
    fn the_battery_is_the_devices_own() {
        let folder = Folder::with(
            "battery",
            &[
                ("ac/type", "Mains"),
                ("ac/online", "1"),
                ("a-mouse/type", "Battery"),
                ("a-mouse/scope", "Device"),
                ("a-mouse/capacity", "12"),
                ("battery/type", "Battery"),
                ("battery/present", "1"),
                ("battery/capacity", "81"),
                ("battery/status", "Not charging"),
                ("battery/temp", "314"),
            ],
        );
        let expected = Battery { percent: Some(81.0), charging: Some(false), celsius: Some(31.4) };
        assert_eq!(battery(&folder.0), Some(expected));
        assert_eq!(battery(&folder.0.join("ac")), None);
    }

    #[test]
    fn what_a_battery_does_not_say_is_unknown() {
        let folder = Folder::with(
            "dumb",
            &[("b/type", "Battery"), ("b/capacity", "-1"), ("b/status", "Unknown")],
        );
        assert_eq!(battery(&folder.0), Some(Battery::default()));
        assert_eq!(["Charging", "Full", "?"].map(is_charging), [Some(true), Some(true), None]);
    }

    #[test]
    fn pressure_is_that_of_ten_seconds() {
        assert_eq!(pressure("some avg10=1.23 avg60=4.00 avg300=0.10 total=99"), Some(1.23));
    }

    #[test]
    fn a_32_bit_program_on_its_own_familys_kernel_is_not_emulated() {
        for (kernel, program) in [("aarch64", "arm"), ("armv7l", "arm"), ("x86_64", "x86")] {
            assert_eq!(family(kernel), family(program));
        }
        assert_ne!(family("x86_64"), family("aarch64"));
        assert_ne!(family("riscv64"), family("aarch64"));
    }

    #[test]
    fn a_board_is_named_where_the_processor_is_not() {
        assert_eq!(cpu_name("processor\t: 0\nmodel name\t: EPYC\n").as_deref(), Some("EPYC"));
        assert_eq!(cpu_name("Model\t\t: Raspberry Pi 5\n").as_deref(), Some("Raspberry Pi 5"));
        assert_eq!(cpu_name(""), None);
    }
}
