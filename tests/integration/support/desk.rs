//! A computer with devices.
use std::fs;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::check_exit;
use crate::support::program::citronade;

/// A computer with devices: the program with a configuration, and ways to devices, of its own.
pub struct Desk {
    /// Where the program is started.
    pub folder: TempDir,
    /// More of its environment.
    pub variables: Vec<(String, String)>,
}

impl Desk {
    /// With this `devices.toml`.
    pub fn new(devices: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join("config")).unwrap();
        fs::create_dir_all(folder.path().join("bin")).unwrap();
        let desk = Desk { folder, variables: Vec::new() };
        desk.write("config/devices.toml", devices);
        desk
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A program that is found before any other of its name.
    pub fn install(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// The program with these arguments.
    pub fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = citronade(self.folder.path(), args);
        let (bin, path) = (self.folder.path().join("bin"), std::env::var("PATH").unwrap());
        command
            .env("CITRONADE_CONFIG_DIR", self.folder.path().join("config"))
            .env("PATH", format!("{}:{path}", bin.display()))
            .envs(self.variables.iter().cloned());
        command
    }

    /// What the program answers.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// How `citronade devices --json` finds a device.
    pub fn found(&self, name: &str) -> Value {
        let output = self.run(&["devices", "--json"]);
        check_exit(&output, 0);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// The device is in this state, and the fix has this part.
    #[track_caller]
    pub fn check_state(&self, name: &str, state: &str, fix: &str) {
        let row = self.found(name);
        assert_eq!(row["state"], state, "{row}");
        assert!(row["fix"].as_str().unwrap_or_default().contains(fix), "{row}");
        assert_eq!(row["fix"].is_null(), state == "ready", "{row}");
    }

    /// The doctor says the same, and changes nothing.
    #[track_caller]
    pub fn check_doctor(&self, name: &str, state: &str, fix: &str) {
        let output = self.run(&["doctor", "--json"]);
        check_exit(&output, 0);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut findings = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_it =
            |f: &Value| f["what"] == "device" && f["found"].as_str().unwrap().starts_with(name);
        let found = findings.find(is_it).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert_eq!((&found["state"], &found["ok"]), (&state.into(), &(state == "ready").into()));
        assert!(found["fix"].as_str().unwrap_or_default().contains(fix), "{found}");
    }
}
