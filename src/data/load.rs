//! From a name or a path to a data set.

use serde::Deserialize;
use serde::Serialize;

use crate::data::DataError;
use crate::data::DataSet;
use crate::data::digits;
use crate::data::split::split;

/// How a data set is read and split. [`LoadOptions::default`] is the default of every field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadOptions {
    /// Of the split and of the choice under a limit.
    pub seed: u64,
    /// Share of the training part that becomes validation, where the source has no own.
    pub validation: f64,
    /// Share of the training part that becomes test, where the source has no own.
    pub test: f64,
    /// Keep so many images of the training part, each class with its share, before it is cut.
    pub limit: Option<usize>,
    /// Height and width of the images of a folder; by default those of the first image if
    /// neither is above 64, else scaled so that the longer side is 64.
    pub image_size: Option<[usize; 2]>,
    /// 1 (grey) or 3 (colour) for the images of a folder; by default grey if all are.
    pub channels: Option<usize>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            seed: 0,
            validation: 0.2,
            test: 0.2,
            limit: None,
            image_size: None,
            channels: None,
        }
    }
}

/// A data set that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDataSet {
    /// As [`load`] takes it.
    pub name: &'static str,
    /// What it holds, in one line.
    pub about: &'static str,
    /// How to get it; `None` if it is here.
    pub missing: Option<&'static str>,
}

/// Reads and splits the data set `spec`.
///
/// # Errors
///
/// A [`DataError`] that names the first thing that is wrong.
pub fn load(spec: &str, options: &LoadOptions) -> Result<DataSet, DataError> {
    options.check()?;
    let source = match spec {
        "digits" => digits::read(),
        _ => return Err(DataError::Unknown { spec: spec.to_owned() }),
    };
    source.check(spec)?;
    split(spec, source, options)
}

/// The data sets that have a name.
pub fn datasets() -> Vec<KnownDataSet> {
    vec![KnownDataSet {
        name: "digits",
        about: "1797 handwritten digits, 8x8, grey, values 0 to 16 (bundled)",
        missing: None,
    }]
}

impl LoadOptions {
    fn check(&self) -> Result<(), DataError> {
        let (validation, test) = (self.validation, self.test);
        if !(validation > 0.0 && test > 0.0 && validation + test < 1.0) {
            return Err(DataError::BadShares { validation, test });
        }
        Ok(())
    }
}
