//! A phone for the real `adb`: the device's half of the adb protocol, over TCP, on this machine.
//!
//! Commands run on the host, with `/data/local/tmp` in a folder of its own and with `getprop`,
//! `dumpsys`, `df` and `uname` answering for the phone. There is no Android and no other processor in
//! it: what it proves is how `adb` behaves, also when the cable is pulled.
mod cable;
mod device;
mod server;
mod shell;
mod wire;

use std::env;
use std::io;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;

use tempfile::TempDir;

pub use self::cable::Way;
use self::device::Device;
pub use self::server::AdbServer;
pub use self::server::wait_until;
use self::shell::Service;
use self::wire::*;

/// What the phone calls the folder that is its playground.
pub const FOLDER: &str = "/data/local/tmp";

/// In the form of Android 14.
const THERMAL_SERVICE: &str = include_str!("answers/thermalservice");

/// In the form of Android 14; the temperature is in tenths of a degree.
const BATTERY: &str = include_str!("answers/battery");

/// The lines of Android 14 about the screen.
const POWER: &str = "POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mWakefulness=Awake\n";

/// Kinds of `AUTH`.
const TOKEN: u32 = 1;
const SIGNATURE: u32 = 2;

/// A phone that is plugged in and has allowed debugging; dropped, everything on it ends.
pub struct Phone {
    port: u16,
    device: Arc<Device>,
    listening: Option<JoinHandle<()>>,
    _files: TempDir,
}

impl Phone {
    /// Listens on a free port of this machine.
    pub fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let device = Arc::new(Device::new(files.path()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listening = thread::spawn({
            let device = device.clone();
            move || listen(&listener, &device)
        });
        let phone = Phone { port, device, listening: Some(listening), _files: files };
        for (name, value) in properties() {
            phone.set_property(name, value);
        }
        phone.set_service("thermalservice", THERMAL_SERVICE);
        phone.set_service("battery", BATTERY);
        phone.set_service("power", POWER);
        phone.set_free(1_000_000_000);
        phone
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `adb devices` calls it.
    pub fn serial(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Where what the phone calls [`FOLDER`] is on this machine.
    pub fn folder(&self) -> PathBuf {
        self.device.local(FOLDER)
    }

    /// The answer of `getprop NAME`, also in the list of all.
    pub fn set_property(&self, name: &str, value: &str) {
        self.device.set_answer(&format!("properties/{name}"), &format!("{value}\n"));
    }

    /// The answer of `dumpsys NAME`.
    pub fn set_service(&self, name: &str, text: &str) {
        self.device.set_answer(&format!("services/{name}"), text);
    }

    /// The answer of `uname -m`, in place of the host's.
    pub fn set_machine(&self, name: &str) {
        self.device.set_answer("machine", &format!("{name}\n"));
    }

    /// What `df` says is free, in bytes.
    pub fn set_free(&self, bytes: u64) {
        self.device.set_answer("free", &(bytes / 1024).to_string());
    }

    /// A 64-bit ARM phone from now on: its runner is started by `emulator`, and both `uname` and
    /// Android's properties say so.
    pub fn emulate(&self, emulator: &str) {
        *self.device.emulator.lock().unwrap() = Some(emulator.to_owned());
        self.set_machine("aarch64");
        self.set_property("ro.product.cpu.abi", "arm64-v8a");
    }

    /// What every command says on standard output before anything of its own.
    pub fn set_garbage(&self, said: impl Into<Vec<u8>>) {
        *self.device.garbage.lock().unwrap() = said.into();
    }

    /// Whether commands from now on are begun and never answered.
    pub fn set_silent(&self, is_silent: bool) {
        self.device.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Whether connections from now on are accepted; the others wait for somebody to press the
    /// button on the screen.
    pub fn set_authorised(&self, is_authorised: bool) {
        self.device.is_authorised.store(is_authorised, Ordering::SeqCst);
    }

    /// Pulls the cable: connections break, and new ones do not come about.
    pub fn pull(&self) {
        self.device.cable.pull();
    }

    /// Pulls the cable in place of the byte that comes after `bytes` more of this way, headers of
    /// packets included.
    pub fn pull_after(&self, way: Way, bytes: usize) {
        self.device.cable.pull_after(way, bytes);
    }

    /// Lets nothing pass the cable any more, without breaking a connection, until it is plugged in
    /// again.
    pub fn freeze(&self) {
        self.device.cable.freeze();
    }

    /// Plugs the cable in again; adb has to be told (see [`AdbServer::connect`]).
    pub fn plug_in(&self) {
        self.device.cable.plug_in();
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.device.end();
        // The listener looks whether it should go on when somebody comes.
        let came = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let (Ok(_), Some(listening)) = (came, self.listening.take()) {
            listening.join().ok();
        }
    }
}

fn listen(listener: &TcpListener, device: &Arc<Device>) {
    while let Ok((socket, _)) = listener.accept() {
        if device.has_ended() {
            return;
        }
        if device.cable.attach(&socket) {
            let device = device.clone();
            thread::spawn(move || serve(socket, &device));
        }
    }
}

/// Answers one host until the connection breaks.
fn serve(socket: TcpStream, device: &Arc<Device>) {
    let link = Arc::new(Link::new(socket, device.cable.clone()));
    let mut streams = Streams::default();
    while answer(&link, &mut streams, device).is_ok() {}
    link.close();
}

/// Answers one packet.
fn answer(link: &Arc<Link>, streams: &mut Streams, device: &Arc<Device>) -> io::Result<()> {
    let packet = link.receive()?;
    let [first, _] = packet.arguments;
    match packet.command {
        CNXN if device.is_authorised.load(Ordering::SeqCst) => {
            link.send(CNXN, [VERSION, MAX_DATA], device.banner().as_bytes())
        }
        CNXN => link.send(AUTH, [TOKEN, 0], &[7; 20]),
        AUTH if first == SIGNATURE => link.send(AUTH, [TOKEN, 0], &[7; 20]),
        OPEN => {
            let Some(service) = Service::parse(&packet.data) else {
                return link.send(CLSE, [0, first], &[]);
            };
            let (inbox, outbox) = streams.open(link, first)?;
            let device = device.clone();
            thread::spawn(move || service.run(&device, inbox, outbox));
            Ok(())
        }
        _ => {
            streams.pass(packet);
            Ok(())
        }
    }
}

/// Those of a phone with the host's processor.
fn properties() -> [(&'static str, &'static str); 9] {
    let abi = match env::consts::ARCH {
        "aarch64" => "arm64-v8a",
        "arm" => "armeabi-v7a",
        other => other,
    };
    [
        ("ro.build.version.release", "14"),
        ("ro.build.version.sdk", "34"),
        ("ro.product.cpu.abi", abi),
        ("ro.product.device", "tester"),
        ("ro.product.manufacturer", "Citronade"),
        ("ro.product.model", "Test Phone"),
        ("ro.product.name", "tester"),
        ("ro.soc.manufacturer", "Citronade"),
        ("ro.soc.model", "TS1"),
    ]
}

/// What `dumpsys thermalservice` says at the thermal status 0 (none) to 6 (shutdown).
pub fn thermal_service(status: u8) -> String {
    let skin = format!("mName=VIRTUAL-SKIN, mStatus={status}");
    THERMAL_SERVICE
        .replace("Thermal Status: 0", &format!("Thermal Status: {status}"))
        .replace("mName=VIRTUAL-SKIN, mStatus=0", &skin)
}
