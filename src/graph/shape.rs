//! Shapes of values and parameters.
use std::collections::BTreeMap;
use std::fmt;

use super::Conv;
use super::Graph;
use super::GraphError;
use super::Node;
use super::NodeId;
use super::Op;
use super::Pool;
use super::check::capped_len;
use super::check::out_of_range;

/// Shape of one sample's value; a batch adds `N` in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `[channels, height, width]`.
    Image([usize; 3]),
    /// A vector of this length.
    Vector(usize),
}

impl Shape {
    /// Number of values of one sample.
    pub fn len(self) -> usize {
        match self {
            Shape::Image([c, h, w]) => c * h * w,
            Shape::Vector(n) => n,
        }
    }

    /// Never: every size is at least 1 (G5).
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Channels of an image, length of a vector.
    pub fn channels(self) -> usize {
        match self {
            Shape::Image([c, _, _]) => c,
            Shape::Vector(n) => n,
        }
    }

    /// `[height, width]`; `[1, 1]` for a vector.
    pub fn size(self) -> [usize; 2] {
        match self {
            Shape::Image([_, h, w]) => [h, w],
            Shape::Vector(_) => [1, 1],
        }
    }

    /// The dimensions without the batch.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Shape::Image(dims) => dims.to_vec(),
            Shape::Vector(n) => vec![n],
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims().iter().map(usize::to_string).collect();
        f.pad(&dims.join("×"))
    }
}

/// Shapes and edges by the places of the nodes, so that nothing is looked up by name again.
pub(super) struct Placed {
    /// Shape of each node's output.
    pub(super) shapes: Vec<Shape>,
    inputs: Vec<usize>,
    /// Where the inputs of each node end.
    ends: Vec<usize>,
}

impl Placed {
    /// Places of what the node at `at` reads, in its order.
    pub(super) fn inputs(&self, at: usize) -> &[usize] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.inputs[start..self.ends[at]]
    }
}

impl Graph {
    /// Shape of every node's output.
    ///
    /// # Errors
    ///
    /// The first violation of G1, G3 or the cap of G5 on values, in node order.
    pub fn shapes(&self) -> Result<BTreeMap<NodeId, Shape>, GraphError> {
        let shapes = self.placed()?.shapes;
        Ok(self.nodes().iter().map(|node| node.id).zip(shapes).collect())
    }

    /// As [`shapes`](Self::shapes).
    pub(super) fn placed(&self) -> Result<Placed, GraphError> {
        let nodes = self.nodes();
        let mut places: Vec<(NodeId, usize)> = nodes.iter().map(|n| n.id).zip(0..).collect();
        places.sort_unstable();
        let mut placed = Placed { shapes: Vec::new(), inputs: Vec::new(), ends: Vec::new() };
        let mut read = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            read.clear();
            for &input in &node.inputs {
                let place = places.binary_search_by_key(&input, |(id, _)| *id);
                let place = place.ok().map(|found| places[found].1).filter(|&place| place < at);
                let place = place.ok_or(GraphError::NotTopological { node: node.id, input })?;
                placed.inputs.push(place);
                read.push(placed.shapes[place]);
            }
            placed.ends.push(placed.inputs.len());
            let shape = output_shape(node, &read)?;
            let len = match shape {
                Shape::Image(dims) => capped_len(&dims),
                Shape::Vector(n) => capped_len(&[n]),
            };
            len.ok_or_else(|| out_of_range(node, "its output"))?;
            placed.shapes.push(shape);
        }
        Ok(placed)
    }

    /// Name and shape of every parameter of `op`, in the order of [`super::Params::tensors`].
    ///
    /// `input` is the shape of the node's first input.
    pub fn parameter_shapes(op: &Op, input: Shape) -> Vec<(&'static str, Vec<usize>)> {
        let c = input.channels();
        match op {
            Op::Normalize => vec![("mean", vec![c]), ("std", vec![c])],
            Op::Conv(conv) => {
                let [kh, kw] = conv.kernel;
                let mut shapes = vec![("weight", vec![conv.channels, c / conv.groups, kh, kw])];
                if conv.bias {
                    shapes.push(("bias", vec![conv.channels]));
                }
                shapes
            }
            Op::BatchNorm { .. } => {
                ["gamma", "beta", "mean", "variance"].map(|name| (name, vec![c])).to_vec()
            }
            Op::Linear(linear) => {
                let mut shapes = vec![("weight", vec![linear.features, c])];
                if linear.bias {
                    shapes.push(("bias", vec![linear.features]));
                }
                shapes
            }
            Op::Input { .. }
            | Op::Activation(_)
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAveragePool
            | Op::Flatten
            | Op::Dropout { .. }
            | Op::Resize(_) => Vec::new(),
        }
    }
}

/// The shape that `node` gives for `inputs`.
fn output_shape(node: &Node, inputs: &[Shape]) -> Result<Shape, GraphError> {
    let mismatch = |expected: &str| GraphError::ShapeMismatch {
        node: node.id,
        op: node.op.name(),
        expected: expected.to_owned(),
        found: inputs.iter().map(Shape::to_string).collect::<Vec<_>>().join(", "),
    };
    let image = || match inputs {
        [Shape::Image(shape)] => Ok(*shape),
        _ => Err(mismatch("one image")),
    };
    let one = || match inputs {
        [shape] => Ok(*shape),
        _ => Err(mismatch("one input")),
    };
    match &node.op {
        Op::Input { shape } if inputs.is_empty() => Ok(Shape::Image(*shape)),
        Op::Input { .. } => Err(mismatch("no input")),
        Op::Normalize | Op::BatchNorm { .. } => image().map(Shape::Image),
        Op::Conv(conv) => {
            let [c, h, w] = image()?;
            let whole = |n: usize| conv.groups > 0 && n.is_multiple_of(conv.groups);
            if !whole(c) || !whole(conv.channels) {
                return Err(mismatch("channels in whole groups"));
            }
            let size = conv_size(conv, [h, w]);
            let [h, w] =
                size.ok_or_else(|| mismatch("an image at least as large as the kernel"))?;
            Ok(Shape::Image([conv.channels, h, w]))
        }
        Op::Activation(_) | Op::Dropout { .. } => one(),
        Op::Add => match inputs {
            [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|s| s == first) => Ok(*first),
            _ => Err(mismatch("two or more inputs of equal shape")),
        },
        Op::Mul => match inputs {
            [a, b] if a == b => Ok(*a),
            [Shape::Image([c, h, w]), Shape::Image([d, 1, 1])] if c == d => {
                Ok(Shape::Image([*c, *h, *w]))
            }
            _ => Err(mismatch("equal shapes, or C×H×W and C×1×1")),
        },
        Op::Concat => concat_shape(inputs).ok_or_else(|| mismatch("images of equal size")),
        Op::MaxPool(pool) | Op::AvgPool(pool) => {
            let [c, h, w] = image()?;
            let size = pool_size(pool, [h, w]);
            let [h, w] =
                size.ok_or_else(|| mismatch("an image at least as large as the window"))?;
            Ok(Shape::Image([c, h, w]))
        }
        Op::GlobalAveragePool => image().map(|[c, _, _]| Shape::Image([c, 1, 1])),
        Op::Flatten => one().map(|shape| Shape::Vector(shape.len())),
        Op::Linear(linear) => match inputs {
            [Shape::Vector(_)] => Ok(Shape::Vector(linear.features)),
            _ => Err(mismatch("one vector")),
        },
        Op::Resize(resize) => {
            image().map(|[c, _, _]| Shape::Image([c, resize.size[0], resize.size[1]]))
        }
    }
}

fn concat_shape(inputs: &[Shape]) -> Option<Shape> {
    let [Shape::Image([_, h, w]), _, ..] = *inputs else { return None };
    let mut channels = 0usize;
    for &input in inputs {
        let Shape::Image([c, h2, w2]) = input else { return None };
        if (h2, w2) != (h, w) {
            return None;
        }
        channels = channels.checked_add(c)?;
    }
    Some(Shape::Image([channels, h, w]))
}

/// Output size of a window along both axes; `None` if it does not fit.
fn windows(
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
) -> Option<[usize; 2]> {
    let mut out = [0; 2];
    for d in 0..2 {
        let reach = dilation[d].checked_mul(kernel[d].checked_sub(1)?)?.checked_add(1)?;
        let padded = size[d].checked_add(padding[d].checked_mul(2)?)?;
        out[d] = padded.checked_sub(reach)?.checked_div(stride[d])? + 1;
    }
    Some(out)
}

fn conv_size(conv: &Conv, size: [usize; 2]) -> Option<[usize; 2]> {
    windows(size, conv.kernel, conv.stride, conv.padding, conv.dilation)
}

fn pool_size(pool: &Pool, size: [usize; 2]) -> Option<[usize; 2]> {
    let inside = (0..2).all(|d| pool.padding[d] < pool.kernel[d]);
    if !inside {
        return None;
    }
    windows(size, pool.kernel, pool.stride, pool.padding, [1, 1])
}
