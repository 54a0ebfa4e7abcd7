//! What a controller learns from the rewards of its episodes.
use rand_chacha::ChaCha8Rng;

use super::adam::Adam;
use super::controller::Controller;
use super::reward::Baseline;
use super::softmax::slopes;

/// How rewards become a gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Gradient {
    /// One step on a batch of episodes.
    ///
    /// Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
    /// Learning*, 1992.
    #[default]
    Reinforce,
    /// Several steps on the same batch; a choice whose probability has changed by `clip` of itself
    /// pushes no further.
    ///
    /// Schulman et al., *Proximal Policy Optimization Algorithms*, 2017, which has a `clip` of 0.2.
    Proximal {
        /// Above 0.
        clip: f64,
        /// At least 1.
        steps: usize,
    },
}

impl Gradient {
    /// With the clip of Schulman et al.; four steps, since a batch is small.
    pub const PROXIMAL: Gradient = Gradient::Proximal { clip: 0.2, steps: 4 };
}

/// Learning rate of Adam. 0.0006 in Zoph and Le for 12,800 episodes; here there are some hundred.
const RATE: f64 = 0.03;
/// Weight of the entropy beside the rewards, which lie between 0 and 1; keeps it trying.
const ENTROPY: f64 = 0.01;

/// A controller that learns.
#[derive(Debug)]
pub(super) struct Policy {
    controller: Controller,
    adam: Adam,
    gradient: Gradient,
    baseline: Baseline,
}

/// Choices with what came of them.
#[derive(Clone, Debug)]
pub(super) struct Episode {
    /// What the controller was given.
    pub condition: Vec<f64>,
    /// What it chose.
    pub choices: Vec<u8>,
    /// The more the better, between 0 and 1.
    pub reward: f64,
}

/// An episode as the gradient needs it.
struct Lesson<'a> {
    episode: &'a Episode,
    /// Reward over the baseline.
    advantage: f64,
    /// Logarithm of each choice's probability before the first step on the batch.
    before: Vec<f64>,
}

impl Policy {
    pub(super) fn new(options: &[usize], condition: usize, gradient: Gradient) -> Policy {
        let controller = Controller::new(options, condition);
        let adam = Adam::new(RATE, controller.parameters().len());
        Policy { controller, adam, gradient, baseline: Baseline::default() }
    }

    /// Choices for a condition; all the more random the higher the temperature, 1 being neutral.
    pub(super) fn draw(
        &self,
        condition: &[f64],
        temperature: f64,
        rng: &mut ChaCha8Rng,
    ) -> Vec<u8> {
        self.controller.draw(condition, temperature, rng)
    }

    /// Learns from a batch of episodes.
    pub(super) fn learn(&mut self, episodes: &[Episode]) {
        let lessons: Vec<Lesson<'_>> = episodes.iter().map(|e| self.lesson(e)).collect();
        let steps = match self.gradient {
            Gradient::Reinforce => 1,
            Gradient::Proximal { steps, .. } => steps,
        };
        for _ in 0..steps {
            let gradient = gradient(&self.controller, &lessons, self.gradient);
            self.adam.step(self.controller.parameters_mut(), &gradient);
        }
    }

    fn lesson<'a>(&mut self, episode: &'a Episode) -> Lesson<'a> {
        let Episode { condition, choices, reward } = episode;
        let advantage = self.baseline.advantage(*reward);
        let steps = self.controller.follow(condition, choices);
        let before = steps.iter().zip(choices).map(|(step, &choice)| step.log_probability(choice));
        Lesson { episode, advantage, before: before.collect() }
    }
}

/// Of the mean loss of the lessons.
fn gradient(controller: &Controller, lessons: &[Lesson<'_>], rule: Gradient) -> Vec<f64> {
    let mut gradient = vec![0.0; controller.parameters().len()];
    let share = 1.0 / lessons.len() as f64;
    for lesson in lessons {
        let choices = &lesson.episode.choices;
        let steps = controller.follow(&lesson.episode.condition, choices);
        let each = steps.iter().zip(choices).zip(&lesson.before);
        let slopes: Vec<Vec<f64>> = each
            .map(|((step, &choice), before)| {
                let log_ratio = step.log_probability(choice) - before;
                let push = push(rule, lesson.advantage, log_ratio);
                let (push, entropy) = (share * push, share * ENTROPY);
                slopes(&step.log_probabilities, usize::from(choice), push, entropy)
            })
            .collect();
        controller.back(&steps, &slopes, &mut gradient);
    }
    gradient
}

/// How much is gained when the logarithm of a choice's probability grows.
fn push(rule: Gradient, advantage: f64, log_ratio: f64) -> f64 {
    match rule {
        Gradient::Reinforce => advantage,
        Gradient::Proximal { clip, .. } => {
            let ratio = log_ratio.exp();
            let has_gone_far = match advantage > 0.0 {
                true => ratio > 1.0 + clip,
                false => ratio < 1.0 - clip,
            };
            if has_gone_far { 0.0 } else { advantage * ratio }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::SeedableRng;

    use super::*;

    /// The loss in words of the papers, to be compared with the gradient.
    fn loss(controller: &Controller, lessons: &[Lesson<'_>], rule: Gradient) -> f64 {
        let mut sum = 0.0;
        for Lesson { episode, advantage, before } in lessons {
            let steps = controller.follow(&episode.condition, &episode.choices);
            for ((step, &choice), before) in steps.iter().zip(&episode.choices).zip(before) {
                let log = step.log_probabilities[usize::from(choice)];
                let gained = match rule {
                    Gradient::Reinforce => advantage * log,
                    Gradient::Proximal { clip, .. } => {
                        let ratio = (log - before).exp();
                        (advantage * ratio).min(advantage * ratio.clamp(1.0 - clip, 1.0 + clip))
                    }
                };
                let entropy: f64 = step.log_probabilities.iter().map(|l| -l.exp() * l).sum();
                sum -= gained + ENTROPY * entropy;
            }
        }
        sum / lessons.len() as f64
    }

    /// Of two episodes, one better and one worse than usual, whose choices were more or less likely
    /// before: on both sides of the clip.
    #[track_caller]
    fn check_gradient(rule: Gradient) {
        let mut policy = Policy::new(&[3, 2, 4], 2, rule);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // Larger parameters than the first ones bend more.
        let parameters = policy.controller.parameters_mut();
        parameters.iter_mut().for_each(|p| *p = rng.random_range(-0.5..0.5));
        let episodes = [[2, 0, 3], [1, 1, 0]].map(|choices| Episode {
            condition: vec![0.3, 0.7],
            choices: choices.to_vec(),
            reward: 0.0,
        });
        let mut lessons: Vec<Lesson<'_>> = episodes.iter().map(|e| policy.lesson(e)).collect();
        for (lesson, advantage) in lessons.iter_mut().zip([0.6, -0.4]) {
            lesson.advantage = advantage;
            for (before, change) in lesson.before.iter_mut().zip([0.5, -0.5, 0.1]) {
                *before += change;
            }
        }
        let found = gradient(&policy.controller, &lessons, rule);
        let most = found.iter().fold(0.0, |most: f64, slope| most.max(slope.abs()));
        assert!(most > 0.01);
        for at in (0..found.len()).step_by(3) {
            let mut moved = |by: f64| {
                policy.controller.parameters_mut()[at] += by;
                let loss = loss(&policy.controller, &lessons, rule);
                policy.controller.parameters_mut()[at] -= by;
                loss
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((found[at] - expected).abs() < 1e-8, "{at}: {} {expected}", found[at]);
        }
    }

    #[test]
    fn the_gradient_of_reinforce_is_that_of_its_loss() {
        check_gradient(Gradient::Reinforce);
    }

    #[test]
    fn the_proximal_gradient_is_that_of_the_clipped_loss() {
        check_gradient(Gradient::Proximal { clip: 0.2, steps: 1 });
    }

    /// The reward asks for the last option under one condition, for the first under the other.
    #[track_caller]
    fn check_learns_what_the_condition_asks_for(rule: Gradient, batches: usize) {
        let mut policy = Policy::new(&[3; 4], 2, rule);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let share = |choices: &[u8], option: u8| {
            choices.iter().filter(|&&choice| choice == option).count() as f64 / 4.0
        };
        let asked = [(vec![1.0, 0.0], 2), (vec![0.0, 1.0], 0)];
        for _ in 0..batches {
            let episodes: Vec<Episode> = (0..6)
                .map(|i| {
                    let (condition, option) = asked[i % 2].clone();
                    let choices = policy.draw(&condition, 1.0, &mut rng);
                    let reward = share(&choices, option);
                    Episode { condition, choices, reward }
                })
                .collect();
            policy.learn(&episodes);
        }
        for (condition, option) in asked {
            let drawn = (0..50).map(|_| share(&policy.draw(&condition, 1.0, &mut rng), option));
            let mean = drawn.sum::<f64>() / 50.0;
            assert!(mean > 0.8, "{option}: {mean}");
        }
    }

    #[test]
    fn reinforce_learns_what_the_condition_asks_for() {
        check_learns_what_the_condition_asks_for(Gradient::Reinforce, 150);
    }

    #[test]
    fn proximal_steps_learn_it_from_fewer_episodes() {
        check_learns_what_the_condition_asks_for(Gradient::Proximal { clip: 0.2, steps: 4 }, 75);
    }
}
