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

impl Graph {
    /// The canonical identity of this structure.
    ///
    /// Nodes are numbered in a depth-first walk from the output; the inputs of an addition are
    /// visited in the order of their subtree hashes. Subtrees alone would not do: one node read
    /// twice is not two equal nodes.
    pub fn arch_id(&self) -> ArchId {
        let mut subtree: BTreeMap<NodeId, [u8; 32]> = BTreeMap::new();
        for node in self.nodes() {
            let mut inputs: Vec<[u8; 32]> = node.inputs.iter().map(|i| subtree[i]).collect();
            if node.op == Op::Add {
                inputs.sort_unstable();
            }
            let mut hasher = blake3::Hasher::new();
            hasher.update(&op_bytes(&node.op));
            inputs.iter().for_each(|i| {
                hasher.update(i);
            });
            subtree.insert(node.id, *hasher.finalize().as_bytes());
        }
        let mut walk = Walk { graph: self, subtree, number: BTreeMap::new(), text: Vec::new() };
        walk.visit(self.output());
        let hash = blake3::hash(&walk.text);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        ArchId(id)
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    subtree: BTreeMap<NodeId, [u8; 32]>,
    number: BTreeMap<NodeId, u32>,
    text: Vec<u8>,
}

impl Walk<'_> {
    /// Numbers `from` and everything it depends on, inputs first, without recursion.
    fn visit(&mut self, from: NodeId) {
        let mut stack = vec![(from, false)];
        while let Some((id, inputs_done)) = stack.pop() {
            if self.number.contains_key(&id) {
                continue;
            }
            let node = self.graph.node(id).expect("G1: inputs precede their users");
            let mut inputs = node.inputs.clone();
            if node.op == Op::Add {
                inputs.sort_by_key(|i| self.subtree[i]);
            }
            if inputs_done {
                let mut numbers: Vec<u32> = inputs.iter().map(|i| self.number[i]).collect();
                if node.op == Op::Add {
                    numbers.sort_unstable();
                }
                self.number.insert(id, self.number.len() as u32);
                self.text.extend(op_bytes(&node.op));
                self.text.extend((numbers.len() as u32).to_le_bytes());
                numbers.iter().for_each(|n| self.text.extend(n.to_le_bytes()));
            } else {
                stack.push((id, true));
                stack.extend(inputs.iter().rev().map(|&i| (i, false)));
            }
        }
    }
}

fn op_bytes(op: &Op) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(op).expect("an operation is plain data");
    bytes.push(b'\n');
    bytes
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
