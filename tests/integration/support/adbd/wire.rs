//! Packets and streams of the adb protocol.
//!
//! # Source
//!
//! `protocol.txt` in the sources of adb: a packet is six little-endian words (command, two
//! arguments, length and sum of the data, inverse of the command) and the data. Whoever writes to
//! a stream waits for `OKAY` before writing again.
use std::array;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use super::cable::Cable;
use super::cable::Way;

pub const CNXN: u32 = u32::from_le_bytes(*b"CNXN");
pub const AUTH: u32 = u32::from_le_bytes(*b"AUTH");
pub const OPEN: u32 = u32::from_le_bytes(*b"OPEN");
pub const OKAY: u32 = u32::from_le_bytes(*b"OKAY");
pub const WRTE: u32 = u32::from_le_bytes(*b"WRTE");
pub const CLSE: u32 = u32::from_le_bytes(*b"CLSE");

/// Of the protocol.
pub const VERSION: u32 = 0x0100_0001;

/// Bytes of data in a packet, at most.
pub const MAX_DATA: u32 = 256 * 1024;

pub struct Packet {
    pub command: u32,
    pub arguments: [u32; 2],
    pub data: Vec<u8>,
}

/// A connection to the host: whole packets through a cable.
pub struct Link {
    socket: TcpStream,
    cable: Arc<Cable>,
    sending: Mutex<()>,
}

impl Link {
    pub fn new(socket: TcpStream, cable: Arc<Cable>) -> Self {
        // Costs time, not answers, where it is refused.
        socket.set_nodelay(true).ok();
        Link { socket, cable, sending: Mutex::new(()) }
    }

    pub fn close(&self) {
        // The host may have been faster.
        self.socket.shutdown(Shutdown::Both).ok();
    }

    pub fn receive(&self) -> io::Result<Packet> {
        let mut header = [0; 24];
        self.read_exact(&mut header)?;
        let word = |at| u32::from_le_bytes(header[4 * at..][..4].try_into().unwrap());
        let [command, first, second, length, _sum, inverse] = array::from_fn(word);
        if inverse != !command || length > MAX_DATA {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut data = vec![0; length as usize];
        self.read_exact(&mut data)?;
        Ok(Packet { command, arguments: [first, second], data })
    }

    fn read_exact(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let read = (&self.socket).read(buffer)?;
            let passed = self.cable.pass(Way::FromHost, read);
            if passed < read {
                self.cable.pull();
            }
            if passed == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer = &mut buffer[passed..];
        }
        Ok(())
    }

    pub fn send(&self, command: u32, arguments: [u32; 2], data: &[u8]) -> io::Result<()> {
        let length = u32::try_from(data.len()).expect("at most `MAX_DATA`");
        let sum = data.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        let words = [command, arguments[0], arguments[1], length, sum, !command];
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend_from_slice(data);

        let _whole = self.sending.lock().unwrap();
        let passed = self.cable.pass(Way::ToHost, bytes.len());
        (&self.socket).write_all(&bytes[..passed])?;
        if passed < bytes.len() {
            self.cable.pull();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

/// Streams by the phone's number for them; those of a connection end with it.
#[derive(Default)]
pub struct Streams {
    last: u32,
    open: HashMap<u32, (Sender<Vec<u8>>, Sender<()>)>,
}

impl Streams {
    /// The phone's ends of a stream that has the number `remote` at the host, which learns it.
    pub fn open(&mut self, link: &Arc<Link>, remote: u32) -> io::Result<(Inbox, Outbox)> {
        self.last += 1;
        let ((pieces, received), (okays, acknowledged)) = (mpsc::channel(), mpsc::channel());
        self.open.insert(self.last, (pieces, okays));
        let ids = [self.last, remote];
        let inbox = Inbox { link: link.clone(), ids, received, rest: VecDeque::new() };
        link.send(OKAY, ids, &[])?;
        Ok((inbox, Outbox { link: link.clone(), ids, acknowledged }))
    }

    /// Passes `WRTE`, `OKAY` or `CLSE` to the stream it is for, if there is one.
    pub fn pass(&mut self, packet: Packet) {
        let local = packet.arguments[1];
        let Some((pieces, okays)) = self.open.get(&local) else { return };
        // Whoever is not interested any more has dropped the other end.
        match packet.command {
            WRTE => pieces.send(packet.data).unwrap_or_default(),
            OKAY => okays.send(()).unwrap_or_default(),
            CLSE => drop(self.open.remove(&local)),
            _ => {}
        }
    }
}

/// What the host writes to a stream; ends when the host closes it.
pub struct Inbox {
    link: Arc<Link>,
    ids: [u32; 2],
    received: Receiver<Vec<u8>>,
    rest: VecDeque<u8>,
}

impl Read for Inbox {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Ok(piece) = self.received.recv() else { return Ok(0) };
            self.rest = piece.into();
            self.link.send(OKAY, self.ids, &[])?;
        }
        self.rest.read(buffer)
    }
}

/// What the host reads from a stream; dropped, the stream is closed.
pub struct Outbox {
    link: Arc<Link>,
    ids: [u32; 2],
    acknowledged: Receiver<()>,
}

impl Write for Outbox {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let piece = &data[..data.len().min(MAX_DATA as usize)];
        self.link.send(WRTE, self.ids, piece)?;
        self.acknowledged.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.link.send(CLSE, self.ids, &[]).ok();
    }
}
