//! Morphisms keep their promise on networks nobody thought of.
use citronade::graph::*;
use citronade::morphism::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::activations::observe_reference;
use crate::support::networks::random_network;
use crate::support::networks::random_sample;
use crate::support::networks::relative_gap;

/// The weights of a child, from activations on 8 random samples.
fn initialised(parent: &Network, applied: &Applied, rng: &mut ChaCha8Rng) -> Network {
    let morphism = by_name(&applied.step.morphism).unwrap();
    let nodes = morphism.observes(&parent.graph, applied);
    let activations = observe_reference(parent, &nodes, 8, rng);
    morphism.initialise(parent, applied, &activations, rng).unwrap()
}

/// What holds of every child of every network.
fn check_child(
    parent: &Network,
    child: &Network,
    step: &Step,
    rng: &mut ChaCha8Rng,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(check_network(child), Ok(()), "{:?}", step);
    let sample = random_sample(parent, rng);
    let (expected, found) = (eval(parent, &sample), eval(child, &sample));
    prop_assert!(found.iter().all(|x| x.is_finite()), "{:?}", step);
    if by_name(&step.morphism).unwrap().exactness() == Exactness::Exact {
        let gap = relative_gap(&expected, &found);
        prop_assert!(gap <= 1e-4, "{:?}: outputs differ by {}", step, gap);
    }
    Ok(())
}

/// Every morphism at every node of `parent`.
fn check_everywhere(parent: &Network, rng: &mut ChaCha8Rng) -> Result<(), TestCaseError> {
    for morphism in catalogue() {
        let (name, sites) = (morphism.name(), morphism.sites(&parent.graph));
        for site in parent.graph.nodes().iter().map(|n| n.id) {
            let applied = morphism.apply(&parent.graph, site, rng);
            prop_assert_eq!(applied.is_ok(), sites.contains(&site), "{} at {}", name, site);

            let Ok(applied) = applied else { continue };
            prop_assert_eq!(check(&applied.graph), Ok(()), "{} at {}", name, site);
            prop_assert_eq!(replay(&parent.graph, &applied.step), Ok(applied.clone()));
            prop_assert_ne!(applied.graph.arch_id(), parent.graph.arch_id());
            let child = initialised(parent, &applied, rng);
            prop_assert_eq!(&child.graph, &applied.graph);
            check_child(parent, &child, &applied.step, rng)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Quantifies over the whole catalogue and every node, so a new morphism is covered the
    /// moment it is listed, and a wrong `sites` cannot hide.
    #[test]
    fn morphisms_keep_their_promise_at_every_node(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        check_everywhere(&random_network(seed), &mut rng)?;
    }
}
