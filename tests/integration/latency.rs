//! The latency predictor over random networks and known laws.
use citronade::graph::Graph;
use citronade::graph::Op;
use citronade::latency::Prediction;
use citronade::latency::Predictor;
use citronade::stats::median;
use citronade::stats::spearman;
use proptest::prelude::*;

use crate::support::networks::random_network;

fn graphs(seeds: std::ops::Range<u64>) -> Vec<Graph> {
    seeds.map(|seed| random_network(seed).graph).collect()
}

/// A machine that runs one node after the other, each as fast as its arithmetic or its memory
/// allows, with a constant for every node: not a law the predictor can express exactly.
fn roofline_us(graph: &Graph) -> f64 {
    let cost = graph.cost();
    let nodes = graph.nodes().iter().zip(&cost.nodes).map(|(node, cost)| {
        let macs_per_us = match &node.op {
            Op::Conv(conv) if conv.groups > 1 => 300.0,
            Op::Conv(conv) if conv.kernel == [1, 1] => 4000.0,
            _ => 2000.0,
        };
        0.2 + (cost.macs as f64 / macs_per_us).max(cost.bytes_moved as f64 / 4000.0)
    });
    nodes.sum()
}

/// A factor within ±5 % that looks random.
fn noise(i: usize) -> f64 {
    1.0 + 0.05 * (i as f64 * 12.9898).sin()
}

fn fit(graphs: &[Graph]) -> Predictor {
    Predictor::fit(graphs.iter().enumerate().map(|(i, g)| (g, roofline_us(g) * noise(i))))
}

fn predict_all(predictor: &Predictor, graphs: &[Graph]) -> Vec<Prediction> {
    graphs.iter().map(|g| predictor.predict(g)).collect()
}

#[test]
fn a_roofline_is_learnt_from_fifty_measurements() {
    let (measured, unseen) = (graphs(0..50), graphs(1000..1300));
    let truth: Vec<f64> = unseen.iter().map(roofline_us).collect();
    let predicted = predict_all(&fit(&measured), &unseen);
    let predicted: Vec<f64> = predicted.iter().map(|p| p.latency_us).collect();
    let errors = predicted.iter().zip(&truth).map(|(p, t)| (p / t).ln().abs());
    let error = median(&errors.collect::<Vec<f64>>()).unwrap();
    assert!(error < 0.05, "median error {error}");
    let agreement = spearman(&predicted, &truth).unwrap();
    assert!(agreement > 0.99, "rank correlation {agreement}");
}

#[test]
fn nine_error_bars_of_ten_hold_the_truth_from_twelve_measurements_on() {
    let unseen = graphs(1000..1200);
    for measured in [12, 30, 100] {
        let starts = (0..10).map(|k| 2000 + 200 * k);
        let held: usize = starts
            .map(|start| {
                let predicted = predict_all(&fit(&graphs(start..start + measured)), &unseen);
                let holds = |(p, g): &(&Prediction, &Graph)| {
                    let truth = roofline_us(g);
                    p.interval_us[0] <= truth && truth <= p.interval_us[1]
                };
                predicted.iter().zip(&unseen).filter(holds).count()
            })
            .sum();
        assert!(held >= 1800, "{held} of 2000 with {measured} measurements");
    }
}

#[test]
fn more_measurements_narrow_the_error_bar() {
    let unseen = graphs(1000..1100);
    let width = |measured| {
        let predicted = predict_all(&fit(&graphs(0..measured)), &unseen);
        let widths = predicted.iter().map(|p| p.interval_us[1] / p.interval_us[0]);
        median(&widths.collect::<Vec<f64>>()).unwrap()
    };
    let widths = [2, 6, 300].map(width);
    assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn predictions_are_positive_finite_and_repeatable(
        seed in 0..100_000u64,
        measured in 0..12u64,
        scale in prop_oneof![Just(1.0), Just(1e-9), Just(1e12)],
    ) {
        let measured = graphs(seed..seed + measured);
        let fit = || Predictor::fit(measured.iter().map(|g| (g, scale * roofline_us(g))));
        let predictor = fit();
        for graph in graphs(seed + 100..seed + 110) {
            let prediction = predictor.predict(&graph);
            let Prediction { latency_us, interval_us: [low, high], samples } = prediction;
            prop_assert!(0.0 < low && low <= latency_us && latency_us <= high, "{prediction:?}");
            prop_assert!(high.is_finite(), "{prediction:?}");
            prop_assert_eq!(samples, measured.len());
            prop_assert_eq!(fit().predict(&graph), prediction);
        }
    }

    #[test]
    fn before_five_measurements_more_multiply_accumulates_take_longer(
        seed in 0..100_000u64,
        measured in 0..Predictor::ENOUGH as u64,
    ) {
        let predictor = fit(&graphs(seed..seed + measured));
        let mut unseen = graphs(seed + 100..seed + 120);
        unseen.sort_by_key(|g| g.cost().macs);
        let predicted = predict_all(&predictor, &unseen);
        prop_assert!(predicted.is_sorted_by(|a, b| a.latency_us <= b.latency_us));
    }

    /// One network a hundred times says as much as once.
    #[test]
    fn equal_measurements_are_no_trouble(seed in 0..100_000u64, times in 5..20usize) {
        let graph = random_network(seed).graph;
        let predictor = Predictor::fit(std::iter::repeat_n((&graph, 123.0), times));
        let found = predictor.predict(&graph).latency_us;
        prop_assert!((found / 123.0 - 1.0).abs() < 0.01, "{found}");
    }
}

#[test]
fn failed_measurements_are_ignored() {
    let graphs = graphs(0..3);
    let latencies = [f64::NAN, 0.0, 50.0];
    let predictor = Predictor::fit(graphs.iter().zip(latencies));
    let prediction = predictor.predict(&graphs[2]);
    assert_eq!(prediction.samples, 1);
    assert!((prediction.latency_us - 50.0).abs() < 1e-9);
}
