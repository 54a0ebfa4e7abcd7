//! Folders of class folders of images.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::data::DataError;
use crate::data::LoadOptions;
use crate::data::Pixels;
use crate::data::Samples;
use crate::data::file::file_name;
use crate::data::file::list;
use crate::data::picture::Decoder;
use crate::data::picture::planes;
use crate::data::source::Source;

/// Reads `root/class/file.png`, or `root/train/class/file.png` with `test` and `val` beside it.
///
/// Classes are the class folders of the training part, by name. PNG and JPEG files are read,
/// 16-bit values as 8 bits, transparency dropped; other and hidden files are left out.
///
/// # Errors
///
/// What is wrong with the first bad file, in the order of names.
pub(super) fn read(root: &Path, options: &LoadOptions) -> Result<Source, DataError> {
    let folders = PartFolders::of(root)?;
    let classes: Vec<String> = sub_folders(&folders.train)?.iter().map(|f| file_name(f)).collect();
    if classes.is_empty() {
        return Err(DataError::UnknownFolder { path: root.to_owned() });
    }
    let train = Listing::of(&folders.train, &classes)?;
    let listing = |folder: PathBuf| Listing::of(&folder, &classes);
    let validation = folders.validation.map(listing).transpose()?;
    let test = folders.test.map(listing).transpose()?;

    let all = [Some(&train), validation.as_ref(), test.as_ref()];
    let files: Vec<&PathBuf> = all.into_iter().flatten().flat_map(|l| &l.files).collect();
    let mut decoder = Decoder::for_files(root, &files, options)?;
    let train = Decoded::of(train, &mut decoder)?;
    let validation = validation.map(|l| Decoded::of(l, &mut decoder)).transpose()?;
    let test = test.map(|l| Decoded::of(l, &mut decoder)).transpose()?;

    let channels = options.channels.unwrap_or(if decoder.coloured { 3 } else { 1 });
    let samples = |decoded: Decoded| decoded.into_samples(channels, decoder.size);
    Ok(Source {
        notes: notes(&decoder, channels, &[Some(&train), validation.as_ref(), test.as_ref()]),
        classes,
        train: samples(train),
        validation: validation.map(samples),
        test: test.map(samples),
    })
}

/// Where the parts lie.
struct PartFolders {
    train: PathBuf,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl PartFolders {
    /// The parts of `root`; the root itself, unless its folders are named like parts and no other.
    fn of(root: &Path) -> Result<PartFolders, DataError> {
        let folders = sub_folders(root)?;
        let named = |names: &[&str]| {
            folders.iter().find(|f| names.contains(&file_name(f).as_str())).cloned()
        };
        let validation = named(&["val", "valid", "validation"]);
        let test = named(&["test"]);
        let parts = 1 + usize::from(validation.is_some()) + usize::from(test.is_some());
        Ok(match named(&["train"]) {
            Some(train) if folders.len() == parts => PartFolders { train, validation, test },
            Some(_) | None => PartFolders { train: root.to_owned(), validation: None, test: None },
        })
    }
}

fn sub_folders(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(list(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// The image files of a part, class by class.
#[derive(Default)]
struct Listing {
    files: Vec<PathBuf>,
    labels: Vec<u32>,
    left_out: Vec<PathBuf>,
}

impl Listing {
    fn of(part: &Path, classes: &[String]) -> Result<Listing, DataError> {
        let mut listing = Listing::default();
        for folder in sub_folders(part)? {
            let class = file_name(&folder);
            let Some(label) = classes.iter().position(|known| *known == class) else {
                return Err(DataError::UnknownClass { path: folder, class });
            };
            listing.add(&folder, label as u32)?;
        }
        if listing.files.is_empty() {
            return Err(DataError::Empty { path: part.to_owned() });
        }
        Ok(listing)
    }

    fn add(&mut self, folder: &Path, label: u32) -> Result<(), DataError> {
        let (files, others): (Vec<_>, Vec<_>) =
            list(folder)?.into_iter().partition(|path| is_picture(path));
        self.labels.extend(files.iter().map(|_| label));
        self.files.extend(files);
        self.left_out.extend(others);
        Ok(())
    }
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// A part in colour, until it is known whether any image needs it.
struct Decoded {
    /// `[N, H, W, 3]`.
    rgb: Vec<u8>,
    labels: Vec<u32>,
    left_out: Vec<PathBuf>,
}

impl Decoded {
    fn of(listing: Listing, decoder: &mut Decoder) -> Result<Decoded, DataError> {
        let Listing { files, labels, left_out } = listing;
        let mut rgb = Vec::new();
        files.iter().try_for_each(|file| decoder.decode(file, &mut rgb))?;
        Ok(Decoded { rgb, labels, left_out })
    }

    fn into_samples(self, channels: usize, [height, width]: [usize; 2]) -> Samples {
        let pixels = self.rgb.chunks_exact(height * width * 3);
        let pixels = pixels.flat_map(|image| planes(image, channels)).collect();
        Samples {
            shape: [channels, height, width],
            pixels: Pixels::U8(Arc::new(pixels)),
            labels: Arc::new(self.labels),
        }
    }
}

fn notes(decoder: &Decoder, channels: usize, parts: &[Option<&Decoded>]) -> Vec<String> {
    let [height, width] = decoder.size;
    let kind = if channels == 1 { "grey" } else { "colour" };
    let mut notes = vec![format!("images are {kind}, {height} rows of {width}")];
    if decoder.resized > 0 {
        notes.push(format!("{} images of another size were resized", decoder.resized));
    }
    let left_out: Vec<&PathBuf> = parts.iter().flatten().flat_map(|p| &p.left_out).collect();
    if let Some(first) = left_out.first() {
        let (count, first) = (left_out.len(), first.display());
        notes.push(format!("{count} entries that are not PNG or JPEG left out, first `{first}`"));
    }
    notes
}
