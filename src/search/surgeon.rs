//! A policy on the layers of a network: which action, and at which layer.
use std::iter;

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::adam::Adam;
use super::layers::Action;
use super::layers::FEATURES;
use super::layers::Layers;
use super::lstm::Affine;
use super::lstm::Lstm;
use super::lstm::Moment;
use super::reward::Baseline;
use super::softmax;

/// Two layers of LSTM read the layers of a network, one from its input, one from its output: what both
/// give at a layer is the embedding of that layer, what each gives last that of the network. A softmax
/// over the actions looks at the network, one over the layers at each layer.
///
/// # Source
///
/// Zhou, Ebrahimi, Arık, Yu, Liu, Diamos, *Resource-Efficient Neural Architect*, 2018.
#[derive(Debug)]
pub(super) struct Surgeon {
    parameters: Vec<f64>,
    adam: Adam,
    baseline: Baseline,
}

/// Units of each layer of LSTM.
const UNITS: usize = 16;
const FORWARDS: Lstm = Lstm { at: 0, inputs: FEATURES, units: UNITS };
const BACKWARDS: Lstm = Lstm { at: FORWARDS.end(), inputs: FEATURES, units: UNITS };
const ACTIONS: Affine =
    Affine { at: BACKWARDS.end(), inputs: 2 * UNITS, outputs: Action::ALL.len() };
/// How well each action suits a layer.
const PLACES: Affine = Affine { at: ACTIONS.end(), ..ACTIONS };

/// Parameters begin between plus and minus this.
const FIRST_WEIGHT: f64 = 0.1;
/// Learning rate of Adam.
const RATE: f64 = 0.02;
/// Weight of the entropy beside the rewards, which lie between 0 and 1; keeps it trying.
const ENTROPY: f64 = 0.01;

/// One change of a network.
pub(super) struct Operation {
    /// What it was.
    pub layers: Layers,
    pub action: Action,
    /// A layer at which that can be done.
    pub layer: usize,
}

/// What became of a network by some changes.
pub(super) struct Episode {
    pub operations: Vec<Operation>,
    /// The more the better, between 0 and 1.
    pub reward: f64,
}

/// What was read of a network.
struct Reading {
    forwards: Vec<Moment>,
    /// From the last layer to the first.
    backwards: Vec<Moment>,
}

/// Options with the logarithms of their probabilities.
struct Decision<T> {
    options: Vec<T>,
    logs: Vec<f64>,
}

impl Surgeon {
    /// Always the same one: whoever learns the same things again ends at the same.
    pub(super) fn new() -> Surgeon {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let first = || rng.random_range(-FIRST_WEIGHT..=FIRST_WEIGHT);
        let parameters: Vec<f64> = iter::repeat_with(first).take(PLACES.end()).collect();
        let adam = Adam::new(RATE, parameters.len());
        Surgeon { parameters, adam, baseline: Baseline::default() }
    }

    /// An action and the layer where it is done; `None` if nothing can be done. 1 is the neutral
    /// temperature; above it all options become more alike.
    pub(super) fn draw(
        &self,
        layers: &Layers,
        temperature: f64,
        rng: &mut ChaCha8Rng,
    ) -> Option<(Action, usize)> {
        let reading = self.read(layers);
        let actions = self.actions(&reading, layers);
        if actions.options.is_empty() {
            return None;
        }
        let action = actions.options[softmax::draw(&actions.logs, temperature, rng)];
        let places = self.places(&reading, layers, action);
        Some((action, places.options[softmax::draw(&places.logs, temperature, rng)]))
    }

    /// Learns from a batch of episodes, whichever policy drew them.
    pub(super) fn learn(&mut self, episodes: &[Episode]) {
        if episodes.is_empty() {
            return;
        }
        let advantages: Vec<f64> =
            episodes.iter().map(|e| self.baseline.advantage(e.reward)).collect();
        let gradient = self.gradient(episodes, &advantages);
        self.adam.step(&mut self.parameters, &gradient);
    }

    /// Of the mean loss of the episodes.
    fn gradient(&self, episodes: &[Episode], advantages: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.parameters.len()];
        let share = 1.0 / episodes.len() as f64;
        for (episode, advantage) in episodes.iter().zip(advantages) {
            for operation in &episode.operations {
                self.back(operation, share * advantage, share * ENTROPY, &mut gradient);
            }
        }
        gradient
    }

    fn read(&self, layers: &Layers) -> Reading {
        let run = |lstm: Lstm, rows: &mut dyn Iterator<Item = &[f64; FEATURES]>| {
            let mut moments: Vec<Moment> = Vec::new();
            for row in rows {
                moments.push(lstm.step(&self.parameters, row, moments.last()));
            }
            moments
        };
        let rows = &layers.features;
        Reading {
            forwards: run(FORWARDS, &mut rows.iter()),
            backwards: run(BACKWARDS, &mut rows.iter().rev()),
        }
    }

    fn actions(&self, reading: &Reading, layers: &Layers) -> Decision<Action> {
        let options = layers.actions();
        if options.is_empty() {
            return Decision { options, logs: Vec::new() };
        }
        let all = ACTIONS.apply(&self.parameters, &reading.network());
        let logits: Vec<f64> = options.iter().map(|&action| all[action as usize]).collect();
        Decision { options, logs: softmax::log_softmax(&logits) }
    }

    fn places(&self, reading: &Reading, layers: &Layers, action: Action) -> Decision<usize> {
        let options = layers.places(action);
        let score =
            |&layer: &usize| PLACES.apply(&self.parameters, &reading.layer(layer))[action as usize];
        let logits: Vec<f64> = options.iter().map(score).collect();
        Decision { options, logs: softmax::log_softmax(&logits) }
    }

    /// Adds the gradient of one operation's loss.
    fn back(&self, operation: &Operation, push: f64, entropy: f64, gradient: &mut [f64]) {
        let Operation { layers, action, layer } = operation;
        let reading = self.read(layers);
        let count = layers.features.len();
        let mut forwards = vec![vec![0.0; UNITS]; count];
        let mut backwards = forwards.clone();
        let mut hand_back = |forwards_at: usize, backwards_at: usize, slopes: Vec<f64>| {
            let (first, second) = slopes.split_at(UNITS);
            add(&mut forwards[forwards_at], first);
            add(&mut backwards[backwards_at], second);
        };
        let actions = self.actions(&reading, layers);
        let mut slopes = [0.0; Action::ALL.len()];
        for (option, slope) in actions.slopes(*action, push, entropy) {
            slopes[option as usize] = slope;
        }
        let read = ACTIONS.back(&self.parameters, &reading.network(), &slopes, gradient);
        hand_back(count - 1, count - 1, read);
        for (option, slope) in self.places(&reading, layers, *action).slopes(*layer, push, entropy)
        {
            let mut slopes = [0.0; Action::ALL.len()];
            slopes[*action as usize] = slope;
            let read = PLACES.back(&self.parameters, &reading.layer(option), &slopes, gradient);
            hand_back(option, count - 1 - option, read);
        }
        FORWARDS.back(&self.parameters, &reading.forwards, &forwards, gradient);
        BACKWARDS.back(&self.parameters, &reading.backwards, &backwards, gradient);
    }
}

impl Reading {
    /// The embedding of the whole; it has a layer.
    fn network(&self) -> Vec<f64> {
        let ends = [&self.forwards, &self.backwards].map(|m| &m[m.len() - 1].output[..]);
        ends.concat()
    }

    /// The embedding of a layer.
    fn layer(&self, layer: usize) -> Vec<f64> {
        let from_the_end = self.backwards.len() - 1 - layer;
        [&self.forwards[layer].output[..], &self.backwards[from_the_end].output].concat()
    }
}

impl<T: Copy + PartialEq> Decision<T> {
    /// Slopes of the loss by the logits, where `choice` was made.
    fn slopes(&self, choice: T, push: f64, entropy: f64) -> impl Iterator<Item = (T, f64)> + '_ {
        let at = self.options.iter().position(|&option| option == choice);
        let at = at.expect("only what is possible is done");
        self.options.iter().copied().zip(softmax::slopes(&self.logs, at, push, entropy))
    }
}

fn add(sums: &mut [f64], slopes: &[f64]) {
    sums.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::space::MorphismSpace;

    fn network() -> Graph {
        let seeds = MorphismSpace::new([1, 8, 8], 10, 1_000).seeds();
        let grown = MorphismSpace::new([1, 8, 8], 10, 1_000).mutate(
            &seeds[3],
            4,
            &mut ChaCha8Rng::seed_from_u64(4),
        );
        grown.last().unwrap().graph.clone()
    }

    /// The loss in words of the paper, to be compared with the gradient.
    fn loss(surgeon: &Surgeon, episodes: &[Episode], advantages: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (episode, advantage) in episodes.iter().zip(advantages) {
            for Operation { layers, action, layer } in &episode.operations {
                let reading = surgeon.read(layers);
                let actions = surgeon.actions(&reading, layers);
                let places = surgeon.places(&reading, layers, *action);
                let action_at = actions.options.iter().position(|option| option == action);
                let place_at = places.options.iter().position(|option| option == layer);
                let chosen = actions.logs[action_at.unwrap()] + places.logs[place_at.unwrap()];
                let all = actions.logs.iter().chain(&places.logs);
                let entropy: f64 = all.map(|log| -log.exp() * log).sum();
                sum -= advantage * chosen + ENTROPY * entropy;
            }
        }
        sum / episodes.len() as f64
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let mut surgeon = Surgeon::new();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // Larger parameters than the first ones bend more.
        surgeon.parameters.iter_mut().for_each(|p| *p = rng.random_range(-0.5..0.5));
        let graph = network();
        let operation = |action: Action| {
            let layers = Layers::of(&graph);
            let layer = *layers.places(action).last().unwrap();
            Operation { layers, action, layer }
        };
        let first = vec![operation(Action::Insert), operation(Action::Scale)];
        let second = vec![operation(Action::Remove)];
        let episodes = [first, second].map(|operations| Episode { operations, reward: 0.0 });
        let advantages = [0.6, -0.4];
        let found = surgeon.gradient(&episodes, &advantages);
        assert!(found.iter().filter(|slope| slope.abs() > 1e-6).count() > found.len() / 2);
        // A tenth of them, from all parts.
        for at in (0..found.len()).step_by(10).chain(ACTIONS.at..found.len()) {
            let mut moved = |by: f64| {
                surgeon.parameters[at] += by;
                let loss = loss(&surgeon, &episodes, &advantages);
                surgeon.parameters[at] -= by;
                loss
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((found[at] - expected).abs() < 1e-8, "{at}: {} {expected}", found[at]);
        }
    }

    /// Share of rewarded draws after some batches in which only they were rewarded.
    fn learns(is_wanted: impl Fn(Action, usize) -> bool) -> f64 {
        let mut surgeon = Surgeon::new();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let graph = network();
        let mut draw = |surgeon: &Surgeon| {
            let layers = Layers::of(&graph);
            let (action, layer) = surgeon.draw(&layers, 1.0, &mut rng).unwrap();
            (Operation { layers, action, layer }, is_wanted(action, layer))
        };
        for _ in 0..60 {
            let episodes: Vec<Episode> = (0..5)
                .map(|_| {
                    let (operation, is_wanted) = draw(&surgeon);
                    Episode { operations: vec![operation], reward: f64::from(u8::from(is_wanted)) }
                })
                .collect();
            surgeon.learn(&episodes);
        }
        (0..50).filter(|_| draw(&surgeon).1).count() as f64 / 50.0
    }

    #[test]
    fn it_learns_which_action_is_rewarded() {
        for wanted in Action::ALL {
            let share = learns(|action, _| action == wanted);
            assert!(share > 0.8, "{wanted:?}: {share}");
        }
    }

    #[test]
    fn it_learns_at_which_layer_an_action_is_rewarded() {
        let share = learns(|_, layer| layer == 1);
        assert!(share > 0.8, "{share}");
    }
}
