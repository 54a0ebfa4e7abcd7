//! Real data sets, and data beside the rooms that use it.
use std::fs;
use std::path::Path;
use std::sync::Arc;

use citronade::data::*;
use citronade::graph::*;
use tempfile::TempDir;

use crate::support::skipped::not_tried;

const FASHION: &str = "/usr/share/datasets/fashion-mnist";
const NUCLEI: &str = "../shared/data/dsb2018-nuclei-128";

/// Is `path` there? Says plainly if a test has nothing to test.
fn is_there(path: &str) -> bool {
    let there = Path::new(path).exists();
    if !there {
        not_tried(&format!("skipped: `{path}` is not here"));
    }
    there
}

#[test]
fn fashion_mnist_loads_whole_and_without_leaks() {
    if !is_there(FASHION) {
        return;
    }
    let data = load("fashion-mnist", &LoadOptions::default()).unwrap();
    assert_eq!((data.shape, data.classes.len()), ([1, 28, 28], 10));
    assert_eq!(data.classes[9], "Ankle boot");
    assert_eq!(data.test.class_counts(10), [1000; 10]);
    assert_eq!(data.leaks(), 0);
    // The published mean and deviation of the 60,000 are 0.2860 and 0.3530 of 255.
    let (mean, deviation) = channel_statistics(&data.train);
    assert!((mean[0] / 255.0 - 0.2860).abs() < 0.002, "{mean:?}");
    assert!((deviation[0] / 255.0 - 0.3530).abs() < 0.002, "{deviation:?}");
}

#[test]
fn ten_thousand_of_fashion_mnist_are_a_thousand_of_each_class() {
    if !is_there(FASHION) {
        return;
    }
    let options = LoadOptions { limit: Some(10_000), ..LoadOptions::default() };
    let data = load("fashion-mnist", &options).unwrap();
    assert_eq!(data.test.len(), 10_000);
    assert_eq!(data.train.len() + data.validation.len(), 10_000);
    for (train, validation) in
        data.train.class_counts(10).iter().zip(data.validation.class_counts(10))
    {
        assert!((train + validation).abs_diff(1000) <= 5 && validation.abs_diff(200) <= 2);
    }
    assert_eq!(data.fingerprint(), load("fashion-mnist", &options).unwrap().fingerprint());
}

#[test]
fn fashion_mnist_as_a_plain_folder_is_the_same_data() {
    if !is_there(FASHION) {
        return;
    }
    let options = LoadOptions { limit: Some(500), ..LoadOptions::default() };
    let (named, folder) = (load("fashion-mnist", &options), load(FASHION, &options));
    let (named, folder) = (named.unwrap(), folder.unwrap());
    assert_eq!(folder.train, named.train);
    assert_eq!(folder.classes[9], "9");
}

#[test]
fn images_of_a_foreign_idx_file_are_read() {
    if !is_there(NUCLEI) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let images = fs::read(Path::new(NUCLEI).join("images-idx3-ubyte.gz")).unwrap();
    fs::write(folder.path().join("train-images-idx3-ubyte.gz"), images).unwrap();
    let mut labels = vec![0, 0, 8, 1, 0, 0, 1, 78];
    labels.extend((0..334).map(|n| n as u8 % 2));
    fs::write(folder.path().join("train-labels-idx1-ubyte"), labels).unwrap();
    let data = load(folder.path().to_str().unwrap(), &LoadOptions::default()).unwrap();
    assert_eq!(data.shape, [1, 128, 128]);
    assert_eq!(data.train.len() + data.validation.len() + data.test.len(), 334);
}

#[test]
fn a_normalising_node_makes_raw_pixels_standard() {
    let data = load("digits", &LoadOptions::default()).unwrap();
    let mut graph = Graph::new(data.shape);
    let node = graph.push(Op::Normalize, &[graph.input()]);
    let (mean, std) = channel_statistics(&data.train);
    let mut weights = Weights::new();
    let constants = Params::Normalize { mean: Tensor::vector(mean), std: Tensor::vector(std) };
    weights.insert(node, Arc::new(constants));
    let network = Network { graph, weights };

    let mut image = vec![0.0; data.train.image_len()];
    let mut values = Vec::new();
    for index in 0..data.train.len() {
        data.train.copy_image(index, &mut image);
        values.extend(eval(&network, &image).into_iter().map(f64::from));
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| v * v).sum::<f64>() / count;
    assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
}
