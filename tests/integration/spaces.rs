//! Fixed spaces: what they build, and how they are written.
use std::fs;

use citronade::graph::check;
use citronade::space::Architecture;
use citronade::space::ChoiceError;
use citronade::space::ChoiceSpace;
use citronade::space::Fixed;
use citronade::space::Nb201;
use citronade::space::Space;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const CIFAR: Nb201 = Nb201 { input: [3, 32, 32], classes: 10, width: 16, repeats: 5 };

/// Rows of the recorded benchmark, by the names of its columns; `None` where it is absent.
fn nb201_rows() -> Option<Vec<(String, u64, u64)>> {
    let Ok(text) = fs::read_to_string("../shared/data/nb201-hw/nb201_core.csv") else {
        eprintln!("not compared with NAS-Bench-201: its table is not here");
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
    assert_eq!(error, "|nor_conv| is not six digits from 0 to 4, one for each edge of the cell");
}

#[test]
fn children_differ_from_their_parents_and_have_as_many_features() {
    let space = Fixed(std::sync::Arc::new(CIFAR));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let length = |architecture: &Architecture| {
        let f = space.features(architecture);
        [f.one_hot.len(), f.paths.len(), f.statistics.len(), f.costs.len()]
    };
    let wanted = length(&space.starts()[0]);
    for _ in 0..200 {
        let (a, b) = (space.sample(&mut rng), space.sample(&mut rng));
        let child = space.mutate(&a, 1, &mut rng).unwrap();
        let pairs = a.choices().unwrap().iter().zip(child.choices().unwrap());
        assert_eq!(pairs.filter(|(a, b)| a != b).count(), 1);
        let crossed = space.cross(&a, &b, &mut rng).unwrap();
        for (i, choice) in crossed.choices().unwrap().iter().enumerate() {
            assert!([a.choices().unwrap()[i], b.choices().unwrap()[i]].contains(choice));
        }
        assert_eq!(length(&child), wanted);
        assert_eq!(length(&crossed), wanted);
    }
}
