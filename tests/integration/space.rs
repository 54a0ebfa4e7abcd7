//! The morphism space: seeds, mutation, first weights, features.
use std::collections::BTreeSet;

use citronade::graph::*;
use citronade::morphism::replay;
use citronade::space::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

type DataSet = ([usize; 3], usize, usize);

const DIGITS: DataSet = ([1, 8, 8], 10, 1_400);
const FASHION: DataSet = ([1, 28, 28], 10, 50_000);
/// Input, classes, training images.
const DATA_SETS: [DataSet; 8] = [
    DIGITS,
    FASHION,
    ([3, 32, 32], 100, 45_000),
    ([3, 224, 160], 2, 300),
    ([2, 1, 1], 2, 10),
    ([1, 3, 17], 3, 100),
    ([1, 1, 64], 2, 10),
    ([4, 16, 15], 5, 9),
];

fn space((input, classes, images): DataSet) -> MorphismSpace {
    MorphismSpace::new(input, classes, images)
}

#[test]
fn seeds_are_valid_for_images_of_any_size_and_ordered_by_cost() {
    for data in DATA_SETS {
        let seeds = space(data).seeds();
        assert_eq!(seeds.len(), if data.2 >= 10_000 { 7 } else { 6 });
        for seed in &seeds {
            assert_eq!(check(seed), Ok(()), "{data:?}");
            assert_eq!(seed.input_shape(), data.0);
            assert_eq!(seed.shapes().unwrap()[&seed.output()], Shape::Vector(data.1));
        }
        assert!(seeds.is_sorted_by_key(|seed| seed.cost().macs), "{data:?}");
    }
}

#[test]
fn the_smallest_seeds_are_tiny() {
    assert_eq!(space(DIGITS).seeds()[0].cost().parameters, 650);
    assert_eq!(space(FASHION).seeds()[0].cost().parameters, 2_078);
}

#[test]
fn two_to_seven_pixels_remain_before_the_global_pooling() {
    for data in DATA_SETS.into_iter().filter(|(input, ..)| input[1].min(input[2]) >= 4) {
        for seed in space(data).seeds() {
            let shapes = seed.shapes().unwrap();
            let pool = seed.nodes().iter().find(|n| n.op == Op::GlobalAveragePool);
            let Some(pool) = pool else { continue };
            let [height, width] = shapes[&pool.inputs[0]].size();
            assert!((2..=7).contains(&height.min(width)), "{data:?}: {height}×{width}");
        }
    }
}

#[test]
fn first_weights_are_valid_and_the_same_for_the_same_seed() {
    for data in DATA_SETS {
        let channels = data.0[0];
        let (mean, std) = (vec![0.1; channels], vec![0.3; channels]);
        for seed in space(data).seeds() {
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
        let space = space(if n % 2 == 0 { DIGITS } else { FASHION });
        let mut graph = space.sample(&mut rng);
        let chain = space.mutate(&graph, 3, &mut rng);
        let shallow = !graph.nodes().iter().any(|n| matches!(n.op, Op::Conv(_)));
        assert_eq!(chain.len(), if shallow { 0 } else { 3 });
        for applied in chain {
            assert_eq!(replay(&graph, &applied.step).as_ref(), Ok(&applied));
            graph = applied.graph;
        }
    }
}

#[test]
fn samples_are_many_valid_and_keep_the_strides_of_their_seed() {
    let mut found = BTreeSet::new();
    let halvings = |graph: &Graph| {
        let strides = graph.nodes().iter().filter(|n| match &n.op {
            Op::Conv(conv) => conv.stride == [2; 2],
            op => matches!(op, Op::MaxPool(_)),
        });
        strides.count()
    };
    for n in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(n);
        let graph = space(FASHION).sample(&mut rng);
        assert_eq!(check(&graph), Ok(()));
        assert!(halvings(&graph) <= 3, "{graph:?}");
        found.insert(graph.arch_id());
    }
    assert!(found.len() > 200, "{}", found.len());
}

#[test]
fn features_are_finite_and_differ_where_structures_differ() {
    let space = space(DIGITS);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for seed in space.seeds() {
        let own = MorphismSpace::features(&seed);
        assert_eq!(own.len(), FEATURES);
        for applied in space.mutate(&seed, 1, &mut rng) {
            let other = MorphismSpace::features(&applied.graph);
            assert_eq!(other.len(), FEATURES);
            assert!(other.iter().all(|x| x.is_finite()));
            assert_ne!(own, other, "{}: {}", applied.step.morphism, applied.step.choice);
        }
    }
}
