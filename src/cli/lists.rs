//! What there is, one line each.
use serde_json::json;

use crate::data;
use crate::morphism;
use crate::morphism::Exactness;
use crate::search::STRATEGIES;
use crate::search::VARIANTS;

use super::Exit;
use super::output;

/// `citronade datasets`.
pub fn datasets(json: bool) -> anyhow::Result<Exit> {
    let all = data::datasets();
    let rows = all.iter().map(|d| {
        let missing = d.missing.map_or(String::new(), |how| format!(" — not here: {how}"));
        (
            d.name,
            format!("{}{missing}", d.about),
            json!({"name": d.name, "about": d.about, "missing": d.missing}),
        )
    });
    list(rows.collect(), json)
}

/// `citronade strategies`, their variants at the end.
pub fn strategies(json: bool) -> anyhow::Result<Exit> {
    let all = STRATEGIES.iter().chain(VARIANTS);
    let rows =
        all.map(|&(name, about)| (name, about.to_owned(), json!({"name": name, "about": about})));
    list(rows.collect(), json)
}

/// `citronade morphisms`.
pub fn morphisms(json: bool) -> anyhow::Result<Exit> {
    let rows = morphism::catalogue().iter().map(|m| {
        let exactness = match m.exactness() {
            Exactness::Exact => "exact",
            Exactness::Approximate => "approximate",
        };
        let about = format!("{exactness:<12} {}", m.summary());
        let value = json!({"name": m.name(), "exactness": exactness, "about": m.summary()});
        (m.name(), about, value)
    });
    list(rows.collect(), json)
}

/// Rows of name, what about it, and the same for programs.
pub fn list(rows: Vec<(&str, String, serde_json::Value)>, json: bool) -> anyhow::Result<Exit> {
    let lines = rows.iter().map(|(name, about, value)| match json {
        true => value.to_string(),
        false => format!("{name:<22} {about}"),
    });
    output::result(&lines.collect::<Vec<_>>().join("\n"))
}
