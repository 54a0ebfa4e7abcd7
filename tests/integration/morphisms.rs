//! Morphisms keep their promise on networks nobody thought of.
use std::collections::BTreeMap;

use citronade::graph::*;
use citronade::morphism::*;
use citronade::space::MorphismSpace;
use citronade::space::initial_weights;
use proptest::prelude::*;
use rand::RngExt;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::support::activations::observe_samples;
use crate::support::networks::random_network;
use crate::support::networks::random_sample;
use crate::support::networks::random_weights;
use crate::support::networks::relative_gap;
use crate::support::runtime::exported_outputs;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Quantifies over the whole catalogue and every node, so a new morphism is covered the
    /// moment it is listed, and a wrong `sites` cannot hide.
    #[test]
    fn morphisms_keep_their_promise_at_every_node(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        check_everywhere(&random_network(seed), &mut rng)?;
    }

    /// The networks of a search, with every batch normalisation and gate that it makes.
    #[test]
    fn morphisms_keep_their_promise_in_the_search_space(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = MorphismSpace::new([2, 8, 7], 3, 1_000).sample(&mut rng);
        let weights = random_weights(&graph, &mut rng);
        check_everywhere(&Network { graph, weights }, &mut rng)?;
    }

    /// Weights made by one morphism are good enough for the next.
    #[test]
    fn morphisms_keep_their_promise_along_a_chain(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut parent = random_network(seed);
        let space = MorphismSpace::new([1, 8, 8], 2, 1_000);
        for applied in space.mutate(&parent.graph, 6, &mut rng) {
            let child = initialised(&parent, &applied, &mut rng);
            check_child(&parent, &child, &applied.step, &mut rng)?;
            parent = child;
        }
    }

    /// A second way to the answer: the opposite morphism leads back.
    #[test]
    fn exact_morphisms_are_undone_by_their_opposites(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let parent = random_network(seed);
        for name in ["deepen", "wider-kernel", "add-skip", "concat-skip", "excite"] {
            let Some(&site) = by_name(name).unwrap().sites(&parent.graph).choose(&mut rng) else {
                continue;
            };
            let applied = by_name(name).unwrap().apply(&parent.graph, site, &mut rng).unwrap();
            let child = initialised(&parent, &applied, &mut rng);
            let back = replay(&child.graph, &opposite(&parent.graph, &applied)).unwrap();
            let again = initialised(&child, &back, &mut rng);
            check_same(&parent, &again, &mut rng, &applied.step)?;
        }
    }
}

/// Random samples for `network`, the calibration data of these tests.
fn samples(network: &Network, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    (0..8).map(|_| random_sample(network, rng)).collect()
}

/// The weights of a child, from activations on 8 random samples.
fn initialised(parent: &Network, applied: &Applied, rng: &mut ChaCha8Rng) -> Network {
    let morphism = by_name(&applied.step.morphism).unwrap();
    let nodes = morphism.observes(&parent.graph, applied);
    let activations = observe_samples(parent, &nodes, &samples(parent, rng));
    morphism.initialise(parent, applied, &activations, rng).unwrap()
}

/// Every morphism at every node of `parent`.
fn check_everywhere(parent: &Network, rng: &mut ChaCha8Rng) -> Result<(), TestCaseError> {
    for morphism in catalogue() {
        let (name, sites) = (morphism.name(), morphism.sites(&parent.graph));
        for site in parent.graph.nodes().iter().map(|n| n.id) {
            let applied = morphism.apply(&parent.graph, site, rng);
            prop_assert_eq!(applied.is_ok(), sites.contains(&site), "{} at {}", name, site);

            let Ok(applied) = applied else { continue };
            check_choices(*morphism, &parent.graph, &applied.step)?;
            let child = initialised(parent, &applied, rng);
            prop_assert_eq!(&child.graph, &applied.graph);
            check_child(parent, &child, &applied.step, rng)?;
        }
    }
    Ok(())
}

/// Every choice at the site of `step`, its own among them, replays to a valid new structure.
fn check_choices(
    morphism: &dyn Morphism,
    parent: &Graph,
    step: &Step,
) -> Result<(), TestCaseError> {
    let choices = morphism.choices(&Layout::new(parent), step.site).unwrap();
    prop_assert!(choices.contains(&step.edit), "{:?}", step);
    for edit in choices {
        let other = replay(parent, &Step { edit, ..step.clone() }).unwrap();
        prop_assert_eq!(check(&other.graph), Ok(()), "{:?}", &other.step);
        prop_assert_ne!(other.graph.arch_id(), parent.arch_id(), "{:?}", &other.step);
        prop_assert_eq!(other.step.choice, edit.to_string());
    }
    Ok(())
}

/// What holds of every child of every network.
fn check_child(
    parent: &Network,
    child: &Network,
    step: &Step,
    rng: &mut ChaCha8Rng,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(check_network(child), Ok(()), "{:?}", step);
    let found = eval(child, &random_sample(parent, rng));
    prop_assert!(found.iter().all(|x| x.is_finite()), "{:?}", step);
    match by_name(&step.morphism).unwrap().exactness() {
        Exactness::Exact => check_same(parent, child, rng, step),
        Exactness::Approximate => Ok(()),
    }
}

/// The networks agree on a random sample.
fn check_same(
    parent: &Network,
    child: &Network,
    rng: &mut ChaCha8Rng,
    step: &Step,
) -> Result<(), TestCaseError> {
    let sample = random_sample(parent, rng);
    let gap = relative_gap(&eval(parent, &sample), &eval(child, &sample));
    prop_assert!(gap <= 1e-4, "{:?}: outputs differ by {}", step, gap);
    // Once more as files in a runtime; that costs more, so not for each.
    if rng.random_ratio(1, 8) {
        let [before, after] = [parent, child].map(|network| exported_outputs(network, &sample));
        let gap = relative_gap(&before, &after);
        prop_assert!(gap <= 1e-4, "{:?}: outputs in tract differ by {}", step, gap);
    }
    Ok(())
}

/// The step that takes `applied` back.
fn opposite(parent: &Graph, applied: &Applied) -> Step {
    let child = &applied.graph;
    let new = |op: fn(&Op) -> bool| {
        let old = |id| parent.node(id).is_some();
        child.nodes().iter().find(|n| !old(n.id) && op(&n.op)).unwrap().id
    };
    let last_input = |id: NodeId| Choice::Cut { input: child.node(id).unwrap().inputs.len() - 1 };
    let (morphism, site, edit) = match applied.step.edit {
        Choice::Kernel { from, to } => {
            ("shrink-kernel", applied.step.site, Choice::Kernel { from: to, to: from })
        }
        Choice::Insert { .. } => ("drop-node", new(|op| matches!(op, Op::Conv(_))), Choice::Whole),
        Choice::Excite { .. } => ("drop-node", new(|op| *op == Op::Mul), Choice::Whole),
        Choice::Branch { .. } => {
            let sum = new(|op| *op == Op::Add);
            ("drop-skip", sum, last_input(sum))
        }
        Choice::Concat { to } => {
            let concat = child.node(to).unwrap().inputs[0];
            ("drop-skip", concat, last_input(concat))
        }
        other => panic!("{other} has no opposite"),
    };
    Step { morphism: morphism.to_owned(), site, choice: edit.to_string(), edit }
}

/// Sum over `samples` of the squared differences of the outputs.
fn squared_gap(parent: &Network, child: &Network, samples: &[Vec<f32>]) -> f64 {
    let gap = |sample: &Vec<f32>| {
        let (expected, found) = (eval(parent, sample), eval(child, sample));
        expected.iter().zip(found).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
    };
    samples.iter().map(gap).sum()
}

/// Least squares that see only zeros change nothing: that is the child without repair.
fn blinded(activations: &Activations) -> Activations {
    let mut blind = activations.clone();
    blind.nodes.values_mut().for_each(|seen| seen.values.data.fill(0.0));
    blind
}

/// Logarithms of (squared gap with repair / without) of the outputs, on the data of the repair,
/// by morphism and over many networks.
fn gains_by_repair() -> BTreeMap<&'static str, Vec<f64>> {
    let mut gains: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let parent = random_network(seed);
        let samples = samples(&parent, &mut rng);
        for name in ["prune", "separable", "shrink-kernel", "drop-skip"] {
            let morphism = by_name(name).unwrap();
            for site in morphism.sites(&parent.graph) {
                let applied = morphism.apply(&parent.graph, site, &mut rng).unwrap();
                let seen = morphism.observes(&parent.graph, &applied);
                let seen = observe_samples(&parent, &seen, &samples);
                let mut gap = |seen: &Activations| {
                    let child = morphism.initialise(&parent, &applied, seen, &mut rng).unwrap();
                    squared_gap(&parent, &child, &samples)
                };
                let (with, without) = (gap(&seen), gap(&blinded(&seen)));
                if with != without && without > 1e-9 {
                    gains.entry(name).or_default().push((with / without).ln());
                }
            }
        }
    }
    gains
}

#[test]
fn repair_brings_approximate_children_nearer_to_their_parents() {
    let gains = gains_by_repair();
    assert_eq!(gains.len(), 4);
    for (name, gains) in gains {
        let better = gains.iter().filter(|gain| **gain < 0.0).count();
        let mean = gains.iter().sum::<f64>() / gains.len() as f64;
        assert!(gains.len() > 8, "{name}: only {} cases", gains.len());
        assert!(3 * better > 2 * gains.len(), "{name}: {better} of {} are nearer", gains.len());
        assert!(mean.exp() < 0.5, "{name}: {} of the squared gap is left", mean.exp());
    }
}

#[test]
fn channels_that_nobody_reads_are_pruned_first() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let graph = MorphismSpace::new([1, 8, 8], 4, 1_000).seeds().pop().unwrap();
    let mut convs = graph.nodes().iter().filter(|n| matches!(n.op, Op::Conv(_)));
    let (site, reader) = (convs.next().unwrap().id, convs.next().unwrap().id);
    assert_eq!(*graph.op(site), Op::Conv(Conv::same(8, 3)));
    let weights = random_weights(&graph, &mut rng);
    let mut parent = Network { graph, weights };
    let Params::Conv { weight, .. } = parent.params_mut(reader) else { panic!("{reader}") };
    let odd = |i: &usize| i / 9 % 8 % 2 == 1;
    (0..weight.data.len()).filter(odd).for_each(|i| weight.data[i] = 0.0);

    let edit = Choice::Channels { from: 8, to: 4 };
    let step = Step { morphism: "prune".to_owned(), site, choice: edit.to_string(), edit };
    let applied = replay(&parent.graph, &step).unwrap();
    let child = initialised(&parent, &applied, &mut rng);
    check_same(&parent, &child, &mut rng, &step).unwrap();
}

/// On the seeds of a search: of what is new, some has a gradient at birth, and once that has
/// moved, all the rest has one.
#[test]
fn nothing_new_is_dead() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for graph in MorphismSpace::new([1, 8, 8], 4, 1_000).seeds() {
        let parent = initial_weights(&graph, &[0.0], &[0.6], &mut rng);
        for morphism in catalogue() {
            for site in morphism.sites(&graph) {
                let applied = morphism.apply(&graph, site, &mut rng).unwrap();
                let mut child = initialised(&parent, &applied, &mut rng);
                let new = changed(&parent, &child);
                let (alive, rest): (Vec<_>, Vec<_>) =
                    new.into_iter().partition(|&part| matters(&child, part, &mut rng));
                alive.iter().for_each(|&part| shake(&mut child, part, &mut rng));
                for part in rest {
                    assert!(matters(&child, part, &mut rng), "{part:?} after {:?}", applied.step);
                }
            }
        }
    }
}

/// A trained tensor: its node and name.
type Part = (NodeId, &'static str);

/// Trained tensors that the child does not share with its parent.
fn changed(parent: &Network, child: &Network) -> Vec<Part> {
    let trained = |name: &&str| matches!(*name, "weight" | "bias" | "gamma" | "beta");
    let new = child.weights.iter().filter(|(id, params)| parent.weights.get(id) != Some(params));
    let parts = |(&id, params): (&NodeId, &std::sync::Arc<Params>)| {
        let names: Vec<_> = params.tensors().into_iter().map(|(name, _)| name).collect();
        names.into_iter().filter(trained).map(move |name| (id, name)).collect::<Vec<_>>()
    };
    new.flat_map(parts).collect()
}

/// Does the output change with this tensor alone?
fn matters(network: &Network, part: Part, rng: &mut ChaCha8Rng) -> bool {
    let mut shaken = network.clone();
    shake(&mut shaken, part, rng);
    squared_gap(network, &shaken, &samples(network, rng)) > 0.0
}

fn shake(network: &mut Network, (id, name): Part, rng: &mut ChaCha8Rng) {
    let tensors = network.params_mut(id).tensors_mut();
    let (_, tensor) = tensors.into_iter().find(|(found, _)| *found == name).unwrap();
    tensor.data.iter_mut().for_each(|x| *x += rng.random_range(-0.05..0.05f32));
}

#[track_caller]
fn check_refusal(morphism: &str, site: impl Fn(&Op) -> bool, expected: &str) {
    let graph = MorphismSpace::new([1, 8, 8], 4, 1_000).seeds().remove(2);
    let site = graph.nodes().iter().rev().find(|n| site(&n.op)).unwrap().id;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let error = by_name(morphism).unwrap().apply(&graph, site, &mut rng).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn refusals_say_why() {
    let linear = |op: &Op| matches!(op, Op::Linear(_));
    let output = "`prune` does not apply to n11: the network's output would change its length";
    check_refusal("prune", linear, output);
    check_refusal("deepen", linear, "`deepen` does not apply to n11: it is not an image");
    let norm = |op: &Op| matches!(op, Op::BatchNorm { .. });
    let inside = "`deepen` does not apply to n7: a ReLU behind it would cut negative values off";
    check_refusal("deepen", norm, inside);
}

#[test]
fn unknown_nodes_and_names_are_refused() {
    let graph = MorphismSpace::new([1, 8, 8], 4, 1_000).seeds().remove(2);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for morphism in catalogue() {
        assert!(morphism.apply(&graph, NodeId(99), &mut rng).is_err(), "{}", morphism.name());
    }
    let error = by_name("shorten").err().unwrap();
    assert_eq!(
        error.to_string(),
        "there is no morphism `shorten`; `citronade morphisms` lists them"
    );
}

#[test]
fn a_step_that_was_recorded_elsewhere_is_refused() {
    let graph = MorphismSpace::new([1, 8, 8], 4, 1_000).seeds().remove(2);
    let edit = Choice::Channels { from: 5, to: 10 };
    let choice = edit.to_string();
    let step = Step { morphism: "widen".to_owned(), site: NodeId(2), choice, edit };
    assert_eq!(
        replay(&graph, &step).unwrap_err().to_string(),
        "`widen` does not apply to n2: the recorded choice does not exist there"
    );
}

#[test]
fn missing_activations_are_named() {
    let graph = MorphismSpace::new([1, 8, 8], 4, 1_000).seeds().remove(2);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let parent = initial_weights(&graph, &[0.0], &[0.6], &mut rng);
    for morphism in catalogue() {
        for site in morphism.sites(&graph) {
            let applied = morphism.apply(&graph, site, &mut rng).unwrap();
            let child = morphism.initialise(&parent, &applied, &Activations::default(), &mut rng);
            let wanted = morphism.observes(&graph, &applied);
            assert_eq!(child.is_ok(), wanted.is_empty(), "{} at {site}", morphism.name());
        }
    }
}
