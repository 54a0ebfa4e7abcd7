//! The open space: everything that morphisms make of some seed networks.
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::morphism;
use crate::morphism::Applied;
use crate::morphism::Layout;
use crate::morphism::Morphism;

use super::Architecture;
use super::Features;
use super::Space;
use super::features;
use super::seeds;

/// Most morphisms between a seed and a [`sample`](MorphismSpace::sample).
const MAX_SAMPLE_STEPS: usize = 12;

/// Morphisms that are never drawn: `widen-copy` makes the structures of `widen`.
const BY_CHOICE_ONLY: &[&str] = &["widen-copy"];

/// Everything that morphisms make of some seed networks.
///
/// The seeds' strides and poolings stay; morphisms change what lies between them.
#[derive(Clone, Debug)]
pub struct MorphismSpace {
    input: [usize; 3],
    classes: usize,
    images: usize,
}

impl MorphismSpace {
    /// The space for images of `input` (`[C, H, W]`) in so many classes, with seeds scaled to so
    /// many training `images`.
    pub fn new(input: [usize; 3], classes: usize, images: usize) -> Self {
        MorphismSpace { input, classes, images }
    }

    /// Six seed networks, fewest multiply-accumulates first: among them a linear classifier, one with a single
    /// coarse convolution before it, and four deeper ones, dense and separable, small and larger;
    /// from 10,000 training images on a seventh, dense and twice as wide as the larger one.
    ///
    /// Of the deeper ones each is one block (convolution, batch normalisation, ReLU) a stage, with widths that
    /// double from stage to stage and a max-pooling between stages, so that 2 to 7 pixels remain
    /// along the shorter side; then global average pooling and a linear layer. In the separable
    /// ones all blocks but the first are a depthwise and a 1×1 convolution. The larger seeds are
    /// twice as wide as the small ones, four times from 10,000 training images on.
    ///
    /// The smallest has 650 parameters on 8×8 digits and 2,078 on Fashion-MNIST, so it is trained
    /// in seconds.
    ///
    /// # Panics
    ///
    /// If a size of the input, or the number of classes, is 0.
    ///
    /// # Source
    ///
    /// Search space I of Elsken, Metzen, Hutter, *LEMONADE*, ICLR 2019, scaled down to the data;
    /// the two shallow ones are ours, for the cheap end of the front.
    pub fn seeds(&self) -> Vec<Graph> {
        seeds::seeds(self.input, self.classes, self.images)
    }

    /// An architecture from anywhere in the space: up to 12 random morphisms after a random seed.
    pub fn sample(&self, rng: &mut ChaCha8Rng) -> Graph {
        let seeds = self.seeds();
        let seed = &seeds[rng.random_range(0..seeds.len())];
        let steps = rng.random_range(0..=MAX_SAMPLE_STEPS);
        self.mutate(seed, steps, rng).pop().map_or_else(|| seed.clone(), |applied| applied.graph)
    }

    /// A chain of `steps` random morphisms from `graph`, the child in the last element.
    ///
    /// Each is drawn uniformly among the operators that apply somewhere, then uniformly among its
    /// sites and the choices there; `widen-copy` is left out, since it makes the structures of
    /// `widen`. Shorter than asked for only if nothing applies any more.
    pub fn mutate(&self, graph: &Graph, steps: usize, rng: &mut ChaCha8Rng) -> Vec<Applied> {
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

    /// Numbers that tell architectures apart, for surrogates of the search; always [`FEATURES`](super::FEATURES)
    /// many.
    ///
    /// In order: logarithms of parameters, multiply-accumulates, peak memory and bytes moved (4);
    /// nodes and convolutions on the longest path (2); counts of 1×1, other dense, grouped,
    /// depthwise up to 3×3 and larger depthwise convolutions, additions, concatenations, gates,
    /// poolings, ReLU-like and other activations (11); for each of 5 image sizes, from the
    /// input's downwards by halves: convolutions, logarithm of their mean width, share of the
    /// multiply-accumulates (15).
    ///
    /// # Panics
    ///
    /// If the graph is not valid.
    pub fn features(graph: &Graph) -> Vec<f64> {
        features::features(graph)
    }
}

impl Space for MorphismSpace {
    fn name(&self) -> &str {
        "morphism"
    }

    fn starts(&self) -> Vec<Architecture> {
        self.seeds().into_iter().map(Architecture::grown).collect()
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> Architecture {
        Architecture::grown(MorphismSpace::sample(self, rng))
    }

    /// Each step is a random morphism.
    fn mutate(
        &self,
        parent: &Architecture,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Architecture> {
        let steps = MorphismSpace::mutate(self, graph(parent), steps, rng);
        let graph = steps.last()?.graph.clone();
        Some(Architecture::Grown { graph, steps })
    }

    /// Networks that grew apart have no common places to be cut at.
    fn cross(
        &self,
        _a: &Architecture,
        _b: &Architecture,
        _rng: &mut ChaCha8Rng,
    ) -> Option<Architecture> {
        None
    }

    fn features(&self, architecture: &Architecture) -> Features {
        let mut costs = MorphismSpace::features(graph(architecture));
        let mut depths = costs.split_off(features::TOTALS);
        let mut counts = depths.split_off(features::DEPTHS);
        let stages = counts.split_off(features::KINDS);
        let statistics = [depths, stages].concat();
        Features { counts, statistics, costs, ..Features::default() }
    }

    fn build(&self, architecture: &Architecture) -> Option<Graph> {
        Some(graph(architecture).clone())
    }
}

/// The graph of an architecture that must be of the open space.
fn graph(architecture: &Architecture) -> &Graph {
    match architecture {
        Architecture::Grown { graph, .. } => graph,
        Architecture::Chosen(_) => panic!("the open space has no choices"),
    }
}

fn random_step(graph: &Graph, rng: &mut ChaCha8Rng) -> Option<Applied> {
    let layout = Layout::new(graph);
    let mut operators: Vec<&dyn Morphism> = morphism::catalogue().to_vec();
    operators.retain(|m| !BY_CHOICE_ONLY.contains(&m.name()));
    while !operators.is_empty() {
        let operator = operators.swap_remove(rng.random_range(0..operators.len()));
        let sites = morphism::sites_of(operator, &layout);
        if let Some(&site) = sites.choose(rng) {
            return morphism::apply_to(operator, &layout, site, rng).ok();
        }
    }
    None
}
