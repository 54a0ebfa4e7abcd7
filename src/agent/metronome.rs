//! A runtime that runs nothing.
use std::fs;
use std::time::Duration;

use super::inputs::Element;
use super::inputs::InputSpec;
use super::inputs::TensorData;
use super::protocol::MemoryUse;
use super::runtime::Loaded;
use super::runtime::Runtime;
use super::runtime::RuntimeError;
use super::runtime::Source;

/// Keeps perfect time: the latency of a model follows from its file alone, and no time passes.
///
/// 20 µs, and a nanosecond a byte; single runs differ from that by at most 1 %, always in the
/// same way for the same file. It takes 2 MB and twice its file. Whatever is built around
/// measuring can so be tested, and its own overhead measured, to the last digit.
pub struct Metronome;

struct Ticking {
    bytes: u64,
    phase: u64,
    runs: u64,
    inputs: Vec<InputSpec>,
}

impl Runtime for Metronome {
    fn name(&self) -> &'static str {
        "metronome"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn simulates(&self) -> bool {
        true
    }

    fn load(&self, model: Source<'_>, _threads: usize) -> Result<Box<dyn Loaded>, RuntimeError> {
        let file = match model {
            Source::File(path) => fs::read(path)?,
            Source::Bytes(bytes) => bytes.to_vec(),
        };
        let (bytes, phase) = (file.len() as u64, fnv(&file));
        let input = InputSpec { name: "input".to_owned(), element: Element::F32, shape: vec![1] };
        Ok(Box::new(Ticking { bytes, phase, runs: 0, inputs: vec![input] }))
    }
}

impl Loaded for Ticking {
    fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    fn threads(&self) -> usize {
        1
    }

    fn prepare(&mut self, _inputs: Vec<TensorData>) -> Result<(), RuntimeError> {
        Ok(())
    }

    fn run(&mut self) -> Result<Duration, RuntimeError> {
        self.runs += 1;
        let share = (scatter(self.phase.wrapping_add(self.runs)) % 2001) as f64 / 1e5 - 0.01;
        let nanos = (20_000 + self.bytes) as f64 * (1.0 + share);
        Ok(Duration::from_nanos(nanos as u64))
    }

    fn outputs(&mut self) -> Result<Vec<TensorData>, RuntimeError> {
        Ok(Vec::new())
    }

    fn simulated_memory(&self) -> Option<MemoryUse> {
        let base = 2_000_000;
        let loaded = base + self.bytes;
        let most = Some(loaded + self.bytes);
        let (before, loaded) = (Some(base), Some(loaded));
        Some(MemoryUse { before, loaded, peak: most, running: most, process_peak: None })
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo), but over words of eight bytes, the last filled up with zeros:
/// large files are hashed at each launch.
fn fnv(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let step = |hash: u64, word: &[u8; 8]| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3)
    };
    words.iter().chain([&last]).fold(0xcbf2_9ce4_8422_2325, step)
}

/// One step of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn scatter(x: u64) -> u64 {
    let x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
