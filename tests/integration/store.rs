//! The store as other processes and later programs meet it.
use citronade::store::*;
use tempfile::TempDir;

use crate::support::runs::records;
use crate::support::runs::run_record;

fn filled(folder: &TempDir, steps: &[Record]) -> Store {
    let mut store = Store::open(&folder.path().join("citronade.db")).unwrap();
    store.begin_run(&run_record()).unwrap();
    for group in steps.chunks(7) {
        store.commit(&run_record().id, group).unwrap();
    }
    store
}

#[test]
fn a_run_reads_back_as_it_was_committed() {
    let folder = TempDir::new().unwrap();
    let steps = records(12, 1);
    let store = filled(&folder, &steps);
    let reader = store.reader().unwrap();
    assert_eq!(reader.newest_run().unwrap(), Some(run_record()));
    assert_eq!(reader.records(&run_record().id).unwrap(), steps);
}
