//! The loop: a request in, an answer out.
use std::any::Any;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Instant;

use super::conditions::Conditions;
use super::conditions::Facts;
use super::inputs::Fill;
use super::memory;
use super::memory::Watch;
use super::protocol::Answer;
use super::protocol::Hello;
use super::protocol::MAX_LINE;
use super::protocol::MemoryRequest;
use super::protocol::Outputs;
use super::protocol::PROTOCOL;
use super::protocol::Refusal;
use super::protocol::Reply;
use super::protocol::Request;
use super::protocol::RunRequest;
use super::protocol::Task;
use super::protocol::TimeRequest;
use super::protocol::Timed;
use super::runtime::RuntimeError;
use super::runtime::Runtimes;
use super::runtime::Source;
use super::timing;
use super::tiny::TINY_MODEL;

/// Answers requests until `requests` ends.
///
/// # Errors
///
/// Only if a pipe breaks. A request that cannot be served is *answered*, with
/// [`Answer::Refused`], and so is a panic of a runtime.
pub fn serve(
    mut requests: impl BufRead,
    mut answers: impl Write,
    runtimes: &dyn Runtimes,
) -> io::Result<()> {
    while let Some(line) = read_line(&mut requests)? {
        let reply = reply(&line, runtimes);
        answers.write_all(encode(&reply).as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

/// One line without its end, cut after [`MAX_LINE`] bytes (the rest is skipped); `None` at the end.
fn read_line(requests: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = MAX_LINE as u64 + 1;
    if requests.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > MAX_LINE {
        requests.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

/// A line, or a refusal if it would be too long to be read.
fn encode(reply: &Reply) -> String {
    let mut line = serde_json::to_string(reply).expect("numbers and texts can be written as JSON");
    if line.len() >= MAX_LINE {
        let reason = format!("the answer has {} bytes, {MAX_LINE} are allowed", line.len());
        let answer = Answer::Refused { kind: Refusal::Request, reason };
        return encode(&Reply { answer, ..reply.clone() });
    }
    line.push('\n');
    line
}

fn reply(line: &[u8], runtimes: &dyn Runtimes) -> Reply {
    let (id, answer) = match parse(line) {
        Ok(request) => (request.id, guarded(&request.task, runtimes)),
        Err(reason) => (0, Answer::Refused { kind: Refusal::Request, reason }),
    };
    Reply { protocol: PROTOCOL, id, answer }
}

fn parse(line: &[u8]) -> Result<Request, String> {
    if line.len() > MAX_LINE {
        return Err(format!("a request may have {MAX_LINE} bytes"));
    }
    let request: Request = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    match request.protocol {
        PROTOCOL => Ok(request),
        other => Err(format!(
            "protocol {other} is not {PROTOCOL}; use the same version of citronade on both sides"
        )),
    }
}

/// A panic is the model's fault: nothing of it is used afterwards.
fn guarded(task: &Task, runtimes: &dyn Runtimes) -> Answer {
    let result = catch_unwind(AssertUnwindSafe(|| answer(task, runtimes)));
    match result {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::Refused { kind: error.kind(), reason: error.to_string() },
        Err(panic) => Answer::Refused { kind: Refusal::Model, reason: panic_text(&*panic) },
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the runtime gave up: {}", text.unwrap_or("it did not say why"))
}

fn answer(task: &Task, runtimes: &dyn Runtimes) -> Result<Answer, RuntimeError> {
    match task {
        Task::Hello => Ok(Answer::Hello(Box::new(hello(runtimes)))),
        Task::Time(request) => Ok(Answer::Timed(Box::new(time(request, runtimes)?))),
        Task::Memory(request) => memory_use(request, runtimes),
        Task::Run(request) => Ok(Answer::Outputs(run(request, runtimes)?)),
    }
}

fn hello(runtimes: &dyn Runtimes) -> Hello {
    Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        runtimes: runtimes.list(),
        facts: Facts::read(),
        conditions: Conditions::read(),
        memory_limit_bytes: memory::limit(),
    }
}

fn time(request: &TimeRequest, runtimes: &dyn Runtimes) -> Result<Timed, RuntimeError> {
    let runtime = runtimes.open(&request.runtime, request.library.as_deref().map(Path::new))?;
    let start = Instant::now();
    let mut model = runtime.load(Source::File(Path::new(&request.model)), request.threads)?;
    let load_us = timing::micros(start.elapsed());
    let inputs = model.inputs().to_vec();
    model.prepare(Fill::Scattered.tensors(&inputs)?)?;
    let timing = timing::time(&mut *model, &request.warmup, &request.sampling)?;
    Ok(Timed {
        runtime_version: runtime.version(),
        threads: model.threads(),
        inputs,
        load_us,
        first_us: timing.first_us,
        warmup_runs: timing.warmup_runs,
        settled: timing.settled,
        samples_us: timing.samples_us,
        before: timing.before,
        after: timing.after,
    })
}

fn memory_use(request: &MemoryRequest, runtimes: &dyn Runtimes) -> Result<Answer, RuntimeError> {
    let runtime = runtimes.open(&request.runtime, request.library.as_deref().map(Path::new))?;
    let source = match &request.model {
        Some(model) => Source::File(Path::new(model)),
        None => Source::Bytes(TINY_MODEL),
    };
    let mut watch = Watch::start();
    let mut model = runtime.load(source, request.threads)?;
    watch.loaded();
    let inputs = Fill::Scattered.tensors(model.inputs())?;
    model.prepare(inputs)?;
    watch.running();
    for _ in 0..request.runs {
        model.run()?;
    }
    Ok(Answer::Memory(model.simulated_memory().unwrap_or_else(|| watch.done())))
}

fn run(request: &RunRequest, runtimes: &dyn Runtimes) -> Result<Outputs, RuntimeError> {
    let runtime = runtimes.open(&request.runtime, request.library.as_deref().map(Path::new))?;
    let mut model = runtime.load(Source::File(Path::new(&request.model)), request.threads)?;
    let inputs = model.inputs().to_vec();
    model.prepare(request.fill.tensors(&inputs)?)?;
    model.run()?;
    Ok(Outputs { inputs, tensors: model.outputs()? })
}
