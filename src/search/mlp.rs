//! A small fully connected network for one number, and an ensemble of them.
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::adam::Adam;
use super::forest::Belief;

/// How a network is built and trained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Training {
    /// Hidden layers.
    pub layers: usize,
    /// Units in each of them.
    pub width: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// Most steps: with many rows there are fewer passes.
    pub steps: usize,
    /// Rows in a step.
    pub batch: usize,
    /// Learning rate of Adam.
    pub rate: f64,
}

/// Layers with ReLU between them; the last has one unit.
///
/// Plain loops in a fixed order: the same rows and the same generator give the same network on every
/// machine.
#[derive(Clone, Debug)]
struct Mlp {
    /// Units of each layer, the inputs first.
    widths: Vec<usize>,
    /// Of each layer the weights, by input, then the biases.
    parameters: Vec<f64>,
}

impl Mlp {
    /// Weights of Glorot and Bengio (2010), as in the reference code of BANANAS; no biases.
    fn new(inputs: usize, training: &Training, rng: &mut ChaCha8Rng) -> Mlp {
        let mut widths = vec![inputs];
        widths.extend(vec![training.width; training.layers]);
        widths.push(1);
        let mut parameters = Vec::new();
        for pair in widths.windows(2) {
            let limit = (6.0 / (pair[0] + pair[1]) as f64).sqrt();
            parameters.extend((0..pair[0] * pair[1]).map(|_| rng.random_range(-limit..=limit)));
            parameters.extend(vec![0.0; pair[1]]);
        }
        Mlp { widths, parameters }
    }

    /// Trained to the least mean absolute error.
    fn fit(rows: &[Vec<f64>], targets: &[f64], training: &Training, rng: &mut ChaCha8Rng) -> Mlp {
        let mut mlp = Mlp::new(rows[0].len(), training, rng);
        let mut adam = Adam::new(training.rate, mlp.parameters.len());
        let mut gradient = vec![0.0; mlp.parameters.len()];
        let mut tape = mlp.tape();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let steps_of_epoch = rows.len().div_ceil(training.batch);
        for _ in 0..training.epochs.min(training.steps.div_ceil(steps_of_epoch)) {
            order.shuffle(rng);
            for batch in order.chunks(training.batch) {
                gradient.fill(0.0);
                let share = 1.0 / batch.len() as f64;
                for &row in batch {
                    let miss = mlp.forward(&rows[row], &mut tape) - targets[row];
                    if miss != 0.0 {
                        mlp.backward(&mut tape, share * miss.signum(), &mut gradient);
                    }
                }
                adam.step(&mut mlp.parameters, &gradient);
            }
        }
        mlp
    }

    /// Room for the outputs of all layers.
    fn tape(&self) -> Vec<Vec<f64>> {
        self.widths.iter().map(|&width| vec![0.0; width]).collect()
    }

    /// Leaves what each layer puts out on the tape.
    fn forward(&self, row: &[f64], tape: &mut [Vec<f64>]) -> f64 {
        tape[0].copy_from_slice(row);
        let mut parameters = &self.parameters[..];
        let last = tape.len() - 2;
        for layer in 0..=last {
            let (before, after) = tape.split_at_mut(layer + 1);
            let (inputs, outputs) = (&before[layer], &mut after[0]);
            let (weights, rest) = parameters.split_at(inputs.len() * outputs.len());
            let (biases, rest) = rest.split_at(outputs.len());
            outputs.copy_from_slice(biases);
            for (&input, weights) in inputs.iter().zip(weights.chunks_exact(outputs.len())) {
                // Bits of features and units behind a ReLU are often zero.
                if input != 0.0 {
                    add(outputs, input, weights);
                }
            }
            if layer < last {
                outputs.iter_mut().for_each(|output| *output = output.max(0.0));
            }
            parameters = rest;
        }
        tape[last + 1][0]
    }

    /// Adds the gradient of the parameters, `slope` being that of the output. Uses the tape up.
    fn backward(&self, tape: &mut [Vec<f64>], slope: f64, gradient: &mut [f64]) {
        let mut end = self.parameters.len();
        tape[self.widths.len() - 1][0] = slope;
        for layer in (0..self.widths.len() - 1).rev() {
            let (before, after) = tape.split_at_mut(layer + 1);
            let (inputs, slopes) = (&mut before[layer], &after[0]);
            let weights_end = end - slopes.len();
            let start = weights_end - inputs.len() * slopes.len();
            add(&mut gradient[weights_end..end], 1.0, slopes);
            let weights = self.parameters[start..weights_end].chunks_exact(slopes.len());
            let gradients = gradient[start..weights_end].chunks_exact_mut(slopes.len());
            for ((input, weights), gradients) in inputs.iter_mut().zip(weights).zip(gradients) {
                // What is zero behind a ReLU passes no slope on.
                if *input != 0.0 {
                    add(gradients, *input, slopes);
                    *input = weights.iter().zip(slopes).map(|(w, s)| w * s).sum();
                }
            }
            end = start;
        }
    }
}

/// `sums += factor * terms`
fn add(sums: &mut [f64], factor: f64, terms: &[f64]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += factor * term;
    }
}

/// Networks that differ in their first weights and in the order of their rows.
#[derive(Clone, Debug)]
pub(super) struct Ensemble {
    columns: Vec<Axis>,
    target: Axis,
    members: Vec<Mlp>,
}

/// Where a quantity is put for a network.
#[derive(Clone, Copy, Debug)]
struct Axis {
    origin: f64,
    unit: f64,
}

impl Ensemble {
    /// Columns of the rows are scaled to 0 to 1, so bits remain bits; the targets to mean 0 and
    /// deviation 1.
    ///
    /// # Panics
    ///
    /// If there is no row, or not one target for each.
    pub(super) fn fit(
        rows: &[Vec<f64>],
        targets: &[f64],
        members: usize,
        training: &Training,
        rng: &mut ChaCha8Rng,
    ) -> Ensemble {
        assert_eq!(rows.len(), targets.len(), "a target for each row");
        let columns: Vec<Axis> = (0..rows[0].len()).map(|c| Axis::spanning(rows, c)).collect();
        let target = Axis::standard(targets);
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| placed(row, &columns)).collect();
        let targets: Vec<f64> = targets.iter().map(|&t| target.place(t)).collect();
        let members = (0..members).map(|_| Mlp::fit(&rows, &targets, training, rng));
        Ensemble { columns, target, members: members.collect() }
    }

    /// Mean and deviation of what the members say.
    pub(super) fn predict(&self, row: &[f64]) -> Belief {
        let row = placed(row, &self.columns);
        let said: Vec<f64> =
            self.members.iter().map(|mlp| mlp.forward(&row, &mut mlp.tape())).collect();
        let n = said.len() as f64;
        let mean = said.iter().sum::<f64>() / n;
        let variance = said.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        Belief {
            mean: self.target.origin + self.target.unit * mean,
            deviation: self.target.unit * variance.sqrt(),
        }
    }
}

fn placed(row: &[f64], columns: &[Axis]) -> Vec<f64> {
    row.iter().zip(columns).map(|(&x, axis)| axis.place(x)).collect()
}

impl Axis {
    /// From the least of a column to its largest; a column that is always the same keeps its unit.
    fn spanning(rows: &[Vec<f64>], column: usize) -> Axis {
        let values = || rows.iter().map(|row| row[column]);
        let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
        Axis { origin: least, unit: if most > least { most - least } else { 1.0 } }
    }

    fn standard(values: &[f64]) -> Axis {
        let n = values.len() as f64;
        let origin = values.iter().sum::<f64>() / n;
        let unit = (values.iter().map(|v| (v - origin).powi(2)).sum::<f64>() / n).sqrt();
        Axis { origin, unit: if unit > 0.0 { unit } else { 1.0 } }
    }

    fn place(self, value: f64) -> f64 {
        (value - self.origin) / self.unit
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const TRAINING: Training =
        Training { layers: 3, width: 20, epochs: 150, steps: 1500, batch: 32, rate: 0.01 };

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut mlp = Mlp::new(5, &TRAINING, &mut rng);
        mlp.parameters.iter_mut().for_each(|p| *p += rng.random_range(-0.1..0.1));
        let row = [0.5, 0.0, -1.0, 2.0, 1.0];
        let mut tape = mlp.tape();
        mlp.forward(&row, &mut tape);
        let mut found = vec![0.0; mlp.parameters.len()];
        mlp.backward(&mut tape, 3.0, &mut found);
        assert!(found.iter().filter(|slope| **slope != 0.0).count() > found.len() / 4);
        for (at, slope) in found.iter().enumerate() {
            let mut moved = |by: f64| {
                mlp.parameters[at] += by;
                let output = 3.0 * mlp.forward(&row, &mut mlp.tape());
                mlp.parameters[at] -= by;
                output
            };
            let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - expected).abs() < 1e-6, "{at}: {slope} {expected}");
        }
    }

    /// Rows of bits, and a number that depends on them and on two together.
    fn bits(seed: u64, n: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let row = |_| (0..8).map(|_| f64::from(u8::from(rng.random::<bool>()))).collect();
        let rows: Vec<Vec<f64>> = (0..n).map(row).collect();
        let target = |r: &Vec<f64>| 200.0 + 10.0 * r[0] - 20.0 * r[1] + 15.0 * r[2] * r[3];
        let targets = rows.iter().map(target).collect();
        (rows, targets)
    }

    fn ensemble(seed: u64) -> Ensemble {
        let (rows, targets) = bits(1, 100);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Ensemble::fit(&rows, &targets, 5, &TRAINING, &mut rng)
    }

    #[test]
    fn an_easy_function_is_learnt_from_examples() {
        let ensemble = ensemble(1);
        let (rows, targets) = bits(2, 60);
        let misses = rows.iter().zip(&targets).map(|(r, t)| (ensemble.predict(r).mean - t).abs());
        let mean_miss = misses.sum::<f64>() / 60.0;
        // Always the mean would miss by 10.
        assert!(mean_miss < 2.0, "{mean_miss}");
    }

    #[test]
    fn it_is_less_sure_of_what_it_has_not_seen() {
        let ensemble = ensemble(1);
        let (seen, _) = bits(1, 100);
        let usual = seen.iter().map(|r| ensemble.predict(r).deviation).sum::<f64>() / 100.0;
        let strange = ensemble.predict(&[4.0; 8]).deviation;
        assert!(strange > 3.0 * usual, "{strange} {usual}");
    }

    #[test]
    fn the_same_generator_gives_the_same_networks() {
        let row = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(ensemble(1).predict(&row), ensemble(1).predict(&row));
        assert_ne!(ensemble(1).predict(&row), ensemble(2).predict(&row));
    }

    #[test]
    fn one_row_and_equal_targets_are_no_trouble() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows = vec![vec![1.0, 2.0]];
        let belief = Ensemble::fit(&rows, &[7.0], 5, &TRAINING, &mut rng).predict(&[1.0, 2.0]);
        assert!((belief.mean - 7.0).abs() < 0.5 && belief.deviation.is_finite(), "{belief:?}");
    }
}
