//! How much a set of points dominates.
use std::cmp::Ordering;

use super::front::front;
use super::front::nowhere_larger;
use super::staircase::Staircase;
use super::staircase::order;

/// The volume between `points` and `reference` that at least one point dominates.
///
/// Exact. Points that are not below the reference in every objective count nothing. `O(n log n)`
/// for up to three objectives; each further one costs a factor of `n` at worst.
///
/// # Panics
///
/// If a point and the reference differ in length.
///
/// # Source
///
/// Zitzler, Thiele, *Multiobjective Optimization Using Evolutionary Algorithms*, PPSN 1998. Three
/// objectives: the sweep of Beume et al., *On the Complexity of Computing the Hypervolume
/// Indicator*, IEEE TEC 2009. More: a sum of exclusive volumes, each one dimension lower, as in
/// While, Bradstreet, Barone, *A Fast Way of Calculating Exact Hypervolumes*, IEEE TEC 2012.
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64]) -> f64 {
    let mut inside: Vec<&[f64]> =
        points.iter().map(AsRef::as_ref).filter(|p| is_inside(p, reference)).collect();
    if reference.len() > 3 {
        inside = front(&inside).into_iter().map(|i| inside[i]).collect();
    }
    volume(inside, reference)
}

/// What `point` would add to the hypervolume of `points`. Exact, without a difference of two
/// large numbers.
///
/// # Panics
///
/// If a point and the reference differ in length.
///
/// # Source
///
/// While, Bradstreet, Barone 2012: the point's own box less the part of it that the others,
/// limited to the box, dominate.
pub fn gain<P: AsRef<[f64]>>(points: &[P], point: &[f64], reference: &[f64]) -> f64 {
    if !is_inside(point, reference) {
        return 0.0;
    }
    let others = points.iter().map(AsRef::as_ref).filter(|p| is_inside(p, reference));
    let mut others: Vec<&[f64]> = others.collect();
    others.sort_unstable_by(|a, b| along_last(a, b));
    exclusive(&others, point, reference)
}

fn is_inside(point: &[f64], reference: &[f64]) -> bool {
    assert_eq!(point.len(), reference.len(), "a point has a coordinate for each objective");
    point.iter().zip(reference).all(|(p, r)| p < r)
}

/// The hypervolume of points inside the box of `reference`.
fn volume(mut points: Vec<&[f64]>, reference: &[f64]) -> f64 {
    match *reference {
        [] => 0.0,
        [right] => right - points.iter().map(|p| p[0]).fold(right, f64::min),
        [right, top] => area(copied_along_last(&points), [right, top]),
        [right, top, far] => sweep(copied_along_last(&points), [right, top, far]),
        _ => {
            points.sort_unstable_by(|a, b| along_last(a, b));
            slices(&points, reference)
        }
    }
}

/// Side by side in memory, a million points are sorted twice as fast.
fn copied_along_last<const D: usize>(points: &[&[f64]]) -> impl Iterator<Item = [f64; D]> {
    let mut copied: Vec<[f64; D]> =
        points.iter().map(|p| std::array::from_fn(|axis| p[axis])).collect();
    copied.sort_unstable_by(|a, b| along_last(a, b));
    copied.into_iter()
}

/// The order along the last axis.
fn along_last(a: &[f64], b: &[f64]) -> Ordering {
    a.last().zip(b.last()).map_or(Ordering::Equal, |(&a, &b)| order(a, b))
}

/// Of points in the order of the second axis: adds a rectangle for each step to the left.
fn area(points: impl Iterator<Item = [f64; 2]>, [right, top]: [f64; 2]) -> f64 {
    let mut leftmost = right;
    let mut area = 0.0;
    for [x, y] in points {
        if x < leftmost {
            area += (leftmost - x) * (top - y);
            leftmost = x;
        }
    }
    area
}

/// Of points in the order of the third axis: a plane rises along it, and each point adds area for
/// the rest of the way.
fn sweep(points: impl Iterator<Item = [f64; 3]>, [right, top, far]: [f64; 3]) -> f64 {
    let mut stairs = Staircase::default();
    let mut volume = 0.0;
    for [x, y, z] in points {
        if !stairs.covers([x, y]) {
            volume += stairs.area_gained([x, y], [right, top]) * (far - z);
            stairs.insert([x, y]);
        }
    }
    volume
}

/// The same for points in the order of the last of more axes: each adds what it alone dominates
/// among those before it, one dimension lower, for the rest of the way.
fn slices(points: &[&[f64]], reference: &[f64]) -> f64 {
    let last = reference.len() - 1;
    let flat = &reference[..last];
    let mut before: Vec<&[f64]> = Vec::new();
    let mut volume = 0.0;
    for point in points {
        let shadow = &point[..last];
        volume += exclusive(&before, shadow, flat) * (reference[last] - point[last]);
        before.retain(|b| !nowhere_larger(shadow, b));
        let at = before.partition_point(|b| along_last(b, shadow).is_lt());
        before.insert(at, shadow);
    }
    volume
}

/// What `point` dominates and none of `others`, which are in the order of the last axis; all lie
/// inside the box of `reference`.
fn exclusive(others: &[&[f64]], point: &[f64], reference: &[f64]) -> f64 {
    let own: f64 = point.iter().zip(reference).map(|(p, r)| r - p).product();
    let shared = match (point, reference) {
        (&[x, y, z], &[right, top, far]) => {
            let limited = others.iter().map(|o| [o[0].max(x), o[1].max(y), o[2].max(z)]);
            sweep(limited, [right, top, far])
        }
        _ => {
            let limit = |o: &&[f64]| o.iter().zip(point).map(|(o, p)| o.max(*p)).collect();
            let limited: Vec<Vec<f64>> = others.iter().map(limit).collect();
            hypervolume(&limited, reference)
        }
    };
    (own - shared).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_volume<const D: usize>(points: &[[f64; D]], reference: [f64; D], expected: f64) {
        let found = hypervolume(points, &reference);
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn volumes_counted_by_hand() {
        check_volume(&[[0.25], [0.5]], [1.0], 0.75);
        check_volume(&[[1.0, 3.0], [2.0, 1.0]], [4.0, 4.0], 7.0);
        check_volume(&[[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], [2.0; 3], 4.0);
        check_volume(&[[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]], [2.0; 4], 9.0);
        check_volume(&[[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]], [2.0; 5], 24.0);
    }

    #[test]
    fn points_not_below_the_reference_count_nothing() {
        check_volume(&[[0.0, 1.0], [-5.0, 2.0], [0.5, 0.5]], [1.0, 1.0], 0.25);
        assert_eq!(gain(&[[0.5, 0.5]], &[0.0, 1.0], &[1.0, 1.0]), 0.0);
        assert_eq!(hypervolume::<[f64; 3]>(&[], &[1.0; 3]), 0.0);
    }

    /// Few distinct coordinates, so that ties and duplicates are common; some lie outside.
    fn points(most: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
        let coordinate = prop_oneof![(0..6u8).prop_map(f64::from), 0.0..6.0];
        (1..=5usize).prop_flat_map(move |d| {
            prop::collection::vec(prop::collection::vec(coordinate.clone(), d), 1..most)
        })
    }

    /// The union of boxes by inclusion and exclusion: a second way to the answer.
    fn by_inclusion_and_exclusion(points: &[Vec<f64>], reference: &[f64]) -> f64 {
        let sign = |set: u32| if set.count_ones() % 2 == 1 { 1.0 } else { -1.0 };
        let common = |set: u32| -> f64 {
            let chosen = || (0..points.len()).filter(move |i| set >> i & 1 == 1);
            let side = |axis: usize| {
                let corner = chosen().map(|i| points[i][axis]).fold(f64::MIN, f64::max);
                (reference[axis] - corner).max(0.0)
            };
            (0..reference.len()).map(side).product()
        };
        (1..1 << points.len()).map(|set| sign(set) * common(set)).sum()
    }

    proptest! {
        #[test]
        fn the_volume_is_that_of_the_union_of_boxes(points in points(9)) {
            let reference = vec![5.0; points[0].len()];
            let expected = by_inclusion_and_exclusion(&points, &reference);
            let found = hypervolume(&points, &reference);
            prop_assert!((found - expected).abs() < 1e-9 * expected.max(1.0), "{found} {expected}");
        }

        #[test]
        fn a_gain_is_the_difference_of_two_volumes(points in points(30)) {
            let reference = vec![5.0; points[0].len()];
            let (new, old) = points.split_first().unwrap();
            let grown = hypervolume(&points, &reference) - hypervolume(old, &reference);
            let found = gain(old, new, &reference);
            prop_assert!((found - grown).abs() < 1e-9 * 5f64.powi(5), "{found} {grown}");
        }

        #[test]
        fn neither_order_nor_dominated_points_change_the_volume(points in points(30)) {
            let reference = vec![5.0; points[0].len()];
            let all = hypervolume(&points, &reference);
            let reversed: Vec<_> = front(&points).into_iter().rev().map(|i| &points[i]).collect();
            let found = hypervolume(&reversed, &reference);
            prop_assert!((found - all).abs() < 1e-12 * all.max(1.0), "{found} {all}");
        }
    }
}
