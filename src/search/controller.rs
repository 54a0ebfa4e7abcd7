//! A controller: a recurrent network that makes one choice after another.
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::lstm::Affine;
use super::lstm::Lstm;
use super::lstm::Moment;
use super::softmax;

/// One layer of LSTM and, for each decision, a softmax over its options. A step sees the choice
/// before it, as an embedding, and what the whole episode is about: the condition.
///
/// # Source
///
/// Zoph, Le, *Neural Architecture Search with Reinforcement Learning*, ICLR 2017.
#[derive(Clone, Debug)]
pub(super) struct Controller {
    options: Vec<usize>,
    condition: usize,
    /// Embeddings by token, the recurrent weights by input, their biases, then the weights and
    /// biases of each decision.
    parameters: Vec<f64>,
}

/// Units of the layer: 35, as in the paper, which has two layers for some 40 decisions.
const UNITS: usize = 35;
/// Numbers that stand for a choice.
const EMBEDDING: usize = 8;
/// Parameters begin between plus and minus this, as in the paper.
const FIRST_WEIGHT: f64 = 0.08;

/// What a step saw, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    token: usize,
    moment: Moment,
    /// Of each option.
    pub log_probabilities: Vec<f64>,
}

impl Step {
    /// Of one option.
    pub(super) fn log_probability(&self, choice: u8) -> f64 {
        self.log_probabilities[usize::from(choice)]
    }
}

impl Controller {
    /// For decisions between so many options each, and conditions of so many numbers. Always the same
    /// one: whoever learns the same things again ends at the same controller.
    pub(super) fn new(options: &[usize], condition: usize) -> Controller {
        let mut controller =
            Controller { options: options.to_vec(), condition, parameters: Vec::new() };
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let first = (0..controller.parameter_count())
            .map(|_| rng.random_range(-FIRST_WEIGHT..=FIRST_WEIGHT));
        controller.parameters = first.collect();
        controller
    }

    pub(super) fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    pub(super) fn parameters_mut(&mut self) -> &mut [f64] {
        &mut self.parameters
    }

    /// The steps of an episode of these choices.
    pub(super) fn follow(&self, condition: &[f64], choices: &[u8]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::with_capacity(choices.len());
        for decision in 0..choices.len() {
            let step = self.step(condition, &choices[..decision], steps.last());
            steps.push(step);
        }
        steps
    }

    /// Choices drawn from the controller. A higher temperature makes them more alike: 1 are its own
    /// probabilities.
    pub(super) fn draw(
        &self,
        condition: &[f64],
        temperature: f64,
        rng: &mut ChaCha8Rng,
    ) -> Vec<u8> {
        let mut choices = Vec::with_capacity(self.options.len());
        let mut last = None;
        for _ in &self.options {
            let step = self.step(condition, &choices, last.as_ref());
            choices.push(softmax::draw(&step.log_probabilities, temperature, rng) as u8);
            last = Some(step);
        }
        choices
    }

    /// The step after `before`, where these choices were made.
    fn step(&self, condition: &[f64], before: &[u8], last: Option<&Step>) -> Step {
        let decision = before.len();
        let token = match before.last() {
            None => 0,
            Some(&choice) => {
                1 + self.options[..decision - 1].iter().sum::<usize>() + usize::from(choice)
            }
        };
        let embedding = &self.parameters[token * EMBEDDING..(token + 1) * EMBEDDING];
        let inputs = [embedding, condition].concat();
        let moment = self.cell().step(&self.parameters, &inputs, last.map(|last| &last.moment));
        let logits = self.head(decision).apply(&self.parameters, &moment.output);
        Step { token, moment, log_probabilities: softmax::log_softmax(&logits) }
    }

    /// Adds the gradient of the parameters; `slopes` are those of the logits of each step.
    pub(super) fn back(&self, steps: &[Step], slopes: &[Vec<f64>], gradient: &mut [f64]) {
        let heads = steps.iter().zip(slopes).enumerate();
        let output_slopes: Vec<Vec<f64>> = heads
            .map(|(decision, (step, slopes))| {
                let head = self.head(decision);
                head.back(&self.parameters, &step.moment.output, slopes, gradient)
            })
            .collect();
        let moments: Vec<Moment> = steps.iter().map(|step| step.moment.clone()).collect();
        let inputs = self.cell().back(&self.parameters, &moments, &output_slopes, gradient);
        for (step, inputs) in steps.iter().zip(inputs) {
            let embedding = &mut gradient[step.token * EMBEDDING..(step.token + 1) * EMBEDDING];
            embedding.iter_mut().zip(&inputs).for_each(|(sum, slope)| *sum += slope);
        }
    }

    fn parameter_count(&self) -> usize {
        self.cell().end() + (UNITS + 1) * self.options.iter().sum::<usize>()
    }

    /// After the embeddings of all options and of the start.
    fn cell(&self) -> Lstm {
        let at = (1 + self.options.iter().sum::<usize>()) * EMBEDDING;
        Lstm { at, inputs: EMBEDDING + self.condition, units: UNITS }
    }

    /// Of a decision.
    fn head(&self, decision: usize) -> Affine {
        let before: usize = self.options[..decision].iter().sum();
        let at = self.cell().end() + (UNITS + 1) * before;
        Affine { at, inputs: UNITS, outputs: self.options[decision] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_drawn_as_often_as_their_probability_says() {
        let mut controller = Controller::new(&[2, 3], 1);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        controller.parameters.iter_mut().for_each(|p| *p = rng.random_range(-1.0..1.0));
        let mut seen = [[0.0; 3]; 2];
        for _ in 0..4000 {
            let choices = controller.draw(&[0.5], 1.0, &mut rng);
            seen[usize::from(choices[0])][usize::from(choices[1])] += 1.0 / 4000.0;
        }
        for (first, seen) in (0..).zip(seen) {
            for (second, seen) in (0..).zip(seen) {
                let steps = controller.follow(&[0.5], &[first, second]);
                let log = steps[0].log_probability(first) + steps[1].log_probability(second);
                // Four deviations of a count.
                let p = log.exp();
                assert!((seen - p).abs() < 4.0 * (p / 4000.0).sqrt(), "{seen} {p}");
            }
        }
    }

    #[test]
    fn heat_makes_all_options_alike() {
        let mut controller = Controller::new(&[2], 0);
        let at = controller.parameters.len() - 1;
        controller.parameters[at] = 8.0;
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut firsts = |temperature| {
            (0..400).filter(|_| controller.draw(&[], temperature, &mut rng) == [0]).count()
        };
        assert!(firsts(1.0) < 5);
        assert!((100..300).contains(&firsts(20.0)));
    }
}
