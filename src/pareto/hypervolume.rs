//! How much a set of points dominates.
use super::front::front;
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
    let inside = points.iter().map(AsRef::as_ref).filter(|p| is_inside(p, reference));
    exclusive(inside, point, reference)
}

fn is_inside(point: &[f64], reference: &[f64]) -> bool {
    assert_eq!(point.len(), reference.len(), "a point has a coordinate for each objective");
    point.iter().zip(reference).all(|(p, r)| p < r)
}

/// The hypervolume of points inside the box of `reference`.
fn volume(points: Vec<&[f64]>, reference: &[f64]) -> f64 {
    match *reference {
        [] => 0.0,
        [right] => right - points.iter().map(|p| p[0]).fold(right, f64::min),
        [right, top] => area(points.iter().map(|p| [p[0], p[1]]).collect(), [right, top]),
        [right, top, far] => {
            sweep(points.iter().map(|p| [p[0], p[1], p[2]]).collect(), [right, top, far])
        }
        _ => slices(points, reference),
    }
}

/// Adds a rectangle for each step down.
fn area(mut points: Vec<[f64; 2]>, [right, top]: [f64; 2]) -> f64 {
    points.sort_unstable_by(|a, b| order(a[0], b[0]));
    let mut lowest = top;
    let mut area = 0.0;
    for [x, y] in points {
        if y < lowest {
            area += (right - x) * (lowest - y);
            lowest = y;
        }
    }
    area
}

/// Raises a plane along the third axis; between two points the dominated area does not change.
fn sweep(mut points: Vec<[f64; 3]>, [right, top, far]: [f64; 3]) -> f64 {
    points.sort_unstable_by(|a, b| order(a[2], b[2]));
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

/// Along the last axis, each point adds what it alone dominates among those before it, one
/// dimension lower, as far as the reference.
fn slices(mut points: Vec<&[f64]>, reference: &[f64]) -> f64 {
    let last = reference.len() - 1;
    points.sort_by(|a, b| order(a[last], b[last]));
    let flat: Vec<&[f64]> = points.iter().map(|p| &p[..last]).collect();
    let slice = |i: usize| {
        let depth = reference[last] - points[i][last];
        depth * exclusive(flat[..i].iter().copied(), flat[i], &reference[..last])
    };
    (0..points.len()).map(slice).sum()
}

/// What `point` dominates and none of `others`, all inside the box of `reference`.
fn exclusive<'a>(others: impl Iterator<Item = &'a [f64]>, point: &[f64], reference: &[f64]) -> f64 {
    let own: f64 = point.iter().zip(reference).map(|(p, r)| r - p).product();
    let limit =
        |other: &[f64]| -> Vec<f64> { other.iter().zip(point).map(|(a, b)| a.max(*b)).collect() };
    let limited: Vec<Vec<f64>> = others.map(limit).collect();
    (own - hypervolume(&limited, reference)).max(0.0)
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
