//! tract, compiled in.
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::internal::multithread::Executor;
use tract_onnx::tract_core::runtime::RunOptions;
use tract_onnx::tract_hir::infer::Factoid;

use super::inputs::Element;
use super::inputs::Fill;
use super::inputs::InputSpec;
use super::inputs::TensorData;
use super::inputs::finite;
use super::protocol::OpTime;
use super::runtime::Loaded;
use super::runtime::Runtime;
use super::runtime::RuntimeError;
use super::runtime::Source;
use super::scan;
use crate::stats::median;

/// Version of the crate this agent was built with, as in `Cargo.lock`.
const VERSION: &str = "0.23.9";

/// The runtime that is always there.
pub struct Tract;

struct TractModel {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<InputSpec>,
    outputs: Vec<String>,
    threads: usize,
    prepared: TVec<TValue>,
    computed: TVec<TValue>,
}

impl Runtime for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn check(&self, model: Source<'_>) -> Result<(), RuntimeError> {
        scan::check(model)
    }

    fn per_op(
        &self,
        model: Source<'_>,
        threads: usize,
        runs: u32,
    ) -> Result<Vec<OpTime>, RuntimeError> {
        let mut model = load(model, threads)?;
        model.prepare(Fill::Scattered.tensors(&model.inputs)?)?;
        let mut state = model.plan.spawn().map_err(|e| failed("profile", &e))?;
        let nodes = &model.plan.model().nodes;
        let mut times_us = vec![Vec::new(); nodes.len()];
        for run in 0..2 * runs {
            let timed =
                state.run_plan_with_eval(model.prepared.clone(), |ctx, own, node, inputs| {
                    let start = Instant::now();
                    let outputs = tract_onnx::tract_core::plan::eval(ctx, own, node, inputs);
                    if run >= runs {
                        times_us[node.id].push(start.elapsed().as_secs_f64() * 1e6);
                    }
                    outputs
                });
            timed.map_err(|e| failed("profile", &e))?;
        }
        let op_time = |(node, times): (&TypedNode, &Vec<f64>)| {
            let (name, op) = (node.name.clone(), node.op().name().to_string());
            Some(OpTime { name, op, provider: None, us: median(times)? })
        };
        Ok(nodes.iter().zip(&times_us).filter_map(op_time).collect())
    }

    fn load(&self, model: Source<'_>, threads: usize) -> Result<Box<dyn Loaded>, RuntimeError> {
        Ok(Box::new(load(model, threads)?))
    }
}

fn load(model: Source<'_>, threads: usize) -> Result<TractModel, RuntimeError> {
    let proto = proto(model)?;
    let operators = operators(&proto);
    let model = read(proto)?;
    let inputs = specs(&model)?;
    let outputs = names_of_outputs(&model);
    let model = fixed(model, &inputs).map_err(|e| match lacking(operators).as_str() {
        "" => failed("load", &e),
        lacking => failed("load", format!("it has no operator {lacking}")),
    })?;
    let options = RunOptions { executor: Some(executor(threads)), ..RunOptions::default() };
    let plan = model.into_runnable_with_options(&options).map_err(|e| failed("load", &e))?;
    let (prepared, computed) = (tvec!(), tvec!());
    Ok(TractModel { plan, inputs, outputs, threads, prepared, computed })
}

impl Loaded for TractModel {
    fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn caller_waits(&self) -> bool {
        self.threads > 1
    }

    fn prepare(&mut self, inputs: Vec<TensorData>) -> Result<(), RuntimeError> {
        let tensors = inputs.iter().map(tensor).collect::<Result<TVec<_>, _>>();
        self.prepared = tensors.map_err(|e| failed("run", &e))?;
        Ok(())
    }

    fn run(&mut self) -> Result<Duration, RuntimeError> {
        let inputs = self.prepared.clone();
        self.computed.clear();
        let start = Instant::now();
        let outputs = self.plan.run(black_box(inputs));
        let duration = start.elapsed();
        self.computed = black_box(outputs).map_err(|e| failed("run", &e))?;
        Ok(duration)
    }

    fn outputs(&mut self) -> Result<Vec<TensorData>, RuntimeError> {
        self.outputs.iter().zip(&self.computed).map(|(name, value)| data(name, value)).collect()
    }
}

/// A pool of `threads`; one thread runs without any pool.
fn executor(threads: usize) -> Executor {
    match threads {
        0 | 1 => Executor::SingleThread,
        n => Executor::multithread(n),
    }
}

fn proto(model: Source<'_>) -> Result<ModelProto, RuntimeError> {
    let mut reader: Box<dyn Read> = match model {
        Source::File(path) => Box::new(File::open(path)?),
        Source::Bytes(bytes) => Box::new(bytes),
    };
    onnx().proto_model_for_read(&mut reader).map_err(|e| failed("read", &e))
}

/// Operators that the model uses.
fn operators(proto: &ModelProto) -> BTreeSet<String> {
    let nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    nodes.map(|node| node.op_type.clone()).collect()
}

/// Those that tract does not have, all of them, for a person.
fn lacking(operators: BTreeSet<String>) -> String {
    let known = onnx().op_register.0;
    let lacking = operators.iter().filter(|name| !known.contains_key(*name));
    lacking.map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
}

fn read(proto: ModelProto) -> Result<InferenceModel, RuntimeError> {
    let parsed = onnx().parse(&proto, None).map_err(|e| failed("load", &e))?;
    match parsed.unresolved_inputs.first() {
        None => Ok(parsed.model),
        Some(name) => Err(failed("load", format!("nothing computes `{name}`"))),
    }
}

/// Inputs as the model declares them, open dimensions as 1.
fn specs(model: &InferenceModel) -> Result<Vec<InputSpec>, RuntimeError> {
    let outlets = model.input_outlets().map_err(|e| failed("load", &e))?;
    outlets
        .iter()
        .map(|outlet| {
            let name = model.node(outlet.node).name.clone();
            let fact = model.outlet_fact(*outlet).map_err(|e| failed("load", &e))?;
            let element = match fact.datum_type.concretize() {
                Some(datum) => element(&name, datum)?,
                None => return Err(failed("load", format!("input `{name}` has no type"))),
            };
            let dims = fact
                .shape
                .dims()
                .map(|d| d.concretize().and_then(|d| d.to_usize().ok()).unwrap_or(1));
            Ok(InputSpec { shape: dims.collect(), name, element })
        })
        .collect()
}

fn names_of_outputs(model: &InferenceModel) -> Vec<String> {
    let outlets = model.output_outlets().unwrap_or_default();
    let name = |o: &OutletId| match model.outlet_label(*o) {
        Some(label) => label.to_owned(),
        None => model.node(o.node).name.clone(),
    };
    outlets.iter().map(name).collect()
}

/// The model for exactly these inputs, optimised.
fn fixed(mut model: InferenceModel, inputs: &[InputSpec]) -> TractResult<TypedModel> {
    for (i, input) in inputs.iter().enumerate() {
        let fact = InferenceFact::dt_shape(datum(input.element), &input.shape);
        model.set_input_fact(i, fact)?;
    }
    model.into_optimized()
}

fn datum(element: Element) -> DatumType {
    match element {
        Element::F32 => DatumType::F32,
        Element::F64 => DatumType::F64,
        Element::I8 => DatumType::I8,
        Element::I16 => DatumType::I16,
        Element::I32 => DatumType::I32,
        Element::I64 => DatumType::I64,
        Element::U8 => DatumType::U8,
        Element::U16 => DatumType::U16,
        Element::U32 => DatumType::U32,
        Element::U64 => DatumType::U64,
        Element::Bool => DatumType::Bool,
    }
}

fn element(name: &str, datum: DatumType) -> Result<Element, RuntimeError> {
    Ok(match datum.unquantized() {
        DatumType::F32 => Element::F32,
        DatumType::F64 => Element::F64,
        DatumType::I8 => Element::I8,
        DatumType::I16 => Element::I16,
        DatumType::I32 => Element::I32,
        DatumType::I64 => Element::I64,
        DatumType::U8 => Element::U8,
        DatumType::U16 => Element::U16,
        DatumType::U32 => Element::U32,
        DatumType::U64 => Element::U64,
        DatumType::Bool => Element::Bool,
        other => {
            let element = format!("{other:?}");
            return Err(RuntimeError::Element { name: name.to_owned(), element });
        }
    })
}

fn tensor(data: &TensorData) -> TractResult<TValue> {
    let values: Vec<f64> = data.values.iter().map(|v| v.unwrap_or(f64::NAN)).collect();
    let tensor = Tensor::from_shape(&data.shape, &values)?;
    Ok(tensor.cast_to_dt(datum(data.element))?.into_owned().into_tvalue())
}

fn data(name: &str, value: &TValue) -> Result<TensorData, RuntimeError> {
    let element = element(name, value.datum_type())?;
    let values = value.cast_to::<f64>().map_err(|e| failed("run", &e))?;
    let values = values.to_plain_array_view::<f64>().map_err(|e| failed("run", &e))?;
    let (name, shape) = (name.to_owned(), value.shape().to_vec());
    Ok(TensorData { name, element, shape, values: values.iter().map(|v| finite(*v)).collect() })
}

/// The whole chain of causes in one line; `{:#}` is what tract's errors offer for it.
fn failed(doing: &'static str, error: impl Display) -> RuntimeError {
    RuntimeError::Model { runtime: "tract", doing, reason: format!("{error:#}") }
}
