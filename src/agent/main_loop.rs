//! The life of the agent's process.
use std::io;
use std::io::BufReader;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::io::Read;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::android;
use super::installed::Installed;
use super::memory;
use super::sandbox;
use super::serve::parse;
use super::serve::read_line;
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
/// Limits its memory to what is free when it starts, and enters the sandbox before it loads a
/// model.
///
/// The caller returns the code from `main` at once; threads that still run end with the process.
pub fn main_loop() -> ExitCode {
    memory::limit_to_available();
    match first().and_then(start).and_then(|events| last(&events)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_broken_pipe) => ExitCode::FAILURE,
    }
}

/// The first request: what it is for decides what this process keeps. One that shall load a model
/// gives up all else before it has threads, and serves that model only.
fn first() -> io::Result<Vec<u8>> {
    let Some(mut line) = read_line(&mut io::stdin().lock())? else { return Ok(Vec::new()) };
    // What cannot be parsed is refused by the loop.
    let request = parse(&line).ok();
    if let Some((job, request)) = request.as_ref().and_then(|r| Some((r.task.job()?, r))) {
        Installed::preload(&job);
        android::start();
        sandbox::enter(&job, request.deadline_us);
    }
    line.push(b'\n');
    Ok(line)
}

fn start(first: Vec<u8>) -> io::Result<mpsc::Receiver<Event>> {
    let (sender, events) = mpsc::channel();
    let (reader, writer) = io::pipe()?;
    let closed = sender.clone();
    thread::Builder::new().spawn(move || watch(writer, &closed))?;
    thread::Builder::new().stack_size(STACK).spawn(move || work(first, reader, &sender))?;
    Ok(events)
}

/// Passes standard input on, and says when it has ended.
fn watch(mut writer: PipeWriter, closed: &Sender<Event>) {
    // A host that is gone cannot be told why.
    io::copy(&mut io::stdin().lock(), &mut writer).ok();
    drop(writer);
    closed.send(Event::Closed).ok();
}

fn work(first: Vec<u8>, rest: PipeReader, served: &Sender<Event>) {
    let result =
        serve(io::Cursor::new(first).chain(BufReader::new(rest)), io::stdout().lock(), &Installed);
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
