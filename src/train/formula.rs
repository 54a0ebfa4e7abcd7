//! A trainer that computes nothing: error from structure, by a formula.

use crate::data::DataSet;
use crate::data::Samples;
use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Observed;
use crate::graph::Tensor;
use crate::units::Bytes;
use crate::units::Fraction;

use super::Epoch;
use super::Evaluation;
use super::TrainError;
use super::TrainPlan;
use super::TrainReport;
use super::Trainer;
use super::Watch;

/// A trainer for tests and for measuring everything around training.
///
/// The error of a network is `0.9 / (1 + ln(1 + MACs / 1000) · ln(1 + parameters / 100) / 8)`,
/// moved by at most 2 % by the identity of its architecture: larger is better, with diminishing
/// returns, and no two structures are equal. Training returns the network as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Formula;

impl Formula {
    /// The error of every network of this structure.
    pub fn error(graph: &Graph) -> Fraction {
        let cost = graph.cost();
        let work = (1.0 + cost.macs.0 as f64 / 1e3).ln();
        let size = (1.0 + cost.parameters as f64 / 1e2).ln();
        let luck = 0.98 + 0.04 * share(graph);
        Fraction(0.9 / (1.0 + work * size / 8.0) * luck)
    }
}

/// A number in `0..1` that depends on the structure alone.
fn share(graph: &Graph) -> f64 {
    let id = graph.arch_id().to_string();
    let digits = u32::from_str_radix(&id[..8], 16).expect("an id is hexadecimal");
    f64::from(digits) / f64::from(u32::MAX)
}

impl Trainer for Formula {
    fn name(&self) -> &str {
        "formula"
    }

    /// Nothing is held.
    fn peak_memory(&self, _: &Graph, _: usize) -> Bytes {
        Bytes(0)
    }

    fn reads_weights(&self) -> bool {
        false
    }

    /// The error falls from twice its final value to it, by the same amount each epoch.
    fn train(
        &self,
        network: &Network,
        _: &DataSet,
        plan: &TrainPlan,
        watch: &mut dyn FnMut(&Epoch) -> Watch,
    ) -> Result<(Network, TrainReport), TrainError> {
        let last = Formula::error(&network.graph).0;
        let mut report = TrainReport { curve: Vec::new(), stopped: false };
        for epoch in 1..=plan.epochs {
            let left = f64::from(plan.epochs - epoch) / f64::from(plan.epochs);
            let error = (last * (1.0 + left)).min(1.0);
            let (train_loss, validation_loss) = (error, error);
            let validation_error = Fraction(error);
            let entry = Epoch { epoch, train_loss, validation_error, validation_loss };
            report.curve.push(entry);
            if watch(&entry) == Watch::Stop {
                report.stopped = true;
                break;
            }
        }
        Ok((network.clone(), report))
    }

    fn evaluate(&self, network: &Network, samples: &Samples) -> Result<Evaluation, TrainError> {
        let error = Formula::error(&network.graph);
        Ok(Evaluation { error, loss: error.0, samples: samples.len() })
    }

    /// Standard statistics: mean 0, variance 1; all values are 0.
    fn observe(
        &self,
        network: &Network,
        samples: &Samples,
        nodes: &[NodeId],
    ) -> Result<Activations, TrainError> {
        let shapes = network.graph.shapes().expect("G3: shapes agree");
        let mut activations = Activations::default();
        for &node in nodes {
            let channels = shapes[&node].channels();
            let mut dims = vec![samples.len()];
            dims.extend(shapes[&node].dims());
            let observed = Observed {
                mean: vec![0.0; channels],
                variance: vec![1.0; channels],
                values: Tensor::zeros(&dims),
            };
            activations.nodes.insert(node, observed);
        }
        Ok(activations)
    }

    fn recalibrate(&self, network: &Network, _: &Samples) -> Result<Network, TrainError> {
        Ok(network.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Conv;
    use crate::graph::Linear;
    use crate::graph::Op;

    fn graph(channels: usize) -> Graph {
        let mut graph = Graph::new([1, 8, 8]);
        let at = graph.push(Op::Conv(Conv::same(channels, 3)), &[graph.input()]);
        let at = graph.push(Op::GlobalAveragePool, &[at]);
        let at = graph.push(Op::Flatten, &[at]);
        graph.push(Op::Linear(Linear { features: 10, bias: true }), &[at]);
        graph
    }

    #[test]
    fn larger_networks_err_less_and_equal_structures_alike() {
        let errors: Vec<f64> = [2, 8, 32, 128].map(|c| Formula::error(&graph(c)).0).to_vec();
        assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");
        assert!(errors.iter().all(|e| (0.0..1.0).contains(e)));
        assert_eq!(errors[1], Formula::error(&graph(8)).0);
    }
}
