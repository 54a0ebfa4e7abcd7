//! Constants of a model, each read once.
use std::collections::BTreeMap;

use crate::graph::MAX_VALUES;
use crate::graph::Tensor;

use super::OnnxError;
use super::error::shown;
use super::proto::TensorProto;
use super::proto::tensor_proto::DataLocation;
use super::proto::tensor_proto::DataType;

/// The constants that have not been asked for yet.
///
/// Each is given out once, so that decoding them all costs no more than the file: a constant
/// that a thousand nodes share would be copied a thousand times.
pub(super) struct Constants<'a> {
    left: BTreeMap<&'a str, &'a TensorProto>,
}

impl<'a> Constants<'a> {
    pub(super) fn new(tensors: &'a [TensorProto]) -> Result<Self, OnnxError> {
        let mut left = BTreeMap::new();
        for tensor in tensors {
            if left.insert(tensor.name(), tensor).is_some() {
                return Err(wrong(tensor.name(), "a name of its own"));
            }
        }
        Ok(Constants { left })
    }

    /// A `float32` constant.
    pub(super) fn floats(&mut self, name: &str) -> Result<Tensor, OnnxError> {
        let (shape, bytes) = self.take(name, DataType::Float, 4)?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(Tensor { shape, data: values.iter().map(|&v| f32::from_le_bytes(v)).collect() })
    }

    /// A vector of sizes, `int64` in the file.
    pub(super) fn sizes(&mut self, name: &str) -> Result<Vec<usize>, OnnxError> {
        let (_, bytes) = self.take(name, DataType::Int64, 8)?;
        let (values, _) = bytes.as_chunks::<8>();
        let sizes = values.iter().map(|&v| usize::try_from(i64::from_le_bytes(v)).ok());
        sizes.collect::<Option<Vec<_>>>().ok_or_else(|| wrong(name, "no negative size"))
    }

    /// Shape and bytes, of which there are as many as the shape says.
    fn take(
        &mut self,
        name: &str,
        data_type: DataType,
        width: usize,
    ) -> Result<(Vec<usize>, &'a [u8]), OnnxError> {
        let tensor = self.left.remove(name);
        let tensor = tensor.ok_or_else(|| wrong(name, "a definition, and one reader alone"))?;
        if tensor.data_location.is_some_and(|at| at != i32::from(DataLocation::Default)) {
            return Err(OnnxError::Refused("constants in other files"));
        }
        if tensor.data_type != Some(data_type.into()) {
            return Err(wrong(name, "the type that its node expects"));
        }
        let shape: Option<Vec<usize>> =
            tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        let shape = shape.ok_or_else(|| wrong(name, "no negative size"))?;
        let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let len = len.filter(|&n| n <= MAX_VALUES);
        let len = len.ok_or_else(|| wrong(name, "fewer values"))?;
        match tensor.raw_data.as_deref() {
            Some(bytes) if bytes.len() == len * width => Ok((shape, bytes)),
            _ => Err(wrong(name, "`raw_data` for exactly its shape")),
        }
    }
}

fn wrong(name: &str, expected: &'static str) -> OnnxError {
    OnnxError::WrongConstant { name: shown(name), expected }
}
