//! Outputs that fit a line.
use super::inputs::InputSpec;
use super::inputs::TensorData;
use super::protocol::Outputs;
use super::protocol::Thinned;

/// Most values of all outputs together: two thirds of a line.
const MOST: usize = 32_768;

/// All values, or as many as a line holds: then evenly spread ones of each output, its first and
/// last among them, and what all its values together are like.
pub fn fitting(inputs: Vec<InputSpec>, tensors: Vec<TensorData>) -> Outputs {
    fitting_in(MOST, inputs, tensors)
}

fn fitting_in(most: usize, inputs: Vec<InputSpec>, mut tensors: Vec<TensorData>) -> Outputs {
    let all: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    let mut thinned = Vec::new();
    if all > most {
        let share = (most / tensors.len()).max(1);
        thinned = tensors.iter_mut().map(|tensor| thin(&mut tensor.values, share)).collect();
    }
    Outputs { inputs, tensors, thinned }
}

/// Keeps about `most` values. The distance is odd, so that it does not meet the same column of rows
/// of even length each time.
fn thin(values: &mut Vec<Option<f64>>, most: usize) -> Thinned {
    let stride = values.len().div_ceil(most) | 1;
    let finite = || values.iter().flatten().copied();
    let count = finite().count();
    let thinned = Thinned {
        stride,
        least: finite().reduce(f64::min),
        most: finite().reduce(f64::max),
        mean: (count > 0).then(|| finite().sum::<f64>() / count as f64),
        not_finite: values.len() - count,
    };
    let last = values.len().saturating_sub(1);
    let mut at = 0..;
    values.retain(|_| at.next().is_some_and(|i: usize| i.is_multiple_of(stride) || i == last));
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Element;

    fn tensor(values: Vec<Option<f64>>) -> TensorData {
        TensorData { name: "y".into(), element: Element::F32, shape: vec![values.len()], values }
    }

    #[test]
    fn outputs_that_fit_are_whole() {
        let outputs = fitting_in(4, Vec::new(), vec![tensor(vec![Some(1.0); 2]); 2]);
        assert_eq!((outputs.tensors[1].values.len(), outputs.thinned.len()), (2, 0));
    }

    #[test]
    fn of_others_the_first_the_last_and_evenly_spread_ones_are_kept_and_all_are_counted() {
        let mut values: Vec<_> = (0..100).map(|i| Some(f64::from(i))).collect();
        values[50] = None;
        let outputs = fitting_in(10, Vec::new(), vec![tensor(values.clone()), tensor(values)]);
        let kept: Vec<_> = outputs.tensors[1].values.iter().flatten().copied().collect();
        assert_eq!(kept, [0.0, 21.0, 42.0, 63.0, 84.0, 99.0]);
        let mean = Some(4900.0 / 99.0);
        let expected =
            Thinned { stride: 21, least: Some(0.0), most: Some(99.0), mean, not_finite: 1 };
        assert_eq!(outputs.thinned, vec![expected; 2]);
        assert_eq!(outputs.tensors[0].shape, [100]);
    }
}
