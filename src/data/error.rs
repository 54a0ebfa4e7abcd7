//! What can be wrong with a data set, each with what, where and a way out.

use std::io;
use std::path::PathBuf;

/// Why there is no data set.
///
/// `Display` says what and where, [`hint`](DataError::hint) the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The name is neither known nor on the disk.
    #[error("`{spec}` is neither a known data set nor a file or folder")]
    Unknown {
        /// As given.
        spec: String,
    },

    /// A known data set that does not come with the program.
    #[error("data set `{name}` is not in `{}`", folder.display())]
    NotInstalled {
        /// As given.
        name: &'static str,
        /// Where its package puts it.
        folder: PathBuf,
        /// How to get it.
        way_out: &'static str,
    },

    /// The operating system refused.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },

    /// A file of another kind than images in a known form.
    #[error("`{}` is not a data set: neither a folder nor `.npz`", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// Neither IDX files nor class folders.
    #[error("`{}` holds neither `train-images-idx3-ubyte` nor class folders", path.display())]
    UnknownFolder {
        /// The folder.
        path: PathBuf,
    },

    /// A file that belongs to another is not there.
    #[error("`{}` lacks `{file}`", folder.display())]
    MissingFile {
        /// The folder or archive.
        folder: PathBuf,
        /// Its name without ending.
        file: String,
    },

    /// The first bytes are not those of IDX data of unsigned bytes.
    #[error("`{}` is not an IDX file of unsigned bytes: it begins with {found:02x?}", path.display())]
    NotIdx {
        /// The file.
        path: PathBuf,
        /// Its first bytes, up to 4, after unpacking.
        found: Vec<u8>,
    },

    /// IDX data of the wrong number of dimensions.
    #[error("number of dimensions of `{}` is {found}, not {expected}", path.display())]
    IdxDimensions {
        /// The file.
        path: PathBuf,
        /// In words, e.g. `1 (labels)`.
        expected: &'static str,
        /// As its header says.
        found: u8,
    },

    /// Packed data that does not unpack.
    #[error("`{}` is damaged", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: io::Error,
    },

    /// The file ends before its header's promise.
    #[error("`{}` is truncated: {expected} bytes announced, {found} there", path.display())]
    Truncated {
        /// The file, or `file.npz/array`.
        path: PathBuf,
        /// Bytes after the header, unpacked.
        expected: u64,
        /// Bytes after the header, unpacked.
        found: u64,
    },

    /// The file goes on after its header's promise.
    #[error("`{}` goes on after the {expected} bytes that its header announces", path.display())]
    TrailingBytes {
        /// The file, or `file.npz/array`.
        path: PathBuf,
        /// Bytes after the header, unpacked.
        expected: u64,
    },

    /// More than the program is willing to hold in memory.
    #[error("`{}` is too large: {found} bytes announced, {limit} allowed", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// Unpacked; saturated.
        found: u64,
        /// What is allowed.
        limit: u64,
    },

    /// A file that says it is an image and is not, or a broken one.
    #[error("cannot decode image `{}`: {reason}", path.display())]
    BadImage {
        /// The first bad file, in the order of names.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },

    /// An archive that cannot be opened.
    #[error("`{}` is not an npz archive: {reason}", path.display())]
    NotNpz {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },

    /// No known pair of names in the archive.
    #[error("`{}` has no arrays `x_train` and `y_train`, but {found:?}", path.display())]
    NoArrays {
        /// The file.
        path: PathBuf,
        /// Names of the first arrays.
        found: Vec<String>,
    },

    /// An array that cannot be used.
    #[error("array `{array}` of `{}` {reason}", path.display())]
    BadArray {
        /// The file.
        path: PathBuf,
        /// Its name.
        array: String,
        /// Goes on after the names, e.g. `has element type <c8`.
        reason: String,
    },

    /// As many labels as images are needed.
    #[error("`{}`: {images} images but {labels} labels", path.display())]
    CountMismatch {
        /// Of the labels.
        path: PathBuf,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },

    /// Two parts with images of different shape.
    #[error("`{}`: images of shape {found:?} where the training images have {expected:?}", path.display())]
    ShapeMismatch {
        /// Of the deviating part.
        path: PathBuf,
        /// `[C, H, W]`.
        expected: [usize; 3],
        /// `[C, H, W]`.
        found: [usize; 3],
    },

    /// No image, or images without a pixel.
    #[error("`{}` holds no images", path.display())]
    Empty {
        /// File or folder.
        path: PathBuf,
    },

    /// A pixel that is NaN or infinite.
    #[error("`{}`: pixel {at:?} (channel, row, column) of image {image} is {value}", path.display())]
    NotFinite {
        /// The file, or `file.npz/array`.
        path: PathBuf,
        /// Index from 0: the first such image.
        image: usize,
        /// Channel, row, column, from 0.
        at: [usize; 3],
        /// NaN or an infinity.
        value: f32,
    },

    /// A label that is not a class.
    #[error("`{}`: label {index} is {label}, not a class", path.display())]
    BadLabel {
        /// The file, or `file.npz/array`.
        path: PathBuf,
        /// Index from 0: the first such label.
        index: usize,
        /// Its value.
        label: String,
    },

    /// A part has a class folder that the training part lacks.
    #[error("`{}`: class `{class}` does not occur in the training part", path.display())]
    UnknownClass {
        /// Folder of the part.
        path: PathBuf,
        /// Its name.
        class: String,
    },

    /// More classes than a classifier is built for.
    #[error("`{name}` has {found} classes, at most {limit} are allowed")]
    TooManyClasses {
        /// The data set.
        name: String,
        /// Distinct labels.
        found: usize,
        /// What is allowed.
        limit: usize,
    },

    /// Nothing to tell apart.
    #[error("`{name}` has a single class, `{class}`")]
    OneClass {
        /// The data set.
        name: String,
        /// Its only class.
        class: String,
    },

    /// A class without training images.
    #[error("class `{class}` of `{name}` has no images")]
    EmptyClass {
        /// The data set.
        name: String,
        /// The first such class.
        class: String,
    },

    /// Not enough images of a class for each part to get one.
    #[error(
        "class `{class}` of `{name}` is too small to split: it has {found} of at least {needed} images"
    )]
    TooFew {
        /// The data set.
        name: String,
        /// The first such class.
        class: String,
        /// After duplicates of other parts are taken away and the limit is applied.
        found: usize,
        /// One for each part.
        needed: usize,
    },

    /// All images of a part are identical to images of the others.
    #[error(
        "nothing is left of the {part} part of `{name}` without the images it shares with others"
    )]
    OnlyDuplicates {
        /// The data set.
        name: String,
        /// `training`, `validation` or `test`.
        part: &'static str,
    },

    /// Shares of which no split can be made.
    #[error("validation share {validation} and test share {test} leave no sensible split")]
    BadShares {
        /// As given.
        validation: f64,
        /// As given.
        test: f64,
    },

    /// An option that no image can have.
    #[error("`{option}` is {value}, which is not {expected}")]
    BadOption {
        /// Name of the field.
        option: &'static str,
        /// As given.
        value: String,
        /// In words.
        expected: &'static str,
    },
}

impl DataError {
    /// What the user can do about it; printed by the CLI under the error.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown { .. } => "`citronade datasets` lists the known ones; a path must exist",
            Self::NotInstalled { way_out, .. } => way_out,
            Self::Io { .. } => "check that the path exists and that you may read it",
            Self::UnknownFormat { .. } => {
                "give a folder of class folders, a folder of IDX files, or an .npz file"
            }
            Self::UnknownFolder { .. } => {
                "put the images of each class into a folder of their own: `data/cat/1.png`, `data/dog/1.png`"
            }
            Self::MissingFile { .. } => "images and labels come in pairs; add the other one too",
            Self::NotIdx { .. } => "get the file again; it may be an error page or another format",
            Self::IdxDimensions { .. } => "images and labels may have been swapped",
            Self::Corrupt { .. } => "get the file again: the download or the copy went wrong",
            Self::Truncated { .. } => "get the file again: the download or the copy was cut off",
            Self::TrailingBytes { .. } => "get the file again: its header and its contents differ",
            Self::TooLarge { .. } => "make the data set smaller: fewer or smaller images",
            Self::BadImage { .. } => "repair or delete this file; PNG and JPEG are read",
            Self::NotNpz { .. } => "write the file with `numpy.savez` or `numpy.savez_compressed`",
            Self::NoArrays { .. } => {
                "name the arrays `x_train`, `y_train` (and `x_test`, `y_test`), or `x` and `y`, or `images` and `labels`"
            }
            Self::BadArray { .. } => {
                "images are numbers of shape [N, H, W], [N, H, W, C] or [N, C, H, W], labels whole numbers of shape [N]"
            }
            Self::CountMismatch { .. } => {
                "images and labels must belong together, one label an image"
            }
            Self::ShapeMismatch { .. } => "bring all images to one shape",
            Self::Empty { .. } => "add images; PNG and JPEG files are read from class folders",
            Self::NotFinite { .. } => {
                "replace the value or leave the image out (`numpy.nan_to_num`)"
            }
            Self::BadLabel { .. } => {
                "labels are whole numbers from 0 that occur in the training part"
            }
            Self::UnknownClass { .. } => "each class needs a folder of the same name in `train`",
            Self::TooManyClasses { .. } => {
                "are these labels of a regression? only classes can be learnt"
            }
            Self::OneClass { .. } => "add a second class: a network can only tell classes apart",
            Self::EmptyClass { .. } => "add images of this class or remove it",
            Self::TooFew { .. } => "add images of this class, remove it, or raise the limit",
            Self::OnlyDuplicates { .. } => {
                "use other images for this part, or leave it out and let it be cut off"
            }
            Self::BadShares { .. } => {
                "both shares lie above 0 and together below 1, e.g. validation 0.2 and test 0.2"
            }
            Self::BadOption { .. } => "correct the option or leave it out",
        })
    }
}
