//! One page that needs nothing else: no network, no script.
mod page;

use crate::graph::NodeId;
use crate::pareto::Objective;
use crate::store::Ancestor;
use crate::units::Bytes;
use crate::units::Fraction;
use crate::units::Macs;
use crate::units::plural;

use super::Candidate;
use super::Front;
use super::MorphismYield;
use super::RunReport;
use super::chart;
use super::scene::colour_of;
use super::table::conditions;
use super::text::GLYPHS;
use super::text::clean;
use super::text::duration;
use super::text::short;
use super::text::span;
use super::yields::accuracy;
use page::Page;

/// The page as a whole document; it opens from a file, in light and dark, and prints.
pub fn html(report: &RunReport) -> String {
    let mut page = Page::default();
    head(&mut page, &report.front);
    summary(&mut page, report);
    front(&mut page, &report.front);
    hypervolume(&mut page, report);
    morphisms(&mut page, &report.morphisms);
    predictions(&mut page, report);
    savings(&mut page, report);
    lineages(&mut page, &report.front);
    repeat(&mut page, &report.front);
    page.raw("</main></body></html>\n");
    page.finish()
}

fn head(page: &mut Page, front: &Front) {
    page.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ")
        .raw("style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>")
        .text(title(front))
        .raw("</title>\n<style>\n")
        .raw(include_str!("style.css"))
        .raw("</style></head>\n<body><main>\n");
}

fn title(front: &Front) -> String {
    format!("Networks for {} on {}", clean(&front.run.data, 60), clean(&front.device.name, 60))
}

fn summary(page: &mut Page, report: &RunReport) {
    let front = &report.front;
    page.raw("<h1>").text(title(front)).raw("</h1>\n<p class=\"muted\">Run ");
    page.text(&front.run.id).text(began(front.run.created)).raw("</p>\n");
    page.raw("<ul class=\"figures\">\n");
    let counts = &front.counts;
    let mut figure = |number: String, words: &str| {
        page.raw("<li><b>").text(number).raw("</b><span>").text(words).raw("</span></li>\n");
    };
    figure(front.members.len().to_string(), "members of the front");
    if let Some(hypervolume) = front.hypervolume {
        figure(format!("{hypervolume:.3}"), "hypervolume, at most 1");
    }
    figure(counts.proposed.to_string(), "proposals looked at");
    figure(counts.trained.to_string(), "trained to the end");
    figure(counts.killed_before_training.to_string(), "killed before training");
    figure(format!("{:.0} %", 100.0 * report.savings.share()), "of all epochs saved");
    page.raw("</ul>\n<h2>Conditions</h2>\n<dl>");
    for (name, value) in facts(front) {
        page.raw("<dt>").text(name).raw("</dt><dd>").text(value).raw("</dd>\n");
    }
    page.raw("</dl>\n");
}

fn began(unix_s: i64) -> String {
    let time = jiff::Timestamp::from_second(unix_s);
    time.map(|t| t.strftime(", began %Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default()
}

fn facts(front: &Front) -> Vec<(&'static str, String)> {
    let run = &front.run;
    let names: Vec<&str> = front.objectives.iter().map(|o| o.name()).collect();
    let mut facts = vec![
        ("device", front.device.name.clone()),
        ("runtime", format!("{}, {}", front.device.runtime, plural(run.threads as u64, "thread"))),
        ("data", format!("{}, fingerprint {}", run.data, run.data_hash)),
        ("objectives", format!("{}, all minimised", names.join(", "))),
    ];
    let limits = front
        .limits
        .iter()
        .map(|l| format!("{} ≤ {}", l.objective.name(), short(&l.objective.format(l.most))));
    let limits: Vec<String> = limits.collect();
    facts.push(("limits", if limits.is_empty() { "none".to_owned() } else { limits.join(", ") }));
    if let Some(reference) = &front.reference {
        let ends = reference.objectives().iter().zip(reference.reference());
        let ends: Vec<String> =
            ends.map(|(o, v)| format!("{} {}", o.name(), short(&o.format(*v)))).collect();
        facts.push(("reference point", ends.join(", ")));
    }
    facts
}

fn front(page: &mut Page, front: &Front) {
    page.section("Front");
    if front.members.is_empty() {
        page.paragraph(format!("The front is empty: {}.", front.why_empty()));
        return;
    }
    page.picture(&chart::front(front));
    page.paragraph(
        "Bars are 95 % intervals: of the error from the size of the validation split, of the \
         latency from repeated launches on the device. Candidates that differ by less than the \
         noise of a measurement share one place, which goes to the one with the lower error.",
    );
    page.raw("<div class=\"wide\"><table><thead><tr><th></th><th class=\"number\">candidate</th>")
        .raw("<th class=\"number\">error</th><th class=\"number\">test error</th>")
        .raw("<th class=\"number\">latency</th><th class=\"number\">memory</th>")
        .raw("<th class=\"number\">parameters</th><th class=\"number\">MACs</th>")
        .raw("<th class=\"number\">ONNX</th><th>verdict</th></tr></thead><tbody>\n");
    front.members.iter().for_each(|member| member_row(page, front, member));
    page.raw("</tbody></table></div>\n");
}

fn member_row(page: &mut Page, front: &Front, member: &Candidate) {
    let knee = front.knee == Some(member.row.id);
    page.raw(if knee { "<tr class=\"knee\"><td>" } else { "<tr><td>" });
    glyph(page, member);
    page.raw("</td><td class=\"number\">").text(member.row.id.to_string());
    if knee {
        page.raw("<br><small>knee</small>");
    }
    let measurement = member.row.measurement.as_ref();
    let size = measurement.map(|m| Bytes(m.model_bytes).to_string());
    quantity(page, member, Objective::Error);
    number(page, member.row.test_error.map(|e| Fraction(e).to_string()));
    quantity(page, member, Objective::Latency);
    number(page, measurement.and_then(|m| m.memory_bytes).map(|b| Bytes(b).to_string()));
    number(page, Some(member.row.parameters.to_string()));
    number(page, Some(Macs(member.row.macs).to_string()));
    number(page, size);
    let rounds = plural(member.row.rounds.len() as u64, "round");
    page.raw("</td><td>").text(measurement.map_or("–", |m| &m.verdict));
    page.raw("<br><small>").text(rounds).raw("</small></td></tr>\n");
}

fn glyph(page: &mut Page, member: &Candidate) {
    const OPEN: [&str; 6] = [
        "<span class=\"family0\">",
        "<span class=\"family1\">",
        "<span class=\"family2\">",
        "<span class=\"family3\">",
        "<span class=\"family4\">",
        "<span class=\"family5\">",
    ];
    page.raw(OPEN[colour_of(member.family)]);
    page.text(GLYPHS[member.family % GLYPHS.len()]).raw("</span>");
}

fn number(page: &mut Page, number: Option<String>) {
    page.raw("</td><td class=\"number\">").text(number.as_deref().unwrap_or("–"));
}

/// A value with its interval below.
fn quantity(page: &mut Page, member: &Candidate, objective: Objective) {
    let value = member.row.value(objective);
    number(page, value.map(|v| objective.format(v.value)));
    if let Some(value) = value {
        let [low, high] = value.interval.map(|end| objective.format(end));
        page.raw("<br><small>").text(span(&low, &high)).raw("</small>");
    }
}

fn hypervolume(page: &mut Page, report: &RunReport) {
    page.section("Hypervolume against time");
    let Some([at_s, hypervolume]) = report.trace.last() else {
        page.paragraph("No generation is complete yet.");
        return;
    };
    page.picture(&chart::hypervolume(&report.trace));
    page.paragraph(format!(
        "Share of the box between ideal and reference point that the front dominates, after each \
         generation: {hypervolume:.4} after {} and {}. Time is that of the search, without pauses.",
        plural(report.trace.len() as u64, "generation"),
        duration(*at_s)
    ));
}

fn morphisms(page: &mut Page, yields: &[MorphismYield]) {
    page.section("What each morphism bought");
    if yields.is_empty() {
        page.paragraph("No child was trained yet.");
        return;
    }
    page.paragraph(
        "Changes of the validation error in percentage points, medians over the run; below zero is \
         better. At once: from just before the morphism to just after it, untrained. Trained: from \
         the trained parent to the trained child, with all morphisms of the step.",
    );
    let points = |change: f64| format!("{:+.2}", 100.0 * change + 0.0);
    let rows: Vec<Vec<String>> = yields
        .iter()
        .map(|y| {
            vec![
                y.morphism.clone(),
                y.count.to_string(),
                points(y.change_at_once),
                y.change_trained.map_or("–".to_owned(), points),
                format!("{} of {}", y.in_front, y.children),
            ]
        })
        .collect();
    let titles = ["morphism", "applied#", "at once#", "trained#", "led to the front#"];
    page.table(&titles, &rows);
}

fn predictions(page: &mut Page, report: &RunReport) {
    page.section("Predicted against measured latency");
    let Some((number, distance, rank)) = accuracy(&report.predictions) else {
        page.paragraph("No latency was predicted before it was measured.");
        return;
    };
    page.picture(&chart::predictions(&report.predictions));
    let rank = rank.map(|r| format!("; rank correlation {r:.3}")).unwrap_or_default();
    page.paragraph(format!(
        "Of {}, half were predicted to within {} before they were measured{rank}. Blue ones were \
         trained. The prediction only decides what is proposed; the front shows measurements.",
        plural(number as u64, "candidate"),
        short(&Fraction(distance).to_string())
    ));
}

fn savings(page: &mut Page, report: &RunReport) {
    page.section("What early ends saved");
    let savings = &report.savings;
    let time = savings.seconds_saved.map(|s| format!(", about {} of training", duration(s)));
    page.paragraph(format!(
        "Of {}, {} were killed before training because their measured cost could not enter the \
         front, and {} were stopped in training because their curve could not. {} were trained and \
         {} were not{}.",
        plural(savings.accepted, "accepted candidate"),
        savings.killed_before_training,
        savings.stopped_in_training,
        plural(savings.epochs, "epoch"),
        savings.epochs_saved,
        time.unwrap_or_default()
    ));
}

fn lineages(page: &mut Page, front: &Front) {
    page.section("Lineage of each member");
    for member in &front.members {
        page.raw("<details><summary>");
        glyph(page, member);
        page.text(format!(" {}", member.row.id)).raw(" <span class=\"muted\">");
        let names = front.lineage(member.row.id).join(" › ");
        page.text(if names.is_empty() { "a seed" } else { &names }).raw("</span></summary>\n<ol>");
        let line = front.lineages.get(&member.row.id).into_iter().flatten();
        line.for_each(|ancestor| link(page, ancestor));
        page.raw("</ol></details>\n");
    }
}

fn link(page: &mut Page, ancestor: &Ancestor) {
    let error = ancestor.error.map(|e| format!(", error {} trained", Fraction(e)));
    page.raw("<li>").text(format!("candidate {}", ancestor.id)).text(error.unwrap_or_default());
    for outcome in &ancestor.outcomes {
        let NodeId(site) = outcome.step.site;
        page.raw("<br><span class=\"muted\">").text(format!(
            "{} at node {site}: {}; {} before, {} right after",
            outcome.step.morphism,
            outcome.step.choice,
            Fraction(outcome.error_before),
            Fraction(outcome.error_after)
        ));
        page.raw("</span>");
    }
    page.raw("</li>\n");
}

fn repeat(page: &mut Page, front: &Front) {
    page.section("How to repeat");
    page.paragraph(
        "The same configuration and seed give the same proposals; measured values differ by the \
         noise of the device. The files of the front, with weights and model cards:",
    );
    page.raw("<pre>").text(format!("citronade export --front --run {} --out front", front.run.id));
    page.raw("</pre>\n");
    page.paragraph(format!("Made on {}.", conditions(front).join(", ")));
    page.raw("<details><summary>Configuration as it was resolved</summary>\n<pre>");
    page.lines(&pretty(&front.run.config)).raw("</pre></details>\n");
}

fn pretty(json: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(json);
    let pretty = parsed.ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| json.to_owned())
}
