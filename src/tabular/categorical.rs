//! Spaces that are known from a table alone.
use std::collections::BTreeSet;

use crate::graph::Graph;
use crate::space::ChoiceError;
use crate::space::ChoiceSpace;
use crate::space::Choices;
use crate::space::Edge;
use crate::space::Label;
use crate::space::Sketch;
use crate::units::plural;

/// What separates decisions in a cell of a table; without any of these each character is one.
const SEPARATORS: [char; 7] = [',', '-', '|', ';', ':', '_', ' '];
/// What may stand around a list of choices.
const BRACKETS: [char; 4] = ['[', ']', '(', ')'];
/// Most options of a decision.
const MOST_OPTIONS: usize = 256;

/// Decisions between words, the same number in each row of a table.
#[derive(Clone, Debug)]
pub(super) struct Categorical {
    /// The words of all decisions, sorted: numbers by their value, before other words.
    words: Vec<String>,
    options: Vec<usize>,
    separator: Option<char>,
}

impl Categorical {
    /// The space that has all of these texts, each with its line; else the line, and what is wrong.
    pub(super) fn of<'a>(
        texts: impl Iterator<Item = (usize, &'a str)> + Clone,
    ) -> Result<Categorical, (usize, String)> {
        let first = texts.clone().next().map_or("", |(_, text)| text).trim_matches(BRACKETS);
        let separator = SEPARATORS.into_iter().find(|s| first.trim_matches(*s).contains(*s));
        let decisions = split(first, separator).len();
        let mut words = BTreeSet::new();
        for (line, text) in texts {
            let parts = split(text, separator);
            if parts.len() != decisions {
                let found = plural(parts.len() as u64, "choice");
                let reason = format!("{found} where the first row has {decisions}");
                return Err((line, reason));
            }
            words.extend(parts.into_iter().map(|word| (word.parse::<u64>().ok(), word)));
            if words.len() > MOST_OPTIONS {
                return Err((line, format!("more than {MOST_OPTIONS} different options")));
            }
        }
        // Numbers first: `None` is less than any number, so they are put behind.
        let (plain, numbers): (Vec<_>, Vec<_>) = words.into_iter().partition(|w| w.0.is_none());
        let words: Vec<String> = numbers.into_iter().chain(plain).map(|(_, word)| word).collect();
        let options = vec![words.len(); decisions];
        Ok(Categorical { words, options, separator })
    }
}

fn split(text: &str, separator: Option<char>) -> Vec<String> {
    let text = text.trim_matches(BRACKETS);
    match separator {
        Some(separator) => {
            text.trim_matches(separator).split(separator).map(|w| w.trim().to_owned()).collect()
        }
        None => text.chars().map(String::from).collect(),
    }
}

impl ChoiceSpace for Categorical {
    fn name(&self) -> &str {
        "csv"
    }

    fn options(&self) -> &[usize] {
        &self.options
    }

    fn sketches(&self, _choices: &Choices) -> Vec<Sketch> {
        Vec::new()
    }

    /// Nobody knows what the words mean.
    fn build(&self, _choices: &Choices) -> Option<Graph> {
        None
    }

    fn text(&self, choices: &Choices) -> String {
        let words = choices.iter().map(|&choice| self.words[usize::from(choice)].as_str());
        let between = self.separator.map_or(String::new(), String::from);
        words.collect::<Vec<_>>().join(&between)
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let choices = split(text, self.separator).into_iter().map(|word| {
            let at = self.words.iter().position(|known| *known == word);
            at.map(|at| at as u8).ok_or(ChoiceError::Text {
                found: word,
                wanted: format!("one of {}", self.words.join(", ")),
            })
        });
        self.checked(choices.collect::<Result<_, _>>()?)
    }
}

/// Cells of NAS-Bench-Graph: four operations in one of nine wirings.
///
/// # Source
///
/// Qin et al., *NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search*, NeurIPS 2022; the
/// hash is that of its package: the number of the wiring and of the four operations, as digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct GraphCells;

/// What each of the four nodes reads: 0 is the input, others count from 1.
const WIRINGS: [[usize; 4]; 9] = [
    [0, 0, 0, 0],
    [0, 0, 0, 1],
    [0, 0, 1, 1],
    [0, 0, 1, 2],
    [0, 0, 1, 3],
    [0, 1, 1, 1],
    [0, 1, 1, 2],
    [0, 1, 2, 2],
    [0, 1, 2, 3],
];
/// The option that is no operation: what comes in goes out.
const SKIP: u8 = 8;

impl ChoiceSpace for GraphCells {
    fn name(&self) -> &str {
        "nas-bench-graph"
    }

    fn options(&self) -> &[usize] {
        &[9; 5]
    }

    /// What no other node reads is the output.
    fn sketches(&self, choices: &Choices) -> Vec<Sketch> {
        let wiring = WIRINGS[usize::from(choices[0])];
        let nodes = choices[1..].iter().zip(wiring).zip(1..);
        let mut edges: Vec<Edge> = nodes
            .map(|((&operation, from), to)| {
                let label = match operation {
                    SKIP => Label::Identity,
                    _ => Label::Operation(usize::from(operation)),
                };
                Edge { from, to, label }
            })
            .collect();
        let leaves = (1..=4).filter(|node| !wiring.contains(node));
        edges.extend(leaves.map(|from| Edge { from, to: 5, label: Label::Identity }));
        vec![Sketch { inputs: 1, places: 6, edges, operations: usize::from(SKIP) }]
    }

    /// Graph networks are nothing for images.
    fn build(&self, _choices: &Choices) -> Option<Graph> {
        None
    }

    fn text(&self, choices: &Choices) -> String {
        let digits: String = choices.iter().map(u8::to_string).collect();
        let short = digits.trim_start_matches('0');
        if short.is_empty() { "0".to_owned() } else { short.to_owned() }
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let wanted = || ChoiceError::Text {
            found: text.to_owned(),
            wanted: "a hash of up to five digits from 0 to 8".to_owned(),
        };
        if text.len() > 5 || text.is_empty() {
            return Err(wanted());
        }
        let digits = format!("{text:0>5}");
        let digits: Option<Choices> =
            digits.chars().map(|c| u8::try_from(c.to_digit(9)?).ok()).collect();
        self.checked(digits.ok_or_else(wanted)?)
    }
}
