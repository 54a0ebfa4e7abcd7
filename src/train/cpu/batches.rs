//! What a step sees: batches of training images, cut into chunks.

use crate::data::Batches;
use crate::data::Samples;
use crate::train::TrainPlan;

use super::channels;
use super::chunk::Chunk;
use super::chunk::IMAGES;
use super::session::Session;

/// Training images on their way into a session.
#[derive(Debug)]
pub struct Feed<'a> {
    batches: Batches<'a>,
    smoothing: f32,
    seed: u64,
    /// Steps of an epoch.
    pub steps: usize,
    pixels: Vec<f32>,
    targets: Vec<f32>,
}

impl<'a> Feed<'a> {
    /// Images of `samples` as `plan` wants them.
    pub fn new(samples: &'a Samples, classes: usize, plan: &TrainPlan) -> Feed<'a> {
        Feed {
            batches: Batches::new(samples, classes, plan.augment, plan.seed),
            smoothing: plan.label_smoothing,
            seed: plan.seed,
            steps: steps(samples.len(), plan.batch),
            pixels: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Order of the images in an epoch, counted from 1.
    pub fn order(&self, epoch: u32) -> Vec<usize> {
        self.batches.order(epoch)
    }

    /// Puts the images and targets of step `step` of `epoch` into the session.
    pub fn fill(&mut self, session: &mut Session, epoch: u32, order: &[usize], step: usize) {
        let which = part(order, self.steps, step);
        let classes = session.program.classes();
        self.pixels.resize(which.len() * session.program.len(0), 0.0);
        self.targets.resize(which.len() * classes, 0.0);
        self.batches.fill_batch(epoch, which, &mut self.pixels, &mut self.targets);
        let (keep, share) = (1.0 - self.smoothing, self.smoothing / classes as f32);
        self.targets.iter_mut().for_each(|t| *t = keep * *t + share);
        let seed = self.seed.wrapping_add(u64::from(epoch) << 32).wrapping_add((step as u64) << 8);
        distribute(session, &self.pixels, &self.targets, seed);
    }
}

/// Steps of an epoch: as many as keep every batch at most `batch` long.
pub fn steps(images: usize, batch: usize) -> usize {
    images.div_ceil(batch.max(1))
}

/// Part `step` of `steps` parts that differ by one image at most.
pub fn part(order: &[usize], steps: usize, step: usize) -> &[usize] {
    let at = |step: usize| step * order.len() / steps;
    &order[at(step)..at(step + 1)]
}

/// Puts images `which` into the session as they are, without targets.
pub fn fill_plainly(session: &mut Session, samples: &Samples, which: &[usize]) {
    let len = session.program.len(0);
    let mut pixels = vec![0.0; which.len() * len];
    for (image, &index) in pixels.chunks_mut(len).zip(which) {
        samples.copy_image(index, image);
    }
    let targets = vec![0.0; which.len() * session.program.classes()];
    distribute(session, &pixels, &targets, 0);
}

/// Cuts a batch into chunks; chunks without images stay empty.
fn distribute(session: &mut Session, pixels: &[f32], targets: &[f32], seed: u64) {
    let ([h, w, c], classes) = (session.program.shapes[0], session.program.classes());
    session.chunks.iter_mut().for_each(|chunk| chunk.images = 0);
    let parts = pixels.chunks(IMAGES * h * w * c).zip(targets.chunks(IMAGES * classes));
    for (i, (chunk, (pixels, targets))) in session.chunks.iter_mut().zip(parts).enumerate() {
        chunk.images = targets.len() / classes;
        chunk.seed = seed.wrapping_add(i as u64);
        chunk.targets.clear();
        chunk.targets.extend_from_slice(targets);
        channels::from_planes(pixels, h * w, c, input(chunk, h * w * c));
    }
}

/// The input of a chunk in training, for its images of `len` values.
pub fn input(chunk: &mut Chunk, len: usize) -> &mut [f32] {
    &mut chunk.values[0][..chunk.images * len]
}
