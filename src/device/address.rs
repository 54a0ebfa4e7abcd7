//! From what the user calls a device to the way there.
use std::sync::Arc;

use super::Adb;
use super::Catalogue;
use super::DeviceError;
use super::Entry;
use super::Ledger;
use super::Link;
use super::Local;
use super::ProfileError;
use super::Remote;
use super::Runners;
use super::Shell;
use super::Ssh;
use super::Transport;

/// The device called `address`: a name of the catalogue, or what [`Link::parse`] reads.
///
/// # Errors
///
/// As for [`Link::parse`].
pub fn find(catalogue: &Catalogue, address: &str) -> Result<Entry, ProfileError> {
    match catalogue.get(address) {
        Some(entry) => Ok(entry.clone()),
        None => Link::parse(address).map(Entry::of),
    }
}

/// The way to a device, with the ledger of its health; nothing is started yet.
///
/// # Errors
///
/// [`DeviceError::NotStarted`] if this program cannot find its own file, and
/// [`DeviceError::UnknownAddress`] for a name that `ssh`, `adb` or a shell would misread.
pub fn connect(entry: &Entry, runners: Runners) -> Result<Arc<dyn Transport>, DeviceError> {
    match &entry.link {
        Link::Local => {
            let local = match runners.given {
                Some(given) => Local::program(given, ["agent"]),
                None => Local::this_program()?,
            };
            let local = local.with_name(&entry.name).with_ledger(Ledger::of(&entry.link));
            Ok(Arc::new(match &entry.profile.onnxruntime {
                Some(path) => local.with_library(path),
                None => local,
            }))
        }
        Link::Ssh { host, port } => {
            remote(entry, Ssh::new(host, *port)?.with_name(&entry.name), runners)
        }
        Link::Adb { serial } => remote(entry, Adb::new(serial)?.with_name(&entry.name), runners),
    }
}

fn remote<S: Shell + 'static>(
    entry: &Entry,
    shell: S,
    runners: Runners,
) -> Result<Arc<dyn Transport>, DeviceError> {
    let remote = Remote::new(shell, runners, entry.workdir(), entry.max_bytes().0)?;
    let remote = remote.with_ledger(Ledger::of(&entry.link));
    Ok(Arc::new(match &entry.profile.onnxruntime {
        Some(path) => remote.with_library(path)?,
        None => remote,
    }))
}
