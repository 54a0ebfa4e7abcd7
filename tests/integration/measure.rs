//! Measurements from launch to JSON.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use citronade::agent::TINY_MODEL;
use citronade::device::DeviceError;
use citronade::device::Fake;
use citronade::device::Transport;
use citronade::graph::Conv;
use citronade::graph::Graph;
use citronade::graph::Network;
use citronade::graph::Op;
use citronade::measure::Bench;
use citronade::measure::Level;
use citronade::measure::MeasureError;
use citronade::measure::Measurement;
use citronade::measure::Plan;
use citronade::measure::Verdict;
use citronade::measure::measure;
use citronade::onnx::ExportOptions;
use citronade::onnx::export;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::device::AGENT;
use crate::device::agent;
use crate::device::script;
use crate::support::models;
use crate::support::networks::random_network;
use crate::support::networks::random_weights;
use crate::support::skipped::not_tried;

fn metronome(bytes: usize) -> Measurement {
    let (_folder, path) = models::file(&vec![7; bytes]);
    let plan = Plan::of(Level::Search);
    measure(Arc::new(Fake), &path, &plan, "metronome", 1).unwrap()
}

#[test]
fn a_metronome_is_measured_to_the_last_digit() {
    let m = metronome(80_000);
    let p50 = m.p50().unwrap().0;
    assert!((p50 / 100.0 - 1.0).abs() < 0.002, "20 µs and a nanosecond a byte, not {p50}");
    assert!(m.runs().abs_diff(10_000) < 30, "a second in all, not {}", m.runs());
    assert!((1400..=2800).contains(&m.samples().len()), "{}", m.samples().len());
    assert_eq!(m.memory_cost().unwrap().cost.0, 2 * (80_000 - TINY_MODEL.len() as u64));
    assert!(m.samples() == metronome(80_000).samples(), "the same file, the same samples");
}

#[test]
fn the_object_keeps_the_raw_samples_and_is_read_back_whole() {
    let m = metronome(3000);
    let json = m.to_json();
    assert!(Measurement::from_json(&json).unwrap() == m, "{json}");
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["schema"], "citronade.measurement.v1");
    assert_eq!(object["latency_us"]["n"], m.samples().len());
    assert_eq!(object["samples_us"].as_array().unwrap().len(), 14);
    let fields = [
        "/model/blake3",
        "/runtime_version",
        "/verdict",
        "/reasons",
        "/load_us",
        "/first_us",
        "/attempts",
        "/gates",
        "/latency_us/launches",
        "/latency_us/runs",
        "/latency_us/timed_us",
        "/latency_us/outliers",
        "/latency_us/outliers_at/13",
        "/latency_us/launch_deviation",
        "/latency_us/within_deviation",
        "/latency_us/min",
        "/latency_us/p50",
        "/latency_us/p90",
        "/latency_us/p95",
        "/latency_us/p99",
        "/latency_us/max",
        "/latency_us/mad",
        "/latency_us/p50_interval/1",
        "/latency_us/p90_interval/1",
        "/precision",
        "/memory_bytes/peak",
        "/memory_bytes/baseline",
        "/memory_bytes/weights",
        "/memory_bytes/activations",
        "/conditions/before/ticks",
        "/conditions/after/ticks",
        "/per_op",
        "/providers",
        "/samples_us/0/0",
    ];
    for field in fields {
        assert!(object.pointer(field).is_some(), "{field} is missing in {json}");
    }
}

#[test]
fn what_is_not_a_measurement_is_not_read_as_one() {
    let json = metronome(10).to_json();
    let other = json.replace("citronade.measurement.v1", "citronade.measurement.v9");
    assert!(Measurement::from_json(&other).unwrap_err().to_string().contains("v9"));
    assert!(Measurement::from_json("{}").is_err());
}

#[test]
fn too_few_samples_are_called_so_and_no_percentile_is_made_up() {
    let (_folder, path) = models::file(&[1; 100]);
    let mut plan = Plan::of(Level::Screen);
    (plan.launches, plan.sampling.max) = (2, 20);
    (plan.sampling.enough, plan.sampling.min_us) = (0, 0.0);
    let m = measure(Arc::new(Fake), &path, &plan, "metronome", 1).unwrap();
    let (verdict, reasons) = m.verdict();
    assert_eq!(verdict, Verdict::TooFew);
    assert_eq!(reasons[0], "2 launches; `screen` wants 3");
    assert_eq!(reasons[1], "40 samples; `screen` wants 64");
    assert!(reasons[2].ends_with(" of timed runs; `screen` wants 200.00 ms"), "{reasons:?}");
    assert_eq!((m.quantile(0.95), m.quantile(0.99)), (None, None));
    assert!(m.p50().is_some() && m.quantile(1.0).is_some());
}

#[test]
fn a_percentile_is_given_from_five_samples_beyond_it_on() {
    let (_folder, path) = models::file(&[1; 100]);
    let percentiles = |samples| {
        let mut plan = Plan::of(Level::Screen);
        (plan.launches, plan.sampling.min, plan.sampling.max) = (1, samples, samples);
        (plan.sampling.enough, plan.sampling.min_us) = (0, 0.0);
        let m = measure(Arc::new(Fake), &path, &plan, "metronome", 1).unwrap();
        assert_eq!(m.samples().len(), samples as usize);
        assert_eq!(m.interval(0.9).is_some(), m.quantile(0.9).is_some());
        assert!([0.0, 0.5, 1.0].iter().all(|q| m.quantile(*q).is_some()));
        [0.1, 0.9, 0.95, 0.99].map(|q| m.quantile(q).is_some())
    };
    let (none, ends) = ([false; 4], [true, true, false, false]);
    assert_eq!([1, 49, 50, 99].map(percentiles), [none, none, ends, ends]);
    let fifth = [true, true, true, false];
    assert_eq!([100, 499, 500].map(percentiles), [fifth, fifth, [true; 4]]);
}

#[test]
fn a_repeat_lies_in_the_predicted_interval_even_from_two_launches() {
    let (_folder, path) = models::file(&[1; 50_000]);
    let mut plan = Plan::of(Level::Screen);
    plan.launches = 2;
    let m = measure(Arc::new(Fake), &path, &plan, "metronome", 1).unwrap();
    let (p50, [low, high]) = (m.p50().unwrap().0, m.prediction_interval().unwrap());
    let half = (high.0 / p50).ln();
    assert!((low.0 * high.0 / p50.powi(2) - 1.0).abs() < 1e-9, "a factor up, a factor down");
    assert!(half > 0.03, "two launches that agree promise too much: {half}");
}

#[test]
fn a_crash_costs_one_launch_and_two_crashes_the_measurement() {
    let (_folder, path) = models::file(TINY_MODEL);
    let once = path.with_extension("once");
    let dies_once = |count: u32| {
        script(&format!(
            "n=$(cat '{0}' 2>/dev/null || echo 0); if [ $n -lt {count} ] && [ -e '{0}' ]; then \
             echo $((n + 1)) > '{0}'; read request; kill -9 $$; fi; exec '{AGENT}'",
            once.display()
        ))
    };
    let plan = Plan::of(Level::Screen);
    for crashes in [1, 2] {
        std::fs::remove_file(&once).ok();
        let mut bench = Bench::open(Arc::new(dies_once(crashes)), "tract", 1).unwrap();
        std::fs::write(&once, "0").unwrap();
        let result = bench.measure(&path, &plan);
        assert_eq!(result.is_ok(), crashes == 1, "{crashes} crashes");
    }
}

#[test]
fn a_hung_runner_is_not_waited_for_twice() {
    let (_folder, path) = models::file(TINY_MODEL);
    let hangs = path.with_extension("hang");
    let text = format!("[ -e '{}' ] && exec sleep 1000; exec '{AGENT}'", hangs.display());
    let mut bench = Bench::open(Arc::new(script(&text)), "tract", 1).unwrap();
    std::fs::write(&hangs, "").unwrap();
    let plan = Plan { timeout: Duration::from_millis(100), ..Plan::of(Level::Screen) };
    let error = bench.measure(&path, &plan).unwrap_err();
    assert!(matches!(
        error,
        MeasureError::Device { source: DeviceError::Hung { timeout, .. }, .. }
            if timeout == plan.timeout
    ));
}

#[test]
fn an_absent_onnx_runtime_is_told_with_the_ways_out() {
    let nowhere = agent().with_variable("ORT_DYLIB_PATH", "/nowhere/lib.so");
    let error = Bench::open(Arc::new(nowhere), "ort", 1).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the runtime `ort` is not ready on local: ORT_DYLIB_PATH, or `onnxruntime` in the device's \
         profile, names `/nowhere/lib.so`, which is not a file; correct it, or leave it out to search"
    );
    assert!(error.hint().is_some() && error.concerns_every_model() && !error.is_the_models_fault());
}

#[test]
fn an_unknown_runtime_is_refused_with_those_there_are() {
    let error = Bench::open(Arc::new(Fake), "tensorflow", 1).map(|_| ()).unwrap_err();
    let MeasureError::Device { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("this agent knows `tract` and `ort`"), "{source}");
}

#[test]
fn models_that_cannot_be_measured_are_clear_errors() {
    let plan = Plan::of(Level::Screen);
    let mut bench = Bench::open(Arc::new(agent()), "tract", 1).unwrap();
    let missing = bench.measure(Path::new("no-such.onnx"), &plan).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read `no-such.onnx`");
    let (_folder, endless) = models::file(b"");
    let file = std::fs::File::options().write(true).open(&endless).unwrap();
    file.set_len(citronade::agent::MAX_MODEL_BYTES + 1).unwrap();
    let error = bench.measure(&endless, &plan).unwrap_err();
    assert!(error.is_the_models_fault(), "{error:?}");
    for bytes in [models::bomb(), b"not a model".to_vec(), Vec::new()] {
        let (_folder, path) = models::file(&bytes);
        let error = bench.measure(&path, &plan).unwrap_err();
        assert!(error.is_the_models_fault() && !error.is_transient(), "{error:?}");
    }
}

#[test]
fn operations_are_timed_apart_on_every_runtime_there_is() {
    let transport: Arc<dyn Transport> = Arc::new(agent());
    for runtime in runtimes(&transport) {
        let bench = Bench::open(transport.clone(), runtime, 1).unwrap();
        let name = "onnx-real/ch_ppocr_mobile_v2.0_cls_infer.onnx";
        let Some(model) = models::shared(name) else { return };
        let ops = bench.per_op(&model).unwrap();
        assert!(ops.len() > 10 && ops.is_sorted_by(|a, b| a.us >= b.us), "{runtime}: {ops:?}");
        assert!(ops[0].op.contains("Conv") || ops.iter().any(|op| op.op.contains("Conv")));
        assert_eq!(ops[0].provider.is_some(), runtime == "ort");
    }
}

#[test]
fn a_provider_that_the_library_lacks_is_refused_with_those_it_has() {
    let transport: Arc<dyn Transport> = Arc::new(agent());
    if runtimes(&transport).len() < 2 {
        return;
    }
    let (_folder, path) = models::file(TINY_MODEL);
    let own = measure(transport.clone(), &path, &Plan::of(Level::Screen), "ort:cpu", 1).unwrap();
    assert_eq!(own.runtime, "ort:cpu");
    let error = Bench::open(transport, "ort:magic", 1).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no execution provider `magic`, only: cpu"), "{text}");
}

/// `y = Relu(x)` over 200,000 numbers.
fn wide() -> Vec<u8> {
    let value = |name: &str| {
        let dimension = models::field(1, &[0x08, 0xc0, 0x9a, 0x0c]);
        let tensor = [vec![0x08, 1], models::field(2, &dimension)].concat();
        let value = models::field(2, &models::field(1, &tensor));
        [models::field(1, name.as_bytes()), value].concat()
    };
    let node = [models::field(1, b"x"), models::field(2, b"y"), models::field(4, b"Relu")];
    let rest = [models::field(11, &value("x")), models::field(12, &value("y"))];
    models::model(&node.concat(), &rest, "")
}

#[test]
fn outputs_longer_than_a_line_are_compared_by_sample_and_summary() {
    let (_folder, path) = models::file(&wide());
    let bench = Bench::open(Arc::new(agent()), "tract", 1).unwrap();
    let agreement = bench.compare(&path, &bench).unwrap();
    assert!(agreement.holds() && agreement.gap == Some(0.0), "{agreement:?}");
    assert_eq!(agreement.values, Some(200_000));
    let compared = agreement.compared.unwrap();
    assert!((20_000..40_000).contains(&compared), "{compared}");
}

#[test]
fn an_exported_network_computes_on_a_device_what_plain_loops_compute() {
    let bench = Bench::open(Arc::new(agent()), "tract", 1).unwrap();
    for seed in 0..3 {
        let network = random_network(seed);
        let bytes = export(&network, &ExportOptions::default());
        let (_folder, path) = models::file(&bytes);
        let agreement = bench.compare_with(&path, &network).unwrap();
        assert!(agreement.gap.is_some_and(|gap| gap < 1e-4), "{seed}: {agreement:?}");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weights = random_weights(&network.graph, &mut rng);
        let other = Network { weights, ..network };
        assert!(!bench.compare_with(&path, &other).unwrap().holds(), "{seed}: other weights");
    }
}

#[test]
fn onnx_runtime_tells_which_provider_computes_how_many_nodes() {
    let transport: Arc<dyn Transport> = Arc::new(agent());
    for runtime in runtimes(&transport) {
        let Some(model) = models::shared("onnx-real/ch_ppocr_mobile_v2.0_cls_infer.onnx") else {
            return;
        };
        let plan = Plan { launches: 1, ..Plan::of(Level::Screen) };
        let m = measure(transport.clone(), &model, &plan, runtime, 1).unwrap();
        let Some(providers) = m.providers() else {
            assert_eq!(runtime, "tract");
            continue;
        };
        assert_eq!((runtime, providers.len()), ("ort", 1));
        assert_eq!(providers[0].name, "CPUExecutionProvider");
        assert!(providers[0].nodes > 10 && providers[0].partitions > 0, "{providers:?}");
        let json = m.to_json();
        assert!(json.contains(r#""providers":[{"name":"CPUExecutionProvider""#), "{json}");
        assert!(Measurement::from_json(&json).unwrap() == m);
    }
}

/// Both runtimes where ONNX Runtime is found, else tract and a word about it.
fn runtimes(transport: &Arc<dyn Transport>) -> Vec<&'static str> {
    let Err(missing) = Bench::open(transport.clone(), "ort", 1) else {
        return vec!["tract", "ort"];
    };
    assert!(matches!(missing, MeasureError::NoRuntime { .. }), "{missing:?}");
    not_tried(&format!("not tried on ONNX Runtime: {missing}"));
    vec!["tract"]
}

#[test]
fn real_models_are_measured_on_every_runtime_there_is() {
    let transport: Arc<dyn Transport> = Arc::new(agent());
    let mut plan = Plan::of(Level::Screen);
    plan.launches = 3;
    for runtime in runtimes(&transport) {
        let mut bench = Bench::open(transport.clone(), runtime, 1).unwrap();
        for name in ["magika_standard_v3_3", "ch_ppocr_mobile_v2.0_cls_infer"] {
            let Some(model) = models::shared(&format!("onnx-real/{name}.onnx")) else { return };
            let m = bench.measure(&model, &plan).unwrap();
            let [low, high] = m.interval(0.5).unwrap();
            let p50 = m.p50().unwrap();
            assert!(low <= p50 && p50 <= high && low.0 > 0.0, "{low} {p50} {high}");
            assert!(m.quantile(0.0) <= m.p50() && m.p50() <= m.quantile(1.0));
            let memory = m.memory_cost().unwrap();
            assert!(memory.cost.0 > 1 << 20, "{runtime} {name}: {memory:?}");
            assert!(
                memory.cost_interval[0] <= memory.cost && memory.cost <= memory.cost_interval[1]
            );
            assert!(m.launches.iter().all(|l| l.timed.threads == 1 && l.timed.load_us > 0.0));
        }
    }
}

#[test]
fn threads_that_were_really_used_are_stated() {
    let (_folder, path) = models::file(&export(&broad(), &ExportOptions::default()));
    let transport: Arc<dyn Transport> = Arc::new(agent());
    let plan = Plan { launches: 3, memory_launches: 0, ..Plan::of(Level::Screen) };
    for runtime in runtimes(&transport) {
        for threads in [1, 2] {
            let m = measure(transport.clone(), &path, &plan, runtime, threads).unwrap();
            let used = m.launches.iter().filter_map(|l| l.timed.threads_used).max();
            assert_eq!(used, Some(threads), "{runtime}");
        }
    }
}

#[test]
fn a_model_that_is_not_worth_two_threads_is_told_to_have_used_one() {
    let (_folder, path) = models::file(TINY_MODEL);
    let plan = Plan { memory_launches: 0, ..Plan::of(Level::Screen) };
    let m = measure(Arc::new(agent()), &path, &plan, "tract", 2).unwrap();
    let (_, reasons) = m.verdict();
    let told = "1 thread was used, 2 asked for";
    assert!(reasons.iter().any(|reason| reason == told), "{reasons:?}");
}

/// A convolution of matrices that are worth to be shared among threads.
fn broad() -> Network {
    let mut graph = Graph::new([32, 64, 64]);
    graph.push(Op::Conv(Conv::same(64, 3)), &[graph.input()]);
    let weights = random_weights(&graph, &mut ChaCha8Rng::seed_from_u64(1));
    Network { graph, weights }
}
