//! What the threads of a phone share.
use std::env;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;

use super::FOLDER;
use super::cable::Cable;

/// `getprop`, `dumpsys`, `df` and `uname` of the phone.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/support/adbd/bin");

/// A phone as those see it who talk to it.
pub struct Device {
    pub cable: Arc<Cable>,
    pub is_authorised: AtomicBool,
    /// What every command says first.
    pub garbage: Mutex<Vec<u8>>,
    /// Whether commands do nothing, for ever.
    pub is_silent: AtomicBool,
    /// What starts the runner, if that is one for another processor.
    pub emulator: Mutex<Option<String>>,
    /// What `/` is.
    root: PathBuf,
    /// Where its programs find their answers.
    answers: PathBuf,
    /// Process groups of the commands; `None` after the end.
    commands: Mutex<Option<Vec<Pid>>>,
}

impl Device {
    pub fn new(files: &Path) -> Self {
        let device = Device {
            cable: Arc::new(Cable::new()),
            is_authorised: AtomicBool::new(true),
            garbage: Mutex::new(Vec::new()),
            is_silent: AtomicBool::new(false),
            emulator: Mutex::new(None),
            root: files.join("root"),
            answers: files.join("answers"),
            commands: Mutex::new(Some(Vec::new())),
        };
        let answers = ["properties", "services"].map(|name| device.answers.join(name));
        for folder in [device.local(FOLDER)].iter().chain(&answers) {
            fs::create_dir_all(folder).unwrap();
        }
        device
    }

    /// Where a path of the phone is here.
    pub fn local(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Readers see the old text or the new one.
    pub fn set_answer(&self, name: &str, text: &str) {
        let new = self.answers.join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.answers.join(name)).unwrap();
    }

    /// What it is now; nobody waits while it is sent.
    pub fn garbage(&self) -> Vec<u8> {
        self.garbage.lock().unwrap().clone()
    }

    /// How the phone introduces itself.
    pub fn banner(&self) -> String {
        let names = ["ro.product.name", "ro.product.model", "ro.product.device"];
        let value = |name| fs::read_to_string(self.answers.join("properties").join(name)).unwrap();
        let properties = names.map(|name| format!("{name}={};", value(name).trim_end()));
        format!("device::{}features=shell_v2,cmd", properties.concat())
    }

    /// A shell for `line`, with its paths and programs those of the phone.
    pub fn shell(&self, line: &str) -> Command {
        let folder = self.local(FOLDER);
        let mut line = match self.is_silent.load(Ordering::SeqCst) {
            true => "exec sleep 1000".to_owned(),
            false => line.replace(FOLDER, folder.to_str().unwrap()),
        };
        if let Some(emulator) = &*self.emulator.lock().unwrap() {
            line = emulated(&line, emulator);
        }
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line])
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", format!("{PROGRAMS}:{}", env::var("PATH").unwrap()))
            .env("PHONE", &self.answers)
            .env("TMPDIR", folder)
            .process_group(0);
        shell
    }

    /// A request to the runner, with texts that begin with a path of the phone naming it here; other
    /// data as it is.
    pub fn request(&self, data: Vec<u8>) -> Vec<u8> {
        let [there, here] = [FOLDER.to_owned(), self.local(FOLDER).display().to_string()]
            .map(|path| format!("\"{path}"));
        match str::from_utf8(&data) {
            Ok(text) if text.starts_with("{\"protocol\"") => {
                text.replace(&there, &here).into_bytes()
            }
            _ => data,
        }
    }

    /// Starts what [`end`](Self::end) ends.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut commands = self.commands.lock().unwrap();
        let Some(commands) = commands.as_mut() else { return Err(io::ErrorKind::Other.into()) };
        commands.retain(|group| killpg(*group, None).is_ok());
        let child = command.spawn()?;
        commands.push(Pid::from_raw(i32::try_from(child.id()).unwrap()));
        Ok(child)
    }

    pub fn has_ended(&self) -> bool {
        self.commands.lock().unwrap().is_none()
    }

    /// Breaks all connections and kills what runs.
    pub fn end(&self) {
        self.cable.pull();
        for group in self.commands.lock().unwrap().take().unwrap_or_default() {
            // What ended by itself is not there any more.
            killpg(group, Signal::SIGKILL).ok();
        }
    }
}

/// A line for the shell of an ARM machine, as this one can run it.
fn emulated(line: &str, emulator: &str) -> String {
    line.replace("./runner-", &format!("{emulator} ./runner-"))
}
