//! Reports of a made-up run, as people and programs read them.
use citronade::pareto::Objective;
use citronade::report::*;
use citronade::space::Drawing;
use citronade::space::Row;
use citronade::store::*;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::runs::records;
use crate::support::runs::run_record;

fn reported(run: &RunRecord, steps: &[Record]) -> RunReport {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&folder.path().join("citronade.db")).unwrap();
    store.begin_run(run).unwrap();
    store.commit(&run.id, steps).unwrap();
    RunReport::read(&store.reader().unwrap(), &run.id, 0).unwrap()
}

fn small() -> RunReport {
    let mut steps = records(3, 7);
    steps.push(Record::Tested { candidate: 6, error: 0.07 });
    reported(&run_record(), &steps)
}

/// A run whose every text would like to be a script, an escape sequence or a whole page.
fn hostile() -> RunReport {
    let script = "<img src=x onerror=alert(1)>\"'&]]><script>alert(2)</script>\u{1b}[2J\u{202e}";
    let long = "Ω𝔘".repeat(5000);
    let run = RunRecord {
        id: format!("{script}{long}"),
        devices: vec![RunDevice {
            name: format!("{script}{long}"),
            runtime: format!("{script} {long}"),
            reference: run_record().devices[0].reference.clone(),
        }],
        data: format!("{long}{script}"),
        data_hash: script.to_owned(),
        config: format!("{{\"trainer\": {}}}", serde_json::to_string(script).unwrap()),
        ..run_record()
    };
    let mut steps = records(8, 7);
    for step in &mut steps {
        match step {
            Record::Accepted(r) => r.steps.iter_mut().for_each(|s| s.morphism = script.to_owned()),
            Record::Measured(r) => r.verdict = script.to_owned(),
            Record::Trained(r) => r.outcomes.iter_mut().for_each(|o| {
                o.step.morphism = script.to_owned();
                o.step.choice = long.clone();
            }),
            Record::Ended(r) => r.reason = script.to_owned(),
            Record::Told(_) | Record::Tested { .. } => {}
        }
    }
    reported(&run, &steps)
}

/// A run in which nothing has happened yet.
fn empty() -> RunReport {
    let mut run = run_record();
    run.devices[0].reference = None;
    reported(&run, &[])
}

#[test]
fn the_table_is_sorted_along_latency_with_the_knee_marked() {
    insta::assert_snapshot!(table(&small().front, 160, false), @r"
    front of run 20261124-131502-7f3a: 10 members, hypervolume 0.5753
    digits on local, tract 0.23.9, 1 thread, limit latency ≤ 60 µs

    candidate          error  95 %             test  latency  95 %            memory  params    macs    size  verdict  family    lineage
           18        20.97 %  16.77–25.18 %       –   4.3 µs  4.3–4.4 µs    180.6 kB      71     872  1.5 kB  stable   ● seed 1  separable
           19        17.71 %  13.77–21.66 %       –   4.3 µs  4.3–4.4 µs    180.6 kB      71     872  1.5 kB  stable   ● seed 1  separable › widen › prune
            1  knee  12.95 %  9.48–16.42 %        –   4.6 µs  4.5–4.7 µs    180.8 kB      94   2.3 k  1.6 kB  stable   ● seed 1
           22         8.24 %  5.40–11.08 %        –   6.3 µs  6.2–6.4 µs    181.8 kB     195   5.3 k  2.0 kB  stable   ■ seed 2  prune › prune
            9         8.14 %  5.31–10.96 %        –   6.7 µs  6.5–6.8 µs    182.1 kB     235   7.6 k  2.1 kB  stable   ■ seed 2  prune
            2         6.75 %  4.16–9.34 %         –   7.0 µs  6.9–7.2 µs    182.5 kB     275   9.9 k  2.3 kB  stable   ■ seed 2
            5         6.12 %  3.65–8.60 %         –   7.8 µs  7.7–8.0 µs    183.2 kB     355  14.5 k  2.6 kB  stable   ■ seed 2  widen
           13         4.46 %  2.33–6.59 %         –   9.0 µs  8.8–9.1 µs    184.3 kB     475  21.4 k  3.1 kB  stable   ■ seed 2  widen › widen
           12         3.86 %  1.87–5.85 %         –  10.6 µs  10.4–10.8 µs  185.6 kB     626  24.0 k  3.7 kB  stable   ■ seed 2  widen › deepen › widen › prune
            6         3.67 %  1.73–5.61 %    7.00 %  10.6 µs  10.4–10.8 µs  185.1 kB     562  24.2 k  3.4 kB  stable   ■ seed 2  widen › deepen
    ");
}

#[test]
fn a_narrow_table_keeps_what_matters() {
    insta::assert_snapshot!(table(&small().front, 60, false), @r"
    front of run 20261124-131502-7f3a: 10 members, hypervolume 0.5753
    digits on local, tract 0.23.9, 1 thread, limit latency ≤ 60 µs

    candidate          error    test  latency    memory  params
           18        20.97 %       –   4.3 µs  180.6 kB      71
           19        17.71 %       –   4.3 µs  180.6 kB      71
            1  knee  12.95 %       –   4.6 µs  180.8 kB      94
           22         8.24 %       –   6.3 µs  181.8 kB     195
            9         8.14 %       –   6.7 µs  182.1 kB     235
            2         6.75 %       –   7.0 µs  182.5 kB     275
            5         6.12 %       –   7.8 µs  183.2 kB     355
           13         4.46 %       –   9.0 µs  184.3 kB     475
           12         3.86 %       –  10.6 µs  185.6 kB     626
            6         3.67 %  7.00 %  10.6 µs  185.1 kB     562
    ");
}

#[test]
fn the_plot_fits_a_terminal() {
    insta::assert_snapshot!(terminal(&small().front, 76, 20, false), @r"
    validation error
             ┤                                                              ┊░░░
        25 % ┤                                                              ┊░░░
             ┤                                                              ┊░░░
             ┤   ─●                                                         ┊░░░
        20 % ┤                                                              ┊░░░
             ┤   ─●                                                         ┊░░░
        15 % ┤                                                              ┊░░░
             ┤     ◎─                                                       ┊░░░
             ┤                                                              ┊░░░
        10 % ┤                                                              ┊░░░
             ┤            ■■─                                               ┊░░░
         5 % ┤              ─■─■                                            ┊░░░
             ┤                   ─■  ■■· ··   ·                             ┊░░░
             ┤                                                              ┊░░░
         0 % ┤                                                              ┊░░░
             └──────────────────────────────────────────────────────────────────
                   5 µs           10 µs          20 µs                50 µs
                                                                         latency
    ● seed 1   ■ seed 2   ◎ knee 1   · not on the front   ░ over a limit
    ");
}

#[test]
fn an_empty_front_says_so_everywhere() {
    let report = empty();
    insta::assert_snapshot!(table(&report.front, 80, false), @r"
    front of run 20261124-131502-7f3a: 0 members
    digits on local, tract 0.23.9, 1 thread, limit latency ≤ 60 µs

    no trained candidate keeps the limits yet
    ");
    let json: Value = serde_json::from_str(&json(&report.front)).unwrap();
    assert_eq!(json["members"], Value::Array(Vec::new()));
    assert_eq!(json["hypervolume"], Value::Null);
    assert_eq!(json["reference"], Value::Null);
    assert_eq!(csv(&report.front).lines().count(), 1);
    assert!(
        html(&report).contains("The front is empty: no trained candidate keeps the limits yet.")
    );
    assert!(!terminal(&report.front, 80, 20, false).is_empty());
    assert!(png(&report.front).is_ok());
}

/// The field names of the interface are a promise.
#[test]
fn the_object_of_the_front_has_the_documented_fields() {
    let report = small();
    let json: Value = serde_json::from_str(&json(&report.front)).unwrap();
    let documented = r#"{"schema": "citronade.front.v1", "run": "", "device": "local",
        "runtime": "tract", "threads": 1, "data": "digits", "objectives": [], "reference": {},
        "hypervolume": 0.8, "candidates": {"proposed": 1, "killed_before_training": 1,
        "stopped_in_training": 1, "trained": 1, "failed": 0}, "members": [{"id": 41, "parent": 17,
        "lineage": [], "error": 0.1, "error_interval": [], "test_error": null, "latency_us": 1,
        "latency_interval_us": [], "memory_bytes": 1, "parameters": 1, "macs": 1,
        "model_bytes": 1, "verdict": "stable", "epochs": 12, "onnx": "blobs/"}]}"#;
    let documented: Value = serde_json::from_str(documented).unwrap();
    let has_fields_of = |found: &Value, wanted: &Value| {
        let missing = wanted.as_object().unwrap().keys().find(|key| found.get(key).is_none());
        assert_eq!(missing, None);
    };
    has_fields_of(&json, &documented);
    has_fields_of(&json["candidates"], &documented["candidates"]);
    has_fields_of(&json["members"][0], &documented["members"][0]);
    assert_eq!(json["schema"], "citronade.front.v1");
    assert_eq!(json["runtime"], "tract");
    assert_eq!(json["reference"]["latency_us"], 60.0);
    let tested = json["members"].as_array().unwrap().iter().find(|m| m["id"] == 6).unwrap();
    assert_eq!(tested["test_error"], 0.07);
    assert_eq!(tested["lineage"][0], report.front.lineage(6)[0]);
}

#[test]
fn the_csv_says_what_the_json_says() {
    let front = small().front;
    let json: Value = serde_json::from_str(&json(&front)).unwrap();
    let csv = csv(&front);
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let at = |name: &str| header.iter().position(|h| *h == name).unwrap();
    for (line, member) in lines.zip(json["members"].as_array().unwrap()) {
        assert_eq!(line.len(), header.len());
        for name in ["id", "error", "latency_us", "memory_bytes", "parameters", "rounds"] {
            let number: f64 = line[at(name)].parse().unwrap();
            assert_eq!(Some(number), member[name].as_f64(), "{name}");
        }
        assert_eq!(line[at("onnx")], member["onnx"]);
    }
}

#[test]
fn the_front_is_the_one_that_was_told_last() {
    for seed in 0..6 {
        let steps = records(25, seed);
        let told = steps.iter().rev().find_map(|s| match s {
            Record::Told(told) => Some(told),
            _ => None,
        });
        let told = told.unwrap();
        let front = reported(&run_record(), &steps).front;
        assert_eq!(front.members.len(), told.fronts[0].members.len());
        for member in &front.members {
            let told =
                told.fronts[0].members.iter().find(|m| m.candidate == member.row.id).unwrap();
            for (at, objective) in front.objectives.iter().enumerate() {
                assert_eq!(member.row.value(*objective).unwrap().value, told.values[at]);
            }
        }
        let latencies: Vec<f64> =
            front.members.iter().map(|m| m.row.value(Objective::Latency).unwrap().value).collect();
        assert!(latencies.is_sorted());
        assert!(front.members.iter().any(|m| Some(m.row.id) == front.knee));
        let trained = front.counts.trained as usize;
        assert_eq!(front.members.len() + front.others.len(), trained);
    }
}

#[test]
fn families_and_lineages_lead_back_to_seeds() {
    let report = reported(&run_record(), &records(25, 7));
    for member in &report.front.members {
        let line = &report.front.lineages[&member.row.id];
        assert_eq!(line[0].id, member.seed);
        assert!((1..=3).contains(&member.seed), "there are three seeds");
        let steps: usize = line.iter().map(|link| link.morphisms.len()).sum();
        assert_eq!(steps, report.front.lineage(member.row.id).len());
    }
}

/// Counted by hand in a run of a seed, a child that improves on it, and one that does not.
#[test]
fn yields_and_savings_are_counted_right() {
    let mut steps = records(1, 7);
    let seed_error = 0.30;
    let mut trained = 0;
    for step in &mut steps {
        match step {
            Record::Accepted(r) => {
                r.parent = (r.candidate > 1).then_some(1);
                r.predicted_latency_us = (r.candidate == 2).then_some(55.0);
            }
            Record::Measured(r) => r.latency_us = 50.0,
            Record::Trained(r) => {
                trained += 1;
                r.error =
                    if r.candidate == 1 { seed_error } else { 0.30 - 0.02 * f64::from(trained) };
                let step = |name: &str| citronade::morphism::Step {
                    morphism: name.to_owned(),
                    site: citronade::graph::NodeId(1),
                    choice: String::new(),
                    edit: citronade::morphism::Choice::Insert { kernel: 3 },
                };
                let outcome = |name: &str, error_after| StepOutcome {
                    step: step(name),
                    error_before: 0.30,
                    error_after,
                };
                r.outcomes = match r.candidate {
                    2 => vec![outcome("widen", 0.30), outcome("widen", 0.32)],
                    3 => vec![outcome("widen", 0.31), outcome("prune", 0.50)],
                    _ => Vec::new(),
                };
                (r.train_s, r.at_s) = (24.0, f64::from(trained));
            }
            Record::Ended(_) | Record::Told(_) | Record::Tested { .. } => {}
        }
    }
    let report = reported(&run_record(), &steps);
    let [widen, prune] = &report.morphisms[..] else { panic!("{:?}", report.morphisms) };
    assert_eq!((widen.morphism.as_str(), widen.count, widen.children), ("widen", 3, 2));
    assert!((widen.change_at_once - 0.01).abs() < 1e-12, "the middle of 0, 0.01 and 0.02");
    assert!((widen.change_trained.unwrap() + 0.05).abs() < 1e-12, "the middle of -0.04 and -0.06");
    assert_eq!((prune.count, prune.children), (1, 1));
    assert!((prune.change_at_once - 0.20).abs() < 1e-12);
    let [prediction] = report.predictions[..] else { panic!("one was predicted") };
    assert_eq!(prediction.predicted_us, 55.0);
    assert!((prediction.measured_us - 50.0).abs() < 1e-9);
    let saved: u32 =
        steps.iter().map(|s| if let Record::Ended(e) = s { e.epochs_saved } else { 0 }).sum();
    assert_eq!(report.savings.epochs_saved, u64::from(saved));
    assert_eq!(report.savings.seconds_saved, Some(2.0 * f64::from(saved)), "24 s are 12 epochs");
}

#[test]
fn colour_only_adds_colour() {
    let front = small().front;
    for (plain, coloured) in [
        (table(&front, 120, false), table(&front, 120, true)),
        (terminal(&front, 80, 24, false), terminal(&front, 80, 24, true)),
    ] {
        assert_ne!(plain, coloured);
        let mut pieces = coloured.split('\u{1b}');
        let first = pieces.next().unwrap().to_owned();
        let rest = pieces.map(|piece| piece.split_once('m').unwrap().1);
        assert_eq!(std::iter::once(first.as_str()).chain(rest).collect::<String>(), plain);
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let page = html(&small());
    let markup = page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "");
    for outside in ["http", "//", "src=", "href=", "@import", "url(", "<script", "<link"] {
        assert!(!markup.contains(outside), "{outside}");
    }
    assert!(page.contains("Content-Security-Policy"));
    for section in [
        "Conditions",
        "Front",
        "Hypervolume against time",
        "What each morphism bought",
        "Predicted against measured latency",
        "What early ends saved",
        "Lineage of each member",
        "How to repeat",
    ] {
        assert!(page.contains(&format!("<h2>{section}</h2>")), "{section}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let report = hostile();
    let page = html(&report);
    for markup in ["<img", "<script", "]]>", "\u{1b}", "\u{202e}"] {
        assert!(!page.contains(markup), "{markup:?}");
    }
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "they are shown all the same");
    assert!(page.len() < 2_000_000);
    for text in [table(&report.front, 100, false), terminal(&report.front, 100, 20, false)] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
    let picture = svg(&report.front);
    let tree = resvg::usvg::Tree::from_str(&picture, &resvg::usvg::Options::default());
    assert!(tree.is_ok(), "{:?}", tree.err());
    assert!(png(&report.front).is_ok());
    let back: Value = serde_json::from_str(&json(&report.front)).unwrap();
    assert_eq!(back["device"].as_str(), Some(report.front.device.name.as_str()));
}

#[test]
fn the_picture_shows_points_limit_and_letters() {
    let report = small();
    let picture = image::load_from_memory(&png(&report.front).unwrap()).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (1720, 1040));
    let count = |colour: [u8; 3]| picture.pixels().filter(|p| p.0 == colour).count();
    assert!(count([0x00, 0x72, 0xb2]) > 100, "marks of the first family");
    assert!(count([0xb4, 0x23, 0x18]) > 100, "the line of the limit");
    let title = image::imageops::crop_imm(&picture, 40, 20, 500, 44).to_image();
    let dark = title.pixels().filter(|p| p.0[0] < 100).count();
    assert!(dark > 400, "the title is drawn with the font of the program, {dark} dark pixels");
}

#[test]
fn a_plot_for_its_own_page_is_the_same_picture() {
    let report = small();
    assert!(html(&report).contains(svg(&report.front).trim_end()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_line_of_a_table_is_too_long(width in 60..240usize) {
        let text = table(&small().front, width, false);
        prop_assert!(text.lines().all(|line| line.chars().count() <= width.max(65)), "{text}");
    }

    #[test]
    fn no_line_of_a_plot_is_too_long(columns in 40..200usize, rows in 12..60usize) {
        let text = terminal(&small().front, columns, rows, false);
        prop_assert!(text.lines().rev().skip(1).all(|line| line.chars().count() <= columns), "{text}");
        prop_assert!(text.lines().count() <= rows);
    }
}

fn drawing(reads: &[&[usize]]) -> Drawing {
    let rows = reads.iter().zip('a'..).map(|(reads, label)| Row {
        label: label.to_string(),
        size: String::new(),
        reads: reads.to_vec(),
    });
    Drawing { title: "cell".to_owned(), rows: rows.collect() }
}

#[test]
fn what_is_read_from_afar_comes_along_a_lane_of_its_own() {
    let all = diagram_text(&drawing(&[&[], &[0], &[0, 1], &[0, 1, 2]]));
    assert_eq!(all, "cell\n┌─ a   ─╮\n├─ b   ─│─╮\n├─ c   ◄┤ │\n└─ d   ◄┴─╯");
    let both = diagram_text(&drawing(&[&[], &[], &[0, 1], &[], &[2, 3]]));
    let wanted = "cell\n╶─ a   ─╮\n┌─ b    │\n├─ c   ◄╯\n└─────────╮\n┌─ d      │\n└─ e   ◄──╯";
    assert_eq!(both, wanted);
}

#[test]
fn a_drawing_is_the_same_rows_in_a_picture() {
    let cell = drawing(&[&[], &[0], &[0, 1], &[0, 1, 2]]);
    let svg = diagram_svg(&[cell.clone(), cell]);
    assert_eq!(svg.matches("<rect").count(), 1 + 2 * 4);
    assert_eq!(svg.matches(">cell<").count(), 2);
    resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).unwrap();
}

#[test]
fn curves_past_the_colours_are_dashed_and_queries_are_whole() {
    let drawn = |curves: usize| {
        let curve = |at| RegretCurve { name: format!("s{at}"), means: vec![[15.0, 1.0]; 3] };
        regret_svg("title", &[("phone".to_owned(), (0..curves).map(curve).collect())])
    };
    assert_eq!(drawn(6).matches("stroke-dasharray").count(), 0);
    // The curve and its piece in the legend.
    assert_eq!(drawn(9).matches("stroke-dasharray").count(), 3 * 2);
    for tick in [">1</text>", ">2</text>", ">3</text>"] {
        assert_eq!(drawn(1).matches(tick).count(), 1, "{tick}");
    }
}
