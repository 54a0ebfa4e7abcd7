//! Recorded benchmarks: what is read, what is refused, how games are scored.
use std::fmt::Write;
use std::fs;
use std::path::Path;

use citronade::pareto::hypervolume;
use citronade::search::STRATEGIES;
use citronade::search::Settings;
use citronade::search::VARIANTS;
use citronade::search::strategy;
use citronade::space::Space;
use citronade::tabular::Columns;
use citronade::tabular::Course;
use citronade::tabular::Latency;
use citronade::tabular::Table;
use citronade::tabular::TableError;
use citronade::tabular::Task;
use citronade::tabular::format;
use citronade::tabular::play;
use citronade::tabular::read;
use serde_json::Value;
use tempfile::TempDir;

use super::support::program::check_exit;
use super::support::program::run;
use super::support::program::stderr;

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
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("table.csv");
    fs::write(&path, text).unwrap();
    read(&path, format(name).unwrap(), &Columns::default())
}

#[test]
fn a_bad_table_is_refused_by_line_and_column() {
    let cases = [
        ("", "the table has no rows"),
        ("index,choices,error,lat_a\n", "the table has no rows"),
        ("index,choices,error,lat_a\n0,01,0.5\n", "line 2 has 3 cells where the header has 4"),
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
    let close =
        |a: Vec<f64>| assert!((a[0] - 0.2).abs() < 1e-9 && (a[1] - 0.7).abs() < 1e-9, "{a:?}");
    close(table("error", ["0.2", "0.7"]));
    close(table("error", ["20", "70"]));
    close(table("val_acc", ["0.8", "0.3"]));
    close(table("val_acc", ["80", "30"]));
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
fn every_strategy_plays_to_the_end_and_the_same_seed_is_the_same_game() {
    let table = read_text(&small(), "csv").unwrap();
    for latency in [Latency::Learnt, Latency::Known] {
        for (name, _) in STRATEGIES.iter().chain(VARIANTS) {
            let made = || strategy(name, Settings::default()).unwrap();
            if made().cannot_run_on(table.space.as_ref()).is_some() {
                continue;
            }
            let device = table.device("phone").unwrap();
            let course = Course::new(&table.error, device, 0.6);
            let queries = 60;
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
        ["021", "210"],
        ["0-2-1", "2-1-0"],
        ["\"[0, 2, 1]\"", "\"[2, 1, 0]\""],
        ["|0|2|1|", "|2|1|0|"],
    ] {
        let text =
            format!("id,arch,my_error,board_ms\n7,{},0.3,4\n9,{},0.2,5\n", choices[0], choices[1]);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, text).unwrap();
        let columns = Columns { devices: vec!["board_ms".into()], ..Columns::default() };
        let table = read(&path, format("csv").unwrap(), &columns).unwrap();
        assert_eq!((&table.index[..], &table.error[..]), (&[7, 9][..], &[0.3, 0.2][..]));
        assert_eq!(table.device("board_ms").unwrap().latency, [4.0, 5.0]);
        let all: Vec<_> =
            table.space.all().unwrap().iter().map(|a| a.choices().unwrap().clone()).collect();
        assert_eq!(all, [vec![0, 2, 1], vec![2, 1, 0]], "{choices:?}");
    }
}

/// The two tables that come with the design, where they are.
#[test]
fn recorded_tables_are_read_whole() {
    for (path, name, rows, devices) in
        [(NB201, "nb201", 15_625, 8), (GRAPHS, "nas-bench-graph", 26_206, 1)]
    {
        if !Path::new(path).exists() {
            eprintln!("not read: {path} is not here");
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
    for part in ["phone", "board", "mean over the devices", "paired by seed"] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

#[test]
fn what_cannot_be_played_is_said_with_the_right_code() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("t.csv"), small()).unwrap();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--device", "toaster"], 2, "no latencies of `toaster`; it has those of phone, board"),
        (&["--queries", "82"], 2, "82 queries are more than the 81 rows"),
        (&["--strategy", "magic"], 2, "no strategy `magic`"),
        (&["--latency", "free"], 2, "`free` is no class of latency"),
        (&["--seeds", "0"], 2, "at least one"),
        (&["--reference-error", "5%"], 3, "no row has an error below the reference"),
        (&["--error", "acc"], 3, "no column `acc`"),
        (&["--strategy", "nash"], 3, "nash cannot play here: it climbs by morphisms"),
    ];
    for (arguments, code, wanted) in cases {
        let common = ["bench", "--benchmark", "csv", "--table", "t.csv", "--queries", "50"];
        let arguments = match arguments.contains(&"--queries") {
            true => [&common[..5], arguments].concat(),
            false => [&common[..], arguments].concat(),
        };
        let output = run(folder, &arguments);
        check_exit(&output, code);
        assert!(stderr(&output).contains(wanted), "{arguments:?}: {}", stderr(&output));
    }
    let output = run(folder, &["bench", "--benchmark", "csv", "--table", "absent.csv"]);
    check_exit(&output, 3);
    let output = run(folder, &["bench", "--benchmark", "imagenet", "--table", "t.csv"]);
    check_exit(&output, 2);
    assert!(stderr(&output).contains("nb201, nas-bench-graph, csv"), "{}", stderr(&output));
}
