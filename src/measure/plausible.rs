//! A broken or hostile runner may say anything; nonsense is not kept.
use crate::agent::Conditions;
use crate::agent::Hello;
use crate::agent::MemoryUse;
use crate::agent::OpTime;
use crate::agent::Timed;

/// Longest text that is kept, bytes.
const LONGEST_TEXT: usize = 1000;

/// Most memory that a device may have, bytes: 4 PiB.
const MOST_MEMORY: u64 = 1 << 52;

/// More runs a microsecond than any model can make.
const MOST_RUNS_PER_US: f64 = 100.0;

/// More clock ticks than a machine can have been on for.
const MOST_TICKS: u64 = 1 << 48;

/// Refuses figures of a launch that cannot be.
///
/// `wall_us` is how long the host waited for them; `None` for a runtime that only pretends to take
/// time.
///
/// # Errors
///
/// What cannot be, for a person.
pub fn ensure_possible(timed: &Timed, wall_us: Option<f64>) -> Result<(), String> {
    let longest = wall_us.unwrap_or(f64::MAX);
    for (what, us) in [("load_us", timed.load_us), ("first_us", timed.first_us)] {
        ensure_within(what, us, 0.0, longest)?;
    }
    for us in &timed.samples_us {
        ensure_within("a sample", *us, f64::MIN_POSITIVE, longest)?;
    }
    ensure_within("the sum of its samples", timed.samples_us.iter().sum(), 0.0, longest)?;
    ensure_within("timed_us", timed.timed_us, 0.0, longest)?;
    let (runs, kept) = (u64::from(timed.runs), timed.samples_us.len() as u64);
    if runs > 0 && (runs < kept || runs as f64 > longest * MOST_RUNS_PER_US) {
        return Err(format!("{runs} runs, of which {kept} were kept, in {longest:.0} µs"));
    }
    ensure_within("threads", timed.threads as f64, 1.0, 4096.0)?;
    ensure_short("runtime_version", &timed.runtime_version)?;
    let providers = timed.providers.iter().flatten();
    providers.clone().try_for_each(|p| ensure_short("name of a provider", &p.name))?;
    timed.inputs.iter().try_for_each(|input| ensure_short("name of an input", &input.name))?;
    ensure_conditions(&timed.before)?;
    ensure_conditions(&timed.after)
}

/// Refuses memory that cannot be.
///
/// # Errors
///
/// What cannot be, for a person.
pub fn ensure_possible_memory(memory: &MemoryUse) -> Result<(), String> {
    let MemoryUse { before, loaded, peak, running, process_peak } = *memory;
    let values = [before, loaded, peak, running, process_peak];
    match values.into_iter().flatten().find(|bytes| *bytes > MOST_MEMORY) {
        Some(bytes) => Err(format!("{bytes} bytes of memory")),
        None => Ok(()),
    }
}

/// Refuses times of operations that cannot be; one takes `most_us` at most.
///
/// # Errors
///
/// What cannot be, for a person.
pub fn ensure_possible_ops(ops: &[OpTime], most_us: f64) -> Result<(), String> {
    for op in ops {
        ensure_within("time of an operation", op.us, 0.0, most_us)?;
        for text in [Some(&op.name), Some(&op.op), op.provider.as_ref()].into_iter().flatten() {
            ensure_short("name of an operation", text)?;
        }
    }
    Ok(())
}

/// Refuses a device that says of itself what cannot be.
///
/// # Errors
///
/// What cannot be, for a person.
pub fn ensure_possible_hello(hello: &Hello) -> Result<(), String> {
    let facts = &hello.facts;
    let texts = [&facts.host, &facts.os, &facts.kernel, &facts.cpu].into_iter().flatten();
    for text in texts.chain([&facts.arch, &hello.version]) {
        ensure_short("a fact", text)?;
    }
    for runtime in &hello.runtimes {
        // Why it is missing may have several lines.
        let optional = [&runtime.version, &runtime.library];
        let texts = optional.into_iter().flatten().chain(&runtime.providers);
        texts.chain([&runtime.name]).try_for_each(|text| ensure_short("a runtime", text))?;
    }
    ensure_within("cores", facts.cores.unwrap_or(1) as f64, 1.0, 65_536.0)?;
    ensure_conditions(&hello.conditions)
}

fn ensure_conditions(conditions: &Conditions) -> Result<(), String> {
    for mhz in conditions.clocks_mhz.iter().flatten() {
        ensure_within("a clock in MHz", *mhz, 0.0, 1e5)?;
    }
    for (zone, celsius) in conditions.temperatures_c.iter().flatten() {
        ensure_short("name of a temperature zone", zone)?;
        // Some zones count from an offset of their own; beyond this it is no temperature.
        ensure_within("a temperature in °C", *celsius, -300.0, 1000.0)?;
    }
    for (what, number) in
        [("load", conditions.load), ("cpu_pressure_percent", conditions.cpu_pressure_percent)]
    {
        number.map_or(Ok(()), |number| ensure_within(what, number, 0.0, 1e6))?;
    }
    let ticks = conditions.ticks.map(|t| [t.busy, t.idle, t.steal]);
    let own = conditions.own.map(|own| own.ticks);
    for ticks in ticks.into_iter().flatten().chain(own) {
        ensure_within("ticks", ticks as f64, 0.0, MOST_TICKS as f64)?;
    }
    let status = conditions.thermal_status.unwrap_or(0);
    ensure_within("a thermal status", status.into(), 0.0, 6.0)?;
    if let Some(battery) = &conditions.battery {
        let [percent, celsius] = [battery.percent, battery.celsius];
        percent.map_or(Ok(()), |p| ensure_within("a battery in percent", p, 0.0, 100.0))?;
        celsius.map_or(Ok(()), |c| ensure_within("a battery in °C", c, -100.0, 200.0))?;
    }
    let sandbox = conditions.sandbox.iter().flatten();
    sandbox.clone().try_for_each(|name| ensure_short("a part of the sandbox", name))?;
    let uptime_s = conditions.uptime_s.unwrap_or(0.0);
    ensure_within("uptime_s", uptime_s, 0.0, MOST_TICKS as f64)?;
    let mut governors = conditions.governors.iter().flatten().chain(&conditions.governor);
    governors.try_for_each(|name| ensure_short("governor", name))
}

fn ensure_within(what: &str, value: f64, least: f64, most: f64) -> Result<(), String> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(format!("{what} is {value}")),
    }
}

fn ensure_short(what: &str, text: &str) -> Result<(), String> {
    match text.len() <= LONGEST_TEXT && !text.contains(char::is_control) {
        true => Ok(()),
        false => Err(format!("{what} has {} bytes, or is no text", text.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Battery;
    use crate::agent::OwnTime;

    fn timed() -> Timed {
        serde_json::from_str(
            r#"{"runtime_version":"1","threads":1,"inputs":[],"load_us":10.0,"first_us":5.0,
                "warmup_runs":20,"settled":true,"samples_us":[3.0,4.0],
                "before":{"clocks_mhz":[1800.0],"governor":"performance",
                          "temperatures_c":[["cpu",41.5]],"load":0.1,"available_bytes":9,
                          "cpu_pressure_percent":0.0,"ticks":null,"own":null},
                "after":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,
                         "available_bytes":null,"cpu_pressure_percent":null,"ticks":null,
                         "own":null}}"#,
        )
        .unwrap()
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut Timed), part: &str) {
        let mut timed = timed();
        change(&mut timed);
        let reason = ensure_possible(&timed, Some(1000.0)).unwrap_err();
        assert!(reason.contains(part), "{reason}");
    }

    #[test]
    fn figures_that_can_be_are_kept() {
        assert_eq!(ensure_possible(&timed(), Some(1000.0)), Ok(()));
        assert_eq!(ensure_possible(&timed(), None), Ok(()));
    }

    #[test]
    fn nonsense_is_named() {
        check_refused(|t| t.samples_us[0] = -3.0, "a sample is -3");
        check_refused(|t| t.samples_us[0] = 0.0, "a sample is 0");
        check_refused(|t| t.samples_us = vec![400.0; 3], "the sum of its samples is 1200");
        check_refused(|t| t.load_us = 1e9, "load_us");
        check_refused(|t| t.timed_us = 1e12, "timed_us");
        check_refused(|t| t.runs = 1, "1 runs, of which 2 were kept");
        check_refused(|t| t.runs = u32::MAX, "runs");
        check_refused(|t| t.before.own = Some(OwnTime { ticks: u64::MAX, preempted: 0 }), "ticks");
        check_refused(
            |t| t.after.battery = Some(Battery { percent: Some(400.0), ..Battery::default() }),
            "a battery",
        );
        check_refused(|t| t.first_us = f64::NAN, "first_us is NaN");
        check_refused(|t| t.threads = 0, "threads is 0");
        check_refused(|t| t.runtime_version = "x".repeat(5000), "runtime_version has 5000");
        check_refused(|t| t.before.governor = Some("a\x1b[2J".into()), "governor");
        check_refused(|t| t.before.governors = Some(vec!["a\x07".into()]), "governor");
        check_refused(|t| t.before.uptime_s = Some(f64::NAN), "uptime_s");
        check_refused(|t| t.before.clocks_mhz = Some(vec![1e300]), "a clock");
        check_refused(
            |t| t.before.temperatures_c = Some(vec![("cpu".into(), 1e9)]),
            "a temperature",
        );
        let memory = MemoryUse { peak: Some(u64::MAX), ..MemoryUse::default() };
        assert!(ensure_possible_memory(&memory).unwrap_err().contains("bytes of memory"));
    }
}
