//! How devices are called.
use std::sync::Arc;

use super::DeviceError;
use super::Local;
use super::Transport;

/// The transport to `address`.
///
/// # Errors
///
/// [`DeviceError::UnknownAddress`], and [`DeviceError::NotStarted`] if this program cannot find
/// its own file.
pub fn parse(address: &str) -> Result<Arc<dyn Transport>, DeviceError> {
    match address {
        "local" => Ok(Arc::new(Local::this_program()?)),
        other => Err(DeviceError::UnknownAddress { text: other.to_owned() }),
    }
}
