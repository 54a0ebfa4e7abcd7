//! Execution providers of ONNX Runtime: who in it computes.
use std::num::NonZeroUsize;

use ort::ep;
use ort::ep::ExecutionProvider;
use ort::ep::ExecutionProviderDispatch;

use super::protocol::PROVIDERS;

/// Those that the loaded library was built with.
pub fn available() -> Vec<String> {
    let has = |name: &&str| match *name {
        "cpu" => true,
        "xnnpack" => is_available::<ep::XNNPACK>(),
        "nnapi" => is_available::<ep::NNAPI>(),
        "qnn" => is_available::<ep::QNN>(),
        "coreml" => is_available::<ep::CoreML>(),
        "cuda" => is_available::<ep::CUDA>(),
        "tensorrt" => is_available::<ep::TensorRT>(),
        _ => false,
    };
    PROVIDERS.iter().filter(|name| has(name)).map(|name| (*name).to_owned()).collect()
}

fn is_available<P: ExecutionProvider>() -> bool {
    P::is_available().unwrap_or(false)
}

/// The provider `name`, which must take part or fail; `None` for ONNX Runtime's own kernels.
pub fn dispatch(name: &str, threads: usize) -> Option<ExecutionProviderDispatch> {
    let dispatch = match name {
        "xnnpack" => {
            let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
            ep::XNNPACK::default().with_intra_op_num_threads(threads).build()
        }
        "nnapi" => ep::NNAPI::default().build(),
        "qnn" => ep::QNN::default().build(),
        "coreml" => ep::CoreML::default().build(),
        "cuda" => ep::CUDA::default().build(),
        "tensorrt" => ep::TensorRT::default().build(),
        _ => return None,
    };
    Some(dispatch.error_on_failure())
}
