//! ONNX Runtime, loaded from a library file when it is asked for.
use std::collections::HashMap;
use std::fmt::Display;
use std::hint::black_box;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::SessionInputValue;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::DynValue;
use ort::value::Outlet;
use ort::value::PrimitiveTensorElementType;
use ort::value::Tensor;
use ort::value::TensorElementType;
use ort::value::ValueType;

use serde::Deserialize;

use super::assignment;
use super::inputs::Element;
use super::inputs::Fill;
use super::inputs::InputSpec;
use super::inputs::TensorData;
use super::inputs::finite;
use super::protocol::OpTime;
use super::protocol::ProviderShare;
use super::provider;
use super::runtime::Loaded;
use super::runtime::Runtime;
use super::runtime::RuntimeError;
use super::runtime::Source;
use super::sandbox;
use super::scan;
use crate::stats::median;

/// ONNX Runtime with one execution provider; what that cannot do, the CPU does.
///
/// Default settings but for the thread count: all graph optimisations, arena and memory pattern
/// on, as an app gets them.
pub struct OnnxRuntime {
    environment: Environment,
    version: String,
    provider: String,
}

struct OrtModel {
    session: Session,
    inputs: Vec<InputSpec>,
    threads: usize,
    prepared: Vec<DynValue>,
    computed: Vec<(String, DynValue)>,
}

impl OnnxRuntime {
    /// Loads the library. A process can load one only: later calls return the first.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Missing`] if the file is not there, not an ONNX Runtime, too old, or built
    /// without `provider`.
    pub fn open(library: &Path, provider: &str) -> Result<Self, RuntimeError> {
        let missing = |reason: String| RuntimeError::Missing {
            reason: format!(
                "ONNX Runtime cannot be loaded: {reason}; point ORT_DYLIB_PATH to a \
                 libonnxruntime of version 1.{} or newer",
                ort::MINOR_VERSION
            ),
        };
        let environment = environment(library).map_err(missing)?;
        let version = version_of(library, ort::info());
        let available = provider::available();
        if !available.iter().any(|name| name == provider) {
            let reason = format!(
                "this ONNX Runtime {version} has no execution provider `{provider}`; it has {}",
                available.join(", ")
            );
            return Err(RuntimeError::Missing { reason });
        }
        Ok(OnnxRuntime { environment, version, provider: provider.to_owned() })
    }

    /// With a profile that is written to files beginning with `profile` when the session ends it.
    fn session(
        &self,
        model: Source<'_>,
        threads: usize,
        profile: Option<&Path>,
    ) -> ort::Result<Session> {
        let builder = Session::builder(&self.environment)?;
        let builder = builder.with_optimization_level(GraphOptimizationLevel::All)?;
        let provider = provider::dispatch(&self.provider, threads);
        // XNNPACK has threads of its own; those of the session would only be in their way.
        let own = if self.provider == "xnnpack" { 1 } else { threads.max(1) };
        let builder = builder.with_intra_threads(own)?;
        let builder = builder.with_execution_providers(provider.as_slice())?;
        let builder = builder.with_config_entry(assignment::RECORD, "1")?;
        let mut builder = builder.with_inter_threads(1)?;
        if let Some(profile) = profile {
            builder = builder.with_profiling(profile)?;
        }
        match model {
            Source::File(path) => builder.commit_from_file(path),
            Source::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
    }
}

/// That of this process; the library allows one, so it is made once and kept.
fn environment(library: &Path) -> Result<Environment, String> {
    static MADE: Mutex<Option<Environment>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = &*made {
        return Ok(made.clone());
    }
    let builder = ort::init_from(library).map_err(|e| e.to_string())?;
    let environment = builder.with_telemetry(false).build().map_err(|e| e.to_string())?;
    Ok(made.insert(environment).clone())
}

/// `1.32.0` from `libonnxruntime.so.1.32.0`, else from `rel-1.32.0` in the build information.
fn version_of(library: &Path, build: &str) -> String {
    let file = library.canonicalize().unwrap_or_else(|_| library.to_owned());
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let from_name = name.split_once(".so.").map(|(_, version)| version.to_owned());
    let from_build = || {
        let (_, rest) = build.split_once("rel-")?;
        Some(rest.split([',', ' ']).next().unwrap_or(rest).to_owned())
    };
    from_name.or_else(from_build).unwrap_or_else(|| build.to_owned())
}

impl Runtime for OnnxRuntime {
    fn name(&self) -> &'static str {
        "ort"
    }

    fn version(&self) -> String {
        self.version.clone()
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
        let folder = sandbox::scratch();
        let prefix = folder.join("profile");
        let mut model = self.loaded(model, threads, Some(&prefix))?;
        model.prepare(Fill::Scattered.tensors(&model.inputs)?)?;
        for _ in 0..2 * runs {
            model.run()?;
        }
        let file = model.session.end_profiling().map_err(|e| failed("profile", &e))?;
        let text = std::fs::read_to_string(&file);
        // What is left behind there is the system's to remove.
        std::fs::remove_file(&file).and_then(|()| std::fs::remove_dir(&folder)).ok();
        op_times(&text?, runs as usize)
    }

    fn load(&self, model: Source<'_>, threads: usize) -> Result<Box<dyn Loaded>, RuntimeError> {
        Ok(Box::new(self.loaded(model, threads, None)?))
    }
}

impl OnnxRuntime {
    fn loaded(
        &self,
        model: Source<'_>,
        threads: usize,
        profile: Option<&Path>,
    ) -> Result<OrtModel, RuntimeError> {
        let session = self.session(model, threads, profile).map_err(|e| failed("load", &e))?;
        let inputs = session.inputs().iter().map(spec).collect::<Result<_, _>>()?;
        let (prepared, computed) = (Vec::new(), Vec::new());
        Ok(OrtModel { session, inputs, threads: threads.max(1), prepared, computed })
    }
}

/// An event of ONNX Runtime's profile, in the form of Chrome's traces.
#[derive(Deserialize)]
struct TraceEvent {
    name: String,
    #[serde(default)]
    cat: String,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    args: TraceArgs,
}

#[derive(Default, Deserialize)]
struct TraceArgs {
    #[serde(default)]
    op_name: String,
    #[serde(default)]
    provider: Option<String>,
}

/// The median of the last `runs` times of each node, in the order in which they were first run.
fn op_times(profile: &str, runs: usize) -> Result<Vec<OpTime>, RuntimeError> {
    let events: Vec<TraceEvent> =
        serde_json::from_str(profile).map_err(|e| failed("profile", &e))?;
    let mut order = Vec::new();
    let mut nodes: HashMap<String, (TraceArgs, Vec<f64>)> = HashMap::new();
    for event in events {
        let Some(name) = event.name.strip_suffix("_kernel_time").filter(|_| event.cat == "Node")
        else {
            continue;
        };
        let node = nodes.entry(name.to_owned()).or_insert_with(|| {
            order.push(name.to_owned());
            (event.args, Vec::new())
        });
        node.1.push(event.dur);
    }
    let op_time = |name: String| {
        let (args, times_us) = nodes.remove(&name)?;
        let us = median(&times_us[times_us.len().saturating_sub(runs)..])?;
        let provider = args.provider.map(|p| p.replace("ExecutionProvider", "").to_lowercase());
        Some(OpTime { name, op: args.op_name, provider, us })
    };
    Ok(order.into_iter().filter_map(op_time).collect())
}

impl Loaded for OrtModel {
    fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn providers(&self) -> Option<Vec<ProviderShare>> {
        assignment::of(&self.session)
    }

    fn prepare(&mut self, inputs: Vec<TensorData>) -> Result<(), RuntimeError> {
        self.prepared = inputs.iter().map(value).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn run(&mut self) -> Result<Duration, RuntimeError> {
        let inputs: Vec<SessionInputValue<'_>> = self.prepared.iter().map(Into::into).collect();
        self.computed.clear();
        let start = Instant::now();
        let outputs = self.session.run(black_box(inputs.as_slice()));
        let duration = start.elapsed();
        let outputs = black_box(outputs).map_err(|e| failed("run", &e))?;
        self.computed = outputs.into_iter().map(|(name, v)| (name.to_owned(), v)).collect();
        Ok(duration)
    }

    fn outputs(&mut self) -> Result<Vec<TensorData>, RuntimeError> {
        self.computed.iter().map(|(name, value)| data(name, value)).collect()
    }
}

fn spec(outlet: &Outlet) -> Result<InputSpec, RuntimeError> {
    let name = outlet.name().to_owned();
    let (element, shape) = element_and_shape(&name, outlet.dtype())?;
    let shape = shape.iter().map(|d| usize::try_from(*d).unwrap_or(1)).collect();
    Ok(InputSpec { name, element, shape })
}

fn element_and_shape<'t>(
    name: &str,
    value: &'t ValueType,
) -> Result<(Element, &'t [i64]), RuntimeError> {
    let other = || RuntimeError::Element { name: name.to_owned(), element: value.to_string() };
    let ValueType::Tensor { ty, shape, .. } = value else { return Err(other()) };
    let element = match ty {
        TensorElementType::Float32 => Element::F32,
        TensorElementType::Float64 => Element::F64,
        TensorElementType::Int8 => Element::I8,
        TensorElementType::Int16 => Element::I16,
        TensorElementType::Int32 => Element::I32,
        TensorElementType::Int64 => Element::I64,
        TensorElementType::Uint8 => Element::U8,
        TensorElementType::Uint16 => Element::U16,
        TensorElementType::Uint32 => Element::U32,
        TensorElementType::Uint64 => Element::U64,
        TensorElementType::Bool => Element::Bool,
        _ => return Err(other()),
    };
    Ok((element, shape))
}

fn value(data: &TensorData) -> Result<DynValue, RuntimeError> {
    match data.element {
        Element::F32 => owned(data, |v| v as f32),
        Element::F64 => owned(data, |v| v),
        Element::I8 => owned(data, |v| v as i8),
        Element::I16 => owned(data, |v| v as i16),
        Element::I32 => owned(data, |v| v as i32),
        Element::I64 => owned(data, |v| v as i64),
        Element::U8 => owned(data, |v| v as u8),
        Element::U16 => owned(data, |v| v as u16),
        Element::U32 => owned(data, |v| v as u32),
        Element::U64 => owned(data, |v| v as u64),
        Element::Bool => owned(data, |v| v != 0.0),
    }
}

fn owned<T>(data: &TensorData, cast: impl Fn(f64) -> T) -> Result<DynValue, RuntimeError>
where
    T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    let values: Vec<T> = data.values.iter().map(|v| cast(v.unwrap_or(f64::NAN))).collect();
    let tensor = Tensor::from_array((data.shape.clone(), values));
    Ok(tensor.map_err(|e| failed("run", &e))?.into_dyn())
}

fn data(name: &str, value: &DynValue) -> Result<TensorData, RuntimeError> {
    let (element, shape) = element_and_shape(name, value.dtype())?;
    let values = match element {
        Element::F32 => plain::<f32>(value, f64::from),
        Element::F64 => plain::<f64>(value, |v| v),
        Element::I8 => plain::<i8>(value, f64::from),
        Element::I16 => plain::<i16>(value, f64::from),
        Element::I32 => plain::<i32>(value, f64::from),
        Element::I64 => plain::<i64>(value, |v| v as f64),
        Element::U8 => plain::<u8>(value, f64::from),
        Element::U16 => plain::<u16>(value, f64::from),
        Element::U32 => plain::<u32>(value, f64::from),
        Element::U64 => plain::<u64>(value, |v| v as f64),
        Element::Bool => plain::<bool>(value, f64::from),
    };
    let shape = shape.iter().map(|d| *d as usize).collect();
    let (name, values) = (name.to_owned(), values.map_err(|e| failed("run", &e))?);
    Ok(TensorData { name, element, shape, values })
}

fn plain<T>(value: &DynValue, cast: impl Fn(T) -> f64) -> ort::Result<Vec<Option<f64>>>
where
    T: PrimitiveTensorElementType + Copy,
{
    let (_, values) = value.try_extract_tensor::<T>()?;
    Ok(values.iter().map(|v| finite(cast(*v))).collect())
}

fn failed(doing: &'static str, error: &dyn Display) -> RuntimeError {
    RuntimeError::Model { runtime: "ONNX Runtime", doing, reason: error.to_string() }
}
