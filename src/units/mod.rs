//! Quantities that carry their unit, and the names that were meant.
//!
//! A type inside the program, a suffix at every border where types end (`latency_us`,
//! `memory_bytes`). Parsing and formatting exist once, here.
mod near;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use near::names_for;
pub use near::nearest;
pub use near::with_suggestion;
use serde::Deserialize;
use serde::Serialize;

/// A duration on a device, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub f64);

/// An amount of memory or a file size, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// Multiply-accumulate operations of one forward pass of one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Macs(pub u64);

/// A share, e.g. an error rate; `0.021` displays as `2.10 %`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fraction(pub f64);

/// A text that is not a quantity, with the form that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseQuantityError {
    /// What was read.
    pub text: String,
    /// What would have been right, with an example.
    pub expected: &'static str,
}

/// `1 thread`, `2 threads`, `2 queries`.
pub fn plural(count: u64, one: &str) -> String {
    match (count, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {one}s"),
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us < 1e3 => f.pad(&format!("{us:.1} µs")),
            us if us < 1e6 => f.pad(&format!("{:.2} ms", us / 1e3)),
            us => f.pad(&format!("{:.3} s", us / 1e6)),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 as f64 {
            b if b < 1e3 => f.pad(&format!("{b} B")),
            b if b < 1e6 => f.pad(&format!("{:.1} kB", b / 1e3)),
            b if b < 1e9 => f.pad(&format!("{:.2} MB", b / 1e6)),
            b => f.pad(&format!("{:.2} GB", b / 1e9)),
        }
    }
}

impl fmt::Display for Macs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 as f64 {
            n if n < 1e3 => f.pad(&format!("{n}")),
            n if n < 1e6 => f.pad(&format!("{:.1} k", n / 1e3)),
            n if n < 1e9 => f.pad(&format!("{:.2} M", n / 1e6)),
            n => f.pad(&format!("{:.2} G", n / 1e9)),
        }
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2} %", 100.0 * self.0))
    }
}

impl From<Duration> for Micros {
    fn from(d: Duration) -> Self {
        Micros(d.as_secs_f64() * 1e6)
    }
}

/// Splits `12.5ms` into `(12.5, "ms")`.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, unit.trim()))
}

impl FromStr for Micros {
    type Err = ParseQuantityError;

    /// Reads `250us`, `8ms`, `1.5s`, `10min`, `2h`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseQuantityError {
            text: text.to_owned(),
            expected: "a duration such as `8ms`, `250us` or `10min`",
        };
        let (number, unit) = split(text).ok_or_else(error)?;
        let factor = match unit {
            "us" | "µs" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "min" => 60e6,
            "h" => 3600e6,
            _ => return Err(error()),
        };
        Ok(Micros(number * factor))
    }
}

impl FromStr for Bytes {
    type Err = ParseQuantityError;

    /// Reads `512B`, `20kB`, `20MB`, `512KiB`, `1GiB`; a bare number is bytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseQuantityError {
            text: text.to_owned(),
            expected: "a size such as `20MB` or `512KiB`",
        };
        let (number, unit) = split(text).ok_or_else(error)?;
        let factor = match unit {
            "" | "B" => 1.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" => 1024.0,
            "MiB" => 1048576.0,
            "GiB" => 1073741824.0,
            _ => return Err(error()),
        };
        Ok(Bytes((number * factor).round() as u64))
    }
}

impl FromStr for Macs {
    type Err = ParseQuantityError;

    /// Reads `1500000`, `300k`, `1.5M`, `2G`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseQuantityError {
            text: text.to_owned(),
            expected: "a count such as `20000`, `300k` or `1.5M`",
        };
        let (number, unit) = split(text).ok_or_else(error)?;
        let factor = match unit {
            "" => 1.0,
            "k" | "K" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            _ => return Err(error()),
        };
        Ok(Macs((number * factor).round() as u64))
    }
}

impl FromStr for Fraction {
    type Err = ParseQuantityError;

    /// Reads `2.5%` or `0.025`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseQuantityError {
            text: text.to_owned(),
            expected: "a share such as `2.5%` or `0.025`",
        };
        let (number, unit) = split(text).ok_or_else(error)?;
        match unit {
            "" => Ok(Fraction(number)),
            "%" => Ok(Fraction(number / 100.0)),
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_every_unit_of_the_interface() {
        let read = |text: &str| text.parse::<Micros>().unwrap().0;
        assert_eq!(read("250us"), 250.0);
        assert_eq!(read("8ms"), 8000.0);
        assert_eq!(read("1.5 s"), 1.5e6);
        assert_eq!(read("10min"), 600e6);
    }

    #[test]
    fn one_is_not_several() {
        assert_eq!([1, 2].map(|n| plural(n, "seed")), ["1 seed", "2 seeds"]);
        assert_eq!([1, 0].map(|n| plural(n, "query")), ["1 query", "0 queries"]);
    }

    #[test]
    fn sizes_tell_decimal_from_binary_units() {
        assert_eq!("20MB".parse(), Ok(Bytes(20_000_000)));
        assert_eq!("512KiB".parse(), Ok(Bytes(524_288)));
        assert_eq!("17".parse(), Ok(Bytes(17)));
    }

    #[test]
    fn what_is_not_a_quantity_is_named_with_an_example() {
        let error = "8parsecs".parse::<Micros>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`8parsecs` is not a duration such as `8ms`, `250us` or `10min`"
        );
        assert!("".parse::<Bytes>().is_err());
        assert!("-3MB".parse::<Bytes>().is_err());
    }

    #[test]
    fn display_keeps_tables_aligned() {
        assert_eq!(format!("{:>10}", Micros(941.53)), "  941.5 µs");
        assert_eq!(format!("{:>10}", Micros(8410.0)), "   8.41 ms");
        assert_eq!(format!("{:>9}", Fraction(0.0731)), "   7.31 %");
        assert_eq!(Bytes(1_830_000).to_string(), "1.83 MB");
        assert_eq!(Macs(1_500_000).to_string(), "1.50 M");
    }
}
