//! `citronade spaces`: what spaces there are, and a picture of a member.
use std::sync::Arc;

use anyhow::Context;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::graph::Graph;
use crate::report;
use crate::space;
use crate::space::Architecture;
use crate::space::ChoiceSpace;
use crate::space::Drawing;
use crate::space::SPACES;
use crate::space::Space;
use crate::units::nearest;

use super::Exit;
use super::args;
use super::exit::UsageError;
use super::inspect;
use super::lists;
use super::output;

/// Input, classes and training images of the data set that members are shown for: digits.
const SHOWN_FOR: ([usize; 3], usize, usize) = ([1, 8, 8], 10, 1_150);
/// Draws before it is given up to find a member that lets something through.
const TRIES: usize = 1000;

/// `citronade spaces`.
pub fn run(args: &args::Spaces, json: bool) -> anyhow::Result<Exit> {
    match &args.name {
        None => list(json),
        Some(name) => show(name, args, json),
    }
}

fn list(json: bool) -> anyhow::Result<Exit> {
    let rows = SPACES.iter().map(|(name, about)| {
        let space = found(name).expect("a space that is listed is there");
        let size = log10_size(space.as_ref());
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let member = words(space.as_ref(), &drawn(space.as_ref(), &mut rng)?.0);
        let value = json!({"name": name, "about": about, "log10_size": size, "member": member});
        let picture = member.map_or(String::new(), |member| {
            format!("\n{:32}{}", "", shortened(&member, output::width().saturating_sub(32)))
        });
        Ok((*name, format!("{:<8} {about}{picture}", size_text(size)), value))
    });
    lists::list(rows.collect::<anyhow::Result<_>>()?, json)
}

/// As much of a text as fits into so many columns.
fn shortened(text: &str, columns: usize) -> String {
    match text.chars().count() > columns {
        true => text.chars().take(columns.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// The space for digits.
fn found(name: &str) -> Result<Arc<dyn Space>, UsageError> {
    let (input, classes, images) = SHOWN_FOR;
    space::by_name(name, input, classes, images).ok_or_else(|| {
        let names: Vec<&str> = SPACES.iter().map(|(name, _)| *name).collect();
        let meant = match nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        UsageError(format!("no space is called `{name}`; {meant}"))
    })
}

fn log10_size(space: &dyn Space) -> Option<f64> {
    space.choices().map(ChoiceSpace::log10_size)
}

/// A count that fits in a column; a space without end is open.
fn size_text(log10: Option<f64>) -> String {
    match log10 {
        None => "open".to_owned(),
        Some(log10) if log10 < 6.0 => format!("{:.0}", 10f64.powf(log10)),
        Some(log10) => format!("10^{log10:.0}"),
    }
}

fn show(name: &str, args: &args::Spaces, json: bool) -> anyhow::Result<Exit> {
    let space = found(name)?;
    let (architecture, graph) = member(space.as_ref(), args)?;
    let words = words(space.as_ref(), &architecture);
    let drawings = drawings(space.as_ref(), &architecture, &graph);
    if let Some(path) = &args.svg {
        inspect::write(path, report::diagram_svg(&drawings).as_bytes())?;
    }
    let (size, cost) = (log10_size(space.as_ref()), graph.cost());
    let options = space.choices().map(ChoiceSpace::options);
    if json {
        let value = json!({
            "name": name,
            "log10_size": size,
            "options": options,
            "member": words,
            "choices": architecture.choices(),
            "parameters": cost.parameters,
            "macs": cost.macs,
            "drawings": drawings.iter().map(report::diagram_text).collect::<Vec<_>>(),
        });
        return output::result(&value.to_string());
    }
    let decisions = match options {
        Some(options) => {
            format!("{} decisions, {} vectors of choices", options.len(), size_text(size))
        }
        None => "open".to_owned(),
    };
    let mut parts = vec![format!("{name}: {decisions}")];
    parts.extend(words.map(|words| format!("member: {words}")));
    parts.push(format!("for digits: {} parameters, {} MACs", cost.parameters, cost.macs));
    let head = parts.join("\n");
    let drawings: Vec<String> = drawings.iter().map(report::diagram_text).collect();
    output::result(&format!("{head}\n\n{}", drawings.join("\n\n")))
}

/// The member that is asked for, or a random one.
fn member(space: &dyn Space, args: &args::Spaces) -> anyhow::Result<(Architecture, Graph)> {
    let nothing =
        || UsageError("nothing comes through this member, so it is no network".to_owned());
    if let Some(text) = &args.member {
        let Some(choices) = space.choices() else {
            let why = "members of the open space have no text; leave out --member";
            return Err(UsageError(why.to_owned()).into());
        };
        let chosen = choices.parse(text).map_err(|error| UsageError(error.to_string()))?;
        let chosen = Architecture::Chosen(chosen);
        let graph = space.build(&chosen).ok_or_else(nothing)?;
        return Ok((chosen, graph));
    }
    drawn(space, &mut ChaCha8Rng::seed_from_u64(args.seed))
}

/// A random member that is a network.
fn drawn(space: &dyn Space, rng: &mut ChaCha8Rng) -> anyhow::Result<(Architecture, Graph)> {
    let mut drawn = (0..TRIES).map(|_| space.sample(rng));
    let built = drawn.find_map(|member| space.build(&member).map(|graph| (member, graph)));
    built.context("no network was found in the space")
}

fn words(space: &dyn Space, member: &Architecture) -> Option<String> {
    Some(space.choices()?.text(member.choices()?))
}

/// Its cells, or the whole network where it has none.
fn drawings(space: &dyn Space, member: &Architecture, graph: &Graph) -> Vec<Drawing> {
    let cells = space.choices().zip(member.choices());
    let cells = cells.map(|(space, choices)| space.drawings(choices)).unwrap_or_default();
    match cells.is_empty() {
        true => vec![Drawing::of_graph("network", graph)],
        false => cells,
    }
}
