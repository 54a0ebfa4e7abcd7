//! Least squares: what is left learns to stand in for what was taken away.
use nalgebra::Cholesky;
use nalgebra::DMatrix;
use nalgebra::RowDVector;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::Conv;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Tensor;

/// Most output positions that a fit looks at.
const MAX_ROWS: usize = 2048;
/// Most weights of one output that are fitted; more stay as they are (solving is cubic).
const MAX_COLUMNS: usize = 1024;
/// Ridge, as a share of the mean squared input: small enough not to bias, large enough for
/// inputs that are always 0.
const RIDGE: f64 = 1e-3;

/// A change of weights, `[outputs, inputs]`, and of the bias that goes with it.
pub(super) struct Fit {
    /// To be added to the weights.
    pub change: DMatrix<f64>,
    /// To be added to the bias.
    pub intercept: Vec<f64>,
}

/// The change `D` and bias `c` that make `inputs·Dᵀ + c` closest to `missing`, one row a sample.
///
/// Minimises the squared error plus a ridge on `D`, so on these rows it is never worse than
/// changing nothing. With `free_bias` off, `c` is 0.
pub(super) fn ridge(inputs: &DMatrix<f64>, missing: &DMatrix<f64>, free_bias: bool) -> Fit {
    let means = |m: &DMatrix<f64>| match free_bias {
        true => m.row_mean(),
        false => m.row_mean() * 0.0,
    };
    let (input_mean, missing_mean) = (means(inputs), means(missing));
    let centred = |m: &DMatrix<f64>, mean: &RowDVector<f64>| {
        DMatrix::from_fn(m.nrows(), m.ncols(), |r, c| m[(r, c)] - mean[c])
    };
    let (x, y) = (centred(inputs, &input_mean), centred(missing, &missing_mean));
    // `tr_mul` would take a dot product for each entry; a product of matrices is blocked.
    let transposed = x.transpose();
    let mut gram = &transposed * &x;
    let size = gram.nrows();
    let ridge = RIDGE * gram.trace() / size as f64 + f64::MIN_POSITIVE.sqrt();
    (0..size).for_each(|i| gram[(i, i)] += ridge);
    let change = match Cholesky::new(gram) {
        Some(factor) => factor.solve(&(&transposed * &y)).transpose(),
        None => DMatrix::zeros(y.ncols(), size),
    };
    let intercept = missing_mean - &input_mean * change.transpose();
    Fit { change, intercept: intercept.iter().copied().collect() }
}

/// Refits the weights of `node`, which now reads only the columns `kept` of its `before` weights
/// (with `op` before), to its outputs before.
///
/// `seen` is what the node read before. Rows of `before` are those of the node now. Nothing
/// happens where a fit would be too large.
pub(super) fn refit(
    network: &mut Network,
    node: NodeId,
    op: &Op,
    before: &Tensor,
    kept: &[usize],
    seen: &Tensor,
    rng: &mut ChaCha8Rng,
) {
    let weights = matrix(before);
    if weights.ncols() > MAX_COLUMNS || kept.len() == weights.ncols() {
        return;
    }
    let all = patches(seen, op, rng);
    let lost: Vec<usize> = (0..weights.ncols()).filter(|c| !kept.contains(c)).collect();
    let missing = all.select_columns(&lost) * weights.select_columns(&lost).transpose();
    let fit = ridge(&all.select_columns(kept), &missing, has_bias(network, node));
    mend(network, node, &fit);
}

/// What a convolution or linear layer reads at some output positions: a row a position, columns
/// in the order of its weights, `[C_in, k_h, k_w]`.
///
/// `seen` is `[N, C, H, W]`, or `[N, C]` for a linear layer. All positions, or a random choice
/// of them if there are too many.
pub(super) fn patches(seen: &Tensor, op: &Op, rng: &mut ChaCha8Rng) -> DMatrix<f64> {
    let Op::Conv(conv) = op else {
        let (samples, len) = (seen.shape[0], seen.shape[1]);
        let rows = chosen(samples, rng);
        return DMatrix::from_fn(rows.len(), len, |r, c| f64::from(seen.data[rows[r] * len + c]));
    };
    let [samples, channels, height, width] =
        seen.shape[..].try_into().expect("a convolution reads images");
    let size = out_size(conv, [height, width]);
    let rows: Vec<(usize, [usize; 2])> = chosen(samples * size[0] * size[1], rng)
        .into_iter()
        .map(|row| (row / (size[0] * size[1]), row % (size[0] * size[1])))
        .map(|(sample, at)| (sample * channels * height * width, [at / size[1], at % size[1]]))
        .collect();
    let mut patches = DMatrix::zeros(rows.len(), channels * conv.kernel[0] * conv.kernel[1]);
    let taps = (0..conv.kernel[0]).flat_map(|y| (0..conv.kernel[1]).map(move |x| (y, x)));
    let reads = (0..channels).flat_map(|channel| taps.clone().map(move |tap| (channel, tap)));
    for (mut column, (channel, (tap_y, tap_x))) in patches.column_iter_mut().zip(reads) {
        let offset = channel * height * width;
        for (value, (image, out)) in column.iter_mut().zip(&rows) {
            let y = position(conv, 0, out[0], tap_y, height);
            let x = position(conv, 1, out[1], tap_x, width);
            if let Some((y, x)) = y.zip(x) {
                *value = f64::from(seen.data[image + offset + y * width + x]);
            }
        }
    }
    patches
}

/// `weight` as a matrix, a row an output.
pub(super) fn matrix(weight: &Tensor) -> DMatrix<f64> {
    let rows = weight.shape[0];
    let values = weight.data.iter().map(|&w| f64::from(w));
    DMatrix::from_row_iterator(rows, weight.data.len() / rows, values)
}

/// Adds `fit` to the weights of `node`; the intercept goes to its bias, or into the running
/// mean of the batch normalisation behind it.
pub(super) fn mend(network: &mut Network, node: NodeId, fit: &Fit) {
    let norm = norm_behind(network, node);
    let (Params::Conv { weight, bias } | Params::Linear { weight, bias }) =
        network.params_mut(node)
    else {
        panic!("G6: a mended node has a weight")
    };
    let columns = fit.change.ncols();
    for (i, w) in weight.data.iter_mut().enumerate() {
        *w += fit.change[(i / columns, i % columns)] as f32;
    }
    if let Some(bias) = bias {
        bias.data.iter_mut().zip(&fit.intercept).for_each(|(b, &c)| *b += c as f32);
    } else if let Some(norm) = norm
        && let Params::BatchNorm { mean, .. } = network.params_mut(norm)
    {
        mean.data.iter_mut().zip(&fit.intercept).for_each(|(m, &c)| *m -= c as f32);
    }
}

/// Is there a place for an intercept at `node`?
pub(super) fn has_bias(network: &Network, node: NodeId) -> bool {
    let own = match network.params(node) {
        Params::Conv { bias, .. } | Params::Linear { bias, .. } => bias.is_some(),
        Params::Normalize { .. } | Params::BatchNorm { .. } => false,
    };
    own || norm_behind(network, node).is_some()
}

fn norm_behind(network: &Network, node: NodeId) -> Option<NodeId> {
    let [user] = network.graph.users(node)[..] else { return None };
    matches!(network.graph.op(user), Op::BatchNorm { .. }).then_some(user)
}

fn chosen(all: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    match all <= MAX_ROWS {
        true => (0..all).collect(),
        false => (0..MAX_ROWS).map(|_| rng.random_range(0..all)).collect(),
    }
}

fn out_size(conv: &Conv, size: [usize; 2]) -> [usize; 2] {
    [0, 1].map(|d| {
        let reach = conv.dilation[d] * (conv.kernel[d] - 1) + 1;
        (size[d] + 2 * conv.padding[d] - reach) / conv.stride[d] + 1
    })
}

/// Where tap `tap` of output `out` lies along axis `d`; `None` in the padding.
fn position(conv: &Conv, d: usize, out: usize, tap: usize, size: usize) -> Option<usize> {
    let at = (out * conv.stride[d] + tap * conv.dilation[d]).checked_sub(conv.padding[d])?;
    (at < size).then_some(at)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::graph::Graph;
    use crate::graph::eval;

    /// Patches times weights are the outputs of the reference, for every kind of window.
    #[test]
    fn patches_are_what_a_convolution_reads() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for n in 0..200 {
            let [channels, kernel, stride, padding, dilation] =
                [3, 3, 2, 2, 2].map(|most| rng.random_range(1..=most));
            let conv = Conv {
                kernel: [kernel, rng.random_range(1..=3)],
                stride: [stride, 1],
                padding: [padding, 0],
                dilation: [1, dilation],
                ..Conv::same(2, 1)
            };
            let mut graph = Graph::new([channels, 6, 7]);
            let id = graph.push(Op::Conv(conv), &[graph.input()]);
            let random =
                |shape: &[usize], rng: &mut ChaCha8Rng| super::super::fresh::he(shape, rng);
            let weight = random(&[2, channels, conv.kernel[0], conv.kernel[1]], &mut rng);
            let seen = random(&[1, channels, 6, 7], &mut rng);
            let expected = {
                let params = Params::Conv { weight: weight.clone(), bias: None };
                let weights = [(id, std::sync::Arc::new(params))].into();
                eval(&Network { graph, weights }, &seen.data)
            };
            let found = patches(&seen, &Op::Conv(conv), &mut rng) * matrix(&weight).transpose();
            assert_eq!(found.len(), expected.len(), "case {n}");
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - f64::from(*b)).abs() < 1e-5, "case {n}: {a} and {b}");
            }
        }
    }

    #[test]
    fn ridge_finds_the_line_through_points() {
        let inputs = DMatrix::from_column_slice(4, 1, &[0.0, 1.0, 2.0, 3.0]);
        let missing = inputs.map(|x| 2.0 * x + 5.0);
        let fit = ridge(&inputs, &missing, true);
        assert!((fit.change[(0, 0)] - 2.0).abs() < 0.01, "{}", fit.change);
        assert!((fit.intercept[0] - 5.0).abs() < 0.01, "{:?}", fit.intercept);
    }

    #[test]
    fn ridge_without_a_bias_goes_through_the_origin() {
        let inputs = DMatrix::from_column_slice(2, 1, &[1.0, 2.0]);
        let missing = DMatrix::from_column_slice(2, 1, &[3.0, 4.0]);
        let fit = ridge(&inputs, &missing, false);
        assert!((fit.change[(0, 0)] - 11.0 / 5.0).abs() < 0.01, "{}", fit.change);
        assert_eq!(fit.intercept, [0.0]);
    }

    #[test]
    fn ridge_changes_nothing_where_nothing_is_seen() {
        let fit = ridge(&DMatrix::zeros(3, 2), &DMatrix::zeros(3, 1), true);
        assert_eq!(fit.change, DMatrix::zeros(1, 2));
        assert_eq!(fit.intercept, [0.0]);
    }
}
