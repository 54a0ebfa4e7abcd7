//! The loop: a request in, an answer out.
use std::any::Any;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use super::android;
use super::conditions::Conditions;
use super::conditions::Facts;
use super::inputs::Fill;
use super::lock::Lock;
use super::memory;
use super::memory::Watch;
use super::outputs;
use super::protocol::Answer;
use super::protocol::Hello;
use super::protocol::HoldRequest;
use super::protocol::MAX_LINE;
use super::protocol::MemoryRequest;
use super::protocol::Outputs;
use super::protocol::PROTOCOL;
use super::protocol::PerOpRequest;
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
use super::tasks;
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
    let mut lock = None;
    while let Some(line) = read_line(&mut requests)? {
        let reply = reply(&line, runtimes, &mut lock);
        answers.write_all(encode(&reply).as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

/// One line without its end, cut after [`MAX_LINE`] bytes (the rest is skipped); `None` at the end.
pub(super) fn read_line(requests: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
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

fn reply(line: &[u8], runtimes: &dyn Runtimes, lock: &mut Option<Lock>) -> Reply {
    match parse(line) {
        Ok(Request { protocol, id, task, .. }) => {
            Reply { protocol, id, answer: guarded(&task, runtimes, lock) }
        }
        Err(reason) => {
            let answer = Answer::Refused { kind: Refusal::Request, reason };
            Reply { protocol: PROTOCOL, id: 0, answer }
        }
    }
}

pub(super) fn parse(line: &[u8]) -> Result<Request, String> {
    if line.len() > MAX_LINE {
        return Err(format!("a request may have {MAX_LINE} bytes"));
    }
    let request: Request = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    match request.protocol {
        1..=PROTOCOL => Ok(request),
        other => Err(format!(
            "protocol {other} is not one of 1 to {PROTOCOL}; use the same version of citronade on \
             both sides"
        )),
    }
}

/// A panic is the model's fault: nothing of it is used afterwards.
fn guarded(task: &Task, runtimes: &dyn Runtimes, lock: &mut Option<Lock>) -> Answer {
    let result = catch_unwind(AssertUnwindSafe(|| answer(task, runtimes, lock)));
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

fn answer(
    task: &Task,
    runtimes: &dyn Runtimes,
    lock: &mut Option<Lock>,
) -> Result<Answer, RuntimeError> {
    match task {
        Task::Hello => Ok(Answer::Hello(Box::new(hello(runtimes)))),
        Task::Time(request) => Ok(Answer::Timed(Box::new(time(request, runtimes)?))),
        Task::Memory(request) => memory_use(request, runtimes),
        Task::Run(request) => Ok(Answer::Outputs(run(request, runtimes)?)),
        Task::PerOp(request) => per_op(request, runtimes),
        Task::Hold(request) => Ok(hold(request, lock)),
    }
}

/// Operations that are told.
const TOLD: usize = 1000;

fn per_op(request: &PerOpRequest, runtimes: &dyn Runtimes) -> Result<Answer, RuntimeError> {
    let runtime = runtimes.open(&request.runtime, request.library.as_deref().map(Path::new))?;
    let source = Source::File(Path::new(&request.model));
    runtime.check(source)?;
    let mut ops = runtime.per_op(source, request.threads, request.runs)?;
    ops.sort_by(|a, b| b.us.total_cmp(&a.us));
    ops.truncate(TOLD);
    Ok(Answer::PerOp(ops))
}

fn hold(request: &HoldRequest, lock: &mut Option<Lock>) -> Answer {
    let lease = duration(request.lease_us);
    match lock {
        Some(held) if held.renew(lease) => return Answer::Held,
        // Others may have measured since: what the host did meanwhile is not to be trusted.
        Some(_) => {
            *lock = None;
            let owner = "somebody else since the lease ended".to_owned();
            return Answer::Busy { owner };
        }
        None => {}
    }
    let (folder, wait) = (Path::new(&request.folder), duration(request.wait_us));
    match Lock::take(folder, &request.owner, wait, lease) {
        Ok(Ok(taken)) => {
            *lock = Some(taken);
            Answer::Held
        }
        Ok(Err(owner)) => Answer::Busy { owner },
        Err(error) => {
            let reason = format!(
                "cannot lock the device in `{}`: {error}; on this machine CITRONADE_LOCK_DIR names \
                 another folder",
                request.folder
            );
            Answer::Refused { kind: Refusal::Request, reason }
        }
    }
}

/// At most a day; what is no number is nothing.
fn duration(us: f64) -> Duration {
    Duration::from_secs_f64((us / 1e6).clamp(0.0, 86_400.0).max(0.0))
}

fn hello(runtimes: &dyn Runtimes) -> Hello {
    let mut conditions = Conditions::read();
    android::ask(&mut conditions);
    let mut facts = Facts::read();
    android::tell(&mut facts);
    Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        runtimes: runtimes.list(),
        facts,
        conditions,
        memory_limit_bytes: memory::limit(),
    }
}

fn time(request: &TimeRequest, runtimes: &dyn Runtimes) -> Result<Timed, RuntimeError> {
    let runtime = runtimes.open(&request.runtime, request.library.as_deref().map(Path::new))?;
    let source = Source::File(Path::new(&request.model));
    runtime.check(source)?;
    let start = Instant::now();
    let mut model = runtime.load(source, request.threads)?;
    let load_us = timing::micros(start.elapsed());
    let inputs = model.inputs().to_vec();
    model.prepare(Fill::Scattered.tensors(&inputs)?)?;
    let conditions = match runtime.simulates() {
        true => Conditions::default,
        false => Conditions::read,
    };
    let look = || {
        let mut now = conditions();
        android::ask(&mut now);
        now
    };
    let is_real = !runtime.simulates();
    let limit = request.heat_limit.as_ref().filter(|_| is_real);
    let limit = limit.map(|limit| timing::Limit { limit, look: &look });
    let mut timing =
        timing::time(&mut *model, &request.warmup, &request.sampling, conditions, limit)?;
    if is_real {
        android::ask(&mut timing.after);
    }
    let waits = model.caller_waits().then(tasks::own).flatten();
    let [idle, worked] = &timing.tasks;
    let threads_used = worked.busy_since(idle, waits).filter(|_| is_real);
    Ok(Timed {
        runtime_version: runtime.version(),
        threads: model.threads(),
        threads_used,
        inputs,
        load_us,
        first_us: timing.first_us,
        warmup_runs: timing.warmup_runs,
        settled: timing.settled,
        samples_us: timing.samples.kept_us,
        runs: timing.samples.runs,
        timed_us: timing.samples.timed_us,
        too_hot: timing.samples.too_hot,
        providers: model.providers(),
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
    runtime.check(source)?;
    let mut watch = (!runtime.simulates()).then(Watch::start);
    let mut model = runtime.load(source, request.threads)?;
    if let Some(watch) = &mut watch {
        watch.loaded();
    }
    let inputs = Fill::Scattered.tensors(model.inputs())?;
    model.prepare(inputs)?;
    if let Some(watch) = &mut watch {
        watch.running();
    }
    for _ in 0..request.runs {
        model.run()?;
    }
    let memory = model.simulated_memory().or_else(|| watch.map(Watch::done));
    Ok(Answer::Memory(memory.unwrap_or_default()))
}

fn run(request: &RunRequest, runtimes: &dyn Runtimes) -> Result<Outputs, RuntimeError> {
    let runtime = runtimes.open(&request.runtime, request.library.as_deref().map(Path::new))?;
    let source = Source::File(Path::new(&request.model));
    runtime.check(source)?;
    let mut model = runtime.load(source, request.threads)?;
    let inputs = model.inputs().to_vec();
    model.prepare(request.fill.tensors(&inputs)?)?;
    model.run()?;
    Ok(outputs::fitting(inputs, model.outputs()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::InputSpec;
    use crate::agent::Installed;
    use crate::agent::Loaded;
    use crate::agent::Metronome;
    use crate::agent::Runtime;
    use crate::agent::RuntimeFacts;
    use crate::agent::TensorData;

    /// What the agent answers to `lines`.
    fn answers(lines: &[u8], runtimes: &dyn Runtimes) -> Vec<Reply> {
        let mut out = Vec::new();
        serve(lines, &mut out, runtimes).unwrap();
        out.split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[track_caller]
    fn check_refused(line: &[u8], kind: Refusal, part: &str) {
        let refused = &answers(&[line, b"\n"].concat(), &Installed)[0];
        let Answer::Refused { kind: found, reason } = &refused.answer else {
            panic!("not refused: {refused:?}")
        };
        assert_eq!(*found, kind);
        assert!(reason.contains(part), "{reason}");
    }

    fn time(model: &str, runtime: &str) -> String {
        format!(
            r#"{{"protocol":1,"id":7,"task":{{"time":{{"model":"{model}","runtime":"{runtime}","threads":1,"warmup":{{"min_runs":20,"max_runs":200,"tolerance":0.02,"max_us":4e4}},"sampling":{{"min":5,"max":10,"max_us":4e4}}}}}}}}"#
        )
    }

    #[test]
    fn what_cannot_be_understood_is_refused_and_the_next_request_served() {
        let lines = b"nonsense\n\xff\xfe\n{}\n{\"protocol\":1,\"id\":4,\"task\":\"hello\"}\n";
        let replies = answers(lines, &Installed);
        let kinds: Vec<bool> =
            replies.iter().map(|r| matches!(r.answer, Answer::Refused { .. })).collect();
        assert_eq!(kinds, [true, true, true, false]);
        assert_eq!(replies.iter().map(|r| r.id).collect::<Vec<_>>(), [0, 0, 0, 4]);
    }

    #[test]
    fn another_protocol_is_refused_by_name() {
        let line = br#"{"protocol":9,"id":1,"task":"hello"}"#;
        check_refused(line, Refusal::Request, "protocol 9 is not one of 1 to 2");
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_without_being_kept() {
        let long = vec![b'a'; 3 * MAX_LINE];
        check_refused(&long, Refusal::Request, "1048576 bytes");
        let two = [long, b"\n{\"protocol\":1,\"id\":2,\"task\":\"hello\"}".to_vec()].concat();
        assert_eq!(answers(&two, &Installed)[1].id, 2);
    }

    #[test]
    fn a_model_that_is_not_there_is_the_models_fault_and_a_runtime_the_runtimes() {
        check_refused(time("/nowhere.onnx", "tract").as_bytes(), Refusal::Model, "cannot read");
        check_refused(
            time("/nowhere.onnx", "tf").as_bytes(),
            Refusal::Runtime,
            "`tract` and `ort`",
        );
    }

    #[test]
    fn an_answer_that_is_too_long_becomes_a_refusal() {
        let values = vec![Some(0.123456789); MAX_LINE / 10];
        let tensor = TensorData {
            name: "y".into(),
            element: crate::agent::Element::F64,
            shape: vec![values.len()],
            values,
        };
        let (inputs, tensors, thinned) = (Vec::new(), vec![tensor], Vec::new());
        let outputs = Outputs { inputs, tensors, thinned };
        let reply = Reply { protocol: 1, id: 3, answer: Answer::Outputs(outputs) };
        let line = encode(&reply);
        assert!(
            line.len() < 200 && line.contains("refused") && line.contains("\"id\":3"),
            "{line}"
        );
    }

    /// A runtime that panics while it loads, or one that does so in its first run.
    struct Panics {
        loads: bool,
    }

    impl Runtimes for Panics {
        fn list(&self) -> Vec<RuntimeFacts> {
            Vec::new()
        }

        fn open(&self, _: &str, _: Option<&Path>) -> Result<Box<dyn Runtime>, RuntimeError> {
            Ok(Box::new(Panics { loads: self.loads }))
        }
    }

    impl Runtime for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn version(&self) -> String {
            String::new()
        }

        fn load(&self, _: Source<'_>, _: usize) -> Result<Box<dyn Loaded>, RuntimeError> {
            assert!(self.loads, "index {} is out of bounds", 7);
            Ok(Box::new(Panics { loads: true }))
        }
    }

    impl Loaded for Panics {
        fn inputs(&self) -> &[InputSpec] {
            &[]
        }

        fn threads(&self) -> usize {
            1
        }

        fn prepare(&mut self, _: Vec<TensorData>) -> Result<(), RuntimeError> {
            Ok(())
        }

        fn run(&mut self) -> Result<Duration, RuntimeError> {
            panic!("no kernel")
        }

        fn outputs(&mut self) -> Result<Vec<TensorData>, RuntimeError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_panic_of_a_runtime_is_answered() {
        for (loads, text) in [(false, "index 7 is out of bounds"), (true, "no kernel")] {
            let lines = format!("{0}\n{0}\n", time("m.onnx", "panics"));
            let replies = answers(lines.as_bytes(), &Panics { loads });
            assert_eq!(replies.len(), 2);
            let reason = format!("the runtime gave up: {text}");
            let expected = Answer::Refused { kind: Refusal::Model, reason };
            assert_eq!(replies[1].answer, expected);
        }
    }

    #[test]
    fn the_tiny_model_computes_on_tract() {
        let runtime = Installed.open("tract", None).unwrap();
        let mut model = runtime.load(Source::Bytes(TINY_MODEL), 2).unwrap();
        let input =
            InputSpec { name: "x".into(), element: crate::agent::Element::F32, shape: vec![1] };
        assert_eq!((model.inputs(), model.threads()), ([input].as_slice(), 2));
        for (x, y) in [(-2.0, 0.0), (3.5, 3.5)] {
            let mut tensors = Fill::Scattered.tensors(model.inputs()).unwrap();
            tensors[0].values = vec![Some(x)];
            model.prepare(tensors).unwrap();
            model.run().unwrap();
            assert_eq!(model.outputs().unwrap()[0].values, [Some(y)]);
        }
    }

    #[test]
    fn a_metronome_ticks_the_same_on_every_launch() {
        let ticks = || {
            let mut model = Metronome.load(Source::Bytes(&[3; 1000]), 1).unwrap();
            (0..50).map(|_| model.run().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(ticks(), ticks());
        let within = |d: &Duration| (20_790..=21_210).contains(&d.as_nanos());
        assert!(ticks().iter().all(within), "21 µs within 1 %: {:?}", ticks());
    }
}
