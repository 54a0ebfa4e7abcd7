//! Whether measurements can be trusted: noisy and hot devices, played by a runner that reads its
//! answers from files.
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use citronade::agent::Answer;
use citronade::agent::Battery;
use citronade::agent::Conditions;
use citronade::agent::Facts;
use citronade::agent::Hello;
use citronade::agent::MemoryUse;
use citronade::agent::PROTOCOL;
use citronade::agent::Reply;
use citronade::agent::Timed;
use citronade::measure::Bench;
use citronade::measure::Gates;
use citronade::measure::Level;
use citronade::measure::MeasureError;
use citronade::measure::Measurement;
use citronade::measure::Plan;
use citronade::measure::Progress;
use citronade::measure::Verdict;
use tempfile::TempDir;

use crate::device::script;

/// Answers the next line of the file that is called as the task is, and the last line for ever.
const PLAYER: &str = r#"
read request
for task in hello time memory; do
  case "$request" in *"\"$task\""*)
    n=$(($(cat $task.n 2>/dev/null || echo 0) + 1)); echo $n > $task.n
    sed -n "${n}p" $task | grep . || tail -n 1 $task
  esac
done"#;

/// A device that says what was written down for it.
struct Played {
    folder: TempDir,
}

impl Played {
    /// One `hello` for the opening of the bench is put before the others.
    fn with(hellos: &[Conditions], launches: &[Timed]) -> Self {
        let played = Played { folder: TempDir::new().unwrap() };
        let hello = |conditions: &Conditions| {
            Answer::Hello(Box::new(Hello {
                version: "1".into(),
                runtimes: Vec::new(),
                facts: Facts::default(),
                conditions: conditions.clone(),
                memory_limit_bytes: None,
            }))
        };
        let first = Conditions::default();
        played.write("hello", [&first].into_iter().chain(hellos).map(hello));
        played.write("time", launches.iter().map(|t| Answer::Timed(Box::new(t.clone()))));
        let most = Some(3 << 20);
        let memory = MemoryUse { peak: most, ..MemoryUse::default() };
        played.write("memory", [Answer::Memory(memory)].into_iter());
        fs::write(played.model(), "a model").unwrap();
        played
    }

    fn write(&self, task: &str, answers: impl Iterator<Item = Answer>) {
        let line = |answer| {
            let reply = Reply { protocol: PROTOCOL, id: 1, answer };
            serde_json::to_string(&reply).unwrap() + "\n"
        };
        fs::write(self.folder.path().join(task), answers.map(line).collect::<String>()).unwrap();
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model.onnx")
    }

    /// How often it was asked for `task`.
    fn asked(&self, task: &str) -> u32 {
        let counted = fs::read_to_string(self.folder.path().join(format!("{task}.n"))).unwrap();
        counted.trim().parse().unwrap()
    }

    fn bench(&self, gates: Gates) -> Bench {
        let text = format!("cd '{}'; {PLAYER}", self.folder.path().display());
        // What it says took no time here, and that would not be believed of another runtime.
        Bench::open(Arc::new(script(&text)), "metronome", 1).unwrap().with_gates(gates)
    }

    /// Five launches of the level `search`, and what was told meanwhile.
    fn measure(
        &self,
        gates: Gates,
        retries: u32,
    ) -> (Result<Measurement, MeasureError>, Vec<Progress>) {
        let plan = Plan { launches: 5, retries, ..Plan::of(Level::Search) };
        let mut told = Vec::new();
        let mut watch = |progress: &Progress| told.push(progress.clone());
        let result = self.bench(gates).measure_watched(&self.model(), &plan, &mut watch);
        (result, told)
    }
}

/// A launch of 2,000 steady runs in a fifth of a second.
fn launch(us: f64, after: Conditions) -> Timed {
    Timed {
        runtime_version: "1".into(),
        threads: 1,
        threads_used: None,
        inputs: Vec::new(),
        load_us: 1.0,
        first_us: 1.0,
        warmup_runs: 20,
        settled: true,
        samples_us: vec![us; 50],
        runs: 2000,
        timed_us: 0.2e6,
        too_hot: None,
        providers: None,
        before: Conditions::default(),
        after,
    }
}

/// Five launches, the third of which takes `us`, the others 100 µs.
fn attempt(us: f64) -> Vec<Timed> {
    [100.0, 100.0, us, 100.0, 100.0].map(|us| launch(us, Conditions::default())).to_vec()
}

fn at(celsius: f64) -> Conditions {
    let temperatures_c = Some(vec![("cpu-thermal".to_owned(), celsius)]);
    Conditions { temperatures_c, ..Conditions::default() }
}

fn again(told: &[Progress]) -> usize {
    told.iter().filter(|p| matches!(p, Progress::Again { .. })).count()
}

#[test]
fn a_noisy_measurement_is_made_again_until_it_is_not() {
    let device = Played::with(&[], &[attempt(150.0), attempt(101.0), attempt(150.0)].concat());
    let (result, told) = device.measure(Gates::default(), 2);
    let m = result.unwrap();
    assert_eq!((m.verdict(), m.attempts), ((Verdict::Stable, Vec::new()), 2));
    assert_eq!((device.asked("time"), again(&told)), (10, 1));
    assert!(m.memory_cost().is_some());
}

#[test]
fn what_stays_noisy_is_the_attempt_that_spreads_least_and_no_mean() {
    let device = Played::with(&[], &[attempt(150.0), attempt(140.0), attempt(160.0)].concat());
    let m = device.measure(Gates::default(), 2).0.unwrap();
    let (verdict, reasons) = m.verdict();
    assert_eq!((verdict, m.attempts, m.launches.len()), (Verdict::Noisy, 3, 5));
    let expected = [
        "the slowest launch took 1.40 times as long as the fastest",
        "all 3 attempts were noisy; this one spreads least",
    ];
    assert_eq!(reasons, expected);
    let object: serde_json::Value = serde_json::from_str(&m.to_json()).unwrap();
    assert_eq!(object["attempts"], 3);
}

#[test]
fn without_retries_and_for_a_throttled_device_once_is_all() {
    let device = Played::with(&[], &attempt(150.0));
    let m = device.measure(Gates::default(), 0).0.unwrap();
    assert_eq!((m.verdict().0, m.attempts), (Verdict::Noisy, 1));
    let slower = [100.0, 105.0, 110.0, 115.0, 120.0].map(|us| launch(us, Conditions::default()));
    let device = Played::with(&[], &slower);
    let m = device.measure(Gates::default(), 2).0.unwrap();
    assert_eq!((m.verdict().0, m.attempts, device.asked("time")), (Verdict::Throttled, 1, 5));
}

#[test]
fn a_hot_device_is_waited_for() {
    let device = Played::with(&[at(60.0), at(55.0), at(45.0)], &attempt(100.0));
    let wait = Some(Duration::from_secs(10));
    let gates = Gates { start_max_c: Some(50.0), wait, ..Gates::default() };
    let (result, told) = device.measure(gates, 0);
    let m = result.unwrap();
    assert_eq!(m.verdict(), (Verdict::Stable, Vec::new()));
    let gated = m.gates.as_ref().unwrap();
    assert!(gated.waited_s > 0.0 && gated.stopped.is_none() && gated.unknown.is_empty());
    let heat = |progress: &Progress| match progress {
        Progress::Cooling { heat, limit_c, .. } => Some((heat.celsius, *limit_c)),
        Progress::Reference | Progress::Launch { .. } | Progress::Again { .. } => None,
    };
    let waits: Vec<_> = told.iter().filter_map(heat).collect();
    assert_eq!(waits, [(60.0, 50.0), (55.0, 50.0)]);
    assert!(Measurement::from_json(&m.to_json()).unwrap() == m);
}

#[test]
fn a_device_that_stays_hot_is_not_measured_and_named() {
    let device = Played::with(&[at(61.5)], &attempt(100.0));
    let wait = Some(Duration::ZERO);
    let gates = Gates { start_max_c: Some(50.0), wait, ..Gates::default() };
    let error = device.measure(gates, 0).0.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`cpu-thermal` has 61.5 °C on local, a measurement begins at 50 °C; waited 0 s"
    );
    assert!(error.is_transient() && error.concerns_every_model() && error.hint().is_some());
    assert!(!error.is_the_models_fault());
    assert!(!Path::new(&device.folder.path().join("time.n")).exists());
}

#[test]
fn a_device_that_becomes_too_hot_is_left_alone() {
    let launches = [70.0, 85.0, 90.0].map(|celsius| launch(100.0, at(celsius)));
    let device = Played::with(&[], &launches);
    let cool_down = Some(Duration::from_millis(1));
    let gates = Gates { abort_c: Some(80.0), cool_down, ..Gates::default() };
    let m = device.measure(gates, 2).0.unwrap();
    let (verdict, reasons) = m.verdict();
    assert_eq!((verdict, m.launches.len(), m.attempts), (Verdict::Throttled, 2, 1));
    let hot = "`cpu-thermal` has 85.0 °C, 80 are allowed: no more launches after 2";
    assert_eq!(reasons[0], hot);
    assert_eq!((device.asked("time"), device.asked("hello")), (2, 2));
}

#[test]
fn a_device_without_thermometer_is_measured_and_the_reasons_say_so() {
    let device = Played::with(&[], &attempt(100.0));
    let gates = Gates { start_max_c: Some(50.0), abort_c: Some(80.0), ..Gates::default() };
    let m = device.measure(gates, 0).0.unwrap();
    let told = vec!["temperature unknown: the gate could not look".to_owned()];
    assert_eq!(m.verdict(), (Verdict::Stable, told));
}

#[test]
fn a_battery_that_is_low_or_does_not_charge_is_refused() {
    let battery = Some(Battery { percent: Some(20.0), charging: Some(false), celsius: None });
    let low = Conditions { battery, ..Conditions::default() };
    let device = Played::with(&[low], &attempt(100.0));
    let error = |gates| device.measure(gates, 0).0.unwrap_err();
    let found = error(Gates { battery_min_percent: Some(30.0), ..Gates::default() });
    assert!(matches!(found, MeasureError::LowBattery { percent: 20.0, .. }), "{found}");
    let found = error(Gates { require_charging: true, ..Gates::default() });
    assert!(matches!(found, MeasureError::NotCharging { .. }), "{found}");
}
