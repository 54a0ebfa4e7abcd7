//! From a name or a path to a data set.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::data::DataError;
use crate::data::DataSet;
use crate::data::digits;
use crate::data::fashion;
use crate::data::folder;
use crate::data::idx;
use crate::data::npz;
use crate::data::source::Source;
use crate::data::split::split;

/// Sides of an image that a folder is resized to.
const SIDES: RangeInclusive<usize> = 1..=1024;

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

/// Reads and splits the data set `spec`, by the rules of the room.
///
/// `spec` is `digits`, `fashion-mnist`, or the path of
///
/// - a folder with the IDX files of MNIST, gzipped or not;
/// - a folder of class folders of PNG and JPEG files, or of such folders `train`, `val`, `test`;
/// - an npz file with `x_train` and `y_train` (`x_val`, `y_val`, `x_test`, `y_test`), MedMNIST's
///   names, `images` and `labels`, or `x` and `y`.
///
/// Deterministic: the same files, options and `spec` give the same data set.
///
/// # Errors
///
/// A [`DataError`] that names the first thing that is wrong.
pub fn load(spec: &str, options: &LoadOptions) -> Result<DataSet, DataError> {
    options.check()?;
    let source = match spec {
        digits::NAME => digits::read(),
        fashion::NAME => fashion::read()?,
        path => read_path(Path::new(path), options)?,
    };
    source.check(spec)?;
    split(spec, source, options)
}

/// The data sets that have a name.
pub fn datasets() -> Vec<KnownDataSet> {
    vec![
        KnownDataSet {
            name: digits::NAME,
            about: "1797 handwritten digits, 8x8, grey, values 0 to 16 (bundled)",
            missing: None,
        },
        KnownDataSet {
            name: fashion::NAME,
            about: "70000 pieces of clothing, 28x28, grey, values 0 to 255, own test part",
            missing: fashion::missing(),
        },
    ]
}

fn read_path(path: &Path, options: &LoadOptions) -> Result<Source, DataError> {
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DataError::Unknown { spec: path.display().to_string() });
        }
        Err(source) => return Err(DataError::Io { path: path.to_owned(), source }),
    };
    if kind.is_dir() && idx::is_here(path) {
        idx::read_folder(path, None)
    } else if kind.is_dir() {
        folder::read(path, options)
    } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")) {
        npz::read(path)
    } else {
        Err(DataError::UnknownFormat { path: path.to_owned() })
    }
}

impl LoadOptions {
    fn check(&self) -> Result<(), DataError> {
        let (validation, test) = (self.validation, self.test);
        if !(validation > 0.0 && test > 0.0 && validation + test < 1.0) {
            return Err(DataError::BadShares { validation, test });
        }
        let bad = |option, value, expected| Err(DataError::BadOption { option, value, expected });
        match self.image_size {
            Some([height, width]) if !(SIDES.contains(&height) && SIDES.contains(&width)) => {
                bad("image_size", format!("{height}x{width}"), "two sides from 1 to 1024")
            }
            Some(_) | None => Ok(()),
        }?;
        match self.channels {
            Some(1 | 3) | None => Ok(()),
            Some(other) => bad("channels", other.to_string(), "1 (grey) or 3 (colour)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[track_caller]
    fn check_error(spec: &str, options: &LoadOptions, text: &str, hint: &str) {
        let error = load(spec, options).unwrap_err();
        assert!(error.to_string().ends_with(text), "{error}");
        assert!(error.hint().is_some_and(|h| h.starts_with(hint)), "{:?}", error.hint());
    }

    #[test]
    fn what_does_not_exist_is_named_with_a_way_out() {
        let text = "`nowhere` is neither a known data set nor a file or folder";
        check_error("nowhere", &LoadOptions::default(), text, "`citronade datasets` lists");
    }

    #[test]
    fn a_file_of_another_kind_is_named() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("data.tar");
        fs::write(&path, "x").unwrap();
        let spec = path.to_str().unwrap();
        check_error(spec, &LoadOptions::default(), "neither a folder nor `.npz`", "give a folder");
    }

    #[test]
    fn a_link_in_a_circle_is_an_error_of_the_disk() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("circle");
        symlink(&path, &path).unwrap();
        let error = load(path.to_str().unwrap(), &LoadOptions::default()).unwrap_err();
        assert!(matches!(error, DataError::Io { .. }), "{error}");
    }

    #[test]
    fn shares_that_leave_nothing_are_refused() {
        for (validation, test) in [(0.0, 0.2), (0.2, -0.1), (0.5, 0.5), (f64::NAN, 0.2)] {
            let options = LoadOptions { validation, test, ..LoadOptions::default() };
            check_error("digits", &options, "leave no sensible split", "both shares lie above 0");
        }
    }

    #[test]
    fn digits_are_split_as_promised() {
        let data = load("digits", &LoadOptions::default()).unwrap();
        assert_eq!(data.train.len() + data.validation.len() + data.test.len(), 1797);
        assert_eq!([data.validation.len(), data.test.len()], [359, 359]);
        assert_eq!((data.shape, data.classes.len()), ([1, 8, 8], 10));
    }

    #[test]
    fn too_small_a_limit_names_the_class() {
        let options = LoadOptions { limit: Some(20), ..LoadOptions::default() };
        let error = load("digits", &options).unwrap_err();
        assert!(matches!(error, DataError::TooFew { found: 2, needed: 3, .. }), "{error}");
    }

    #[test]
    fn every_known_data_set_loads_or_says_how_to_get_it() {
        for known in datasets() {
            let options = LoadOptions { limit: Some(200), ..LoadOptions::default() };
            match known.missing {
                None => assert!(load(known.name, &options).is_ok(), "{}", known.name),
                Some(way_out) => {
                    let error = load(known.name, &options).unwrap_err();
                    assert_eq!(error.hint(), Some(way_out));
                }
            }
        }
    }
}
