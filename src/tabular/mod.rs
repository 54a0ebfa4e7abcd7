//! Recorded benchmarks: strategies are scored without training or measuring anything.
//!
//! A table lists every architecture of a space with its error and its latency on some devices. A
//! strategy plays against it as it would against a trainer and a phone; afterwards everybody sees
//! how far its front is from the true one.
mod categorical;
mod error;
mod play;
mod read;
mod score;
mod space;
mod tournament;

pub use error::TableError;
pub use play::Latency;
pub use play::Task;
pub use play::Trace;
pub use play::play;
pub use play::player;
pub use read::Columns;
pub use read::FORMATS;
pub use read::Format;
pub use read::format;
pub use read::read;
pub use score::Course;
pub use score::Mean;
pub use score::mean;
pub use space::TableSpace;
pub use tournament::Games;
pub use tournament::Rules;
pub use tournament::difference;
pub use tournament::final_over_devices;
pub use tournament::over_devices;

use std::sync::Arc;

use crate::units::names_for;

/// A recorded benchmark.
#[derive(Clone, Debug)]
pub struct Table {
    /// The architectures, row by row.
    pub space: Arc<TableSpace>,
    /// The table's own number of each row.
    pub index: Vec<u64>,
    /// What a query returns, as a share from 0 to 1; by row.
    pub error: Vec<f64>,
    /// What the user gets in the end, where the table has it: the error after a whole training.
    pub final_error: Option<Vec<f64>>,
    /// Latencies by device.
    pub devices: Vec<Device>,
    /// Seconds of training that a query stands for, where the table has them.
    pub seconds: Option<Vec<f64>>,
}

/// A column of latencies.
#[derive(Clone, Debug)]
pub struct Device {
    /// Name of the column without `lat_`.
    pub name: String,
    /// In the table's unit, from 1e-12 to 1e12; by row.
    pub latency: Vec<f64>,
}

impl Table {
    /// The device of this name, with or without `lat_`.
    ///
    /// # Errors
    ///
    /// [`TableError::NoDevice`] with those that there are.
    pub fn device(&self, name: &str) -> Result<&Device, TableError> {
        let short = name.strip_prefix("lat_").unwrap_or(name);
        let found = self.devices.iter().find(|device| device.name == short);
        let names = || self.devices.iter().map(|d| d.name.as_str()).collect::<Vec<_>>();
        found.ok_or_else(|| TableError::NoDevice {
            found: name.to_owned(),
            known: names_for(short, &names()),
        })
    }

    /// How many architectures there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Is there none? [`read`] makes no such table.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}
