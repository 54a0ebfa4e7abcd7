//! Decoding of single PNG and JPEG files, within limits.

use std::io::Cursor;
use std::io::Read;
use std::num::NonZero;
use std::path::Path;
use std::path::PathBuf;
use std::thread;

use image::DynamicImage;
use image::ImageReader;
use image::Limits;
use image::Pixel;
use image::Rgb;
use image::imageops::FilterType;

use crate::data::DataError;
use crate::data::LoadOptions;
use crate::data::file::MAX_BYTES;
use crate::data::file::open;

/// Longer side where nothing is said and the first image is larger.
const DEFAULT_SIDE: usize = 64;
/// Largest file that is opened; a photo has a tenth of it.
const MAX_FILE: u64 = 128 << 20;
/// Largest side of an image before it is resized.
const MAX_SIDE: u32 = 16384;
/// Memory that decoding one image may take.
const MAX_ALLOC: u64 = 512 << 20;

/// Decoded pictures of one size, and what was met on the way.
#[derive(Default)]
pub(super) struct Pictures {
    /// `[N, H, W, 3]`.
    pub rgb: Vec<u8>,
    /// Pictures that had another size.
    pub resized: usize,
    /// Has any pixel been other than grey?
    pub coloured: bool,
}

impl Pictures {
    /// Decodes `files` in their order, on all processors.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] or [`DataError::BadImage`] for the first bad file.
    pub fn decode(files: &[PathBuf], size: [usize; 2]) -> Result<Pictures, DataError> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let chunks = files.chunks(files.len().div_ceil(threads).max(1));
        thread::scope(|scope| {
            let decode = |files| scope.spawn(move || Pictures::decode_here(files, size));
            let workers: Vec<_> = chunks.map(decode).collect();
            let mut all = Pictures::default();
            for worker in workers {
                all.append(worker.join().expect("decoding answers with an error at worst")?);
            }
            Ok(all)
        })
    }

    fn decode_here(files: &[PathBuf], size: [usize; 2]) -> Result<Pictures, DataError> {
        let mut pictures = Pictures::default();
        for file in files {
            pictures.add(read(file)?, size);
        }
        Ok(pictures)
    }

    fn add(&mut self, mut picture: DynamicImage, size: [usize; 2]) {
        let [height, width] = size.map(|side| side as u32);
        if (picture.height(), picture.width()) != (height, width) {
            picture = picture.resize_exact(width, height, FilterType::Triangle);
            self.resized += 1;
        }
        let rgb = picture.into_rgb8();
        self.coloured |= rgb.pixels().any(|Rgb([r, g, b])| r != g || g != b);
        self.rgb.extend_from_slice(&rgb);
    }

    fn append(&mut self, other: Pictures) {
        self.rgb.extend(other.rgb);
        self.resized += other.resized;
        self.coloured |= other.coloured;
    }
}

/// The size for the pictures `files` of `root`: that of `options`, else by the first, which exists.
///
/// # Errors
///
/// [`DataError::TooLarge`] if all together are, or what is wrong with the first picture.
pub(super) fn common_size(
    root: &Path,
    files: &[&PathBuf],
    options: &LoadOptions,
) -> Result<[usize; 2], DataError> {
    let size = match options.image_size {
        Some(size) => size,
        None => default_size(&read(files[0])?),
    };
    let factors = [files.len(), size[0], size[1], 3].map(|n| n as u64);
    let found = factors.into_iter().fold(1, u64::saturating_mul);
    if found > MAX_BYTES {
        return Err(DataError::TooLarge { path: root.to_owned(), found, limit: MAX_BYTES });
    }
    Ok(size)
}

/// The planes of `channels` (1 or 3) of one picture `[H, W, 3]`.
pub(super) fn planes(rgb: &[u8], channels: usize) -> Vec<u8> {
    let (pixels, _) = rgb.as_chunks::<3>();
    match channels {
        1 => pixels.iter().map(|&pixel| Rgb(pixel).to_luma().0[0]).collect(),
        _ => (0..3).flat_map(|c| pixels.iter().map(move |pixel| pixel[c])).collect(),
    }
}

fn default_size(first: &DynamicImage) -> [usize; 2] {
    let (height, width) = (first.height() as usize, first.width() as usize);
    let longer = height.max(width);
    if longer <= DEFAULT_SIDE {
        return [height, width];
    }
    [height, width].map(|side| (side * DEFAULT_SIDE + longer / 2) / longer).map(|side| side.max(1))
}

fn read(path: &Path) -> Result<DynamicImage, DataError> {
    let fail = |source| DataError::Io { path: path.to_owned(), source };
    let bad = |reason| DataError::BadImage { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(bad(format!("the file has more than {MAX_FILE} bytes")));
    }
    if is_cut_off_jpeg(&bytes) {
        return Err(bad("the JPEG data is truncated: no end marker".to_owned()));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(fail)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    reader.decode().map_err(|error| bad(error.to_string()))
}

/// Does a JPEG lack its end marker?
///
/// The decoder fills what is missing with grey, as browsers do; a data set should not. What comes
/// after the end is none of our business: phones append films there.
fn is_cut_off_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8]) && !reaches_end_marker(bytes)
}

/// Goes from marker to marker (ITU T.81, B.1.1): a segment tells its length, and in the data of a scan
/// only stuffed zeros and restarts follow an 0xff.
fn reaches_end_marker(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        let is_inside =
            |pair: &[u8]| pair[0] != 0xff || matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff);
        while bytes.get(at..at + 2).is_some_and(is_inside) {
            at += 1;
        }
        match (bytes.get(at + 1), bytes.get(at + 2..at + 4)) {
            (Some(0xd9), _) => return true,
            (Some(0x01), _) => at += 2,
            (Some(_), Some(length)) => {
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
            (None, _) | (Some(_), None) => return false,
        }
    }
}
