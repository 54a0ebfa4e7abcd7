//! What a trainer's forward pass would hand to a morphism, by reference evaluation.
use citronade::graph::*;
/// Values of `nodes` and their moments over `samples`.
pub fn observe_samples(network: &Network, nodes: &[NodeId], samples: &[Vec<f32>]) -> Activations {
    let shapes = network.graph.shapes().unwrap();
    let mut activations = Activations::default();
    if nodes.is_empty() {
        return activations;
    }
    let passes: Vec<_> = samples.iter().map(|sample| eval_all(network, sample)).collect();
    for &node in nodes {
        let values: Vec<f32> = passes.iter().flat_map(|pass| pass[&node].clone()).collect();
        let shape = [&[samples.len()], &shapes[&node].dims()[..]].concat();
        let values = Tensor::new(&shape, values);
        activations.nodes.insert(node, observed(values));
    }
    activations
}

fn observed(values: Tensor) -> Observed {
    let (channels, per_sample) = (values.shape[1], values.shape[1..].iter().product::<usize>());
    let area = per_sample / channels;
    let moments = |c: usize| {
        let own: Vec<f64> = values
            .data
            .chunks(per_sample)
            .flat_map(|sample| &sample[c * area..(c + 1) * area])
            .map(|&x| f64::from(x))
            .collect();
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        let variance = own.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / own.len() as f64;
        (mean as f32, variance as f32)
    };
    let (mean, variance) = (0..channels).map(moments).unzip();
    Observed { mean, variance, values }
}
