//! The store as users, other processes and later programs meet it.
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use citronade::store::*;
use citronade::units::Fraction;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::networks::random_network;
use crate::support::runs::records;
use crate::support::runs::run_record;

fn run() -> String {
    run_record().id
}

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("citronade.db")
}

/// A store that holds `steps` of the made-up run.
fn filled(path: &Path, steps: &[Record]) -> Store {
    let mut store = Store::open(path).unwrap();
    store.begin_run(&run_record()).unwrap();
    for group in steps.chunks(7) {
        store.commit(&run(), group).unwrap();
    }
    store
}

#[test]
fn a_run_reads_back_as_it_was_committed() {
    let folder = TempDir::new().unwrap();
    let steps = records(12, 1);
    let store = filled(&path_in(&folder), &steps);
    let reader = store.reader().unwrap();
    assert_eq!(reader.newest_run().unwrap(), Some(run_record()));
    assert_eq!(reader.records(&run()).unwrap(), steps);
}

#[test]
fn runs_do_not_mix() {
    let folder = TempDir::new().unwrap();
    let mut store = filled(&path_in(&folder), &records(2, 1));
    let other = RunRecord { id: "20270101-000000-0001".into(), created: i64::MAX, ..run_record() };
    store.begin_run(&other).unwrap();
    store.commit(&other.id, &records(3, 2)).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.records(&run()).unwrap(), records(2, 1));
    assert_eq!(reader.records(&other.id).unwrap(), records(3, 2));
    assert_eq!(reader.newest_run().unwrap(), Some(other));
}

#[test]
fn a_step_never_counts_twice() {
    let folder = TempDir::new().unwrap();
    let steps = records(4, 1);
    let mut store = filled(&path_in(&folder), &steps);
    store.commit(&run(), &steps).unwrap();
    assert_eq!(store.reader().unwrap().records(&run()).unwrap(), steps);
}

#[test]
fn the_same_step_with_other_contents_is_refused_and_nothing_of_its_commit_stays() {
    let folder = TempDir::new().unwrap();
    let steps = records(4, 1);
    let mut store = filled(&path_in(&folder), &steps);
    for step in &steps {
        let mut forged = step.clone();
        match &mut forged {
            Record::Accepted(r) => r.macs += 1,
            Record::Measured(r) => r.latency_us += 1.0,
            Record::Trained(r) => r.curve[3].validation_error = Fraction(0.5),
            Record::Ended(r) => r.epochs += 1,
            Record::Told(r) => r.fronts[0].members.truncate(1),
            Record::Tested { error, .. } => *error += 0.1,
        }
        let fresh = Record::Tested { candidate: 1, error: 0.25 };
        let error = store.commit(&run(), &[fresh, forged]).unwrap_err();
        assert!(matches!(error, StoreError::Contradiction { .. }), "{error}");
    }
    assert_eq!(store.reader().unwrap().records(&run()).unwrap(), steps);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut store = filled(&path_in(&folder), &records(1, 1));
    let tested = |candidate, error| Record::Tested { candidate, error };
    for misfit in [tested(1, f64::NAN), tested(1, 1.7), tested(77, 0.1)] {
        let error = store.commit(&run(), &[misfit]).unwrap_err();
        assert!(matches!(error, StoreError::Unfit { .. }), "{error}");
    }
    let error = store.commit("another", &[tested(1, 0.1)]).unwrap_err();
    assert!(matches!(error, StoreError::Unfit { .. }), "{error}");
}

#[test]
fn the_reference_of_a_run_never_moves() {
    let folder = TempDir::new().unwrap();
    let mut store = filled(&path_in(&folder), &[]);
    let mut late = RunRecord { id: "late".to_owned(), ..run_record() };
    late.devices[0].reference = None;
    store.begin_run(&late).unwrap();
    store.set_reference("late", 0, "{}").unwrap();
    store.set_reference("late", 0, "{}").unwrap();
    let error = store.set_reference("late", 0, "[]").unwrap_err();
    assert!(matches!(error, StoreError::Contradiction { .. }), "{error}");
    assert!(store.set_reference("another", 0, "{}").is_err());
    assert!(store.set_reference("late", 1, "{}").is_err());
    let late = store.reader().unwrap().run("late").unwrap();
    let reference = &late.devices[0].reference;
    assert_eq!(reference.as_deref(), Some("{}"));
}

#[test]
fn a_reader_sees_one_moment_while_the_writer_goes_on() {
    let folder = TempDir::new().unwrap();
    let steps = records(6, 1);
    let (early, late) = steps.split_at(30);
    let mut store = filled(&path_in(&folder), early);
    let reader = store.reader().unwrap();
    store.commit(&run(), late).unwrap();
    assert_eq!(reader.records(&run()).unwrap(), early);
    assert_eq!(store.reader().unwrap().records(&run()).unwrap(), steps);
}

#[test]
fn read_models_agree_with_the_records() {
    let folder = TempDir::new().unwrap();
    let steps = records(12, 3);
    let reader = filled(&path_in(&folder), &steps).reader().unwrap();
    let rows = reader.candidates(&run(), 0).unwrap();
    let counts = reader.counts(&run()).unwrap();
    let is = |kind| move |r: &&CandidateRow| r.ended == Some(kind);
    assert_eq!(counts.accepted, rows.len() as u64);
    assert_eq!(
        counts.killed_before_training,
        rows.iter().filter(is(EndKind::KilledBeforeTraining)).count() as u64
    );
    assert_eq!(
        counts.stopped_in_training,
        rows.iter().filter(is(EndKind::StoppedInTraining)).count() as u64
    );
    assert_eq!(counts.failed, rows.iter().filter(is(EndKind::Failed)).count() as u64);
    assert_eq!(counts.trained, rows.iter().filter(|r| r.training.is_some()).count() as u64);
    assert_eq!(
        counts.accepted,
        counts.killed_before_training + counts.stopped_in_training + counts.failed + counts.trained
    );
    let told: Vec<Record> = reader.told(&run()).unwrap().into_iter().map(Record::Told).collect();
    let is_told = |r: &&Record| matches!(r, Record::Told(_));
    assert_eq!(told, steps.iter().filter(is_told).cloned().collect::<Vec<_>>());
    for row in &rows {
        let whole = reader.candidate(&run(), row.id).unwrap().unwrap();
        assert_eq!(whole.accepted.parent, row.parent);
        assert_eq!(whole.measured.len(), row.rounds.len());
        assert_eq!(whole.trained.map(|t| t.error), row.training.as_ref().map(|t| t.error));
        let line = reader.lineage(&run(), row.id).unwrap();
        assert_eq!(line.last().unwrap().id, row.id);
        assert!(line[0].morphisms.is_empty(), "a lineage begins with a seed");
        assert!(line[1..].iter().all(|link| !link.morphisms.is_empty()));
    }
    assert!(reader.candidate(&run(), 9999).unwrap().is_none());
    assert!(reader.lineage(&run(), 9999).unwrap().is_empty());
}

#[test]
fn proposals_of_an_unfinished_generation_count_once() {
    let folder = TempDir::new().unwrap();
    let steps = records(5, 1);
    let end = steps.iter().rposition(|r| matches!(r, Record::Told(_))).unwrap();
    let Record::Told(last) = &steps[end] else { panic!("the made-up run ends with a generation") };
    let mut store = filled(&path_in(&folder), &steps[..end]);
    let before = store.reader().unwrap().counts(&run()).unwrap().proposed;
    store.commit(&run(), &steps[end..]).unwrap();
    let after = store.reader().unwrap().counts(&run()).unwrap().proposed;
    assert_eq!((before, after), (last.proposed, last.proposed));
}

#[test]
fn equal_blobs_are_stored_once_and_only_unused_ones_are_collected() {
    let folder = TempDir::new().unwrap();
    let mut store = filled(&path_in(&folder), &[]);
    let used = store.put_blob(b"weights").unwrap();
    let unused = store.put_blob(b"of a dead candidate").unwrap();
    assert_eq!(store.put_blob(b"weights").unwrap(), used);
    let mut steps = records(1, 1);
    let trained = steps.iter_mut().find_map(|r| match r {
        Record::Trained(t) => Some(t),
        _ => None,
    });
    trained.unwrap().weights = Some(used.clone());
    store.commit(&run(), &steps).unwrap();
    assert_eq!(store.gc().unwrap(), Removed { blobs: 1, bytes: 19 });
    assert_eq!(store.blob(&used).unwrap(), b"weights");
    assert!(matches!(store.blob(&unused), Err(StoreError::NoSuchBlob { .. })));
}

#[test]
fn a_blob_is_found_by_its_hash_and_by_nothing_else() {
    let folder = TempDir::new().unwrap();
    let store = filled(&path_in(&folder), &[]);
    let hash = store.put_blob(b"weights").unwrap();
    let path = store.blobs().path(&hash).unwrap();
    for name in ["", "..", "../citronade.db", &hash[..63], &hash.to_uppercase()] {
        assert!(matches!(store.blob(name), Err(StoreError::NoSuchBlob { .. })), "{name}");
    }
    fs::write(path, b"weightz").unwrap();
    assert!(matches!(store.blob(&hash), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_link_leads_to_the_same_store() {
    let folder = TempDir::new().unwrap();
    let store = filled(&path_in(&folder), &records(1, 1));
    let hash = store.put_blob(b"weights").unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(path_in(&folder), &link).unwrap();
    assert!(Store::open(&link).unwrap_err().is_busy());
    assert_eq!(Reader::open(&link).unwrap().blob(&hash).unwrap(), b"weights");
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = path_in(&folder);
    drop(filled(&path, &records(1, 1)));
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    for error in [Store::open(&path).unwrap_err(), Reader::open(&path).unwrap_err()] {
        assert!(error.is_newer(), "{error}");
        assert!(error.hint().is_some());
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a database, whatever its name may be".repeat(40)).unwrap();
    let other = folder.path().join("other.db");
    let connection = rusqlite::Connection::open(&other).unwrap();
    connection.execute_batch("CREATE TABLE bill (cents INTEGER)").unwrap();
    for path in [text, other] {
        let before = fs::read(&path).unwrap();
        for error in [Store::open(&path).unwrap_err(), Reader::open(&path).unwrap_err()] {
            assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_reading() {
    let folder = TempDir::new().unwrap();
    let error = Reader::open(&path_in(&folder)).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(!path_in(&folder).exists());
}

/// Made once by each version; never edited, so that every later program opens it.
#[test]
fn the_stores_of_all_versions_open() {
    for version in ["v1", "v2", "v3"] {
        opens(version);
    }
}

fn opens(version: &str) {
    let golden = Path::new("tests/integration/golden");
    let folder = TempDir::new().unwrap();
    fs::copy(golden.join(format!("store-{version}.db")), path_in(&folder)).unwrap();
    let store = Store::open(&path_in(&folder)).unwrap();
    let reader = store.reader().unwrap();
    let newest = reader.newest_run().unwrap().unwrap();
    assert_eq!(newest.id, "20261124-131502-7f3a");
    let lines = fs::read_to_string(golden.join(format!("store-{version}.jsonl"))).unwrap();
    let written: Vec<Record> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(written.len() > 50);
    assert_eq!(reader.records(&newest.id).unwrap(), written);
}

/// A run on two devices, the second of which joins late.
fn on_two_devices() -> (RunRecord, Vec<Record>) {
    let mut run = run_record();
    let name = "bench-pi".to_owned();
    run.devices.push(RunDevice { name, runtime: "tract 0.23.9".to_owned(), reference: None });
    let mut steps = Vec::new();
    for step in records(3, 5) {
        let step = match step {
            Record::Told(mut told) => {
                let members = told.fronts[0].members[..1].to_vec();
                told.fronts.push(ToldFront { hypervolume: 0.25, members });
                Record::Told(told)
            }
            Record::Measured(m) if m.candidate > 4 => {
                steps.push(Record::Measured(m.clone()));
                Record::Measured(Measured { device: 1, latency_us: 3.5 * m.latency_us, ..m })
            }
            other => other,
        };
        steps.push(step);
    }
    (run, steps)
}

#[test]
fn each_device_has_its_own_rounds_fronts_and_reference() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&path_in(&folder)).unwrap();
    let (run, steps) = on_two_devices();
    store.begin_run(&run).unwrap();
    store.commit(&run.id, &steps).unwrap();
    store.commit(&run.id, &steps).unwrap();
    store.set_reference(&run.id, 1, "{}").unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.records(&run.id).unwrap(), steps);
    let stored = reader.run(&run.id).unwrap();
    assert_eq!(stored.devices[0], run.devices[0]);
    assert_eq!(stored.devices[1].reference.as_deref(), Some("{}"));
    let [here, there] = [0, 1].map(|device| reader.candidates(&run.id, device).unwrap());
    for (here, there) in here.iter().zip(&there) {
        let latencies = |row: &CandidateRow| row.rounds.iter().map(|r| r.latency_us).collect();
        let (here_us, there_us): (Vec<f64>, Vec<f64>) = (latencies(here), latencies(there));
        match here.id > 4 {
            true => assert_eq!(there_us, here_us.iter().map(|us| 3.5 * us).collect::<Vec<_>>()),
            false => assert!(there_us.is_empty() && !here_us.is_empty()),
        }
    }
}

fn finite() -> impl Strategy<Value = f64> {
    prop::num::f64::POSITIVE | prop::num::f64::NEGATIVE | prop::num::f64::SUBNORMAL
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The room between two numbers is nothing: a replay that is off in the last bit is another
    /// run.
    #[test]
    fn numbers_texts_and_graphs_survive_bit_for_bit(
        seed: u64,
        numbers in prop::array::uniform4(finite()),
        share in 0.0..1.0f64,
        text: String,
    ) {
        let folder = TempDir::new().unwrap();
        let network = random_network(seed);
        let arch = network.graph.arch_id();
        let mut steps = records(0, 1);
        for step in &mut steps {
            match step {
                Record::Accepted(r) => {
                    (r.graph, r.arch) = (network.graph.clone(), arch);
                    r.predicted_latency_us = Some(numbers[0]);
                    r.at_s = numbers[1];
                }
                Record::Measured(r) => {
                    r.latency_interval_us = [numbers[2], numbers[3]];
                    r.verdict = text.clone();
                }
                Record::Trained(r) => {
                    r.error = share;
                    r.curve[0].train_loss = numbers[0];
                }
                Record::Told(r) => r.fronts[0].hypervolume = share,
                Record::Ended(_) | Record::Tested { .. } => {}
            }
        }
        let store = filled(&path_in(&folder), &steps);
        prop_assert_eq!(store.reader().unwrap().records(&run()).unwrap(), steps);
    }
}
