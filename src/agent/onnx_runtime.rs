//! ONNX Runtime, loaded from a library file when it is asked for.
use std::hint::black_box;
use std::path::Path;
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

use super::external;
use super::inputs::Element;
use super::inputs::InputSpec;
use super::inputs::TensorData;
use super::inputs::finite;
use super::runtime::Loaded;
use super::runtime::Runtime;
use super::runtime::RuntimeError;
use super::runtime::Source;

/// ONNX Runtime on the CPU.
///
/// Default settings but for the thread count: all graph optimisations, arena and memory pattern
/// on, as an app gets them.
pub struct OnnxRuntime {
    environment: Environment,
    version: String,
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
    /// [`RuntimeError::Missing`] if the file is not there, not an ONNX Runtime, or too old.
    pub fn open(library: &Path) -> Result<Self, RuntimeError> {
        let missing = |reason: String| RuntimeError::Missing {
            reason: format!(
                "ONNX Runtime cannot be loaded: {reason}; point ORT_DYLIB_PATH to a \
                 libonnxruntime of version 1.{} or newer",
                ort::MINOR_VERSION
            ),
        };
        let builder = ort::init_from(library).map_err(|e| missing(e.to_string()))?;
        let environment = builder.with_telemetry(false).build();
        let environment = environment.map_err(|e| missing(e.to_string()))?;
        let version = version_of(library, ort::info());
        Ok(OnnxRuntime { environment, version })
    }

    fn session(&self, model: Source<'_>, threads: usize) -> ort::Result<Session> {
        let builder = Session::builder(&self.environment)?;
        let builder = builder.with_optimization_level(GraphOptimizationLevel::All)?;
        let builder = builder.with_intra_threads(threads.max(1))?;
        let mut builder = builder.with_inter_threads(1)?;
        match model {
            Source::File(path) => builder.commit_from_file(path),
            Source::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
    }
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
        external::read(model).map(drop)
    }

    fn load(&self, model: Source<'_>, threads: usize) -> Result<Box<dyn Loaded>, RuntimeError> {
        let session = self.session(model, threads).map_err(|e| failed("load", &e))?;
        let inputs = session.inputs().iter().map(spec).collect::<Result<_, _>>()?;
        let (prepared, computed) = (Vec::new(), Vec::new());
        Ok(Box::new(OrtModel { session, inputs, threads: threads.max(1), prepared, computed }))
    }
}

impl Loaded for OrtModel {
    fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    fn threads(&self) -> usize {
        self.threads
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

fn failed<T>(doing: &'static str, error: &ort::Error<T>) -> RuntimeError {
    RuntimeError::Model { runtime: "ONNX Runtime", doing, reason: error.to_string() }
}
