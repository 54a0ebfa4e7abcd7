//! Does the device compute what this machine computes?
use serde::Deserialize;
use serde::Serialize;

use crate::agent::Outputs;
use crate::agent::TensorData;
use crate::agent::Thinned;

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
    /// How many values the outputs have; `None` from before that was told.
    #[serde(default)]
    pub values: Option<u64>,
    /// How many of them were compared. Of outputs too long for a line of the protocol these are
    /// evenly spread ones; least, most, mean and the number of values that are not finite are
    /// compared over all.
    #[serde(default)]
    pub compared: Option<u64>,
}

impl Agreement {
    /// Compares output by output, in the model's order.
    pub fn of(reference: String, expected: &Outputs, found: &Outputs) -> Self {
        let same = expected.tensors.len() == found.tensors.len();
        let pairs = expected.tensors.iter().zip(&found.tensors);
        let largest = pairs
            .map(|(e, f)| gap(e, f))
            .try_fold(0.0, |most, gap| gap.map(|gap| f64::max(most, gap)));
        let same_summaries = expected.thinned.len() == found.thinned.len();
        let summaries = expected.thinned.iter().zip(&found.thinned);
        let summaries = summaries
            .map(|(e, f)| gap_of_summaries(e, f))
            .try_fold(0.0, |most, gap| gap.map(|gap| f64::max(most, gap)));
        let gap = largest.zip(summaries).filter(|_| same && same_summaries);
        Agreement {
            reference,
            gap: gap.map(|(values, summaries)| f64::max(values, summaries)),
            tolerance: TOLERANCE,
            values: Some(expected.tensors.iter().map(|t| elements(&t.shape)).sum()),
            compared: Some(expected.tensors.iter().map(|t| t.values.len() as u64).sum()),
        }
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
    gap_of_values(&expected.values, &found.values)
}

/// Largest difference over the largest expected value; `None` if one side only is not finite.
fn gap_of_values(expected: &[Option<f64>], found: &[Option<f64>]) -> Option<f64> {
    let mut largest = [0.0_f64; 2];
    for (expected, found) in expected.iter().zip(found) {
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

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|size| *size as u64).fold(1, u64::saturating_mul)
}

/// `None` if what is known of all values of a tensor cannot be compared.
fn gap_of_summaries(expected: &Thinned, found: &Thinned) -> Option<f64> {
    let of = |t: &Thinned| [t.least, t.most, t.mean];
    let is_like = expected.stride == found.stride && expected.not_finite == found.not_finite;
    gap_of_values(&of(expected), &of(found)).filter(|_| is_like)
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
        Outputs { inputs: Vec::new(), tensors: vec![tensor], thinned: Vec::new() }
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
    fn of_outputs_that_are_too_long_all_values_count_in_their_summary() {
        let thinned = |most, not_finite| {
            let mut outputs = outputs(&[Some(1.0), Some(2.0)]);
            outputs.tensors[0].shape = vec![3];
            let (least, most, mean) = (Some(1.0), Some(most), Some(1.5));
            outputs.thinned = vec![Thinned { stride: 3, least, most, mean, not_finite }];
            outputs
        };
        let agreement = |found| Agreement::of("tract".into(), &thinned(2.0, 0), &found);
        let same = agreement(thinned(2.0, 0));
        assert_eq!((same.gap, same.values, same.compared), (Some(0.0), Some(3), Some(2)));
        assert_eq!(agreement(thinned(2.5, 0)).gap, Some(0.25));
        assert_eq!(agreement(thinned(2.0, 1)).gap, None);
        assert_eq!(agreement(outputs(&[Some(1.0), Some(2.0)])).gap, None);
    }

    #[test]
    fn what_cannot_be_compared_does_not_agree() {
        assert_eq!(gap_of(&[Some(1.0)], &[None]), None);
        assert_eq!(gap_of(&[Some(1.0)], &[Some(1.0), Some(2.0)]), None);
        let none = Outputs { inputs: Vec::new(), tensors: Vec::new(), thinned: Vec::new() };
        let lacking = Agreement::of("tract".into(), &outputs(&[Some(1.0)]), &none);
        assert!(!lacking.holds());
    }
}
