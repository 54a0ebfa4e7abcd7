//! Files that the host brings to the work folder: the current folder of this process.
//!
//! A file arrives under a name of its sender's, `NAME.SENDER.part`, and gets its own when its hash is
//! right. What was not used for long goes when room is needed, and what will not arrive any more. What we
//! have not named stays.
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use crate::units::Bytes;

/// How names of runners begin; they are removed last.
const RUNNER: &str = "runner-";

/// How names of models end.
const MODEL: &str = ".onnx";
/// How names of libraries end.
const LIBRARY: &str = ".so";

/// How names of what is on its way end.
const PART: &str = ".part";

/// How long nothing must have come of a runner or library until it counts as lost: they are not gone on
/// with, unlike models.
const LOST: Duration = Duration::from_secs(3600);

/// Least time between two files that were used one after the other.
const TICK: Duration = Duration::from_millis(1);

/// Characters of the hash in a name.
const HASH: usize = 32;

/// Makes room for `size` bytes under the name `name`, which arrive as `part`, in a folder that may
/// hold `limit` bytes, by removing what was used longest ago; says `whole` if the file is there,
/// else `part N` with the number of bytes that are there already.
///
/// # Errors
///
/// A sentence for a person.
pub fn prepare(
    folder: &Path,
    name: &str,
    part: &str,
    size: u64,
    limit: u64,
) -> Result<String, String> {
    ensure_ours(name)?;
    ensure_ours(part)?;
    let cannot = |e: io::Error| format!("cannot look at the work folder: {e}");
    let whole = folder.join(name);
    if fs::metadata(&whole).is_ok_and(|m| m.len() == size) {
        used_now(folder, name);
        return Ok("whole".to_owned());
    }
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::file_name);
    let mut files = files_of(folder).map_err(cannot)?;
    let there = fs::metadata(folder.join(part)).map_or(0, |m| m.len());
    let mut total = size.saturating_sub(there) + files.iter().map(|f| f.bytes).sum::<u64>();
    files.retain(|file| ![Some(part.as_ref()), own].contains(&file.path.file_name()));
    files.sort_by_key(|file| (file.kind, file.used));
    let mut oldest = files.into_iter();
    while total > limit {
        let Some(file) = oldest.next() else {
            return Err(no_room(size, total, limit));
        };
        fs::remove_file(&file.path).map_err(cannot)?;
        total -= file.bytes;
    }
    Ok(format!("part {there}"))
}

/// With what cannot be removed, `total` bytes would be needed.
fn no_room(size: u64, total: u64, limit: u64) -> String {
    let (least, rest) = (total.div_ceil(1_000_000), Bytes(total.saturating_sub(size)));
    format!(
        "the work folder may hold {}, the file has {} and the runner with what it needs {rest}: `max_mb` \
         must be {least} at least",
        Bytes(limit),
        Bytes(size),
    )
}

/// Gives `part` the name `name` if it has `bytes` bytes and their hash is `blake3`. A shorter one is
/// kept, to be gone on with: its link was cut. What is damaged is removed.
///
/// # Errors
///
/// A sentence for a person.
pub fn accept(
    folder: &Path,
    name: &str,
    part: &str,
    bytes: u64,
    blake3: &str,
) -> Result<(), String> {
    ensure_ours(name)?;
    ensure_ours(part)?;
    let cannot = |e: io::Error| format!("cannot accept `{name}`: {e}");
    let part = folder.join(part);
    let file = File::open(&part).map_err(cannot)?;
    let there = file.metadata().map_err(cannot)?.len();
    if there < bytes {
        return Err(format!("{there} of {bytes} bytes of `{name}` arrived"));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file).map_err(cannot)?;
    let found = hasher.finalize().to_hex();
    if found.as_str() != blake3 {
        fs::remove_file(&part).map_err(cannot)?;
        return Err(format!("{} bytes arrived with hash {found}, not {blake3}", hasher.count()));
    }
    file.sync_all().map_err(cannot)?;
    fs::rename(&part, folder.join(name)).map_err(cannot)?;
    remove_lost(folder);
    used_now(folder, name);
    Ok(())
}

/// Removes what began to arrive before its sender went away. What is still arriving was written just now,
/// also by a clock that has been set back.
fn remove_lost(folder: &Path) {
    let Ok(files) = files_of(folder) else { return };
    let (now, model) = (SystemTime::now(), format!("{MODEL}."));
    let is_lost = |file: &&Kept| {
        let age = file.used.and_then(|used| now.duration_since(used).ok());
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        file.kind == Kind::Part && !name.contains(&model) && age.is_some_and(|age| age > LOST)
    };
    for file in files.iter().filter(is_lost) {
        // Somebody else may have done it.
        fs::remove_file(&file.path).ok();
    }
}

/// Makes `name` the file that was used last, also after the device's clock was set back.
///
/// A file system that is read-only or has no times only removes in another order.
fn used_now(folder: &Path, name: &str) {
    let Ok(files) = files_of(folder) else { return };
    let others = files.iter().filter(|file| file.path.file_name() != Some(name.as_ref()));
    let last = others.filter_map(|file| file.used).max().unwrap_or(SystemTime::UNIX_EPOCH);
    let now = SystemTime::now().max(last + TICK);
    File::open(folder.join(name)).and_then(|file| file.set_modified(now)).ok();
}

/// What a file of ours is; the first go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Part,
    Model,
    Library,
    Runner,
}

/// What the file is, if the name is one of ours: `runner-HASH`, `HASH.so` or `HASH.onnx`, maybe on its
/// way.
fn kind(name: &str) -> Option<Kind> {
    let whole = name.strip_suffix(PART).and_then(|arriving| Some(arriving.rsplit_once('.')?.0));
    let file = whole.unwrap_or(name);
    let (hash, kind) = match (file.strip_prefix(RUNNER), file.strip_suffix(LIBRARY)) {
        (Some(hash), _) => (hash, Kind::Runner),
        (None, Some(hash)) => (hash, Kind::Library),
        (None, None) => (file.strip_suffix(MODEL)?, Kind::Model),
    };
    let is_hash = hash.len() == HASH && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then_some(if whole.is_some() { Kind::Part } else { kind })
}

fn ensure_ours(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match kind(name).is_some() && name.chars().all(plain) {
        true => Ok(()),
        false => Err(format!("`{name}` is not a name for a file of the work folder")),
    }
}

struct Kept {
    path: PathBuf,
    bytes: u64,
    used: Option<SystemTime>,
    kind: Kind,
}

/// Files of ours.
fn files_of(folder: &Path) -> io::Result<Vec<Kept>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let kind = kind(&entry.file_name().to_string_lossy()).filter(|_| metadata.is_file());
        if let Some(kind) = kind {
            let (bytes, used) = (metadata.len(), metadata.modified().ok());
            files.push(Kept { path: entry.path(), bytes, used, kind });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(c: char) -> String {
        format!("runner-{}", c.to_string().repeat(HASH))
    }

    fn model(c: char) -> String {
        format!("{}.onnx", c.to_string().repeat(HASH))
    }

    fn part(c: char) -> String {
        format!("{}.5e4d.part", model(c))
    }

    /// The oldest first.
    fn folder(files: &[(String, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (age, (name, bytes)) in files.iter().rev().enumerate() {
            let path = folder.path().join(name);
            fs::write(&path, vec![1; *bytes]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(60 * (1 + age as u64));
            File::options().append(true).open(&path).unwrap().set_modified(used).unwrap();
        }
        folder
    }

    #[track_caller]
    fn check_names(folder: &tempfile::TempDir, expected: &[String]) {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(names, expected);
    }

    fn room(folder: &tempfile::TempDir, c: char, size: u64, limit: u64) -> Result<String, String> {
        prepare(folder.path(), &model(c), &part(c), size, limit)
    }

    #[test]
    fn room_is_made_by_removing_what_was_used_longest_ago_and_runners_last() {
        let f =
            folder(&[(runner('0'), 100), (model('a'), 100), (model('b'), 100), (model('c'), 100)]);
        assert_eq!(room(&f, 'd', 50, 400).unwrap(), "part 0");
        check_names(&f, &[model('b'), model('c'), runner('0')]);
        assert_eq!(room(&f, 'b', 100, 400).unwrap(), "whole");
        room(&f, 'd', 200, 400).unwrap();
        check_names(&f, &[model('b'), runner('0')]);
        room(&f, 'd', 350, 400).unwrap();
        check_names(&f, &[]);
    }

    #[test]
    fn what_we_have_not_named_stays() {
        let theirs = ["README.md", "Cargo.toml", "m.onnx", "runner-up", "photo.part", "a.b.part"];
        let theirs = theirs.map(str::to_owned);
        let f = folder(&theirs.clone().map(|name| (name, 1000)));
        room(&f, 'd', 300, 400).unwrap();
        check_names(&f, &theirs);
    }

    #[test]
    fn what_cannot_fit_is_refused_with_the_way_out() {
        let error = room(&folder(&[]), 'd', 500, 400).unwrap_err();
        assert_eq!(
            error,
            "the work folder may hold 400 B, the file has 500 B and the runner with what it needs 0 B: \
             `max_mb` must be 1 at least"
        );
    }

    #[test]
    fn what_was_lost_on_its_way_goes_when_something_arrives_but_a_model_is_gone_on_with() {
        let (old, new) = (format!("{}.1.part", runner('a')), format!("{}.2.part", runner('a')));
        let library = format!("{}.so.3.part", "b".repeat(HASH));
        let f = folder(&[(old.clone(), 9), (library.clone(), 9), (part('c'), 9), (new.clone(), 9)]);
        for lost in [&old, &library, &part('c')] {
            let file = File::options().append(true).open(f.path().join(lost)).unwrap();
            file.set_modified(SystemTime::now() - 2 * LOST).unwrap();
        }
        fs::write(f.path().join(part('d')), [1; 5]).unwrap();
        let hash = blake3::hash(&[1; 5]).to_hex();
        accept(f.path(), &model('d'), &part('d'), 5, hash.as_str()).unwrap();
        check_names(&f, &[part('c'), new, model('d')]);
    }

    #[test]
    fn a_part_is_kept_and_counted_and_those_of_others_go_first() {
        let f = folder(&[(model('a'), 250), (part('d'), 60), (part('e'), 50)]);
        assert_eq!(room(&f, 'd', 100, 400).unwrap(), "part 60");
        check_names(&f, &[model('a'), part('d'), part('e')]);
        assert_eq!(room(&f, 'd', 140, 400).unwrap(), "part 60");
        check_names(&f, &[model('a'), part('d')]);
        assert_eq!(room(&f, 'd', 200, 400).unwrap(), "part 60");
        check_names(&f, &[part('d')]);
    }

    #[test]
    fn only_what_has_the_right_hash_gets_its_name() {
        let f = folder(&[(part('d'), 5)]);
        let hash = blake3::hash(&[1; 5]).to_hex();
        let accepted = |bytes| accept(f.path(), &model('d'), &part('d'), bytes, hash.as_str());
        let cut = accepted(6).unwrap_err();
        assert!(cut.contains("5 of 6 bytes"), "{cut}");
        check_names(&f, &[part('d')]);
        accepted(5).unwrap();
        check_names(&f, &[model('d')]);
        fs::write(f.path().join(part('d')), [2; 5]).unwrap();
        let error = accepted(5).unwrap_err();
        assert!(error.contains("5 bytes arrived with hash"), "{error}");
        check_names(&f, &[model('d')]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_make_what_was_used_last_the_oldest() {
        let f = folder(&[(model('a'), 100), (model('b'), 100), (part('d'), 100)]);
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        for c in ['a', 'b'] {
            let file = File::open(f.path().join(model(c))).unwrap();
            file.set_modified(tomorrow).unwrap();
        }
        let hash = blake3::hash(&[1; 100]).to_hex();
        accept(f.path(), &model('d'), &part('d'), 100, hash.as_str()).unwrap();
        assert_eq!(room(&f, 'a', 100, 400).unwrap(), "whole");
        room(&f, 'e', 100, 300).unwrap();
        check_names(&f, &[model('a'), model('d')]);
        room(&f, 'e', 200, 300).unwrap();
        check_names(&f, &[model('a')]);
    }

    #[test]
    fn names_lead_nowhere_else() {
        let f = folder(&[]);
        let long = format!("../{}", model('a'));
        for name in ["../a", "/etc/passwd", "-rf", ".hidden", "a b", "", "m.onnx", &long] {
            let refused = prepare(f.path(), name, &part('a'), 1, 100).unwrap_err();
            assert!(refused.contains("not a name"), "{name}");
            let refused = accept(f.path(), &model('a'), name, 1, "").unwrap_err();
            assert!(refused.contains("not a name"), "{name}");
        }
    }
}
