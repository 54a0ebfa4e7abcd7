//! The engine with real parts in situations that a whole search rarely meets.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use citronade::data;
use citronade::data::LoadOptions;
use citronade::device::Transport;
use citronade::engine::Budget;
use citronade::engine::Developed;
use citronade::engine::DeviceNames;
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
use citronade::report::Front;
use citronade::space::MorphismSpace;
use citronade::store::EndKind;
use citronade::store::Reader;
use citronade::store::Record;
use citronade::store::RunDevice;
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
use crate::support::sshd::Board;

fn digits() -> Material {
    Material::new(data::load("digits", &LoadOptions::default()).unwrap())
}

fn device_with(runtime: &str, name: String) -> RunDevice {
    RunDevice { name, runtime: runtime.into(), reference: None }
}

const FORTY: Budget = Budget { seconds: None, candidates: Some(40), epochs: None };
/// The first seeds and nothing else.
pub const SEEDS: Budget = Budget { seconds: None, candidates: Some(6), epochs: None };

/// A search on `devices`, with a formula in place of training and the metronome in place of a runtime.
fn search(
    devices: Vec<Arc<dyn Transport>>,
    folder: &Path,
    budget: Budget,
    before: impl FnOnce(),
    watch: &mut dyn FnMut(&Event),
) -> (Engine, StopReason) {
    search_with("metronome", devices, folder, budget, before, watch)
}

fn search_with(
    runtime: &str,
    devices: Vec<Arc<dyn Transport>>,
    folder: &Path,
    budget: Budget,
    before: impl FnOnce(),
    watch: &mut dyn FnMut(&Event),
) -> (Engine, StopReason) {
    search_on(runtime, devices, |gauge| gauge, folder, budget, before, watch)
}

/// With what `gauged` makes of each device.
pub fn search_on(
    runtime: &str,
    devices: Vec<Arc<dyn Transport>>,
    gauged: impl Fn(Gauge) -> Gauge,
    folder: &Path,
    budget: Budget,
    before: impl FnOnce(),
    watch: &mut dyn FnMut(&Event),
) -> (Engine, StopReason) {
    let name = |at: usize| if at == 0 { "first".to_owned() } else { format!("{at} more") };
    let names: Vec<String> = (0..devices.len()).map(name).collect();
    let config = RunConfig {
        device: DeviceNames(names.clone()),
        runtime: runtime.into(),
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
        devices: names.into_iter().map(|name| device_with(runtime, name)).collect(),
        threads: 1,
        objectives: config.objectives.iter().map(Objective::to_string).collect(),
        limits: Default::default(),
    };
    let mut store = Store::open(&folder.join("search.db")).unwrap();
    store.begin_run(&run).unwrap();
    let gauge = |(at, device): (usize, Arc<dyn Transport>)| {
        let folder = folder.join(at.to_string());
        fs::create_dir(&folder).unwrap();
        let bench = Bench::open(device, runtime, 1).unwrap();
        gauged(Gauge { bench, folder, sustained: None })
    };
    let gauges = devices.into_iter().enumerate().map(gauge).collect();
    before();
    let mut engine = Engine::start(Parts {
        config,
        run,
        store,
        material: Arc::new(material),
        trainer: Arc::new(Formula),
        gauges,
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
    let (engine, _) = search(vec![Arc::new(dies)], folder.path(), FORTY, before, &mut |_| {});
    let candidates = engine.state().candidates();
    assert_eq!(candidates.len(), 40);
    let failed = candidates.values().filter_map(|c| c.ended.as_ref());
    let failed: Vec<_> = failed.filter(|e| e.kind == EndKind::Failed).collect();
    assert!(!failed.is_empty() && failed.len() < 40, "{} failed", failed.len());
    assert!(failed.iter().all(|e| e.reason.contains("signal 9")), "{}", failed[0].reason);
    assert!(!engine.state().front(0).is_empty());
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
    let (engine, _) = search(vec![device], folder.path(), FORTY, || {}, &mut watch);
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
    let budget = Budget { seconds: Some(20.0), ..Budget::default() };
    let device = remote::phone(&server, &phone);
    let (_, reason) = search(vec![device], folder.path(), budget, || {}, &mut watch);
    assert_eq!((reason, paused > 0), (StopReason::Budget, true));
}

/// The first model that is timed brings the board down, each time: its session ends without a word.
#[test]
fn a_candidate_that_brings_its_board_down_each_time_fails_by_name_and_the_search_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (login, power, bad, falls) = (at("login"), at("power"), at("bad"), at("falls"));
    let program = |path: &Path, text: &str| {
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    program(
        &power,
        &format!(
            "read -r request\n\
             name=$(printf %s \"$request\" | sed -n 's/.*\"\\([0-9a-f]*\\.onnx\\)\".*/\\1/p')\n\
             [ -z \"$name\" ] || [ -e '{0}' ] || echo \"$name\" > '{0}'\n\
             if [ -n \"$name\" ] && [ \"$name\" = \"$(cat '{0}')\" ]; then\n\
             echo >> '{1}'; kill -9 0; fi\n\
             {{ printf '%s\\n' \"$request\"; cat; }} | \"$@\"",
            bad.display(),
            falls.display()
        ),
    );
    program(
        &login,
        &format!(
            "exec sh -c \"$(printf %s \"$SSH_ORIGINAL_COMMAND\" | sed 's|\\./runner-[0-9a-f]*; else|{} &|g')\"",
            power.display()
        ),
    );
    let Some(board) = Board::with_login(&login) else { return };
    let device = remote::remote(board.ssh(), &remote::Folder::of_board(&board));
    let mut paused = 0;
    let mut watch = |event: &Event| paused += u32::from(matches!(event, Event::Paused(_)));
    let two = Budget { candidates: Some(2), ..FORTY };
    let (engine, _) = search(vec![Arc::new(device)], folder.path(), two, || {}, &mut watch);
    assert_eq!((paused, fs::read_to_string(&falls).unwrap().lines().count()), (2, 3));
    let candidates = engine.state().candidates();
    let ended = candidates.values().filter_map(|c| c.ended.as_ref());
    let failed: Vec<_> = ended.filter(|e| e.kind == EndKind::Failed).collect();
    let [failed] = failed.as_slice() else { panic!("{failed:?}") };
    assert!(failed.reason.contains("went away 3 times while it ran"), "{}", failed.reason);
    assert!(!engine.state().front(0).is_empty());
}

/// The runner, whose outputs of the second file of a candidate that it runs are not what they should be.
#[test]
fn a_member_that_computes_something_else_on_the_device_is_on_no_front_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let wrong = script(&format!(
        "read -r request; case \"$request\" in *'\"run\"'*) echo >> '{0}';; esac; \
         change=; case \"$request\" in *'\"run\"'*) \
         [ $(wc -l < '{0}') = 2 ] && change='s/\"values\":\\[[^,]*/\"values\":[1000/';; esac; \
         {{ printf '%s\\n' \"$request\"; cat; }} | '{AGENT}' | sed -u \"$change\"",
        count.display()
    ));
    let mut told = Vec::new();
    let mut watch = |event: &Event| {
        if let Event::Wrong { candidate, device, reason } = event {
            told.push((*candidate, device.clone(), reason.clone()));
        }
    };
    let devices: Vec<Arc<dyn Transport>> = vec![Arc::new(wrong)];
    let (engine, _) = search_with("tract", devices, folder.path(), SEEDS, || {}, &mut watch);
    let [(candidate, device, reason)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(device, "local");
    assert!(reason.contains("from those of citronade's plain loops"), "{reason}");
    let front: Vec<u64> = engine.state().front(0).iter().map(|m| m.candidate).collect();
    assert!(!front.is_empty() && !front.contains(candidate), "{candidate} in {front:?}");
    let compared = fs::read_to_string(&count).unwrap().lines().count();
    let once = front.len() + 1..=engine.state().counts().trained as usize;
    assert!(once.contains(&compared), "{compared} comparisons, {front:?} on the front");
}

/// Who was measured on which device, from the store's records.
fn measured_on(folder: &Path, device: usize) -> BTreeSet<u64> {
    let reader = Reader::open(&folder.join("search.db")).unwrap();
    let records = reader.records("run").unwrap();
    let on = records.into_iter().filter_map(|record| match record {
        Record::Measured(measured) if measured.device == device => Some(measured.candidate),
        _ => None,
    });
    on.collect()
}

#[test]
fn two_devices_have_a_front_each_and_every_candidate_is_trained_once() {
    let folder = tempfile::tempdir().unwrap();
    let devices: Vec<Arc<dyn Transport>> = vec![
        Arc::new(script(&format!("exec '{AGENT}'"))),
        Arc::new(script(&format!("exec '{AGENT}'"))),
    ];
    let (engine, _) = search(devices, folder.path(), FORTY, || {}, &mut |_| {});
    drop(engine);
    let all: BTreeSet<u64> = (1..=40).collect();
    assert_eq!([0, 1].map(|device| measured_on(folder.path(), device)), [all.clone(), all]);
    let reader = Reader::open(&folder.path().join("search.db")).unwrap();
    let records = reader.records("run").unwrap();
    let trained = |record: &Record| matches!(record, Record::Trained(_));
    let ended = |record: &Record| matches!(record, Record::Ended(_));
    let count = |is: fn(&Record) -> bool| records.iter().filter(|record| is(record)).count();
    assert_eq!(count(trained) + count(ended), 40);
    let told = reader.last_told("run").unwrap().unwrap();
    for device in [0, 1] {
        let front = Front::read(&reader, "run", device).unwrap();
        let known: BTreeSet<u64> = front.members.iter().map(|m| m.row.id).collect();
        let of_told: BTreeSet<u64> =
            told.fronts[device].members.iter().map(|m| m.candidate).collect();
        assert!(!known.is_empty() && known == of_told, "{device}: {known:?} and {of_told:?}");
        assert!(front.reference.is_some() && front.hypervolume > Some(0.0));
        // Each round on this device, and none of the other's.
        let rounds = front.members.iter().map(|m| m.row.rounds.len()).min();
        assert!(rounds >= Some(3), "{rounds:?}");
    }
}

#[test]
fn a_search_on_two_devices_goes_on_without_the_one_that_is_unplugged() {
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
        Event::Paused(why) => paused.push(why.clone()),
        _ => {}
    };
    let here: Arc<dyn Transport> = Arc::new(script(&format!("exec '{AGENT}'")));
    let devices = vec![here, remote::phone(&server, &phone)];
    let (engine, reason) = search(devices, folder.path(), FORTY, || {}, &mut watch);
    assert_eq!(reason, StopReason::Budget);
    assert!(!paused.is_empty() && paused[0].contains(&phone.serial()), "{paused:?}");
    assert_eq!(engine.state().candidates().len(), 40);
    assert!(!engine.state().front(0).is_empty());
    drop(engine);
    assert_eq!(measured_on(folder.path(), 0).len(), 40);
    assert!(measured_on(folder.path(), 1).len() < 10);
}

#[test]
fn a_device_that_is_plugged_in_again_measures_what_it_missed() {
    let Some(server) = AdbServer::start() else { return };
    let (phone, folder) = (Phone::start(), tempfile::tempdir().unwrap());
    let (mut measured, mut is_back) = (0, false);
    let mut watch = |event: &Event| match event {
        Event::Measured(_) => {
            measured += 1;
            if measured == 7 {
                phone.pull();
            }
        }
        Event::Generation(1) => {
            phone.plug_in();
            is_back = true;
        }
        _ => {}
    };
    let here: Arc<dyn Transport> = Arc::new(script(&format!("exec '{AGENT}'")));
    let devices = vec![here, remote::phone(&server, &phone)];
    let budget = Budget { seconds: Some(20.0), ..Budget::default() };
    let (engine, _) = search(devices, folder.path(), budget, || {}, &mut watch);
    assert!(is_back);
    let state = engine.state();
    assert!(!state.front(1).is_empty() && state.missing(1).is_empty(), "{:?}", state.missing(1));
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
