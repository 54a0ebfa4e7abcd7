//! How crowded a place is.

/// Densities are never smaller than this, so that one over a density stays finite.
const SMALLEST: f64 = 1e-12;

/// A smooth estimate of where points lie, in any number of dimensions.
///
/// Gaussian kernels with one bandwidth per axis, `max(σ n^(-1/(d+4)), floor)`, where `σ` is the
/// standard deviation along the axis. Of fewer than two points nothing is known: then the density
/// is 1 everywhere.
///
/// # Source
///
/// Scott, *Multivariate Density Estimation*, 1992 (section 6.3: product kernels, Scott's rule).
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    points: Vec<Vec<f64>>,
    bandwidth: Vec<f64>,
}

impl Density {
    /// The density of `points`, all of one length.
    ///
    /// `floor`, in the unit of the axes and above 0, is the narrowest kernel: it keeps an axis along
    /// which all points agree from making every other place infinitely empty. On logarithmic axes
    /// 0.1 means that differences below a tenth hardly count.
    pub fn fit(points: &[Vec<f64>], floor: f64) -> Density {
        debug_assert!(floor > 0.0, "a kernel has a width");
        let axes = points.first().map_or(0, Vec::len);
        let shrink = (points.len() as f64).powf(-1.0 / (axes as f64 + 4.0));
        let width = |axis| (deviation(points, axis) * shrink).max(floor);
        Density { points: points.to_vec(), bandwidth: (0..axes).map(width).collect() }
    }

    /// The density at `place`, at least 1e-12. Costs points times dimensions.
    pub fn at(&self, place: &[f64]) -> f64 {
        if self.points.len() < 2 {
            return 1.0;
        }
        let height: f64 = self.bandwidth.iter().map(|h| h * std::f64::consts::TAU.sqrt()).product();
        let sum: f64 = self.points.iter().map(|p| (-0.5 * self.distance(p, place)).exp()).sum();
        (sum / (height * self.points.len() as f64)).max(SMALLEST)
    }

    /// Squared distance in bandwidths.
    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let axes = a.iter().zip(b).zip(&self.bandwidth);
        axes.map(|((a, b), h)| ((a - b) / h).powi(2)).sum()
    }
}

/// Standard deviation along `axis`, with `n - 1`; 0 of fewer than two points.
fn deviation(points: &[Vec<f64>], axis: usize) -> f64 {
    let n = points.len() as f64;
    let mean = points.iter().map(|p| p[axis]).sum::<f64>() / n;
    let squares: f64 = points.iter().map(|p| (p[axis] - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_density_is_one_in_all() {
        let points: Vec<Vec<f64>> =
            [[0.0, 0.0], [1.0, 0.5], [0.3, 2.0], [0.2, 0.1]].map(Vec::from).to_vec();
        let density = Density::fit(&points, 1e-3);
        let step = 0.05;
        let axis = || (-120..160).map(|i| f64::from(i) * step);
        let sum: f64 =
            axis().flat_map(|x| axis().map(move |y| [x, y])).map(|p| density.at(&p)).sum();
        assert!((sum * step * step - 1.0).abs() < 1e-3, "{}", sum * step * step);
    }

    #[test]
    fn the_density_of_scipy_is_met() {
        let points: Vec<Vec<f64>> = [1.0, 2.0, 4.0, 8.0].map(|x| vec![x]).to_vec();
        let density = Density::fit(&points, 1e-3);
        let scipy =
            [(0.0, 0.07844388130926887), (3.0, 0.11158657168930328), (8.0, 0.05456006305246468)];
        for (x, expected) in scipy {
            assert!((density.at(&[x]) - expected).abs() < 1e-12, "{x}: {}", density.at(&[x]));
        }
    }

    #[test]
    fn one_point_makes_every_place_equally_likely() {
        let density = Density::fit(&[vec![1.0, 2.0]], 0.1);
        assert_eq!(density.at(&[1.0, 2.0]), density.at(&[1e6, -1e6]));
        assert_eq!(Density::fit(&[], 0.1).at(&[3.0]), 1.0);
    }

    #[test]
    fn no_place_has_no_density() {
        let density = Density::fit(&[vec![0.0], vec![1.0]], 0.1);
        assert_eq!(density.at(&[1e9]), SMALLEST);
    }

    #[test]
    fn points_that_agree_along_an_axis_leave_a_kernel_of_the_floor() {
        let density = Density::fit(&[vec![5.0], vec![5.0]], 0.1);
        let peak = 1.0 / (0.1 * std::f64::consts::TAU.sqrt());
        assert!((density.at(&[5.0]) - peak).abs() < 1e-12);
    }
}
