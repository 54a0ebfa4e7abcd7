//! The front of points in a plane, kept while points come in.
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A number in its order; `-0` equals `0`.
#[derive(Clone, Copy, Debug)]
struct Key(f64);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        order(self.0, other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

/// The order of numbers that are not NaN.
pub(super) fn order(a: f64, b: f64) -> Ordering {
    (a + 0.0).total_cmp(&(b + 0.0))
}

/// Points of which none covers another: with growing first coordinate the second falls.
#[derive(Default)]
pub(super) struct Staircase(BTreeMap<Key, f64>);

impl Staircase {
    /// Is there a point that is nowhere larger than `[x, y]`? Logarithmic.
    pub(super) fn covers(&self, [x, y]: [f64; 2]) -> bool {
        self.0.range(..=Key(x)).next_back().is_some_and(|(_, &lowest)| lowest <= y)
    }

    /// Adds `[x, y]`, which must not be covered, and removes what it covers. Logarithmic for each
    /// point that comes or goes.
    pub(super) fn insert(&mut self, [x, y]: [f64; 2]) {
        while let Some((&key, _)) = self.0.range(Key(x)..).next().filter(|&(_, &other)| other >= y)
        {
            self.0.remove(&key);
        }
        self.0.insert(Key(x), y);
    }

    /// The area below `[right, top]` that `[x, y]`, which must not be covered, would add.
    pub(super) fn area_gained(&self, [x, y]: [f64; 2], [right, top]: [f64; 2]) -> f64 {
        let before = self.0.range(..Key(x)).next_back();
        let mut ceiling = before.map_or(top, |(_, &y)| y);
        let mut left = x;
        let mut area = 0.0;
        for (&Key(step), &floor) in self.0.range(Key(x)..) {
            area += (step - left) * (ceiling - y);
            if floor < y {
                return area;
            }
            (left, ceiling) = (step, floor);
        }
        area + (right - left) * (ceiling - y)
    }
}
