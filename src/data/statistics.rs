//! Mean and standard deviation of each channel.

use crate::data::Samples;

/// Mean and standard deviation of each channel of all images, for the normalising node.
///
/// The deviation is the population's; a constant channel gets 1, so that dividing by it is safe.
/// Costs two passes over the pixels.
///
/// # Panics
///
/// If there is no image.
pub fn channel_statistics(samples: &Samples) -> (Vec<f32>, Vec<f32>) {
    let count = (samples.len() * samples.shape[1] * samples.shape[2]) as f64;
    assert!(count > 0.0, "statistics need an image");
    let mean = channel_sums(samples, |_, value| value / count);
    let variance = channel_sums(samples, |channel, value| (value - mean[channel]).powi(2) / count);
    let deviation = variance.iter().zip(&mean).map(|(v, m)| safe(v.sqrt(), *m));
    (mean.iter().map(|&m| m as f32).collect(), deviation.collect())
}

/// The deviation, or 1 where it is nothing but the rounding of sums around this mean.
fn safe(deviation: f64, mean: f64) -> f32 {
    let is_rounding = deviation <= mean.abs() * f64::from(f32::EPSILON);
    if is_rounding { 1.0 } else { (deviation as f32).max(f32::MIN_POSITIVE) }
}

/// Sum of `term(channel, value)` over all pixels of each channel.
fn channel_sums(samples: &Samples, term: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let [channels, height, width] = samples.shape;
    let mut sums = vec![0.0; channels];
    let mut image = vec![0.0; samples.image_len()];
    for index in 0..samples.len() {
        samples.copy_image(index, &mut image);
        for (channel, plane) in image.chunks_exact(height * width).enumerate() {
            sums[channel] += plane.iter().map(|&v| term(channel, f64::from(v))).sum::<f64>();
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Pixels;

    #[test]
    fn statistics_are_those_of_a_hand_computed_example() {
        // Two images of two channels of two pixels.
        let pixels = Pixels::U8(Arc::new(vec![1, 3, 50, 50, 5, 7, 50, 50]));
        let samples = Samples { shape: [2, 1, 2], pixels, labels: Arc::new(vec![0, 1]) };
        // 1, 3, 5, 7: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5; the constant channel gets 1.
        assert_eq!(channel_statistics(&samples), (vec![4.0, 50.0], vec![5f32.sqrt(), 1.0]));
    }

    #[test]
    fn a_constant_channel_of_any_number_of_pixels_gets_1() {
        for pixels in 1..50 {
            let ones = Pixels::U8(Arc::new(vec![1; pixels]));
            let labels = Arc::new(vec![0; pixels]);
            let samples = Samples { shape: [1, 1, 1], pixels: ones, labels };
            assert_eq!(channel_statistics(&samples).1, [1.0], "{pixels}");
        }
    }

    #[test]
    fn large_offsets_do_not_drown_the_deviation() {
        let pixels = Pixels::F32(Arc::new(vec![1e6, 1e6 + 1.0, 1e6 + 2.0, 1e6 + 3.0]));
        let samples = Samples { shape: [1, 2, 2], pixels, labels: Arc::new(vec![0]) };
        let (mean, deviation) = channel_statistics(&samples);
        assert_eq!((mean[0], deviation[0]), (1e6 + 1.5, 1.25f32.sqrt()));
    }
}
