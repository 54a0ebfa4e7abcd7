//! Tensors that go into and come out of a model, whatever its runtime.
use serde::Deserialize;
use serde::Serialize;

/// Most elements of one generated input; a larger one is a fault of the model.
const MAX_ELEMENTS: usize = 1 << 28;

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are Rust's own")]
pub enum Element {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

/// What a model wants at one of its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// As the model calls it.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Its shape; a dimension that the model leaves open is 1.
    pub shape: Vec<usize>,
}

/// A tensor on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorData {
    /// As the model calls it.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, last dimension fastest; `null` for what is not finite.
    pub values: Vec<Option<f64>>,
}

/// Where the inputs of a run come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Spread over [0, 1) without order; integers over 0 and 1, which every index allows. The
    /// same for every runtime and device; what models are timed on.
    Scattered,
    /// `i / n` for element `i` of `n`.
    Ramp,
    /// These, in the model's order.
    Given(Vec<TensorData>),
}

/// A model wants or got inputs that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Too large to be meant.
    #[error("input `{name}` of shape {shape:?} has more than {MAX_ELEMENTS} elements")]
    TooLarge {
        /// Which.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },

    /// The host gave other inputs than the model has.
    #[error("the model wants {wanted}, it was given {given}")]
    Mismatch {
        /// Inputs of the model.
        wanted: String,
        /// Inputs of the request.
        given: String,
    },
}

impl InputSpec {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Element `i` of [`Fill::Scattered`]: the golden-ratio sequence, which is spread evenly and
    /// repeats nothing.
    fn scattered(&self, i: usize) -> f64 {
        let fraction = (i as f64 * 0.618_033_988_749_895).fract();
        match self.element {
            Element::F32 | Element::F64 => fraction,
            Element::I8
            | Element::I16
            | Element::I32
            | Element::I64
            | Element::U8
            | Element::U16
            | Element::U32
            | Element::U64
            | Element::Bool => (2.0 * fraction).floor(),
        }
    }

    fn filled(&self, value: impl Fn(usize) -> f64) -> TensorData {
        TensorData {
            name: self.name.clone(),
            element: self.element,
            shape: self.shape.clone(),
            values: (0..self.elements()).map(|i| Some(value(i))).collect(),
        }
    }

    fn check_size(&self) -> Result<(), InputError> {
        let elements = self.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
        match elements.is_some_and(|n| n <= MAX_ELEMENTS) {
            true => Ok(()),
            false => {
                Err(InputError::TooLarge { name: self.name.clone(), shape: self.shape.clone() })
            }
        }
    }
}

impl Fill {
    /// One tensor for each of `specs`, in their order.
    pub fn tensors(&self, specs: &[InputSpec]) -> Result<Vec<TensorData>, InputError> {
        specs.iter().try_for_each(InputSpec::check_size)?;
        match self {
            Fill::Scattered => Ok(specs.iter().map(|s| s.filled(|i| s.scattered(i))).collect()),
            Fill::Ramp => {
                let ramp = |s: &InputSpec| s.filled(|i| i as f64 / s.elements() as f64);
                Ok(specs.iter().map(ramp).collect())
            }
            Fill::Given(tensors) => {
                check_given(tensors, specs)?;
                Ok(tensors.clone())
            }
        }
    }
}

/// Shapes and element types must agree; names need not.
fn check_given(tensors: &[TensorData], specs: &[InputSpec]) -> Result<(), InputError> {
    let fits = |(t, s): (&TensorData, &InputSpec)| {
        t.element == s.element && t.shape == s.shape && t.values.len() == s.elements()
    };
    if tensors.len() == specs.len() && tensors.iter().zip(specs).all(fits) {
        return Ok(());
    }
    let wanted = specs.iter().map(|s| format!("{:?} {:?}", s.element, s.shape));
    let given = tensors
        .iter()
        .map(|t| format!("{:?} {:?} with {} values", t.element, t.shape, t.values.len()));
    Err(InputError::Mismatch {
        wanted: wanted.collect::<Vec<_>>().join(", "),
        given: given.collect::<Vec<_>>().join(", "),
    })
}

/// A value for the wire.
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(element: Element, shape: &[usize]) -> InputSpec {
        InputSpec { name: "x".into(), element, shape: shape.to_vec() }
    }

    #[test]
    fn integers_are_filled_with_what_every_index_allows() {
        let tensor = &Fill::Scattered.tensors(&[spec(Element::I64, &[1, 64])]).unwrap()[0];
        assert!(tensor.values.iter().all(|v| matches!(v, Some(0.0 | 1.0))));
        assert!(tensor.values.contains(&Some(0.0)) && tensor.values.contains(&Some(1.0)));
    }

    #[test]
    fn the_ramp_is_that_of_the_reference_outputs() {
        let tensor = &Fill::Ramp.tensors(&[spec(Element::F32, &[2, 2])]).unwrap()[0];
        assert_eq!(tensor.values, [0.0, 0.25, 0.5, 0.75].map(Some));
    }

    #[test]
    fn an_input_of_absurd_size_is_refused_before_it_is_made() {
        let error = Fill::Scattered.tensors(&[spec(Element::F32, &[1 << 40, 1 << 40])]);
        assert!(matches!(error, Err(InputError::TooLarge { .. })));
    }

    #[test]
    fn given_inputs_must_have_the_models_shapes() {
        let wrong = spec(Element::F32, &[3]).filled(|_| 0.0);
        let error = Fill::Given(vec![wrong]).tensors(&[spec(Element::F32, &[2])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the model wants F32 [2], it was given F32 [3] with 3 values"
        );
    }
}
