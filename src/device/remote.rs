//! A device at the other end of a shell: the runner installs itself there.
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::units::Bytes;

use super::DeviceError;
use super::End;
use super::LIBRARY_VARIABLE;
use super::Ledger;
use super::Look;
use super::Pipe;
use super::Process;
use super::Runners;
use super::Transport;
use super::sent::HASH_IN_NAME;
use super::sent::RUNNER;
use super::sent::Sent;
use super::sent::part;
use super::sent::part_of_its_own;
use super::shell;
use super::shell::Called;
use super::shell::Shell;

/// How long a short command may take.
const SHORT: Duration = Duration::from_secs(30);

/// Slowest link that is waited for, bytes a second.
const SLOWEST: u64 = 50_000;

/// Statuses of a shell that may not start a program, or does not find it.
const NOT_STARTED: [i32; 2] = [126, 127];

/// Says what programs the device runs: its processor, and whether they are 32 bits wide on it.
const WHAT: &str = "uname -m && { getconf LONG_BIT 2>/dev/null || echo 64; }";

/// Lists the runners of the current folder.
const RUNNERS: &str = "{ ls -d runner-* 2>/dev/null || :; }";

/// How names of libraries end.
const LIBRARY: &str = ".so";

/// Status of the runner when there is no room within the bound.
const REFUSED: i32 = 3;

/// A device behind `ssh` or `adb`.
///
/// Before the first launch the runner for the device's processor is brought to its work folder,
/// once for each version. Files are named by their content and written as `NAME.SENDER.part` first;
/// nothing counts before its hash is right. A model's transfer that was cut is taken up where it
/// ended; runners and libraries are sent before the device is held, so each transfer of them is its
/// own. The folder is kept under a bound by removing the models that were used longest ago.
pub struct Remote<S> {
    shell: S,
    runners: Runners,
    folder: String,
    lock_folder: String,
    bound: u64,
    /// The runner, once it is there and until it is missed.
    runner: Arc<Mutex<Option<Runner>>>,
    /// Path of the ONNX Runtime that is there already, if the user has named it.
    library: Option<String>,
    /// Name of the one that was brought, as long as the runner is there.
    brought_library: Mutex<Option<String>>,
    ledger: Option<Ledger>,
}

/// A runner on the device.
#[derive(Clone)]
struct Runner {
    /// In the work folder.
    name: String,
    /// What kind of processor it is for, as the device says.
    arch: String,
}

impl<S: Shell> Remote<S> {
    /// The device that `shell` reaches; its work folder is called `folder` there, relative to the
    /// login folder where there is one, and holds `bound` bytes at most.
    ///
    /// # Errors
    ///
    /// [`DeviceError::UnknownAddress`] if the folder's name would mean something to a shell.
    pub fn new(shell: S, runners: Runners, folder: &str, bound: u64) -> Result<Self, DeviceError> {
        if !is_plain(folder) {
            return Err(DeviceError::UnknownAddress { text: folder.to_owned() });
        }
        let (folder, lock_folder) = (folder.to_owned(), shell.lock_folder().to_owned());
        Ok(Remote {
            shell,
            runners,
            folder,
            lock_folder,
            bound,
            runner: Arc::default(),
            library: None,
            brought_library: Mutex::default(),
            ledger: None,
        })
    }

    /// With its health kept in `ledger`.
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        Remote { ledger: Some(ledger), ..self }
    }

    /// With the ONNX Runtime that is there at `path`, unless the device's environment names another
    /// (`ORT_DYLIB_PATH`). None is brought.
    ///
    /// # Errors
    ///
    /// [`DeviceError::UnknownAddress`] if the path would mean something to a shell.
    pub fn with_library(self, path: &str) -> Result<Self, DeviceError> {
        match is_plain(path) {
            true => Ok(Remote { library: Some(path.to_owned()), ..self }),
            false => Err(DeviceError::UnknownAddress { text: path.to_owned() }),
        }
    }

    /// With another folder for the lock.
    pub fn with_lock_folder(self, lock_folder: &str) -> Self {
        Remote { lock_folder: lock_folder.to_owned(), ..self }
    }

    /// The runner; brings it to the work folder if this was not done yet.
    fn runner(&self) -> Result<Runner, DeviceError> {
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runner) = &*runner {
            return Ok(runner.clone());
        }
        // Whoever emptied the folder has removed this, too.
        *self.brought_library.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(runner.insert(self.install()?).clone())
    }

    /// Which file on the device is ONNX Runtime, if the user says so: the one that the user has named,
    /// else the one that the user has for this kind of device, which is brought to the work folder if
    /// this was not done yet.
    fn library(&self, runner: &Runner) -> Result<Option<String>, DeviceError> {
        match &self.library {
            Some(path) => Ok(Some(path.clone())),
            None => Ok(self.brought_library(runner)?.map(|name| format!("$PWD/{name}"))),
        }
    }

    fn brought_library(&self, runner: &Runner) -> Result<Option<String>, DeviceError> {
        let Some(path) = self.runners.library(&runner.arch) else { return Ok(None) };
        let mut library = self.brought_library.lock().unwrap_or_else(PoisonError::into_inner);
        if library.is_none() {
            let file = Sent::open(&path)?;
            let name = format!("{}{LIBRARY}", &file.blake3[..HASH_IN_NAME]);
            self.bring_within_bound(&file, &name, &part_of_its_own(&name))?;
            *library = Some(name);
        }
        Ok(library.clone())
    }

    fn install(&self) -> Result<Runner, DeviceError> {
        let folder = &self.folder;
        let line = format!("mkdir -p {folder} && cd {folder} && {WHAT} && {RUNNERS}");
        let called = self.call("make its work folder", &line, None, SHORT)?;
        let words = self.succeeded("make its work folder", called)?;
        let arch = arch(&words);
        let path = self.runners.find(&arch, &self.shell.address())?;
        let file = Sent::open(&path)?;
        self.ensure_room(&file)?;
        let name = file.runner_name();
        if !words.contains(&name) {
            self.bring(&file, &name, &part_of_its_own(&name), |_| Ok(Some(0)))?;
        }
        Ok(Runner { name, arch })
    }

    /// A bound that the runner fills alone is no model's fault.
    fn ensure_room(&self, runner: &Sent) -> Result<(), DeviceError> {
        let (bytes, bound) = (Bytes(runner.bytes), Bytes(self.bound));
        if bytes < bound {
            return Ok(());
        }
        let address = self.shell.address();
        let least = 1 + bytes.0 / 1_000_000;
        let reason = format!(
            "its runner has {bytes}, and its work folder may hold {bound}: `max_mb` must be {least} \
             at least, and more for models"
        );
        Err(DeviceError::NoRoom { address, reason, for_model: false })
    }

    /// As [`bring`](Self::bring), after making room for it.
    fn bring_within_bound(&self, file: &Sent, name: &str, part: &str) -> Result<(), DeviceError> {
        let runner = self.runner()?.name;
        let brought = self.bring(file, name, part, |file| {
            let line = format!(
                "cd {} && ./{runner} --prepare {name} {part} {} {}",
                self.folder, file.bytes, self.bound
            );
            let doing = "make room for a file";
            let called = self.call(doing, &line, None, SHORT)?;
            if called.status == REFUSED {
                return Err(DeviceError::NoRoom {
                    address: self.shell.address(),
                    reason: called.stderr.trim().to_owned(),
                    for_model: !name.ends_with(LIBRARY),
                });
            }
            let words = self.succeeded(doing, called)?;
            match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["whole"] => Ok(None),
                ["part", bytes] => Ok(bytes.parse().ok()),
                other => Err(DeviceError::Garbage {
                    address: self.shell.address(),
                    reason: format!("it answers `{}` to --prepare", other.join(" ")),
                }),
            }
        });
        if brought.as_ref().is_err_and(DeviceError::is_missing_runner) {
            forget(&self.runner);
        }
        brought
    }

    /// Sends what is missing of `file`, as `part` at first; `prepare` says how much of it is there already, `None` if
    /// it is there whole.
    fn bring(
        &self,
        file: &Sent,
        name: &str,
        part: &str,
        prepare: impl Fn(&Sent) -> Result<Option<u64>, DeviceError>,
    ) -> Result<(), DeviceError> {
        let mut damage = None;
        for _ in 0..2 {
            let Some(there) = prepare(file)? else { return Ok(()) };
            match self.send(file, name, part, there)? {
                None => return Ok(()),
                reason => damage = reason,
            }
        }
        let (address, reason) = (self.shell.address(), damage.unwrap_or_default());
        Err(match name.starts_with(RUNNER) {
            true => DeviceError::WrongRunner {
                address,
                path: file.path.clone(),
                reason: format!("it does not run there: {reason}"),
            },
            false => DeviceError::Damaged { address, name: name.to_owned(), reason },
        })
    }

    /// Sends `file` from byte `there` on; what is wrong with it if it did not arrive whole.
    fn send(
        &self,
        file: &Sent,
        name: &str,
        part: &str,
        there: u64,
    ) -> Result<Option<String>, DeviceError> {
        let (there, operator) = match there > file.bytes {
            true => (0, ">"),
            false => (there, ">>"),
        };
        // What was just sent accepts itself; nothing older is run on it.
        let runner = match name.starts_with(RUNNER) {
            true => format!("chmod 755 {part} && ./{part}"),
            false => format!("./{}", self.runner()?.name),
        };
        let line = format!(
            "cd {} && cat {operator} {part} && {runner} --accept {name} {part} {} {}",
            self.folder, file.bytes, file.blake3
        );
        let timeout = SHORT + Duration::from_secs(file.bytes / SLOWEST);
        let doing = format!("receive `{}`", file.path.display());
        let called = self.call(&doing, &line, Some(file.from(there)?), timeout)?;
        if called.status == 0 {
            return Ok(None);
        }
        // A runner that is damaged may not be able to say so, nor to remove itself; and half a file
        // would keep the disk full.
        let line = format!("cd {} && rm -f {part}", self.folder);
        self.call("remove a damaged file", &line, None, SHORT)?;
        match is_not_writable(&called.stderr) {
            true => Err(self.not_writable(&called.stderr)),
            false => Ok(Some(called.stderr.trim().to_owned())),
        }
    }

    fn call(
        &self,
        doing: &str,
        line: &str,
        input: Option<File>,
        timeout: Duration,
    ) -> Result<Called, DeviceError> {
        shell::call(&self.shell, doing, line, input, timeout)
    }

    /// The words of an answer, or why there is none.
    fn succeeded(&self, doing: &str, called: Called) -> Result<Vec<String>, DeviceError> {
        if called.status == 0 {
            return Ok(called.stdout.split_whitespace().map(str::to_owned).collect());
        }
        if is_not_writable(&called.stderr) {
            return Err(self.not_writable(&called.stderr));
        }
        Err(DeviceError::Ended {
            address: self.shell.address(),
            doing: doing.to_owned(),
            status: Some(called.status),
            stderr_tail: called.stderr,
        })
    }

    fn not_writable(&self, stderr: &str) -> DeviceError {
        DeviceError::NotWritable {
            address: self.shell.address(),
            folder: self.folder.clone(),
            reason: stderr.trim().to_owned(),
        }
    }
}

impl<S: Shell> Transport for Remote<S> {
    fn address(&self) -> String {
        self.shell.address()
    }

    fn look(&self) -> Result<Look, DeviceError> {
        let (folder, doing) = (&self.folder, "say what it is");
        let parent = match folder.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => parent,
            Some(_) => "/",
            None => ".",
        };
        // Without the folder, what is over it: the line makes nothing.
        let line = format!(
            "{WHAT} && {{ cd {folder} 2>/dev/null || cd {parent} 2>/dev/null || :; {RUNNERS}; \
             df -Pk . 2>/dev/null || :; }}"
        );
        let words = self.succeeded(doing, self.call(doing, &line, None, SHORT)?)?;
        let arch = arch(&words);
        let runner = Sent::open(&self.runners.find(&arch, &self.shell.address())?)?;
        let has_runner = words.contains(&runner.runner_name());
        Ok(Look { arch, free: free(&words), has_runner })
    }

    fn spawn(&self) -> Result<Pipe, DeviceError> {
        let (folder, runner) = (&self.folder, self.runner()?);
        let library = self.library(&runner)?;
        let variable =
            library.map(|path| format!("{LIBRARY_VARIABLE}=\"${{{LIBRARY_VARIABLE}:-{path}}}\" "));
        let start = variable.unwrap_or_default() + "./" + &runner.name;
        let missed = NOT_STARTED[1];
        let line = format!("if cd {folder}; then {start}; else (exit {missed}); fi");
        match shell::spawn(&self.shell, &line) {
            Ok(Pipe { requests, answers, immediate, process }) => {
                let process = Box::new(Installed { process, runner: self.runner.clone() });
                Ok(Pipe { requests, answers, immediate, process })
            }
            Err(error) => {
                // After an absence its files may be gone, too.
                forget(&self.runner);
                Err(error)
            }
        }
    }

    fn place(&self, file: &Path, blake3: &str) -> Result<String, DeviceError> {
        let file = Sent::open(file)?;
        if file.blake3 != blake3 {
            let source = std::io::Error::other("it has changed while it was to be measured");
            return Err(DeviceError::NotRead { path: file.path, source });
        }
        let name = format!("{}.onnx", &blake3[..HASH_IN_NAME]);
        self.bring_within_bound(&file, &name, &part(&name))?;
        Ok(name)
    }

    fn lock_folder(&self) -> Option<String> {
        Some(self.lock_folder.clone())
    }

    fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }
}

/// A runner that is missed is brought again by the next launch: somebody has emptied the folder.
struct Installed {
    process: Box<dyn Process>,
    runner: Arc<Mutex<Option<Runner>>>,
}

impl Process for Installed {
    fn kill(&mut self) {
        self.process.kill();
    }

    fn is_reachable(&mut self) -> bool {
        self.process.is_reachable()
    }

    fn end(&mut self) -> End {
        let end = self.process.end();
        if end.status.is_some_and(|status| NOT_STARTED.contains(&status)) {
            forget(&self.runner);
        }
        end
    }
}

fn forget(runner: &Mutex<Option<Runner>>) {
    *runner.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// What is free, from the words of `df -Pk`: a line has the file system, its size, what is used and
/// what is free in KiB, a percentage and the place.
fn free(words: &[String]) -> Option<Bytes> {
    let percent = words.iter().rposition(|word| {
        word.strip_suffix('%').is_some_and(|number| number.parse::<u8>().is_ok())
    })?;
    let kib: u64 = words.get(percent.checked_sub(1)?)?.parse().ok()?;
    Some(Bytes(kib.saturating_mul(1024)))
}

/// The processor's kind, from the answer to [`WHAT`]: a 64-bit kernel may carry a 32-bit system.
fn arch(words: &[String]) -> String {
    match words {
        [kernel, bits, ..] if kernel == "aarch64" && bits == "32" => "armv7".to_owned(),
        [kernel, ..] => kernel.clone(),
        [] => String::new(),
    }
}

/// Does it mean nothing but itself to a shell?
fn is_plain(folder: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    !folder.is_empty()
        && !folder.starts_with('-')
        && folder.chars().all(plain)
        && folder.split('/').all(|part| part != "..")
}

fn is_not_writable(complaint: &str) -> bool {
    ["No space left", "Read-only file system", "Permission denied", "quota exceeded"]
        .iter()
        .any(|known| complaint.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_64_bit_kernel_may_carry_a_32_bit_system() {
        let arch_of =
            |answer: &str| arch(&answer.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(arch_of("aarch64\n64\nrunner-0"), "aarch64");
        assert_eq!(arch_of("aarch64\n32\n"), "armv7");
        assert_eq!(arch_of("x86_64\n64\n"), "x86_64");
    }

    #[test]
    fn what_is_free_is_read_from_df() {
        let free_of =
            |text: &str| free(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let df = "x86_64 64 runner-0 Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                  /dev/block/dm-50 112923648 90338918 22453658 81% /data/user/0";
        assert_eq!(free_of(df), Some(Bytes(22_453_658 * 1024)));
        assert_eq!(free_of("tmpfs 10 10 0 100% /tmp"), Some(Bytes(0)));
        assert_eq!([free_of("x86_64 64"), free_of("- - - -% /x"), free_of("9%")], [None; 3]);
    }

    #[test]
    fn a_folder_is_a_plain_word() {
        for good in [".cache/citronade", "/data/local/tmp/citronade", "a-b_c.d"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "-rf", "a b", "a;b", "$HOME", "a/../b", "~", "a'b", "a\nb", "ä"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
