//! Members of every space, drawn anew each time, trained and run in both runtimes.
use std::env;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;

use citronade::data;
use citronade::data::DataSet;
use citronade::data::LoadOptions;
use citronade::data::Pixels;
use citronade::data::Samples;
use citronade::graph::eval;
use citronade::onnx::Batch;
use citronade::space::SPACES;
use citronade::space::by_name;
use citronade::space::initial_weights;
use citronade::train::Cpu;
use citronade::train::TrainPlan;
use citronade::train::Trainer;
use citronade::train::Watch;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::networks::relative_gap;
use crate::support::python::Case;
use crate::support::python::check_with_onnx_runtime;
use crate::support::runtime::exported_outputs;

/// Another one each time; one that failed is given in `CITRONADE_TEST_SEED`.
fn seed() -> u64 {
    let given = env::var("CITRONADE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one("spaces"));
    eprintln!("again with CITRONADE_TEST_SEED={seed}");
    seed
}

fn digits() -> DataSet {
    let options = LoadOptions { limit: Some(200), ..LoadOptions::default() };
    data::load("digits", &options).unwrap()
}

/// Noise in three colours.
fn colours(rng: &mut ChaCha8Rng) -> DataSet {
    let shape = [3, 32, 32];
    let count = 16;
    let samples = Samples {
        shape,
        pixels: Pixels::U8(Arc::new((0..count * 3 * 32 * 32).map(|_| rng.random()).collect())),
        labels: Arc::new((0..count as u32).map(|image| image % 3).collect()),
    };
    DataSet {
        name: "colours".into(),
        classes: ["red", "green", "blue"].map(str::to_owned).into(),
        shape,
        train: samples.clone(),
        validation: samples.clone(),
        test: samples,
        notes: Vec::new(),
    }
}

/// A random member of each space, trained for an epoch, which tract computes as the reference does.
fn trained_members(data: &DataSet, rng: &mut ChaCha8Rng) -> Vec<Case> {
    let (mean, std) = data::channel_statistics(&data.train);
    let plan = TrainPlan { epochs: 1, threads: 2, ..TrainPlan::default() };
    let trainer = Cpu::new(2);
    let mut image = vec![0.0; data.test.image_len()];
    data.test.copy_image(0, &mut image);
    let member = |(name, _): &(&str, &str)| {
        let space = by_name(name, data.shape, data.classes.len(), data.train.len()).unwrap();
        let drawn = std::iter::repeat_with(|| space.sample(rng));
        let graph = drawn.filter_map(|a| space.build(&a)).next().unwrap();
        let fresh = initial_weights(&graph, &mean, &std, rng);
        let trained = trainer.train(&fresh, data, &plan, &mut |_| Watch::Continue);
        let (network, report) = trained.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.curve.len(), 1);
        let (expected, found) = (eval(&network, &image), exported_outputs(&network, &image));
        let gap = relative_gap(&expected, &found);
        assert!(gap < 1e-4, "{name} on {}: tract differs by {gap}", data.name);
        (format!("{name}-{}", data.name), network, Batch::Fixed(1), vec![image.clone()])
    };
    SPACES.iter().map(member).collect()
}

#[test]
fn every_space_trains_and_runs_in_both_runtimes() {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let colours = colours(&mut rng);
    let members = [digits(), colours].map(|data| trained_members(&data, &mut rng));
    check_with_onnx_runtime(members.into_iter().flatten());
}
