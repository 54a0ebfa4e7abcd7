//! The quantities that are minimised.
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::units::Bytes;
use crate::units::Fraction;
use crate::units::Macs;
use crate::units::Micros;

/// A quantity that is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// `1 − accuracy` on the validation split, a fraction.
    Error,
    /// The run's latency statistic on its device, µs.
    Latency,
    /// Peak memory on the device above that of the runtime alone, bytes.
    Memory,
    /// Trainable parameters.
    Parameters,
    /// Multiply-accumulates of one forward pass of one sample.
    Macs,
    /// Size of the ONNX file, bytes.
    ModelBytes,
}

/// A name that is no objective's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no objective `{name}`, only error, latency, memory, parameters, macs and model_bytes"
)]
pub struct UnknownObjective {
    /// What was read.
    pub name: String,
}

impl Objective {
    /// All of them.
    pub const ALL: [Objective; 6] = [
        Objective::Error,
        Objective::Latency,
        Objective::Memory,
        Objective::Parameters,
        Objective::Macs,
        Objective::ModelBytes,
    ];

    /// Name in configuration, options and tables.
    pub fn name(self) -> &'static str {
        match self {
            Objective::Error => "error",
            Objective::Latency => "latency",
            Objective::Memory => "memory",
            Objective::Parameters => "parameters",
            Objective::Macs => "macs",
            Objective::ModelBytes => "model_bytes",
        }
    }

    /// Name in JSON, CSV and SQL, which carries the unit.
    pub fn field(self) -> &'static str {
        match self {
            Objective::Error => "error",
            Objective::Latency => "latency_us",
            Objective::Memory => "memory_bytes",
            Objective::Parameters => "parameters",
            Objective::Macs => "macs",
            Objective::ModelBytes => "model_bytes",
        }
    }

    /// Does the value come from the device, so that measuring again gives another one?
    pub fn is_measured(self) -> bool {
        match self {
            Objective::Latency | Objective::Memory => true,
            Objective::Error | Objective::Parameters | Objective::Macs | Objective::ModelBytes => {
                false
            }
        }
    }

    /// Can the value be had without training?
    pub fn is_cheap(self) -> bool {
        self != Objective::Error
    }

    /// `value` with its unit, for people.
    pub fn format(self, value: f64) -> String {
        let count = value.round().max(0.0) as u64;
        match self {
            Objective::Error => Fraction(value).to_string(),
            Objective::Latency => Micros(value).to_string(),
            Objective::Memory | Objective::ModelBytes => Bytes(count).to_string(),
            Objective::Parameters => count.to_string(),
            Objective::Macs => Macs(count).to_string(),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Objective {
    type Err = UnknownObjective;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Objective::ALL.into_iter().find(|o| o.name() == text);
        found.ok_or_else(|| UnknownObjective { name: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_objective_has_one_name_everywhere() {
        for objective in Objective::ALL {
            assert_eq!(objective.to_string().parse(), Ok(objective));
            let json = serde_json::to_string(&objective).unwrap();
            assert_eq!(json, format!("\"{objective}\""));
            assert!(objective.field().starts_with(objective.name()));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_legal_ones() {
        let message = "speed".parse::<Objective>().unwrap_err().to_string();
        assert!(message.contains("`speed`"));
        assert!(Objective::ALL.iter().all(|o| message.contains(o.name())), "{message}");
    }

    #[test]
    fn values_are_shown_with_their_unit() {
        assert_eq!(Objective::Error.format(0.0731), "7.31 %");
        assert_eq!(Objective::Latency.format(941.53), "941.5 µs");
        assert_eq!(Objective::Memory.format(1.83e6), "1.83 MB");
        assert_eq!(Objective::Parameters.format(212330.0), "212330");
        assert_eq!(Objective::Macs.format(1.5e6), "1.50 M");
        assert_eq!(Objective::ModelBytes.format(43120.0), "43.1 kB");
    }
}
