//! A random forest for regression (Breiman 2001), whose spread over trees says how sure it is.
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Trees of a forest.
const TREES: usize = 48;
/// Fewest samples of a leaf.
const MIN_LEAF: usize = 2;
/// Thresholds tried for each feature of a split.
const THRESHOLDS: usize = 8;

/// Bagged regression trees with random features and random thresholds a split.
#[derive(Clone, Debug)]
pub struct Forest {
    trees: Vec<Tree>,
}

/// Mean over the trees and their standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

#[derive(Clone, Debug)]
struct Tree {
    nodes: Vec<TreeNode>,
}

#[derive(Clone, Copy, Debug)]
enum TreeNode {
    Leaf(f64),
    Split { feature: usize, threshold: f64, left: usize, right: usize },
}

impl Forest {
    /// Fits rows of equal length to targets. Cost: trees · n log n · features · thresholds.
    ///
    /// # Panics
    ///
    /// If there is no row, or as many targets as rows are missing.
    pub fn fit(rows: &[Vec<f64>], targets: &[f64], seed: u64) -> Forest {
        assert!(!rows.is_empty() && rows.len() == targets.len(), "a target for each row");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let trees = (0..TREES).map(|_| {
            let bag: Vec<usize> = rows.iter().map(|_| rng.random_range(0..rows.len())).collect();
            let mut tree = Tree { nodes: Vec::new() };
            tree.grow(rows, targets, bag, &mut rng);
            tree
        });
        Forest { trees: trees.collect() }
    }

    /// What the trees say of one row.
    pub fn predict(&self, row: &[f64]) -> Belief {
        let all: Vec<f64> = self.trees.iter().map(|t| t.predict(row)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
        Belief { mean, deviation: variance.sqrt() }
    }
}

impl Tree {
    /// Adds the subtree of the samples in `bag`; returns its position.
    fn grow(
        &mut self,
        rows: &[Vec<f64>],
        targets: &[f64],
        bag: Vec<usize>,
        rng: &mut ChaCha8Rng,
    ) -> usize {
        let at = self.nodes.len();
        let mean = bag.iter().map(|&i| targets[i]).sum::<f64>() / bag.len() as f64;
        self.nodes.push(TreeNode::Leaf(mean));
        if let Some((feature, threshold)) = best_split(rows, targets, &bag, rng) {
            let (low, high) = bag.into_iter().partition(|&i| rows[i][feature] <= threshold);
            let left = self.grow(rows, targets, low, rng);
            let right = self.grow(rows, targets, high, rng);
            self.nodes[at] = TreeNode::Split { feature, threshold, left, right };
        }
        at
    }

    fn predict(&self, row: &[f64]) -> f64 {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                TreeNode::Leaf(value) => return value,
                TreeNode::Split { feature, threshold, left, right } => {
                    at = if row[feature] <= threshold { left } else { right };
                }
            }
        }
    }
}

/// The split with the largest fall of squared error among random features and thresholds.
fn best_split(
    rows: &[Vec<f64>],
    targets: &[f64],
    bag: &[usize],
    rng: &mut ChaCha8Rng,
) -> Option<(usize, f64)> {
    if bag.len() < 2 * MIN_LEAF {
        return None;
    }
    let features = rows[0].len();
    let wanted = features.div_ceil(3);
    let targets: Vec<f64> = bag.iter().map(|&i| targets[i]).collect();
    let mut values = Vec::with_capacity(bag.len());
    let mut best: Option<(f64, usize, f64)> = None;
    for _ in 0..wanted {
        let feature = rng.random_range(0..features);
        values.clear();
        values.extend(bag.iter().map(|&i| rows[i][feature]));
        let thresholds = thresholds(&values, rng);
        for (gain, threshold) in gains(&values, &targets, &thresholds).into_iter().zip(thresholds) {
            let Some(gain) = gain else { continue };
            if best.is_none_or(|(g, _, _)| gain > g) {
                best = Some((gain, feature, threshold));
            }
        }
    }
    best.map(|(_, feature, threshold)| (feature, threshold))
}

/// Each halfway between two random values; not a number where these are equal.
fn thresholds(values: &[f64], rng: &mut ChaCha8Rng) -> [f64; THRESHOLDS] {
    std::array::from_fn(|_| {
        let mut pick = || values[rng.random_range(0..values.len())];
        let (a, b) = (pick(), pick());
        if a == b { f64::NAN } else { (a + b) / 2.0 }
    })
}

/// `sum_left² / n_left + sum_right² / n_right` for each threshold: larger is better; `None` for a
/// leaf too small. Nothing is larger than a threshold that is not a number.
fn gains(
    values: &[f64],
    targets: &[f64],
    thresholds: &[f64; THRESHOLDS],
) -> [Option<f64>; THRESHOLDS] {
    let mut sides = [Sides::default(); THRESHOLDS];
    // All thresholds side by side, so that the compiler can take several at once.
    for (value, target) in values.iter().zip(targets) {
        for (side, threshold) in sides.iter_mut().zip(thresholds) {
            let is_high = value > threshold;
            side.high += f64::from(u8::from(is_high));
            side.high_sum += if is_high { *target } else { 0.0 };
            side.low_sum += if is_high { 0.0 } else { *target };
        }
    }
    sides.map(|side| side.gain(values.len() as f64))
}

/// What lies below and above a threshold.
#[derive(Clone, Copy, Default)]
struct Sides {
    high: f64,
    low_sum: f64,
    high_sum: f64,
}

impl Sides {
    /// `None` if one side is too small.
    fn gain(self, all: f64) -> Option<f64> {
        let low = all - self.high;
        let large_enough = low.min(self.high) >= MIN_LEAF as f64;
        large_enough.then(|| self.low_sum.powi(2) / low + self.high_sum.powi(2) / self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> (Vec<Vec<f64>>, Vec<f64>) {
        let rows: Vec<Vec<f64>> =
            (0..400).map(|i| vec![f64::from(i % 20), f64::from(i / 20), 0.5]).collect();
        let targets = rows.iter().map(|r| r[0] * 2.0 - r[1]).collect();
        (rows, targets)
    }

    #[test]
    fn a_forest_ranks_unseen_points_of_a_plane() {
        let (rows, targets) = grid();
        let forest = Forest::fit(&rows, &targets, 7);
        let mut wrong = 0;
        for i in 0..19 {
            let (low, high) = (f64::from(i) + 0.3, f64::from(i) + 3.3);
            let value = |x: f64| forest.predict(&[x.min(19.0), 9.5, 0.5]).mean;
            wrong += usize::from(value(low) > value(high));
        }
        assert!(wrong <= 1, "{wrong} of 19 pairs are in the wrong order");
    }

    #[test]
    fn a_constant_target_is_predicted_without_doubt() {
        let (rows, _) = grid();
        let forest = Forest::fit(&rows, &vec![3.0; rows.len()], 7);
        assert_eq!(forest.predict(&[4.0, 4.0, 0.5]), Belief { mean: 3.0, deviation: 0.0 });
    }

    #[test]
    fn the_same_seed_gives_the_same_forest() {
        let (rows, targets) = grid();
        let predict = |seed| Forest::fit(&rows, &targets, seed).predict(&[3.1, 7.7, 0.5]);
        assert_eq!(predict(1), predict(1));
        assert_ne!(predict(1), predict(2));
    }
}
