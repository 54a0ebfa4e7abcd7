//! Fronts and hypervolumes against other programs and against chance.
use std::path::Path;

use citronade::pareto::Archive;
use citronade::pareto::Member;
use citronade::pareto::Objective;
use citronade::pareto::Reference;
use citronade::pareto::Value;
use citronade::pareto::crowding;
use citronade::pareto::front;
use citronade::pareto::hypervolume;
use citronade::pareto::ranks;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// As `golden/make_hypervolume.py` writes it.
#[derive(Deserialize)]
struct Case {
    kind: String,
    reference: Vec<f64>,
    points: Vec<Vec<f64>>,
    front: Vec<usize>,
    hypervolume: f64,
}

#[test]
fn fronts_and_hypervolumes_agree_with_moocore_and_pymoo() {
    let path = Path::new("tests/integration/golden/hypervolume.json");
    let text = std::fs::read_to_string(path).expect("a golden file is part of the repository");
    let cases: Vec<Case> = serde_json::from_str(&text).expect("its script writes this form");
    assert_eq!(cases.len(), 54);
    for case in cases {
        let name = format!("{} of {} in {:?}", case.points.len(), case.kind, case.reference);
        assert_eq!(front(&case.points), case.front, "{name}");
        let found = hypervolume(&case.points, &case.reference);
        assert!((found - case.hypervolume).abs() < 1e-12, "{name}: {found} {}", case.hypervolume);
    }
}

/// As `golden/make_ranks.py` writes it.
#[derive(Deserialize)]
struct Population {
    points: Vec<Vec<f64>>,
    ranks: Vec<usize>,
    /// Within each rank; -1 for infinite.
    crowding: Vec<f64>,
}

#[test]
fn ranks_and_crowding_agree_with_pymoo() {
    let text = std::fs::read_to_string("tests/integration/golden/ranks.json").unwrap();
    let populations: Vec<Population> = serde_json::from_str(&text).unwrap();
    assert_eq!(populations.len(), 12);
    for Population { points, ranks: expected, crowding: distances } in populations {
        assert_eq!(ranks(&points), expected);
        for rank in 0..=*expected.iter().max().unwrap() {
            let of_rank: Vec<usize> = (0..points.len()).filter(|&i| expected[i] == rank).collect();
            let members: Vec<&[f64]> = of_rank.iter().map(|&i| &points[i][..]).collect();
            if members.len() == 1 {
                // pymoo has 0 for one that has no neighbours at all.
                continue;
            }
            for (&i, found) in of_rank.iter().zip(crowding(&members)) {
                let wanted = if distances[i] < 0.0 { f64::INFINITY } else { distances[i] };
                assert!(found == wanted || (found - wanted).abs() < 1e-9, "{found} {wanted}");
            }
        }
    }
}

/// Points on a sphere: none dominates another.
fn sphere(n: usize, d: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let point = |rng: &mut ChaCha8Rng| {
        let raw: Vec<f64> = (0..d).map(|_| rng.random_range(0.01..1.0)).collect();
        let length = raw.iter().map(|x: &f64| x * x).sum::<f64>().sqrt();
        raw.iter().map(|x| 1.0 - x / length).collect()
    };
    (0..n).map(|_| point(rng)).collect()
}

/// Five standard errors of a share of 20,000 darts are under 0.018.
#[test]
fn the_hypervolume_is_the_share_of_darts_that_are_dominated() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for d in 1..=6 {
        let points = sphere(25, d, &mut rng);
        let darts = 20_000;
        let hits = (0..darts).filter(|_| {
            let dart: Vec<f64> = (0..d).map(|_| rng.random_range(0.0..1.0)).collect();
            points.iter().any(|p| p.iter().zip(&dart).all(|(p, x)| p <= x))
        });
        let expected = hits.count() as f64 / f64::from(darts);
        let found = hypervolume(&points, &vec![1.0; d]);
        assert!((found - expected).abs() < 0.018, "{d} objectives: {found} {expected}");
    }
}

/// What is behind each point of the sphere is dominated by it.
#[test]
fn large_fronts_keep_all_of_a_sphere_and_nothing_behind_it() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    for d in 2..=4 {
        let mut points = sphere(5_000, d, &mut rng);
        let behind = points.iter().map(|p| p.iter().map(|x| x + 1e-3).collect());
        let behind: Vec<Vec<f64>> = behind.collect();
        points.extend(behind);
        assert_eq!(front(&points), (0..5_000).collect::<Vec<usize>>(), "{d} objectives");
    }
}

/// The quarter disc that a dense front on the unit circle leaves out is known.
#[test]
fn the_hypervolume_of_a_circle_is_a_circle() {
    let n = 100_000;
    let angle = |i: usize| std::f64::consts::FRAC_PI_2 * (i as f64 + 0.5) / n as f64;
    let points: Vec<[f64; 2]> =
        (0..n).map(|i| [1.0 - angle(i).cos(), 1.0 - angle(i).sin()]).collect();
    let found = hypervolume(&points, &[1.0, 1.0]);
    assert!((found - std::f64::consts::FRAC_PI_4).abs() < 1e-4, "{found}");
}

#[test]
fn members_of_an_archive_hold_all_of_its_hypervolume_where_nothing_is_noisy() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let objectives = vec![Objective::Error, Objective::Latency, Objective::Parameters];
    let reference =
        Reference::new(objectives.clone(), vec![0.9, 5000.0, 1e6]).expect("all ends are positive");
    let candidate = |id, rng: &mut ChaCha8Rng| Member {
        id,
        values: [0.0..1.0, 50.0..6000.0, 1e4..1.2e6]
            .map(|range: std::ops::Range<f64>| Value::exact(rng.random_range(range)))
            .to_vec(),
    };
    let candidates: Vec<Member> = (1..=200).map(|id| candidate(id, &mut rng)).collect();
    let all: Vec<Vec<f64>> = candidates.iter().map(Member::point).collect();
    let archive = Archive::from_members(objectives, candidates);
    let members: Vec<Vec<f64>> = archive.members().iter().map(|m| m.point()).collect();
    assert!(members.len() < all.len() / 2);
    let (found, expected) = (reference.hypervolume(&members), reference.hypervolume(&all));
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}
