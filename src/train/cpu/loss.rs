//! The loss: cross entropy to soft targets, and to a teacher.

/// What the outputs of some samples are compared with.
pub struct Goal<'a> {
    /// Probabilities, `[N, classes]`.
    pub targets: &'a [f32],
    /// The teacher's outputs, `[N, classes]`, its share and its temperature.
    pub teacher: Option<(&'a [f32], f32, f32)>,
}

/// Sum of the losses of the samples; writes `gradient`, of that sum times `scale`.
pub fn loss(logits: &[f32], goal: &Goal, classes: usize, scale: f32, gradient: &mut [f32]) -> f64 {
    let mut total = 0.0;
    let mut expected = vec![0.0; classes];
    for (i, (z, dz)) in logits.chunks(classes).zip(gradient.chunks_mut(classes)).enumerate() {
        let target = &goal.targets[i * classes..][..classes];
        let share = goal.teacher.map_or(0.0, |(_, share, _)| share);
        dz.fill(0.0);
        total += cross_entropy(z, 1.0, target, 1.0 - share, dz);
        if let Some((teacher, share, temperature)) = goal.teacher {
            softmax(&teacher[i * classes..][..classes], temperature, &mut expected);
            total += cross_entropy(z, temperature, &expected, share, dz);
        }
        dz.iter_mut().for_each(|g| *g *= scale);
    }
    total
}

/// `share · T² · H(target, softmax(z / T))`; adds its gradient.
fn cross_entropy(z: &[f32], temperature: f32, target: &[f32], share: f32, dz: &mut [f32]) -> f64 {
    let largest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scaled = |z: f32| (z - largest) / temperature;
    let sum: f32 = z.iter().map(|&z| scaled(z).exp()).sum();
    let log_sum = sum.ln();
    let mut loss = 0.0;
    for ((&z, &t), dz) in z.iter().zip(target).zip(dz) {
        let log_p = scaled(z) - log_sum;
        loss -= f64::from(t * log_p);
        *dz += share * temperature * (log_p.exp() - t);
    }
    loss * f64::from(share * temperature * temperature)
}

/// Probabilities from outputs.
fn softmax(z: &[f32], temperature: f32, p: &mut [f32]) {
    let largest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    p.iter_mut().zip(z).for_each(|(p, z)| *p = ((z - largest) / temperature).exp());
    let sum: f32 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
}

/// Cross entropy of one sample to its class, and whether another class was larger.
pub fn score(z: &[f32], class: usize) -> (f64, bool) {
    let largest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = z.iter().map(|&z| f64::from(z - largest).exp()).sum();
    let loss = sum.ln() - f64::from(z[class] - largest);
    let best = z.iter().position(|&z| z == largest);
    (loss, best != Some(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_output_costs_the_logarithm_of_the_classes() {
        let goal = Goal { targets: &[0.0, 1.0, 0.0, 0.0], teacher: None };
        let mut gradient = [0.0; 4];
        let total = loss(&[0.5; 4], &goal, 4, 1.0, &mut gradient);
        assert!((total - 4f64.ln()).abs() < 1e-6, "{total}");
        assert_eq!(gradient, [0.25, -0.75, 0.25, 0.25]);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let (targets, teacher) = ([0.1, 0.9, 0.0], [1.0, -0.5, 0.25]);
        let goal = Goal { targets: &targets, teacher: Some((&teacher, 0.4, 2.0)) };
        let z = [0.3, -0.2, 0.9];
        let mut gradient = [0.0; 3];
        loss(&z, &goal, 3, 1.0, &mut gradient);
        for i in 0..3 {
            let at = |step: f32| {
                let mut moved = z;
                moved[i] += step;
                loss(&moved, &goal, 3, 1.0, &mut [0.0; 3])
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope - f64::from(gradient[i])).abs() < 1e-4, "{slope} {}", gradient[i]);
        }
    }

    #[test]
    fn a_tie_is_given_to_the_first_class() {
        assert!(!score(&[1.0, 1.0], 0).1);
        assert!(score(&[1.0, 1.0], 1).1);
        assert!((score(&[1.0, 1.0], 1).0 - 2f64.ln()).abs() < 1e-12);
    }
}
