//! Which images a step sees, and as what.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::Samples;
use crate::train::TrainPlan;

use super::channels;
use super::chunk::Chunk;
use super::chunk::IMAGES;
use super::program::Program;
use super::session::Session;

/// The images of one epoch, in random order, in batches that differ by one image at most.
#[derive(Debug)]
pub struct Epoch {
    order: Vec<usize>,
    batches: usize,
}

impl Epoch {
    /// Order of epoch `epoch` of a plan.
    pub fn new(images: usize, plan: &TrainPlan, epoch: u32) -> Epoch {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        rng.set_stream(u64::from(epoch));
        let mut order: Vec<usize> = (0..images).collect();
        order.shuffle(&mut rng);
        Epoch { order, batches: batches(images, plan.batch) }
    }

    /// Images of step `step`.
    pub fn batch(&self, step: usize) -> &[usize] {
        let at = |step: usize| step * self.order.len() / self.batches;
        &self.order[at(step)..at(step + 1)]
    }
}

/// Steps of an epoch: as many as keep every batch at most `batch` long.
pub fn batches(images: usize, batch: usize) -> usize {
    images.div_ceil(batch.max(1))
}

/// Puts images `which` of `samples` into the chunks, with targets and seeds for `step`.
pub fn fill(
    session: &mut Session,
    samples: &Samples,
    which: &[usize],
    plan: &TrainPlan,
    step: u64,
) {
    let program = session.program;
    for (i, chunk) in session.chunks.iter_mut().enumerate() {
        let mine = which.chunks(IMAGES).nth(i).unwrap_or(&[]);
        chunk.images = mine.len();
        chunk.seed = plan.seed ^ (step * 1024 + i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        fill_chunk(program, chunk, samples, mine, plan.label_smoothing);
    }
}

fn fill_chunk(
    program: &Program,
    chunk: &mut Chunk,
    samples: &Samples,
    which: &[usize],
    smoothing: f32,
) {
    let ([h, w, c], classes) = (program.shapes[0], program.classes());
    let mut planes = vec![0.0; h * w * c];
    chunk.targets.clear();
    chunk.targets.resize(which.len() * classes, smoothing / classes as f32);
    for (i, &index) in which.iter().enumerate() {
        samples.copy_image(index, &mut planes);
        let image = &mut Session::input(program, chunk)[i * h * w * c..][..h * w * c];
        channels::from_planes(&planes, h * w, c, image);
        let class = samples.labels[index] as usize;
        chunk.targets[i * classes + class] += 1.0 - smoothing;
    }
}
