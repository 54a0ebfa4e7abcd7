//! REINFORCE: a recurrent controller draws architectures and learns from its rewards.
//!
//! Zoph, Le, *Neural Architecture Search with Reinforcement Learning*, ICLR 2017; with
//! [`Gradient::Proximal`] as in Zoph, Vasudevan, Shlens, Le, *Learning Transferable Architectures for
//! Scalable Image Recognition*, CVPR 2018. For a front, each episode has weights of the objectives:
//! the controller sees them, and the reward is weighted with them.
//!
//! What it has learnt depends on what it was told alone: the weights of an episode come from its number.
//! It learns when it is asked, from whole batches in the order of their numbers, whether the controller
//! of that time drew them, an earlier one, a warmer one, or chance where the controller knew nothing new.
use std::iter;

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::space::Architecture;
use crate::space::ChoiceSpace;
use crate::space::Space;

use super::Evaluated;
use super::Generation;
use super::Gradient;
use super::Situation;
use super::Strategy;
use super::batch::Batch;
use super::history::History;
use super::policy::Episode;
use super::policy::Policy;
use super::random;

/// The strategy.
#[derive(Debug)]
pub struct Reinforce {
    gradient: Gradient,
    history: History,
    /// Results that the policy has learnt from, the oldest ones.
    learnt: usize,
    /// There from the first result on.
    policy: Option<Policy>,
}

/// Episodes between two steps. 8 in Zoph and Le; with some hundred in all, more steps count.
const BATCH: usize = 5;
/// Draws without a new architecture before the temperature rises.
const TRIES: usize = 20;
/// What it rises by.
const WARMER: f64 = 1.5;
/// As good as uniform; if that finds nothing, random architectures come.
const HOTTEST: f64 = 20.0;

impl Reinforce {
    /// With this rule of learning.
    pub fn new(gradient: Gradient) -> Reinforce {
        Reinforce { gradient, history: History::default(), learnt: 0, policy: None }
    }

    /// Learns from all whole batches that were told since the last time; `limit` is that on the error.
    fn learn(&mut self, space: &dyn ChoiceSpace, limit: Option<f64>) {
        let told = self.history.evaluated();
        let Some(first) = told.first() else { return };
        let policy = self.policy.get_or_insert_with(|| {
            Policy::new(space.options(), objectives(first).count(), self.gradient)
        });
        while self.learnt + BATCH <= told.len() {
            let batch = self.learnt..self.learnt + BATCH;
            let so_far = &told[..batch.end];
            let episodes: Vec<Episode> = batch.filter_map(|n| episode(so_far, n, limit)).collect();
            policy.learn(&episodes);
            self.learnt += BATCH;
        }
    }
}

impl Strategy for Reinforce {
    fn name(&self) -> &'static str {
        "reinforce"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        if let Some(space) = situation.space.choices() {
            self.learn(space, situation.limit(situation.error_at));
            if let (Some(policy), [first, ..]) = (&self.policy, self.history.evaluated()) {
                let numbers = self.history.evaluated().len()..;
                let weights = numbers.map(|number| weights(number, objectives(first).count()));
                draw(policy, space, weights, &mut batch, rng);
            }
        }
        random::fill(&mut batch, situation, rng);
        batch.done()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn cannot_run_on(&self, space: &dyn Space) -> Option<String> {
        let can = space.choices().is_some();
        (!can).then(|| "its controller needs a fixed list of choices to make".to_owned())
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        self.history.add(evaluated);
    }
}

/// Proposes an architecture for each of the weights as long as there is room. A controller that is so
/// sure that nothing new comes is drawn from at a higher temperature.
fn draw(
    policy: &Policy,
    space: &dyn ChoiceSpace,
    weights: impl Iterator<Item = Vec<f64>>,
    batch: &mut Batch<'_>,
    rng: &mut ChaCha8Rng,
) {
    for weights in weights.take(batch.room()) {
        let warmer = iter::successors(Some(1.0), |temperature| Some(temperature * WARMER));
        let mut temperatures = warmer.take_while(|temperature| *temperature < HOTTEST);
        let is_new = temperatures.any(|temperature| {
            (0..TRIES).any(|_| {
                let mut choices = policy.draw(&weights, temperature, rng);
                space.repair(&mut choices);
                batch.offer(Architecture::Chosen(choices), None)
            })
        });
        if !is_new {
            break;
        }
    }
}

/// The error, then the costs on the first device: a controller has one memory for all.
fn objectives(evaluated: &Evaluated) -> impl Iterator<Item = Option<f64>> + '_ {
    let costs = evaluated.costs.first().into_iter().flatten();
    iter::once(evaluated.error).chain(costs.copied())
}

/// What is to be learnt from result `number`, the last of a batch of `told`.
fn episode(told: &[Evaluated], number: usize, limit: Option<f64>) -> Option<Episode> {
    let evaluated = &told[number];
    let choices = evaluated.architecture.choices()?.clone();
    let condition = weights(number, objectives(evaluated).count());
    let each = condition.iter().zip(standing(told, evaluated, limit));
    let reward = each.map(|(weight, standing)| weight * standing).sum();
    Some(Episode { condition, choices, reward })
}

/// Weights of the objectives in an episode, evenly spread over all that sum to 1. A number of its
/// own makes them, so that they need not be told.
fn weights(number: usize, objectives: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
    let drawn: Vec<f64> =
        (0..objectives).map(|_| -rng.random_range(f64::MIN_POSITIVE..1.0).ln()).collect();
    let sum: f64 = drawn.iter().sum();
    drawn.into_iter().map(|weight| weight / sum).collect()
}

/// For each objective the share of results that are worse or as good; 0 where it is missing, and for all
/// of them where there is no error. Ranks, so that neither a scale nor outliers matter. Low costs earn nothing
/// where the error is over its limit.
fn standing(told: &[Evaluated], evaluated: &Evaluated, limit: Option<f64>) -> Vec<f64> {
    let Some(error) = evaluated.error else { return vec![0.0; objectives(evaluated).count()] };
    let keeps = limit.is_none_or(|limit| error <= limit);
    let of_one = |(at, value): (usize, Option<f64>)| {
        let Some(value) = value.filter(|_| at == 0 || keeps) else { return 0.0 };
        let all = || told.iter().filter_map(|other| objectives(other).nth(at).flatten());
        all().filter(|other| *other >= value).count() as f64 / all().count() as f64
    };
    objectives(evaluated).enumerate().map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;
    use crate::space::MorphismSpace;

    #[test]
    fn it_goes_on_when_the_controller_is_sure_of_what_is_known() {
        let mut strategy = Reinforce::new(Gradient::Reinforce);
        let told = toy::results(300);
        let best = told.iter().min_by(|a, b| a.error.unwrap().total_cmp(&b.error.unwrap()));
        // The best again and again, everything else failed.
        for other in &told {
            strategy.tell(best.unwrap());
            strategy.tell(&Evaluated { error: None, costs: vec![vec![None]], ..other.clone() });
        }
        assert_eq!(toy::propose(&mut strategy, &told, 9, 1).len(), 9);
    }

    #[test]
    fn rewards_are_weighted_standings_and_nothing_for_what_failed() {
        let told = toy::results(3);
        let ranked = |error: f64, latency: f64| Evaluated {
            error: Some(error),
            costs: vec![vec![Some(latency)]],
            ..told[0].clone()
        };
        let told = [ranked(0.1, 30.0), ranked(0.2, 20.0), ranked(0.2, 10.0), ranked(0.9, 40.0)];
        assert_eq!(standing(&told, &told[0], None), [1.0, 0.5]);
        assert_eq!(standing(&told, &told[1], None), [0.75, 0.75]);
        let failed = Evaluated { error: None, ..told[2].clone() };
        assert_eq!(standing(&told, &failed, None), [0.0, 0.0]);
        assert_eq!(standing(&told, &told[1], Some(0.15)), [0.75, 0.0]);
        assert_eq!(standing(&told, &told[0], Some(0.15)), [1.0, 0.5]);
        let episode = episode(&told, 1, None).unwrap();
        assert!((episode.reward - 0.75).abs() < 1e-12, "{}", episode.reward);
    }

    #[test]
    fn weights_sum_to_one_and_favour_each_objective_as_often() {
        let all: Vec<Vec<f64>> = (0..600).map(|number| weights(number, 3)).collect();
        assert!(all.iter().all(|w| (w.iter().sum::<f64>() - 1.0).abs() < 1e-12));
        for objective in 0..3 {
            let favoured = all.iter().filter(|w| w.iter().all(|x| *x <= w[objective])).count();
            assert!((150..250).contains(&favoured), "{favoured}");
        }
    }

    #[test]
    fn the_open_space_has_no_choices_for_a_controller() {
        let strategy = Reinforce::new(Gradient::Reinforce);
        assert_eq!(strategy.cannot_run_on(&toy::space()), None);
        let open = MorphismSpace::new([1, 8, 8], 10, 100);
        assert!(strategy.cannot_run_on(&open).unwrap().contains("fixed list of choices"));
    }
}
