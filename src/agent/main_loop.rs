//! The life of the agent's process.
use std::io;
use std::io::BufReader;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::installed::Installed;
use super::memory;
use super::serve::serve;

/// How long an answer may still take when the host has gone.
const GRACE: Duration = Duration::from_secs(1);

/// Stack of the thread that loads models: graphs may be deep, and runtimes recurse.
const STACK: usize = 16 << 20;

enum Event {
    /// Standard input has ended: the host is gone.
    Closed,
    /// The loop has ended.
    Served(io::Result<()>),
}

/// Serves standard input and output until the input ends, then ends too: a second later at most,
/// also in the middle of a run, since killing `adb` or `ssh` on the host leaves this process alone.
///
/// Limits its memory to what is free when it starts.
///
/// The caller returns the code from `main` at once; threads that still run end with the process.
pub fn main_loop() -> ExitCode {
    memory::limit_to_available();
    match start().and_then(|events| last(&events)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_broken_pipe) => ExitCode::FAILURE,
    }
}

fn start() -> io::Result<mpsc::Receiver<Event>> {
    let (sender, events) = mpsc::channel();
    let (reader, writer) = io::pipe()?;
    let closed = sender.clone();
    thread::Builder::new().spawn(move || watch(writer, &closed))?;
    thread::Builder::new().stack_size(STACK).spawn(move || work(reader, &sender))?;
    Ok(events)
}

/// Passes standard input on, and says when it has ended.
fn watch(mut writer: PipeWriter, closed: &Sender<Event>) {
    // A host that is gone cannot be told why.
    io::copy(&mut io::stdin().lock(), &mut writer).ok();
    drop(writer);
    closed.send(Event::Closed).ok();
}

fn work(reader: PipeReader, served: &Sender<Event>) {
    let result = serve(BufReader::new(reader), io::stdout().lock(), &Installed);
    served.send(Event::Served(result)).ok();
}

fn last(events: &mpsc::Receiver<Event>) -> io::Result<()> {
    match events.recv() {
        Ok(Event::Served(result)) => result,
        Ok(Event::Closed) => match events.recv_timeout(GRACE) {
            Ok(Event::Served(result)) => result,
            Ok(Event::Closed) | Err(_) => Ok(()),
        },
        Err(_) => Ok(()),
    }
}
