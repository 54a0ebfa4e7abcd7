//! Searches for what is fast without a pause, on a device that becomes too hot.
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use citronade::engine::Engine;
use citronade::engine::Event;
use citronade::engine::Gauge;
use citronade::measure::Gates;
use citronade::store::EndKind;

use crate::device::AGENT;
use crate::device::script;
use crate::engine::SEEDS;
use crate::engine::search_on;

/// A search on a device that becomes too hot in its first `hot` launches without a pause; and why it
/// paused.
fn searched(hot: u32) -> (Engine, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("left");
    fs::write(&left, hot.to_string()).unwrap();
    let device = script(&format!(
        "read -r request; change=; case \"$request\" in *'\"limit_c\":80.0'*) \
         n=$(cat '{0}'); if [ $n -gt 0 ]; then echo $((n - 1)) > '{0}'; \
         change='s/\"too_hot\":null/\"too_hot\":{{\"zone\":\"cpu\",\"celsius\":91.5}}/'; fi;; esac; \
         {{ printf '%s\\n' \"$request\"; cat; }} | '{AGENT}' | sed -u \"$change\"",
        left.display()
    ));
    let gauged = |gauge: Gauge| Gauge {
        bench: gauge.bench.with_gates(Gates { abort_c: Some(80.0), ..Gates::default() }),
        sustained: Some(Duration::from_millis(100)),
        ..gauge
    };
    let mut paused = Vec::new();
    let mut watch = |event: &Event| {
        if let Event::Paused(why) = event {
            paused.push(why.clone());
        }
    };
    let devices: Vec<Arc<dyn citronade::device::Transport>> = vec![Arc::new(device)];
    let (engine, _) =
        search_on("metronome", devices, gauged, folder.path(), SEEDS, || {}, &mut watch);
    assert_eq!(fs::read_to_string(&left).unwrap().trim(), "0", "all hot launches were made");
    (engine, paused)
}

fn failures(engine: &Engine) -> Vec<String> {
    let ended = engine.state().candidates().values().filter_map(|c| c.ended.as_ref());
    ended.filter(|e| e.kind == EndKind::Failed).map(|e| e.reason.clone()).collect()
}

#[test]
fn a_device_that_becomes_too_hot_without_a_pause_is_waited_for_and_no_candidate_fails() {
    let (engine, paused) = searched(2);
    assert_eq!((paused.len(), failures(&engine)), (2, Vec::new()));
    assert!(paused[0].contains("`cpu` has 91.5 °C, 80 are allowed"), "{paused:?}");
    assert_eq!(engine.state().candidates().len(), 6);
}

#[test]
fn a_candidate_that_is_too_much_for_its_device_each_time_fails_by_name() {
    let (engine, paused) = searched(3);
    let failed = failures(&engine);
    let [failed] = failed.as_slice() else { panic!("{failed:?}") };
    assert!(failed.contains("became too hot 3 times while it ran"), "{failed}");
    assert_eq!(paused.len(), 2);
}
