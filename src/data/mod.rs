//! Data sets of labelled images: reading, splitting, batches, augmentation.
//!
//! Pixels stay as the data set has them; normalisation is a node of the network, fed by
//! [`channel_statistics`]. Nothing is fetched from a network, nothing is written.
//!
//! # Rules of the split
//!
//! - Two images are identical if all their pixels are equal, whatever their labels.
//! - Identical images of a part that is cut are moved together, with the class of the first.
//! - What a source calls its test part stays whole; an image that it shares with the validation
//!   or training part is taken from there, and one that validation shares with training is taken
//!   from training. Identical images inside one part stay.
//! - Each class is dealt on its own: validation and test get their share of it within one image
//!   (within one group of identical images where there are any) and at least one, training the
//!   rest.

use std::sync::Arc;

mod augment;
mod batch;
mod digits;
mod error;
mod fashion;
mod file;
mod folder;
mod idx;
mod load;
mod npy;
mod npz;
mod parts;
mod picture;
mod samples;
mod source;
mod split;
mod statistics;
mod stream;

pub use augment::Augment;
pub use batch::Batches;
pub use error::DataError;
pub use load::KnownDataSet;
pub use load::LoadOptions;
pub use load::datasets;
pub use load::load;
pub use statistics::channel_statistics;

/// Labelled images of one shape. Cloning shares the pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `[C, H, W]` of one image.
    pub shape: [usize; 3],
    /// All images after one another, `[N, C, H, W]`.
    pub pixels: Pixels,
    /// Class of each image, below [`DataSet::classes`]`.len()`.
    pub labels: Arc<Vec<u32>>,
}

/// Raw values, as small as the data set allows.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// Integers 0 to 255.
    U8(Arc<Vec<u8>>),
    /// Anything finite.
    F32(Arc<Vec<f32>>),
}

/// A data set, split. The three parts share no identical image.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// As given on the command line, e.g. `digits`.
    pub name: String,
    /// Class names in label order; at least two.
    pub classes: Vec<String>,
    /// `[C, H, W]` of every image.
    pub shape: [usize; 3],
    /// For gradients and statistics.
    pub train: Samples,
    /// For the search: its error is the objective.
    pub validation: Samples,
    /// Touched once per front member, by `export` and `report`.
    pub test: Samples,
    /// What was decided while reading, one sentence each, for people.
    pub notes: Vec<String>,
}
