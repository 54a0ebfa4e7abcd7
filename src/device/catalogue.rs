//! The user's own devices: how each is reached, and what is known of it.
//!
//! They are tables of `devices.toml` in the user's configuration folder. A name is what people
//! type; nothing here reaches a device.
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use crate::units::Bytes;

use super::Link;
use super::Profile;
use super::ProfileError;
use super::Require;
use super::Thermal;
use super::kept::folder_of;
use super::kept::lock;
use super::kept::replace;
use super::profile::ensure;
use super::profile::from_toml;

/// Longest name of a device.
const MOST_CHARACTERS: usize = 64;

/// Bound of the folder on a device of which nothing else is said, in MB: two runners, ONNX Runtime
/// and the models of a search.
const MAX_MB: u32 = 200;

/// The user's devices, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
}

/// A device: its name, how it is reached and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What people call it.
    pub name: String,
    /// How it is reached.
    pub link: Link,
    /// What is known of it, with what it extends.
    pub profile: Profile,
}

impl Catalogue {
    /// The file that holds the user's devices, there or not: `devices.toml` in
    /// `$CITRONADE_CONFIG_DIR`, else in `$XDG_CONFIG_HOME/citronade`, else in
    /// `~/.config/citronade`.
    ///
    /// # Errors
    ///
    /// [`ProfileError::NoFolder`] if none of them is set.
    pub fn file() -> Result<PathBuf, ProfileError> {
        let folder = configuration_folder(|name| env::var_os(name));
        folder.map(|folder| folder.join("devices.toml")).ok_or(ProfileError::NoFolder)
    }

    /// The user's devices; none if there is no such file.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn load() -> Result<Catalogue, ProfileError> {
        match Catalogue::file() {
            Ok(file) => Catalogue::read(&file),
            Err(_) => Ok(Catalogue::default()),
        }
    }

    /// The devices of `file`; none if it does not exist.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Read`], and as for [`parse`](Self::parse).
    pub fn read(file: &Path) -> Result<Catalogue, ProfileError> {
        Catalogue::parse(&text_of(file)?, file)
    }

    /// The devices of a text, which is that of `file`; all of them are valid.
    ///
    /// # Errors
    ///
    /// Every variant of [`ProfileError`] that names a place.
    pub fn parse(text: &str, file: &Path) -> Result<Catalogue, ProfileError> {
        let tables: Tables = from_toml(text, &file.display().to_string())?;
        let entries = tables.device.into_iter();
        let entries = entries.map(|(name, table)| Ok((name.clone(), table.entry(&name, file)?)));
        Ok(Catalogue { entries: entries.collect::<Result<_, ProfileError>>()? })
    }

    /// The device `name`.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All devices, in the order of their names.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Appends a device to `file`, which keeps all it has, comments too; makes the file and its
    /// folder if they are not there.
    ///
    /// At every moment the file is whole, and additions wait for one another (`<file>.lock`).
    ///
    /// # Errors
    ///
    /// [`ProfileError::Exists`], [`ProfileError::Write`] and as for [`read`](Self::read); nothing
    /// is written then.
    pub fn add(
        file: &Path,
        name: &str,
        link: &Link,
        extends: Option<&str>,
    ) -> Result<Entry, ProfileError> {
        let table = table_text(name, link, extends);
        reject_strange_name(name, file)?;
        Catalogue::parse(&table, file)?;

        let failed = |source| ProfileError::Write { file: file.to_owned(), source };
        fs::create_dir_all(folder_of(file)).map_err(failed)?;
        // What a link in its place points to is replaced, not the link.
        let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let _lock = lock(&target).map_err(failed)?;
        let text = text_of(&target)?;
        if Catalogue::parse(&text, file)?.get(name).is_some() {
            return Err(ProfileError::Exists { name: name.to_owned(), file: file.to_owned() });
        }
        let text = appended(&text, &table);
        let added = Catalogue::parse(&text, file)?.entries.remove(name);
        replace(&target, text.as_bytes()).map_err(failed)?;
        Ok(added.expect("its table is in the text"))
    }
}

impl Entry {
    /// A device of which only the address is known; its name is that.
    pub fn of(link: Link) -> Entry {
        let profile = match &link {
            Link::Local => Profile::named("local").unwrap_or_default(),
            Link::Ssh { .. } | Link::Adb { .. } => Profile::default(),
        };
        Entry { name: link.to_string(), link, profile }
    }

    /// The folder on the device that is ours.
    pub fn workdir(&self) -> &str {
        let usual = match &self.link {
            Link::Adb { .. } => "/data/local/tmp/citronade",
            Link::Local | Link::Ssh { .. } => ".cache/citronade",
        };
        self.profile.workdir.as_deref().unwrap_or(usual)
    }

    /// Bound of that folder.
    pub fn max_bytes(&self) -> Bytes {
        Bytes(u64::from(self.profile.max_mb.unwrap_or(MAX_MB)) * 1_000_000)
    }

    /// There is no login folder.
    fn reject_relative_workdir_under_adb(&self, place: &str) -> Result<(), ProfileError> {
        let workdir = self.workdir();
        let holds = workdir.starts_with('/') || !matches!(self.link, Link::Adb { .. });
        let wanted = "a whole path under adb, such as `/data/local/tmp/citronade`";
        ensure(holds, place, "workdir", format!("{workdir:?}"), wanted)
    }
}

/// What `devices.toml` may hold.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tables {
    device: BTreeMap<String, Table>,
}

/// What is written of one device: how it is reached, and everything a [`Profile`] says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    transport: TransportName,
    host: Option<String>,
    port: Option<u16>,
    serial: Option<String>,
    extends: Option<String>,
    about: Option<String>,
    abi: Option<String>,
    soc: Option<String>,
    cores: Option<u32>,
    memory: Option<String>,
    workdir: Option<String>,
    max_mb: Option<u32>,
    threads: Option<u32>,
    onnxruntime: Option<String>,
    emulated: Option<bool>,
    #[serde(default)]
    thermal: Thermal,
    #[serde(default)]
    require: Require,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransportName {
    Ssh,
    Adb,
    Local,
}

impl TransportName {
    fn name(self) -> &'static str {
        match self {
            TransportName::Ssh => "ssh",
            TransportName::Adb => "adb",
            TransportName::Local => "local",
        }
    }
}

impl Table {
    fn entry(self, name: &str, file: &Path) -> Result<Entry, ProfileError> {
        reject_strange_name(name, file)?;
        let place = format!("device `{name}` in {}", file.display());
        let link = self.link(&place)?;
        let profile = self.profile().resolved(&place)?;
        let entry = Entry { name: name.to_owned(), link, profile };
        entry.reject_relative_workdir_under_adb(&place)?;
        Ok(entry)
    }

    fn link(&self, place: &str) -> Result<Link, ProfileError> {
        self.reject_foreign_keys(place)?;
        let link = match self.transport {
            TransportName::Local => Link::Local,
            TransportName::Ssh => {
                let what = "the name your ssh knows, e.g. `pi5.lan`";
                let host = self.ensure_there_is("host", &self.host, what, place)?;
                Link::Ssh { host, port: self.port }
            }
            TransportName::Adb => {
                let what = "which `adb devices` shows, e.g. `39281FDJH0`";
                Link::Adb { serial: self.ensure_there_is("serial", &self.serial, what, place)? }
            }
        };
        link.validate(place)?;
        Ok(link)
    }

    fn reject_foreign_keys(&self, place: &str) -> Result<(), ProfileError> {
        let keys = [
            ("host", self.host.is_some(), TransportName::Ssh),
            ("port", self.port.is_some(), TransportName::Ssh),
            ("serial", self.serial.is_some(), TransportName::Adb),
        ];
        let foreign =
            keys.iter().find(|(_, is_there, owner)| *is_there && *owner != self.transport);
        match foreign {
            None => Ok(()),
            Some((key, _, owner)) => Err(ProfileError::Foreign {
                place: place.to_owned(),
                key,
                owner: owner.name(),
                transport: self.transport.name(),
            }),
        }
    }

    fn ensure_there_is(
        &self,
        key: &'static str,
        value: &Option<String>,
        what: &'static str,
        place: &str,
    ) -> Result<String, ProfileError> {
        value.clone().ok_or_else(|| ProfileError::Missing {
            place: place.to_owned(),
            transport: self.transport.name(),
            key,
            what,
        })
    }

    fn profile(self) -> Profile {
        Profile {
            extends: self.extends,
            about: self.about,
            abi: self.abi,
            soc: self.soc,
            cores: self.cores,
            memory: self.memory,
            workdir: self.workdir,
            max_mb: self.max_mb,
            threads: self.threads,
            onnxruntime: self.onnxruntime,
            emulated: self.emulated,
            thermal: self.thermal,
            require: self.require,
        }
    }
}

fn reject_strange_name(name: &str, file: &Path) -> Result<(), ProfileError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let holds = name.chars().all(is_plain)
        && (1..=MOST_CHARACTERS).contains(&name.len())
        && !name.starts_with('-')
        && name != "local";
    let wanted = "lower-case letters, digits and `-`, such as `bench-pi5`, and not `local`";
    ensure(holds, &file.display().to_string(), "device", format!("{name:?}"), wanted)
}

/// The folder of the user's configuration, from the variables of the environment.
fn configuration_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    // A relative `XDG_CONFIG_HOME` is to be ignored: XDG Base Directory Specification 0.8.
    let xdg = || path("XDG_CONFIG_HOME").filter(|p| p.is_absolute()).map(|p| p.join("citronade"));
    let home = || path("HOME").map(|p| p.join(".config/citronade"));
    path("CITRONADE_CONFIG_DIR").or_else(xdg).or_else(home)
}

fn text_of(file: &Path) -> Result<String, ProfileError> {
    match fs::read_to_string(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|source| ProfileError::Read { file: file.to_owned(), source }),
    }
}

fn table_text(name: &str, link: &Link, extends: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!("[device.{name}]\ntransport = \"{}\"\n", link.transport());
    match link {
        Link::Local => {}
        Link::Ssh { host, port } => {
            text.push_str(&format!("host = {}\n", quoted(host)));
            text.extend(port.map(|port| format!("port = {port}\n")));
        }
        Link::Adb { serial } => text.push_str(&format!("serial = {}\n", quoted(serial))),
    }
    text.extend(extends.map(|name| format!("extends = {}\n", quoted(name))));
    text
}

fn appended(text: &str, table: &str) -> String {
    let between = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    format!("{text}{between}{table}")
}

#[cfg(test)]
mod tests;
