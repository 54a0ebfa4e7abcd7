//! What everything around training and measuring costs: candidates a second with the `Formula`
//! trainer and the `Metronome` runtime, one process, a real store with full synchronisation, no
//! blobs.
//!
//! `Formula` reads the structure alone and nobody keeps weights here, so the engine makes none but those
//! of the files that are measured. Lines "with weights" are of a trainer that asks for them all the same:
//! there the chains of morphisms initialise, repair and calibrate weights as they do in a search,
//! and that is most of the work. Each once without a limit, where the formula lets networks
//! grow for ever, and once with networks of the size that digits need.
//!
//! `cargo bench --bench engine [CANDIDATES]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use citronade::data;
use citronade::data::DataSet;
use citronade::data::LoadOptions;
use citronade::data::Samples;
use citronade::device::Fake;
use citronade::engine::Budget;
use citronade::engine::Engine;
use citronade::engine::Gauge;
use citronade::engine::Limit;
use citronade::engine::Material;
use citronade::engine::Parts;
use citronade::engine::RunConfig;
use citronade::graph::Activations;
use citronade::graph::Graph;
use citronade::graph::Network;
use citronade::graph::NodeId;
use citronade::measure::Bench;
use citronade::pareto::Objective;
use citronade::search::Acceptance;
use citronade::store::RunDevice;
use citronade::store::RunRecord;
use citronade::store::Store;
use citronade::train::Epoch;
use citronade::train::Evaluation;
use citronade::train::Formula;
use citronade::train::TrainError;
use citronade::train::TrainPlan;
use citronade::train::TrainReport;
use citronade::train::Trainer;
use citronade::train::Watch;
use citronade::units::Bytes;

fn main() {
    let wanted = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(20_000);
    for (acceptance, name) in
        [(Acceptance::Density, "density"), (Acceptance::Surrogate, "surrogate")]
    {
        for most in [5000.0, f64::INFINITY] {
            let limit = Limit { objective: Objective::Parameters, most };
            let trainers: [(Arc<dyn Trainer>, &str); 2] =
                [(Arc::new(Formula), ""), (Arc::new(Weighed), "with weights")];
            for (trainer, weights) in trainers {
                let (candidates, seconds) = search(wanted, acceptance, limit, trainer);
                println!(
                    "{name:<10} parameters <= {most:<5} {weights:<13} {candidates} candidates in {seconds:.1} s: {:.0} a second",
                    candidates as f64 / seconds
                );
            }
        }
    }
}

/// `Formula`, but it asks for the weights that it does not need.
struct Weighed;

impl Trainer for Weighed {
    fn name(&self) -> &str {
        Formula.name()
    }

    fn peak_memory(&self, graph: &Graph, batch: usize) -> Bytes {
        Formula.peak_memory(graph, batch)
    }

    fn train(
        &self,
        network: &Network,
        data: &DataSet,
        plan: &TrainPlan,
        watch: &mut dyn FnMut(&Epoch) -> Watch,
    ) -> Result<(Network, TrainReport), TrainError> {
        Formula.train(network, data, plan, watch)
    }

    fn evaluate(&self, network: &Network, samples: &Samples) -> Result<Evaluation, TrainError> {
        Formula.evaluate(network, samples)
    }

    fn observe(
        &self,
        network: &Network,
        samples: &Samples,
        nodes: &[NodeId],
    ) -> Result<Activations, TrainError> {
        Formula.observe(network, samples, nodes)
    }

    fn recalibrate(&self, network: &Network, samples: &Samples) -> Result<Network, TrainError> {
        Formula.recalibrate(network, samples)
    }
}

/// Runs a search of so many candidates; answers their number and the seconds it took.
fn search(
    candidates: u64,
    acceptance: Acceptance,
    limit: Limit,
    trainer: Arc<dyn Trainer>,
) -> (u64, f64) {
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
        devices: vec![RunDevice {
            name: "fake".into(),
            runtime: "metronome".into(),
            reference: None,
        }],
        threads: 1,
        objectives: config.objectives.iter().map(Objective::to_string).collect(),
        limits: Default::default(),
    };
    store.begin_run(&run).unwrap();
    let bench = Bench::open(Arc::new(Fake), "metronome", 1).unwrap();
    let mut engine = Engine::start(Parts {
        config,
        run,
        store,
        material: Arc::new(Material::new(data)),
        trainer,
        gauges: vec![Gauge { bench, folder: folder.path().to_owned(), sustained: None }],
        interrupted: Arc::new(AtomicBool::new(false)),
        keep_blobs: false,
    })
    .unwrap();
    let started = Instant::now();
    engine.run(&mut |_, _| {}).unwrap();
    (engine.state().counts().accepted, started.elapsed().as_secs_f64())
}
