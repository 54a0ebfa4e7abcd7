//! How a child best learns from its parent's outputs: chains of random morphisms from each seed, every
//! network of a chain trained by several rules.
//!
//! `cargo bench --bench imitation [DATA [IMAGES [CHAINS]]]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]
mod chains;

use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use citronade::data;
use citronade::data::Augment;
use citronade::data::LoadOptions;
use citronade::engine::Developed;
use citronade::engine::Material;
use citronade::engine::Source;
use citronade::engine::TrainingConfig;
use citronade::engine::develop;
use citronade::graph::Graph;
use citronade::morphism::Applied;
use citronade::train::Cpu;
use citronade::train::Distill;
use citronade::train::Epoch;
use citronade::train::TrainPlan;
use citronade::train::Watch;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use chains::GENERATIONS;
use chains::epochs_of;
use chains::whole;

/// How a child learns from its parent's outputs: for passes over few images before its own epochs, or
/// all the time with this share of the loss.
#[derive(Clone, Copy, Debug)]
enum Imitation {
    Before(u32),
    During(f32),
}

/// For which part of the epochs from scratch, with which imitation?
const RULES: [(f64, Imitation); 5] = [
    (0.2, Imitation::Before(0)),
    (0.2, Imitation::Before(1)),
    (0.2, Imitation::Before(2)),
    (0.27, Imitation::Before(0)),
    (0.2, Imitation::During(0.3)),
];

fn main() {
    let mut words = std::env::args().skip(1).filter(|a| a != "--bench");
    let name = words.next().unwrap_or("digits".into());
    let limit = words.next().and_then(|n| n.parse().ok());
    let chains: u64 = words.next().and_then(|n| n.parse().ok()).unwrap_or(12);
    let options = LoadOptions { limit, ..LoadOptions::default() };
    let material = Material::new(data::load(&name, &options).unwrap());
    let next = Mutex::new(0..chains);
    let errors = Mutex::new(vec![vec![Vec::new(); GENERATIONS]; RULES.len()]);
    let seconds = Mutex::new(vec![0.0; RULES.len()]);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let cpu = Cpu::new(1);
                loop {
                    let Some(chain) = next.lock().unwrap().next() else { break };
                    let (found, took) = one_chain(&cpu, &material, chain);
                    let mut seconds = seconds.lock().unwrap();
                    seconds.iter_mut().zip(took).for_each(|(all, s)| *all += s);
                    let mut errors = errors.lock().unwrap();
                    for (rule, found) in found.into_iter().enumerate() {
                        for (generation, error) in found.into_iter().enumerate() {
                            errors[rule][generation].push(error);
                        }
                    }
                }
            });
        }
    });
    let errors = errors.into_inner().unwrap();
    let mean = |of: &[f64]| 100.0 * of.iter().sum::<f64>() / of.len() as f64;
    println!("mean validation error of {chains} chains, percent, by generation");
    let whole = whole(material.data.train.len());
    let seconds = seconds.into_inner().unwrap();
    for (((part, imitation), errors), seconds) in RULES.iter().zip(&errors).zip(seconds) {
        let by_generation: Vec<String> =
            errors.iter().map(|e| format!("{:6.2}", mean(e))).collect();
        let epochs = epochs_of(*part, whole);
        println!("{epochs:>3} epochs, {imitation:?}: {}  {seconds:.0} s", by_generation.join(" "));
    }
}

/// Errors of one chain by rule and generation.
fn one_chain(cpu: &Cpu, material: &Material, chain: u64) -> (Vec<Vec<f64>>, Vec<f64>) {
    let (seed, steps) = chains::grown(material, chain);
    let data = &material.data;
    let scratch = |graph: &Graph| Source::Scratch(graph.clone());
    let whole = whole(data.train.len());
    let first = developed(cpu, material, scratch(&seed), whole, None, 0, chain);
    let of_rule = |&(part, imitation): &(f64, Imitation)| {
        let start = Instant::now();
        let mut network = Arc::new(first.network.clone());
        let child = |(generation, steps): (usize, &Vec<Applied>)| {
            let source = Source::Parent { network: network.clone(), steps: steps.clone() };
            let seed = chain * 100 + generation as u64;
            let (before, during) = match imitation {
                Imitation::Before(epochs) => (epochs, None),
                Imitation::During(weight) => {
                    (0, Some(Distill { teacher: network.clone(), weight, temperature: 2.0 }))
                }
            };
            let epochs = epochs_of(part, whole);
            let child = developed(cpu, material, source, epochs, during, before, seed);
            network = Arc::new(child.network);
            child.error
        };
        let errors: Vec<f64> = steps.iter().enumerate().map(child).collect();
        (errors, start.elapsed().as_secs_f64())
    };
    RULES.iter().map(of_rule).unzip()
}

fn developed(
    cpu: &Cpu,
    material: &Material,
    source: Source,
    epochs: u32,
    distill: Option<Distill>,
    imitation: u32,
    seed: u64,
) -> Developed {
    let training = TrainingConfig::default();
    let plan = TrainPlan {
        epochs,
        learning_rate: 0.1,
        seed,
        threads: 1,
        distill,
        augment: Augment::for_data(&material.data),
        label_smoothing: training.label_smoothing,
        ..TrainPlan::default()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let watch = &mut |_: &Epoch| Watch::Continue;
    develop(cpu, material, source, &plan, imitation, &mut rng, watch).unwrap()
}
