//! The floors of ARCHITECTURE.md, kept true.
//!
//! A floor is a group of `pub mod` lines in `src/lib.rs`, ended by an empty
//! line. A room uses only rooms on lower floors, never one on its own.
use std::fs;
use std::path::{Path, PathBuf};

/// External crates that only these rooms may know.
const PRIVATE_TO: &[(&str, &[&str])] = &[
    ("rayon::", &["train"]),
    ("tract_onnx::", &["agent"]),
    ("tract_linalg::", &["agent"]),
    ("ort::", &["agent"]),
    ("landlock::", &["agent"]),
    ("libc::", &["agent"]),
    ("prost::", &["onnx"]),
    ("rusqlite::", &["store"]),
    ("nalgebra::", &["morphism", "search", "latency"]),
    ("sysinfo::", &["device", "agent"]),
    ("clap::", &["cli"]),
    ("indicatif::", &["cli"]),
    ("resvg::", &["report"]),
];

/// Rooms that the agent may use: it is built without the others.
const AGENT_MAY_USE: &[&str] = &["units", "stats"];

#[test]
fn rooms_use_only_lower_floors() {
    let rooms = rooms();
    for (floor, room) in &rooms {
        for (file, line) in code_of(room) {
            for (other_floor, other) in rooms.iter().filter(|(_, other)| other != room) {
                assert!(
                    other_floor < floor || !line.contains(&format!("crate::{other}")),
                    "{file}: `{room}` (floor {floor}) uses `{other}` (floor {other_floor}): {line}"
                );
            }
            assert!(!line.contains("crate::{"), "{file}: one room per `use` line");
            for (word, owners) in PRIVATE_TO {
                assert!(
                    owners.contains(&room.as_str()) || !mentions(&line, word),
                    "{file}: `{word}` belongs to {owners:?}"
                );
            }
        }
    }
}

/// Every room with its floor, in the order of `lib.rs`.
fn rooms() -> Vec<(usize, String)> {
    let lib = fs::read_to_string("src/lib.rs").unwrap();
    let floors = lib.split("\n\n").filter(|group| group.contains("pub mod "));
    floors
        .enumerate()
        .flat_map(|(floor, group)| {
            let rooms = group.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'));
            rooms.map(move |room| (floor, room.to_owned()))
        })
        .collect()
}

/// Lines of a room that are code, each with its file.
fn code_of(room: &str) -> Vec<(String, String)> {
    let mut files = vec![PathBuf::from(format!("src/{room}.rs"))];
    files.extend(children(Path::new(&format!("src/{room}"))));
    files.retain(|f| f.is_file() && f.extension().is_some_and(|e| e == "rs"));
    assert!(!files.is_empty(), "room `{room}` has no file");
    let mut code = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().map(str::trim).filter(|l| !l.starts_with("//"));
        code.extend(lines.map(|l| (file.display().to_string(), l.to_owned())));
    }
    code
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .map(|e| e.unwrap().path())
        .flat_map(|p| if p.is_dir() { children(&p) } else { vec![p] })
        .collect()
}

/// Does `line` use the path `word`, not merely another path that ends like it?
fn mentions(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn the_agent_depends_on_nothing_of_the_host() {
    for (file, line) in code_of("agent") {
        for (_, other) in rooms() {
            let allowed = other == "agent" || AGENT_MAY_USE.contains(&other.as_str());
            assert!(allowed || !line.contains(&format!("crate::{other}")), "{file}: {line}");
        }
    }
}

#[test]
fn only_the_cli_prints() {
    for (_, room) in rooms().iter().filter(|(_, room)| room != "cli") {
        for (file, line) in code_of(room) {
            for word in ["println!", "print!(", "stdout()", "stderr()"] {
                let agent_pipe = room == "agent";
                assert!(agent_pipe || !line.contains(word), "{file}: {line}");
            }
        }
    }
}
