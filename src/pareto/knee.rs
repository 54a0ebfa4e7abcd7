//! Where a little more of one objective stops buying much of another.

/// Index of the knee of a front, `None` if there are no points.
///
/// The points are scaled to `[0, 1]` between the best and the worst value of each objective among
/// them. The knee is the one deepest below the plane through the unit points of the axes, that is,
/// with the smallest sum; of two objectives, the one farthest from the chord between the ends of
/// the front. An objective in which all points agree counts nothing; of equals the first is taken,
/// so a front of two points has its first as knee.
///
/// `points` should be on the axes of [`Reference::normalise`](super::Reference::normalise),
/// otherwise a large network decides what is much.
///
/// # Source
///
/// Das, *On Characterizing the "Knee" of the Pareto Curve Based on Normal-Boundary Intersection*,
/// Structural Optimization 1999.
pub fn knee<P: AsRef<[f64]>>(points: &[P]) -> Option<usize> {
    let axes = points.first()?.as_ref().len();
    let coordinate = |axis: usize| points.iter().map(move |p| p.as_ref()[axis]);
    let scales: Vec<[f64; 2]> = (0..axes)
        .map(|axis| {
            let best = coordinate(axis).fold(f64::INFINITY, f64::min);
            let worst = coordinate(axis).fold(f64::NEG_INFINITY, f64::max);
            [best, if worst > best { worst - best } else { 1.0 }]
        })
        .collect();
    let height = |p: &P| -> f64 {
        p.as_ref().iter().zip(&scales).map(|(x, [best, span])| (x - best) / span).sum()
    };
    let heights: Vec<f64> = points.iter().map(height).collect();
    (0..points.len()).min_by(|&a, &b| heights[a].total_cmp(&heights[b]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_knee_is_farthest_from_the_chord() {
        assert_eq!(knee(&[[0.0, 1.0], [0.1, 0.4], [0.3, 0.3], [1.0, 0.0]]), Some(1));
        assert_eq!(knee(&[[1.0, 0.0, 0.0], [0.2, 0.2, 0.2], [0.0, 1.0, 1.0]]), Some(1));
    }

    #[test]
    fn small_fronts_have_a_knee_and_empty_ones_none() {
        assert_eq!(knee::<[f64; 2]>(&[]), None);
        assert_eq!(knee(&[[0.5, 0.5]]), Some(0));
        assert_eq!(knee(&[[0.0, 1.0], [1.0, 0.0]]), Some(0));
        assert_eq!(knee(&[[0.5, 0.5], [0.5, 0.4]]), Some(1));
    }

    proptest! {
        /// Of two objectives the distance to the chord is a second way to the answer.
        #[test]
        fn in_the_plane_no_point_is_deeper_below_the_chord(
            steps in prop::collection::vec((0.01..1.0f64, 0.01..1.0f64), 2..20)
        ) {
            let mut at = [0.0, 30.0];
            let mut points = vec![at];
            for (right, down) in steps {
                at = [at[0] + right, at[1] - down];
                points.push(at);
            }
            let [first, last] = [points[0], points[points.len() - 1]];
            let depth = |p: &[f64; 2]| {
                (last[1] - first[1]) * (p[0] - first[0]) - (last[0] - first[0]) * (p[1] - first[1])
            };
            let deepest = points.iter().map(depth).fold(f64::NEG_INFINITY, f64::max);
            let found = knee(&points).unwrap();
            prop_assert!(depth(&points[found]) >= deepest - 1e-9);
        }
    }
}
