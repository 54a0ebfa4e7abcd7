//! A 64-bit ARM machine in an emulator, as `tests/aarch64` makes it.
use std::env;
use std::path::PathBuf;
use std::process::Command;

use citronade::device::Runners;

use crate::support::skipped::not_tried;

/// The folder that `tests/aarch64` has made.
pub struct Arm {
    folder: PathBuf,
}

impl Arm {
    /// Says so and returns `None` where there is none.
    pub fn find() -> Option<Arm> {
        let folder = env::var_os("CITRONADE_TEST_AARCH64").map(PathBuf::from);
        if folder.is_none() {
            not_tried("not tried on 64-bit ARM: CITRONADE_TEST_AARCH64 is not set (tests/aarch64)");
        }
        folder.map(|folder| Arm { folder })
    }

    /// Its runner, which is also found by the kind of processor.
    pub fn agent(&self) -> PathBuf {
        self.folder.join("citronade-agent-aarch64")
    }

    /// Where runners of this user would be, with that for ARM and none for this machine.
    pub fn runners(&self) -> Runners {
        Runners { given: None, folders: vec![self.folder.clone()], beside: None }
    }

    /// The words before a program of that machine, for a shell of this one: the emulator and where
    /// ONNX Runtime is.
    pub fn emulator(&self) -> String {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let library = at("libonnxruntime.so");
        format!("env ORT_DYLIB_PATH={library} {} -L {}", at("qemu"), at("root"))
    }

    /// The runner with `arguments`, to be started on this machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {} \"$0\" \"$@\"", self.emulator()));
        command.arg(self.agent()).args(arguments);
        command
    }
}
