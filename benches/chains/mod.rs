//! Chains of random morphisms, that more than one benchmark trains.
use citronade::engine::Material;
use citronade::graph::Graph;
use citronade::morphism::Applied;
use citronade::space::MorphismSpace;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Children of a chain.
pub const GENERATIONS: usize = 4;

/// Epochs from scratch, as a search takes them for large networks.
pub fn whole(images: usize) -> u32 {
    (120_000usize.div_ceil(images) as u32).min(40)
}

/// A part of them.
pub fn epochs_of(part: f64, whole: u32) -> u32 {
    (part * f64::from(whole)).round() as u32
}

/// A seed network and the steps to each of its descendants, one after another.
pub fn grown(material: &Material, chain: u64) -> (Graph, Vec<Vec<Applied>>) {
    let data = &material.data;
    let mut rng = ChaCha8Rng::seed_from_u64(chain);
    let space = MorphismSpace::new(data.shape, data.classes.len(), data.train.len());
    let mut seeds = space.seeds();
    // Nothing grows from a linear classifier.
    seeds.retain(|seed| !space.mutate(seed, 1, &mut rng).is_empty());
    let seed = seeds.swap_remove(chain as usize % seeds.len());
    let mut steps: Vec<Vec<Applied>> = Vec::new();
    for _ in 0..GENERATIONS {
        let last = steps.last().and_then(|s| s.last()).map_or(&seed, |applied| &applied.graph);
        // A morphism that found no way is drawn again.
        let step = std::iter::repeat_with(|| space.mutate(last, rng.random_range(1..=3), &mut rng));
        match step.take(100).find(|steps| !steps.is_empty()) {
            Some(found) => steps.push(found),
            None => break,
        }
    }
    (seed, steps)
}
