//! The space of a recorded benchmark: what its table has.
use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::space::Architecture;
use crate::space::ChoiceSpace;
use crate::space::Choices;
use crate::space::Features;
use crate::space::Fixed;
use crate::space::Space;

/// The members of a fixed space that a table has a row for.
#[derive(Clone, Debug)]
pub struct TableSpace {
    whole: Fixed,
    all: Vec<Architecture>,
    rows: BTreeMap<Choices, usize>,
    features: Vec<Features>,
}

/// Draws before a child that the table does not have is given up.
const TRIES: usize = 100;

impl TableSpace {
    /// The space of `rows`, which must differ. `costs`: logarithms of what is known of each row for
    /// free. How often each option is chosen is a feature only if `is_shared`: its number means the same in
    /// each decision.
    pub(super) fn new(
        space: Arc<dyn ChoiceSpace>,
        rows: Vec<Choices>,
        is_shared: bool,
        costs: Vec<Vec<f64>>,
    ) -> TableSpace {
        let whole = Fixed(space);
        let at = rows.iter().cloned().zip(0..).collect();
        // The table says what is known of costs; nothing is built.
        let features = rows.iter().zip(costs).map(|(row, costs)| {
            let mut features = Features { costs, ..whole.features_of_choices(row) };
            if !is_shared {
                features.counts.clear();
            }
            features
        });
        let features = features.collect();
        let all = rows.into_iter().map(Architecture::Chosen).collect();
        TableSpace { whole, all, rows: at, features }
    }

    /// The row of an architecture.
    pub fn row(&self, architecture: &Architecture) -> Option<usize> {
        self.rows.get(architecture.choices()?).copied()
    }

    fn recorded(&self, architecture: Architecture) -> Option<Architecture> {
        self.row(&architecture).is_some().then_some(architecture)
    }
}

impl Space for TableSpace {
    fn name(&self) -> &str {
        self.whole.name()
    }

    fn starts(&self) -> Vec<Architecture> {
        let starts = self.whole.starts().into_iter();
        starts.filter_map(|start| self.recorded(start)).collect()
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> Architecture {
        self.all[rng.random_range(0..self.all.len())].clone()
    }

    fn mutate(
        &self,
        parent: &Architecture,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Architecture> {
        (0..TRIES).find_map(|_| self.recorded(self.whole.mutate(parent, steps, rng)?))
    }

    fn cross(
        &self,
        a: &Architecture,
        b: &Architecture,
        rng: &mut ChaCha8Rng,
    ) -> Option<Architecture> {
        (0..TRIES).find_map(|_| self.recorded(self.whole.cross(a, b, rng)?))
    }

    fn features(&self, architecture: &Architecture) -> Features {
        let row = self.row(architecture).expect("strategies see members of the table alone");
        self.features[row].clone()
    }

    fn build(&self, architecture: &Architecture) -> Option<Graph> {
        self.whole.build(architecture)
    }

    fn all(&self) -> Option<&[Architecture]> {
        Some(&self.all)
    }

    fn choices(&self) -> Option<&dyn ChoiceSpace> {
        self.whole.choices()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Sketch;

    /// A space whose networks must not be built.
    #[derive(Debug)]
    struct Unbuilt;

    impl ChoiceSpace for Unbuilt {
        fn name(&self) -> &str {
            "unbuilt"
        }

        fn options(&self) -> &[usize] {
            &[2; 3]
        }

        fn sketches(&self, _choices: &Choices) -> Vec<Sketch> {
            Vec::new()
        }

        fn build(&self, _choices: &Choices) -> Option<Graph> {
            panic!("built");
        }
    }

    #[test]
    fn costs_are_those_of_the_table_and_no_network_is_built() {
        let rows = [[0, 0, 1], [1, 0, 1]].map(Vec::from);
        let table =
            TableSpace::new(Arc::new(Unbuilt), rows.to_vec(), true, vec![vec![1.5], vec![2.5]]);
        let costs = rows.map(|row| table.features(&Architecture::Chosen(row)).costs);
        assert_eq!(costs, [[1.5], [2.5]]);
    }
}
