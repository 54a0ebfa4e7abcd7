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
use crate::data::picture::Pictures;
use crate::data::picture::common_size;
use crate::data::picture::planes;
use crate::data::source::Source;

/// Reads `root/class/file.png`, or `root/train/class/file.png` with `test` and `val` beside it.
///
/// Classes are the class folders of the training part, by name. PNG and JPEG files are read,
/// 16-bit values as 8 bits, transparency and EXIF orientation ignored; other and hidden files are
/// left out.
///
/// # Errors
///
/// What is wrong with the first bad file, in the order of names.
pub(super) fn read(root: &Path, options: &LoadOptions) -> Result<Source, DataError> {
    let folders = part_folders(root)?;
    let classes: Vec<String> = sub_folders(&folders.train)?.iter().map(|f| file_name(f)).collect();
    if classes.is_empty() {
        return Err(DataError::UnknownFolder { path: root.to_owned() });
    }
    let listings = folders.try_map(|folder| Listing::of(&folder, &classes))?;
    let files: Vec<&PathBuf> = listings.iter().flat_map(|listing| &listing.files).collect();
    let size = common_size(root, &files, options)?;
    let decoded = listings.try_map(|listing| Decoded::of(listing, size))?;

    let coloured = decoded.iter().any(|part| part.pictures.coloured);
    let channels = options.channels.unwrap_or(if coloured { 3 } else { 1 });
    let shape = [channels, size[0], size[1]];
    let notes = notes(&decoded, shape);
    let Parts { train, validation, test } = decoded.try_map(|part| Ok(part.into_samples(shape)))?;
    Ok(Source { classes, train, validation, test, notes })
}

/// Something for each part that there is.
struct Parts<T> {
    train: T,
    validation: Option<T>,
    test: Option<T>,
}

impl<T> Parts<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        [Some(&self.train), self.validation.as_ref(), self.test.as_ref()].into_iter().flatten()
    }

    fn try_map<U>(self, f: impl Fn(T) -> Result<U, DataError>) -> Result<Parts<U>, DataError> {
        Ok(Parts {
            train: f(self.train)?,
            validation: self.validation.map(&f).transpose()?,
            test: self.test.map(&f).transpose()?,
        })
    }
}

/// The part folders of `root`; the root itself, unless its folders are named like parts and no
/// other.
fn part_folders(root: &Path) -> Result<Parts<PathBuf>, DataError> {
    let folders = sub_folders(root)?;
    let named =
        |names: &[&str]| folders.iter().find(|f| names.contains(&file_name(f).as_str())).cloned();
    let validation = named(&["val", "valid", "validation"]);
    let test = named(&["test"]);
    let parts = 1 + usize::from(validation.is_some()) + usize::from(test.is_some());
    Ok(match named(&["train"]) {
        Some(train) if folders.len() == parts => Parts { train, validation, test },
        Some(_) | None => Parts { train: root.to_owned(), validation: None, test: None },
    })
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
    pictures: Pictures,
    labels: Vec<u32>,
    left_out: Vec<PathBuf>,
}

impl Decoded {
    fn of(listing: Listing, size: [usize; 2]) -> Result<Decoded, DataError> {
        let Listing { files, labels, left_out } = listing;
        Ok(Decoded { pictures: Pictures::decode(&files, size)?, labels, left_out })
    }

    fn into_samples(self, shape: [usize; 3]) -> Samples {
        let [channels, height, width] = shape;
        let pictures = self.pictures.rgb.chunks_exact(height * width * 3);
        let pixels = pictures.flat_map(|picture| planes(picture, channels)).collect();
        Samples { shape, pixels: Pixels::U8(Arc::new(pixels)), labels: Arc::new(self.labels) }
    }
}

fn notes(parts: &Parts<Decoded>, [channels, height, width]: [usize; 3]) -> Vec<String> {
    let kind = if channels == 1 { "grey" } else { "colour" };
    let mut notes = vec![format!("images are {kind}, {height} rows of {width}")];
    let resized: usize = parts.iter().map(|part| part.pictures.resized).sum();
    if resized > 0 {
        notes.push(format!("resized because of another size: {resized}"));
    }
    let left_out: Vec<&PathBuf> = parts.iter().flat_map(|part| &part.left_out).collect();
    if let Some(first) = left_out.first() {
        let (count, first) = (left_out.len(), first.display());
        notes.push(format!("left out as neither PNG nor JPEG: {count}, first `{first}`"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use image::GrayImage;
    use image::Luma;
    use image::Rgb;
    use image::RgbImage;
    use tempfile::TempDir;

    use super::*;
    use crate::data::DataSet;
    use crate::data::load;

    /// Ten different grey images of 4 rows of 6 in each class folder of `folder`.
    fn write_classes(folder: &Path, classes: &[&str]) {
        for (class, name) in classes.iter().enumerate() {
            fs::create_dir_all(folder.join(name)).unwrap();
            for n in 0..10 {
                grey(class as u8, n).save(folder.join(name).join(format!("{n}.png"))).unwrap();
            }
        }
    }

    /// First pixel: class and number; the others: their place.
    fn grey(class: u8, n: u8) -> GrayImage {
        GrayImage::from_fn(6, 4, |x, y| {
            Luma([if x + y == 0 { 20 * class + n } else { (10 * y + x) as u8 }])
        })
    }

    fn two_classes() -> TempDir {
        let folder = TempDir::new().unwrap();
        write_classes(folder.path(), &["cat", "dog"]);
        folder
    }

    fn load_with(folder: &TempDir, options: &LoadOptions) -> Result<DataSet, DataError> {
        load(folder.path().to_str().unwrap(), options)
    }

    fn load_from(folder: &TempDir) -> Result<DataSet, DataError> {
        load_with(folder, &LoadOptions::default())
    }

    #[test]
    fn grey_images_read_back_pixel_by_pixel() {
        let data = load_from(&two_classes()).unwrap();
        assert_eq!(
            (data.classes, data.shape),
            (vec!["cat".to_owned(), "dog".to_owned()], [1, 4, 6])
        );
        assert_eq!(data.notes, ["images are grey, 4 rows of 6"]);
        assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [12, 4, 4]);
        for part in [&data.train, &data.validation, &data.test] {
            for index in 0..part.len() {
                let mut image = [0.0; 24];
                part.copy_image(index, &mut image);
                let (class, n) = (image[0] as u8 / 20, image[0] as u8 % 20);
                let written: Vec<f32> = grey(class, n).iter().map(|&p| f32::from(p)).collect();
                assert_eq!((image.as_slice(), part.labels[index]), (&*written, u32::from(class)));
            }
        }
    }

    #[test]
    fn one_coloured_image_makes_all_coloured_in_planes() {
        let folder = two_classes();
        let picture = RgbImage::from_fn(6, 4, |x, y| Rgb([200, x as u8, y as u8]));
        picture.save(folder.path().join("cat/0.png")).unwrap();
        let data = load_from(&folder).unwrap();
        assert_eq!(data.shape, [3, 4, 6]);
        let parts = [&data.train, &data.validation, &data.test];
        let images = parts.iter().flat_map(|p| (0..p.len()).map(move |index| (p, index)));
        let mut found = 0;
        for (part, index) in images {
            let mut image = [0.0; 72];
            part.copy_image(index, &mut image);
            let (red, rest) = image.split_at(24);
            if red == [200.0; 24] {
                found += 1;
                let expected: Vec<f32> = picture.pixels().map(|p| f32::from(p[2])).collect();
                assert_eq!(rest[24..], expected);
            } else {
                assert_eq!([red, red].concat(), rest);
            }
        }
        assert_eq!(found, 1);
    }

    #[test]
    fn channels_can_be_asked_for() {
        let folder = two_classes();
        let shape = |channels| {
            let options = LoadOptions { channels: Some(channels), ..LoadOptions::default() };
            load_with(&folder, &options).map(|data| data.shape)
        };
        assert_eq!(shape(3).unwrap(), [3, 4, 6]);
        assert!(matches!(shape(2), Err(DataError::BadOption { option: "channels", .. })));
    }

    #[test]
    fn large_images_shrink_to_64_and_others_follow_the_first() {
        let folder = two_classes();
        let picture = GrayImage::from_fn(200, 100, |x, _| Luma([x as u8]));
        picture.save(folder.path().join("cat/0.png")).unwrap();
        let data = load_from(&folder).unwrap();
        assert_eq!(data.shape, [1, 32, 64]);
        assert_eq!(data.notes[1], "resized because of another size: 20");
        let options = LoadOptions { image_size: Some([5, 7]), ..LoadOptions::default() };
        assert_eq!(load_with(&folder, &options).unwrap().shape, [1, 5, 7]);
        let options = LoadOptions { image_size: Some([0, 7]), ..LoadOptions::default() };
        assert!(matches!(load_with(&folder, &options), Err(DataError::BadOption { .. })));
    }

    #[test]
    fn a_resized_flat_image_stays_flat() {
        let folder = two_classes();
        GrayImage::from_pixel(30, 30, Luma([77])).save(folder.path().join("dog/3.png")).unwrap();
        let data = load_from(&folder).unwrap();
        let Pixels::U8(pixels) = &data.train.pixels else { panic!("pictures are bytes") };
        let all = [&data.train, &data.validation, &data.test].map(|p| match &p.pixels {
            Pixels::U8(pixels) => pixels.chunks(24).filter(|image| *image == [77; 24]).count(),
            Pixels::F32(_) => 0,
        });
        assert_eq!((pixels.len() % 24, all.iter().sum::<usize>()), (0, 1));
    }

    #[test]
    fn part_folders_are_the_parts() {
        let folder = TempDir::new().unwrap();
        write_classes(&folder.path().join("train"), &["cat", "dog"]);
        for part in ["val", "test"] {
            for class in ["cat", "dog"] {
                let class = folder.path().join(part).join(class);
                fs::create_dir_all(&class).unwrap();
                let shade = part.len() as u8 * 30 + class.to_str().unwrap().ends_with("cat") as u8;
                GrayImage::from_pixel(6, 4, Luma([shade])).save(class.join("a.PNG")).unwrap();
            }
        }
        let data = load_from(&folder).unwrap();
        assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [20, 2, 2]);

        fs::create_dir(folder.path().join("test/bird")).unwrap();
        let error = load_from(&folder).unwrap_err();
        assert!(
            matches!(&error, DataError::UnknownClass { class, .. } if class == "bird"),
            "{error}"
        );
    }

    #[test]
    fn a_class_may_be_called_train() {
        let folder = TempDir::new().unwrap();
        write_classes(folder.path(), &["bus", "train"]);
        assert_eq!(load_from(&folder).unwrap().classes, ["bus", "train"]);
    }

    #[test]
    fn other_files_are_left_out_and_said() {
        let folder = two_classes();
        fs::write(folder.path().join("cat/.DS_Store"), "x").unwrap();
        fs::write(folder.path().join("cat/notes.txt"), "x").unwrap();
        fs::write(folder.path().join("LICENSE"), "x").unwrap();
        let data = load_from(&folder).unwrap();
        assert!(data.notes[1].starts_with("left out as neither PNG nor JPEG: 1, first"));
        assert!(data.notes[1].ends_with("cat/notes.txt`"));
    }

    #[test]
    fn links_are_followed_and_broken_ones_named() {
        let (real, folder) = (two_classes(), TempDir::new().unwrap());
        for class in ["cat", "dog"] {
            symlink(real.path().join(class), folder.path().join(class)).unwrap();
        }
        let (linked, direct) = (load_from(&folder).unwrap(), load_from(&real).unwrap());
        assert_eq!(linked.fingerprint(), direct.fingerprint());

        symlink("nowhere.png", real.path().join("cat/99.png")).unwrap();
        let error = load_from(&folder).unwrap_err();
        assert!(error.to_string().ends_with("cat/99.png`"), "{error}");
        assert!(matches!(error, DataError::Io { .. }));
    }

    #[test]
    fn the_first_bad_image_is_named() {
        let folder = two_classes();
        let png = fs::read(folder.path().join("dog/4.png")).unwrap();
        for name in ["dog/4.png", "dog/7.png"] {
            fs::write(folder.path().join(name), &png[..png.len() - 20]).unwrap();
        }
        let error = load_from(&folder).unwrap_err();
        assert!(
            matches!(&error, DataError::BadImage { path, .. } if path.ends_with("dog/4.png")),
            "{error}"
        );
        assert_eq!(error.hint(), Some("repair or delete this file; PNG and JPEG are read"));
    }

    #[test]
    fn every_truncation_of_an_image_is_an_error() {
        let folder = two_classes();
        let picture =
            RgbImage::from_fn(24, 24, |x, y| Rgb([(x * y) as u8, (9 * x) as u8, (7 * y) as u8]));
        for name in ["cat/0.png", "cat/0.jpg"] {
            let path = folder.path().join(name);
            picture.save(&path).unwrap();
            assert!(load_from(&folder).is_ok());
            let whole = fs::read(&path).unwrap();
            // The last 12 bytes of a PNG say only that it ends, the last 2 of a JPEG too.
            let needed = whole.len() - if name.ends_with("png") { 12 } else { 0 };
            for end in (0..needed).step_by(5) {
                fs::write(&path, &whole[..end]).unwrap();
                let error = load_from(&folder).unwrap_err();
                assert!(
                    matches!(&error, DataError::BadImage { path: bad, .. } if *bad == path),
                    "{end}: {error}"
                );
            }
            fs::remove_file(&path).unwrap();
        }
    }

    /// As phones append films to pictures.
    #[test]
    fn what_lies_behind_the_end_of_a_jpeg_does_not_matter() {
        let folder = two_classes();
        let path = folder.path().join("cat/0.jpg");
        RgbImage::from_fn(9, 9, |x, y| Rgb([x as u8, y as u8, 7])).save(&path).unwrap();
        let picture = fs::read(&path).unwrap();
        fs::write(&path, [&picture, &b"film \xff\xda\x00\x04 film"[..]].concat()).unwrap();
        load_from(&folder).unwrap();
    }

    #[test]
    fn an_image_with_a_huge_header_costs_no_memory() {
        let folder = two_classes();
        let path = folder.path().join("dog/0.png");
        let mut png = fs::read(&path).unwrap();
        png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let checksum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        fs::write(&path, png).unwrap();
        let error = load_from(&folder).unwrap_err();
        assert!(error.to_string().to_lowercase().contains("limit"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[test]
    fn empty_folders_and_empty_classes_are_named() {
        let folder = TempDir::new().unwrap();
        assert!(matches!(load_from(&folder).unwrap_err(), DataError::UnknownFolder { .. }));
        fs::create_dir(folder.path().join("cat")).unwrap();
        assert!(matches!(load_from(&folder).unwrap_err(), DataError::Empty { .. }));
        write_classes(folder.path(), &["dog"]);
        let error = load_from(&folder).unwrap_err();
        assert!(matches!(&error, DataError::EmptyClass { class, .. } if class == "cat"), "{error}");
        fs::remove_dir(folder.path().join("cat")).unwrap();
        let error = load_from(&folder).unwrap_err();
        assert!(matches!(&error, DataError::OneClass { class, .. } if class == "dog"), "{error}");
    }
}
