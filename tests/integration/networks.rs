//! The generator itself.
use std::collections::BTreeSet;

use crate::support::networks::random_network;

#[test]
fn the_generator_reaches_every_operation() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        seen.extend(random_network(seed).graph.nodes().iter().map(|n| n.op.name()));
    }
    assert_eq!(seen.len(), 19, "{seen:?}");
}
