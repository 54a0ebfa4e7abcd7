//! Damaged ONNX files end as a named error, whatever was damaged.
use std::time::Duration;

use citronade::agent::Answer;
use citronade::agent::Fill;
use citronade::agent::RunRequest;
use citronade::agent::Task;
use citronade::device::DeviceError;
use citronade::device::Runner;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::device::AGENT;
use crate::device::script;
use crate::support::models;

/// Mutants that are tried unless `CITRONADE_MUTANTS` says otherwise; see docs/measuring.md.
const MUTANTS: usize = 200;

/// How long one may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Memory that one may take, KiB.
const MEMORY_KIB: u32 = 2 << 20;

/// Real files that load in a moment.
const REAL: [&str; 4] = [
    "onnx-real/magika_standard_v3_3.onnx",
    "onnx-real/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "onnx-light/light_squeezenet.onnx",
    "onnx-light/light_shufflenet.onnx",
];

/// One way to damage a file, where its structure is dense: most bytes of a real file are weights.
fn mutant(model: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = model.to_vec();
    let near = |rng: &mut ChaCha8Rng, length: usize| match rng.random_bool(0.5) {
        true => rng.random_range(0..length.min(4096)),
        false => rng.random_range(0..length),
    };
    let at = near(rng, bytes.len());
    match rng.random_range(0..6) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => (0..rng.random_range(1..20)).for_each(|_| {
            let at = near(rng, bytes.len());
            bytes[at] = rng.random();
        }),
        3 => {
            let end = (at + rng.random_range(1..200)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let end = (at + rng.random_range(1..200)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = near(rng, bytes.len());
            bytes.splice(to..to, piece);
        }
        // A huge number where a length or a dimension may be.
        _ => {
            bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x7f]);
        }
    }
    bytes
}

#[test]
fn damaged_models_are_named_errors_in_bounded_time_and_memory() {
    let files: Vec<_> = REAL.iter().filter_map(|name| models::shared(name)).collect();
    let files: Vec<_> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    if files.is_empty() {
        return;
    }
    let given = std::env::var("CITRONADE_MUTANTS").ok();
    let mutants = given.map_or(MUTANTS, |n| n.parse().unwrap());
    let transport = script(&format!("ulimit -d {MEMORY_KIB}; exec '{AGENT}'"));
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (mut ran, mut refused, mut crashed, mut hung) = (0, 0, 0, 0);
    for number in 0..mutants {
        let bytes = mutant(&files[number % files.len()], &mut rng);
        let (_folder, path) = models::file(&bytes);
        let task = Task::Run(RunRequest {
            model: path.to_string_lossy().into_owned(),
            runtime: "tract".to_owned(),
            library: None,
            threads: 1,
            fill: Fill::Scattered,
        });
        match Runner::launch(&transport).unwrap().ask(task, DEADLINE) {
            Ok(Answer::Outputs(_)) => ran += 1,
            Err(error @ DeviceError::Refused { .. }) if error.is_the_models_fault() => refused += 1,
            Err(DeviceError::Crashed { .. }) => crashed += 1,
            Err(DeviceError::Hung { .. }) => hung += 1,
            other => panic!("mutant {number}: {other:?}"),
        }
    }
    eprintln!("of {mutants}: {ran} ran, {refused} refused, {crashed} crashed, {hung} hung");
    assert!(refused > mutants / 4 && ran > 0, "a mutation that never matters tests nothing");
    assert!(hung * 100 <= mutants, "{hung} had to be killed");
}
