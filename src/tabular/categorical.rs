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
///
/// Each decision has the words that stand at its place. Where each place has more than three quarters of the words
/// of all, they count as one list that all decisions share: then an option's number means the same everywhere, and a
/// word that happens to be nowhere in one place can be drawn there.
#[derive(Clone, Debug)]
pub(super) struct Categorical {
    /// The words of each decision, sorted: numbers by their value, before other words.
    words: Vec<Vec<String>>,
    options: Vec<usize>,
    is_shared: bool,
    separator: Option<char>,
}

/// Words in their order: numbers by value come first, and those without.
type Words = BTreeSet<(bool, Option<u64>, String)>;

impl Categorical {
    /// The space that has all of these texts, each with its line; else the line, and what is wrong.
    pub(super) fn of<'a>(
        texts: impl Iterator<Item = (usize, &'a str)> + Clone,
    ) -> Result<Categorical, (usize, String)> {
        let first = texts.clone().next().map_or("", |(_, text)| text).trim_matches(BRACKETS);
        let separator = SEPARATORS.into_iter().find(|s| first.trim_matches(*s).contains(*s));
        let mut places = vec![Words::new(); split(first, separator).len()];
        for (line, text) in texts {
            let parts = split(text, separator);
            if parts.len() != places.len() {
                let found = plural(parts.len() as u64, "choice");
                let reason = format!("{found} where the first row has {}", places.len());
                return Err((line, reason));
            }
            for (words, word) in places.iter_mut().zip(parts) {
                let number = word.parse().ok();
                words.insert((number.is_none(), number, word));
                if words.len() > MOST_OPTIONS {
                    return Err((line, format!("more than {MOST_OPTIONS} different options")));
                }
            }
        }
        let all: Words = places.iter().flatten().cloned().collect();
        let has_most = |words: &Words| 4 * words.len() > 3 * all.len();
        let is_shared = all.len() <= MOST_OPTIONS && places.iter().all(has_most);
        if is_shared {
            places.fill(all);
        }
        let options = places.iter().map(Words::len).collect();
        let plain = |words: Words| words.into_iter().map(|(_, _, word)| word).collect();
        let words = places.into_iter().map(plain).collect();
        Ok(Categorical { words, options, is_shared, separator })
    }

    /// Does an option's number mean the same in each decision?
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
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
        let words = choices.iter().zip(&self.words);
        let words = words.map(|(&choice, words)| words[usize::from(choice)].as_str());
        let between = self.separator.map_or(String::new(), String::from);
        words.collect::<Vec<_>>().join(&between)
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let parts = split(text, self.separator);
        if parts.len() != self.words.len() {
            return Err(ChoiceError::Length { found: parts.len(), wanted: self.words.len() });
        }
        let choices = parts.into_iter().zip(&self.words).map(|(word, words)| {
            let at = words.iter().position(|known| *known == word);
            at.map(|at| at as u8).ok_or(ChoiceError::Text {
                found: word,
                wanted: format!("one of {}", words.join(", ")),
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

impl GraphCells {
    /// How many of them the benchmark has: one of those that compute the same.
    pub(super) const RECORDED: usize = 26_206;
}

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
