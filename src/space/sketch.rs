//! A cell as operations between places: what strategies may know of it without building it.
use std::collections::BTreeMap;

/// Longest list of bits that a path encoding becomes.
const MOST_PATHS: usize = 512;

/// What an operation does, as far as paths are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Nothing comes through.
    Zero,
    /// What comes in goes out.
    Identity,
    /// An operation, by its number from 0.
    Operation(usize),
}

/// An operation from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where it reads.
    pub from: usize,
    /// Where it writes; larger than `from`.
    pub to: usize,
    /// What it does.
    pub label: Label,
}

/// A labelled acyclic graph. What arrives at a place is added or joined there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    /// The first places, so many, are inputs.
    pub inputs: usize,
    /// Places in all; the last is the output.
    pub places: usize,
    /// Operations between them.
    pub edges: Vec<Edge>,
    /// How many operations the space has.
    pub operations: usize,
}

impl Sketch {
    /// The edges on a way from an input to the output: the others have no effect.
    pub fn live(&self) -> Vec<Edge> {
        let mut live = self.edges.clone();
        live.retain(|edge| edge.label != Label::Zero);
        let forward = self.reached(&live, 0..self.inputs, |edge| (edge.from, edge.to));
        let backward = self.reached(&live, [self.places - 1], |edge| (edge.to, edge.from));
        live.retain(|edge| forward[edge.from] && backward[edge.to]);
        live
    }

    fn reached(
        &self,
        edges: &[Edge],
        from: impl IntoIterator<Item = usize>,
        ends: fn(&Edge) -> (usize, usize),
    ) -> Vec<bool> {
        let mut reached = vec![false; self.places];
        from.into_iter().for_each(|place| reached[place] = true);
        for _ in 0..self.places {
            for edge in edges {
                let (start, end) = ends(edge);
                reached[end] |= reached[start];
            }
        }
        reached
    }

    /// How often each operation occurs in the live part, then the identity.
    pub fn counts(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.operations + 1];
        for edge in self.live() {
            counts[slot(edge.label, self.operations)] += 1.0;
        }
        counts
    }

    /// Of the live part: places that something arrives at, paths, operations on the longest and on the
    /// shortest path, for each operation the most and the least of it on one path, and whether
    /// nothing comes through.
    pub fn statistics(&self) -> Vec<f64> {
        let live = self.live();
        let places = (0..self.places).filter(|place| live.iter().any(|edge| edge.to == *place));
        let is_operation = |edge: &Edge| f64::from(u8::from(edge.label != Label::Identity));
        let mut statistics = vec![
            places.count() as f64,
            count_paths(self, &live),
            self.extreme(&live, &is_operation, f64::max),
            self.extreme(&live, &is_operation, f64::min),
        ];
        for operation in 0..self.operations {
            let is_it =
                move |edge: &Edge| f64::from(u8::from(edge.label == Label::Operation(operation)));
            statistics.push(self.extreme(&live, &is_it, f64::max));
            statistics.push(self.extreme(&live, &is_it, f64::min));
        }
        statistics.push(f64::from(u8::from(live.is_empty())));
        statistics
    }

    /// The largest or smallest sum of `weight` along a path; 0 if there is none.
    fn extreme(
        &self,
        live: &[Edge],
        weight: &dyn Fn(&Edge) -> f64,
        better: fn(f64, f64) -> f64,
    ) -> f64 {
        let mut best: Vec<Option<f64>> = vec![None; self.places];
        best[..self.inputs].fill(Some(0.0));
        for place in self.inputs..self.places {
            let arriving = live.iter().filter(|edge| edge.to == place);
            let sums = arriving.filter_map(|edge| Some(best[edge.from]? + weight(edge)));
            best[place] = sums.reduce(better);
        }
        best[self.places - 1].unwrap_or(0.0)
    }

    /// For each sequence of operations, identities left out, shortest first, at most 512: how many
    /// paths from an input to the output consist of it?
    ///
    /// # Source
    ///
    /// White, Neiswanger, Savani, *BANANAS: Bayesian Optimization with Neural Architectures for
    /// Neural Architecture Search*, AAAI 2021, section 3, truncated as there; that has a bit where
    /// this has a number.
    pub fn path_encoding(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.encoded_paths()];
        for (path, paths) in self.paths() {
            if let Some(count) = counts.get_mut(self.rank(&path)) {
                *count += paths;
            }
        }
        counts
    }

    /// Sequences up to the longest path, but never part of a length.
    fn encoded_paths(&self) -> usize {
        let mut all = 1;
        let mut of_length = 1;
        for _ in 0..self.places - self.inputs {
            of_length *= self.operations;
            if all + of_length > MOST_PATHS {
                break;
            }
            all += of_length;
        }
        all
    }

    /// Position of a sequence among all, shorter ones first.
    fn rank(&self, path: &[usize]) -> usize {
        let n = self.operations;
        path.iter()
            .fold(0, |rank: usize, operation| rank.saturating_mul(n).saturating_add(operation + 1))
    }

    /// Sequences with the number of paths that consist of them.
    fn paths(&self) -> BTreeMap<Vec<usize>, f64> {
        let live = self.live();
        let mut to: Vec<BTreeMap<Vec<usize>, f64>> = vec![BTreeMap::new(); self.places];
        to[..self.inputs].fill(BTreeMap::from([(Vec::new(), 1.0)]));
        for place in self.inputs..self.places {
            for edge in live.iter().filter(|edge| edge.to == place) {
                for (mut path, paths) in to[edge.from].clone() {
                    if let Label::Operation(operation) = edge.label {
                        path.push(operation);
                    }
                    *to[place].entry(path).or_default() += paths;
                }
            }
        }
        to.pop().unwrap_or_default()
    }
}

fn slot(label: Label, operations: usize) -> usize {
    match label {
        Label::Operation(operation) => operation,
        Label::Identity | Label::Zero => operations,
    }
}

fn count_paths(sketch: &Sketch, live: &[Edge]) -> f64 {
    let mut paths = vec![0.0; sketch.places];
    paths[..sketch.inputs].fill(1.0);
    for place in sketch.inputs..sketch.places {
        let arriving = live.iter().filter(|edge| edge.to == place);
        paths[place] = arriving.map(|edge| paths[edge.from]).sum();
    }
    paths[sketch.places - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input 0, places 1 and 2, output 3, as a cell of NAS-Bench-201.
    fn cell(labels: [Label; 6]) -> Sketch {
        let ends = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
        let edges = ends.iter().zip(labels).map(|(&(from, to), label)| Edge { from, to, label });
        Sketch { inputs: 1, places: 4, edges: edges.collect(), operations: 3 }
    }

    #[test]
    fn paths_of_a_hand_made_cell() {
        use Label::{Identity, Operation, Zero};
        // 0 ─op1→ 1 ─op0→ 3; 0 ─identity→ 2 ─op2→ 3; place 1 to 2 and 0 to 3 are cut.
        let sketch = cell([Operation(1), Identity, Zero, Zero, Operation(0), Operation(2)]);
        let bits = sketch.path_encoding();
        // The empty sequence; 3 of one; 9 of two; 27 of three.
        assert_eq!(bits.len(), 1 + 3 + 9 + 27);
        let set: Vec<usize> = (0..bits.len()).filter(|&i| bits[i] == 1.0).collect();
        // [2] is the third of length one; [1, 0] is the fourth of length two.
        assert_eq!(set, [3, 1 + 3 + 3]);
    }

    #[test]
    fn what_leads_nowhere_is_not_counted() {
        use Label::{Identity, Operation, Zero};
        // Place 2 is written to, but nothing leaves it.
        let sketch = cell([Operation(1), Operation(2), Operation(2), Identity, Operation(1), Zero]);
        assert_eq!(sketch.live().len(), 3);
        assert_eq!(sketch.counts(), [0.0, 2.0, 0.0, 1.0]);
        let statistics = sketch.statistics();
        assert_eq!(statistics[..4], [2.0, 2.0, 2.0, 0.0]);
        assert_eq!(statistics[4..], [0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_cut_cell_has_no_paths() {
        let sketch = cell([Label::Zero; 6]);
        assert!(sketch.path_encoding().iter().all(|count| *count == 0.0));
        let mut statistics = sketch.statistics();
        assert_eq!(statistics.pop(), Some(1.0), "nothing comes through");
        assert!(statistics.iter().all(|number| *number == 0.0));
    }
}
