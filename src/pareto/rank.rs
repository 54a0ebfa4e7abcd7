//! Ranks of whole populations.
use super::front::front;

/// The rank of each point: 0 on the front, 1 on the front of what is left without it, and so on.
///
/// `O(n log n)` a rank for up to three objectives.
///
/// # Source
///
/// Deb, Pratap, Agarwal, Meyarivan, *A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II*,
/// IEEE TEC 2002, section III A.
pub fn ranks<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let mut ranks = vec![0; points.len()];
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut rank = 0;
    while !left.is_empty() {
        let points: Vec<&[f64]> = left.iter().map(|&i| points[i].as_ref()).collect();
        let best = front(&points);
        for &i in &best {
            ranks[left[i]] = rank;
        }
        let mut at = 0;
        left.retain(|_| {
            at += 1;
            best.binary_search(&(at - 1)).is_err()
        });
        rank += 1;
    }
    ranks
}

/// How far apart the neighbours of each point lie, summed over the objectives, each as a share of its
/// range; infinite at the ends. To be used within one rank.
///
/// # Source
///
/// Deb et al. 2002, section III B.
pub fn crowding<P: AsRef<[f64]>>(points: &[P]) -> Vec<f64> {
    let mut distance = vec![0.0; points.len()];
    let objectives = points.first().map_or(0, |p| p.as_ref().len());
    for axis in 0..objectives {
        let value = |i: usize| points[i].as_ref()[axis];
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        let (first, last) = (order[0], order[order.len() - 1]);
        let range = value(last) - value(first);
        distance[first] = f64::INFINITY;
        distance[last] = f64::INFINITY;
        if range > 0.0 {
            for window in order.windows(3) {
                distance[window[1]] += (value(window[2]) - value(window[0])) / range;
            }
        }
    }
    distance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_a_hand_made_population() {
        let points = [[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [2.0, 5.0], [3.0, 3.0], [5.0, 5.0]];
        assert_eq!(ranks(&points), [0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn crowding_of_a_hand_made_front() {
        let points = [[0.0, 10.0], [1.0, 6.0], [4.0, 5.0], [10.0, 0.0]];
        let distance = crowding(&points);
        assert_eq!((distance[0], distance[3]), (f64::INFINITY, f64::INFINITY));
        assert!((distance[1] - (0.4 + 0.5)).abs() < 1e-12);
        assert!((distance[2] - (0.9 + 0.6)).abs() < 1e-12);
    }
}
