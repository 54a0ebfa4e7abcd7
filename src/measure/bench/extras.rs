//! What else can be asked of a device about a model: its operations, and what it computes.
use std::path::Path;

use crate::agent::Answer;
use crate::agent::Fill;
use crate::agent::OpTime;
use crate::agent::Outputs;
use crate::agent::PerOpRequest;
use crate::agent::RunRequest;
use crate::agent::Task;
use crate::agent::TensorData;

use crate::graph::Network;
use crate::graph::eval;

use crate::measure::plausible;

use super::Bench;
use super::Level;
use super::MeasureError;
use super::Plan;
use super::launch::unexpected;
use super::read;
use crate::measure::Agreement;

/// Runs that count when operations are timed.
const RUNS_PER_OP: u32 = 20;

impl Bench {
    /// Times each operation of `model`, the slowest first. Looking costs time of its own: not for
    /// comparing models.
    ///
    /// # Errors
    ///
    /// As for [`measure`](Self::measure).
    pub fn per_op(&self, model: &Path) -> Result<Vec<OpTime>, MeasureError> {
        let (file, plan) = (read(model)?, Plan::of(Level::Screen));
        let visit = self.visit(model, &file, &plan)?;
        let request = PerOpRequest {
            model: visit.placed,
            runtime: self.runtime.name.clone(),
            library: self.runtime.library.clone(),
            threads: self.threads,
            runs: RUNS_PER_OP,
        };
        match self.ask(Task::PerOp(request), plan.timeout, &file.path)? {
            Answer::PerOp(ops) => {
                let most_us = plan.timeout.as_secs_f64() * 1e6;
                self.believe(&file.path, plausible::ensure_possible_ops(&ops, most_us))?;
                Ok(ops)
            }
            other => Err(unexpected(&*self.transport, &file.path, &other)),
        }
    }

    /// Runs `model` once here and there, on the same inputs.
    ///
    /// # Errors
    ///
    /// As for [`measure`](Self::measure), and if one of the two cannot run it.
    pub fn compare(&self, model: &Path, here: &Bench) -> Result<Agreement, MeasureError> {
        let reference = here.runtime.version.as_deref().unwrap_or_default();
        let reference =
            format!("{} {reference} on {}", here.runtime.name, here.transport.address());
        let [expected, found] = [here.outputs(model)?, self.outputs(model)?];
        Ok(Agreement::of(reference, &expected, &found))
    }

    /// Runs `model`, the exported file of `network`, once there, and compares with what the network
    /// computes by plain loops: no library had a part in the reference. The first sample of a batch
    /// counts.
    ///
    /// # Errors
    ///
    /// As for [`measure`](Self::measure).
    ///
    /// # Panics
    ///
    /// If the network is not valid.
    pub fn compare_with(&self, model: &Path, network: &Network) -> Result<Agreement, MeasureError> {
        let mut found = self.outputs(model)?;
        let inputs = Fill::Scattered.tensors(&found.inputs);
        let sample: Vec<f32> = inputs
            .iter()
            .flatten()
            .take(1)
            .flat_map(|t| &t.values)
            .copied()
            .map(|v| v.unwrap_or(f64::NAN) as f32)
            .collect();
        // What reads another number of values is not this network.
        let is_it = sample.len() == network.graph.input_shape().iter().product::<usize>();
        let computed = if is_it { eval(network, &sample) } else { Vec::new() };
        let expected: Vec<_> =
            computed.into_iter().map(|v| Some(f64::from(v)).filter(|v| v.is_finite())).collect();
        found.tensors.truncate(1);
        let tensors =
            found.tensors.iter().map(|t| TensorData { values: expected.clone(), ..t.clone() });
        let expected = Outputs { tensors: tensors.collect(), ..found.clone() };
        Ok(Agreement::of("citronade's plain loops".to_owned(), &expected, &found))
    }

    fn outputs(&self, model: &Path) -> Result<Outputs, MeasureError> {
        let (file, plan) = (read(model)?, Plan::of(Level::Screen));
        let visit = self.visit(model, &file, &plan)?;
        let request = RunRequest {
            model: visit.placed,
            runtime: self.runtime.name.clone(),
            library: self.runtime.library.clone(),
            threads: self.threads,
            fill: Fill::Scattered,
        };
        match self.ask(Task::Run(request), plan.timeout, &file.path)? {
            Answer::Outputs(outputs) => {
                self.believe(&file.path, plausible::ensure_possible_outputs(&outputs))?;
                Ok(outputs)
            }
            other => Err(unexpected(&*self.transport, &file.path, &other)),
        }
    }
}
