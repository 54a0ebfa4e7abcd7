//! Steps down a gradient, each parameter at its own pace.

/// The moments of one vector of parameters.
///
/// # Source
///
/// Kingma, Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015, with the decays and the small
/// number of the paper.
#[derive(Clone, Debug)]
pub(super) struct Adam {
    rate: f64,
    steps: i32,
    first: Vec<f64>,
    second: Vec<f64>,
}

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const SMALL: f64 = 1e-8;

impl Adam {
    /// For so many parameters.
    pub(super) fn new(rate: f64, parameters: usize) -> Adam {
        Adam { rate, steps: 0, first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }

    /// One step against `gradient`.
    pub(super) fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        self.steps = self.steps.saturating_add(1);
        // The moments begin at zero; this takes the bias out.
        let second_bias = (1.0 - SECOND_DECAY.powi(self.steps)).sqrt();
        let rate = self.rate / (1.0 - FIRST_DECAY.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, g), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *first = FIRST_DECAY * *first + (1.0 - FIRST_DECAY) * g;
            *second = SECOND_DECAY * *second + (1.0 - SECOND_DECAY) * g * g;
            *parameter -= rate * *first / (second.sqrt() / second_bias + SMALL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_as_long_as_the_rate_whatever_the_gradient() {
        let mut parameters = [1.0, 1.0];
        Adam::new(0.1, 2).step(&mut parameters, &[1e3, -1e-3]);
        assert!((parameters[0] - 0.9).abs() < 1e-5, "{parameters:?}");
        assert!((parameters[1] - 1.1).abs() < 1e-5, "{parameters:?}");
    }

    #[test]
    fn a_narrow_valley_is_followed_to_its_lowest_point() {
        let mut at = [3.0, -2.0];
        let mut adam = Adam::new(0.05, 2);
        for _ in 0..2000 {
            let slope = [200.0 * (at[0] - 1.0), 0.2 * (at[1] - 0.5)];
            adam.step(&mut at, &slope);
        }
        assert!((at[0] - 1.0).abs() < 1e-2 && (at[1] - 0.5).abs() < 1e-2, "{at:?}");
    }
}
