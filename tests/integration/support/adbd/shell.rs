//! The services `shell:`, `shell,v2:` and `exec:`, all without a terminal.
//!
//! # Source
//!
//! `shell_protocol.h` in the sources of adb: in version 2 a packet is a kind, a little-endian
//! length of four bytes, and the data.
use std::io;
use std::io::PipeReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ChildStdin;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use super::device::Device;
use super::wire::Inbox;
use super::wire::Outbox;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const EXIT: u8 = 3;
const CLOSE_STDIN: u8 = 4;

/// How a command line is to be run.
pub struct Service {
    /// With packets of version 2, and not plain bytes of both outputs.
    has_packets: bool,
    command: String,
}

impl Service {
    /// `None` if there is no such service.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let name = str::from_utf8(name).ok()?.trim_end_matches('\0');
        let (service, command) = name.split_once(':')?;
        let mut words = service.split(',');
        matches!(words.next(), Some("shell" | "exec"))
            .then(|| Service { has_packets: words.any(|w| w == "v2"), command: command.to_owned() })
    }

    /// Runs it to its end.
    ///
    /// When the host closes the stream, the pipes of the command close and nothing else happens.
    /// A real phone also sends SIGHUP to the shell, which reaches neither what the shell has
    /// started nor what ignores it.
    pub fn run(self, device: &Arc<Device>, inbox: Inbox, outbox: Outbox) -> io::Result<()> {
        let output = Output { has_packets: self.has_packets, outbox: Mutex::new(outbox) };
        let ((stdout, its_stdout), (stderr, mut its_stderr)) = (io::pipe()?, io::pipe()?);
        if !self.has_packets {
            its_stderr = its_stdout.try_clone()?;
        }
        let mut child = {
            let mut shell = device.shell(&self.command);
            shell.stdin(Stdio::piped()).stdout(its_stdout).stderr(its_stderr);
            device.spawn(&mut shell)?
        };
        let stdin = child.stdin.take().expect("asked for above");
        let phone = device.clone();
        thread::spawn(move || feed(&phone, inbox, self.has_packets, stdin));
        let garbage = device.garbage();
        if !garbage.is_empty() {
            output.send(STDOUT, &garbage)?;
        }
        thread::scope(|scope| {
            scope.spawn(|| output.pump(STDOUT, stdout));
            scope.spawn(|| output.pump(STDERR, stderr));
        });
        let status = child.wait()?;
        if self.has_packets { output.send(EXIT, &[exit_code(status)]) } else { Ok(()) }
    }
}

/// As a shell would say it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|c| u8::try_from(c).ok()).expect("ended with a status or by a signal")
}

/// The way of both outputs to the host.
struct Output {
    has_packets: bool,
    outbox: Mutex<Outbox>,
}

impl Output {
    fn send(&self, kind: u8, data: &[u8]) -> io::Result<()> {
        let mut packet = Vec::new();
        if self.has_packets {
            packet.push(kind);
            packet.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
        }
        packet.extend_from_slice(data);
        self.outbox.lock().unwrap().write_all(&packet)
    }

    /// Until there is no more, or the host does not want it: then the pipe breaks.
    fn pump(&self, kind: u8, mut from: PipeReader) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if self.send(kind, &buffer[..n]).is_err() {
                return;
            }
        }
    }
}

/// Passes on what the host sends; what nobody reads is taken from it all the same.
fn feed(device: &Device, mut inbox: Inbox, has_packets: bool, stdin: ChildStdin) {
    let mut stdin = Some(stdin);
    let next = if has_packets { next_packet } else { next_piece };
    while let Ok((kind, data)) = next(&mut inbox) {
        let is_over = match (kind, &mut stdin) {
            (STDIN, Some(stdin)) => stdin.write_all(&device.request(data)).is_err(),
            (kind, _) => kind == CLOSE_STDIN,
        };
        if is_over {
            stdin = None;
        }
    }
}

fn next_packet(inbox: &mut Inbox) -> io::Result<(u8, Vec<u8>)> {
    let (mut kind, mut length) = ([0], [0; 4]);
    inbox.read_exact(&mut kind)?;
    inbox.read_exact(&mut length)?;
    let mut data = vec![0; u32::from_le_bytes(length) as usize];
    inbox.read_exact(&mut data)?;
    Ok((kind[0], data))
}

fn next_piece(inbox: &mut Inbox) -> io::Result<(u8, Vec<u8>)> {
    let mut data = vec![0; 64 * 1024];
    match inbox.read(&mut data)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok((STDIN, data[..read].to_vec())),
    }
}
