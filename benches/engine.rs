//! What everything around training and measuring costs: candidates a second with the `Formula`
//! trainer and the `Metronome` runtime, one process, a real store with full synchronisation, no
//! blobs. Once without a limit, where the formula lets networks grow for ever and making their
//! weights is most of the work, and once with networks of the size that digits need.
//!
//! `cargo bench --bench engine [CANDIDATES]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use citronade::data;
use citronade::data::LoadOptions;
use citronade::device::Fake;
use citronade::engine::Budget;
use citronade::engine::Engine;
use citronade::engine::Gauge;
use citronade::engine::Limit;
use citronade::engine::Material;
use citronade::engine::Parts;
use citronade::engine::RunConfig;
use citronade::measure::Bench;
use citronade::pareto::Objective;
use citronade::search::Acceptance;
use citronade::store::RunRecord;
use citronade::store::Store;
use citronade::train::Formula;

fn main() {
    let wanted = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(20_000);
    for (acceptance, name) in
        [(Acceptance::Density, "density"), (Acceptance::Surrogate, "surrogate")]
    {
        for most in [f64::INFINITY, 5000.0] {
            let limit = Limit { objective: Objective::Parameters, most };
            let (candidates, seconds) = search(wanted, acceptance, limit);
            println!(
                "{name:<10} parameters <= {most:<6} {candidates} candidates in {seconds:.1} s: {:.0} a second",
                candidates as f64 / seconds
            );
        }
    }
}

/// Runs a search of so many candidates; answers their number and the seconds it took.
fn search(candidates: u64, acceptance: Acceptance, limit: Limit) -> (u64, f64) {
    let mut config = RunConfig {
        runtime: "metronome".into(),
        objectives: vec![Objective::Error, Objective::Latency, Objective::Parameters],
        budget: Budget { candidates: Some(candidates), ..Budget::default() },
        limits: vec![limit],
        ..RunConfig::default()
    };
    config.search.acceptance = acceptance;
    config.search.children = 512;
    config.search.accept = 256;
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("bench.db")).unwrap();
    let data = data::load("digits", &LoadOptions::default()).unwrap();
    let run = RunRecord {
        id: "bench".into(),
        created: 0,
        config: serde_json::to_string(&config).unwrap(),
        data: "digits".into(),
        data_hash: data.fingerprint(),
        device: "fake".into(),
        runtime: "metronome".into(),
        threads: 1,
        objectives: config.objectives.iter().map(Objective::to_string).collect(),
        limits: Default::default(),
        reference: None,
    };
    store.begin_run(&run).unwrap();
    let bench = Bench::open(Arc::new(Fake), "metronome", 1).unwrap();
    let mut engine = Engine::start(Parts {
        config,
        run,
        store,
        material: Arc::new(Material::new(data)),
        trainer: Arc::new(Formula),
        gauge: Gauge { bench, folder: folder.path().to_owned() },
        interrupted: Arc::new(AtomicBool::new(false)),
        keep_blobs: false,
    })
    .unwrap();
    let started = Instant::now();
    engine.run(&mut |_, _| {}).unwrap();
    (engine.state().counts().accepted, started.elapsed().as_secs_f64())
}
