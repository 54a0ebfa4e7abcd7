//! Where architectures come from: the open morphism space and its seeds.
//!
//! The space is everything that morphisms make of the [`seeds`]. The seeds' strides and poolings
//! stay; morphisms change what lies between them.
mod features;
mod seeds;
mod weights;

pub use features::FEATURES;
pub use features::features;
pub use seeds::seeds;
pub use weights::initial_weights;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::morphism;
use crate::morphism::Applied;
use crate::morphism::Layout;
use crate::morphism::Morphism;

/// Most morphisms between a seed and a [`random_architecture`].
const MAX_RANDOM_STEPS: usize = 12;

/// Morphisms that [`mutate`] does not draw: `widen-copy` makes the structures of `widen`.
const BY_CHOICE_ONLY: &[&str] = &["widen-copy"];

/// A chain of `steps` random morphisms from `graph`, the last graph in the last element.
///
/// Each is drawn uniformly among the operators that apply somewhere, then uniformly among its
/// sites and the choices there. Shorter than asked for only if nothing applies any more.
/// `widen-copy` is never drawn, since it makes the same structures as `widen`.
pub fn mutate(graph: &Graph, rng: &mut ChaCha8Rng, steps: usize) -> Vec<Applied> {
    let mut chain: Vec<Applied> = Vec::with_capacity(steps);
    while chain.len() < steps {
        let last = chain.last().map_or(graph, |applied| &applied.graph);
        match random_step(last, rng) {
            Some(applied) => chain.push(applied),
            None => break,
        }
    }
    chain
}

/// An architecture from anywhere in the space: up to 12 random morphisms after a random seed.
///
/// `images` is the number of training images, as for [`seeds`].
pub fn random_architecture(
    input: [usize; 3],
    classes: usize,
    images: usize,
    rng: &mut ChaCha8Rng,
) -> Graph {
    let seeds = seeds(input, classes, images);
    let seed = &seeds[rng.random_range(0..seeds.len())];
    let steps = rng.random_range(0..=MAX_RANDOM_STEPS);
    mutate(seed, rng, steps).pop().map_or_else(|| seed.clone(), |applied| applied.graph)
}

fn random_step(graph: &Graph, rng: &mut ChaCha8Rng) -> Option<Applied> {
    let layout = Layout::new(graph);
    let mut operators: Vec<&dyn Morphism> = morphism::catalogue().to_vec();
    operators.retain(|m| !BY_CHOICE_ONLY.contains(&m.name()));
    while !operators.is_empty() {
        let operator = operators.swap_remove(rng.random_range(0..operators.len()));
        let sites = morphism::sites_of(operator, &layout);
        if let Some(&site) = sites.choose(rng) {
            return operator.apply(graph, site, rng).ok();
        }
    }
    None
}
