//! Candidates as groups of columns, each group with a length scale of its own.
use crate::space::Features;

/// Columns that share a length scale. The mean squared distance of two random rows is 1.
#[derive(Clone, Debug)]
pub(super) struct Group {
    width: usize,
    scale: f32,
    values: Vec<f32>,
}

/// Variance below which a column is constant.
const CONSTANT: f64 = 1e-9;

impl Group {
    /// A group of rows; `standardise` divides each column by its standard deviation. `None` if no
    /// column varies.
    pub(super) fn new(rows: &[Vec<f64>], standardise: bool) -> Option<Group> {
        let n = rows.len() as f64;
        let columns = 0..rows.first().map_or(0, Vec::len);
        let moments = columns.map(|c| {
            let mean = rows.iter().map(|row| row[c]).sum::<f64>() / n;
            let variance = rows.iter().map(|row| (row[c] - mean).powi(2)).sum::<f64>() / n;
            (c, mean, variance)
        });
        let kept: Vec<_> = moments.filter(|(_, _, variance)| *variance > CONSTANT).collect();
        if kept.is_empty() {
            return None;
        }
        let factor = |variance: f64| if standardise { 1.0 / variance.sqrt() } else { 1.0 };
        let total: f64 = kept.iter().map(|(_, _, v)| 2.0 * v * factor(*v).powi(2)).sum();
        let place = |row: &Vec<f64>| {
            let cells = kept.iter().map(|&(c, mean, v)| ((row[c] - mean) * factor(v)) as f32);
            cells.collect::<Vec<f32>>()
        };
        let values = rows.iter().flat_map(place).collect();
        Some(Group { width: kept.len(), scale: (1.0 / total) as f32, values })
    }

    /// Squared distances of a row to every row.
    pub(super) fn distances(&self, row: usize) -> Vec<f32> {
        let a = &self.values[row * self.width..(row + 1) * self.width];
        let squares = |b: &[f32]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
        self.values.chunks_exact(self.width).map(|b| squares(b) * self.scale).collect()
    }
}

/// What surrogates know of a list of candidates.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    groups: Vec<Group>,
    /// Quantities that are not negative, of which a cost may be a weighted sum.
    parts: Vec<Vec<f64>>,
}

/// Which features a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// All.
    Whole,
    /// The choices alone, where there are choices.
    OneHot,
}

impl Pool {
    /// Of candidates with these features. `inherited` are further columns, as many for each.
    pub(super) fn new(features: &[Features], inherited: &[Vec<f64>], detail: Detail) -> Pool {
        let column = |part: fn(&Features) -> &Vec<f64>| -> Vec<Vec<f64>> {
            features.iter().map(|f| part(f).clone()).collect()
        };
        let has_choices = features.iter().any(|f| !f.one_hot.is_empty());
        let detail = if has_choices { detail } else { Detail::Whole };
        let has_paths = features.iter().any(|f| !f.paths.is_empty());
        let pruned: Vec<Vec<f64>> =
            features.iter().map(|f| [&f.live[..], &f.statistics].concat()).collect();
        // Where a sketch says which choices matter, the bare ones only make every candidate a surprise.
        let one_hot = (!has_paths || detail == Detail::OneHot).then(|| column(|f| &f.one_hot));
        let one_hot = one_hot.and_then(|rows| Group::new(&rows, false));
        let groups = match detail {
            Detail::OneHot => vec![one_hot],
            Detail::Whole => vec![
                one_hot,
                Group::new(&column(|f| &f.counts), true),
                Group::new(&pruned, true),
                Group::new(&column(|f| &f.paths), false),
                Group::new(&column(|f| &f.costs), true),
                Group::new(inherited, true),
            ],
        };
        let parts = match detail {
            Detail::Whole => parts(features, has_paths),
            Detail::OneHot => Vec::new(),
        };
        Pool { groups: groups.into_iter().flatten().collect(), parts }
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Squared distances of a candidate to every candidate, by group.
    pub(super) fn distances(&self, at: usize) -> Vec<Vec<f32>> {
        self.groups.iter().map(|group| group.distances(at)).collect()
    }

    /// Quantities of each candidate of which a cost may be a weighted sum; empty if none are known.
    pub(super) fn parts(&self) -> &[Vec<f64>] {
        &self.parts
    }
}

/// One, what is counted, and the costs themselves as multiples of their means.
fn parts(features: &[Features], has_paths: bool) -> Vec<Vec<f64>> {
    let n = features.len() as f64;
    let width = features.first().map_or(0, |f| f.costs.len());
    let mean = |at: usize| features.iter().map(|f| f.costs[at].exp()).sum::<f64>() / n;
    let means: Vec<f64> = (0..width).map(mean).collect();
    let parts = features.iter().map(|f| {
        let costs: Vec<f64> = f.costs.iter().zip(&means).map(|(c, mean)| c.exp() / mean).collect();
        let one_hot = if has_paths { &[][..] } else { &f.one_hot };
        [&[1.0][..], &f.counts, &f.live, one_hot, &costs].concat()
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_squared_distance_is_one() {
        let row = |i: u32| vec![f64::from(i), f64::from(i * i % 7), 4.0];
        let rows: Vec<Vec<f64>> = (0..50).map(row).collect();
        let group = Group::new(&rows, true).unwrap();
        let total: f32 = (0..50).flat_map(|i| group.distances(i)).sum();
        assert!((total / 2500.0 - 1.0).abs() < 1e-3);
        assert!(Group::new(&vec![vec![2.0]; 9], true).is_none());
    }
}
