//! Strategies that learn, on a small recorded benchmark: do they find more than by chance?
use std::fmt::Write;
use std::fs;

use citronade::search::Settings;
use citronade::search::strategy;
use citronade::tabular::Columns;
use citronade::tabular::Course;
use citronade::tabular::Latency;
use citronade::tabular::Table;
use citronade::tabular::Task;
use citronade::tabular::format;
use citronade::tabular::play;
use citronade::tabular::read;
use tempfile::TempDir;

const REFERENCE: f64 = 0.6;
const QUERIES: usize = 60;
const SEEDS: u64 = 3;

/// Five decisions between four options: the later an option the less error and the more latency,
/// each decision in its own measure, and two of them together.
fn table() -> Table {
    let mut csv = "index,choices,error,lat_board\n".to_owned();
    for index in 0..1024_usize {
        let [a, b, c, d, e] = [0, 2, 4, 6, 8].map(|bit| index >> bit & 3);
        let [x, y, z, v, w] = [a, b, c, d, e].map(|option| option as f64);
        let error = 0.5 - 0.07 * x - 0.02 * y + 0.02 * z - 0.01 * v * (3.0 - w);
        let latency = 2.0 + x + 3.0 * y + 0.5 * z * z + v + 2.0 * w;
        writeln!(csv, "{index},{a}-{b}-{c}-{d}-{e},{error},{latency}").unwrap();
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("table.csv");
    fs::write(&path, csv).unwrap();
    read(&path, format("csv").unwrap(), &Columns::default()).unwrap()
}

fn mean_regret(table: &Table, name: &str, latency: Latency, seeds: u64) -> f64 {
    let device = table.device("board").unwrap();
    let course = Course::new(&table.error, device, REFERENCE);
    let (queries, reference_error) = (QUERIES, REFERENCE);
    let task = Task { table, device, course: &course, latency, queries, reference_error };
    let regret = |seed| {
        let mut strategy = strategy(name, Settings::default()).unwrap();
        let trace = play(&task, strategy.as_mut(), seed).unwrap();
        assert_eq!(trace.rows.len(), QUERIES);
        course.regrets(&trace.rows)[QUERIES - 1]
    };
    (0..seeds).map(regret).sum::<f64>() / seeds as f64
}

#[track_caller]
fn check_beats_chance(name: &str, share: f64) {
    let table = table();
    let chance = mean_regret(&table, "random", Latency::Learnt, SEEDS);
    for latency in [Latency::Learnt, Latency::Known] {
        let regret = mean_regret(&table, name, latency, SEEDS);
        assert!(regret < share * chance, "{name} {latency:?}: {regret}, by chance {chance}");
    }
}

#[test]
fn bananas_finds_a_front_in_fewer_queries_than_chance() {
    check_beats_chance("bananas", 0.5);
}

#[test]
fn reinforce_finds_a_front_in_fewer_queries_than_chance() {
    check_beats_chance("reinforce", 0.9);
}

#[test]
fn citron_finds_nearly_the_whole_front_and_qnehvi_most_of_it() {
    check_beats_chance("citron", 0.2);
    check_beats_chance("qnehvi", 0.5);
}

#[test]
fn those_without_a_model_find_a_front_in_fewer_queries_than_chance() {
    check_beats_chance("regularized-evolution", 0.9);
    check_beats_chance("nsga2", 0.9);
    check_beats_chance("local-search", 0.7);
    check_beats_chance("lemonade", 0.5);
}

#[test]
fn accepting_by_surrogate_is_better_than_by_density() {
    let table = table();
    for latency in [Latency::Learnt, Latency::Known] {
        let [gain, density] =
            ["lemonade", "lemonade:density"].map(|name| mean_regret(&table, name, latency, 20));
        assert!(gain < 0.75 * density, "{latency:?}: {gain}, by density {density}");
    }
}
