//! Fronts and hypervolumes of many points: `cargo bench --bench pareto`.
//!
//! "Cloud" is uniform, so that few points survive; on the "sphere" all of them do, the worst case.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
use std::time::Duration;
use std::time::Instant;

use citronade::pareto::front;
use citronade::pareto::hypervolume;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const REPEATS: usize = 3;

fn main() {
    println!("best of {REPEATS}");
    println!(
        "{:>8} {:>8} {:>2} {:>8} {:>12} {:>12}",
        "points", "", "d", "front", "front", "volume"
    );
    for n in [1_000, 1_000_000] {
        row::<2>("cloud", n, cloud);
        row::<2>("sphere", n, sphere);
        row::<3>("cloud", n, cloud);
        row::<3>("sphere", n, sphere);
        row::<4>("cloud", n, cloud);
    }
    row::<4>("sphere", 1_000, sphere);
}

fn row<const D: usize>(
    name: &str,
    n: usize,
    make: impl Fn(usize, &mut ChaCha8Rng) -> Vec<[f64; D]>,
) {
    let points = make(n, &mut ChaCha8Rng::seed_from_u64(1));
    let (kept, front_time) = best(|| front(&points).len());
    let (_, volume_time) = best(|| hypervolume(&points, &[1.0; D]));
    println!("{n:>8} {name:>8} {D:>2} {kept:>8} {front_time:>12.2?} {volume_time:>12.2?}");
}

/// The result of `work`, and its shortest time.
fn best<T>(work: impl Fn() -> T) -> (T, Duration) {
    let timed = || {
        let start = Instant::now();
        let result = work();
        (result, start.elapsed())
    };
    let runs = (0..REPEATS).map(|_| timed());
    runs.min_by_key(|run| run.1).expect("it is run more than once")
}

fn cloud<const D: usize>(n: usize, rng: &mut ChaCha8Rng) -> Vec<[f64; D]> {
    (0..n).map(|_| std::array::from_fn(|_| rng.random_range(0.0..1.0))).collect()
}

fn sphere<const D: usize>(n: usize, rng: &mut ChaCha8Rng) -> Vec<[f64; D]> {
    let outwards = |raw: [f64; D]| {
        let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
        raw.map(|x| 1.0 - x / length)
    };
    (0..n).map(|_| outwards(std::array::from_fn(|_| rng.random_range(0.0..1.0)))).collect()
}
