//! A broken or hostile runner may say anything; nonsense is not kept.
use crate::agent::Conditions;
use crate::agent::Heat;
use crate::agent::Hello;
use crate::agent::InputSpec;
use crate::agent::MemoryUse;
use crate::agent::OpTime;
use crate::agent::Outputs;
use crate::agent::ProviderShare;
use crate::agent::TensorData;
use crate::agent::Thinned;
use crate::agent::Timed;
use crate::stats::median;

use super::plan::Plan;

/// More threads than a runtime has.
const MOST_THREADS: f64 = 4096.0;

/// Longest text that is kept, bytes.
const LONGEST_TEXT: usize = 1000;

/// Most memory that a device may have, bytes: 4 PiB.
const MOST_MEMORY: u64 = 1 << 52;

/// More runs a microsecond than any model can make.
const MOST_RUNS_PER_US: f64 = 100.0;

/// Less than any run, or loading a model, can take, µs.
const LEAST_US: f64 = 1e-3;

/// How many times longer most runs may be than all of them together let expect. The kept ones spread
/// evenly over all, so half of all are as long as their median, but for chance.
const LARGEST_SHARE: f64 = 10.0;

/// How many times longer all runs may be than the kept ones let expect: others may have been
/// interrupted.
const LARGEST_REST: f64 = 1000.0;

/// How far the kernel's counters of memory may lag behind each other on a machine of many processors,
/// bytes.
const MEMORY_LAG: u64 = 32 << 20;

/// More nodes than a model that passes the scan can have.
const MOST_NODES: u64 = 1 << 24;

/// More values than an input or output can have.
const MOST_VALUES: f64 = 1e12;

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
    let times = [("load_us", timed.load_us), ("first_us", timed.first_us)];
    let samples = timed.samples_us.iter().map(|us| ("a sample", *us));
    times
        .into_iter()
        .chain(samples)
        .try_for_each(|(what, us)| ensure_within(what, us, LEAST_US, longest))?;
    ensure_within("the sum of its samples", timed.samples_us.iter().sum(), 0.0, longest)?;
    ensure_within("timed_us", timed.timed_us, 0.0, longest)?;
    ensure_runs(timed, longest)?;
    ensure_within("threads", timed.threads as f64, 1.0, MOST_THREADS)?;
    ensure_within("threads_used", timed.threads_used.unwrap_or(1) as f64, 1.0, MOST_THREADS)?;
    ensure_short("runtime_version", &timed.runtime_version)?;
    timed.providers.iter().flatten().try_for_each(ensure_provider)?;
    timed.inputs.iter().try_for_each(ensure_input)?;
    timed.too_hot.iter().try_for_each(ensure_heat)?;
    ensure_conditions(&timed.before)?;
    ensure_conditions(&timed.after)
}

/// Do the kept runs and all of them belong together? An agent that keeps every one does not count
/// them.
fn ensure_runs(timed: &Timed, longest: f64) -> Result<(), String> {
    let (runs, kept) = (u64::from(timed.runs), timed.samples_us.len() as u64);
    if runs == 0 {
        return Ok(());
    }
    if runs < kept || runs as f64 > longest * MOST_RUNS_PER_US {
        return Err(format!("{runs} runs, of which {kept} were kept, in {longest:.0} µs"));
    }
    let sum: f64 = timed.samples_us.iter().sum();
    // Added up in another order.
    ensure_within("timed_us", timed.timed_us, sum * (1.0 - 1e-6), f64::MAX)?;
    let Some(middle) = median(&timed.samples_us) else { return Ok(()) };
    let (most, mean) = (timed.timed_us * LARGEST_SHARE, sum / kept as f64);
    let is_as_kept =
        middle * runs as f64 <= most && timed.timed_us <= mean * runs as f64 * LARGEST_REST;
    match is_as_kept {
        true => Ok(()),
        false => Err(format!("{runs} runs of about {middle} µs in {} µs", timed.timed_us)),
    }
}

/// Refuses more than was asked for, and another runtime than the one that `hello` promised.
///
/// # Errors
///
/// What was not asked for, for a person.
pub fn ensure_as_asked(timed: &Timed, plan: &Plan, promised: Option<&str>) -> Result<(), String> {
    let most = plan.sampling.max.max(plan.sampling.min).max(1);
    ensure_within("number of samples", timed.samples_us.len() as f64, 0.0, most.into())?;
    let most = plan.warmup.max_runs;
    ensure_within("warmup_runs", timed.warmup_runs.into(), 0.0, most.into())?;
    match promised.filter(|version| *version != timed.runtime_version) {
        None => Ok(()),
        Some(promised) => Err(format!(
            "its runtime is of version `{}`, it said `{promised}` before",
            timed.runtime_version.escape_debug()
        )),
    }
}

/// Refuses memory that cannot be.
///
/// # Errors
///
/// What cannot be, for a person.
pub fn ensure_possible_memory(memory: &MemoryUse) -> Result<(), String> {
    let MemoryUse { before, loaded, peak, running, process_peak } = *memory;
    let values = [before, loaded, peak, running, process_peak];
    if let Some(bytes) = values.into_iter().flatten().find(|bytes| *bytes > MOST_MEMORY) {
        return Err(format!("{bytes} bytes of memory"));
    }
    for (what, some, most) in [
        ("before loading", before, peak),
        ("after loading", loaded, peak),
        ("while it ran", running, peak),
        ("while it ran", running, process_peak),
    ] {
        let Some((some, most)) = some.zip(most) else { continue };
        if some > most + MEMORY_LAG {
            return Err(format!("{some} bytes of memory {what}, and {most} at most"));
        }
    }
    Ok(())
}

/// Refuses outputs that cannot be: what is kept of them must be what their shapes tell.
///
/// # Errors
///
/// What cannot be, for a person.
pub fn ensure_possible_outputs(outputs: &Outputs) -> Result<(), String> {
    let Outputs { inputs, tensors, thinned } = outputs;
    inputs.iter().try_for_each(ensure_input)?;
    if !thinned.is_empty() && thinned.len() != tensors.len() {
        return Err(format!("{} of {} outputs are thinned", thinned.len(), tensors.len()));
    }
    let thinned = thinned.iter().map(Some).chain(std::iter::repeat(None));
    tensors.iter().zip(thinned).try_for_each(|(tensor, thinned)| ensure_output(tensor, thinned))
}

fn ensure_output(tensor: &TensorData, thinned: Option<&Thinned>) -> Result<(), String> {
    ensure_short("name of an output", &tensor.name)?;
    let all = ensure_shape(&tensor.shape)?;
    let stride = thinned.map_or(1, |thinned| thinned.stride);
    ensure_within("a stride", stride as f64, 1.0, MOST_VALUES)?;
    // Every so many-th, and the last.
    let kept = all.div_ceil(stride) + usize::from(all > 0 && !(all - 1).is_multiple_of(stride));
    if tensor.values.len() != kept {
        let values = tensor.values.len();
        return Err(format!("{values} values of an output that should have {kept}"));
    }
    let not_finite = thinned.map_or(0, |thinned| thinned.not_finite);
    ensure_within("not_finite", not_finite as f64, 0.0, all as f64)
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
    let named = [&facts.model, &facts.soc, &facts.build];
    let texts =
        [&facts.host, &facts.os, &facts.kernel, &facts.cpu].into_iter().chain(named).flatten();
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
    ensure_memory("memory_bytes", facts.memory_bytes)?;
    ensure_memory("memory_limit_bytes", hello.memory_limit_bytes)?;
    ensure_conditions(&hello.conditions)
}

fn ensure_conditions(conditions: &Conditions) -> Result<(), String> {
    for mhz in conditions.clocks_mhz.iter().flatten().flatten() {
        ensure_within("a clock in MHz", *mhz, 1e-3, 1e5)?;
    }
    for (zone, celsius) in conditions.temperatures_c.iter().flatten() {
        ensure_heat(&Heat { zone: zone.clone(), celsius: *celsius })?;
    }
    ensure_memory("available_bytes", conditions.available_bytes)?;
    for (what, number) in
        [("load", conditions.load), ("cpu_pressure_percent", conditions.cpu_pressure_percent)]
    {
        number.map_or(Ok(()), |number| ensure_within(what, number, 0.0, 1e6))?;
    }
    let ticks = conditions.ticks.map(|t| [t.busy, t.idle, t.steal]);
    let own = conditions.own.map(|own| [own.ticks, own.preempted]);
    for ticks in ticks.into_iter().flatten().chain(own.into_iter().flatten()) {
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

/// Some zones count from an offset of their own; beyond this it is no temperature.
fn ensure_heat(heat: &Heat) -> Result<(), String> {
    ensure_short("name of a temperature zone", &heat.zone)?;
    ensure_within("a temperature in °C", heat.celsius, -300.0, 1000.0)
}

fn ensure_provider(share: &ProviderShare) -> Result<(), String> {
    let ProviderShare { name, nodes, partitions } = share;
    ensure_short("name of a provider", name)?;
    ensure_within("nodes of a provider", *nodes as f64, 0.0, MOST_NODES as f64)?;
    ensure_within("partitions of a provider", *partitions as f64, 0.0, *nodes as f64)
}

fn ensure_input(input: &InputSpec) -> Result<(), String> {
    ensure_short("name of an input", &input.name)?;
    ensure_shape(&input.shape).map(drop)
}

/// How many values it has.
fn ensure_shape(shape: &[usize]) -> Result<usize, String> {
    let all = shape.iter().map(|n| *n as f64).product();
    ensure_within("number of values", all, 0.0, MOST_VALUES)?;
    Ok(all as usize)
}

fn ensure_memory(what: &str, bytes: Option<u64>) -> Result<(), String> {
    ensure_within(what, bytes.unwrap_or(0) as f64, 0.0, MOST_MEMORY as f64)
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
mod tests;
