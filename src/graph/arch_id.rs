//! The identity of an architecture: structure without weights and without node names.
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::Graph;
use super::NodeId;
use super::Op;

/// Hash of a graph's structure; equal for graphs that differ only in node names, in the order
/// of independent nodes, or in the order of the inputs of an [`Op::Add`].
///
/// Equal structures share latency, not error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchId([u8; 16]);

/// What is known of a node so far, as a hash that no name enters.
type Colour = [u8; 32];

impl Graph {
    /// The canonical identity of this structure.
    ///
    /// Colour refinement (Weisfeiler, Leman 1968): a node's colour takes in those of all it
    /// reads, then those of all that read it, until no more nodes can be told apart; the identity
    /// is the hash of all colours. Looking one way only would not do: a node that is read twice is
    /// not two equal nodes.
    pub fn arch_id(&self) -> ArchId {
        let nodes = self.nodes().iter();
        let mut colours: Vec<Colour> = nodes.map(|n| colour(&op_bytes(&n.op), &[])).collect();
        let edges = Edges::of(self);
        let mut told_apart = 0;
        loop {
            edges.refine(&mut colours);
            let mut sorted = colours.clone();
            sorted.sort_unstable();
            let distinct = sorted.chunk_by(|a, b| a == b).count();
            if distinct == told_apart {
                break;
            }
            told_apart = distinct;
        }
        colours.sort_unstable();
        let mut id = [0; 16];
        id.copy_from_slice(&colour(&[], &colours)[..16]);
        ArchId(id)
    }
}

/// Edges between places in the order of the nodes.
struct Edges {
    /// What each node reads.
    inputs: Vec<Vec<usize>>,
    /// Who reads each node, and as which of its inputs.
    users: Vec<Vec<(usize, u32)>>,
    /// Does the order of a node's inputs not matter?
    unordered: Vec<bool>,
}

impl Edges {
    fn of(graph: &Graph) -> Self {
        let nodes = graph.nodes();
        let places: BTreeMap<NodeId, usize> =
            nodes.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
        let unordered: Vec<bool> = nodes.iter().map(|n| n.op == Op::Add).collect();
        let inputs: Vec<Vec<usize>> =
            nodes.iter().map(|n| n.inputs.iter().map(|i| places[i]).collect()).collect();
        let mut users = vec![Vec::new(); nodes.len()];
        for (at, sources) in inputs.iter().enumerate() {
            for (which, &source) in sources.iter().enumerate() {
                users[source].push((at, if unordered[at] { 0 } else { which as u32 }));
            }
        }
        Edges { inputs, users, unordered }
    }

    /// Once down, once up: each pass uses the new colours of what it has passed (G1).
    fn refine(&self, colours: &mut [Colour]) {
        let mut others = Vec::new();
        for at in 0..colours.len() {
            others.clear();
            others.extend(self.inputs[at].iter().map(|&i| colours[i]));
            if self.unordered[at] {
                others.sort_unstable();
            }
            colours[at] = colour(&colours[at], &others);
        }
        for at in (0..colours.len()).rev() {
            others.clear();
            let users = self.users[at].iter();
            others
                .extend(users.map(|&(user, which)| colour(&which.to_le_bytes(), &[colours[user]])));
            others.sort_unstable();
            colours[at] = colour(&colours[at], &others);
        }
    }
}

fn colour(own: &[u8], others: &[Colour]) -> Colour {
    // A few short pieces: copying them is cheaper than a hasher that takes them one by one.
    let mut bytes = Vec::with_capacity(own.len() + others.as_flattened().len());
    bytes.extend_from_slice(own);
    bytes.extend_from_slice(others.as_flattened());
    *blake3::hash(&bytes).as_bytes()
}

fn op_bytes(op: &Op) -> Vec<u8> {
    serde_json::to_vec(op).expect("an operation is plain data")
}

impl fmt::Display for ArchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.pad(&text)
    }
}

impl fmt::Debug for ArchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchId({self})")
    }
}

impl FromStr for ArchId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("`{text}` is not an architecture id of 32 hexadecimal digits");
        if text.len() != 32 || !text.is_ascii() {
            return Err(error());
        }
        let mut id = [0; 16];
        for (i, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| error())?;
        }
        Ok(ArchId(id))
    }
}

impl Serialize for ArchId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArchId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
