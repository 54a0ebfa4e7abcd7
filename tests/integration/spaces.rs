//! Fixed spaces: what they build, and how they are written.
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use citronade::graph::Graph;
use citronade::graph::Op;
use citronade::graph::Shape;
use citronade::graph::check;
use citronade::space::*;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::skipped::not_tried;

const CIFAR: Nb201 = Nb201 { input: [3, 32, 32], classes: 10, width: 16, repeats: 5 };

/// Rows of the recorded benchmark, by the names of its columns; `None` where it is absent.
fn nb201_rows() -> Option<Vec<(String, u64, u64)>> {
    let Ok(text) = fs::read_to_string("../shared/data/nb201-hw/nb201_core.csv") else {
        not_tried("not compared with NAS-Bench-201: its table is not here");
        return None;
    };
    let rows = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[1].to_owned(), cells[2].parse().unwrap(), cells[3].parse().unwrap())
    });
    Some(rows.collect())
}

#[test]
fn cells_of_nas_bench_201_have_the_published_sizes() {
    let Some(rows) = nb201_rows() else { return };
    // The record counts every operation, also those that lead nowhere; so only cells in which
    // all of them do count can be compared.
    let mut compared = 0;
    for (ops, parameters, macs) in rows.iter().step_by(7) {
        let choices = CIFAR.parse(ops).unwrap();
        let sketch = CIFAR.sketches(&choices).remove(0);
        let operations = ops.chars().filter(|c| *c != '0').count();
        if sketch.live().len() < operations {
            continue;
        }
        let Some(graph) = CIFAR.build(&choices) else { continue };
        check(&graph).unwrap();
        let cost = graph.cost();
        // The record counts an operation for each bias of the classifier.
        assert_eq!((cost.parameters, cost.macs.0 + 10), (*parameters, *macs), "{ops}");
        compared += 1;
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn choices_that_a_space_does_not_have_are_named() {
    let error = CIFAR.parse("12345").unwrap_err();
    assert!(
        matches!(
            error,
            ChoiceError::Option { decision: 4, choice: 5, .. }
                | ChoiceError::Length { found: 5, wanted: 6 }
        ),
        "{error}"
    );
    let error = CIFAR.parse("123450").unwrap_err().to_string();
    assert_eq!(error, "decision 4 has options 0 to 4, not 5");
    let error = CIFAR.parse("|nor_conv|").unwrap_err().to_string();
    let wanted = "|nor_conv| is not like |none~0|+|none~0|none~1|+|…|, of none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3";
    assert_eq!(error, wanted);
}

#[test]
fn children_of_cells_of_nas_bench_201_differ_in_one_edge() {
    let space = Fixed(Arc::new(CIFAR));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..200 {
        let (a, b) = (space.sample(&mut rng), space.sample(&mut rng));
        let child = space.mutate(&a, 1, &mut rng).unwrap();
        let pairs = a.choices().unwrap().iter().zip(child.choices().unwrap());
        assert_eq!(pairs.filter(|(a, b)| a != b).count(), 1);
        let crossed = space.cross(&a, &b, &mut rng).unwrap();
        for (i, choice) in crossed.choices().unwrap().iter().enumerate() {
            assert!([a.choices().unwrap()[i], b.choices().unwrap()[i]].contains(choice));
        }
    }
}

/// Input, classes, training images: from digits to images that are wide, tiny or large.
const DATA_SETS: [([usize; 3], usize, usize); 6] = [
    ([1, 8, 8], 10, 1_150),
    ([1, 28, 28], 10, 48_000),
    ([3, 32, 32], 100, 45_000),
    ([2, 5, 13], 3, 100),
    ([1, 1, 9], 2, 10),
    ([1, 3, 2], 2, 10),
];

/// Every space on every kind of images.
fn catalogue() -> impl Iterator<Item = Arc<dyn Space>> {
    DATA_SETS.into_iter().flat_map(|(input, classes, images)| {
        SPACES.iter().map(move |(name, _)| by_name(name, input, classes, images).unwrap())
    })
}

#[track_caller]
fn check_graph(graph: &Graph, what: &str) {
    assert_eq!(check(graph), Ok(()), "{what}");
    let [channels, height, width] = graph.input_shape();
    let (_, classes, _) = *DATA_SETS.iter().find(|d| d.0 == [channels, height, width]).unwrap();
    let shapes = graph.shapes().unwrap();
    assert_eq!(shapes[&graph.output()], Shape::Vector(classes), "{what}");
}

#[test]
fn every_space_is_known_by_its_name() {
    for (name, about) in SPACES {
        assert_eq!(by_name(name, [1, 8, 8], 10, 1_000).unwrap().name(), *name);
        assert!(!about.is_empty());
    }
    assert!(by_name("nb301", [1, 8, 8], 10, 1_000).is_none());
}

#[test]
fn what_is_drawn_from_any_space_is_a_network_for_the_images() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for space in catalogue() {
        let mut built = 0;
        let drawn = (0..6).map(|_| space.sample(&mut rng));
        for architecture in space.starts().into_iter().chain(drawn.collect::<Vec<_>>()) {
            let what = format!("{space:?} {architecture:?}");
            let Some(graph) = space.build(&architecture) else { continue };
            check_graph(&graph, &what);
            built += 1;
        }
        assert!(built > 3, "{space:?}: {built} networks");
    }
}

#[test]
fn children_differ_from_their_parents_and_have_as_many_features() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for space in catalogue() {
        let length = |architecture: &Architecture| {
            let f = space.features(architecture);
            assert!(f.flat().iter().all(|number| number.is_finite()));
            [f.one_hot.len(), f.paths.len(), f.statistics.len(), f.costs.len()]
        };
        let wanted = length(&space.starts()[0]);
        for _ in 0..20 {
            let (a, b) = (space.sample(&mut rng), space.sample(&mut rng));
            let child = space.mutate(&a, 2, &mut rng);
            if let Some(choices) = a.choices() {
                assert_ne!(child.as_ref().and_then(Architecture::choices), Some(choices));
            }
            let family = [Some(a.clone()), child, space.cross(&a, &b, &mut rng)];
            for member in family.iter().flatten() {
                assert_eq!(length(member), wanted, "{space:?}");
            }
        }
        let of_one = space.starts().remove(0);
        let child = space.mutate(&of_one, 1, &mut rng);
        assert!(child.is_some() || space.name() == "morphism", "{space:?}");
    }
}

/// Choices that need not be repaired yet.
fn any_choices(space: &dyn ChoiceSpace, rng: &mut ChaCha8Rng) -> Choices {
    space.options().iter().map(|&options| rng.random_range(0..options) as u8).collect()
}

#[test]
fn repair_changes_no_network_and_nothing_twice() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut changed = BTreeSet::new();
    for space in catalogue() {
        let Some(space) = space.choices() else { continue };
        for _ in 0..30 {
            let choices = any_choices(space, &mut rng);
            let mut repaired = choices.clone();
            space.repair(&mut repaired);
            if repaired == choices {
                continue;
            }
            changed.insert(space.name().to_owned());
            let mut again = repaired.clone();
            space.repair(&mut again);
            assert_eq!(again, repaired, "{space:?} {choices:?}");
            let [before, after] = [&choices, &repaired].map(|c| space.build(c).unwrap());
            let what = format!("{space:?} {choices:?}");
            check_graph(&before, &what);
            let cost =
                |graph: &Graph| (graph.cost().parameters, graph.cost().macs, graph.nodes().len());
            assert_eq!(cost(&before), cost(&after), "{what}");
            // The parts of a block of `cells` may be joined in another order.
            if space.name() != "cells" {
                assert_eq!(before.arch_id(), after.arch_id(), "{what}");
            }
        }
    }
    let wanted = ["cells", "chain", "darts-cells", "macro", "mobile"];
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn texts_are_read_back_and_tell_networks_apart() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (input, classes, images) in DATA_SETS {
        for (name, _) in SPACES {
            let space = by_name(name, input, classes, images).unwrap();
            let mut texts: BTreeMap<String, Choices> = BTreeMap::new();
            for _ in 0..30 {
                let drawn = space.sample(&mut rng);
                let (Some(choices), Some(space)) = (drawn.choices(), space.choices()) else {
                    continue;
                };
                let text = space.text(choices);
                assert_eq!(space.parse(&text).as_ref(), Ok(choices), "{text}");
                if let Some(graph) = space.build(choices) {
                    let said = words(name, Size::default(), &graph, choices);
                    assert_eq!(said.as_ref(), Some(&text));
                }
                assert_eq!(texts.entry(text).or_insert(choices.clone()), choices);
            }
        }
    }
}

#[test]
fn texts_that_a_space_cannot_read_are_answered_with_what_it_reads() {
    let cases = [
        ("cells", "sep3(0)+sep3(1)", "is not two cells with ` / ` between them"),
        ("cells", "sep3(0)+sep3(1) / skip(0)+skip(0)", "is not a cell of 5 blocks"),
        ("darts-cells", "sep3(0)+sep3(2) a b c / a b c d", "sep3(0)+sep3(2) is not two of max3"),
        ("darts-cells", "sep3(0)+sep9(1) a b c / a b c d", "sep3(0)+sep9(1) is not two of max3"),
        ("chain", "3x3-7", "3x3-7 is not a layer such as `3x5-6/2@0.1`"),
        ("chain", "3x3-6@0", "3x3-6@0 is not a layer such as"),
        ("mobile", "e4k3", "e4k3 is not a layer such as `e3k5`"),
        ("mobile", "e3k3", "3 choices where the space has"),
        ("mobile", "skip e1k3 e1k3 e1k3 e1k3 e1k3", "decision 0 has options 0 to 2, not 3"),
        ("macro", "2221222x", "2221222x is not eight digits from 0 to 2"),
        ("macro", "22212223", "decision 7 has options 0 to 2, not 3"),
    ];
    for (name, text, wanted) in cases {
        let space = by_name(name, [1, 8, 8], 10, 1_000).unwrap();
        let error = space.choices().unwrap().parse(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{name}: {error}");
    }
    let darts = by_name("darts-cells", [1, 8, 8], 10, 1_000).unwrap();
    let cell = "max3(1)+max3(1) skip(0)+skip(1) skip(0)+skip(1) skip(0)+skip(1)";
    let error = darts.choices().unwrap().parse(&format!("{cell} / {cell}")).unwrap_err();
    assert!(error.to_string().contains("two different places"), "{error}");
}

const WIDE: Scale = Scale { input: [3, 32, 32], classes: 10, width: 36, repeats: 6 };

#[test]
fn a_published_cell_of_the_darts_space_has_its_published_size() {
    // P-DARTS: the cell from its genotype, 3,433,798 parameters from
    // https://github.com/chenxin061/pdarts/issues/7.
    let cell = "skip(0)+dil3(1) skip(0)+sep3(1) sep3(1)+sep3(3) sep3(0)+dil5(4) / \
                avg3(0)+sep5(1) sep3(0)+dil5(2) max3(0)+dil3(1) dil3(1)+dil5(3)";
    let space = Darts { scale: WIDE };
    let graph = space.build(&space.parse(cell).unwrap()).unwrap();
    assert_eq!(graph.cost().parameters, 3_433_798);
    assert!((2.0 * 180f64.log10() + 16.0 * 7f64.log10() - space.log10_size()).abs() < 1e-9);
}

#[test]
fn a_cell_is_transferred_to_a_larger_network_by_its_choices() {
    let small = Scale { input: [1, 8, 8], width: 4, repeats: 1, ..WIDE };
    let [small, large] = [small, WIDE].map(|scale| NasNet::new(scale, 5));
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..5 {
        let mut choices = any_choices(&small, &mut rng);
        small.repair(&mut choices);
        assert_eq!(small.text(&choices), large.text(&choices));
        let [small, large] = [&small, &large].map(|space| space.build(&choices).unwrap());
        check(&large).unwrap();
        assert!(large.cost().parameters > 20 * small.cost().parameters);
    }
}

#[test]
fn a_small_cell_of_nasnet_has_the_size_that_is_counted_by_hand() {
    // One block, 16×16 in 2 classes, 2 filters: no shape of the two cells but those counted here.
    let scale = Scale { input: [1, 16, 16], classes: 2, width: 2, repeats: 1 };
    let space = NasNet::new(scale, 1);
    let choices = space.parse("conv3(0)&skip(1) / max3(1)+sep3(1)").unwrap();
    let graph = space.build(&choices).unwrap();
    let norm = |channels: u64| 2 * channels;
    let shaped = |from: u64, to: u64| from * to + norm(to);
    let normal =
        |before: u64, last: u64, f: u64| shaped(before, f) + shaped(last, f) + 9 * f * f + norm(f);
    let reduction = |last: u64, f: u64| shaped(last, f) + 2 * (9 * f + f * f + norm(f));
    let stem = 9 * 6 + norm(6);
    // Outputs: stem 6, normal 2·2, reduction 4, normal 2·4, reduction 8, normal 2·8.
    let cells =
        [normal(6, 6, 2), reduction(4, 4), normal(4, 4, 4), reduction(8, 8), normal(8, 8, 8)];
    let linear = 16 * 2 + 2;
    assert_eq!(graph.cost().parameters, stem + cells.iter().sum::<u64>() + linear);
}

#[test]
fn networks_of_nas_bench_macro_have_the_sizes_of_its_definition() {
    let space = MacroBench { input: [3, 32, 32], classes: 10, width: 32 };
    let conv = |taps: u64, from: u64, to: u64| taps * from * to + 2 * to;
    let inverted = |from: u64, to: u64, expansion: u64, kernel: u64| {
        let hidden = expansion * from;
        conv(1, from, hidden) + conv(kernel * kernel, 1, hidden) + conv(1, hidden, to)
    };
    let around = conv(9, 3, 32) + conv(1, 256, 1280) + 1280 * 10 + 10;
    let none = conv(1, 32, 64) + conv(1, 64, 128) + conv(1, 128, 256);
    let parameters =
        |text: &str| space.build(&space.parse(text).unwrap()).unwrap().cost().parameters;
    assert_eq!(parameters("00000000"), around + none);
    let of = |layers: &[(u64, u64, u64, u64)]| -> u64 {
        around + layers.iter().map(|&(from, to, e, k)| inverted(from, to, e, k)).sum::<u64>()
    };
    // The benchmark's best network.
    let best = [
        (32, 64, 6, 5),
        (64, 64, 6, 5),
        (64, 128, 6, 5),
        (128, 128, 3, 3),
        (128, 128, 6, 5),
        (128, 256, 6, 5),
        (256, 256, 6, 5),
    ];
    assert_eq!(parameters("22212220"), of(&best));
    assert_eq!(space.text(&space.parse("22212220").unwrap()), "22212220");
    assert_eq!(space.text(&space.parse("02200101").unwrap()), "02200110");
}

#[test]
fn nas_bench_macro_has_3969_networks() {
    let space = MacroBench { input: [1, 8, 8], classes: 2, width: 1 };
    let texts = (0..6561u32).map(|n| (0..8).map(|d| (n / 3u32.pow(d) % 3).to_string()).collect());
    let repaired = texts.map(|text: String| space.parse(&text).unwrap());
    // The first layer of a stage, and behind it none, one or two of two blocks: 1 + 2 + 4.
    assert_eq!(repaired.collect::<BTreeSet<_>>().len(), 3 * 3 * (3 * 7) * (3 * 7));
}

#[test]
fn layers_of_a_chain_read_what_their_anchors_say() {
    let scale = Scale { input: [1, 16, 16], classes: 2, width: 24, repeats: 3 };
    let space = Chain::new(scale);
    let graph = space.build(&space.parse("3x5-36/2 1x1-24 7x3-64@0.1").unwrap()).unwrap();
    let first = 3 * 5 * 36 + 2 * 36;
    let second = 24 + 2 * 24;
    let third = 7 * 3 * (36 + 24) * 64 + 2 * 64;
    assert_eq!(graph.cost().parameters, first + second + third + 64 * 2 + 2);
    assert_eq!(graph.nodes().iter().filter(|n| matches!(n.op, Op::AvgPool(_))).count(), 1);
    assert!((space.log10_size() - (128f64.powi(3) * 8.0).log10()).abs() < 1e-9);
}

#[test]
fn layers_that_are_left_out_of_a_mobile_network_are_not_there() {
    let scale = Scale { input: [1, 4, 4], classes: 2, width: 3, repeats: 3 };
    let space = Mobile::new(scale);
    let network = space.parse("e1k5 skip e6k3g2 e3k3 skip skip").unwrap();
    assert_eq!(space.text(&network), "e1k5 e6k3g2 skip e3k3 skip skip");
    let conv = |taps: u64, from: u64, to: u64| taps * from * to + 2 * to;
    // Three channels become four.
    let stem = conv(9, 1, 4);
    let first = conv(25, 1, 4) + conv(1, 4, 4);
    let second = conv(1, 2, 24) + conv(9, 1, 24) + conv(1, 12, 4);
    let third = conv(1, 4, 12) + conv(9, 1, 12) + conv(1, 12, 8);
    let wanted = stem + first + second + third + conv(1, 8, 32) + 32 * 2 + 2;
    assert_eq!(space.build(&network).unwrap().cost().parameters, wanted);
}

/// Cells of few blocks, in which normal cells often pass by the reductions, and those of DARTS.
fn spaces_of_cells(scale: Scale) -> [Box<dyn ChoiceSpace>; 3] {
    let nas_net = |blocks| Box::new(NasNet::new(scale, blocks));
    [nas_net(1), nas_net(2), Box::new(Darts { scale })]
}

#[test]
fn cells_say_the_same_in_networks_of_any_size() {
    let small = Scale { input: [1, 8, 8], classes: 10, width: 4, repeats: 1 };
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for (repeats, width) in [(1, 9), (2, 4), (3, 2), (4, 16)] {
        let large = spaces_of_cells(Scale { repeats, width, ..WIDE });
        for (small, large) in spaces_of_cells(small).iter().zip(large) {
            for _ in 0..50 {
                let mut choices = any_choices(small.as_ref(), &mut rng);
                let mut large_choices = choices.clone();
                small.repair(&mut choices);
                large.repair(&mut large_choices);
                assert_eq!(large_choices, choices, "{large:?}");
                let text = small.text(&choices);
                assert_eq!(large.parse(&text).as_ref(), Ok(&choices), "{large:?}: {text}");
            }
        }
    }
}

#[test]
fn a_reduction_cell_that_few_cells_pass_by_is_there_when_more_read_it() {
    let small = Scale { input: [1, 8, 8], classes: 10, width: 4, repeats: 1 };
    let [small, large] = [1, 2].map(|repeats| NasNet::new(Scale { repeats, ..small }, 1));
    let size = |space: &NasNet, reduction: &str| {
        let choices = space.parse(&format!("skip(0)+conv3(0) / {reduction}")).unwrap();
        space.build(&choices).unwrap().cost().parameters
    };
    let [plain, conv] = ["skip(0)+skip(0)", "conv3(0)+sep7(1)"];
    assert_eq!(size(&small, plain), size(&small, conv));
    assert!(size(&large, plain) < size(&large, conv));
}

#[test]
fn strategies_see_what_a_network_costs() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for space in catalogue() {
        let drawn: Vec<Architecture> = (0..4).map(|_| space.sample(&mut rng)).collect();
        for member in &drawn {
            let costs = space.features(member).costs;
            let Some(graph) = space.build(member) else {
                assert_eq!(costs, [0.0; 4]);
                continue;
            };
            let cost = graph.cost();
            let moved: u64 = cost.nodes.iter().map(|node| node.bytes_moved).sum();
            let wanted = [cost.parameters, cost.macs.0, cost.memory.peak.0, moved];
            let found: Vec<u64> = costs.iter().map(|c| (c.exp() - 1.0).round() as u64).collect();
            for (found, wanted) in found.into_iter().zip(wanted) {
                assert!(found.abs_diff(wanted) <= wanted / 1_000_000, "{found} {wanted}");
            }
        }
    }
}
