//! Narrower: the channels that matter least go.
use rand_chacha::ChaCha8Rng;

use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;

use super::Applied;
use super::Choice;
use super::Exactness;
use super::Layout;
use super::Morphism;
use super::MorphismError;
use super::channels::Group;
use super::slice::Slice;

/// Fewest channels that are left.
const MIN_CHANNELS: usize = 4;

/// Removes a quarter or half of the channels of a group and refits its consumers.
///
/// A channel matters as much as its share in what the consumers compute varies: its observed
/// variance times the squared weights that read it. The consumers' remaining weights are then
/// refitted to their old outputs by least squares.
pub struct Prune;

impl Morphism for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Approximate
    }

    fn summary(&self) -> &'static str {
        "removes the channels that matter least and refits those who read them"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let from = Group::of(layout, site)?.width;
        let mut widths = vec![(3 * from).div_ceil(4), from.div_ceil(2)];
        widths.dedup();
        widths.retain(|&to| to < from && to >= MIN_CHANNELS);
        Ok(widths.into_iter().map(|to| Choice::Channels { from, to }).collect())
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let group = Group::of(layout, site).expect("a choice exists only at a site");
        group.resize(layout.graph(), width(choice))
    }

    fn observes(&self, parent: &Graph, applied: &Applied) -> Vec<NodeId> {
        let layout = Layout::new(parent);
        let group = Group::of(&layout, applied.step.site).expect("a step is recorded at a site");
        group.read(&layout)
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let layout = Layout::new(&parent.graph);
        let group = Group::of(&layout, applied.step.site).expect("a step is recorded at a site");
        let slice = Slice { morphism: self.name(), parent, layout: &layout, group: &group };
        let kept = strongest(&slice.importance(activations)?, width(applied.step.edit));
        slice.without_the_rest(&applied.graph, &kept, activations, rng)
    }
}

fn width(choice: Choice) -> usize {
    match choice {
        Choice::Channels { to, .. } => to,
        other => panic!("`{other}` is no choice of prune"),
    }
}

/// Positions of the `count` largest scores, in order.
fn strongest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    order.sort_unstable();
    order
}
