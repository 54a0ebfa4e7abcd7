//! Dominance of plain values and the front of many points.
use std::cmp::Ordering;

use super::staircase::Staircase;
use super::staircase::order;

/// Is `a` nowhere worse than `b` and somewhere better?
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    nowhere_larger(a, b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Indices of the points that no other point dominates, ascending; equal points stay together.
///
/// `O(n log n)` for up to three objectives and `O(n log² n)` for four; for more, points times
/// front members.
///
/// # Source
///
/// Kung, Luccio, Preparata, *On Finding the Maxima of a Set of Vectors*, JACM 1975: sorted along
/// the first axis, a point can only be dominated by earlier ones.
pub fn front<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_unstable_by(|&a, &b| lexicographic(points[a].as_ref(), points[b].as_ref()));
    let equal = |&a: &usize, &b: &usize| points[a].as_ref() == points[b].as_ref();
    let groups: Vec<&[usize]> = order.chunk_by(equal).collect();
    let distinct: Vec<&[f64]> = groups.iter().map(|g| points[g[0]].as_ref()).collect();
    let mut front: Vec<usize> =
        front_of_sorted(&distinct).into_iter().flat_map(|g| groups[g]).copied().collect();
    front.sort_unstable();
    front
}

/// Indices of the front of distinct points in lexicographic order.
///
/// Of two such points the earlier has the smaller or equal first coordinate, so it dominates the
/// later exactly if it is nowhere larger in the others.
fn front_of_sorted(points: &[&[f64]]) -> Vec<usize> {
    match points.first().map_or(0, |p| p.len()) {
        0 | 1 => (0..points.len().min(1)).collect(),
        2 => sweep(points, |p| [0.0, p[1]]),
        3 => sweep(points, |p| [p[1], p[2]]),
        4 => divide(points, 0..points.len()),
        _ => filter(points),
    }
}

/// Keeps what no earlier point covers in the plane of `project`.
fn sweep(points: &[&[f64]], project: impl Fn(&[f64]) -> [f64; 2]) -> Vec<usize> {
    let mut stairs = Staircase::default();
    let kept = points.iter().enumerate().filter(|(_, point)| {
        let place = project(point);
        let free = !stairs.covers(place);
        if free {
            stairs.insert(place);
        }
        free
    });
    kept.map(|(i, _)| i).collect()
}

/// The front of the first half, and of the second what the first does not dominate.
fn divide(points: &[&[f64]], range: std::ops::Range<usize>) -> Vec<usize> {
    if range.len() < 2 {
        return range.collect();
    }
    let middle = range.start + range.len() / 2;
    let mut early = divide(points, range.start..middle);
    let late = divide(points, middle..range.end);
    early.extend(uncovered(points, &early, &late));
    early
}

/// Those of `late` that no point of `early` covers in the last three coordinates, in their order.
fn uncovered(points: &[&[f64]], early: &[usize], late: &[usize]) -> Vec<usize> {
    let tagged = |late: bool| move |&i: &usize| (i, late);
    let mut both: Vec<(usize, bool)> = early.iter().map(tagged(false)).collect();
    both.extend(late.iter().map(tagged(true)));
    both.sort_unstable_by(|a, b| order(points[a.0][1], points[b.0][1]).then(a.1.cmp(&b.1)));
    let mut stairs = Staircase::default();
    let mut kept = Vec::new();
    for (i, late) in both {
        let place = [points[i][2], points[i][3]];
        match (stairs.covers(place), late) {
            (true, _) => {}
            (false, true) => kept.push(i),
            (false, false) => stairs.insert(place),
        }
    }
    kept.sort_unstable();
    kept
}

/// Compares each point with the front so far.
fn filter(points: &[&[f64]]) -> Vec<usize> {
    let mut front: Vec<usize> = Vec::new();
    for (i, point) in points.iter().enumerate() {
        if !front.iter().any(|&f| nowhere_larger(points[f], point)) {
            front.push(i);
        }
    }
    front
}

/// Does `a` weakly dominate `b`?
pub(super) fn nowhere_larger(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b)
}

fn lexicographic(a: &[f64], b: &[f64]) -> Ordering {
    let unequal = a.iter().zip(b).map(|(&a, &b)| order(a, b)).find(|o| o.is_ne());
    unequal.unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_front<const D: usize>(points: &[[f64; D]], expected: &[usize]) {
        assert_eq!(front(points), expected);
    }

    #[test]
    fn front_drops_dominated_points() {
        check_front(&[[1.0, 4.0], [2.0, 2.0], [3.0, 3.0]], &[0, 1]);
        check_front(&[[2.0, 2.0, 2.0], [1.0, 3.0, 1.0], [2.0, 3.0, 2.0]], &[0, 1]);
    }

    #[test]
    fn front_keeps_duplicates() {
        check_front(&[[1.0, 1.0], [1.0, 1.0]], &[0, 1]);
        check_front(&[[2.0], [1.0], [1.0]], &[1, 2]);
    }

    #[test]
    fn equal_in_one_objective_is_dominated_by_better_in_another() {
        check_front(&[[1.0, 2.0], [1.0, 1.0], [2.0, 1.0]], &[1]);
        check_front(&[[1.0, 2.0, 2.0, 2.0], [1.0, 2.0, 2.0, 1.0]], &[1]);
    }

    #[test]
    fn the_sign_of_zero_is_no_advantage() {
        check_front(&[[0.0, 1.0], [-0.0, 1.0], [0.0, 2.0]], &[0, 1]);
    }

    #[test]
    fn the_front_of_nothing_is_empty() {
        check_front::<3>(&[], &[]);
    }

    /// Few distinct coordinates, so that ties and duplicates are common.
    fn points() -> impl Strategy<Value = Vec<Vec<f64>>> {
        let coordinate = (0..7u8).prop_map(f64::from);
        (1..=6usize).prop_flat_map(move |d| {
            prop::collection::vec(prop::collection::vec(coordinate.clone(), d), 0..60)
        })
    }

    proptest! {
        #[test]
        fn the_front_is_what_nothing_dominates(points in points()) {
            let free = |p: &Vec<f64>| !points.iter().any(|q| dominates(q, p));
            let expected: Vec<usize> = (0..points.len()).filter(|&i| free(&points[i])).collect();
            prop_assert_eq!(front(&points), expected);
        }
    }
}
