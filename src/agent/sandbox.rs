//! What a process that runs a stranger's model may do: compute, and little else.
//!
//! Runtimes are large programs that follow what a file says, so the process bets on none of them.
//! Before it loads a model it gives up, for good and for all its threads, whatever it does not need:
//!
//! | name | what it keeps from |
//! | --- | --- |
//! | `memory` | more memory than is free (`RLIMIT_DATA`) |
//! | `cpu` | more processor time than its deadline and threads allow (`RLIMIT_CPU`) |
//! | `landlock` | files that it does not need: only the model, system libraries and what the kernel tells of the machine can be read, nothing can be written; TCP; signals to others |
//! | `seccomp` | system calls that it does not need: sockets, other programs and processes, mounts, modes and owners of files, … |
//!
//! What the kernel lacks is left out, and the measurement says what held
//! ([`Conditions::sandbox`](super::Conditions)). Execution providers that speak to a driver need
//! devices, sockets and helpers of their own, so they have the first two only.
#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;

use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::memory;
use super::protocol::Job;

/// What was given up so far beside memory.
static HELD: OnceLock<Vec<&'static str>> = OnceLock::new();

/// Gives up what `job` does not need. To be called once, before the process has threads: those that
/// there are keep their rights to files.
///
/// `deadline_us` is that of the host, 0 if it is unknown.
pub fn enter(job: &Job<'_>, deadline_us: f64) {
    let mut held = Vec::new();
    if job.processor_seconds(deadline_us).is_some_and(limit_processor_time) {
        held.push("cpu");
    }
    if !job.needs_drivers() {
        #[cfg(target_os = "linux")]
        {
            let scratch = job.writes().then(scratch);
            let was_alone = has_one_thread();
            let is_confined = files::confine(job, scratch.as_deref()) && was_alone;
            held.extend(is_confined.then_some("landlock"));
            held.extend(calls::confine().then_some("seccomp"));
        }
    }
    HELD.get_or_init(|| held);
}

/// What holds this process, by the names above.
pub fn held() -> Vec<String> {
    let memory = memory::limit().is_some().then_some("memory");
    memory.iter().chain(HELD.get().into_iter().flatten()).map(|name| (*name).to_owned()).collect()
}

/// The one folder that a process may write into; it is made if it is not there.
pub fn scratch() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("citronade-{}", std::process::id()));
    // Whoever writes into it notices that it is not there.
    std::fs::create_dir(&folder).ok();
    folder
}

/// Threads that there are already would stay outside.
#[cfg(target_os = "linux")]
fn has_one_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// The soft limit sends `SIGXCPU`, the hard one a second later `SIGKILL`.
#[cfg(target_os = "linux")]
fn limit_processor_time(seconds: u64) -> bool {
    use nix::sys::resource::Resource;
    use nix::sys::resource::setrlimit;
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds + 1).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn limit_processor_time(_seconds: u64) -> bool {
    false
}

/// What a process tries that should not be allowed to.
type Attempt = fn() -> std::io::Result<()>;

/// What the sandbox must refuse, by name.
const ATTEMPTS: [(&str, Attempt); 6] = [
    ("reading folders", || std::fs::read_dir("/").map(drop)),
    ("reading files", || std::fs::File::open("/etc/passwd").map(drop)),
    ("writing files", || {
        let file = std::env::temp_dir().join(format!("citronade-{}-try", std::process::id()));
        std::fs::File::create_new(&file).and_then(|_| std::fs::remove_file(file))
    }),
    ("UDP", || std::net::UdpSocket::bind("127.0.0.1:0").map(drop)),
    ("TCP", || std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
    ("starting programs", || {
        std::process::Command::new("/proc/self/exe").arg("--version").output().map(drop)
    }),
];

/// Tries what the sandbox is there for, and says what holds and what it refused; to be called in
/// it. A file that is not there cannot tell, and counts as not refused.
pub fn probe() -> String {
    let is_refused = |attempt: &Attempt| {
        attempt().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    let (refused, done): (Vec<_>, Vec<_>) =
        ATTEMPTS.iter().partition(|(_, attempt)| is_refused(attempt));
    let names = |attempts: Vec<&(&str, Attempt)>| match attempts.as_slice() {
        [] => "nothing".to_owned(),
        some => some.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
    };
    let held = held().join(", ");
    format!("sandbox ({held}): refused {}; not refused {}", names(refused), names(done))
}

/// A job for [`probe`]: a model in no file, on tract.
pub fn nothing_to_do() -> Job<'static> {
    Job { model: None::<&Path>, runtime: "tract", library: None, threads: 1, is_per_op: false }
}
