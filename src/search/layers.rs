//! A network as a policy on its layers sees it, and what may be done at each of them.
use std::collections::BTreeMap;

use crate::graph::Cost;
use crate::graph::Graph;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::morphism;
use crate::morphism::Layout;
use crate::morphism::Morphism;
use crate::morphism::Step;

/// What is done to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A layer becomes larger or smaller.
    Scale,
    /// There is a new layer, gate or branch.
    Insert,
    /// A layer or a branch goes.
    Remove,
}

impl Action {
    pub(super) const ALL: [Action; 3] = [Action::Scale, Action::Insert, Action::Remove];

    /// What a morphism does; `None` if it leaves layers and their sizes as they are, or makes the
    /// structures of another one.
    pub(super) fn of(morphism: &str) -> Option<Action> {
        Some(match morphism {
            "widen" | "prune" | "wider-kernel" | "shrink-kernel" | "separable" => Action::Scale,
            "deepen" | "deepen-separable" | "excite" | "add-skip" | "concat-skip" => Action::Insert,
            "drop-node" | "drop-skip" => Action::Remove,
            _ => return None,
        })
    }
}

/// Numbers that stand for a layer.
pub(super) const FEATURES: usize = 9;

/// The layers of a network: its convolutions and linear maps, in topological order.
pub(super) struct Layers {
    pub features: Vec<[f64; FEATURES]>,
    /// Of each action at each layer.
    edits: [Vec<Vec<Edit>>; 3],
    /// The layer that each node belongs to.
    at: BTreeMap<NodeId, usize>,
}

/// A morphism and where it applies.
pub(super) struct Edit {
    pub morphism: &'static dyn Morphism,
    /// At least one.
    pub sites: Vec<NodeId>,
}

impl Layers {
    /// A node that is no layer belongs to the last one before it, along its first inputs; those before
    /// all layers to the first.
    pub(super) fn of(graph: &Graph) -> Layers {
        let (mut at, mut found) = (BTreeMap::new(), Vec::new());
        for node in graph.nodes() {
            if is_layer(&node.op) {
                found.push(node.id);
            }
            let before = node.inputs.first().map_or(0, |input| at[input]);
            let own = if is_layer(&node.op) { found.len() - 1 } else { before };
            at.insert(node.id, own);
        }
        let edits = edits(graph, &at, found.len());
        Layers { features: features(graph, &graph.cost()), edits, at }
    }

    /// Layers at which something can be done by this action, in order.
    pub(super) fn places(&self, action: Action) -> Vec<usize> {
        let edits = self.edits[action as usize].iter().enumerate();
        edits.filter(|(_, edits)| !edits.is_empty()).map(|(layer, _)| layer).collect()
    }

    /// Actions that can be done somewhere.
    pub(super) fn actions(&self) -> Vec<Action> {
        Action::ALL.into_iter().filter(|&action| !self.places(action).is_empty()).collect()
    }

    /// What can be done by this action at this layer.
    pub(super) fn edits(&self, action: Action, layer: usize) -> &[Edit] {
        &self.edits[action as usize][layer]
    }

    /// By which action and at which layer a step is made; `None` if no action makes it.
    pub(super) fn place(&self, step: &Step) -> Option<(Action, usize)> {
        let action = Action::of(&step.morphism)?;
        let layer = *self.at.get(&step.site)?;
        self.places(action).contains(&layer).then_some((action, layer))
    }
}

fn is_layer(op: &Op) -> bool {
    matches!(op, Op::Conv(_) | Op::Linear(_))
}

fn edits(graph: &Graph, at: &BTreeMap<NodeId, usize>, layers: usize) -> [Vec<Vec<Edit>>; 3] {
    let mut edits = Action::ALL.map(|_| (0..layers).map(|_| Vec::new()).collect::<Vec<_>>());
    let layout = Layout::new(graph);
    for &morphism in morphism::catalogue() {
        let Some(action) = Action::of(morphism.name()) else { continue };
        let mut sites: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
        for site in morphism::sites_of(morphism, &layout) {
            sites.entry(at[&site]).or_default().push(site);
        }
        for (layer, sites) in sites {
            // A network without any layer has nothing to place edits at.
            if let Some(there) = edits[action as usize].get_mut(layer) {
                there.push(Edit { morphism, sites });
            }
        }
    }
    edits
}

/// For each layer: is it dense, grouped, linear? Logarithms of channels, kernel, stride and groups, its
/// share of the multiply-accumulates, and how deep it lies; all between -1 and 1 or a little beyond.
fn features(graph: &Graph, cost: &Cost) -> Vec<[f64; FEATURES]> {
    let layers = graph.nodes().iter().filter(|node| is_layer(&node.op)).count();
    let mut rows: Vec<[f64; FEATURES]> = Vec::with_capacity(layers);
    for (node, node_cost) in graph.nodes().iter().zip(&cost.nodes) {
        let (kind, channels, kernel, stride, groups) = match &node.op {
            Op::Conv(conv) => {
                let kind = if conv.groups == 1 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
                let area = |sides: [usize; 2]| sides[0] * sides[1];
                (kind, conv.channels, area(conv.kernel), area(conv.stride), conv.groups)
            }
            Op::Linear(linear) => ([0.0, 0.0, 1.0], linear.features, 1, 1, 1),
            _ => continue,
        };
        let share = node_cost.macs as f64 / (cost.macs.0.max(1)) as f64;
        let depth = rows.len() as f64 / layers as f64;
        let log = |n: usize, scale: f64| (n as f64).ln() / scale;
        let [dense, grouped, linear] = kind;
        let sizes = [log(channels, 5.0), log(kernel, 3.0), log(stride, 2.0), log(groups, 5.0)];
        let [channels, kernel, stride, groups] = sizes;
        let share = share.max(LEAST_SHARE).ln() / -LEAST_SHARE.ln();
        rows.push([dense, grouped, linear, channels, kernel, stride, groups, share, depth]);
    }
    rows
}

/// Smaller shares of the multiply-accumulates are not told apart.
const LEAST_SHARE: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::MorphismSpace;

    #[test]
    fn every_morphism_that_changes_layers_belongs_to_an_action() {
        let names = morphism::catalogue().iter().map(|m| m.name());
        let left_out: Vec<&str> = names.filter(|name| Action::of(name).is_none()).collect();
        assert_eq!(left_out, ["widen-copy", "change-activation"]);
    }

    #[test]
    fn each_site_of_a_morphism_is_found_at_one_layer() {
        for graph in MorphismSpace::new([1, 8, 8], 10, 1_000).seeds() {
            let layers = Layers::of(&graph);
            for action in Action::ALL {
                let mut found = Vec::new();
                for layer in 0..layers.features.len() {
                    for edit in layers.edits(action, layer) {
                        found.extend(edit.sites.iter().map(|&site| (edit.morphism.name(), site)));
                    }
                }
                let all =
                    morphism::catalogue().iter().filter(|m| Action::of(m.name()) == Some(action));
                let mut all: Vec<_> = all
                    .flat_map(|m| m.sites(&graph).into_iter().map(|site| (m.name(), site)))
                    .collect();
                found.sort();
                all.sort();
                assert_eq!(found, all, "{action:?}");
            }
        }
    }

    #[test]
    fn a_layer_is_the_convolution_before_its_activation() {
        let graph = MorphismSpace::new([1, 8, 8], 10, 1_000).seeds().pop().unwrap();
        let layers = Layers::of(&graph);
        let mut last = None;
        for node in graph.nodes() {
            if is_layer(&node.op) {
                last = Some(last.map_or(0, |layer: usize| layer + 1));
            }
            assert_eq!(layers.at[&node.id], last.unwrap_or(0), "{}", node.id);
        }
        assert_eq!(layers.features.len(), last.unwrap() + 1);
        let [.., share, depth] = layers.features[0];
        assert!((-1.0..=0.0).contains(&share) && depth == 0.0);
    }
}
