//! Which nodes must change together when the channels of one change.
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Tensor;

use super::Layout;
use super::fresh;
use super::remap::Source;
use super::remap::remap_columns;
use super::remap::remap_rows;

/// Channels that live and die together.
///
/// Starting from one producer, they are followed forwards through channel-wise operations to the
/// mixing consumers, and sideways and backwards through additions, products and concatenations
/// to every other producer.
pub(super) struct Group {
    /// How many channels.
    pub width: usize,
    /// Nodes whose output holds them, with the channel at which each block of `width` begins
    /// (a concatenation may hold several).
    pub carriers: BTreeMap<NodeId, Vec<usize>>,
    /// Convolutions and linear layers that mix them.
    pub consumers: BTreeSet<NodeId>,
}

/// What an operation does to the channels of its first input.
enum Role {
    /// Every output channel reads all of them.
    Mixes,
    /// Output channel `c` reads channel `c` alone.
    Keeps,
    /// Several inputs, channel by channel.
    Joins,
    /// Several inputs, one behind the other.
    Stacks,
    /// Neither; channels cannot change here.
    Fixed(&'static str),
}

impl Group {
    /// The group of the output channels of `producer`, a dense convolution or linear layer.
    ///
    /// # Errors
    ///
    /// Why they cannot change.
    pub fn of(layout: &Layout, producer: NodeId) -> Result<Group, &'static str> {
        match role(layout, producer) {
            Role::Mixes => Walk::new(layout, layout.channels(producer), None).run(producer, 0),
            Role::Fixed(reason) => Err(reason),
            Role::Keeps | Role::Joins | Role::Stacks => Err("it makes no channels of its own"),
        }
    }

    /// What reads `width` channels from `first` on of the concatenation `concat`; nodes above it
    /// stay as they are.
    ///
    /// # Errors
    ///
    /// Why they cannot change.
    pub fn below(
        layout: &Layout,
        concat: NodeId,
        first: usize,
        width: usize,
    ) -> Result<Group, &'static str> {
        Walk::new(layout, width, Some(concat)).run(concat, first)
    }

    /// Which of the group's channels is `channel` of `id`?
    pub fn position(&self, id: NodeId, channel: usize) -> Option<usize> {
        let blocks = self.carriers.get(&id)?;
        let first = blocks.iter().find(|&&b| (b..b + self.width).contains(&channel))?;
        Some(channel - first)
    }

    /// What the consumers read.
    pub fn read(&self, layout: &Layout) -> Vec<NodeId> {
        let inputs: BTreeSet<NodeId> =
            self.consumers.iter().filter_map(|&id| layout.first_input(id)).collect();
        inputs.into_iter().collect()
    }

    /// `graph` with `to` channels in this group; the last channels of each block come or go.
    pub fn resize(&self, graph: &Graph, to: usize) -> Graph {
        let mut graph = graph.clone();
        for (&id, blocks) in &self.carriers {
            let resized = |n: usize| n - blocks.len() * self.width + blocks.len() * to;
            match graph.op(id).clone() {
                Op::Conv(conv) if conv.groups == 1 => {
                    let channels = resized(conv.channels);
                    graph.set_op(id, Op::Conv(Conv { channels, ..conv }));
                }
                Op::Conv(conv) => {
                    let channels = resized(conv.channels);
                    graph.set_op(id, Op::Conv(Conv { channels, groups: channels, ..conv }));
                }
                Op::Linear(mut linear) => {
                    linear.features = resized(linear.features);
                    graph.set_op(id, Op::Linear(linear));
                }
                Op::Input { .. }
                | Op::Normalize
                | Op::BatchNorm { .. }
                | Op::Activation(_)
                | Op::Add
                | Op::Mul
                | Op::Concat
                | Op::MaxPool(_)
                | Op::AvgPool(_)
                | Op::GlobalAveragePool
                | Op::Flatten
                | Op::Dropout { .. }
                | Op::Resize(_) => {}
            }
        }
        graph
    }

    /// The weights of the parent on `graph`, with the group's channels taken from `map`.
    ///
    /// `shares[j]` scales what the consumers make of channel `j` of the map. `random` gives that
    /// many values of this root mean square, for rows and columns without a source.
    pub fn remap(
        &self,
        parent: &Network,
        graph: &Graph,
        map: &[Source],
        shares: &[f32],
        random: &mut dyn FnMut(usize, f32) -> Vec<f32>,
    ) -> Network {
        let layout = Layout::new(&parent.graph);
        let mut child = fresh::inherit(parent, graph);
        for &id in self.carriers.keys().filter(|id| parent.weights.contains_key(id)) {
            let rows = self.sources(&layout, id, map);
            for (_, tensor) in child.params_mut(id).tensors_mut() {
                *tensor = remap_rows(tensor, &rows, random);
            }
        }
        for &id in &self.consumers {
            let input = layout.first_input(id).expect("G3: a consumer reads one input");
            let sources = self.sources(&layout, input, map);
            let shares = self.spread(&layout, input, |_| shares.to_vec(), |_| 1.0);
            let weight = weight_mut(&mut child, id);
            *weight = remap_columns(weight, layout.channels(input), &sources, &shares, random);
        }
        child
    }

    /// Where each channel of `id` comes from if those of the group come from `map`.
    pub fn sources(&self, layout: &Layout, id: NodeId, map: &[Source]) -> Vec<Source> {
        let block = |at: usize| map.iter().map(|source| source.shifted(at)).collect();
        self.spread(layout, id, block, Source::Kept)
    }

    /// One value for each channel of `id`: `block(first)` for a block that begins at `first`,
    /// `other(channel)` for a channel that is not in the group.
    fn spread<T>(
        &self,
        layout: &Layout,
        id: NodeId,
        block: impl Fn(usize) -> Vec<T>,
        other: impl Fn(usize) -> T,
    ) -> Vec<T> {
        let blocks = self.carriers.get(&id).map_or(&[][..], Vec::as_slice);
        let mut values = Vec::new();
        let mut at = 0;
        while at < layout.channels(id) {
            match blocks.contains(&at) {
                true => {
                    values.extend(block(at));
                    at += self.width;
                }
                false => {
                    values.push(other(at));
                    at += 1;
                }
            }
        }
        values
    }
}

/// The weight of a convolution or linear layer.
pub(super) fn weight_of(network: &Network, id: NodeId) -> &Tensor {
    match network.params(id) {
        Params::Conv { weight, .. } | Params::Linear { weight, .. } => weight,
        Params::Normalize { .. } | Params::BatchNorm { .. } => panic!("G6: {id} has a weight"),
    }
}

fn weight_mut(network: &mut Network, id: NodeId) -> &mut Tensor {
    match network.params_mut(id) {
        Params::Conv { weight, .. } | Params::Linear { weight, .. } => weight,
        Params::Normalize { .. } | Params::BatchNorm { .. } => panic!("G6: {id} has a weight"),
    }
}

fn role(layout: &Layout, id: NodeId) -> Role {
    match layout.op(id) {
        Op::Conv(conv) if conv.groups == 1 => Role::Mixes,
        Op::Conv(conv) => {
            let input = layout.first_input(id).map_or(0, |i| layout.channels(i));
            match conv.groups == input && conv.channels == input {
                true => Role::Keeps,
                false => Role::Fixed("channels of a grouped convolution are fixed"),
            }
        }
        Op::Linear(_) => Role::Mixes,
        Op::BatchNorm { .. }
        | Op::Activation(_)
        | Op::MaxPool(_)
        | Op::AvgPool(_)
        | Op::GlobalAveragePool
        | Op::Flatten
        | Op::Dropout { .. }
        | Op::Resize(_) => Role::Keeps,
        Op::Add | Op::Mul => Role::Joins,
        Op::Concat => Role::Stacks,
        Op::Input { .. } | Op::Normalize => Role::Fixed("channels of the image are fixed"),
    }
}

struct Walk<'a> {
    layout: &'a Layout<'a>,
    /// Nothing above this concatenation is visited.
    ceiling: Option<NodeId>,
    found: Group,
    todo: Vec<(NodeId, usize)>,
}

impl<'a> Walk<'a> {
    fn new(layout: &'a Layout<'a>, width: usize, ceiling: Option<NodeId>) -> Self {
        let found = Group { width, carriers: BTreeMap::new(), consumers: BTreeSet::new() };
        Walk { layout, ceiling, found, todo: Vec::new() }
    }

    fn run(mut self, node: NodeId, first: usize) -> Result<Group, &'static str> {
        self.todo.push((node, first));
        while let Some((node, first)) = self.todo.pop() {
            if self.carries(node, first)? {
                continue;
            }
            for &user in self.layout.users(node) {
                self.forwards(node, user, first)?;
            }
            self.backwards(node, first)?;
        }
        Ok(self.found)
    }

    /// Notes that `node` holds the group from channel `first` on; was that known?
    fn carries(&mut self, node: NodeId, first: usize) -> Result<bool, &'static str> {
        let width = self.found.width;
        let blocks = self.found.carriers.entry(node).or_default();
        if blocks.contains(&first) {
            return Ok(true);
        }
        if node == self.layout.graph().output() {
            return Err("the network's output would change its length");
        }
        if blocks.iter().any(|b| b.abs_diff(first) < width) {
            return Err("its channels are coupled with one another");
        }
        blocks.push(first);
        Ok(false)
    }

    fn forwards(&mut self, node: NodeId, user: NodeId, first: usize) -> Result<(), &'static str> {
        match role(self.layout, user) {
            Role::Mixes => {
                self.found.consumers.insert(user);
            }
            Role::Keeps => self.todo.push((user, first)),
            Role::Joins if self.ceiling.is_some() => {
                return Err("its channels are coupled with those of another node");
            }
            Role::Joins => self.todo.push((user, first)),
            Role::Stacks => {
                let mut offset = 0;
                for &input in &self.layout.node(user).inputs {
                    if input == node {
                        self.todo.push((user, offset + first));
                    }
                    offset += self.layout.channels(input);
                }
            }
            Role::Fixed(reason) => return Err(reason),
        }
        Ok(())
    }

    fn backwards(&mut self, node: NodeId, first: usize) -> Result<(), &'static str> {
        if self.ceiling == Some(node) {
            return Ok(());
        }
        match role(self.layout, node) {
            Role::Mixes => {}
            Role::Keeps | Role::Joins => {
                for &input in &self.layout.node(node).inputs {
                    if self.layout.channels(input) != self.layout.channels(node) {
                        return Err("a flattened image and a vector are coupled");
                    }
                    self.todo.push((input, first));
                }
            }
            Role::Stacks => {
                let mut offset = 0;
                for &input in &self.layout.node(node).inputs {
                    let end = offset + self.layout.channels(input);
                    if (offset..end).contains(&first) {
                        if first + self.found.width > end {
                            return Err("its channels are coupled with parts of two nodes");
                        }
                        self.todo.push((input, first - offset));
                    }
                    offset = end;
                }
            }
            Role::Fixed(reason) => return Err(reason),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Activation;
    use crate::graph::Linear;
    use crate::graph::check;

    const RELU: Op = Op::Activation(Activation::Relu);

    /// Starting at `producer`: carriers with their blocks, and consumers.
    #[track_caller]
    fn check_group(
        graph: &Graph,
        producer: NodeId,
        carriers: &[(NodeId, &[usize])],
        consumers: &[NodeId],
    ) {
        assert_eq!(check(graph), Ok(()));
        let group = Group::of(&Layout::new(graph), producer).unwrap();
        let found: Vec<(NodeId, Vec<usize>)> = group
            .carriers
            .iter()
            .map(|(&id, blocks)| {
                let mut blocks = blocks.clone();
                blocks.sort();
                (id, blocks)
            })
            .collect();
        let expected: Vec<_> = carriers.iter().map(|(id, b)| (*id, b.to_vec())).collect();
        assert_eq!(found, expected);
        assert_eq!(group.consumers.into_iter().collect::<Vec<_>>(), consumers);
        assert_eq!(
            check(&Group::of(&Layout::new(graph), producer).unwrap().resize(graph, 7)),
            Ok(())
        );
    }

    fn linear(graph: &mut Graph, at: NodeId) -> NodeId {
        let flat = graph.push(Op::Flatten, &[at]);
        graph.push(Op::Linear(Linear { features: 3, bias: true }), &[flat])
    }

    #[test]
    fn channels_are_followed_through_depthwise_sum_and_concatenation_to_the_linear_layer() {
        let mut graph = Graph::new([1, 6, 6]);
        let conv = graph.push(Op::Conv(Conv::same(4, 3)), &[graph.input()]);
        let relu = graph.push(RELU, &[conv]);
        let depthwise = graph.push(Op::Conv(Conv::depthwise(4, 3)), &[relu]);
        let sum = graph.push(Op::Add, &[depthwise, relu]);
        let both = graph.push(Op::Concat, &[sum, relu]);
        let out = linear(&mut graph, both);
        let flat = graph.node(out).unwrap().inputs[0];
        let carriers: [(NodeId, &[usize]); 6] = [
            (conv, &[0]),
            (relu, &[0]),
            (depthwise, &[0]),
            (sum, &[0]),
            (both, &[0, 4]),
            (flat, &[0, 4]),
        ];
        check_group(&graph, conv, &carriers, &[out]);
        let layout = Layout::new(&graph);
        assert_eq!(layout.per_channel(flat), 36);
        assert_eq!(layout.channels(flat), 8);
    }

    #[test]
    fn producers_that_are_added_or_gate_one_another_change_together() {
        let mut graph = Graph::new([1, 6, 6]);
        let left = graph.push(Op::Conv(Conv::same(4, 3)), &[graph.input()]);
        let right = graph.push(Op::Conv(Conv::same(4, 1)), &[graph.input()]);
        let sum = graph.push(Op::Add, &[left, right]);
        let pool = graph.push(Op::GlobalAveragePool, &[sum]);
        let gate = graph.push(Op::Conv(Conv::same(4, 1)), &[pool]);
        let product = graph.push(Op::Mul, &[sum, gate]);
        let end = graph.push(Op::Conv(Conv::same(2, 1)), &[product]);
        linear(&mut graph, end);
        let carriers = [left, right, sum, pool, gate, product].map(|id| (id, &[0][..]));
        for producer in [left, right, gate] {
            check_group(&graph, producer, &carriers, &[gate, end]);
        }
    }

    #[test]
    fn a_sum_with_a_concatenation_couples_rows_of_one_producer_with_another() {
        let mut graph = Graph::new([1, 6, 6]);
        let a = graph.push(Op::Conv(Conv::same(2, 3)), &[graph.input()]);
        let b = graph.push(Op::Conv(Conv::same(3, 3)), &[graph.input()]);
        let both = graph.push(Op::Concat, &[a, b]);
        let wide = graph.push(Op::Conv(Conv::same(5, 3)), &[graph.input()]);
        let sum = graph.push(Op::Add, &[both, wide]);
        let end = graph.push(Op::Conv(Conv::same(2, 1)), &[sum]);
        linear(&mut graph, end);
        let carriers: [(NodeId, &[usize]); 4] =
            [(b, &[0]), (both, &[2]), (wide, &[2]), (sum, &[2])];
        check_group(&graph, b, &carriers, &[end]);
        let refused = Group::of(&Layout::new(&graph), wide).err();
        assert_eq!(refused, Some("its channels are coupled with parts of two nodes"));
    }

    #[test]
    fn image_output_and_grouped_channels_are_fixed() {
        let mut graph = Graph::new([4, 6, 6]);
        let input = graph.input();
        let coupled = graph.push(Op::Conv(Conv::same(4, 3)), &[input]);
        let sum = graph.push(Op::Add, &[coupled, input]);
        let before = graph.push(Op::Conv(Conv::same(4, 3)), &[sum]);
        let grouped = graph.push(Op::Conv(Conv { groups: 2, ..Conv::same(4, 3) }), &[before]);
        let out = linear(&mut graph, grouped);
        let refused = |id| Group::of(&Layout::new(&graph), id).err();
        assert_eq!(refused(coupled), Some("channels of the image are fixed"));
        assert_eq!(refused(before), Some("channels of a grouped convolution are fixed"));
        assert_eq!(refused(grouped), Some("channels of a grouped convolution are fixed"));
        assert_eq!(refused(out), Some("the network's output would change its length"));
        assert_eq!(refused(sum), Some("it makes no channels of its own"));
    }
}
