//! Does the device compute what this machine computes?
use serde::Deserialize;
use serde::Serialize;

use crate::agent::Outputs;
use crate::agent::TensorData;

/// Largest gap that is rounding: other kernels add in another order, and some compute in 16 bits.
pub(super) const TOLERANCE: f64 = 1e-2;

/// Outputs of the device against those of a runtime on the host, for the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// What computed the reference, e.g. `tract 0.23.9 on local`.
    pub reference: String,
    /// Largest difference of two values, over the largest reference value of the same output;
    /// `None` if the outputs cannot be compared: other shapes, or values that are not finite on one
    /// side only.
    pub gap: Option<f64>,
    /// Largest gap that is allowed.
    pub tolerance: f64,
}

impl Agreement {
    /// Compares output by output, in the model's order.
    pub fn of(reference: String, expected: &Outputs, found: &Outputs) -> Self {
        let same = expected.tensors.len() == found.tensors.len();
        let pairs = expected.tensors.iter().zip(&found.tensors);
        let largest = pairs
            .map(|(e, f)| gap(e, f))
            .try_fold(0.0, |most, gap| gap.map(|gap| f64::max(most, gap)));
        Agreement { reference, gap: largest.filter(|_| same), tolerance: TOLERANCE }
    }

    /// Within the tolerance?
    pub fn holds(&self) -> bool {
        self.gap.is_some_and(|gap| gap <= self.tolerance)
    }
}

/// `None` if the tensors cannot be compared.
fn gap(expected: &TensorData, found: &TensorData) -> Option<f64> {
    if expected.shape != found.shape || expected.values.len() != found.values.len() {
        return None;
    }
    let mut largest = [0.0_f64; 2];
    for (expected, found) in expected.values.iter().zip(&found.values) {
        match (expected, found) {
            (Some(expected), Some(found)) => {
                largest[0] = largest[0].max((expected - found).abs());
                largest[1] = largest[1].max(expected.abs());
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return None,
        }
    }
    let [difference, scale] = largest;
    Some(if difference == 0.0 { 0.0 } else { difference / scale.max(f64::MIN_POSITIVE) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Element;

    fn outputs(values: &[Option<f64>]) -> Outputs {
        let tensor = TensorData {
            name: "y".into(),
            element: Element::F32,
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        Outputs { inputs: Vec::new(), tensors: vec![tensor] }
    }

    fn gap_of(expected: &[Option<f64>], found: &[Option<f64>]) -> Option<f64> {
        Agreement::of("tract".into(), &outputs(expected), &outputs(found)).gap
    }

    #[test]
    fn the_gap_is_relative_to_the_largest_value() {
        assert_eq!(gap_of(&[Some(4.0), Some(0.0)], &[Some(4.0), Some(0.002)]), Some(0.0005));
        assert_eq!(gap_of(&[Some(0.0)], &[Some(0.0)]), Some(0.0));
        assert_eq!(gap_of(&[None, Some(1.0)], &[None, Some(1.0)]), Some(0.0));
    }

    #[test]
    fn what_cannot_be_compared_does_not_agree() {
        assert_eq!(gap_of(&[Some(1.0)], &[None]), None);
        assert_eq!(gap_of(&[Some(1.0)], &[Some(1.0), Some(2.0)]), None);
        let none = Outputs { inputs: Vec::new(), tensors: Vec::new() };
        let lacking = Agreement::of("tract".into(), &outputs(&[Some(1.0)]), &none);
        assert!(!lacking.holds());
    }
}
