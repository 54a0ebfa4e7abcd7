//! How exact the exact morphisms are: `cargo bench --bench exactness [CASES]`, 10,000 by default.
//!
//! Each case is a random network (half of them of all operations, half from the search space), a
//! random exact morphism that applies there, and a random site. Prints, for each morphism, the
//! largest difference between an output of parent and child, as a share of the parent's largest
//! output, in the reference evaluator and as exported files in tract, and the structures made in a second.
#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::unwrap_used, reason = "a benchmark may fail like a test")]

#[path = "../tests/integration/support/activations.rs"]
mod activations;
#[path = "../tests/integration/support/networks.rs"]
mod networks;
#[path = "../tests/integration/support/runtime.rs"]
mod runtime;

use std::collections::BTreeMap;
use std::time::Instant;

use citronade::graph::*;
use citronade::morphism::*;
use citronade::space::MorphismSpace;
use rand::RngExt;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::activations::observe_samples;
use crate::networks::random_network;
use crate::networks::random_sample;
use crate::networks::random_weights;
use crate::networks::relative_gap;
use crate::runtime::exported_outputs;

fn main() {
    let cases = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(10_000);
    let mut gaps: BTreeMap<&str, Vec<[f32; 2]>> = BTreeMap::new();
    for (name, gap) in (0..).filter_map(case).take(cases) {
        gaps.entry(name).or_default().push(gap);
    }
    println!("{:<18}{:>8}{:>16}{:>16}", "morphism", "cases", "in reference", "in tract");
    let row = |name: &str, gaps: &[[f32; 2]]| {
        let [reference, tract] = [0, 1].map(|way| largest(gaps, way));
        println!("{name:<18}{:>8}{reference:>16.1e}{tract:>16.1e}", gaps.len());
    };
    gaps.iter().for_each(|(name, gaps)| row(name, gaps));
    row("all", &gaps.into_values().flatten().collect::<Vec<_>>());
    println!("{:.0} structures a second", structures_a_second());
}

fn largest(gaps: &[[f32; 2]], way: usize) -> f32 {
    gaps.iter().fold(0.0, |most: f32, gap| most.max(gap[way]))
}

/// One random network, exact morphism and site: the morphism's name and the gap in the reference and in
/// tract. `None` for the rare network where none applies.
fn case(seed: u64) -> Option<(&'static str, [f32; 2])> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let parent = any_network(seed, &mut rng);
    let applicable = catalogue().iter().filter_map(|m| {
        let sites = m.sites(&parent.graph);
        (m.exactness() == Exactness::Exact && !sites.is_empty()).then_some((*m, sites))
    });
    let (morphism, sites) = applicable.collect::<Vec<_>>().choose(&mut rng)?.clone();
    let site = *sites.choose(&mut rng)?;
    let applied = morphism.apply(&parent.graph, site, &mut rng).unwrap();
    let samples: Vec<_> = (0..4).map(|_| random_sample(&parent, &mut rng)).collect();
    let wanted = morphism.observes(&parent.graph, &applied);
    let seen = observe_samples(&parent, &wanted, &samples);
    let child = morphism.initialise(&parent, &applied, &seen, &mut rng).unwrap();
    check_network(&child).unwrap();
    let sample = random_sample(&parent, &mut rng);
    let in_reference = relative_gap(&eval(&parent, &sample), &eval(&child, &sample));
    let [before, after] = [&parent, &child].map(|network| exported_outputs(network, &sample));
    Some((morphism.name(), [in_reference, relative_gap(&before, &after)]))
}

fn any_network(seed: u64, rng: &mut ChaCha8Rng) -> Network {
    if seed.is_multiple_of(2) {
        return random_network(seed);
    }
    let channels = rng.random_range(1..=3);
    let graph = MorphismSpace::new([channels, 8, 8], 10, 1_400).sample(rng);
    let weights = random_weights(&graph, rng);
    Network { graph, weights }
}

/// How many children [`MorphismSpace::mutate`] makes, 1 to 3 morphisms each.
fn structures_a_second() -> f64 {
    let space = MorphismSpace::new([1, 28, 28], 10, 50_000);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // Nothing grows from a linear classifier.
    let parents = std::iter::repeat_with(|| space.sample(&mut rng)).take(100);
    let mut parents: Vec<Graph> = parents.collect();
    parents.retain(|parent| !space.mutate(parent, 1, &mut rng).is_empty());
    let start = Instant::now();
    let made = 2_000;
    for n in 0..made {
        let steps = rng.random_range(1..=3);
        let chain = space.mutate(&parents[n % parents.len()], steps, &mut rng);
        assert!(!chain.is_empty());
    }
    made as f64 / start.elapsed().as_secs_f64()
}
