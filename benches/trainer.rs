//! Time of a training step: `cargo bench --bench trainer`, or with arguments `NET BATCH THREADS
//! LEVEL STEPS` one line of milliseconds a step, for `trainer_vs_pytorch.sh`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use citronade::data::Pixels;
use citronade::data::Samples;
use citronade::graph::Activation;
use citronade::graph::Conv;
use citronade::graph::Graph;
use citronade::graph::Linear;
use citronade::graph::Network;
use citronade::graph::NodeId;
use citronade::graph::Op;
use citronade::graph::Params;
use citronade::graph::Tensor;
use citronade::graph::Weights;
use citronade::space::MorphismSpace;
use citronade::train::Cpu;
use citronade::train::Level;
use citronade::train::Profile;
use citronade::train::Simd;
use citronade::train::TrainPlan;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.as_slice() {
        [net, batch, threads, level, steps] => {
            let number = |text: &String| text.parse().expect("BATCH, THREADS, STEPS are numbers");
            let profile =
                profile(net, number(batch), number(threads), level_of(level), number(steps));
            println!("{:.3} {:.3}", milliseconds(median(&profile)), milliseconds(least(&profile)));
        }
        _ => tables(),
    }
}

fn tables() {
    println!("net  batch  threads  level     median ms  least ms  images/s");
    for net in ["a", "b"] {
        for (threads, level) in
            [(1, Level::Avx512), (2, Level::Avx512), (1, Level::Avx2), (2, Level::Avx2)]
        {
            let profile = profile(net, 64, threads, level, 30);
            let (median, least) = (milliseconds(median(&profile)), milliseconds(least(&profile)));
            let level = format!("{level:?}");
            let speed = 64e3 / median;
            println!(
                "{net:3} {:6} {threads:8}  {level:8} {median:10.2} {least:9.2} {speed:9.0}",
                64
            );
        }
    }
    for net in ["a", "b"] {
        println!("\nnet {net}, one thread: share of each kernel");
        shares(&profile(net, 64, 1, Level::Avx512, 30));
    }
    for seed in ["0", "2", "3", "4", "5"] {
        let profile = profile(seed, 64, 1, Level::Avx512, 200);
        let speed = 64.0 / median(&profile).as_secs_f64();
        println!("\nseed {seed} of a search on 28x28x1, one thread: {speed:.0} images/s");
        shares(&profile);
    }
    println!("\nnet  steps/s of 2 trainers of one thread  steps/s of one trainer of two");
    for net in ["a", "b"] {
        let (beside, together) = side_by_side(net, 2);
        println!("{net:3} {beside:37.1} {together:30.1}");
    }
}

fn shares(profile: &Profile) {
    let all: Duration = profile.kernels.values().sum();
    let mut kernels: Vec<_> = profile.kernels.iter().collect();
    kernels.sort_by_key(|(_, time)| std::cmp::Reverse(**time));
    for (name, time) in kernels {
        let share = 100.0 * time.as_secs_f64() / all.as_secs_f64();
        let each = milliseconds(*time) / profile.steps.len() as f64;
        println!("  {name:28} {each:8.2} ms {share:6.1} %");
    }
}

/// Steps a second: `n` trainers of one thread beside each other, and one of `n` threads.
fn side_by_side(net: &str, n: usize) -> (f64, f64) {
    let steps = 40;
    let start = Instant::now();
    let (done, all) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..n {
            let done = done.clone();
            scope.spawn(move || {
                profile(net, 64, 1, Level::Avx512, steps);
                done.send(()).expect("the other end waits");
            });
        }
        all.iter().take(n).for_each(drop);
    });
    let beside = (n * steps) as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    profile(net, 64, n, Level::Avx512, steps);
    (beside, steps as f64 / start.elapsed().as_secs_f64())
}

fn profile(net: &str, batch: usize, threads: usize, level: Level, steps: usize) -> Profile {
    let network = network(net);
    let samples = samples(&network, batch);
    let trainer = Cpu { threads, simd: Simd::at_most(level) };
    let plan = TrainPlan { threads, batch, ..TrainPlan::default() };
    trainer.profile(&network, &samples, &plan, steps)
}

fn level_of(text: &str) -> Level {
    match text {
        "avx512" => Level::Avx512,
        "avx2" => Level::Avx2,
        _ => Level::Baseline,
    }
}

fn median(profile: &Profile) -> Duration {
    let mut steps = profile.steps.clone();
    steps.sort();
    steps[steps.len() / 2]
}

fn least(profile: &Profile) -> Duration {
    profile.steps.iter().copied().min().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

fn network(net: &str) -> Network {
    let seeds = MorphismSpace::new([1, 28, 28], 10, 8000).seeds();
    let graph = match net {
        "a" => residual(),
        "b" => separable(),
        seed => seeds[seed.parse::<usize>().expect("the nets are `a`, `b`, `0` to `5`")].clone(),
    };
    let weights = weights(&graph);
    Network { graph, weights }
}

fn conv_bn(graph: &mut Graph, at: NodeId, conv: Conv) -> NodeId {
    let at = graph.push(Op::Conv(conv), &[at]);
    graph.push(Op::BatchNorm { epsilon: 1e-5 }, &[at])
}

fn relu(graph: &mut Graph, at: NodeId) -> NodeId {
    graph.push(Op::Activation(Activation::Relu), &[at])
}

fn head(graph: &mut Graph, at: NodeId) {
    let at = graph.push(Op::GlobalAveragePool, &[at]);
    let at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 10, bias: true }), &[at]);
}

/// Net a: residual blocks of 3×3 convolutions, 32, 64, 64 and 128 channels.
fn residual() -> Graph {
    let mut graph = Graph::new([3, 32, 32]);
    let stem = conv_bn(&mut graph, NodeId(0), Conv::same(32, 3));
    let mut at = relu(&mut graph, stem);
    let mut width = 32;
    for (channels, stride) in [(32, 1), (64, 2), (64, 1), (128, 2)] {
        let first = Conv { stride: [stride; 2], ..Conv::same(channels, 3) };
        let inner = conv_bn(&mut graph, at, first);
        let inner = relu(&mut graph, inner);
        let inner = conv_bn(&mut graph, inner, Conv::same(channels, 3));
        let skip = match stride == 1 && width == channels {
            true => at,
            false => {
                conv_bn(&mut graph, at, Conv { stride: [stride; 2], ..Conv::same(channels, 1) })
            }
        };
        let sum = graph.push(Op::Add, &[inner, skip]);
        at = relu(&mut graph, sum);
        width = channels;
    }
    head(&mut graph, at);
    graph
}

/// Net b: depthwise 3×3 and pointwise convolutions, 16 to 128 channels.
fn separable() -> Graph {
    let mut graph = Graph::new([1, 28, 28]);
    let stem = conv_bn(&mut graph, NodeId(0), Conv::same(16, 3));
    let mut at = relu(&mut graph, stem);
    let mut width = 16;
    for (channels, stride) in [(32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1)] {
        let depthwise = Conv { stride: [stride; 2], ..Conv::depthwise(width, 3) };
        let inner = conv_bn(&mut graph, at, depthwise);
        let inner = relu(&mut graph, inner);
        let inner = conv_bn(&mut graph, inner, Conv::same(channels, 1));
        at = relu(&mut graph, inner);
        width = channels;
    }
    head(&mut graph, at);
    graph
}

fn weights(graph: &Graph) -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let shapes = graph.shapes().expect("the nets are valid");
    let mut weights = Weights::new();
    for node in graph.nodes() {
        let Some(first) = node.inputs.first() else { continue };
        let named = Graph::parameter_shapes(&node.op, shapes[first]);
        let tensors = named.into_iter().map(|(name, shape)| {
            let fan_in: usize = shape[1..].iter().product();
            let scale = (6.0 / fan_in as f32).sqrt();
            let mut value = || match name {
                "weight" => rng.random_range(-scale..scale),
                "gamma" | "variance" => 1.0,
                _ => 0.0,
            };
            let data = (0..shape.iter().product()).map(|_| value()).collect();
            (name.to_owned(), Tensor::new(&shape, data))
        });
        if let Some(params) = Params::from_tensors(&node.op, tensors.collect()) {
            weights.insert(node.id, Arc::new(params));
        }
    }
    weights
}

fn samples(network: &Network, count: usize) -> Samples {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let shape = network.graph.input_shape();
    let values = count * shape.iter().product::<usize>();
    Samples {
        shape,
        pixels: Pixels::F32(Arc::new((0..values).map(|_| rng.random_range(-1.0..1.0)).collect())),
        labels: Arc::new((0..count).map(|_| rng.random_range(0..10)).collect()),
    }
}
