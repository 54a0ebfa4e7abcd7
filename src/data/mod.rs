//! Data sets of labelled images: reading, splitting, batches, augmentation.
//!
//! Pixels stay as the data set has them; normalisation is a node of the network.

use std::sync::Arc;

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
}

impl Samples {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// No image at all?
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Copies image `index` into `out`, `[C, H, W]`.
    ///
    /// # Panics
    ///
    /// If `index` is out of range or `out` has another length than one image.
    pub fn copy_image(&self, index: usize, out: &mut [f32]) {
        let len = self.shape.iter().product::<usize>();
        let range = index * len..(index + 1) * len;
        match &self.pixels {
            Pixels::U8(all) => {
                out.iter_mut().zip(&all[range]).for_each(|(o, &p)| *o = f32::from(p));
            }
            Pixels::F32(all) => out.copy_from_slice(&all[range]),
        }
    }
}
