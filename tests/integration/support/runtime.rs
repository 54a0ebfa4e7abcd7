//! Models in a runtime: a way to outputs that shares no code with the reference evaluator.
use citronade::graph::Network;
use citronade::onnx::ExportOptions;
use citronade::onnx::export;
use tract_onnx::prelude::*;

/// The model as tract reads it.
pub fn tract_model(model: &[u8]) -> InferenceModel {
    let mut bytes = model;
    tract_onnx::onnx().model_for_read(&mut bytes).unwrap()
}

/// Outputs of the model for images `shape`, `[N, C, H, W]`.
pub fn tract_outputs(model: &[u8], shape: [usize; 4], values: &[f32]) -> Vec<f32> {
    let model = tract_model(model).with_input_fact(0, f32::fact(shape).into()).unwrap();
    let model = model.into_optimized().unwrap().into_runnable().unwrap();
    let input = Tensor::from_shape(&shape, values).unwrap();
    let outputs = model.run(tvec!(input.into())).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

/// Outputs of the network for one image, as exported and run by tract.
pub fn exported_outputs(network: &Network, image: &[f32]) -> Vec<f32> {
    let [c, h, w] = network.graph.input_shape();
    tract_outputs(&export(network, &ExportOptions::default()), [1, c, h, w], image)
}
