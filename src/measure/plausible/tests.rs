//! Nonsense, and what is told of it.
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::sample::select;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::agent::Battery;
use crate::agent::OwnTime;
use crate::measure::Level;

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
    check_refused(|t| t.before.clocks_mhz = Some(vec![None, Some(1e300)]), "a clock");
    check_refused(|t| t.before.temperatures_c = Some(vec![("cpu".into(), 1e9)]), "a temperature");
    let memory = MemoryUse { peak: Some(u64::MAX), ..MemoryUse::default() };
    assert!(ensure_possible_memory(&memory).unwrap_err().contains("bytes of memory"));
}

/// A true answer with every number that there can be: two of four runs were kept.
fn whole() -> Value {
    let conditions = json!({
        "clocks_mhz": [1800.0, null], "governor": "performance",
        "temperatures_c": [["cpu", 41.5]], "load": 0.1, "available_bytes": 9000,
        "cpu_pressure_percent": 0.5, "ticks": {"busy": 10, "idle": 90, "steal": 1},
        "own": {"ticks": 3, "preempted": 2}, "thermal_status": 1, "uptime_s": 77.5,
        "battery": {"percent": 81.0, "charging": true, "celsius": 31.5},
    });
    json!({
        "runtime_version": "1", "threads": 2, "threads_used": 2,
        "inputs": [{"name": "x", "element": "f32", "shape": [1, 3]}],
        "load_us": 10.0, "first_us": 5.0, "warmup_runs": 20, "settled": true,
        "samples_us": [3.0, 4.0], "runs": 4, "timed_us": 14.0,
        "too_hot": {"zone": "cpu", "celsius": 85.0},
        "providers": [{"name": "CPUExecutionProvider", "nodes": 12, "partitions": 3}],
        "before": conditions, "after": conditions,
    })
}

fn judged(timed: &Timed) -> Result<(), String> {
    ensure_possible(timed, Some(1000.0))?;
    ensure_as_asked(timed, &Plan::of(Level::Screen), Some("1"))
}

fn greeting() -> Value {
    let conditions = whole()["before"].take();
    json!({
        "version": "1", "runtimes": [], "conditions": conditions, "memory_limit_bytes": 9000,
        "facts": {"host": null, "arch": "aarch64", "os": null, "kernel": null, "cpu": null,
                  "cores": 4, "memory_bytes": 8000, "virtual_machine": null},
    })
}

fn weighed() -> Value {
    json!({"before": 1000, "loaded": 1100, "peak": 1300, "running": 1300, "process_peak": 21300})
}

/// Values may be anything; of ten every third is kept, which is also the last.
fn computed() -> Value {
    json!({
        "inputs": [{"name": "x", "element": "f32", "shape": [1, 3]}],
        "tensors": [{"name": "y", "element": "f32", "shape": [2, 5], "values": [null, null, null, null]}],
        "thinned": [{"stride": 3, "least": null, "most": null, "mean": null, "not_finite": 10}],
    })
}

/// Where the numbers of an answer are.
fn numbers(value: &Value, at: &str) -> Vec<String> {
    let within = |key: &str, value| numbers(value, &format!("{at}/{key}"));
    match value {
        Value::Number(_) => vec![at.to_owned()],
        Value::Array(values) => {
            let values = values.iter().enumerate();
            values.flat_map(|(key, value)| within(&key.to_string(), value)).collect()
        }
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| within(key, value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => Vec::new(),
    }
}

/// Is the answer refused with `nonsense` in place of one of its numbers? What cannot be read is.
fn refuses<T: DeserializeOwned>(
    mut answer: Value,
    at: &str,
    nonsense: &Value,
    judge: impl Fn(&T) -> Result<(), String>,
) -> bool {
    *answer.pointer_mut(at).unwrap() = nonsense.clone();
    serde_json::from_value(answer).map_or(true, |answer| judge(&answer).is_err())
}

/// Below everything, above everything, and no number, in whole numbers too.
fn nonsense() -> impl Strategy<Value = Value> {
    prop_oneof![
        (4.0..300.0).prop_map(|e| json!(-(10_f64.powf(e)))),
        (16.0..300.0).prop_map(|e| json!(10_f64.powf(e))),
        (16_u32..19).prop_map(|e| json!(10_u64.pow(e))),
        Just(json!(u64::MAX)),
        select(vec!["NaN", "1e999", ""]).prop_map(|text| json!(text)),
    ]
}

#[test]
fn true_answers_are_believed() {
    assert_eq!(judged(&serde_json::from_value(whole()).unwrap()), Ok(()));
    let hello: Hello = serde_json::from_value(greeting()).unwrap();
    assert_eq!(ensure_possible_hello(&hello), Ok(()));
    assert_eq!(ensure_possible_memory(&serde_json::from_value(weighed()).unwrap()), Ok(()));
    assert_eq!(ensure_possible_outputs(&serde_json::from_value(computed()).unwrap()), Ok(()));
}

proptest! {
    /// Quantifies over every number of every answer, so that a new field cannot be forgotten.
    #[test]
    fn an_answer_with_one_number_that_cannot_be_is_refused(at: Index, nonsense in nonsense()) {
        let places = numbers(&whole(), "");
        let place = at.get(&places);
        prop_assert!(refuses(whole(), place, &nonsense, judged), "{place}: {nonsense}");
        let places = numbers(&greeting(), "");
        let place = at.get(&places);
        prop_assert!(refuses(greeting(), place, &nonsense, ensure_possible_hello), "{place}: {nonsense}");
        let places = numbers(&weighed(), "");
        let place = at.get(&places);
        prop_assert!(refuses(weighed(), place, &nonsense, ensure_possible_memory), "{place}: {nonsense}");
        let places = numbers(&computed(), "");
        let place = at.get(&places);
        prop_assert!(refuses(computed(), place, &nonsense, ensure_possible_outputs), "{place}: {nonsense}");
    }

    #[test]
    fn times_and_clocks_of_nearly_nothing_are_refused(at: Index, exponent in -300.0..-4.0) {
        let places = numbers(&whole(), "");
        let is_time = |at: &&String| at.contains("_us") || at.contains("clocks");
        let places: Vec<&String> = places.iter().filter(is_time).collect();
        let (place, tiny) = (at.get(&places), json!(10_f64.powf(exponent)));
        prop_assert!(refuses(whole(), place, &tiny, judged), "{place}: {tiny}");
    }
}

#[test]
fn runs_that_do_not_fit_their_time_are_refused() {
    let many = |t: &mut Timed, us: f64, timed_us| {
        (t.samples_us, t.runs, t.timed_us) = (vec![us; 100], 1_000_000, timed_us);
    };
    check_refused(|t| many(t, 1e-300, 500.0), "a sample is");
    check_refused(|t| many(t, 0.1, 500.0), "runs, of which");
    let of_a_second = |us, timed_us| {
        let mut timed = timed();
        many(&mut timed, us, timed_us);
        ensure_possible(&timed, Some(2e6))
    };
    assert_eq!(of_a_second(1.0, 1e6), Ok(()));
    assert_eq!(of_a_second(1.0, 0.2e6), Ok(()), "others may have been shorter");
    assert_eq!(of_a_second(0.1, 1.9e6), Ok(()), "others may have been interrupted");
    assert!(
        of_a_second(1.0, 0.09e6).unwrap_err().contains("1000000 runs of about 1 µs in 90000 µs")
    );
    assert!(of_a_second(1.0, 99.0).unwrap_err().contains("timed_us is 99"));
    assert!(of_a_second(1e-3, 1.9e6).unwrap_err().contains("1000000 runs of about"));
}

#[test]
fn more_than_was_asked_for_and_another_runtime_are_refused() {
    let refused = |change: fn(&mut Timed)| {
        let mut timed: Timed = serde_json::from_value(whole()).unwrap();
        change(&mut timed);
        judged(&timed).unwrap_err()
    };
    assert_eq!(refused(|t| t.warmup_runs = 201), "warmup_runs is 201");
    let version = refused(|t| t.runtime_version = "2".into());
    assert_eq!(version, "its runtime is of version `2`, it said `1` before");
    let samples = refused(|t| (t.samples_us, t.runs, t.timed_us) = (vec![1.0; 101], 101, 101.0));
    assert_eq!(samples, "number of samples is 101");
}

#[test]
fn memory_is_never_above_its_peak_and_partitions_never_above_their_nodes() {
    let least =
        |peak| MemoryUse { peak: Some(peak), loaded: Some(1 << 30), ..MemoryUse::default() };
    assert_eq!(ensure_possible_memory(&least((1 << 30) - 1000)), Ok(()), "counters lag behind");
    assert!(ensure_possible_memory(&least(1 << 29)).unwrap_err().contains("after loading"));
    let share = ProviderShare { name: "CPU".into(), nodes: 2, partitions: 3 };
    assert_eq!(ensure_provider(&share).unwrap_err(), "partitions of a provider is 3");
}

#[test]
fn outputs_that_their_shape_does_not_tell_are_refused() {
    let refused = |at: &str, value| refuses(computed(), at, &value, ensure_possible_outputs);
    assert!(refused("/tensors/0/shape/0", json!(3)), "a value is missing");
    assert!(refused("/thinned/0/stride", json!(2)));
    assert!(refused("/thinned/0/not_finite", json!(11)));
    assert!(refused("/thinned", json!([])));
    assert!(refused("/tensors/0/name", json!("y\u{7}")));
    assert!(!refused("/tensors/0/values/1", json!(1e300)), "a model may compute that");
}
