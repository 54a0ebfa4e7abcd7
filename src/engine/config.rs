//! What a run is asked to do: the configuration, from TOML and flags.
mod search;

pub use search::SearchConfig;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::data::Augment;
use crate::data::LoadOptions;
use crate::pareto::Objective;
use crate::units::Bytes;
use crate::units::Fraction;
use crate::units::Macs;
use crate::units::Micros;
use crate::units::nearest;
use crate::units::with_suggestion;

/// Everything that decides a run, besides the store and the device it runs on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// `digits`, `fashion-mnist`, or a path.
    pub data: String,
    /// How it is read and split.
    pub split: LoadOptions,
    /// Names or addresses of the devices that are measured, e.g. `local`; a front for each.
    pub device: DeviceNames,
    /// `tract` or `ort`; `metronome` runs nothing (to try the search itself).
    pub runtime: String,
    /// Threads of the runtime.
    pub threads: usize,
    /// What is minimised, in order; the error is one of them.
    pub objectives: Vec<Objective>,
    /// Hard limits.
    pub limits: Vec<Limit>,
    /// The latency that is minimised is the one after so many seconds without a pause, on a device that
    /// has become as warm as it becomes; without it, that of short launches.
    pub sustained_s: Option<f64>,
    /// Of every random draw.
    pub seed: u64,
    /// When to stop; whichever comes first.
    pub budget: Budget,
    /// How candidates are found.
    pub search: SearchConfig,
    /// How they are trained.
    pub training: TrainingConfig,
}

/// One device by its name, or a list of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "OneOrMany")]
pub struct DeviceNames(pub Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for DeviceNames {
    fn from(names: OneOrMany) -> Self {
        match names {
            OneOrMany::One(name) => DeviceNames(vec![name]),
            OneOrMany::Many(names) => DeviceNames(names),
        }
    }
}

impl From<DeviceNames> for OneOrMany {
    fn from(names: DeviceNames) -> Self {
        match <[String; 1]>::try_from(names.0) {
            Ok([name]) => OneOrMany::One(name),
            Err(names) => OneOrMany::Many(names),
        }
    }
}

/// How candidates are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// `cpu`; `formula` trains nothing (to try the search itself).
    pub trainer: String,
    /// Candidates trained side by side, one thread each; 0 for one on each core.
    pub lanes: usize,
    /// Epochs of a network that starts from random weights; 0 for what suits the data.
    pub epochs_from_scratch: u32,
    /// Epochs of a child with inherited weights; 0 for what suits the data.
    pub epochs_of_child: u32,
    /// Epochs that a front member is trained on for before a time budget ends; 0 for what suits
    /// the data.
    pub epochs_of_refinement: u32,
    /// Largest share of a time budget that is kept for that, `0.0..=0.9`; 0 for never.
    pub share_of_refinement: f64,
    /// Epochs of distillation from the parent after an approximate morphism.
    pub epochs_of_distillation: u32,
    /// Images a step.
    pub batch: usize,
    /// Start of the cosine schedule from random weights.
    pub learning_rate: f32,
    /// Start of the cosine schedule of a child.
    pub learning_rate_of_child: f32,
    /// Of the momentum.
    pub momentum: f32,
    /// Coupled L2 decay.
    pub weight_decay: f32,
    /// Share of the target that all classes have alike.
    pub label_smoothing: f32,
    /// What is done to training images; by default what suits the data.
    pub augment: Option<Augment>,
}

/// What a run may spend, counted over all its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Seconds in the program.
    pub seconds: Option<f64>,
    /// Accepted candidates.
    pub candidates: Option<u64>,
    /// Epochs of training.
    pub epochs: Option<u64>,
}

/// A hard limit on an objective, e.g. `latency<=8ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Which.
    pub objective: Objective,
    /// Largest allowed value, in the objective's unit.
    pub most: f64,
}

impl Default for RunConfig {
    fn default() -> Self {
        RunConfig {
            data: "digits".into(),
            split: LoadOptions::default(),
            device: DeviceNames(vec!["local".into()]),
            runtime: "tract".into(),
            threads: 1,
            objectives: vec![
                Objective::Error,
                Objective::Latency,
                Objective::Memory,
                Objective::ModelBytes,
            ],
            limits: Vec::new(),
            sustained_s: None,
            seed: 0,
            budget: Budget::default(),
            search: SearchConfig::default(),
            training: TrainingConfig::default(),
        }
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        TrainingConfig {
            trainer: "cpu".into(),
            lanes: 0,
            epochs_from_scratch: 0,
            epochs_of_child: 0,
            epochs_of_refinement: 0,
            share_of_refinement: 0.3,
            epochs_of_distillation: 1,
            batch: 64,
            learning_rate: 0.1,
            learning_rate_of_child: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            label_smoothing: 0.05,
            augment: None,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not TOML, or a key or value that does not fit; the text points to the place.
    #[error("{0}")]
    Toml(String),
    /// A value that cannot be.
    #[error("`{key}` is {found}, but must be {wanted}")]
    Value {
        /// Path of the key.
        key: &'static str,
        /// What was read.
        found: String,
        /// What would do.
        wanted: String,
    },
    /// A file of `--reference` that holds none.
    #[error("`{0}` does not hold a reference point: {1}")]
    Reference(String, String),
    /// A text that is no member with which a search can begin.
    #[error("a search in `{space}` cannot start with `{text}`: {reason}")]
    Start {
        /// The text.
        text: String,
        /// Name of the space.
        space: String,
        /// Why not.
        reason: String,
    },
    /// A text that is no limit.
    #[error("`{0}` is not a limit such as `latency<=8ms`, `memory<=20MB` or `error<=5%`")]
    Limit(String),
    /// A text that is no budget.
    #[error("`{0}` is not a budget such as `10min`, `200candidates` or `300epochs`")]
    Budget(String),
}

impl RunConfig {
    /// Reads a configuration; a misspelt key is answered with the nearest one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Toml`] with line and column.
    pub fn from_toml(text: &str) -> Result<RunConfig, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Toml(with_suggestion(&error.to_string())))
    }

    /// Decides whether the values make sense together.
    ///
    /// # Errors
    ///
    /// The first that does not, with what would do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let error = |key, found: String, wanted: &str| {
            Err(ConfigError::Value { key, found, wanted: wanted.to_owned() })
        };
        at_least_one("threads", self.threads)?;
        at_least_one("training.batch", self.training.batch)?;
        let DeviceNames(devices) = &self.device;
        let distinct: BTreeSet<&String> = devices.iter().collect();
        if devices.is_empty() || distinct.len() < devices.len() {
            return error("device", devices.join(","), "one device or several different ones");
        }
        let errors = self.objectives.iter().filter(|o| **o == Objective::Error).count();
        let mut distinct = self.objectives.clone();
        distinct.sort_by_key(|o| o.to_string());
        distinct.dedup();
        let whole = errors == 1 && distinct.len() == self.objectives.len();
        if !whole || !(2..=4).contains(&self.objectives.len()) {
            let found: Vec<String> = self.objectives.iter().map(Objective::to_string).collect();
            let wanted = "the error and one to three different costs";
            return error("objectives", found.join(","), wanted);
        }
        self.search.validate()?;
        // `ort:PROVIDER` is checked by the device that has it or not.
        let runtime = if self.runtime.starts_with("ort:") { "ort" } else { &self.runtime };
        one_of("runtime", runtime, ["tract", "ort", "metronome"])?;
        one_of("training.trainer", &self.training.trainer, ["cpu", "formula"])?;
        let share = self.training.share_of_refinement;
        if !(0.0..=0.9).contains(&share) {
            let wanted = "a share of the time budget from 0 to 0.9";
            return error("training.share_of_refinement", share.to_string(), wanted);
        }
        for (i, limit) in self.limits.iter().enumerate() {
            if self.limits[..i].iter().any(|l| l.objective == limit.objective) {
                let wanted = format!("one limit on the {}", limit.objective);
                return error("limits", "two of one kind".to_owned(), &wanted);
            }
        }
        let rate = |key, x: f32| match x.is_finite() && x > 0.0 {
            true => Ok(()),
            false => error(key, x.to_string(), "a positive number"),
        };
        if let Some(seconds) = self.budget.seconds
            && !(seconds.is_finite() && seconds > 0.0)
        {
            return error("budget.seconds", seconds.to_string(), "a positive number of seconds");
        }
        if let Some(seconds) = self.sustained_s
            && !(1.0..=3600.0).contains(&seconds)
        {
            return error("sustained_s", seconds.to_string(), "from 1 to 3600 seconds");
        }
        let part = |key, x: f32| match (0.0..1.0).contains(&x) {
            true => Ok(()),
            false => error(key, x.to_string(), "at least 0 and below 1"),
        };
        part("training.momentum", self.training.momentum)?;
        part("training.weight_decay", self.training.weight_decay)?;
        part("training.label_smoothing", self.training.label_smoothing)?;
        rate("training.learning_rate", self.training.learning_rate)?;
        rate("training.learning_rate_of_child", self.training.learning_rate_of_child)
    }

    /// Position of the error among the objectives.
    pub fn error_at(&self) -> usize {
        let at = self.objectives.iter().position(|o| *o == Objective::Error);
        at.expect("a valid configuration minimises the error")
    }

    /// The hard limit on `objective`, if there is one.
    pub fn limit(&self, objective: Objective) -> Option<f64> {
        let mine = self.limits.iter().filter(|l| l.objective == objective);
        mine.map(|l| l.most).reduce(f64::min)
    }
}

fn at_least_one(key: &'static str, n: usize) -> Result<(), ConfigError> {
    match n {
        0 => Err(ConfigError::Value { key, found: n.to_string(), wanted: "at least 1".to_owned() }),
        _ => Ok(()),
    }
}

/// Refuses a name that is not in the list, with the nearest one that is.
fn one_of<'a>(
    key: &'static str,
    found: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let names: Vec<&str> = names.into_iter().collect();
    if names.contains(&found) {
        return Ok(());
    }
    let mut wanted = format!("one of {}", names.join(", "));
    if let Some(near) = nearest(found, &names) {
        wanted.push_str(&format!("; did you mean `{near}`?"));
    }
    Err(ConfigError::Value { key, found: format!("`{found}`"), wanted })
}

impl FromStr for Limit {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ConfigError::Limit(text.to_owned());
        let (name, value) = text.split_once("<=").ok_or_else(error)?;
        let objective: Objective = name.trim().parse().map_err(|_| error())?;
        let value = value.trim();
        let most = match objective {
            Objective::Error => value.parse::<Fraction>().ok().map(|f| f.0),
            Objective::Latency => value.parse::<Micros>().ok().map(|us| us.0),
            Objective::Memory | Objective::ModelBytes => {
                value.parse::<Bytes>().ok().map(|b| b.0 as f64)
            }
            Objective::Parameters | Objective::Macs => {
                value.parse::<Macs>().ok().map(|n| n.0 as f64)
            }
        };
        most.filter(|m| *m > 0.0).map(|most| Limit { objective, most }).ok_or_else(error)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.objective {
            Objective::Error => format!("{}%", 100.0 * self.most),
            Objective::Latency => format!("{}us", self.most),
            Objective::Memory | Objective::ModelBytes => format!("{}B", self.most),
            Objective::Parameters | Objective::Macs => format!("{}", self.most),
        };
        write!(f, "{}<={value}", self.objective)
    }
}

impl Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Budget {
    /// Adds a text such as `10min`, `200candidates` or `300epochs` to this budget.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Budget`] for any other text.
    pub fn add(&mut self, text: &str) -> Result<(), ConfigError> {
        let error = || ConfigError::Budget(text.to_owned());
        let count = |unit: &str| text.strip_suffix(unit).map(|n| n.trim().parse::<u64>());
        if let Some(n) = count("candidates") {
            self.candidates = Some(n.map_err(|_| error())?);
        } else if let Some(n) = count("epochs") {
            self.epochs = Some(n.map_err(|_| error())?);
        } else {
            let us = text.parse::<Micros>().map_err(|_| error())?;
            self.seconds = Some(us.0 / 1e6);
        }
        Ok(())
    }

    /// Is there no end at all?
    pub fn is_unlimited(&self) -> bool {
        let Budget { seconds, candidates, epochs } = self;
        seconds.is_none() && candidates.is_none() && epochs.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_in_the_unit_of_their_objective() {
        let read = |text: &str| text.parse::<Limit>().unwrap();
        assert_eq!(read("latency<=8ms"), Limit { objective: Objective::Latency, most: 8000.0 });
        assert_eq!(read("error <= 5%"), Limit { objective: Objective::Error, most: 0.05 });
        assert_eq!(read("memory<=20MB").most, 20e6);
        for text in ["latency<8ms", "latency<=8MB", "speed<=3", "latency<=-1ms", "latency<=0ms"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_reads_back_what_it_displays() {
        for text in ["latency<=8ms", "error<=5%", "memory<=20MB", "parameters<=20k"] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit.to_string().parse::<Limit>().unwrap(), limit);
        }
    }

    #[test]
    fn budgets_are_times_candidates_or_epochs() {
        let mut budget = Budget::default();
        for text in ["10min", "200candidates", "300epochs"] {
            budget.add(text).unwrap();
        }
        let expected = Budget { seconds: Some(600.0), candidates: Some(200), epochs: Some(300) };
        assert_eq!(budget, expected);
        assert!(budget.add("soon").is_err());
    }

    #[test]
    fn a_misspelt_key_is_answered_with_the_nearest() {
        let error = RunConfig::from_toml("[training]\nepochs_of_chld = 3\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("line 2"), "{text}");
        assert!(text.ends_with("did you mean `epochs_of_child`?"), "{text}");
    }

    #[test]
    fn a_configuration_survives_toml() {
        let mut config = RunConfig::default();
        config.limits.push("latency<=8ms".parse().unwrap());
        let text = toml::to_string(&config).unwrap();
        assert_eq!(RunConfig::from_toml(&text).unwrap(), config);
        config.validate().unwrap();
    }

    #[test]
    fn a_device_is_a_name_and_several_are_a_list() {
        let read = |text: &str| RunConfig::from_toml(text).unwrap();
        let one = read("device = \"local\"\n");
        assert_eq!(one, RunConfig::default());
        assert!(toml::to_string(&one).unwrap().contains("device = \"local\"\n"));
        let two = read("device = [\"local\", \"bench-pi\"]\n");
        assert_eq!(two.device.0, ["local", "bench-pi"]);
        assert_eq!(read(&toml::to_string(&two).unwrap()), two);
        for text in ["device = []\n", "device = [\"local\", \"local\"]\n"] {
            assert!(read(text).validate().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_one() {
        let mut config = RunConfig::default();
        config.search.strategy = Some("lemonad".into());
        let text = config.validate().unwrap_err().to_string();
        assert!(text.contains("did you mean `lemonade`?"), "{text}");
        for budget in [f64::NAN, 0.0, f64::INFINITY] {
            config = RunConfig::default();
            config.budget.seconds = Some(budget);
            assert!(config.validate().is_err(), "{budget}");
        }
        config = RunConfig { objectives: vec![Objective::Latency], ..RunConfig::default() };
        assert!(config.validate().is_err());
    }
}
