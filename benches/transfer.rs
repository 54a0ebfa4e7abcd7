//! Is a cell that was found in small networks a good one in large ones? Trains it, enlarged by more cells
//! (N) and more filters (F), and random cells in networks of as many cells and as many parameters (within
//! 5 %, by their filters).
//!
//! `cargo bench --bench transfer -- CELL [DATA [IMAGES [N [F [EPOCHS [RANDOM]]]]]]`, where CELL is what
//! `citronade show` says of a candidate of `--space cells`. The cell and each random one is trained once,
//! one training a core.
//!
//! # Source
//!
//! Zoph, Vasudevan, Shlens, Le, *Learning Transferable Architectures for Scalable Image Recognition*,
//! CVPR 2018, section 3.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]
use std::str::FromStr;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use citronade::data;
use citronade::data::Augment;
use citronade::data::LoadOptions;
use citronade::engine::Material;
use citronade::engine::TrainingConfig;
use citronade::graph::Graph;
use citronade::space::ChoiceSpace;
use citronade::space::NasNet;
use citronade::space::Scale;
use citronade::train::Cpu;
use citronade::train::TrainPlan;
use citronade::train::Trainer;
use citronade::train::Watch;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Blocks of a cell, as in `--space cells`.
const BLOCKS: usize = 5;
/// How far a random cell's network may be from the found one's, as a part of its parameters.
const TOLERANCE: f64 = 0.05;
/// Most filters of a random cell.
const WIDEST: usize = 64;
const SEED: u64 = 1;

fn main() {
    let mut words = std::env::args().skip(1).filter(|a| a != "--bench");
    let cell = words.next().expect("which cell? see `citronade show` of a search in `cells`");
    let name = words.next().unwrap_or("fashion-mnist".into());
    let limit = number(words.next(), 10_000);
    let (repeats, width) = (number(words.next(), 2), number(words.next(), 8));
    let (epochs, random) = (number(words.next(), 15), number(words.next(), 5));
    let options = LoadOptions { limit: Some(limit), ..LoadOptions::default() };
    let material = Material::new(data::load(&name, &options).unwrap());
    let (input, classes) = (material.data.shape, material.data.classes.len());
    let scale = Scale { input, classes, width, repeats };
    let space = NasNet::new(scale, BLOCKS);
    let found = space.build(&space.parse(&cell).unwrap()).unwrap();
    println!(
        "{} images of {name}, N {repeats}, F {width}, {epochs} epochs",
        material.data.train.len()
    );
    println!("cell        parameters        MACs  validation    test  minutes");
    let networks = [vec![("found".into(), found.clone())], alike(scale, &found, random)].concat();
    let next = Mutex::new(networks.into_iter());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((name, graph)) = next.lock().unwrap().next() else { break };
                    println!("{}", trained(&material, &name, &graph, epochs));
                }
            });
        }
    });
}

fn number<T: FromStr>(word: Option<String>, default: T) -> T {
    word.and_then(|word| word.parse().ok()).unwrap_or(default)
}

/// Networks of random cells that are as large as `found`.
fn alike(scale: Scale, found: &Graph, n: usize) -> Vec<(String, Graph)> {
    let wanted = found.cost().parameters as f64;
    let off = |graph: &Graph| (graph.cost().parameters as f64 / wanted - 1.0).abs();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let space = NasNet::new(scale, BLOCKS);
    let draw = || {
        let choices = space.options().iter().map(|&options| rng.random_range(0..options) as u8);
        let choices = space.checked(choices.collect()).ok()?;
        let at = |width| NasNet::new(Scale { width, ..scale }, BLOCKS).build(&choices);
        // Parameters grow with the width.
        let all = (1..=WIDEST).map_while(at);
        let nearest = all.min_by(|a, b| off(a).total_cmp(&off(b)))?;
        (off(&nearest) < TOLERANCE).then_some(nearest)
    };
    let drawn = std::iter::repeat_with(draw).take(1000).flatten().take(n).enumerate();
    drawn.map(|(i, graph)| (format!("random {}", i + 1), graph)).collect()
}

/// A row of the table: what the network costs, and its errors in percent after training.
fn trained(material: &Material, name: &str, graph: &Graph, epochs: u32) -> String {
    let began = Instant::now();
    let training = TrainingConfig::default();
    let plan = TrainPlan {
        epochs,
        learning_rate: training.learning_rate,
        seed: SEED,
        threads: 1,
        augment: Augment::for_data(&material.data),
        label_smoothing: training.label_smoothing,
        ..TrainPlan::default()
    };
    let network = material.scratch(graph, &mut ChaCha8Rng::seed_from_u64(SEED));
    let cpu = Cpu::new(1);
    let data = &material.data;
    let (network, _) = cpu.train(&network, data, &plan, &mut |_| Watch::Continue).unwrap();
    let error = |samples| 100.0 * cpu.evaluate(&network, samples).unwrap().error.0;
    let (cost, minutes) = (graph.cost(), began.elapsed().as_secs_f64() / 60.0);
    format!(
        "{name:<10} {:>11} {:>11} {:>11.2} {:>7.2} {minutes:>8.1}",
        cost.parameters,
        cost.macs.0,
        error(&data.validation),
        error(&data.test)
    )
}
