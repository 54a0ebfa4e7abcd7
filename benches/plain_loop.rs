//! tract without us: loads a model as tract's own documentation does, runs it for a time, and prints
//! each run in microseconds: `cargo bench --bench plain_loop -- MODEL.onnx SECONDS`.
//!
//! `benches/bias.py` compares these with what the runner measures.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
use std::time::Duration;
use std::time::Instant;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_hir::infer::DimFact;
use tract_onnx::tract_hir::infer::Factoid;

/// Runs before those that count.
const WARM: usize = 30;

fn main() -> TractResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [model, seconds] = arguments.as_slice() else {
        println!("usage: cargo bench --bench plain_loop -- MODEL.onnx SECONDS");
        return Ok(());
    };
    let model = onnx().model_for_path(model)?;
    let inputs = inputs(&model)?;
    let model = with_facts(model, &inputs)?.into_optimized()?.into_runnable()?;
    for _ in 0..WARM {
        model.run(inputs.clone())?;
    }
    let until = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    let mut runs_us = Vec::new();
    while Instant::now() < until {
        let start = Instant::now();
        let outputs = model.run(inputs.clone())?;
        runs_us.push(start.elapsed().as_nanos() as f64 / 1e3);
        drop(outputs);
    }
    for us in runs_us {
        println!("{us}");
    }
    Ok(())
}

/// The runner's inputs: the golden-ratio sequence, open dimensions as 1.
fn inputs(model: &InferenceModel) -> TractResult<TVec<TValue>> {
    let outlets = model.input_outlets()?.to_vec();
    let tensor = |outlet: OutletId| {
        let fact = model.outlet_fact(outlet)?;
        let dim = |d: &DimFact| d.concretize().and_then(|d| d.to_usize().ok()).unwrap_or(1);
        let shape: Vec<usize> = fact.shape.dims().map(dim).collect();
        let datum = fact.datum_type.concretize().unwrap_or(DatumType::F32);
        let fraction = |i: usize| (i as f64 * 0.618_033_988_749_895).fract();
        let value = |i| if datum.is_float() { fraction(i) } else { (2.0 * fraction(i)).floor() };
        let values: Vec<f64> = (0..shape.iter().product()).map(value).collect();
        Ok(Tensor::from_shape(&shape, &values)?.cast_to_dt(datum)?.into_owned().into_tvalue())
    };
    outlets.into_iter().map(tensor).collect()
}

fn with_facts(mut model: InferenceModel, inputs: &[TValue]) -> TractResult<InferenceModel> {
    for (i, input) in inputs.iter().enumerate() {
        model.set_input_fact(i, InferenceFact::dt_shape(input.datum_type(), input.shape()))?;
    }
    Ok(model)
}
