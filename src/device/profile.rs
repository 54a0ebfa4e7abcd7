//! What is known of a device before it is asked.
//!
//! A profile holds facts and the limits that follow from them; nothing here reaches a device. The
//! built-in ones are the files of `device-profiles/`. A device of the user may extend one, field
//! by field ([`Catalogue`](super::Catalogue)).
//!
//! # Invariants
//!
//! - **P1** every built-in profile can be read, is valid, and extends only one that precedes it in
//!   the list, so nothing extends itself.
use serde::Deserialize;
use serde::Serialize;

use crate::units::Bytes;
use crate::units::with_suggestion;

use super::ProfileError;

/// The built-in profiles: name and file.
const FILES: [(&str, &str); 8] = [
    ("local", include_str!("../../device-profiles/local.toml")),
    ("aarch64-board", include_str!("../../device-profiles/aarch64-board.toml")),
    ("raspberry-pi-4", include_str!("../../device-profiles/raspberry-pi-4.toml")),
    ("raspberry-pi-5", include_str!("../../device-profiles/raspberry-pi-5.toml")),
    ("jetson-orin-nano", include_str!("../../device-profiles/jetson-orin-nano.toml")),
    ("android-phone", include_str!("../../device-profiles/android-phone.toml")),
    ("pixel-8", include_str!("../../device-profiles/pixel-8.toml")),
    ("galaxy-s23", include_str!("../../device-profiles/galaxy-s23.toml")),
];

/// Least bound of a folder on a device, in MB: the smallest runner takes most of it (docs/runner.md). What
/// the one for the device really takes is seen when it is brought there.
const LEAST_MAX_MB: u32 = 40;

/// Longest rest between launches, in seconds.
const LONGEST_COOL_DOWN_S: u32 = 60;

/// Most threads of a runtime.
const MOST_THREADS: u32 = 64;

/// Highest temperature that may be named, in °C: above it no chip of such devices works.
const HOTTEST_C: f64 = 120.0;

/// What is known of a device; what is not is `None`, and `null` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The built-in profile that fills in what is not said here.
    pub extends: Option<String>,
    /// What it is, in one line.
    pub about: Option<String>,
    /// What its programs are built for, e.g. `aarch64`.
    pub abi: Option<String>,
    /// Its system on a chip, as its maker calls it.
    pub soc: Option<String>,
    /// Processor cores of all kinds.
    pub cores: Option<u32>,
    /// Main memory, e.g. `8GB`.
    pub memory: Option<String>,
    /// The folder on the device that is ours; relative to the login folder where there is one.
    pub workdir: Option<String>,
    /// Bound of that folder, in MB.
    pub max_mb: Option<u32>,
    /// Threads of the runtime for `measure`, where it is not told.
    pub threads: Option<u32>,
    /// ONNX Runtime's library, by its whole path on the device; else it is looked for there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onnxruntime: Option<String>,
    /// Is it an emulator, whatever the device says of that itself?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulated: Option<bool>,
    /// How warm it may be.
    pub thermal: Thermal,
    /// What must hold before it is measured.
    pub require: Require,
}

/// How warm a device may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thermal {
    /// The zones that count, by the names the system gives them; the hottest decides.
    pub zones: Option<Vec<String>>,
    /// Nothing is measured before it is as cool as this, in °C.
    pub start_max_c: Option<f64>,
    /// Measuring ends when it is as warm as this, in °C.
    pub abort_c: Option<f64>,
    /// How long it may take to become cool enough, in seconds.
    pub wait_s: Option<u32>,
    /// Rest between blocks of samples, in seconds.
    pub cool_down_s: Option<u32>,
}

/// What must hold before a device is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Require {
    /// Must it be charging?
    pub charging: Option<bool>,
    /// Least charge of its battery, in per cent.
    pub battery_min_percent: Option<u8>,
}

impl Profile {
    /// Names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.iter().map(|(name, _)| *name)
    }

    /// The built-in profile `name`, with what it extends.
    pub fn named(name: &str) -> Option<Profile> {
        built_in(name, &FILES)
    }

    /// Reads a profile as it is written: neither extended nor validated.
    ///
    /// `place` is what an error calls it.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Toml`]; a misspelt key is answered with the nearest one.
    pub fn parse(text: &str, place: &str) -> Result<Profile, ProfileError> {
        from_toml(text, place)
    }

    /// With what it extends, and valid.
    ///
    /// # Errors
    ///
    /// [`ProfileError::UnknownProfile`], and as for [`validate`](Self::validate).
    pub fn resolved(self, place: &str) -> Result<Profile, ProfileError> {
        let base = self.extends.as_deref().map(|name| {
            Profile::named(name).ok_or_else(|| ProfileError::unknown_profile(place, name))
        });
        let whole = self.over(base.transpose()?.unwrap_or_default());
        whole.validate(place)?;
        Ok(whole)
    }

    /// With the fields of `base` where this one says nothing.
    pub fn over(self, base: Profile) -> Profile {
        Profile {
            extends: self.extends,
            about: self.about.or(base.about),
            abi: self.abi.or(base.abi),
            soc: self.soc.or(base.soc),
            cores: self.cores.or(base.cores),
            memory: self.memory.or(base.memory),
            workdir: self.workdir.or(base.workdir),
            max_mb: self.max_mb.or(base.max_mb),
            threads: self.threads.or(base.threads),
            onnxruntime: self.onnxruntime.or(base.onnxruntime),
            emulated: self.emulated.or(base.emulated),
            thermal: self.thermal.over(base.thermal),
            require: self.require.over(base.require),
        }
    }

    /// Decides whether the values can be, alone and together.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Value`] for the first that cannot, with what would do.
    pub fn validate(&self, place: &str) -> Result<(), ProfileError> {
        self.reject_unprintable_texts(place)?;
        self.reject_strange_abi(place)?;
        self.ensure_there_are_cores(place)?;
        self.ensure_memory_is_a_size(place)?;
        self.reject_strange_workdir(place)?;
        self.reject_workdir_of_others(place)?;
        self.ensure_room_for_a_runner(place)?;
        self.reject_too_many_threads(place)?;
        self.reject_strange_library(place)?;
        self.reject_unnamed_zones(place)?;
        self.reject_impossible_temperatures(place)?;
        self.ensure_start_is_cooler_than_abort(place)?;
        self.reject_long_cool_down(place)?;
        self.ensure_battery_is_a_percentage(place)
    }

    fn reject_unprintable_texts(&self, place: &str) -> Result<(), ProfileError> {
        for (key, text) in [("about", &self.about), ("soc", &self.soc)] {
            let Some(text) = text else { continue };
            ensure(is_printable(text), place, key, format!("{text:?}"), "a text in one line")?;
        }
        Ok(())
    }

    fn reject_strange_abi(&self, place: &str) -> Result<(), ProfileError> {
        let Some(abi) = &self.abi else { return Ok(()) };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let holds = !abi.is_empty() && abi.chars().all(is_plain);
        ensure(holds, place, "abi", format!("{abi:?}"), "a name such as `aarch64` or `x86_64`")
    }

    fn ensure_there_are_cores(&self, place: &str) -> Result<(), ProfileError> {
        let Some(cores) = self.cores else { return Ok(()) };
        ensure(cores > 0, place, "cores", cores.to_string(), "at least 1")
    }

    fn ensure_memory_is_a_size(&self, place: &str) -> Result<(), ProfileError> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let holds = memory.parse::<Bytes>().is_ok_and(|bytes| bytes.0 > 0);
        ensure(holds, place, "memory", format!("{memory:?}"), "a size such as `8GB`")
    }

    /// The folder becomes part of commands on the device.
    fn reject_strange_workdir(&self, place: &str) -> Result<(), ProfileError> {
        let Some(workdir) = &self.workdir else { return Ok(()) };
        let holds = workdir.chars().all(is_in_paths)
            && !workdir.is_empty()
            && !workdir.starts_with('-')
            && !workdir.contains("..");
        let wanted = "a path of letters, digits, `.`, `_`, `/` and `-`, without `..` and not \
                      beginning with `-`";
        ensure(holds, place, "workdir", format!("{workdir:?}"), wanted)
    }

    /// The folder is emptied when it is full.
    fn reject_workdir_of_others(&self, place: &str) -> Result<(), ProfileError> {
        let Some(workdir) = &self.workdir else { return Ok(()) };
        let parts = workdir.split('/').filter(|part| !matches!(*part, "" | ".")).count();
        let least = if workdir.starts_with('/') { 2 } else { 1 };
        let wanted = "a folder of its own, such as `citronade` or `/tmp/citronade`";
        ensure(parts >= least, place, "workdir", format!("{workdir:?}"), wanted)
    }

    fn ensure_room_for_a_runner(&self, place: &str) -> Result<(), ProfileError> {
        let Some(max_mb) = self.max_mb else { return Ok(()) };
        let wanted = format!("at least {LEAST_MAX_MB}, to have room for the runner");
        ensure(max_mb >= LEAST_MAX_MB, place, "max_mb", max_mb.to_string(), &wanted)
    }

    fn reject_too_many_threads(&self, place: &str) -> Result<(), ProfileError> {
        let Some(threads) = self.threads else { return Ok(()) };
        let holds = (1..=MOST_THREADS).contains(&threads);
        let wanted = format!("from 1 to {MOST_THREADS}");
        ensure(holds, place, "threads", threads.to_string(), &wanted)
    }

    /// The path becomes part of commands on the device.
    fn reject_strange_library(&self, place: &str) -> Result<(), ProfileError> {
        let Some(path) = &self.onnxruntime else { return Ok(()) };
        let holds = path.starts_with('/')
            && !path.ends_with('/')
            && path.chars().all(is_in_paths)
            && !path.contains("..");
        let wanted = "a whole path on the device, of letters, digits, `.`, `_`, `/` and `-`, \
                      without `..`, such as `/usr/lib/libonnxruntime.so`";
        ensure(holds, place, "onnxruntime", format!("{path:?}"), wanted)
    }

    fn reject_unnamed_zones(&self, place: &str) -> Result<(), ProfileError> {
        let Some(zones) = &self.thermal.zones else { return Ok(()) };
        let holds = !zones.is_empty() && zones.iter().all(|zone| is_printable(zone));
        let wanted = "names such as `cpu-thermal`, or left out";
        ensure(holds, place, "thermal.zones", format!("{zones:?}"), wanted)
    }

    fn reject_impossible_temperatures(&self, place: &str) -> Result<(), ProfileError> {
        let Thermal { start_max_c, abort_c, .. } = self.thermal;
        for (key, celsius) in [("thermal.start_max_c", start_max_c), ("thermal.abort_c", abort_c)] {
            let Some(celsius) = celsius else { continue };
            let holds = (0.0..=HOTTEST_C).contains(&celsius);
            let wanted = format!("from 0 to {HOTTEST_C} (in °C)");
            ensure(holds, place, key, celsius.to_string(), &wanted)?;
        }
        Ok(())
    }

    /// The lock of the device is not renewed meanwhile.
    fn reject_long_cool_down(&self, place: &str) -> Result<(), ProfileError> {
        let Some(seconds) = self.thermal.cool_down_s else { return Ok(()) };
        let holds = seconds <= LONGEST_COOL_DOWN_S;
        let wanted = format!("{LONGEST_COOL_DOWN_S} at most");
        ensure(holds, place, "thermal.cool_down_s", seconds.to_string(), &wanted)
    }

    fn ensure_start_is_cooler_than_abort(&self, place: &str) -> Result<(), ProfileError> {
        let Thermal { start_max_c: Some(start), abort_c: Some(abort), .. } = self.thermal else {
            return Ok(());
        };
        let wanted = format!("below `thermal.abort_c`, which is {abort}");
        ensure(start < abort, place, "thermal.start_max_c", start.to_string(), &wanted)
    }

    fn ensure_battery_is_a_percentage(&self, place: &str) -> Result<(), ProfileError> {
        let Some(percent) = self.require.battery_min_percent else { return Ok(()) };
        let key = "require.battery_min_percent";
        ensure(percent <= 100, place, key, percent.to_string(), "from 0 to 100")
    }
}

impl Thermal {
    fn over(self, base: Thermal) -> Thermal {
        Thermal {
            zones: self.zones.or(base.zones),
            start_max_c: self.start_max_c.or(base.start_max_c),
            abort_c: self.abort_c.or(base.abort_c),
            wait_s: self.wait_s.or(base.wait_s),
            cool_down_s: self.cool_down_s.or(base.cool_down_s),
        }
    }
}

impl Require {
    fn over(self, base: Require) -> Require {
        Require {
            charging: self.charging.or(base.charging),
            battery_min_percent: self.battery_min_percent.or(base.battery_min_percent),
        }
    }
}

/// Looks among `files` only before the one that extends.
fn built_in(name: &str, files: &[(&str, &str)]) -> Option<Profile> {
    let at = files.iter().position(|(other, _)| *other == name)?;
    let own = Profile::parse(files[at].1, name).expect("P1: every built-in profile can be read");
    let base = own.extends.as_deref().map(|base| {
        built_in(base, &files[..at]).expect("P1: a built-in profile extends one that precedes it")
    });
    Some(own.over(base.unwrap_or_default()))
}

/// Reads TOML that people write.
pub(super) fn from_toml<T: for<'de> Deserialize<'de>>(
    text: &str,
    place: &str,
) -> Result<T, ProfileError> {
    toml::from_str(text).map_err(|error| ProfileError::Toml {
        place: place.to_owned(),
        text: with_suggestion(&error.to_string()),
    })
}

/// Refuses a value, unless the rule `holds`, with what would do.
pub(super) fn ensure(
    holds: bool,
    place: &str,
    key: &'static str,
    found: String,
    wanted: &str,
) -> Result<(), ProfileError> {
    match holds {
        true => Ok(()),
        false => Err(ProfileError::Value {
            place: place.to_owned(),
            key,
            found,
            wanted: wanted.to_owned(),
        }),
    }
}

/// May it be in a path that becomes part of commands?
fn is_in_paths(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._/-".contains(c)
}

fn is_printable(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use super::*;

    /// What is wrong with a text that can be read.
    #[track_caller]
    fn complaint(text: &str) -> String {
        let profile = Profile::parse(text, "here").unwrap();
        profile.resolved("here").expect_err(text).to_string()
    }

    #[test]
    fn every_built_in_profile_is_read_valid_and_extends_one_before_it() {
        for (at, (name, text)) in FILES.iter().enumerate() {
            let own = Profile::parse(text, name).unwrap();
            assert!(own.about.is_some(), "{name}");
            if let Some(base) = &own.extends {
                assert!(FILES[..at].iter().any(|(before, _)| before == base), "{name}");
            }
            let whole = Profile::named(name).unwrap();
            whole.validate(name).unwrap();
            assert_eq!(own.resolved(name).unwrap(), whole);
        }
        assert_eq!(Profile::named("toaster"), None);
    }

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/device-profiles");
        let file_name =
            |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(file_name).collect();
        let mut names: Vec<_> = Profile::names().map(|name| format!("{name}.toml")).collect();
        files.sort();
        names.sort();
        assert_eq!(files, names);
    }

    #[test]
    fn every_built_in_profile_of_a_phone_or_board_says_where_its_files_may_be() {
        for name in Profile::names().filter(|name| *name != "local") {
            let profile = Profile::named(name).unwrap();
            assert!(profile.workdir.is_some() && profile.abi.is_some(), "{name}");
        }
    }

    #[test]
    fn a_misspelt_key_is_answered_with_the_nearest() {
        let cases = [
            ("abuot = 'x'", "about"),
            ("core = 4", "cores"),
            ("work_dir = 'x'", "workdir"),
            ("max-mb = 100", "max_mb"),
            ("thread = 4", "threads"),
            ("onnx_runtime = '/a.so'", "onnxruntime"),
            ("extend = 'x'", "extends"),
            ("[termal]", "thermal"),
            ("[thermal]\nzone = []", "zones"),
            ("[thermal]\nstart_max = 50", "start_max_c"),
            ("thermal.abort = 80", "abort_c"),
            ("thermal.cooldown_s = 5", "cool_down_s"),
            ("[requires]", "require"),
            ("require.chargin = true", "charging"),
            ("require.battery_min_pct = 20", "battery_min_percent"),
        ];
        for (text, key) in cases {
            let error = Profile::parse(text, "profile `x`").unwrap_err().to_string();
            assert!(error.starts_with("profile `x`: TOML parse error at line"), "{error}");
            assert!(error.ends_with(&format!("did you mean `{key}`?")), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        let cases = [
            ("about = ''", "about"),
            ("soc = \"a\\u001b[31m\"", "soc"),
            ("abi = 'arm64-v8a/..'", "abi"),
            ("cores = 0", "cores"),
            ("memory = 'much'", "memory"),
            ("memory = '0GB'", "memory"),
            ("workdir = ''", "workdir"),
            ("workdir = 'my models'", "workdir"),
            ("workdir = 'a/../../etc'", "workdir"),
            ("workdir = '-rf'", "workdir"),
            ("workdir = '~/x'", "workdir"),
            ("workdir = '$HOME'", "workdir"),
            ("workdir = '/'", "workdir"),
            ("workdir = '/tmp'", "workdir"),
            ("workdir = '/tmp/.'", "workdir"),
            ("workdir = '.'", "workdir"),
            ("max_mb = 39", "max_mb"),
            ("threads = 0", "threads"),
            ("threads = 65", "threads"),
            ("onnxruntime = ''", "onnxruntime"),
            ("onnxruntime = 'libonnxruntime.so'", "onnxruntime"),
            ("onnxruntime = '/usr/lib/'", "onnxruntime"),
            ("onnxruntime = '/usr/../a.so'", "onnxruntime"),
            ("onnxruntime = '/a.so; reboot'", "onnxruntime"),
            ("onnxruntime = '/a$(reboot)'", "onnxruntime"),
            ("onnxruntime = '/a}\"'", "onnxruntime"),
            ("thermal.zones = []", "thermal.zones"),
            ("thermal.zones = ['cpu', '']", "thermal.zones"),
            ("thermal.start_max_c = -1", "thermal.start_max_c"),
            ("thermal.start_max_c = nan", "thermal.start_max_c"),
            ("thermal.abort_c = 120.5", "thermal.abort_c"),
            ("thermal = { start_max_c = 80, abort_c = 80 }", "thermal.start_max_c"),
            ("thermal.cool_down_s = 61", "thermal.cool_down_s"),
            ("require.battery_min_percent = 101", "require.battery_min_percent"),
        ];
        for (text, key) in cases {
            let error = complaint(text);
            assert!(error.starts_with(&format!("here: `{key}` is ")), "{text}: {error}");
            assert!(error.contains(", but must be "), "{text}: {error}");
        }
    }

    #[test]
    fn the_bounds_themselves_are_allowed() {
        let texts = [
            "max_mb = 40\nthreads = 64\nthermal.abort_c = 120\nthermal.start_max_c = 0",
            "threads = 1\nrequire.battery_min_percent = 100\nworkdir = '/tmp/citronade/'",
            "workdir = './a.b_c-d'",
            "onnxruntime = '/usr/lib/libonnxruntime.so.1.24'",
            "",
        ];
        for text in texts {
            Profile::parse(text, "here").unwrap().resolved("here").unwrap();
        }
    }

    #[test]
    fn a_profile_says_more_than_the_one_it_extends_field_by_field() {
        let text = "extends = 'raspberry-pi-5'\nmemory = '8GB'\nthermal.start_max_c = 45";
        let base = Profile::named("raspberry-pi-5").unwrap();
        let expected = Profile {
            extends: Some("raspberry-pi-5".into()),
            memory: Some("8GB".into()),
            thermal: Thermal { start_max_c: Some(45.0), ..base.thermal.clone() },
            ..base
        };
        let whole = Profile::parse(text, "here").unwrap().resolved("here").unwrap();
        assert_eq!(whole, expected);
        assert_eq!(whole.workdir.as_deref(), Some("citronade"));
    }

    #[test]
    fn values_are_judged_together_with_those_they_extend() {
        assert_eq!(
            complaint("extends = 'raspberry-pi-5'\nthermal.start_max_c = 85"),
            "here: `thermal.start_max_c` is 85, but must be below `thermal.abort_c`, which is 80"
        );
    }

    #[test]
    fn an_unknown_profile_is_answered_with_the_nearest_or_with_all() {
        assert_eq!(
            complaint("extends = 'raspbery-pi-5'"),
            "here: `extends` names no profile: `raspbery-pi-5`; did you mean `raspberry-pi-5`?"
        );
        let error = complaint("extends = 'toaster'");
        assert!(Profile::names().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn profile_v1_still_parses() {
        let golden = r#"extends = "raspberry-pi-5"
about = "the one on the bench"
abi = "aarch64"
soc = "Broadcom BCM2712"
cores = 4
memory = "8GB"
workdir = "citronade"
max_mb = 100
threads = 4

[thermal]
zones = ["cpu-thermal"]
start_max_c = 50.0
abort_c = 80.0
wait_s = 300
cool_down_s = 5

[require]
charging = true
battery_min_percent = 30
"#;
        let profile = Profile::parse(golden, "here").unwrap();
        profile.validate("here").unwrap();
        assert_eq!(toml::to_string(&profile).unwrap(), golden);
    }

    #[test]
    fn what_is_unknown_is_null() {
        let json = serde_json::to_value(Profile::named("pixel-8").unwrap()).unwrap();
        assert_eq!(json["cores"], 9);
        assert_eq!(json["require"]["charging"], true);
        assert!(json["threads"].is_null() && json["thermal"]["abort_c"].is_null(), "{json}");
    }
}
