//! What inherited weights are worth, and how they are best trained: chains of random morphisms from each
//! seed, every network of a chain trained by several rules, from its parent's weights and from scratch.
//!
//! `cargo bench --bench inheritance [DATA [IMAGES [CHAINS]]]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]
mod chains;

use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

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
use citronade::train::Epoch;
use citronade::train::TrainPlan;
use citronade::train::Watch;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use chains::GENERATIONS;
use chains::epochs_of;
use chains::whole;

/// Does it inherit, for which part of the epochs from scratch, at which learning rate?
const RULES: [(bool, f64, f32); 7] = [
    (true, 0.2, 0.1),
    (true, 0.33, 0.03),
    (true, 0.33, 0.1),
    (true, 0.67, 0.1),
    (true, 1.0, 0.1),
    (false, 0.33, 0.1),
    (false, 1.0, 0.1),
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
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let cpu = Cpu::new(1);
                loop {
                    let Some(chain) = next.lock().unwrap().next() else { break };
                    let found = one_chain(&cpu, &material, chain);
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
    for ((inherits, part, rate), errors) in RULES.iter().zip(&errors) {
        let kind = if *inherits { "inherited" } else { "scratch" };
        let by_generation: Vec<String> =
            errors.iter().map(|e| format!("{:6.2}", mean(e))).collect();
        let epochs = epochs_of(*part, whole);
        println!("{kind:<10} {epochs:>3} epochs at {rate:<5} {}", by_generation.join(" "));
    }
}

/// Errors of one chain by rule and generation.
fn one_chain(cpu: &Cpu, material: &Material, chain: u64) -> Vec<Vec<f64>> {
    let (seed, steps) = chains::grown(material, chain);
    let data = &material.data;
    let scratch = |graph: &Graph| Source::Scratch(graph.clone());
    let whole = whole(data.train.len());
    let first = developed(cpu, material, scratch(&seed), whole, 0.1, chain);
    RULES
        .iter()
        .map(|&(inherits, part, rate)| {
            let mut network = Arc::new(first.network.clone());
            let child = |(generation, steps): (usize, &Vec<Applied>)| {
                let source = match inherits {
                    true => Source::Parent { network: network.clone(), steps: steps.clone() },
                    false => scratch(&steps[steps.len() - 1].graph),
                };
                let seed = chain * 100 + generation as u64;
                let child = developed(cpu, material, source, epochs_of(part, whole), rate, seed);
                network = Arc::new(child.network);
                child.error
            };
            steps.iter().enumerate().map(child).collect()
        })
        .collect()
}

/// As a search does it, an epoch of imitation after approximate morphisms included.
fn developed(
    cpu: &Cpu,
    material: &Material,
    source: Source,
    epochs: u32,
    learning_rate: f32,
    seed: u64,
) -> Developed {
    let training = TrainingConfig::default();
    let plan = TrainPlan {
        epochs,
        learning_rate,
        seed,
        threads: 1,
        augment: Augment::for_data(&material.data),
        label_smoothing: training.label_smoothing,
        ..TrainPlan::default()
    };
    let (imitation, mut rng) = (training.epochs_of_distillation, ChaCha8Rng::seed_from_u64(seed));
    let watch = &mut |_: &Epoch| Watch::Continue;
    develop(cpu, material, source, &plan, imitation, &mut rng, watch).unwrap()
}
