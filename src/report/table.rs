//! The front as a table for a terminal.
use crate::pareto::Objective;
use crate::units::Bytes;
use crate::units::Fraction;
use crate::units::Macs;
use crate::units::plural;

use super::Candidate;
use super::Front;
use super::text::GLYPHS;
use super::text::clean;
use super::text::short;
use super::text::span;

/// Narrower than this a lineage says nothing.
const LEAST_LINEAGE: usize = 14;

const GAP: usize = 2;

struct Column {
    title: &'static str,
    align: Align,
    /// Columns with the least leave first where there is no room; [`u8::MAX`] stays.
    importance: u8,
    cells: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Align {
    Left,
    Right,
}

/// The front as aligned text of at most `width` columns where that is possible: a headline, one
/// line for each member along the cost axis, and what to be careful with.
///
/// Columns that do not fit are left out, the least important first. With `colour`, the knee is
/// bold and families are coloured as in the plots; nothing is said by colour alone.
pub fn table(front: &Front, width: usize, colour: bool) -> String {
    let mut text = headline(front);
    let columns = fit(columns(front), width);
    if !front.members.is_empty() {
        text.push('\n');
        text.push_str(&line(&columns, |c| c.title.to_owned()));
        for (at, member) in front.members.iter().enumerate() {
            let line = line(&columns, |c| c.cells[at].clone());
            text.push_str(&if colour { painted(front, member, &line) } else { line });
        }
    }
    let notes = notes(front);
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    text
}

fn headline(front: &Front) -> String {
    let run = &front.run;
    let members = plural(front.members.len() as u64, "member");
    let volume = front.hypervolume.map(|h| format!(", hypervolume {h:.4}")).unwrap_or_default();
    format!(
        "front of run {}: {members}{volume}\n{}\n",
        clean(&run.id, 40),
        conditions(front).join(", ")
    )
}

/// Where the numbers come from, in words.
pub(super) fn conditions(front: &Front) -> Vec<String> {
    let run = &front.run;
    let mut words = vec![
        format!("{} on {}", clean(&run.data, 40), clean(&front.device.name, 40)),
        clean(&front.device.runtime, 40),
        plural(run.threads as u64, "thread"),
    ];
    if let Some(seconds) = front.sustained_s {
        words.push(format!("latency after {seconds} s without a pause"));
    }
    for limit in &front.limits {
        let most = short(&limit.objective.format(limit.most));
        words.push(format!("limit {} ≤ {most}", limit.objective.name()));
    }
    words
}

fn columns(front: &Front) -> Vec<Column> {
    let column = |title, align, importance, cell: &dyn Fn(&Candidate) -> String| Column {
        title,
        align,
        importance,
        cells: front.members.iter().map(cell).collect(),
    };
    let best = |objective: Objective| {
        move |m: &Candidate| or_dash(m.row.value(objective).map(|v| objective.format(v.value)))
    };
    let interval = |objective: Objective| {
        move |m: &Candidate| {
            let ends = m.row.value(objective).map(|v| v.interval.map(|end| objective.format(end)));
            or_dash(ends.map(|[low, high]| span(&low, &high)))
        }
    };
    let measured = |m: &Candidate| m.row.measurement.clone();
    let test = front.members.iter().any(|m| m.row.test_error.is_some());
    let mut columns = vec![
        column("candidate", Align::Right, u8::MAX, &|m| m.row.id.to_string()),
        column("", Align::Left, u8::MAX, &|m| mark(front, m).to_owned()),
        column("error", Align::Right, u8::MAX, &best(Objective::Error)),
        column("95 %", Align::Left, 6, &interval(Objective::Error)),
        column("latency", Align::Right, u8::MAX, &best(Objective::Latency)),
        column("95 %", Align::Left, 7, &interval(Objective::Latency)),
        column("memory", Align::Right, 8, &|m| {
            or_dash(measured(m).and_then(|c| c.memory_bytes).map(|b| Bytes(b).to_string()))
        }),
        column("params", Align::Right, 9, &|m| m.row.parameters.to_string()),
        column("macs", Align::Right, 3, &|m| Macs(m.row.macs).to_string()),
        column("size", Align::Right, 2, &|m| {
            or_dash(measured(m).map(|c| Bytes(c.model_bytes).to_string()))
        }),
        column("verdict", Align::Left, 5, &|m| or_dash(measured(m).map(|c| clean(&c.verdict, 10)))),
        column("family", Align::Left, 4, &|m| family(m)),
        column("lineage", Align::Left, 1, &|m| clean(&front.lineage(m.row.id).join(" › "), 400)),
    ];
    if test {
        let cell = |m: &Candidate| or_dash(m.row.test_error.map(|e| Fraction(e).to_string()));
        columns.insert(4, column("test", Align::Right, 10, &cell));
    }
    columns
}

fn mark(front: &Front, member: &Candidate) -> &'static str {
    if front.knee == Some(member.row.id) { "knee" } else { "" }
}

fn family(member: &Candidate) -> String {
    format!("{} seed {}", GLYPHS[member.family % GLYPHS.len()], member.seed)
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// Shortens lineages, then leaves out columns, until all fit.
fn fit(mut columns: Vec<Column>, width: usize) -> Vec<Column> {
    while total(&columns) > width {
        let over = total(&columns) - width;
        let lineage = columns.iter_mut().find(|c| c.title == "lineage");
        if let Some(lineage) = lineage.filter(|c| breadth(c) >= over + LEAST_LINEAGE) {
            let most = breadth(lineage) - over;
            lineage.cells.iter_mut().for_each(|cell| *cell = clean(cell, most));
            continue;
        }
        let least = (0..columns.len()).min_by_key(|&at| columns[at].importance);
        match least.filter(|&at| columns[at].importance < u8::MAX) {
            Some(at) => drop(columns.remove(at)),
            None => break,
        }
    }
    columns
}

fn total(columns: &[Column]) -> usize {
    columns.iter().map(|c| breadth(c) + GAP).sum::<usize>().saturating_sub(GAP)
}

fn breadth(column: &Column) -> usize {
    let cells = column.cells.iter().map(|cell| cell.chars().count());
    cells.chain([column.title.chars().count()]).max().unwrap_or(0)
}

fn line(columns: &[Column], cell: impl Fn(&Column) -> String) -> String {
    let padded = columns.iter().map(|column| {
        let (text, breadth) = (cell(column), breadth(column));
        match column.align {
            Align::Left => format!("{text:<breadth$}"),
            Align::Right => format!("{text:>breadth$}"),
        }
    });
    let line = padded.collect::<Vec<_>>().join(&" ".repeat(GAP));
    line.trim_end().to_owned() + "\n"
}

fn painted(front: &Front, member: &Candidate, line: &str) -> String {
    let glyph = GLYPHS[member.family % GLYPHS.len()];
    let colour = ansi(member.family);
    let line = line.trim_end().replacen(glyph, &format!("{colour}{glyph}\u{1b}[39m"), 1);
    match mark(front, member) {
        "" => line + "\n",
        _ => format!("\u{1b}[1m{line}\u{1b}[0m\n"),
    }
}

/// Sets the colour of a family, near to that of the plots.
pub(super) fn ansi(family: usize) -> String {
    const COLOURS: [u8; 6] = [32, 166, 36, 175, 214, 75];
    format!("\u{1b}[38;5;{}m", COLOURS[family % COLOURS.len()])
}

/// What a reader should know before trusting the numbers.
fn notes(front: &Front) -> String {
    let mut notes = String::new();
    let doubtful: Vec<String> = front
        .members
        .iter()
        .filter(|m| m.row.measurement.as_ref().is_some_and(|c| c.verdict != "stable"))
        .map(|m| m.row.id.to_string())
        .collect();
    if !doubtful.is_empty() {
        let ids = doubtful.join(", ");
        notes += &format!("not measured stably: {ids}; measure again on a quiet device\n");
    }
    if front.members.is_empty() {
        notes += &format!("{}\n", front.why_empty());
    } else if let Some(most) = front.limit(Objective::Error)
        && front
            .members
            .iter()
            .all(|m| m.row.value(Objective::Error).is_none_or(|v| v.value > most))
    {
        notes += "no candidate keeps the limit on the error yet; until one does, the front is without it\n";
    }
    notes
}
