//! Landlock: the process gives up files, TCP and signals to others.
use std::path::Path;

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::BitFlags;
use landlock::PathBeneath;
use landlock::PathFd;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreated;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::RulesetStatus;
use landlock::Scope;

use crate::agent::protocol::Job;

/// Newest version of Landlock whose rights are given up; kernels with an older one keep some.
const NEWEST: ABI = ABI::V7;

/// What libraries read, and where the kernel tells of the machine. Of other processes of the same
/// user it tells only what everybody may know.
const READABLE: [&str; 14] = [
    "/proc",
    "/sys",
    "/usr",
    "/lib",
    "/lib64",
    "/system",
    "/vendor",
    "/apex",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
];

/// Restricts this thread and all it will start; false if the kernel cannot.
pub fn confine(job: &Job<'_>, scratch: Option<&Path>) -> bool {
    let status = ruleset(job, scratch).and_then(RulesetCreated::restrict_self);
    status.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

fn ruleset(job: &Job<'_>, scratch: Option<&Path>) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let library = job.library.and_then(Path::parent);
    for path in READABLE.iter().map(Path::new).chain(job.model).chain(library) {
        rules = allow(rules, path, read)?;
    }
    rules = allow(rules, Path::new("/dev/null"), AccessFs::WriteFile.into())?;
    if let Some(scratch) = scratch {
        let write = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile;
        rules = allow(rules, scratch, read | write)?;
        if let Some(around) = scratch.parent() {
            // An empty folder is the most that is lost by that.
            rules = allow(rules, around, AccessFs::RemoveDir.into())?;
        }
    }
    Ok(rules)
}

/// What is not there needs no right.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(place) = PathFd::new(path) else { return Ok(rules) };
    let rights = match path.is_dir() {
        true => rights,
        false => rights & AccessFs::from_file(NEWEST),
    };
    rules.add_rule(PathBeneath::new(place, rights))
}
