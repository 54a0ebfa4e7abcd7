//! Fashion-MNIST as the Debian package installs it.

use std::path::Path;

use crate::data::DataError;
use crate::data::idx;
use crate::data::source::Source;

/// As [`load`](crate::data::load) takes it.
pub(super) const NAME: &str = "fashion-mnist";

/// Where the package `dataset-fashion-mnist` of Debian and Ubuntu puts its files.
const FOLDER: &str = "/usr/share/datasets/fashion-mnist";

/// How to get it.
const WAY_OUT: &str = "on Debian or Ubuntu `apt install dataset-fashion-mnist`; elsewhere put the four IDX files of github.com/zalandoresearch/fashion-mnist into a folder and give its path";

/// Class names in label order, as its README has them.
const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// 60,000 and 10,000 images, `[1, 28, 28]`.
///
/// # Errors
///
/// [`DataError::NotInstalled`], or what is wrong with the first bad file.
pub(super) fn read() -> Result<Source, DataError> {
    let folder = Path::new(FOLDER);
    match missing() {
        Some(way_out) => {
            Err(DataError::NotInstalled { name: NAME, folder: folder.to_owned(), way_out })
        }
        None => idx::read_folder(folder, Some(&CLASSES)),
    }
}

/// How to get it, unless it is here.
pub(super) fn missing() -> Option<&'static str> {
    (!idx::is_here(Path::new(FOLDER))).then_some(WAY_OUT)
}
