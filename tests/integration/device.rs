//! Runners that work, and runners that do not, as real processes.
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use citronade::agent::Answer;
use citronade::agent::Fill;
use citronade::agent::Request;
use citronade::agent::RunRequest;
use citronade::agent::Sampling;
use citronade::agent::Task;
use citronade::agent::TimeRequest;
use citronade::agent::Warmup;
use citronade::device;
use citronade::device::Catalogue;
use citronade::device::DeviceError;
use citronade::device::Fake;
use citronade::device::Local;
use citronade::device::ProfileError;
use citronade::device::Runner;
use citronade::device::Runners;
use citronade::device::Transport;

use crate::support::models;
use crate::support::skipped::not_tried;

pub const AGENT: &str = env!("CARGO_BIN_EXE_citronade-agent");

/// Long enough for a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The runner on this machine; measurements of other tests need not be waited for.
pub fn agent() -> Local {
    Local::program(AGENT, Vec::<String>::new()).with_lock_folder(None)
}

/// A runner written in shell.
pub fn script(text: &str) -> Local {
    Local::program("/bin/sh", ["-c", text]).with_lock_folder(None)
}

fn hello(transport: &dyn Transport, timeout: Duration) -> Result<Answer, DeviceError> {
    Runner::launch(transport)?.ask(Task::Hello, timeout)
}

fn run(model: &Path, fill: Fill) -> Task {
    let model = model.to_string_lossy().into_owned();
    Task::Run(RunRequest { model, runtime: "tract".into(), library: None, threads: 1, fill })
}

#[test]
fn a_fresh_process_says_who_it_is_and_what_it_may_take() {
    let Answer::Hello(hello) = hello(&agent(), PATIENCE).unwrap() else { panic!("no hello") };
    assert_eq!(hello.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(hello.runtimes[0].name, "tract");
    assert_eq!(hello.runtimes[0].missing, None);
    assert!(hello.memory_limit_bytes.is_some_and(|limit| limit > 1 << 20));
    assert_eq!(hello.facts.arch, std::env::consts::ARCH);
}

#[test]
fn the_self_test_runs_every_runtime_that_is_ready() {
    let mut command = Command::new(AGENT);
    command.arg("--self-test");
    // Listing ONNX Runtime and running it are two openings in one process.
    if let Some(python) = std::env::var_os("CITRONADE_TEST_PYTHON") {
        command.env("VIRTUAL_ENV", Path::new(&python).parent().unwrap().parent().unwrap());
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let runtimes = said.lines().filter(|line| !line.starts_with("sandbox ("));
    for line in runtimes {
        assert!(line.contains("ran the built-in model") || line.contains("not ready"), "{said}");
    }
}

#[test]
fn an_agent_inside_this_process_is_a_device_too() {
    assert!(matches!(hello(&Fake, PATIENCE), Ok(Answer::Hello(_))));
}

#[test]
fn a_runner_that_hangs_is_killed_and_named() {
    let error = hello(&script("read request; sleep 1000"), Duration::from_millis(50)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the runner on local hung: no answer within 0.05 s while it should say who it is; it was \
         killed"
    );
    assert!(error.is_transient() && error.hint().is_some());
}

#[test]
fn what_a_hung_runner_has_started_is_gone_as_well() {
    let (folder, fifo) = models::file(b"");
    std::fs::remove_file(&fifo).unwrap();
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    // The grandchild holds the other end of the fifo; reading ends when it is gone.
    let text = format!("sleep 1000 > '{}' & read request; wait", fifo.display());
    let reader = std::thread::spawn(move || std::fs::read(fifo));
    hello(&script(&text), Duration::from_millis(50)).unwrap_err();
    assert_eq!(reader.join().unwrap().unwrap(), b"");
    drop(folder);
}

#[test]
fn a_runner_that_dies_is_told_from_one_that_gives_up() {
    let died = hello(&script("read request; echo ouch >&2; kill -9 $$"), PATIENCE).unwrap_err();
    assert!(matches!(
        &died,
        DeviceError::Crashed { signal: 9, stderr_tail, .. } if stderr_tail == "ouch\n"
    ));
    let amid = "read request; printf '{\"protocol\":1,'; kill -9 $$";
    let died = hello(&script(amid), PATIENCE).unwrap_err();
    assert!(matches!(died, DeviceError::Crashed { signal: 9, .. }), "{died}");
    let gave_up = hello(&script("read request; exit 3"), PATIENCE).unwrap_err();
    assert!(matches!(gave_up, DeviceError::Ended { status: Some(3), .. }), "{gave_up}");
}

#[test]
fn a_runner_that_talks_nonsense_is_not_believed() {
    let error = hello(&script("read request; echo 'Welcome to Ubuntu'"), PATIENCE).unwrap_err();
    assert!(matches!(&error, DeviceError::Garbage { reason, .. } if reason.contains("Welcome")));
    let endless = "read request; while :; do printf aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done";
    let error = hello(&script(endless), PATIENCE).unwrap_err();
    assert!(matches!(error, DeviceError::Garbage { .. }), "{error}");
}

#[test]
fn an_answer_to_another_request_is_not_taken() {
    let old =
        r#"read r; echo '{"protocol":1,"id":7,"answer":{"refused":{"kind":"model","reason":""}}}'"#;
    let error = hello(&script(old), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("it answers request 7 of 1"), "{error}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = hello(&Local::program("/nowhere/agent", ["agent"]), PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), "the runner `/nowhere/agent agent` cannot be started on local");
}

#[test]
fn only_known_addresses_are_devices() {
    let none = Catalogue::default();
    let local = device::find(&none, "local").unwrap();
    assert_eq!(device::connect(&local, Runners::default()).unwrap().address(), "local");
    assert!(matches!(device::find(&none, "fax:1"), Err(ProfileError::Address { .. })));
}

#[test]
fn a_model_that_asks_for_512_gib_is_a_clear_error_and_the_next_one_runs() {
    let (_bomb, bomb) = models::file(&models::bomb());
    assert_eq!(std::fs::metadata(&bomb).unwrap().len(), 99);
    let (_tiny, tiny) = models::file(citronade::agent::TINY_MODEL);
    let ask = |model| Runner::launch(&agent()).unwrap().ask(run(model, Fill::Scattered), PATIENCE);
    let error = ask(&bomb).unwrap_err();
    assert!(error.is_the_models_fault(), "{error}");
    assert!(error.to_string().contains("549755813888"), "{error}");
    assert!(matches!(ask(&tiny), Ok(Answer::Outputs(_))));
}

#[test]
fn a_process_that_loads_models_is_refused_all_else() {
    let said = Command::new(AGENT).arg("--self-test").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let sandbox = said.lines().find_map(|line| line.strip_prefix("sandbox (")).expect(&said);
    let (held, tried) = sandbox.split_once("): ").unwrap();
    let (refused, not_refused) = tried.split_once("; not refused ").unwrap();
    let files = ["reading folders", "reading files", "writing files"];
    for (part, refuses) in [("landlock", &files[..]), ("seccomp", &["UDP", "TCP", "programs"])] {
        if !held.contains(part) {
            not_tried(&format!("this kernel has no {part}: not tried"));
            continue;
        }
        for name in refuses {
            assert!(refused.contains(name) && !not_refused.contains(name), "{name}: {said}");
        }
    }
}

#[test]
fn a_process_that_has_loaded_a_model_reads_no_other_file() {
    let held = sandbox_of(&agent(), "tract").unwrap();
    if !held.contains(&"landlock".to_owned()) {
        not_tried("this kernel has no Landlock: not tried");
        return;
    }
    assert_eq!(held, ["memory", "cpu", "landlock", "seccomp"]);
    match sandbox_of(&agent(), "ort") {
        Ok(with_ort) => assert_eq!(with_ort, held),
        Err(missing) => not_tried(&format!("not tried on ONNX Runtime: {missing}")),
    }
    let ((_a, first), (_b, other)) =
        (models::file(citronade::agent::TINY_MODEL), models::file(citronade::agent::TINY_MODEL));
    let mut runner = Runner::launch(&agent()).unwrap();
    for _ in 0..2 {
        assert!(runner.ask(run(&first, Fill::Scattered), PATIENCE).is_ok());
    }
    let error = runner.ask(run(&other, Fill::Scattered), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("Permission denied"), "{error}");
}

/// What holds a process that times the tiny model.
fn sandbox_of(transport: &dyn Transport, runtime: &str) -> Result<Vec<String>, DeviceError> {
    let (_folder, path) = models::file(citronade::agent::TINY_MODEL);
    let warmup = Warmup { min_runs: 1, max_runs: 1, tolerance: 1.0, max_us: 1.0 };
    let task = timing(&path, warmup, runtime);
    let Answer::Timed(timed) = Runner::launch(transport)?.ask(task, PATIENCE)? else {
        panic!("no samples")
    };
    Ok(timed.before.sandbox.unwrap())
}

fn timing(model: &Path, warmup: Warmup, runtime: &str) -> Task {
    let sampling = Sampling { min: 1, max: 1, max_us: 1.0, enough: 0, min_us: 0.0, pace_us: 0.0 };
    Task::Time(TimeRequest {
        model: model.to_string_lossy().into_owned(),
        runtime: runtime.to_owned(),
        library: None,
        threads: 1,
        warmup,
        sampling,
        heat_limit: None,
    })
}

/// Takes all the processor time it gets.
const FOREVER: Warmup =
    Warmup { min_runs: u32::MAX, max_runs: u32::MAX, tolerance: 0.0, max_us: 1e18 };

#[test]
fn a_model_that_takes_more_processor_time_than_its_deadline_is_ended_and_named() {
    let (_folder, path) = models::file(citronade::agent::TINY_MODEL);
    let request =
        Request { protocol: 1, id: 1, task: timing(&path, FOREVER, "tract"), deadline_us: 1e5 };
    let mut child =
        Command::new(AGENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", serde_json::to_string(&request).unwrap()).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(24), "SIGXCPU");
    let dies = script("read request; kill -XCPU $$");
    let error =
        Runner::launch(&dies).unwrap().ask(timing(&path, FOREVER, "tract"), PATIENCE).unwrap_err();
    assert!(error.is_the_models_fault() && !error.is_transient(), "{error}");
    let expected = format!(
        "the runner on local used more than 121 s of processor time while it should time `{}`, \
         and was ended",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn every_operator_that_tract_lacks_is_named_at_once() {
    let node = |input, output: &str, op: &str| {
        [
            models::field(1, input),
            models::field(2, output.as_bytes()),
            models::field(4, op.as_bytes()),
        ]
        .concat()
    };
    let rest = [
        models::field(1, &node(b"m", "n", "Relu")),
        models::field(1, &node(b"n", "y", "Unheard")),
        models::field(11, &models::value_info("x")),
        models::field(12, &models::value_info("y")),
    ];
    let bytes = models::model(&node(b"x", "m", "FooBar"), &rest, "");
    let (_folder, path) = models::file(&bytes);
    let mut runner = Runner::launch(&agent()).unwrap();
    let error = runner.ask(run(&path, Fill::Scattered), PATIENCE).unwrap_err();
    let expected = "tract cannot load the model: it has no operator `FooBar`, `Unheard`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn weights_outside_the_model_file_are_refused() {
    let (_folder, path) = models::file(&models::external());
    let mut runner = Runner::launch(&agent()).unwrap();
    let error = runner.ask(run(&path, Fill::Scattered), PATIENCE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `w` is stored outside the model file; put the weights inside it"
    );
}

#[test]
fn the_agent_ends_when_the_host_is_gone_even_in_the_middle_of_a_run() {
    let (_folder, path) = models::file(citronade::agent::TINY_MODEL);
    let request = serde_json::json!({"protocol": 1, "id": 1, "task": {"time": {
        "model": path, "runtime": "tract", "threads": 1, "warmup": FOREVER,
        "sampling": {"min": 1, "max": 1, "max_us": 1.0}}}});
    let mut child =
        Command::new(AGENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{request}").unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "", "it was not done");
}

#[test]
fn real_models_compute_what_their_reference_outputs_say() {
    for name in ["squeezenet", "shufflenet"] {
        let Some(model) = models::shared(&format!("onnx-light/light_{name}.onnx")) else { return };
        let expected = models::shared(&format!("onnx-light/light_{name}_output_0.pb")).unwrap();
        let expected = std::fs::read(expected).unwrap();
        let mut runner = Runner::launch(&agent()).unwrap();
        let answer = runner.ask(run(&model, Fill::Ramp), PATIENCE).unwrap();
        let Answer::Outputs(outputs) = answer else { panic!("no outputs") };
        let values = &outputs.tensors[0].values;
        assert_eq!(values.len(), 1000);
        // The file ends with 1000 little-endian floats.
        let floats = expected[expected.len() - 4000..].chunks_exact(4);
        for (value, bytes) in values.iter().zip(floats) {
            let reference = f64::from(f32::from_le_bytes(bytes.try_into().unwrap()));
            assert!((value.unwrap() - reference).abs() < 1e-5 * reference, "{name}: {value:?}");
        }
    }
}
