//! The default trainer against the reference evaluator, finite differences and itself.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use citronade::data::DataSet;
use citronade::data::Pixels;
use citronade::data::Samples;
use citronade::graph::*;
use citronade::train::Cpu;
use citronade::train::Distill;
use citronade::train::Level;
use citronade::train::Simd;
use citronade::train::TrainError;
use citronade::train::TrainPlan;
use citronade::train::Trainer;
use citronade::train::Watch;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::networks::random_network;
use crate::support::networks::random_sample;
use crate::support::networks::random_weights;
use crate::support::networks::relative_gap;

const LEVELS: [Level; 3] = [Level::Avx512, Level::Avx2, Level::Baseline];

fn trainers() -> impl Iterator<Item = Cpu> {
    LEVELS.into_iter().map(|level| Cpu { threads: 2, simd: Simd::at_most(level) })
}

/// Random images for `network`, with random labels.
fn random_samples(network: &Network, count: usize, seed: u64) -> Samples {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pixels = (0..count).flat_map(|_| random_sample(network, &mut rng)).collect();
    let classes = network.graph.shapes().unwrap()[&network.graph.output()].len() as u32;
    Samples {
        shape: network.graph.input_shape(),
        pixels: Pixels::F32(Arc::new(pixels)),
        labels: Arc::new((0..count).map(|_| rng.random_range(0..classes)).collect()),
    }
}

fn image(samples: &Samples, index: usize) -> Vec<f32> {
    let mut image = vec![0.0; samples.shape.iter().product()];
    samples.copy_image(index, &mut image);
    image
}

fn data_set(samples: &Samples, classes: usize) -> DataSet {
    DataSet {
        name: "random".into(),
        classes: (0..classes).map(|c| c.to_string()).collect(),
        shape: samples.shape,
        train: samples.clone(),
        validation: samples.clone(),
        test: samples.clone(),
        notes: Vec::new(),
    }
}

/// Convolutions wide enough for every register and tile of the kernels, on odd sizes.
fn wide_network(seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut graph = Graph::new([rng.random_range(1..=4), 9 + seed as usize % 8, 13]);
    let mut at = graph.input();
    for least in [0, 1, 1] {
        let channels = rng.random_range(16..=50);
        let padding = [rng.random_range(least..=2), rng.random_range(least..=2)];
        let stride = [[1, 1], [1, 1], [2, 2], [1, 2]][rng.random_range(0..4)];
        let bias = rng.random();
        let conv = Conv { padding, stride, bias, ..Conv::same(channels, 3) };
        at = graph.push(Op::Conv(conv), &[at]);
        at = graph.push(Op::Activation(Activation::Silu), &[at]);
        if rng.random() {
            // Three readers of one value: their gradients are added, in an order drawn here.
            let dense = Op::Conv(Conv::same(channels, 3));
            let mut readers = [dense, Op::Conv(Conv::depthwise(channels, 5))];
            if rng.random() {
                readers.reverse();
            }
            let [a, b] = readers.map(|op| graph.push(op, &[at]));
            at = match rng.random_range(0..3) {
                0 => graph.push(Op::Add, &[at, a, b]),
                1 => graph.push(Op::Add, &[a, b, at]),
                _ => graph.push(Op::Concat, &[b, at, a]),
            };
        }
        let channels = graph.shapes().unwrap()[&at].channels();
        if rng.random() {
            let kernel = [3, 5, 7][rng.random_range(0..3)];
            let stride = [rng.random_range(1..=2); 2];
            let conv = Conv { stride, bias: true, ..Conv::depthwise(channels, kernel) };
            at = graph.push(Op::Conv(conv), &[at]);
        }
    }
    at = graph.push(Op::GlobalAveragePool, &[at]);
    at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 20, bias: true }), &[at]);
    let weights = random_weights(&graph, &mut rng);
    Network { graph, weights }
}

/// Normalisations on images so large that a chunk is worked on a few images at a time.
fn large_network(seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut graph = Graph::new([1, 24, 20 + seed as usize % 8]);
    let mut at = graph.input();
    for channels in [16, 24] {
        let conv = graph.push(Op::Conv(Conv::same(channels, 3)), &[at]);
        at = graph.push(Op::BatchNorm { epsilon: 1e-3 }, &[conv]);
        at = graph.push(Op::Activation(Activation::Silu), &[at]);
        at = match seed % 3 {
            0 => at,
            1 => graph.push(Op::Add, &[at, conv]),
            _ => graph.push(Op::Concat, &[conv, at]),
        };
        let pool = Pool { kernel: [2; 2], stride: [2; 2], padding: [0; 2] };
        let pool = if rng.random() { Op::MaxPool(pool) } else { Op::AvgPool(pool) };
        at = graph.push(pool, &[at]);
    }
    at = graph.push(Op::GlobalAveragePool, &[at]);
    at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 5, bias: true }), &[at]);
    let weights = random_weights(&graph, &mut rng);
    Network { graph, weights }
}

/// Small networks of every operation, then wide ones, then ones of large images.
fn networks() -> impl Iterator<Item = (u64, Network)> {
    let wide = (60..70).map(|seed| (seed, wide_network(seed)));
    let large = (70..76).map(|seed| (seed, large_network(seed)));
    (0..60).map(|seed| (seed, random_network(seed))).chain(wide).chain(large)
}

#[test]
fn every_value_equals_the_reference_evaluator() {
    for (seed, network) in networks() {
        let samples = random_samples(&network, 9, seed);
        let nodes: Vec<NodeId> = network.graph.nodes().iter().map(|n| n.id).collect();
        let expected: Vec<_> = (0..9).map(|i| eval_all(&network, &image(&samples, i))).collect();
        for trainer in trainers() {
            let seen = trainer.observe(&network, &samples, &nodes).unwrap();
            for node in network.graph.nodes() {
                let expected: Vec<f32> =
                    expected.iter().flat_map(|v| v[&node.id].clone()).collect();
                let gap = relative_gap(&expected, &seen.nodes[&node.id].values.data);
                assert!(gap < 2e-5, "seed {seed} {} {:?}: {gap}", node.op.name(), trainer.simd);
            }
        }
    }
}

#[test]
fn evaluation_is_the_mean_cross_entropy_of_the_reference() {
    for seed in 0..10 {
        let network = random_network(seed);
        let samples = random_samples(&network, 21, seed);
        let (mut loss, mut wrong) = (0.0, 0);
        for i in 0..21 {
            let z = eval(&network, &image(&samples, i));
            let class = samples.labels[i] as usize;
            let sum: f64 = z.iter().map(|&z| f64::from(z).exp()).sum();
            loss += sum.ln() - f64::from(z[class]);
            wrong += usize::from(z.iter().any(|&other| other > z[class]));
        }
        let found = Cpu::new(1).evaluate(&network, &samples).unwrap();
        assert!((found.loss - loss / 21.0).abs() < 1e-4 * loss, "{} {}", found.loss, loss / 21.0);
        assert_eq!((found.error.0, found.samples), (wrong as f64 / 21.0, 21));
    }
}

#[test]
fn results_are_bit_equal_at_any_number_of_threads() {
    for seed in 0..12 {
        let network = random_network(seed);
        let classes = network.graph.shapes().unwrap()[&network.graph.output()].len();
        let samples = random_samples(&network, 53, seed);
        let data = data_set(&samples, classes);
        let run = |threads| {
            let plan = TrainPlan { epochs: 2, batch: 27, threads, seed, ..TrainPlan::default() };
            let trained = Cpu::new(threads).train(&network, &data, &plan, &mut |_| Watch::Continue);
            let (trained, report) = trained.unwrap();
            (bits(&trained), report)
        };
        let one = run(1);
        assert_eq!(one, run(2), "seed {seed}");
        assert_eq!(one, run(3), "seed {seed}");
    }
}

fn bits(network: &Network) -> Vec<u32> {
    let tensors = network.weights.values().flat_map(|p| p.tensors());
    tensors.flat_map(|(_, t)| t.data.iter().map(|x| x.to_bits())).collect()
}

/// One step over all samples; the gradient is what the step took away.
fn one_step(trainer: Cpu, network: &Network, data: &DataSet, rate: f32) -> (Network, f64) {
    let plan = TrainPlan {
        epochs: 1,
        batch: data.train.len(),
        learning_rate: rate,
        momentum: 0.0,
        weight_decay: 0.0,
        clip_norm: 0.0,
        ..TrainPlan::default()
    };
    let (moved, report) = trainer.train(network, data, &plan, &mut |_| Watch::Continue).unwrap();
    (moved, report.curve[0].train_loss)
}

#[test]
fn the_loss_of_a_step_is_that_of_the_reference_with_statistics_of_the_batch() {
    for seed in 0..40 {
        let network = random_network(seed);
        if network.graph.nodes().iter().any(|n| matches!(n.op, Op::Dropout { .. })) {
            continue;
        }
        let classes = network.graph.shapes().unwrap()[&network.graph.output()].len();
        let samples = random_samples(&network, 13, seed);
        let recalibrated = Cpu::new(1).recalibrate(&network, &samples).unwrap();
        let mut expected = 0.0;
        for i in 0..13 {
            let z = eval(&recalibrated, &image(&samples, i));
            let sum: f64 = z.iter().map(|&z| f64::from(z).exp()).sum();
            expected += (sum.ln() - f64::from(z[samples.labels[i] as usize])) / 13.0;
        }
        let (_, found) = one_step(Cpu::new(1), &network, &data_set(&samples, classes), 0.0);
        assert!((found - expected).abs() < 1e-4 * expected, "seed {seed}: {found} {expected}");
    }
}

/// Quantifies over every parameter tensor of random networks, so every operation is covered: a
/// wrong gradient of any of them is wrong for what lies before it.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let (mut checked, mut kinks) = (0, 0);
    for (seed, network) in networks() {
        let classes = network.graph.shapes().unwrap()[&network.graph.output()].len();
        let data = data_set(&random_samples(&network, 11, seed), classes);
        let trainer = trainers().nth(seed as usize % 3).unwrap();
        let (moved, _) = one_step(trainer, &network, &data, 1.0);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for (&node, params) in &network.weights {
            for (t, (name, tensor)) in params.tensors().into_iter().enumerate() {
                if ["mean", "std", "variance"].contains(&name) {
                    continue;
                }
                let after = moved.params(node).tensors()[t].1;
                let taken: Vec<f32> =
                    tensor.data.iter().zip(&after.data).map(|(a, b)| a - b).collect();
                let along: Vec<f32> =
                    taken.iter().map(|_| rng.random_range(-1.0f32..1.0)).collect();
                let expected: f32 = taken.iter().zip(&along).map(|(g, d)| g * d).sum();
                let size: f32 = taken.iter().map(|g| g * g).sum::<f32>().sqrt().max(1e-3);
                let slope = |step: f32| {
                    let loss = |step: f32| {
                        let mut other = network.clone();
                        let to = &mut other.params_mut(node).tensors_mut()[t].1.data;
                        to.iter_mut().zip(&along).for_each(|(p, d)| *p += step * d);
                        one_step(trainer, &other, &data, 0.0).1
                    };
                    ((loss(step) - loss(-step)) / (2.0 * f64::from(step))) as f32
                };
                checked += 1;
                let close = |step: f32| (slope(step) - expected).abs() < 0.02 * size + 2e-4;
                if !close(1e-3) && !close(3e-3) && !close(3e-4) {
                    kinks += 1;
                    let (op, found) = (network.graph.op(node).name(), slope(1e-3));
                    let text = format!("seed {seed} {op} {node} {name}: {expected} {found} {size}");
                    assert!((found - expected).abs() < 0.3 * size + 1e-3, "{text}");
                }
            }
        }
    }
    assert!(checked > 300 && kinks * 50 < checked, "{kinks} of {checked} tensors disagree");
}

/// A small network that is trained from scratch on an easy task: which quarter is bright.
#[test]
fn training_learns_an_easy_task() {
    let mut graph = Graph::new([1, 8, 8]);
    let conv = graph.push(Op::Conv(Conv::same(8, 3)), &[graph.input()]);
    let norm = graph.push(Op::BatchNorm { epsilon: 1e-5 }, &[conv]);
    let relu = graph.push(Op::Activation(Activation::Relu), &[norm]);
    let pool = Pool { kernel: [2; 2], stride: [2; 2], padding: [0; 2] };
    let pool = graph.push(Op::MaxPool(pool), &[relu]);
    let flat = graph.push(Op::Flatten, &[pool]);
    graph.push(Op::Linear(Linear { features: 4, bias: true }), &[flat]);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let weights = random_weights(&graph, &mut rng);
    let network = Network { graph, weights };
    let labels: Vec<u32> = (0..200).map(|_| rng.random_range(0..4)).collect();
    let pixels = labels.iter().flat_map(|&label| {
        let noise: Vec<f32> = (0..64).map(|_| rng.random_range(0.0..1.0)).collect();
        let bright = move |i: usize| (i / 32) as u32 * 2 + (i % 8 / 4) as u32 == label;
        noise.into_iter().enumerate().map(move |(i, x)| if bright(i) { x + 0.5 } else { x })
    });
    let pixels = Pixels::F32(Arc::new(pixels.collect()));
    let samples = Samples { shape: [1, 8, 8], pixels, labels: Arc::new(labels) };
    let plan = TrainPlan { epochs: 6, batch: 32, threads: 2, ..TrainPlan::default() };
    let data = data_set(&samples, 4);
    let (trained, report) =
        Cpu::new(2).train(&network, &data, &plan, &mut |_| Watch::Continue).unwrap();
    assert_eq!(report.curve.len(), 6);
    let last = report.curve.last().unwrap();
    assert!(last.validation_error.0 < 0.05, "{report:?}");
    let again = Cpu::new(1).evaluate(&trained, &samples).unwrap();
    assert_eq!(again.error, last.validation_error);
}

fn classes_of(network: &Network) -> usize {
    network.graph.shapes().unwrap()[&network.graph.output()].len()
}

#[test]
fn frozen_nodes_stay_as_they_are_and_all_others_move() {
    for seed in 0..20 {
        let network = random_network(seed);
        let data = data_set(&random_samples(&network, 12, seed), classes_of(&network));
        let frozen: Vec<NodeId> = network.weights.keys().copied().step_by(2).collect();
        let plan =
            TrainPlan { epochs: 1, batch: 12, frozen: frozen.clone(), ..TrainPlan::default() };
        let (trained, _) =
            Cpu::new(1).train(&network, &data, &plan, &mut |_| Watch::Continue).unwrap();
        for node in &frozen {
            assert_eq!(trained.weights[node], network.weights[node], "seed {seed} {node}");
        }
        let last = network.graph.output();
        assert_eq!(frozen.contains(&last), trained.weights[&last] == network.weights[&last]);
    }
}

#[test]
fn the_watcher_sees_every_epoch_and_may_stop() {
    let network = random_network(3);
    let data = data_set(&random_samples(&network, 10, 3), classes_of(&network));
    let plan = TrainPlan { epochs: 9, batch: 4, ..TrainPlan::default() };
    let mut seen = Vec::new();
    let mut watch = |epoch: &citronade::train::Epoch| {
        seen.push(*epoch);
        if epoch.epoch == 3 { Watch::Stop } else { Watch::Continue }
    };
    let (_, report) = Cpu::new(1).train(&network, &data, &plan, &mut watch).unwrap();
    assert!(report.stopped);
    assert_eq!(report.curve, seen);
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_flag_ends_a_training_in_the_middle_of_an_epoch() {
    let network = random_network(3);
    let data = data_set(&random_samples(&network, 10, 3), classes_of(&network));
    let plan = TrainPlan { epochs: 9, batch: 4, ..TrainPlan::default() };
    let mut watch = |epoch: &citronade::train::Epoch| {
        plan.stop.0.store(epoch.epoch == 3, Ordering::Relaxed);
        Watch::Continue
    };
    let (_, report) = Cpu::new(1).train(&network, &data, &plan, &mut watch).unwrap();
    assert!(report.stopped);
    assert_eq!(report.curve.len(), 3);
}

/// With nothing but the teacher in the loss, the labels do not matter: the outputs come nearer.
#[test]
fn a_student_comes_nearer_to_its_teacher() {
    let teacher = wide_network(61);
    let samples = random_samples(&teacher, 24, 5);
    let mut student = teacher.clone();
    let last = student.graph.output();
    for (_, tensor) in student.params_mut(last).tensors_mut() {
        tensor.data.iter_mut().for_each(|w| *w *= -0.5);
    }
    let gap = |student: &Network| {
        let outputs = |network: &Network| {
            let seen = Cpu::new(1).observe(network, &samples, &[last]).unwrap();
            seen.nodes[&last].values.data.clone()
        };
        relative_gap(&outputs(&teacher), &outputs(student))
    };
    let distill = Distill { teacher: Arc::new(teacher.clone()), weight: 1.0, temperature: 2.0 };
    let plan = TrainPlan {
        epochs: 40,
        batch: 12,
        weight_decay: 0.0,
        distill: Some(distill),
        ..TrainPlan::default()
    };
    let data = data_set(&samples, 20);
    let (trained, _) = Cpu::new(2).train(&student, &data, &plan, &mut |_| Watch::Continue).unwrap();
    let (before, after) = (gap(&student), gap(&trained));
    assert!(after < 0.2 * before, "{before} {after}");
}

/// 65 images are parts of 32 and 33 at batch 64, where three of eight chunks stay empty, and at batch
/// 33, where none does.
#[test]
fn chunks_without_images_change_nothing() {
    let network = wide_network(63);
    let data = data_set(&random_samples(&network, 65, 4), 20);
    let teacher = Arc::new(wide_network(63));
    for distill in [None, Some(Distill { teacher, weight: 0.5, temperature: 2.0 })] {
        let [roomy, exact] = [64, 33].map(|batch| {
            let distill = distill.clone();
            let plan = TrainPlan { epochs: 2, batch, distill, ..TrainPlan::default() };
            let trained = Cpu::new(1).train(&network, &data, &plan, &mut |_| Watch::Continue);
            let (trained, report) = trained.unwrap();
            (bits(&trained), report)
        });
        assert_eq!(roomy, exact);
    }
}

/// The order of samples, by class or mixed, does not show in the statistics.
#[test]
fn statistics_of_samples_that_lie_class_by_class_are_those_of_mixed_ones() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut graph = Graph::new([1, 6, 6]);
    let mut at = graph.input();
    for _ in 0..2 {
        at = graph.push(Op::Conv(Conv::same(4, 3)), &[at]);
        at = graph.push(Op::BatchNorm { epsilon: 1e-3 }, &[at]);
    }
    at = graph.push(Op::GlobalAveragePool, &[at]);
    at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 4, bias: true }), &[at]);
    let weights = random_weights(&graph, &mut rng);
    let network = Network { graph, weights };
    let labels: Vec<u32> = (0..512).map(|i| i / 128).collect();
    let image = |label: u32, rng: &mut ChaCha8Rng| -> Vec<f32> {
        (0..36).map(|_| label as f32 + rng.random_range(0.0..1.0f32)).collect()
    };
    let images: Vec<Vec<f32>> = labels.iter().map(|&label| image(label, &mut rng)).collect();
    let statistics = |order: Vec<usize>| -> Vec<f32> {
        let samples = Samples {
            shape: [1, 6, 6],
            pixels: Pixels::F32(Arc::new(order.iter().flat_map(|&i| images[i].clone()).collect())),
            labels: Arc::new(order.iter().map(|&i| labels[i]).collect()),
        };
        let network = Cpu::new(1).recalibrate(&network, &samples).unwrap();
        let tensors = network.weights.values().flat_map(|p| p.tensors());
        let moments = tensors.filter(|(name, _)| ["mean", "variance"].contains(name));
        moments.flat_map(|(_, t)| t.data.clone()).collect()
    };
    let sorted = statistics((0..512).collect());
    let mixed = statistics((0..512).map(|i| i * 77 % 512).collect());
    let gap = relative_gap(&mixed, &sorted);
    assert!(gap < 0.02, "{gap}");
}

#[test]
fn parameters_that_overflow_behind_a_relu_are_named_as_divergence() {
    let mut graph = Graph::new([1, 6, 6]);
    let conv = graph.push(Op::Conv(Conv::same(4, 3)), &[graph.input()]);
    let at = graph.push(Op::BatchNorm { epsilon: 1e-3 }, &[conv]);
    let at = graph.push(Op::Activation(Activation::Relu), &[at]);
    let at = graph.push(Op::GlobalAveragePool, &[at]);
    let at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 5, bias: true }), &[at]);
    let weights = random_weights(&graph, &mut ChaCha8Rng::seed_from_u64(1));
    let mut network = Network { graph, weights };
    for (_, tensor) in network.params_mut(conv).tensors_mut() {
        tensor.data.iter_mut().for_each(|w| *w *= 1e25);
    }
    let data = data_set(&random_samples(&network, 16, 1), 5);
    let plan = TrainPlan { learning_rate: 0.0, batch: 4, epochs: 2, ..TrainPlan::default() };
    let result = Cpu::new(1).train(&network, &data, &plan, &mut |_| Watch::Continue);
    assert!(matches!(result, Err(TrainError::Diverged { epoch: 1.. })), "{result:?}");
}

#[test]
fn what_does_not_fit_is_refused_with_both_sizes() {
    let network = random_network(1);
    let other = random_network(2);
    let samples = random_samples(&other, 4, 1);
    assert_ne!(network.graph.input_shape(), other.graph.input_shape());
    assert!(matches!(
        Cpu::new(1).evaluate(&network, &samples),
        Err(TrainError::WrongShape { images, .. }) if images == samples.shape
    ));
    let data = data_set(&samples, 77);
    let result = Cpu::new(1).train(&other, &data, &TrainPlan::default(), &mut |_| Watch::Continue);
    assert!(matches!(result, Err(TrainError::WrongClasses { classes: 77, .. })));
}

#[test]
fn a_rate_that_is_far_too_large_is_named_as_divergence() {
    let network = wide_network(62);
    let data = data_set(&random_samples(&network, 16, 1), 20);
    let plan = TrainPlan {
        learning_rate: 1e20,
        clip_norm: 0.0,
        batch: 4,
        epochs: 3,
        ..TrainPlan::default()
    };
    let result = Cpu::new(1).train(&network, &data, &plan, &mut |_| Watch::Continue);
    assert!(matches!(result, Err(TrainError::Diverged { epoch: 1.. })), "{result:?}");
}

#[test]
fn clipping_shortens_the_step_and_keeps_its_direction() {
    let network = random_network(5);
    let data = data_set(&random_samples(&network, 8, 5), classes_of(&network));
    let step = |clip_norm: f32| {
        let plan = TrainPlan {
            epochs: 1,
            batch: 8,
            learning_rate: 1.0,
            momentum: 0.0,
            weight_decay: 0.0,
            clip_norm,
            ..TrainPlan::default()
        };
        let (moved, _) =
            Cpu::new(1).train(&network, &data, &plan, &mut |_| Watch::Continue).unwrap();
        let trained = |name: &str| ["weight", "bias", "gamma", "beta"].contains(&name);
        let tensors = network.weights.iter().flat_map(|(&node, p)| {
            let pairs = p.tensors().into_iter().zip(moved.params(node).tensors());
            pairs.filter(|((name, _), _)| trained(name)).collect::<Vec<_>>()
        });
        let gaps = tensors.flat_map(|((_, a), (_, b))| {
            a.data.iter().zip(&b.data).map(|(a, b)| a - b).collect::<Vec<f32>>()
        });
        gaps.collect::<Vec<f32>>()
    };
    let norm = |g: &[f32]| g.iter().map(|g| g * g).sum::<f32>().sqrt();
    let (free, clipped) = (step(0.0), step(1e-2));
    assert!(norm(&free) > 2e-2);
    assert!((norm(&clipped) - 1e-2).abs() < 1e-4, "{}", norm(&clipped));
    let scale = norm(&free) / norm(&clipped);
    let scaled: Vec<f32> = clipped.iter().map(|g| g * scale).collect();
    assert!(relative_gap(&free, &scaled) < 1e-2);
}

#[test]
fn observed_moments_are_those_of_the_observed_values() {
    let network = random_network(11);
    let samples = random_samples(&network, 19, 11);
    let nodes: Vec<NodeId> = network.graph.nodes().iter().map(|n| n.id).collect();
    let seen = Cpu::new(2).observe(&network, &samples, &nodes).unwrap();
    for (node, observed) in &seen.nodes {
        let [n, c] = [observed.values.shape[0], observed.values.shape[1]];
        let pixels: usize = observed.values.shape[2..].iter().product();
        for channel in 0..c {
            let of = |i: usize| &observed.values.data[(i * c + channel) * pixels..][..pixels];
            let all: Vec<f64> = (0..n).flat_map(of).map(|&x| f64::from(x)).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let variance =
                all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / all.len() as f64;
            assert!((f64::from(observed.mean[channel]) - mean).abs() < 1e-5, "{node}");
            let gap = (f64::from(observed.variance[channel]) - variance).abs();
            assert!(gap < 1e-5 * variance.max(1.0), "{node}");
        }
    }
}

/// `(1 - s) · cross-entropy with the label + s · mean cross-entropy with every class`.
#[test]
fn smoothed_labels_give_a_share_of_the_target_to_all_classes() {
    let mut graph = Graph::new([1, 3, 3]);
    let flat = graph.push(Op::Flatten, &[graph.input()]);
    graph.push(Op::Linear(Linear { features: 4, bias: true }), &[flat]);
    let weights = random_weights(&graph, &mut ChaCha8Rng::seed_from_u64(1));
    let network = Network { graph, weights };
    let samples = random_samples(&network, 20, 3);
    for smoothing in [0.0, 0.1, 0.4] {
        let plan = TrainPlan {
            epochs: 1,
            batch: 20,
            label_smoothing: smoothing,
            learning_rate: 1e-6,
            ..TrainPlan::default()
        };
        let data = data_set(&samples, 4);
        let trained = Cpu::new(1).train(&network, &data, &plan, &mut |_| Watch::Continue);
        let found = trained.unwrap().1.curve[0].train_loss;
        let loss = |index: usize| {
            let outputs: Vec<f64> =
                eval(&network, &image(&samples, index)).iter().map(|&x| f64::from(x)).collect();
            let normaliser = outputs.iter().map(|x| x.exp()).sum::<f64>().ln();
            let surprise = |class: usize| normaliser - outputs[class];
            let all = (0..4).map(surprise).sum::<f64>() / 4.0;
            let s = f64::from(smoothing);
            (1.0 - s) * surprise(samples.labels[index] as usize) + s * all
        };
        let expected = (0..20).map(loss).sum::<f64>() / 20.0;
        assert!((found - expected).abs() < 1e-4, "{smoothing}: {found}, not {expected}");
    }
}
