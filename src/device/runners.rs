//! Which file is the runner for a device.
use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use super::DeviceError;

/// What `runners/build` builds for.
const BUILT: [&str; 3] = ["x86_64", "aarch64", "armv7"];

/// Where runners lie, in the order in which they are looked for.
#[derive(Clone, Debug, Default)]
pub struct Runners {
    /// Given by the user; nothing else counts.
    pub given: Option<PathBuf>,
    /// Hold `citronade-agent-ARCH`, e.g. `citronade-agent-aarch64`.
    pub folders: Vec<PathBuf>,
    /// Holds this program, and maybe `citronade-agent` for this machine's kind of processor.
    pub beside: Option<PathBuf>,
}

impl Runners {
    /// `given` if there is one; else the data folder of the user
    /// (`$XDG_DATA_HOME/citronade/agents`, `~/.local/share/citronade/agents`), then the folder of
    /// this program.
    pub fn of_this_user(given: Option<PathBuf>) -> Self {
        let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let data =
            set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
        let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
        let folders = data.map(|data| data.join("citronade/agents"));
        Runners { given, folders: folders.into_iter().chain(beside.clone()).collect(), beside }
    }

    /// The runner for `address`, whose processor is an `arch` as `uname -m` says it.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NoRunner`] with all places, [`DeviceError::WrongRunner`] if the file is for
    /// another processor.
    pub fn find(&self, arch: &str, address: &str) -> Result<PathBuf, DeviceError> {
        let arch = plain(arch);
        let places = match &self.given {
            Some(given) => vec![given.clone()],
            None => self.places(arch),
        };
        let Some(path) = places.iter().find(|place| place.is_file()) else {
            let searched: Vec<_> = places.iter().map(|p| format!("`{}`", p.display())).collect();
            return Err(DeviceError::NoRunner {
                address: address.to_owned(),
                arch: arch.to_owned(),
                searched: searched.join(", "),
                way_out: self.way_out(arch, address),
            });
        };
        let wrong = |reason| DeviceError::WrongRunner {
            address: address.to_owned(),
            path: path.clone(),
            reason,
        };
        match processor_of(path) {
            None => Err(wrong("it is not a program for Linux".to_owned())),
            Some(found) if found != arch => {
                Err(wrong(format!("it is for {found}, the device is {arch}")))
            }
            Some(_) => Ok(path.clone()),
        }
    }

    /// ONNX Runtime for a device whose processor is an `arch` as `uname -m` says it, if the user has put
    /// one beside the runners: `libonnxruntime-ARCH.so`.
    pub fn library(&self, arch: &str) -> Option<PathBuf> {
        let name = format!("libonnxruntime-{}.so", plain(arch));
        self.folders.iter().map(|folder| folder.join(&name)).find(|place| place.is_file())
    }

    /// What makes the runner that was not found, and puts it where it is looked for.
    fn way_out(&self, arch: &str, address: &str) -> String {
        if !BUILT.contains(&arch) {
            return format!("docs/runner.md says how one is built; {arch} was never tried");
        }
        // A phone has none of the libraries of a Linux board.
        let flavour = if address.starts_with("adb:") { " --static" } else { "" };
        let folder = self.folders.first().map(|f| format!(" --to '{}'", f.display()));
        format!("`runners/build {arch}{flavour}{}` builds one", folder.unwrap_or_default())
    }

    fn places(&self, arch: &str) -> Vec<PathBuf> {
        let named = self.folders.iter().map(|f| f.join(format!("citronade-agent-{arch}")));
        let is_own = arch == env::consts::ARCH;
        let own = self.beside.iter().filter(|_| is_own).map(|f| f.join("citronade-agent"));
        named.chain(own).collect()
    }
}

/// One name for each kind of processor.
pub(super) fn plain(arch: &str) -> &str {
    match arch {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        "armv7l" | "armv8l" | "arm" => "armv7",
        other => other,
    }
}

/// For which processor a program was built, from its ELF header.
fn processor_of(path: &Path) -> Option<&'static str> {
    let mut header = [0; 20];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    let machine = u16::from_le_bytes([header[18], header[19]]);
    match (header.starts_with(b"\x7fELF"), machine) {
        (true, 0x3e) => Some("x86_64"),
        (true, 0xb7) => Some("aarch64"),
        (true, 0x28) => Some("armv7"),
        (true, 0xf3) => Some("riscv64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    #[test]
    fn the_given_runner_counts_alone_then_the_data_folder_then_the_programs_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, machine) in [
            ("data/citronade-agent-aarch64", 0xb7),
            ("own/citronade-agent-aarch64", 0xb7),
            ("mine", 0x3e),
        ] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), elf(machine)).unwrap();
        }
        let all = Runners {
            given: Some(at("mine")),
            folders: vec![at("data"), at("own")],
            beside: Some(at("own")),
        };
        assert_eq!(all.find("x86_64", "ssh:a").unwrap(), at("mine"));
        let wrong = all.find("aarch64", "ssh:a").unwrap_err().to_string();
        assert!(wrong.contains("it is for x86_64, the device is aarch64"), "{wrong}");
        let all = Runners { given: None, ..all };
        assert_eq!(all.find("arm64", "adb:b").unwrap(), at("data/citronade-agent-aarch64"));
        fs::remove_file(at("data/citronade-agent-aarch64")).unwrap();
        assert_eq!(all.find("aarch64", "adb:b").unwrap(), at("own/citronade-agent-aarch64"));
        let none = all.find("riscv64", "ssh:a").unwrap_err().to_string();
        assert!(none.contains("data/citronade-agent-riscv64"), "{none}");
        assert!(none.contains("riscv64 was never tried"), "{none}");
    }

    #[test]
    fn a_runner_that_is_missing_is_told_with_the_command_that_makes_it() {
        let folders = vec![PathBuf::from("/data/agents"), PathBuf::from("/own")];
        let runners = Runners { given: None, folders, beside: Some(PathBuf::from("/own")) };
        let said = |arch, address| runners.find(arch, address).unwrap_err().to_string();
        let phone = said("aarch64", "adb:39281FDJH0");
        let board = said("armv7l", "ssh:pi");
        let command = "`runners/build aarch64 --static --to '/data/agents'` builds one";
        assert!(phone.ends_with(command), "{phone}");
        assert!(board.ends_with("`runners/build armv7 --to '/data/agents'` builds one"), "{board}");
        let own = said(env::consts::ARCH, "ssh:desk");
        assert!(own.contains("`/own/citronade-agent`"), "beside this program: {own}");
    }

    #[test]
    fn a_file_that_is_no_program_is_no_runner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, "#!/bin/sh\nexit 0\n# more than a header").unwrap();
        let runners = Runners { given: Some(path), ..Runners::default() };
        let wrong = runners.find("x86_64", "ssh:a").unwrap_err().to_string();
        assert!(wrong.contains("not a program for Linux"), "{wrong}");
    }
}
