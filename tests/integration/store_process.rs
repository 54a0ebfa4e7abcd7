//! The store among processes that die, compete, and fill the disk.
//!
//! Each test starts itself as the other process: with [`PART`] set it plays that part instead.
use std::env;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use citronade::store::*;
use tempfile::TempDir;

use crate::support::runs::records;
use crate::support::runs::run_record;
use crate::support::skipped::not_tried;

/// Names the store of the other process.
const PART: &str = "CITRONADE_TEST_STORE";

/// Steps of a commit of [`write_on`].
const GROUP: usize = 3;

/// The store of the part this process plays, if it is the other process.
fn part() -> Option<PathBuf> {
    env::var_os(PART).map(PathBuf::from)
}

/// Starts the running test again, as the other process of `store`.
fn other(before: &[&str], test: &str, store: &Path) -> Child {
    let this = env::current_exe().unwrap();
    let mut line: Vec<&str> = before.to_vec();
    line.extend([this.to_str().unwrap(), "--exact", test, "--nocapture", "--test-threads=1"]);
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).env(PART, store);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

#[expect(clippy::print_stdout, reason = "processes talk through their output")]
fn say(word: impl std::fmt::Display) {
    println!("\nsays {word}");
}

/// The next word that the other process says; `None` when it has ended.
fn hear(lines: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if let Some(word) = line.strip_prefix("says ") {
            return Some(word.trim().to_owned());
        }
        line.clear();
    }
    None
}

/// Goes on with the made-up run, a few steps a commit, and says how many are acknowledged.
fn write_on(path: &Path, steps: &[Record]) {
    let mut store = Store::open(path).unwrap();
    let done = store.reader().unwrap().records(&run_record().id).unwrap().len();
    assert_eq!(done % GROUP, 0, "a commit is there as a whole or not at all");
    for (at, group) in steps.chunks(GROUP).enumerate().skip(done / GROUP) {
        store.put_blob(format!("weights of {at}").repeat(1000).as_bytes()).unwrap();
        store.commit(&run_record().id, group).unwrap();
        say((at + 1) * GROUP);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let steps = records(40, 1);
    let steps = &steps[..steps.len() / GROUP * GROUP];
    if let Some(path) = part() {
        return write_on(&path, steps);
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("citronade.db");
    Store::open(&path).unwrap().begin_run(&run_record()).unwrap();
    let mut acknowledged = 0;
    for life in 0..24 {
        let name = "store_process::what_was_acknowledged_survives_kill_nine";
        let mut child = other(&[], name, &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..life % 7 {
            let Some(word) = hear(&mut lines) else { break };
            acknowledged = word.parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(word) = hear(&mut lines) {
            acknowledged = word.parse().unwrap();
        }
        let found = Reader::open(&path).unwrap().records(&run_record().id).unwrap();
        assert!(found.len() >= acknowledged, "{acknowledged} acknowledged, {} left", found.len());
        assert_eq!(found, steps[..found.len()]);
    }
    assert!(acknowledged > 30, "the lives were long enough to write something");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_eq!(check.unwrap(), "ok");
}

#[test]
fn a_second_process_is_refused_until_the_first_is_gone() {
    if let Some(path) = part() {
        let _store = Store::open(&path).unwrap();
        say("open");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("citronade.db");
    let name = "store_process::a_second_process_is_refused_until_the_first_is_gone";
    let mut child = other(&[], name, &path);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(hear(&mut lines).as_deref(), Some("open"));
    let error = Store::open(&path).unwrap_err();
    assert!(error.is_busy());
    let owner = format!("is in use by process {}", child.id());
    assert!(error.to_string().ends_with(&owner), "{error}");
    assert!(Reader::open(&path).is_ok(), "reading goes on");
    child.kill().unwrap();
    child.wait().unwrap();
    Store::open(&path).unwrap();
}

/// Needs the right to mount; the room's own tests fill a database in another way everywhere.
#[test]
fn a_full_or_read_only_disk_loses_nothing() {
    if let Some(folder) = part() {
        return fill_the_disk(&folder);
    }
    let folder = TempDir::new().unwrap();
    let name = "store_process::a_full_or_read_only_disk_loses_nothing";
    let inside = ["unshare", "--user", "--map-root-user", "--mount"];
    let mut mount = Command::new(inside[0]);
    mount.args(&inside[1..]).args(["mount", "-t", "tmpfs", "none"]).arg(folder.path());
    if !mount.status().is_ok_and(|status| status.success()) {
        return skip("no right to mount a small disk here");
    }
    let output = other(&inside, name, folder.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn skip(reason: &str) {
    not_tried(&format!("not tested: {reason}"));
}

/// Commits on a disk with ever more room left, until all is written.
fn fill_the_disk(disk: &Path) {
    let mount = |arguments: &[&str]| {
        assert!(Command::new("mount").args(arguments).arg(disk).status().unwrap().success());
    };
    mount(&["-t", "tmpfs", "-o", "size=4m", "none"]);
    let (path, steps) = (disk.join("citronade.db"), records(40, 1));
    let groups: Vec<&[Record]> = steps.chunks(10).collect();
    Store::open(&path).unwrap().begin_run(&run_record()).unwrap();
    let (mut done, mut refused) = (0, 0);
    for room_kib in (0..200).step_by(4) {
        fill_up(disk, room_kib);
        refused += usize::from(!write_until_full(&path, &groups, &mut done));
        let found = Reader::open(&path).map(|r| r.records(&run_record().id).unwrap());
        if let Ok(found) = found {
            assert_eq!(found, groups[..done].concat(), "with {room_kib} KiB");
        }
        fs::remove_file(disk.join("filler")).unwrap();
        assert_eq!(
            Reader::open(&path).unwrap().records(&run_record().id).unwrap(),
            groups[..done].concat()
        );
    }
    assert!(refused > 10 && done > 10, "{refused} refusals, {done} commits");
    mount(&["-o", "remount,ro"]);
    assert!(Store::open(&path).unwrap_err().is_full());
    let found = Reader::open(&path).unwrap().records(&run_record().id).unwrap();
    assert_eq!(found, groups[..done].concat());
}

/// Leaves `room_kib` on the disk.
fn fill_up(disk: &Path, room_kib: usize) {
    let mut filler = fs::File::create(disk.join("filler")).unwrap();
    let mut size = 0;
    while filler.write_all(&[1; 1024]).is_ok() {
        size += 1024;
    }
    filler.set_len(u64::saturating_sub(size, 1024 * room_kib as u64)).unwrap();
}

/// Was everything written, or what there was time for, before the disk was full?
fn write_until_full(path: &Path, groups: &[&[Record]], done: &mut usize) -> bool {
    let mut store = match Store::open(path) {
        Ok(store) => store,
        Err(e) => {
            assert!(e.is_full(), "{e:?}");
            return false;
        }
    };
    for group in groups.iter().skip(*done).take(3) {
        let written = store.put_blob(format!("{done}").repeat(3000).as_bytes()).map(drop);
        match written.and_then(|()| store.commit(&run_record().id, group)) {
            Ok(()) => *done += 1,
            Err(e) => {
                assert!(e.is_full(), "{e:?}");
                return false;
            }
        }
    }
    true
}
