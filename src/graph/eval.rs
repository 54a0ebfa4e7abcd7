//! Reference evaluation in plain loops (decision D7).
//!
//! Slow and obvious on purpose: morphisms, export and trainer are checked against this, and it
//! shares no code with them. Evaluation mode: batch normalisation uses its running statistics,
//! dropout is the identity.
use std::collections::BTreeMap;

use super::Conv;
use super::Interpolation;
use super::Network;
use super::NodeId;
use super::Op;
use super::Params;
use super::Pool;
use super::Resize;
use super::Shape;

/// Output of `network` for one `sample` of `[C, H, W]` values.
///
/// # Panics
///
/// If the network is not valid ([`super::check_network`]) or the sample has the wrong length.
pub fn eval(network: &Network, sample: &[f32]) -> Vec<f32> {
    let mut values = eval_all(network, sample);
    values.remove(&network.graph.output()).expect("G4: there is an output")
}

/// Output of every node for one `sample` of `[C, H, W]` values.
///
/// # Panics
///
/// As [`eval`].
pub fn eval_all(network: &Network, sample: &[f32]) -> BTreeMap<NodeId, Vec<f32>> {
    let shapes = network.graph.shapes().expect("G3: shapes agree");
    let mut values: BTreeMap<NodeId, Vec<f32>> = BTreeMap::new();
    for node in network.graph.nodes() {
        let shape = shapes[&node.id];
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|i| values[i].as_slice()).collect();
        let input_shape = node.inputs.first().map_or(shape, |i| shapes[i]);
        let params = network.weights.get(&node.id).map(|p| p.as_ref());
        let value = match (&node.op, params) {
            (Op::Input { .. }, _) => {
                assert_eq!(sample.len(), shape.len(), "a sample has the input's shape");
                sample.to_vec()
            }
            (Op::Normalize, Some(Params::Normalize { mean, std })) => {
                per_channel(inputs[0], shape, |c, x| (x - mean.data[c]) / std.data[c])
            }
            (Op::Conv(conv), Some(Params::Conv { weight, bias })) => {
                let bias = bias.as_ref().map(|b| b.data.as_slice());
                convolve(conv, inputs[0], input_shape, shape, &weight.data, bias)
            }
            (
                Op::BatchNorm { epsilon },
                Some(Params::BatchNorm { gamma, beta, mean, variance }),
            ) => per_channel(inputs[0], shape, |c, x| {
                let scaled = (x - mean.data[c]) / (variance.data[c] + epsilon).sqrt();
                gamma.data[c] * scaled + beta.data[c]
            }),
            (Op::Activation(f), _) => inputs[0].iter().map(|&x| f.apply(x)).collect(),
            (Op::Add, _) => (0..shape.len()).map(|i| inputs.iter().map(|v| v[i]).sum()).collect(),
            (Op::Mul, _) if inputs[0].len() == inputs[1].len() => {
                inputs[0].iter().zip(inputs[1]).map(|(a, b)| a * b).collect()
            }
            (Op::Mul, _) => per_channel(inputs[0], shape, |c, x| x * inputs[1][c]),
            (Op::Concat, _) => inputs.concat(),
            (Op::MaxPool(pool), _) => pooled(pool, inputs[0], input_shape, shape, |window| {
                window.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            }),
            (Op::AvgPool(pool), _) => pooled(pool, inputs[0], input_shape, shape, |window| {
                window.iter().sum::<f32>() / window.len() as f32
            }),
            (Op::GlobalAveragePool, _) => {
                let [h, w] = input_shape.size();
                inputs[0].chunks(h * w).map(|c| c.iter().sum::<f32>() / (h * w) as f32).collect()
            }
            (Op::Flatten | Op::Dropout { .. }, _) => inputs[0].to_vec(),
            (Op::Linear(linear), Some(Params::Linear { weight, bias })) => (0..linear.features)
                .map(|o| {
                    let row = &weight.data[o * input_shape.len()..][..input_shape.len()];
                    let dot: f32 = row.iter().zip(inputs[0]).map(|(w, x)| w * x).sum();
                    dot + bias.as_ref().map_or(0.0, |b| b.data[o])
                })
                .collect(),
            (Op::Resize(resize), _) => resized(resize, inputs[0], input_shape),
            (Op::Normalize | Op::Conv(_) | Op::BatchNorm { .. } | Op::Linear(_), _) => {
                panic!("G6: {} has its parameters", node.id)
            }
        };
        values.insert(node.id, value);
    }
    values
}

/// Applies `f(channel, value)` to every value of an image.
fn per_channel(input: &[f32], shape: Shape, f: impl Fn(usize, f32) -> f32) -> Vec<f32> {
    let [h, w] = shape.size();
    input.iter().enumerate().map(|(i, &x)| f(i / (h * w), x)).collect()
}

/// Positions of a window along one axis that lie inside an input of length `size`.
fn taps(
    out: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    size: usize,
) -> impl Iterator<Item = (usize, usize)> {
    (0..kernel).filter_map(move |k| {
        let at = (out * stride + k * dilation).checked_sub(padding)?;
        (at < size).then_some((k, at))
    })
}

fn convolve(
    conv: &Conv,
    input: &[f32],
    from: Shape,
    to: Shape,
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let ([h, w], [oh, ow]) = (from.size(), to.size());
    let (per_group_in, per_group_out) =
        (from.channels() / conv.groups, conv.channels / conv.groups);
    let [kh, kw] = conv.kernel;
    let axis = |d: usize, out, size| {
        taps(out, conv.kernel[d], conv.stride[d], conv.padding[d], conv.dilation[d], size)
    };
    let mut output = Vec::with_capacity(to.len());
    for o in 0..conv.channels {
        let first = o / per_group_out * per_group_in;
        for y in 0..oh {
            for x in 0..ow {
                let mut sum = bias.map_or(0.0, |b| b[o]);
                for i in 0..per_group_in {
                    for (ky, iy) in axis(0, y, h) {
                        for (kx, ix) in axis(1, x, w) {
                            sum += weight[((o * per_group_in + i) * kh + ky) * kw + kx]
                                * input[((first + i) * h + iy) * w + ix];
                        }
                    }
                }
                output.push(sum);
            }
        }
    }
    output
}

fn pooled(
    pool: &Pool,
    input: &[f32],
    from: Shape,
    to: Shape,
    combine: impl Fn(&[f32]) -> f32,
) -> Vec<f32> {
    let ([h, w], [oh, ow]) = (from.size(), to.size());
    let axis =
        |d: usize, out, size| taps(out, pool.kernel[d], pool.stride[d], pool.padding[d], 1, size);
    let mut output = Vec::with_capacity(to.len());
    for c in 0..from.channels() {
        for y in 0..oh {
            for x in 0..ow {
                let mut window = Vec::new();
                for (_, iy) in axis(0, y, h) {
                    window.extend(axis(1, x, w).map(|(_, ix)| input[(c * h + iy) * w + ix]));
                }
                output.push(combine(&window));
            }
        }
    }
    output
}

fn resized(resize: &Resize, input: &[f32], from: Shape) -> Vec<f32> {
    let ([h, w], [oh, ow]) = (from.size(), resize.size);
    let mut output = Vec::with_capacity(from.channels() * oh * ow);
    for c in 0..from.channels() {
        let at = |y: usize, x: usize| input[(c * h + y) * w + x];
        for y in 0..oh {
            for x in 0..ow {
                let (ys, xs) = (source(y, oh, h), source(x, ow, w));
                output.push(match resize.interpolation {
                    Interpolation::Nearest => at(nearest(ys, h), nearest(xs, w)),
                    Interpolation::Bilinear => {
                        let ((y0, y1, fy), (x0, x1, fx)) = (between(ys, h), between(xs, w));
                        let top = at(y0, x0) * (1.0 - fx) + at(y0, x1) * fx;
                        let bottom = at(y1, x0) * (1.0 - fx) + at(y1, x1) * fx;
                        top * (1.0 - fy) + bottom * fy
                    }
                });
            }
        }
    }
    output
}

/// ONNX `half_pixel`: where output position `out` of `to` lies in an input of length `from`.
fn source(out: usize, to: usize, from: usize) -> f32 {
    (out as f32 + 0.5) * from as f32 / to as f32 - 0.5
}

/// ONNX `round_prefer_floor`.
fn nearest(at: f32, size: usize) -> usize {
    let rounded = (at - 0.5).ceil();
    (rounded.max(0.0) as usize).min(size - 1)
}

/// Neighbours and the share of the second, clamped at the border.
fn between(at: f32, size: usize) -> (usize, usize, f32) {
    let at = at.clamp(0.0, (size - 1) as f32);
    let low = at.floor() as usize;
    (low, (low + 1).min(size - 1), at - low as f32)
}
