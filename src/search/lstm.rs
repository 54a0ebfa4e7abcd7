//! A controller: a recurrent network that makes one choice after another.
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// One layer of LSTM and, for each decision, a softmax over its options. A step sees the choice
/// before it, as an embedding, and what the whole episode is about: the condition.
///
/// # Source
///
/// Zoph, Le, *Neural Architecture Search with Reinforcement Learning*, ICLR 2017; the cell is that of
/// Hochreiter, Schmidhuber, *Long Short-Term Memory*, 1997, with the forget gate of Gers et al. 2000.
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
/// Gates: input, forget, candidate, output.
const GATES: usize = 4 * UNITS;

/// What a step saw, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    token: usize,
    /// Embedding, condition and the output of the step before.
    inputs: Vec<f64>,
    /// After their sigmoid or hyperbolic tangent.
    gates: Vec<f64>,
    cell_before: Vec<f64>,
    cell: Vec<f64>,
    output: Vec<f64>,
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
        let first = (0..controller.head_at(options.len()))
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
            let weights: Vec<f64> =
                step.log_probabilities.iter().map(|l| (l / temperature).exp()).collect();
            let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
            let drawn = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            choices.push(drawn.unwrap_or(weights.len() - 1) as u8);
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
        let nothing = [0.0; UNITS];
        let (output, cell_before) =
            last.map_or((&nothing[..], &nothing[..]), |l| (&l.output[..], &l.cell[..]));
        let inputs = [embedding, condition, output].concat();
        let mut gates = self.affine(self.cell_at(), &inputs, GATES);
        for (at, gate) in gates.iter_mut().enumerate() {
            *gate = if at / UNITS == 2 { gate.tanh() } else { 1.0 / (1.0 + (-*gate).exp()) };
        }
        let cell: Vec<f64> = (0..UNITS)
            .map(|u| gates[UNITS + u] * cell_before[u] + gates[u] * gates[2 * UNITS + u])
            .collect();
        let output: Vec<f64> = (0..UNITS).map(|u| gates[3 * UNITS + u] * cell[u].tanh()).collect();
        let logits = self.affine(self.head_at(decision), &output, self.options[decision]);
        let log_probabilities = log_softmax(&logits);
        let cell_before = cell_before.to_vec();
        Step { token, inputs, gates, cell_before, cell, output, log_probabilities }
    }

    /// Adds the gradient of the parameters; `slopes` are those of the logits of each step.
    pub(super) fn back(&self, steps: &[Step], slopes: &[Vec<f64>], gradient: &mut [f64]) {
        let mut output_slopes = vec![0.0; UNITS];
        let mut cell_slopes = vec![0.0; UNITS];
        for (decision, (step, slopes)) in steps.iter().zip(slopes).enumerate().rev() {
            let from_head =
                self.affine_back(self.head_at(decision), &step.output, slopes, gradient);
            let mut gate_slopes = vec![0.0; GATES];
            for u in 0..UNITS {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| step.gates[gate * UNITS + u]);
                let bent = step.cell[u].tanh();
                let output_slope = output_slopes[u] + from_head[u];
                let cell_slope = cell_slopes[u] + output_slope * o * (1.0 - bent * bent);
                gate_slopes[u] = cell_slope * g * i * (1.0 - i);
                gate_slopes[UNITS + u] = cell_slope * step.cell_before[u] * f * (1.0 - f);
                gate_slopes[2 * UNITS + u] = cell_slope * i * (1.0 - g * g);
                gate_slopes[3 * UNITS + u] = output_slope * bent * o * (1.0 - o);
                cell_slopes[u] = cell_slope * f;
            }
            let inputs = self.affine_back(self.cell_at(), &step.inputs, &gate_slopes, gradient);
            let embedding = &mut gradient[step.token * EMBEDDING..(step.token + 1) * EMBEDDING];
            embedding.iter_mut().zip(&inputs).for_each(|(sum, slope)| *sum += slope);
            output_slopes.copy_from_slice(&inputs[EMBEDDING + self.condition..]);
        }
    }

    /// Where the recurrent weights begin: after the embeddings of all options and of the start.
    fn cell_at(&self) -> usize {
        (1 + self.options.iter().sum::<usize>()) * EMBEDDING
    }

    /// Where the weights of a decision begin.
    fn head_at(&self, decision: usize) -> usize {
        let inputs = EMBEDDING + self.condition + UNITS;
        let before: usize = self.options[..decision].iter().sum();
        self.cell_at() + (inputs + 1) * GATES + (UNITS + 1) * before
    }

    /// Weights at a position, by input, then biases.
    fn affine(&self, at: usize, inputs: &[f64], outputs: usize) -> Vec<f64> {
        let (weights, rest) = self.parameters[at..].split_at(inputs.len() * outputs);
        let mut sums = rest[..outputs].to_vec();
        for (input, weights) in inputs.iter().zip(weights.chunks_exact(outputs)) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += input * weight);
        }
        sums
    }

    /// Adds the gradient of weights and biases; the slopes of the inputs.
    fn affine_back(
        &self,
        at: usize,
        inputs: &[f64],
        slopes: &[f64],
        gradient: &mut [f64],
    ) -> Vec<f64> {
        let end = at + inputs.len() * slopes.len();
        let weights = self.parameters[at..end].chunks_exact(slopes.len());
        let (gradients, rest) = gradient[at..].split_at_mut(end - at);
        rest.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
        let each = inputs.iter().zip(weights).zip(gradients.chunks_exact_mut(slopes.len()));
        let back = each.map(|((input, weights), gradients)| {
            gradients.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += input * slope);
            weights.iter().zip(slopes).map(|(weight, slope)| weight * slope).sum()
        });
        back.collect()
    }
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::MIN, f64::max);
    let log_sum = most + logits.iter().map(|l| (l - most).exp()).sum::<f64>().ln();
    logits.iter().map(|l| l - log_sum).collect()
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
