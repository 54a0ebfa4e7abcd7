//! The machine and the state it is in; what cannot be read is `null`, never 0.
use std::fs;

use serde::Deserialize;
use serde::Serialize;
use sysinfo::Components;
use sysinfo::System;

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
}

/// What may change from one moment to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Clock of each logical processor, MHz.
    pub clocks_mhz: Option<Vec<f64>>,
    /// Frequency governor of the first processor.
    pub governor: Option<String>,
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
        }
    }
}

impl Conditions {
    /// Reads them; costs about a millisecond.
    pub fn read() -> Self {
        Conditions {
            clocks_mhz: clocks(),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            temperatures_c: temperatures(),
            load: line("/proc/loadavg").and_then(|l| l.split(' ').next()?.parse().ok()),
            available_bytes: meminfo("MemAvailable:"),
            cpu_pressure_percent: line("/proc/pressure/cpu").and_then(|l| pressure(&l)),
            ticks: line("/proc/stat").and_then(|l| ticks(&l)),
            own: own(),
        }
    }
}

/// The first line of a file, without its end.
fn line(file: &str) -> Option<String> {
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

fn clocks() -> Option<Vec<f64>> {
    let cores = std::thread::available_parallelism().ok()?.get();
    let khz = |core: usize| -> Option<f64> {
        let file = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
        line(&file)?.parse().ok()
    };
    (0..cores).map(|core| khz(core).map(|k| k / 1e3)).collect()
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

    #[test]
    fn pressure_is_that_of_ten_seconds() {
        assert_eq!(pressure("some avg10=1.23 avg60=4.00 avg300=0.10 total=99"), Some(1.23));
    }

    #[test]
    fn a_board_is_named_where_the_processor_is_not() {
        assert_eq!(cpu_name("processor\t: 0\nmodel name\t: EPYC\n").as_deref(), Some("EPYC"));
        assert_eq!(cpu_name("Model\t\t: Raspberry Pi 5\n").as_deref(), Some("Raspberry Pi 5"));
        assert_eq!(cpu_name(""), None);
    }
}
