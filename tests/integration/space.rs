//! The morphism space: seeds, mutation, first weights, features.
use citronade::graph::*;
use citronade::morphism::replay;
use citronade::space::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const DIGITS: ([usize; 3], usize, usize) = ([1, 8, 8], 10, 1_400);
const FASHION: ([usize; 3], usize, usize) = ([1, 28, 28], 10, 50_000);

/// Data sets of many shapes: input, classes, training images.
fn data_sets() -> Vec<([usize; 3], usize, usize)> {
    let mut sets = vec![DIGITS, FASHION, ([3, 32, 32], 100, 45_000), ([3, 224, 160], 2, 300)];
    sets.extend([
        ([2, 1, 1], 2, 10),
        ([1, 3, 17], 3, 100),
        ([1, 1, 64], 2, 10),
        ([4, 16, 15], 5, 9),
    ]);
    sets
}

#[test]
fn seeds_are_valid_for_images_of_any_size_and_ordered_by_parameters() {
    for (input, classes, images) in data_sets() {
        let seeds = seeds(input, classes, images);
        assert_eq!(seeds.len(), 4);
        for seed in &seeds {
            assert_eq!(check(seed), Ok(()), "{input:?}");
            assert_eq!(seed.input_shape(), input);
            assert_eq!(seed.shapes().unwrap()[&seed.output()], Shape::Vector(classes));
        }
        assert!(seeds.is_sorted_by_key(|seed| seed.cost().parameters), "{input:?}");
    }
}

#[test]
fn the_smallest_seeds_are_tiny() {
    let parameters = |(input, classes, images)| seeds(input, classes, images)[0].cost().parameters;
    assert_eq!(parameters(DIGITS), 438);
    assert_eq!(parameters(FASHION), 1_370);
}

#[test]
fn two_to_four_pixels_remain_before_the_global_pooling() {
    for (input, classes, images) in data_sets().into_iter().filter(|(i, ..)| i[1].min(i[2]) >= 4) {
        for seed in seeds(input, classes, images) {
            let shapes = seed.shapes().unwrap();
            let pool = seed.nodes().iter().find(|n| n.op == Op::GlobalAveragePool).unwrap();
            let [height, width] = shapes[&pool.inputs[0]].size();
            assert!((2..8).contains(&height.min(width)), "{input:?}: {height}×{width}");
        }
    }
}

#[test]
fn first_weights_are_valid_and_the_same_for_the_same_seed() {
    for (input, classes, images) in data_sets() {
        for seed in seeds(input, classes, images) {
            let (mean, std) = (vec![0.1; input[0]], vec![0.3; input[0]]);
            let weights = |n| {
                let mut rng = ChaCha8Rng::seed_from_u64(n);
                initial_weights(&seed, &mean, &std, &mut rng)
            };
            assert_eq!(check_network(&weights(1)), Ok(()));
            assert_eq!(weights(1), weights(1));
            assert_ne!(weights(1), weights(2));
        }
    }
}

#[test]
fn chains_have_the_asked_length_and_every_link_replays() {
    for n in 0..100 {
        let mut rng = ChaCha8Rng::seed_from_u64(n);
        let (input, classes, images) = if n % 2 == 0 { DIGITS } else { FASHION };
        let mut graph = random_architecture(input, classes, images, &mut rng);
        let chain = mutate(&graph, &mut rng, 3);
        assert_eq!(chain.len(), 3);
        for applied in chain {
            assert_eq!(replay(&graph, &applied.step).as_ref(), Ok(&applied));
            graph = applied.graph;
        }
    }
}

#[test]
fn random_architectures_are_many_valid_and_keep_the_strides_of_their_seed() {
    let mut found = std::collections::BTreeSet::new();
    let halvings = |graph: &Graph| {
        let strides = graph.nodes().iter().filter(|n| match &n.op {
            Op::Conv(conv) => conv.stride == [2; 2],
            op => matches!(op, Op::MaxPool(_)),
        });
        strides.count()
    };
    for n in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(n);
        let (input, classes, images) = FASHION;
        let graph = random_architecture(input, classes, images, &mut rng);
        assert_eq!(check(&graph), Ok(()));
        assert!((2..=3).contains(&halvings(&graph)), "{graph:?}");
        found.insert(graph.arch_id());
    }
    assert!(found.len() > 250, "{}", found.len());
}

#[test]
fn features_are_finite_and_differ_where_structures_differ() {
    let (input, classes, images) = DIGITS;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let seeds = seeds(input, classes, images);
    for seed in &seeds {
        let own = features(seed);
        assert_eq!(own.len(), FEATURES);
        for applied in mutate(seed, &mut rng, 3) {
            let other = features(&applied.graph);
            assert_eq!(other.len(), FEATURES);
            assert!(other.iter().all(|x| x.is_finite()));
            assert_ne!(own, other, "{}: {}", applied.step.morphism, applied.step.choice);
        }
    }
}
