//! The runtimes of this device.
use std::path::Path;
#[cfg(feature = "ort")]
use std::path::PathBuf;
#[cfg(feature = "ort")]
use std::sync::LazyLock;

use super::metronome::Metronome;
use super::protocol::Job;
use super::protocol::RuntimeFacts;
use super::runtime::Runtime;
use super::runtime::RuntimeError;
use super::runtime::Runtimes;
use super::tract::Tract;

/// tract, ONNX Runtime where it is installed (`ort`, or `ort:PROVIDER` for another than its own
/// kernels), and [`Metronome`], which is not listed: it is asked
/// for by those who know what it is.
pub struct Installed;

impl Installed {
    /// Loads the library that `job` needs into this process, as long as it may read every file, and
    /// starts nothing in it. Why it cannot be loaded is said when it is opened.
    pub fn preload(job: &Job<'_>) {
        #[cfg(feature = "ort")]
        if job.runtime.split(':').next() == Some("ort") {
            let library = job.library.map_or_else(find_ort, |l| Ok(l.to_owned()));
            library.map(|library| ort::init_from(library).map(drop).ok()).ok();
        }
        #[cfg(not(feature = "ort"))]
        let _ = job;
    }
}

impl Runtimes for Installed {
    fn list(&self) -> Vec<RuntimeFacts> {
        vec![facts(&Tract), ort_facts()]
    }

    fn open(&self, name: &str, library: Option<&Path>) -> Result<Box<dyn Runtime>, RuntimeError> {
        if let Some(("ort", provider)) = name.split_once(':') {
            return open_ort(library, provider);
        }
        match name {
            "tract" => Ok(Box::new(Tract)),
            "ort" => open_ort(library, "cpu"),
            "metronome" => Ok(Box::new(Metronome)),
            other => {
                let known = "`tract` and `ort`".to_owned();
                Err(RuntimeError::Unknown { name: other.to_owned(), known })
            }
        }
    }
}

fn facts(runtime: &dyn Runtime) -> RuntimeFacts {
    RuntimeFacts {
        name: runtime.name().to_owned(),
        version: Some(runtime.version()),
        library: None,
        providers: Vec::new(),
        missing: None,
    }
}

fn ort_facts() -> RuntimeFacts {
    let missing = |error: RuntimeError| RuntimeFacts {
        name: "ort".to_owned(),
        version: None,
        library: None,
        providers: Vec::new(),
        missing: Some(error.to_string()),
    };
    #[cfg(feature = "ort")]
    {
        let found = find_ort().and_then(|library| {
            let runtime = super::onnx_runtime::OnnxRuntime::open(&library, "cpu")?;
            let library = Some(library.to_string_lossy().into_owned());
            let providers = super::provider::available();
            Ok(RuntimeFacts { library, providers, ..facts(&runtime) })
        });
        found.unwrap_or_else(missing)
    }
    #[cfg(not(feature = "ort"))]
    {
        missing(not_built_in())
    }
}

#[cfg(feature = "ort")]
fn open_ort(library: Option<&Path>, provider: &str) -> Result<Box<dyn Runtime>, RuntimeError> {
    let library = library.map_or_else(find_ort, |l| Ok(l.to_owned()))?;
    Ok(Box::new(super::onnx_runtime::OnnxRuntime::open(&library, provider)?))
}

#[cfg(feature = "ort")]
fn find_ort() -> Result<PathBuf, RuntimeError> {
    // Once: a process in its sandbox cannot ask Python again.
    static FOUND: LazyLock<Result<PathBuf, String>> =
        LazyLock::new(|| super::discovery::Places::of_this_process().find());
    FOUND.clone().map_err(|reason| RuntimeError::Missing { reason })
}

#[cfg(not(feature = "ort"))]
fn open_ort(_library: Option<&Path>, _provider: &str) -> Result<Box<dyn Runtime>, RuntimeError> {
    Err(not_built_in())
}

#[cfg(not(feature = "ort"))]
fn not_built_in() -> RuntimeError {
    let reason = "this agent was built without the feature `ort`; use `tract`".to_owned();
    RuntimeError::Missing { reason }
}
