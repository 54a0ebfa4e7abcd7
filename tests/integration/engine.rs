//! The engine with real parts in situations that a whole search rarely meets.
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use citronade::data;
use citronade::data::LoadOptions;
use citronade::device::Transport;
use citronade::engine::Budget;
use citronade::engine::Developed;
use citronade::engine::Engine;
use citronade::engine::Event;
use citronade::engine::Gauge;
use citronade::engine::Material;
use citronade::engine::Parts;
use citronade::engine::RunConfig;
use citronade::engine::Source;
use citronade::engine::StopReason;
use citronade::engine::develop;
use citronade::graph::Network;
use citronade::graph::eval;
use citronade::measure::Bench;
use citronade::morphism::by_name;
use citronade::pareto::Objective;
use citronade::space::MorphismSpace;
use citronade::store::EndKind;
use citronade::store::RunRecord;
use citronade::store::Store;
use citronade::train::Cpu;
use citronade::train::Epoch;
use citronade::train::Formula;
use citronade::train::TrainPlan;
use citronade::train::Watch;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::device::AGENT;
use crate::device::script;
use crate::remote;
use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;

fn digits() -> Material {
    Material::new(data::load("digits", &LoadOptions::default()).unwrap())
}

const FORTY: Budget = Budget { seconds: None, candidates: Some(40), epochs: None };

/// A search on `device`, with a formula in place of training.
fn search(
    device: Arc<dyn Transport>,
    folder: &Path,
    budget: Budget,
    before: impl FnOnce(),
    watch: &mut dyn FnMut(&Event),
) -> (Engine, StopReason) {
    let config = RunConfig {
        runtime: "metronome".into(),
        objectives: vec![Objective::Error, Objective::Latency, Objective::Parameters],
        budget,
        ..RunConfig::default()
    };
    let material = digits();
    let run = RunRecord {
        id: "run".into(),
        created: 0,
        config: serde_json::to_string(&config).unwrap(),
        data: "digits".into(),
        data_hash: material.data.fingerprint(),
        device: "script".into(),
        runtime: "metronome".into(),
        threads: 1,
        objectives: config.objectives.iter().map(Objective::to_string).collect(),
        limits: Default::default(),
        reference: None,
    };
    let mut store = Store::open(&folder.join("search.db")).unwrap();
    store.begin_run(&run).unwrap();
    let bench = Bench::open(device, "metronome", 1).unwrap();
    before();
    let mut engine = Engine::start(Parts {
        config,
        run,
        store,
        material: Arc::new(material),
        trainer: Arc::new(Formula),
        gauge: Gauge { bench, folder: folder.to_owned() },
        interrupted: Arc::new(AtomicBool::new(false)),
        keep_blobs: true,
    })
    .unwrap();
    let reason = engine.run(&mut |event, _| watch(event)).unwrap();
    (engine, reason)
}

/// Every fourth launch dies, some of them amid their answer: a measurement forgives one.
#[test]
fn a_search_goes_on_with_a_runner_that_dies_now_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let dies = script(&format!(
        "if [ -e '{0}' ]; then n=$(cat '{0}'); echo $((n + 1)) > '{0}'; if [ $((n % 4)) = 3 ]; then \
         read request; printf '{{\"protocol\":1,'; kill -9 $$; fi; fi; exec '{AGENT}'",
        count.display()
    ));
    let before = || fs::write(&count, "0").unwrap();
    let (engine, _) = search(Arc::new(dies), folder.path(), FORTY, before, &mut |_| {});
    let candidates = engine.state().candidates();
    assert_eq!(candidates.len(), 40);
    let failed = candidates.values().filter_map(|c| c.ended.as_ref());
    let failed: Vec<_> = failed.filter(|e| e.kind == EndKind::Failed).collect();
    assert!(!failed.is_empty() && failed.len() < 40, "{} failed", failed.len());
    assert!(failed.iter().all(|e| e.reason.contains("signal 9")), "{}", failed[0].reason);
    assert!(!engine.state().front().is_empty());
}

#[test]
fn a_search_waits_for_a_phone_that_was_unplugged_and_loses_nothing() {
    let Some(server) = AdbServer::start() else { return };
    let (phone, folder) = (Phone::start(), tempfile::tempdir().unwrap());
    let (mut measured, mut paused) = (0, Vec::new());
    let mut watch = |event: &Event| match event {
        Event::Measured(_) => {
            measured += 1;
            if measured == 7 {
                phone.pull();
            }
        }
        Event::Paused(why) => {
            paused.push(why.clone());
            phone.plug_in();
        }
        _ => {}
    };
    let device = remote::phone(&server, &phone);
    let (engine, _) = search(device, folder.path(), FORTY, || {}, &mut watch);
    assert!(!paused.is_empty() && paused[0].contains(&phone.serial()), "{paused:?}");
    let candidates = engine.state().candidates();
    assert_eq!(candidates.len(), 40);
    let failed = candidates.values().filter_map(|c| c.ended.as_ref());
    assert_eq!(failed.filter(|e| e.kind == EndKind::Failed).count(), 0);
}

#[test]
fn a_search_ends_in_its_time_though_its_phone_stays_away() {
    let Some(server) = AdbServer::start() else { return };
    let (phone, folder) = (Phone::start(), tempfile::tempdir().unwrap());
    let (mut measured, mut paused) = (0, 0);
    let mut watch = |event: &Event| match event {
        Event::Measured(_) => {
            measured += 1;
            if measured == 3 {
                phone.pull();
            }
        }
        Event::Paused(_) => paused += 1,
        _ => {}
    };
    let budget = Budget { seconds: Some(12.0), ..Budget::default() };
    let device = remote::phone(&server, &phone);
    let (_, reason) = search(device, folder.path(), budget, || {}, &mut watch);
    assert_eq!((reason, paused > 0), (StopReason::Budget, true));
}

fn developed(material: &Material, source: Source, epochs: u32, imitated: u32) -> Developed {
    let plan = TrainPlan { epochs, threads: 2, learning_rate: 0.05, ..TrainPlan::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let watch = &mut |_: &Epoch| Watch::Continue;
    develop(&Cpu::new(2), material, source, &plan, imitated, &mut rng, watch).unwrap()
}

/// Mean difference of the classes' probabilities on some validation images: from 0 to 1.
fn distance(material: &Material, a: &Network, b: &Network) -> f32 {
    let samples = &material.data.validation;
    let mut image = vec![0.0; samples.image_len()];
    let gap = |index: usize| {
        samples.copy_image(index, &mut image);
        let [a, b] = [a, b].map(|network| probabilities(&eval(network, &image)));
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 2.0
    };
    (0..100).map(gap).sum::<f32>() / 100.0
}

fn probabilities(outputs: &[f32]) -> Vec<f32> {
    let powers: Vec<f32> = outputs.iter().map(|x| x.exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

#[test]
fn a_child_of_an_approximate_morphism_imitates_its_parent() {
    let material = digits();
    let space = MorphismSpace::new(material.data.shape, 10, material.data.train.len());
    let seed = space.seeds().pop().unwrap();
    let parent = Arc::new(developed(&material, Source::Scratch(seed), 6, 0).network);
    let prune = by_name("prune").unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let site = prune.sites(&parent.graph)[0];
    let applied = prune.apply(&parent.graph, site, &mut rng).unwrap();
    let child = |epochs, imitated| {
        let (network, steps) = (parent.clone(), vec![applied.clone()]);
        developed(&material, Source::Parent { network, steps }, epochs, imitated)
    };
    let (as_made, imitating, alone) = (child(0, 0), child(0, 4), child(4, 0));
    assert_eq!(as_made.outcomes.len(), 1);
    assert_ne!(as_made.network, imitating.network, "no epoch of imitation");
    let [imitating, alone] =
        [imitating, alone].map(|child| distance(&material, &parent, &child.network));
    assert!(imitating < alone, "{imitating} from its parent, without imitation {alone}");
}
