//! Tables of devices, right and wrong.
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
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
max_mb = 40
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
    for name in ["local", "Pixel", "my phone", "a_b", "a.b", "", "-x", "ä", "../x", &long[..]] {
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
    let refused =
        |name: &str, link: &Link, extends| Catalogue::add(&file, name, link, extends).unwrap_err();
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
