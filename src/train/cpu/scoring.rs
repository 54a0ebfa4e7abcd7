//! Forward passes in evaluation mode over any number of samples.

use crate::data::Samples;
use crate::graph::Network;

use super::channels;
use super::chunk::Chunk;
use super::chunk::IMAGES;
use super::forward::forward;
use super::memory::Buffers;
use super::program::Program;
use super::shared::Shared;
use super::workers::Workers;

/// A network that is only evaluated.
#[derive(Debug)]
pub struct Scorer<'a> {
    program: &'a Program,
    buffers: Buffers,
}

impl<'a> Scorer<'a> {
    /// Plans buffers; values of `keep` can be read after a pass.
    pub fn new(program: &'a Program, keep: &[usize]) -> Scorer<'a> {
        Scorer { program, buffers: Buffers::for_evaluation(program, keep) }
    }

    /// Parameters of `network`, ready for evaluation.
    pub fn prepare(&self, network: &Network, workers: &Workers) -> Shared {
        let mut shared = Shared::new(self.program, network);
        self.refresh(&mut shared, workers);
        shared
    }

    /// Makes changed parameters ready for evaluation.
    pub fn refresh(&self, shared: &mut Shared, workers: &Workers) {
        shared.pack(self.program, false, workers);
        shared.use_running_statistics(self.program, false);
    }

    /// Bytes that a pass of one chunk holds.
    pub fn bytes(&self) -> u64 {
        self.buffers.bytes(IMAGES)
    }

    /// A chunk for this scorer.
    pub fn chunk(&self) -> Chunk {
        Chunk::new(self.program, &self.buffers, IMAGES)
    }

    /// The input of a chunk, for its images.
    pub fn input<'c>(&self, chunk: &'c mut Chunk) -> &'c mut [f32] {
        let len = chunk.images * self.program.len(0);
        &mut chunk.values[self.buffers.value[0]][..len]
    }

    /// A value of a chunk that was passed: the output, or one that is kept.
    pub fn value<'c>(&self, chunk: &'c Chunk, value: usize) -> &'c [f32] {
        chunk.value(self.program, &self.buffers, value)
    }

    /// Passes `chunk`, whose input is filled.
    pub fn pass(&self, shared: &Shared, chunk: &mut Chunk) {
        chunk.block = 0..chunk.images;
        for i in 0..self.program.steps.len() {
            forward(self.program, &self.buffers, shared, i, false, chunk);
        }
    }

    /// Passes all `samples` and collects what `see` returns for the index of the first image of a
    /// chunk and the chunk, in order.
    pub fn over<T: Send + Default>(
        &self,
        shared: &Shared,
        samples: &Samples,
        workers: &Workers,
        see: impl Fn(usize, &Chunk) -> T + Sync,
    ) -> Vec<T> {
        let count = samples.len().div_ceil(IMAGES);
        let share = count.div_ceil(workers.threads()).max(1);
        let mut results: Vec<T> = (0..count).map(|_| T::default()).collect();
        let mut lanes: Vec<&mut [T]> = results.chunks_mut(share).collect();
        workers.each(&mut lanes, |lane, results| {
            let mut chunk = self.chunk();
            for (i, result) in results.iter_mut().enumerate() {
                let first = (lane * share + i) * IMAGES;
                self.load(samples, first, &mut chunk);
                self.pass(shared, &mut chunk);
                *result = see(first, &chunk);
            }
        });
        results
    }

    fn load(&self, samples: &Samples, from: usize, chunk: &mut Chunk) {
        let [h, w, c] = self.program.shapes[0];
        let len = h * w * c;
        chunk.images = IMAGES.min(samples.len() - from);
        let mut planes = vec![0.0; len];
        for (i, image) in self.input(chunk).chunks_mut(len).enumerate() {
            samples.copy_image(from + i, &mut planes);
            channels::from_planes(&planes, h * w, c, image);
        }
    }
}
