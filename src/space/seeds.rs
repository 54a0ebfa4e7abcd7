//! The networks a search starts from.
use crate::graph::Activation;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Linear;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Pool;
use crate::morphism::EPSILON;

/// Width of the first stage of the smallest seed; each further stage doubles it.
const BASE_WIDTH: usize = 4;
/// From this many training images on, larger seeds are worth their training.
pub(super) const MANY_IMAGES: usize = 10_000;
/// Images at least this high and wide are halved at once in the small seeds.
const LARGE_IMAGE: usize = 16;

/// Pixels along the shorter side behind the coarse seed's convolution.
const COARSE_SIDE: usize = 7;

/// A seed's dimensions.
struct Plan {
    stages: usize,
    width: usize,
    separable: bool,
    first_stride: usize,
}

/// [`super::MorphismSpace::seeds`].
pub(super) fn seeds(input: [usize; 3], classes: usize, images: usize) -> Vec<Graph> {
    let side = input[1].min(input[2]);
    let stages = 1 + (side / 4).max(1).ilog2() as usize;
    let larger = if images >= MANY_IMAGES { 4 } else { 2 };
    let small_stride = if side >= LARGE_IMAGE { 2 } else { 1 };
    let plan = |width, separable, first_stride| Plan { stages, width, separable, first_stride };
    let mut plans = vec![
        plan(BASE_WIDTH, false, small_stride),
        plan(2 * BASE_WIDTH, true, small_stride),
        plan(larger * BASE_WIDTH, false, 1),
        plan(2 * larger * BASE_WIDTH, true, 1),
    ];
    if images >= MANY_IMAGES {
        plans.push(plan(2 * larger * BASE_WIDTH, false, 1));
    }
    let mut seeds: Vec<Graph> = plans.iter().map(|plan| network(input, classes, plan)).collect();
    seeds.extend([linear(input, classes), coarse(input, classes)]);
    seeds.sort_by_key(|seed| seed.cost().macs);
    seeds
}

/// Logistic regression: the smallest network there is.
fn linear(input: [usize; 3], classes: usize) -> Graph {
    let mut graph = Graph::new(input);
    let at = graph.push(Op::Normalize, &[graph.input()]);
    classify(&mut graph, at, classes);
    graph
}

/// One convolution whose stride leaves some seven pixels along the shorter side, every one of
/// which is read by the linear layer.
fn coarse(input: [usize; 3], classes: usize) -> Graph {
    let side = input[1].min(input[2]);
    let stride = (side / COARSE_SIDE).clamp(2, 8);
    let conv = Conv { stride: [stride; 2], ..Conv::same(BASE_WIDTH, stride / 2 * 2 + 1) };
    let mut graph = Graph::new(input);
    let at = graph.push(Op::Normalize, &[graph.input()]);
    let at = block(&mut graph, at, &[conv]);
    classify(&mut graph, at, classes);
    graph
}

fn classify(graph: &mut Graph, at: NodeId, classes: usize) {
    let at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: classes, bias: true }), &[at]);
}

fn network(input: [usize; 3], classes: usize, plan: &Plan) -> Graph {
    let mut graph = Graph::new(input);
    let mut at = graph.push(Op::Normalize, &[graph.input()]);
    let mut channels = plan.width;
    let first = Conv { stride: [plan.first_stride; 2], ..Conv::same(channels, 3) };
    at = block(&mut graph, at, &[first]);
    for _ in 1..plan.stages {
        let pool = Pool { kernel: [2; 2], stride: [2; 2], padding: [0; 2] };
        at = graph.push(Op::MaxPool(pool), &[at]);
        let wide = 2 * channels;
        at = match plan.separable {
            true => block(&mut graph, at, &[Conv::depthwise(channels, 3), Conv::same(wide, 1)]),
            false => block(&mut graph, at, &[Conv::same(wide, 3)]),
        };
        channels = wide;
    }
    at = graph.push(Op::GlobalAveragePool, &[at]);
    classify(&mut graph, at, classes);
    graph
}

/// Convolutions, batch normalisation, ReLU.
fn block(graph: &mut Graph, mut at: NodeId, convolutions: &[Conv]) -> NodeId {
    for &conv in convolutions {
        at = graph.push(Op::Conv(conv), &[at]);
    }
    at = graph.push(Op::BatchNorm { epsilon: EPSILON }, &[at]);
    graph.push(Op::Activation(Activation::Relu), &[at])
}
