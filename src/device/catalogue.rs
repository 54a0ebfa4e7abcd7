//! The user's own devices: how each is reached, and what is known of it.
//!
//! They are tables of `devices.toml` in the user's configuration folder. A name is what people
//! type; nothing here reaches a device.
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use crate::units::Bytes;

use super::Link;
use super::Profile;
use super::ProfileError;
use super::Require;
use super::Thermal;
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

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        None => Path::new("."),
        Some(folder) if folder == Path::new("") => Path::new("."),
        Some(folder) => folder,
    }
}

/// Waits for `<file>.lock`, which stays; held until dropped, or until the process ends.
pub(super) fn lock(file: &Path) -> io::Result<File> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options().write(true).create(true).truncate(false).open(name)?;
    lock.lock()?;
    Ok(lock)
}

/// The new contents are on the disk before the name is theirs.
pub(super) fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let usual = Permissions::from_mode(0o666);
    let mut beside = tempfile::Builder::new().permissions(usual).tempfile_in(folder_of(file))?;
    if let Ok(old) = fs::metadata(file) {
        beside.as_file().set_permissions(old.permissions())?;
    }
    beside.write_all(contents)?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    File::open(folder_of(file))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const BENCH: &str = r#"# My devices.
[device.bench-pi5]
transport = "ssh"        # by the user's own ssh
host = "bench@pi5.lan"
port = 22
extends = "raspberry-pi-5"
max_mb = 100
[device.pixel]
transport = "adb"
serial = "39281FDJH0"
extends = "pixel-8"
require = { charging = false }
[device.bench-pi5.thermal]
wait_s = 300
"#;

    fn ssh(host: &str, port: Option<u16>) -> Link {
        Link::Ssh { host: host.to_owned(), port }
    }

    fn adb(serial: &str) -> Link {
        Link::Adb { serial: serial.to_owned() }
    }

    fn parse(text: &str) -> Result<Catalogue, ProfileError> {
        Catalogue::parse(text, Path::new("devices.toml"))
    }

    #[track_caller]
    fn complaint(table: &str) -> String {
        parse(&format!("[device.x]\n{table}")).expect_err(table).to_string()
    }

    fn leftovers(folder: &Path) -> Vec<OsString> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name != "devices.toml" && name != "devices.toml.lock").collect()
    }

    #[test]
    fn devices_v1_still_parse() {
        let catalogue = parse(BENCH).unwrap();
        assert_eq!(catalogue.names().collect::<Vec<_>>(), ["bench-pi5", "pixel"]);

        let bench = catalogue.get("bench-pi5").unwrap();
        assert_eq!(bench.link, ssh("bench@pi5.lan", Some(22)));
        assert_eq!(bench.profile.cores, Some(4));
        assert_eq!(bench.profile.thermal.abort_c, Some(80.0));
        assert_eq!(bench.profile.thermal.wait_s, Some(300));
        assert_eq!(bench.workdir(), "citronade");
        assert_eq!(bench.max_bytes(), Bytes(100_000_000));

        let pixel = catalogue.get("pixel").unwrap();
        assert_eq!(pixel.link, adb("39281FDJH0"));
        assert_eq!(pixel.profile.soc.as_deref(), Some("Google Tensor G3"));
        assert_eq!(pixel.profile.require.charging, Some(false));
        assert_eq!(pixel.profile.require.battery_min_percent, Some(16));
        assert_eq!(pixel.workdir(), "/data/local/tmp/citronade");
        assert_eq!(pixel.max_bytes(), Bytes(200_000_000));

        assert_eq!(catalogue.get("toaster"), None);
        assert_eq!(catalogue.entries().count(), 2);
    }

    #[test]
    fn everything_that_a_profile_says_may_be_said_of_a_device() {
        let text = r#"about = "mine"
abi = "aarch64"
soc = "x"
cores = 4
memory = "8GB"
workdir = "w"
max_mb = 20
threads = 2
onnxruntime = "/usr/lib/libonnxruntime.so"
emulated = false

[thermal]
zones = ["a"]
start_max_c = 40.0
abort_c = 70.0
wait_s = 1
cool_down_s = 2

[require]
charging = true
battery_min_percent = 3
"#;
        let profile = Profile::parse(text, "here").unwrap();
        let table = text.replace("\n[", "\n[device.x.");
        let catalogue = parse(&format!("[device.x]\ntransport = 'local'\n{table}")).unwrap();
        assert_eq!(catalogue.get("x").unwrap().profile, profile);
        assert_eq!(toml::to_string(&profile).unwrap(), text, "a key is missing in this test");
    }

    #[test]
    fn a_misspelt_key_or_transport_is_answered_with_the_nearest() {
        let cases = [
            ("transport = 'shh'\nhost = 'a'", "ssh"),
            ("transprot = 'ssh'\nhost = 'a'", "transport"),
            ("transport = 'ssh'\nhosts = 'a'", "host"),
            ("transport = 'adb'\nserail = 'a'", "serial"),
            ("transport = 'ssh'\nhost = 'a'\nextend = 'local'", "extends"),
            ("transport = 'ssh'\nhost = 'a'\nthermal.zone = ['x']", "zones"),
        ];
        for (table, key) in cases {
            let error = complaint(table);
            assert!(error.starts_with("devices.toml: TOML parse error at line"), "{error}");
            assert!(error.ends_with(&format!("did you mean `{key}`?")), "{error}");
        }
        let error = parse("[devices.x]\ntransport = 'local'").unwrap_err().to_string();
        assert!(error.ends_with("did you mean `device`?"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_file_device_and_key() {
        let cases = [
            ("transport = 'ssh'", "transport `ssh` needs `host`, the name your ssh knows"),
            ("transport = 'adb'", "transport `adb` needs `serial`, which `adb devices` shows"),
            ("transport = 'ssh'\nserial = 'a'", "`serial` belongs to transport `adb`"),
            ("transport = 'adb'\nserial = 'a'\nhost = 'b'", "`host` belongs to transport `ssh`"),
            ("transport = 'adb'\nserial = 'a'\nport = 1", "`port` belongs to transport `ssh`"),
            ("transport = 'local'\nhost = 'a'", "`host` belongs to transport `ssh`"),
            ("transport = 'ssh'\nhost = ''", "`host` is \"\""),
            ("transport = 'ssh'\nhost = '-oProxyCommand=x'", "`host` is "),
            ("transport = 'ssh'\nhost = 'me@-oProxyCommand=x'", "`host` is "),
            ("transport = 'ssh'\nhost = 'me@'", "`host` is "),
            ("transport = 'ssh'\nhost = 'a b'", "`host` is "),
            ("transport = 'ssh'\nhost = \"a\\u0000\"", "`host` is \"a\\0\""),
            ("transport = 'ssh'\nhost = 'pi5:22'", "the port has its own key, `port`"),
            ("transport = 'ssh'\nhost = 'a'\nport = 0", "`port` is 0"),
            ("transport = 'adb'\nserial = '-s'", "`serial` is "),
            ("transport = 'adb'\nserial = \"a\\tb\"", "`serial` is "),
            ("transport = 'local'\nextends = 'pixel-88'", "did you mean `pixel-8`?"),
            ("transport = 'local'\nmax_mb = 3", "`max_mb` is 3"),
            ("transport = 'adb'\nserial = 'a'\nextends = 'raspberry-pi-5'", "`workdir` is "),
            (
                "transport = 'local'\nextends = 'raspberry-pi-5'\nthermal.abort_c = 45",
                "`thermal.start_max_c` is 50",
            ),
        ];
        for (table, what) in cases {
            let error = complaint(table);
            assert!(error.starts_with("device `x` in devices.toml: "), "{table}: {error}");
            assert!(error.contains(what), "{table}: {error}");
        }
    }

    #[test]
    fn names_are_lower_case_and_not_local() {
        let long = "a".repeat(65);
        for name in ["local", "Pixel", "my phone", "a_b", "a.b", "", "-x", "ä", "../x", &long[..]]
        {
            let text = format!("[device.{name:?}]\ntransport = 'local'");
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.starts_with("devices.toml: `device` is "), "{error}");
        }
        for name in ["x", "7", "bench-pi5", &long[1..]] {
            parse(&format!("[device.{name}]\ntransport = 'local'")).unwrap();
        }
    }

    #[test]
    fn an_address_is_read_and_displayed() {
        let cases = [
            ("local", Link::Local),
            ("ssh:pi5.lan", ssh("pi5.lan", None)),
            ("ssh:bench@pi5.lan:2222", ssh("bench@pi5.lan", Some(2222))),
            ("ssh:me@corp@pi5", ssh("me@corp@pi5", None)),
            ("ssh:fe80::1%eth0", ssh("fe80::1%eth0", None)),
            ("ssh:[::1]:22", ssh("::1", Some(22))),
            ("ssh:bench@[::1]:22", ssh("bench@::1", Some(22))),
            ("adb:39281FDJH0", adb("39281FDJH0")),
            ("adb:127.0.0.1:5555", adb("127.0.0.1:5555")),
        ];
        for (address, link) in cases {
            assert_eq!(Link::parse(address).unwrap(), link);
            assert_eq!(link.to_string(), address);
            assert_eq!(Entry::of(link).name, address);
        }
        assert_eq!(Link::parse("ssh:[::1]").unwrap(), ssh("::1", None));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_do() {
        for address in ["", "pixel", "usb:1", "local:", "LOCAL", "ssh", "adb", "ssh//a"] {
            let error = Link::parse(address).unwrap_err();
            assert!(matches!(error, ProfileError::Address { .. }), "{address}: {error}");
        }
        let cases = [
            ("ssh:", "host"),
            ("ssh:-oProxyCommand=x", "host"),
            ("ssh:me@-x", "host"),
            ("ssh:a b", "host"),
            ("ssh:pi5:", "port"),
            ("ssh:pi5:ssh", "port"),
            ("ssh:pi5:0", "port"),
            ("ssh:pi5:65536", "port"),
            ("adb:", "serial"),
            ("adb:-s", "serial"),
            ("adb:a\nb", "serial"),
        ];
        for (address, key) in cases {
            let error = Link::parse(address).unwrap_err().to_string();
            let start = format!("address `{address}`: `{key}` is ");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn a_device_of_which_only_the_address_is_known_has_usual_limits() {
        let phone = Entry::of(adb("1"));
        assert_eq!(phone.workdir(), "/data/local/tmp/citronade");
        assert_eq!(phone.max_bytes(), Bytes(200_000_000));
        assert_eq!(Entry::of(ssh("a", None)).workdir(), ".cache/citronade");
        let this = Entry::of(Link::Local);
        assert_eq!(
            (this.name.as_str(), this.profile.about.as_deref()),
            ("local", Some("this machine"))
        );
    }

    #[test]
    fn a_device_that_is_added_is_there_and_the_rest_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/folder/devices.toml");
        assert_eq!(Catalogue::read(&file).unwrap(), Catalogue::default());

        let links = [
            ("board", ssh("bench@pi5.lan", Some(2222)), Some("raspberry-pi-5")),
            ("odd", ssh("it's\"odd\\", None), None),
            ("phone", adb("127.0.0.1:5555"), Some("pixel-8")),
            ("this", Link::Local, None),
        ];
        for (name, link, extends) in &links {
            let before = fs::read_to_string(&file).unwrap_or_default();
            let added = Catalogue::add(&file, name, link, *extends).unwrap();
            assert_eq!((&added.link, added.profile.extends.as_deref()), (link, *extends));
            assert_eq!(Catalogue::read(&file).unwrap().get(name), Some(&added));
            assert!(fs::read_to_string(&file).unwrap().starts_with(&before));
        }
        assert_eq!(Catalogue::read(&file).unwrap().names().count(), links.len());
        assert!(leftovers(file.parent().unwrap()).is_empty());
    }

    #[test]
    fn comments_survive_an_addition_also_without_a_last_newline() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.toml");
        fs::write(&file, format!("{BENCH}# The end.")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        Catalogue::add(&file, "new", &Link::Local, None).unwrap();
        let expected = format!("{BENCH}# The end.\n\n[device.new]\ntransport = \"local\"\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(Catalogue::read(&file).unwrap().names().count(), 3);
    }

    #[test]
    fn what_cannot_be_added_leaves_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.toml");
        let refused = |name: &str, link: &Link, extends| {
            Catalogue::add(&file, name, link, extends).unwrap_err()
        };
        for name in ["local", "Phone", "a.b", "x]\ntransport = 'local'\n[device.y"] {
            let error = refused(name, &Link::Local, None);
            assert!(matches!(error, ProfileError::Value { key: "device", .. }), "{error}");
        }
        assert!(matches!(refused("a", &ssh("-x", None), None), ProfileError::Value { .. }));
        let error = refused("a", &Link::Local, Some("toaster"));
        assert!(matches!(error, ProfileError::UnknownProfile { .. }), "{error}");
        assert!(!file.exists());

        fs::write(&file, BENCH).unwrap();
        let error = refused("pixel", &Link::Local, None);
        assert!(matches!(error, ProfileError::Exists { .. }), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(fs::read_to_string(&file).unwrap(), BENCH);

        for broken in ["[device.x", "device = { x = { transport = 'local' } }\n"] {
            fs::write(&file, broken).unwrap();
            let error = refused("new", &Link::Local, None);
            assert!(matches!(error, ProfileError::Toml { .. }), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), broken);
        }
        assert!(leftovers(folder.path()).is_empty());
    }

    #[test]
    fn additions_at_the_same_time_do_not_lose_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/devices.toml");
        thread::scope(|scope| {
            for adder in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    for n in 0..5 {
                        let name = format!("device-{adder}-{n}");
                        Catalogue::add(file, &name, &Link::Local, None).unwrap();
                    }
                });
            }
        });
        assert_eq!(Catalogue::read(&file).unwrap().names().count(), 40);
        assert!(leftovers(file.parent().unwrap()).is_empty());
    }

    #[test]
    fn a_name_that_is_added_at_the_same_time_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.toml");
        let add =
            |serial: usize| Catalogue::add(&file, "phone", &adb(&serial.to_string()), None).is_ok();
        let owners: usize = thread::scope(|scope| {
            let adders: Vec<_> = (0..8).map(|serial| scope.spawn(move || add(serial))).collect();
            adders.into_iter().map(|adder| usize::from(adder.join().unwrap())).sum()
        });
        assert_eq!(owners, 1);
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.toml"), folder.path().join("devices.toml"));
        fs::write(&file, BENCH).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Catalogue::add(&link, "new", &Link::Local, None).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(Catalogue::read(&file).unwrap().names().count(), 3);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Catalogue::read(folder.path()).unwrap_err();
        assert!(matches!(error, ProfileError::Read { .. }), "{error}");
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
        let below_a_file = folder.path().join("file/devices.toml");
        fs::write(folder.path().join("file"), "").unwrap();
        let error = Catalogue::add(&below_a_file, "x", &Link::Local, None).unwrap_err();
        assert!(matches!(error, ProfileError::Write { .. }), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn the_folder_of_the_configuration_is_the_first_that_is_set() {
        let folder = |variables: &[(&str, &str)]| {
            let variables: BTreeMap<_, _> = variables.iter().copied().collect();
            configuration_folder(|name| variables.get(name).map(OsString::from))
        };
        let (own, xdg, home) =
            (("CITRONADE_CONFIG_DIR", "/own"), ("XDG_CONFIG_HOME", "/xdg"), ("HOME", "/home/me"));
        assert_eq!(folder(&[own, xdg, home]), Some("/own".into()));
        assert_eq!(folder(&[xdg, home]), Some("/xdg/citronade".into()));
        assert_eq!(folder(&[home]), Some("/home/me/.config/citronade".into()));
        assert_eq!(folder(&[("XDG_CONFIG_HOME", "xdg"), home]), folder(&[home]));
        assert_eq!(folder(&[("CITRONADE_CONFIG_DIR", ""), home]), folder(&[home]));
        assert_eq!(folder(&[]), None);
    }
}
