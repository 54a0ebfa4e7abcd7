//! Spaces whose members are vectors of categorical choices.
use std::sync::Arc;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;

use super::Architecture;
use super::Drawing;
use super::Features;
use super::Sketch;
use super::Space;
use super::features::TOTALS;
use super::features::totals;

/// One option for each decision of a fixed space.
pub type Choices = Vec<u8>;

/// A fixed space: so many decisions, each between so many options.
///
/// Everything else that strategies need follows from that, see [`Fixed`].
pub trait ChoiceSpace: Send + Sync + std::fmt::Debug {
    /// Name in configuration and lists.
    fn name(&self) -> &str;

    /// How many options each decision has; at least one each.
    fn options(&self) -> &[usize];

    /// Logarithm to base 10 of the number of vectors of choices, those that
    /// [`repair`](Self::repair) makes alike counted apart.
    fn log10_size(&self) -> f64 {
        self.options().iter().map(|&options| (options as f64).log10()).sum()
    }

    /// Brings decisions that have no effect, or contradict earlier ones, into the one form that
    /// stands for all of them (others may still build the same network). Called on everything that is drawn, mutated, crossed or read.
    fn repair(&self, _choices: &mut Choices) {}

    /// What the choices make, as operations between places, one for each kind of cell or stage;
    /// empty where that says no more than the choices themselves.
    fn sketches(&self, choices: &Choices) -> Vec<Sketch>;

    /// What the choices make, to be drawn, one for each kind of cell; empty where the network itself
    /// shows it best.
    fn drawings(&self, _choices: &Choices) -> Vec<Drawing> {
        Vec::new()
    }

    /// The network that the choices stand for; `None` if nothing comes through it. The graph is valid.
    fn build(&self, choices: &Choices) -> Option<Graph>;

    /// The choices in the space's own words; [`parse`](Self::parse) reads it back.
    fn text(&self, choices: &Choices) -> String {
        choices.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
    }

    /// Reads what [`text`](Self::text) wrote.
    ///
    /// # Errors
    ///
    /// [`ChoiceError`] with what is wrong.
    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let parts = text.split(',').map(|part| {
            part.trim().parse().map_err(|_| ChoiceError::NotANumber(part.trim().to_owned()))
        });
        self.checked(parts.collect::<Result<_, _>>()?)
    }

    /// `choices` if the space has them.
    ///
    /// # Errors
    ///
    /// [`ChoiceError`] with the first that it does not have.
    fn checked(&self, mut choices: Choices) -> Result<Choices, ChoiceError> {
        let options = self.options();
        if choices.len() != options.len() {
            return Err(ChoiceError::Length { found: choices.len(), wanted: options.len() });
        }
        for (decision, (&choice, &options)) in choices.iter().zip(options).enumerate() {
            if usize::from(choice) >= options {
                return Err(ChoiceError::Option { decision, choice, options });
            }
        }
        self.repair(&mut choices);
        Ok(choices)
    }
}

/// Choices that a space does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// A word that is no number.
    #[error("`{0}` is no option's number")]
    NotANumber(String),
    /// Too many or too few decisions.
    #[error("{found} choices where the space has {wanted} decisions")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// An option that a decision does not have.
    #[error("decision {decision} has options 0 to {}, not {choice}", options - 1)]
    Option {
        /// Which decision, from 0.
        decision: usize,
        /// What was chosen.
        choice: u8,
        /// How many options it has.
        options: usize,
    },
    /// A text in other words than the space's own.
    #[error("{found} is not {wanted}")]
    Text {
        /// What there is.
        found: String,
        /// What the space reads.
        wanted: String,
    },
}

/// Choices written as one digit each.
pub(super) fn digits(text: &str, wanted: &str) -> Result<Choices, ChoiceError> {
    let digit = |c: char| c.to_digit(10).map(|digit| digit as u8);
    let wrong = || ChoiceError::Text { found: text.to_owned(), wanted: wanted.to_owned() };
    text.chars().map(digit).collect::<Option<_>>().ok_or_else(wrong)
}

/// A fixed space as strategies see it.
#[derive(Clone, Debug)]
pub struct Fixed(pub Arc<dyn ChoiceSpace>);

impl Fixed {
    fn repaired(&self, mut choices: Choices) -> Architecture {
        self.0.repair(&mut choices);
        Architecture::Chosen(choices)
    }

    /// [`Space::features`] without costs, for which a network must be built.
    pub fn features_of_choices(&self, choices: &Choices) -> Features {
        let sketches = self.0.sketches(choices);
        Features {
            one_hot: one_hot(choices, self.0.options()),
            counts: counts(choices, self.0.options()),
            live: sketches.iter().flat_map(Sketch::counts).collect(),
            paths: sketches.iter().flat_map(Sketch::path_encoding).collect(),
            statistics: sketches.iter().flat_map(Sketch::statistics).collect(),
            costs: Vec::new(),
        }
    }
}

/// Draws before a mutation that changes nothing is given up.
const TRIES: usize = 50;

impl Space for Fixed {
    fn name(&self) -> &str {
        self.0.name()
    }

    /// One architecture for each option, which every decision that has it chooses; the others
    /// choose their last.
    fn starts(&self) -> Vec<Architecture> {
        let options = self.0.options();
        let most = options.iter().copied().max().unwrap_or(0);
        let mut starts: Vec<Architecture> = Vec::with_capacity(most);
        for option in 0..most {
            let choices = options.iter().map(|n| option.min(n - 1) as u8).collect();
            let start = self.repaired(choices);
            if !starts.contains(&start) {
                starts.push(start);
            }
        }
        starts
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> Architecture {
        let options = self.0.options();
        self.repaired(options.iter().map(|&n| rng.random_range(0..n) as u8).collect())
    }

    /// Each step gives one decision another option.
    fn mutate(
        &self,
        parent: &Architecture,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Architecture> {
        let before = chosen(parent);
        let options = self.0.options();
        let free: Vec<usize> = (0..options.len()).filter(|&d| options[d] > 1).collect();
        for _ in 0..TRIES {
            let mut choices = before.clone();
            for _ in 0..steps {
                let &decision = free.choose(rng)?;
                let other = rng.random_range(0..options[decision] - 1) as u8;
                choices[decision] = other + u8::from(other >= choices[decision]);
            }
            let child = self.repaired(choices);
            if child != *parent {
                return Some(child);
            }
        }
        None
    }

    /// Uniform: each decision from one of the two.
    fn cross(
        &self,
        a: &Architecture,
        b: &Architecture,
        rng: &mut ChaCha8Rng,
    ) -> Option<Architecture> {
        let pairs = chosen(a).iter().zip(chosen(b));
        let mixed = pairs.map(|(a, b)| if rng.random() { *a } else { *b });
        Some(self.repaired(mixed.collect()))
    }

    /// What lets nothing through costs nothing.
    fn features(&self, architecture: &Architecture) -> Features {
        let choices = chosen(architecture);
        let graph = self.0.build(choices);
        let costs = graph.map_or([0.0; TOTALS], |graph| totals(&graph.cost()));
        Features { costs: costs.to_vec(), ..self.features_of_choices(choices) }
    }

    fn build(&self, architecture: &Architecture) -> Option<Graph> {
        self.0.build(chosen(architecture))
    }

    fn choices(&self) -> Option<&dyn ChoiceSpace> {
        Some(self.0.as_ref())
    }
}

/// The choices of an architecture that must be of a fixed space.
fn chosen(architecture: &Architecture) -> &Choices {
    architecture.choices().expect("a fixed space has no other architectures")
}

fn one_hot(choices: &Choices, options: &[usize]) -> Vec<f64> {
    let bits = choices.iter().zip(options).flat_map(|(&choice, &n)| {
        (0..n).map(move |option| f64::from(u8::from(option == usize::from(choice))))
    });
    bits.collect()
}

/// How often each option is chosen, by its number.
fn counts(choices: &Choices, options: &[usize]) -> Vec<f64> {
    let mut counts = vec![0.0; options.iter().copied().max().unwrap_or(0)];
    for &choice in choices {
        counts[usize::from(choice)] += 1.0;
    }
    counts
}
