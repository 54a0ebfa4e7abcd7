//! Parts of small networks whose parameters lie in one vector: a layer of LSTM, an affine map.

/// A layer of LSTM.
///
/// # Source
///
/// Hochreiter, Schmidhuber, *Long Short-Term Memory*, 1997, with the forget gate of Gers et al. 2000.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lstm {
    /// Where its parameters begin: weights by input, those of its own output last, then biases.
    pub at: usize,
    /// Numbers that it reads in each step.
    pub inputs: usize,
    /// Numbers that it gives in each step.
    pub units: usize,
}

/// What a step saw, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// What was read, then the output of the step before.
    inputs: Vec<f64>,
    /// Input, forget, candidate, output; after their sigmoid or hyperbolic tangent.
    gates: Vec<f64>,
    cell_before: Vec<f64>,
    cell: Vec<f64>,
    pub output: Vec<f64>,
}

impl Lstm {
    /// Where its parameters end.
    pub(super) const fn end(self) -> usize {
        self.affine().end()
    }

    const fn affine(self) -> Affine {
        Affine { at: self.at, inputs: self.inputs + self.units, outputs: 4 * self.units }
    }

    /// The step after `last`.
    pub(super) fn step(self, parameters: &[f64], read: &[f64], last: Option<&Moment>) -> Moment {
        let units = self.units;
        let nothing = vec![0.0; units];
        let (output, cell_before) =
            last.map_or((&nothing, &nothing), |last| (&last.output, &last.cell));
        let inputs = [read, output].concat();
        let mut gates = self.affine().apply(parameters, &inputs);
        for (at, gate) in gates.iter_mut().enumerate() {
            *gate = if at / units == 2 { gate.tanh() } else { 1.0 / (1.0 + (-*gate).exp()) };
        }
        let cell: Vec<f64> = (0..units)
            .map(|u| gates[units + u] * cell_before[u] + gates[u] * gates[2 * units + u])
            .collect();
        let output = (0..units).map(|u| gates[3 * units + u] * cell[u].tanh()).collect();
        let cell_before = cell_before.clone();
        Moment { inputs, gates, cell_before, cell, output }
    }

    /// Adds the gradient of the parameters; `slopes` are those of the outputs of each step. The slopes
    /// of what each step read.
    pub(super) fn back(
        self,
        parameters: &[f64],
        moments: &[Moment],
        slopes: &[Vec<f64>],
        gradient: &mut [f64],
    ) -> Vec<Vec<f64>> {
        let mut output_slopes = vec![0.0; self.units];
        let mut cell_slopes = vec![0.0; self.units];
        let mut read = Vec::with_capacity(moments.len());
        for (moment, slopes) in moments.iter().zip(slopes).rev() {
            output_slopes.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
            let gate_slopes = self.gate_slopes(moment, &output_slopes, &mut cell_slopes);
            let mut inputs = self.affine().back(parameters, &moment.inputs, &gate_slopes, gradient);
            output_slopes = inputs.split_off(self.inputs);
            read.push(inputs);
        }
        read.reverse();
        read
    }

    /// `cell_slopes` become those of the cell before.
    fn gate_slopes(
        self,
        moment: &Moment,
        output_slopes: &[f64],
        cell_slopes: &mut [f64],
    ) -> Vec<f64> {
        let units = self.units;
        let mut slopes = vec![0.0; 4 * units];
        for u in 0..units {
            let [i, f, g, o] = [0, 1, 2, 3].map(|gate| moment.gates[gate * units + u]);
            let bent = moment.cell[u].tanh();
            let cell_slope = cell_slopes[u] + output_slopes[u] * o * (1.0 - bent * bent);
            slopes[u] = cell_slope * g * i * (1.0 - i);
            slopes[units + u] = cell_slope * moment.cell_before[u] * f * (1.0 - f);
            slopes[2 * units + u] = cell_slope * i * (1.0 - g * g);
            slopes[3 * units + u] = output_slopes[u] * bent * o * (1.0 - o);
            cell_slopes[u] = cell_slope * f;
        }
        slopes
    }
}

/// Sums of weighted inputs, and biases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    /// Where its parameters begin: weights by input, then biases.
    pub at: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Affine {
    /// Where its parameters end.
    pub(super) const fn end(self) -> usize {
        self.at + (self.inputs + 1) * self.outputs
    }

    pub(super) fn apply(self, parameters: &[f64], inputs: &[f64]) -> Vec<f64> {
        let (weights, biases) =
            parameters[self.at..self.end()].split_at(self.inputs * self.outputs);
        let mut sums = biases.to_vec();
        for (input, weights) in inputs.iter().zip(weights.chunks_exact(self.outputs)) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += input * weight);
        }
        sums
    }

    /// Adds the gradient of weights and biases; the slopes of the inputs.
    pub(super) fn back(
        self,
        parameters: &[f64],
        inputs: &[f64],
        slopes: &[f64],
        gradient: &mut [f64],
    ) -> Vec<f64> {
        let weights = parameters[self.at..self.end()].chunks_exact(self.outputs);
        let (gradients, biases) =
            gradient[self.at..self.end()].split_at_mut(self.inputs * self.outputs);
        biases.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
        let each = inputs.iter().zip(weights).zip(gradients.chunks_exact_mut(self.outputs));
        let back = each.map(|((input, weights), gradients)| {
            gradients.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += input * slope);
            weights.iter().zip(slopes).map(|(weight, slope)| weight * slope).sum()
        });
        back.collect()
    }
}
