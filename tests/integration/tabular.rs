//! Recorded benchmarks: what is read, what is refused, how games are scored.
use std::fmt::Write;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Stdio;

use citronade::pareto::hypervolume;
use citronade::search::STRATEGIES;
use citronade::search::Settings;
use citronade::search::VARIANTS;
use citronade::search::strategy;
use citronade::space::Space;
use citronade::tabular::Columns;
use citronade::tabular::Course;
use citronade::tabular::Latency;
use citronade::tabular::Rules;
use citronade::tabular::Table;
use citronade::tabular::TableError;
use citronade::tabular::Task;
use citronade::tabular::format;
use citronade::tabular::play;
use citronade::tabular::read;
use serde_json::Value;
use tempfile::TempDir;

use super::support::program::check_exit;
use super::support::program::citronade;
use super::support::program::run;
use super::support::program::stderr;

use crate::support::skipped::not_tried;

const NB201: &str = "../shared/data/nb201-hw/nb201_core.csv";
const GRAPHS: &str = "../shared/data/nas-bench-graph/cora.csv";

/// A table of all vectors of four decisions between three options; error and latency pull apart.
fn small() -> String {
    let mut text = "index,choices,error,lat_phone,lat_board,macs,train_s\n".to_owned();
    for n in 0..81 {
        let digits = [n / 27, n / 9 % 3, n / 3 % 3, n % 3];
        let word: String = digits.iter().map(|d| d.to_string()).collect();
        let sum: usize = digits.iter().sum();
        let bumps = (7 * n % 11) as f64 / 100.0;
        let error = 0.1 + 0.35 * (8.0 - sum as f64) / 8.0 + bumps;
        let (phone, board) = (1.0 + sum as f64, 2.0 + digits[0] as f64 * 3.0 + bumps);
        writeln!(text, "{n},{word},{error},{phone},{board},{},{}", 10 + sum, 5).unwrap();
    }
    text
}

fn read_text(text: &str, name: &str) -> Result<Table, TableError> {
    read_bytes(text.as_bytes(), name)
}

fn read_bytes(bytes: &[u8], name: &str) -> Result<Table, TableError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("table.csv");
    fs::write(&path, bytes).unwrap();
    read(&path, format(name).unwrap(), &Columns::default())
}

#[test]
fn a_bad_table_is_refused_by_line_and_column() {
    let cases = [
        ("", "the table has no rows"),
        ("index,choices,error,lat_a\n", "the table has no rows"),
        ("index,choices,error,lat_a\n0,01,0.5\n", "line 2 has 3 cells where the header has 4"),
        ("index,choices,error,lat_a\n0\n", "line 2 has 1 cell where the header has 4"),
        ("index,choices,error,lat_a,lat_a\n0,01,.1,1,1\n", "two columns called `lat_a`"),
        ("index,choices,error,latency,lat_latency\n0,01,.1,1,1\n", "two devices called `latency`"),
        ("index,choices,error,lat_a\n0,01,.5,1.7e308\n", "column `lat_a`: `1.7e308` is not"),
        ("index,choices,error,lat_a\n0,01,.5,1e-315\n", "column `lat_a`: `1e-315` is not"),
        ("index,choices,val_acc,lat_a\n0,01,101,1\n", "column `val_acc`: `101` is not a share"),
        ("index,choices,params,lat_accel\n0,01,5,1\n", "the table has no column `error` or"),
        ("index,choices,top1,lat_a\n0,01,80,1\n", "the table has no column `error` or"),
        ("index,choices,error,lat_a\n\n0,01,.5,1\n \n1,11,x,1\n\n", "line 5, column `error`: `x`"),
        ("index,choices,error\n0,01,0.5\n", "no column `lat_DEVICE`; it has index, choices, error"),
        ("index,error,lat_a\n0,0.5,1\n", "no column `choices` or `ops`"),
        ("index,choices,error,lat_a\n0,01,NaN,1\n", "line 2, column `error`: `NaN` is not a share"),
        (
            "index,choices,error,lat_a\n0,01,0.5,-1\n",
            "line 2, column `lat_a`: `-1` is not a latency above 0",
        ),
        ("index,choices,error,lat_a\n0,01,0.5,inf\n", "column `lat_a`: `inf` is not"),
        ("index,choices,error,lat_a\n0,01,-0.1,1\n", "column `error`: `-0.1` is not"),
        ("index,choices,error,lat_a\nx,01,0.1,1\n", "column `index`: `x` is not a whole number"),
        (
            "index,choices,error,lat_a\n0,01,.1,1\n0,11,.1,1\n",
            "line 3 has the same index as line 2: 0",
        ),
        (
            "index,choices,error,lat_a\n0,01,.1,1\n1,01,.1,1\n",
            "line 3 has the same choices as line 2: 01",
        ),
        (
            "index,choices,error,lat_a\n0,01,.1,1\n1,011,.1,1\n",
            "line 3, column `choices`: 3 choices where the first row has 2",
        ),
    ];
    for (text, wanted) in cases {
        let error = read_text(text, "csv").unwrap_err().to_string();
        assert!(error.contains(wanted), "`{error}` does not say `{wanted}`");
    }
    let error =
        read_bytes(b"index,choices,error,lat_a\n0,01,.5,1\n1,\xe9,.5,1\n", "csv").unwrap_err();
    assert_eq!(error.to_string(), "line 3 is not UTF-8 text: save the table as UTF-8");
    let short = "idx,ops,acc12_c10_val,lat_a\n0,421211,60,1\n1,334131,80,2\n";
    let error = read_text(short, "nb201").unwrap_err().to_string();
    assert!(error.contains("2 of the 15625") && error.contains("missing is 000000"), "{error}");
    let error = read_text("idx,ops,acc12_c10_val,lat_a\n0,721211,60,1\n", "nb201").unwrap_err();
    assert!(
        error.to_string().contains("line 2, column `ops`: decision 0 has options 0 to 4"),
        "{error}"
    );
}

#[test]
fn percent_shares_errors_and_accuracies_are_told_apart() {
    let table = |column: &str, cells: [&str; 2]| {
        let text =
            format!("index,choices,{column},lat_a\n0,a-b,{},1\n1,b-b,{},2\n", cells[0], cells[1]);
        read_text(&text, "csv").unwrap().error
    };
    let close = |found: Vec<f64>, wanted: [f64; 2]| {
        let near = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near, "{found:?} is not {wanted:?}");
    };
    close(table("error", ["0.2", "0.7"]), [0.2, 0.7]);
    close(table("error", ["20", "70"]), [0.2, 0.7]);
    close(table("val_acc", ["0.8", "0.3"]), [0.2, 0.7]);
    close(table("val_acc", ["80", "30"]), [0.2, 0.7]);
    close(table("Accuracy", ["80", "30"]), [0.2, 0.7]);
    close(table("ACC", ["0.8", "0.3"]), [0.2, 0.7]);
    // One value above 1 makes a column percent.
    close(table("error", ["1.4", "1"]), [0.014, 0.01]);
    close(table("acc", ["1.4", "1"]), [0.986, 0.99]);
    // The query and the end are on one scale.
    let both = "index,choices,error,test_error,lat_a\n0,a-b,0.5,1.4,1\n1,b-b,0.9,0.7,2\n";
    let table = read_text(both, "csv").unwrap();
    close(table.error, [0.005, 0.009]);
    close(table.final_error.unwrap(), [0.014, 0.007]);
}

#[test]
fn a_column_that_says_neither_error_nor_accuracy_is_not_taken_for_either() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("table.csv");
    fs::write(&path, "index,choices,top1,error,lat_a\n0,a-b,80,20,1\n1,b-b,30,70,2\n").unwrap();
    for columns in [
        Columns { error: Some("top1".into()), ..Columns::default() },
        Columns { final_error: Some("top1".into()), ..Columns::default() },
    ] {
        let error = read(&path, format("csv").unwrap(), &columns).unwrap_err().to_string();
        assert!(error.contains("`top1` should say either error (`err`) or accuracy"), "{error}");
    }
}

#[test]
fn a_table_from_a_spreadsheet_is_read_with_its_mark_and_its_blank_lines() {
    let table = read_text("\u{feff}index,choices,error,lat_a\r\n0,01,.5,1\r\n\r\n", "csv").unwrap();
    assert_eq!((table.len(), &table.error[..]), (1, &[0.5][..]));
}

#[test]
fn final_errors_that_are_all_beyond_the_reference_are_refused() {
    let text = "index,choices,error,test_error,lat_a\n0,a-b,0.1,0.9,1\n1,b-b,0.2,0.8,2\n";
    let table = read_text(text, "csv").unwrap();
    let rules = Rules { latency: Latency::Learnt, queries: 1, seeds: 1, reference_error: 0.6 };
    let error = rules.check(&table).unwrap_err().to_string();
    assert!(error.contains("no row has a final error below the reference of 0.6"), "{error}");
    Rules { reference_error: 0.85, ..rules }.check(&table).unwrap();
}

#[test]
fn the_true_front_has_no_regret_and_the_first_queries_all_of_it() {
    let table = read_text(&small(), "csv").unwrap();
    let device = table.device("lat_board").unwrap();
    let course = Course::new(&table.error, device, 0.6);
    let rows: Vec<usize> = (0..table.len()).collect();
    let regrets = course.regrets(&rows);
    assert!(regrets.last().unwrap().abs() < 1e-9);
    assert!(regrets.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9));
    // By the definition, in one sum over columns of the staircase.
    let slowest = device.latency.iter().copied().fold(0.0, f64::max).ln() + 0.1;
    let point = |&row: &usize| [table.error[row], device.latency[row].ln()];
    let all: Vec<[f64; 2]> = rows.iter().map(point).collect();
    let whole = hypervolume(&all, &[0.6, slowest]);
    let some = hypervolume(&all[..10], &[0.6, slowest]);
    assert!((regrets[9] - 100.0 * (1.0 - some / whole)).abs() < 1e-9);
}

#[test]
fn every_strategy_finds_every_row_and_the_same_seed_is_the_same_game() {
    let table = read_text(&small(), "csv").unwrap();
    for latency in [Latency::Learnt, Latency::Known] {
        for (name, _) in STRATEGIES.iter().chain(VARIANTS) {
            let made = || strategy(name, Settings::default()).unwrap();
            if made().cannot_run_on(table.space.as_ref()).is_some() {
                continue;
            }
            let device = table.device("phone").unwrap();
            let course = Course::new(&table.error, device, 0.6);
            let queries = table.len();
            let task = Task {
                table: &table,
                device,
                course: &course,
                latency,
                queries,
                reference_error: 0.6,
            };
            let game = |seed| play(&task, made().as_mut(), seed);
            let first = game(3).unwrap();
            let mut distinct = first.rows.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), queries, "{name}");
            assert_eq!(first, game(3).unwrap(), "{name}");
            assert_ne!(first, game(4).unwrap(), "{name}");
        }
    }
}

#[test]
fn choices_are_read_in_whatever_form_a_table_has_them() {
    for choices in [
        ["021", "210", "102"],
        ["0-2-1", "2-1-0", "1-0-2"],
        ["\"[0, 2, 1]\"", "\"[2, 1, 0]\"", "\"[1, 0, 2]\""],
        ["|0|2|1|", "|2|1|0|", "|1|0|2|"],
    ] {
        let [a, b, c] = choices;
        let text = format!("id,arch,my_error,board_ms\n7,{a},.3,4\n9,{b},.2,5\n8,{c},.4,6\n");
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, text).unwrap();
        let columns = Columns { devices: vec!["board_ms".into()], ..Columns::default() };
        let table = read(&path, format("csv").unwrap(), &columns).unwrap();
        assert_eq!((&table.index[..], &table.error[..]), (&[7, 9, 8][..], &[0.3, 0.2, 0.4][..]));
        assert_eq!(table.device("board_ms").unwrap().latency, [4.0, 5.0, 6.0]);
        let all: Vec<_> =
            table.space.all().unwrap().iter().map(|a| a.choices().unwrap().clone()).collect();
        assert_eq!(all, [vec![0, 2, 1], vec![2, 1, 0], vec![1, 0, 2]], "{choices:?}");
    }
}

/// All depths, kernels and widths, each in its own words; error and latency pull apart.
fn own_words() -> String {
    let mut text = "index,choices,error,lat_phone\n".to_owned();
    for n in 0..60 {
        let (depth, kernel, width) = ([2, 3, 4][n / 20], [3, 5, 7, 11][n / 5 % 4], n % 5);
        let width = [8, 16, 32, 64, 128][width];
        let size = (depth * kernel * width) as f64;
        writeln!(text, "{n},{depth}-{kernel}-{width},{},{size}", 0.5 / (1.0 + size.ln())).unwrap();
    }
    text
}

#[test]
fn decisions_with_words_of_their_own_have_no_options_that_are_nowhere() {
    let table = read_text(&own_words(), "csv").unwrap();
    let space = table.space.choices().unwrap();
    assert_eq!(space.options(), [3, 4, 5]);
    // By value, not 128 before 16.
    assert_eq!(space.parse("3-11-128").unwrap(), [1, 3, 4]);
    let error = space.parse("5-3-8").unwrap_err().to_string();
    assert_eq!(error, "5 is not one of 2, 3, 4");
    for row in table.space.all().unwrap() {
        assert!(table.space.features(row).counts.is_empty(), "counts of unrelated words");
        assert_eq!(
            space.parse(&space.text(row.choices().unwrap())),
            Ok(row.choices().unwrap().clone())
        );
    }
    let shared = read_text(&small(), "csv").unwrap();
    let first = &shared.space.all().unwrap()[0];
    assert_eq!(shared.space.features(first).counts, [4.0, 0.0, 0.0]);
}

/// Whatever a decision's options are called, a controller draws the same ones, and all of them exist.
#[test]
fn the_words_of_a_table_change_nothing_for_a_controller() {
    let told_apart = small().lines().enumerate().fold(String::new(), |mut text, (n, line)| {
        let cells: Vec<&str> = line.split(',').collect();
        let word: Vec<String> =
            cells[1].chars().zip("abcd".chars()).map(|(c, at)| format!("{at}{c}")).collect();
        let word = if n == 0 { cells[1].to_owned() } else { word.join("-") };
        writeln!(text, "{},{word},{}", cells[0], cells[2..].join(",")).unwrap();
        text
    });
    let [shared, apart] = [small(), told_apart].map(|text| read_text(&text, "csv").unwrap());
    let rows = |table: &Table| {
        let device = table.device("phone").unwrap();
        let course = Course::new(&table.error, device, 0.6);
        let (latency, queries) = (Latency::Learnt, 60);
        let task = Task { table, device, course: &course, latency, queries, reference_error: 0.6 };
        play(&task, strategy("reinforce", Settings::default()).unwrap().as_mut(), 3).unwrap().rows
    };
    assert_eq!(rows(&shared), rows(&apart));
}

/// The two tables that come with the design, where they are.
#[test]
fn recorded_tables_are_read_whole() {
    for (path, name, rows, devices) in
        [(NB201, "nb201", 15_625, 8), (GRAPHS, "nas-bench-graph", 26_206, 1)]
    {
        if !Path::new(path).exists() {
            not_tried(&format!("not read: {path} is not here"));
            continue;
        }
        let table = read(Path::new(path), format(name).unwrap(), &Columns::default()).unwrap();
        assert_eq!((table.len(), table.devices.len()), (rows, devices), "{name}");
        assert!(table.final_error.is_some());
    }
}

#[test]
fn bench_writes_table_trace_summary_and_picture() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), small()).unwrap();
    let common =
        ["bench", "--benchmark", "csv", "--table", "t.csv", "--seeds", "3", "--queries", "60"];
    let chosen = ["--strategy", "random,nsga2", "--device", "phone", "--device", "lat_board"];
    let files = ["--trace", "t.jsonl", "--svg", "t.svg", "--json"];
    let output = run(folder, &[&common[..], &chosen, &files].concat());
    check_exit(&output, 0);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["schema"], "citronade.bench.v1");
    let results = said["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    assert_eq!(results[0]["simulated_seconds"], 300.0);
    assert!(results[0]["regret"]["50"]["mean"].as_f64().unwrap() > 0.0);
    assert_eq!(said["paired"].as_array().unwrap().len(), 1);
    let trace = fs::read_to_string(folder.join("t.jsonl")).unwrap();
    assert_eq!(trace.lines().count(), 4 * 3 * 60);
    let line: Value = serde_json::from_str(trace.lines().next().unwrap()).unwrap();
    assert_eq!((&line["strategy"], &line["query"]), (&Value::from("random"), &Value::from(1)));
    assert!(fs::read_to_string(folder.join("t.svg")).unwrap().starts_with("<svg"));
    // The summary can be had from the trace alone.
    let table = read(&folder.join("t.csv"), format("csv").unwrap(), &Columns::default()).unwrap();
    let course = Course::new(&table.error, table.device("phone").unwrap(), 0.6);
    let lines: Vec<Value> = trace.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let regret = |seed: u64| {
        let mine =
            |l: &&Value| l["strategy"] == "nsga2" && l["device"] == "phone" && l["seed"] == seed;
        let rows: Vec<usize> =
            lines.iter().filter(mine).map(|l| l["arch"].as_u64().unwrap() as usize).collect();
        course.regrets(&rows)[49]
    };
    let mean = (regret(0) + regret(1) + regret(2)) / 3.0;
    let told = results.iter().find(|r| r["strategy"] == "nsga2" && r["device"] == "phone").unwrap();
    assert!((told["regret"]["50"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);

    let output = run(folder, &[&common[..], &chosen].concat());
    check_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    // The last query is told, too; a game's training takes 60 times 5 s.
    assert_eq!(results[0]["regret"].as_object().unwrap().keys().collect::<Vec<_>>(), ["50", "60"]);
    for part in [
        "phone",
        "board",
        "mean over the devices",
        "paired by seed",
        "in % after 50 / 60 queries",
        " s         300 s\n",
    ] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

#[test]
fn a_bad_table_is_refused_on_the_command_line_before_anything_is_played() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let row = "index,choices,error,lat_a\n0,01,.5,1\n";
    let graph = "hash,valid_perf,test_perf,latency\n0,0.7,0.7,0.005\n1,0.8,0.8,0.006\n";
    let cell = "idx,ops,acc12_c10_val,lat_a\n0,000000,60,1\n";
    let cases = [
        ("csv", format!("{row}1,11,NaN,1\n"), "line 3, column `error`: `NaN` is not a share"),
        ("csv", format!("{row}0,11,.4,1\n"), "line 3 has the same index as line 2: 0"),
        ("csv", format!("{row}1,11,.4,-1\n"), "line 3, column `lat_a`: `-1` is not a latency"),
        ("csv", format!("{row}1,11,.4\n"), "line 3 has 3 cells where the header has 4"),
        (
            "nb201",
            cell.to_owned(),
            "1 of the 15625 architectures of NAS-Bench-201; the first that is missing is 000001",
        ),
        ("nas-bench-graph", graph.to_owned(), "2 of the 26206 architectures of NAS-Bench-Graph"),
    ];
    for (benchmark, text, wanted) in cases {
        fs::write(folder.join("bad.csv"), text).unwrap();
        let files = ["--table", "bad.csv", "--queries", "1", "--trace", "t.jsonl"];
        let output = run(folder, &[&["bench", "--benchmark", benchmark], &files[..]].concat());
        check_exit(&output, 3);
        let said = stderr(&output);
        assert!(said.contains("cannot use the table bad.csv") && said.contains(wanted), "{said}");
        assert!(output.stdout.is_empty() && !folder.join("t.jsonl").exists(), "{wanted}");
    }
}

#[test]
fn what_cannot_be_played_is_said_with_the_right_code() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), small()).unwrap();
    let cases: [(&[&str], i32, &str); 19] = [
        (&["--device", "toaster"], 2, "no latencies of `toaster`; it has those of phone, board"),
        (&["--device", "lat_phne"], 2, "did you mean `phone`?"),
        (&["--queries", "82"], 2, "82 queries are more than the 81 rows"),
        (&["--queries", "0"], 2, "0 is not in 1.."),
        (&["--strategy", "rndom"], 2, "a similar value exists: 'random'"),
        (&["--latency", "know"], 2, "a similar value exists: 'known'"),
        (&["--benchmark", "nb202"], 2, "a similar value exists: 'nb201'"),
        (&["--seeds", "0"], 2, "0 is not in 1..=10000"),
        (&["--seeds", "18446744073709551615"], 2, "is not in 1..=10000"),
        (&["--reference-error", "5%"], 3, "no row has an error below the reference"),
        (&["--reference-error", "60"], 2, "did you mean `60%`?"),
        (&["--reference-error", "0"], 2, "a share above 0"),
        (&["--error", "acc"], 3, "no column `acc`"),
        (&["--strategy", "random,nash"], 3, "nash cannot play here: it climbs by morphisms"),
        (&["--svg", "absent/t.svg"], 2, "cannot write `absent/t.svg`"),
        (&["--trace", "absent/t.jsonl"], 2, "cannot write `absent/t.jsonl`"),
        (&["--trace", "./t.csv"], 2, "`./t.csv` would be overwritten"),
        (&["--svg", "t.csv"], 2, "`t.csv` would be overwritten"),
        (&["--trace", "t.out", "--svg", "t.out"], 2, "`t.out` would be overwritten"),
    ];
    for (arguments, code, wanted) in cases {
        let mut all = vec!["bench", "--table", "t.csv"];
        for (flag, value) in [("--benchmark", "csv"), ("--queries", "50")] {
            if !arguments.contains(&flag) {
                all.extend([flag, value]);
            }
        }
        let output = run(folder, &[&all[..], arguments].concat());
        check_exit(&output, code);
        let said = stderr(&output);
        assert!(said.contains(wanted), "{arguments:?}: {said}");
        assert!(!said.contains(" on phone …"), "{arguments:?}: played all the same: {said}");
    }
    assert_eq!(fs::read_to_string(folder.join("t.csv")).unwrap(), small());
    let output = run(folder, &["bench", "--benchmark", "csv", "--table", "absent.csv"]);
    check_exit(&output, 3);
    let error = format("nb202").unwrap_err().to_string();
    assert!(error.ends_with("nb201, nas-bench-graph, csv; did you mean `nb201`?"), "{error}");
}

#[test]
fn a_device_or_strategy_that_is_named_twice_plays_once() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), small()).unwrap();
    let game = ["--benchmark", "csv", "--table", "t.csv", "--seeds", "1", "--queries", "1"];
    let twice = ["--device", "phone,lat_phone", "--strategy", "random,random"];
    let output = run(folder, &[&["bench"], &game[..], &twice, &["--json"]].concat());
    check_exit(&output, 0);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["results"].as_array().unwrap().len(), 1);
    let output = run(folder, &[&["bench"], &game[..], &twice].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 seed: hypervolume regret in % after 1 query ("), "{text}");
    assert_eq!(text.matches("  random").count(), 1, "{text}");
}

#[test]
fn regret_on_the_final_error_is_told_as_a_mean_over_the_devices() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    // In the end twice as far from the best error of all.
    let lines = small();
    let mut lines = lines.lines();
    let mut text = format!("{},test_error\n", lines.next().unwrap());
    for line in lines {
        let error: f64 = line.split(',').nth(2).unwrap().parse().unwrap();
        writeln!(text, "{line},{}", 0.1 + (error - 0.1) / 2.0).unwrap();
    }
    fs::write(folder.join("t.csv"), text).unwrap();
    let game = ["bench", "--benchmark", "csv", "--table", "t.csv", "--seeds", "2"];
    let chosen = ["--strategy", "random", "--queries", "60"];
    let output = run(folder, &[&game[..], &chosen, &["--json"]].concat());
    check_exit(&output, 0);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    for regret in ["regret", "final_regret"] {
        let of = |result: &Value| result[regret]["50"]["mean"].as_f64().unwrap();
        let devices = said["results"].as_array().unwrap();
        let mean = devices.iter().map(of).sum::<f64>() / devices.len() as f64;
        assert!((of(&said["mean"][0]) - mean).abs() < 1e-9 && mean > 0.0, "{said}");
    }
    let output = run(folder, &[&game[..], &chosen].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nmean over the devices, final error\n  random "), "{text}");
}

#[test]
fn what_was_played_before_an_interrupt_is_told_and_written() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), small()).unwrap();
    let game = ["bench", "--benchmark", "csv", "--table", "t.csv", "--seeds", "300"];
    let chosen = ["--device", "phone,board", "--strategy", "random,citron", "--queries", "60"];
    let files = ["--trace", "t.jsonl", "--svg", "t.svg"];
    let mut command = citronade(folder, &[&game[..], &chosen, &files].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("citron on phone")));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(said.any(|line| line == "error: interrupted"));
    let output = child.wait_with_output().unwrap();
    check_exit(&output, 130);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nboard\n  random ") && !text.contains("citron"), "{text}");
    check_games_so_far(folder);
    assert!(fs::read_to_string(folder.join("t.svg")).unwrap().contains("random"));
}

/// All games of random, and those of citron that were over, seed by seed.
fn check_games_so_far(folder: &Path) {
    let trace = fs::read_to_string(folder.join("t.jsonl")).unwrap();
    // A kill may come amid a line.
    let whole = trace.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines: Vec<Value> = whole.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| lines.iter().filter(|line| line["strategy"] == name).collect::<Vec<_>>();
    assert_eq!(of("random").len(), 2 * 300 * 60);
    for (n, line) in of("citron").into_iter().enumerate() {
        assert_eq!((&line["seed"], &line["query"]), (&(n / 60).into(), &(n % 60 + 1).into()));
    }
}

#[test]
fn what_was_played_before_a_kill_is_in_the_trace() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), small()).unwrap();
    let game = ["bench", "--benchmark", "csv", "--table", "t.csv", "--seeds", "300"];
    let chosen = ["--device", "phone,board", "--strategy", "random,citron", "--queries", "60"];
    let mut command = citronade(folder, &[&game[..], &chosen, &["--trace", "t.jsonl"]].concat());
    command.stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("citron on phone")));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it ended before it was killed");
    check_games_so_far(folder);
}
