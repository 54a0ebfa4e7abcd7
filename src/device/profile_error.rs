//! What can be wrong with a profile.
use std::io;
use std::path::PathBuf;

use crate::units::nearest;

use super::Profile;

/// What is wrong with a profile, or with the user's devices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not TOML, or a key or value that does not fit; the text points to the place.
    #[error("{place}: {text}")]
    Toml {
        /// Which file or profile.
        place: String,
        /// Line, column and reason.
        text: String,
    },

    /// A value that cannot be.
    #[error("{place}: `{key}` is {found}, but must be {wanted}")]
    Value {
        /// Which file, device or profile.
        place: String,
        /// Path of the key.
        key: &'static str,
        /// What was read.
        found: String,
        /// What would do.
        wanted: String,
    },

    /// No built-in profile has this name.
    #[error("{place}: `extends` names no profile: `{name}`; {wanted}")]
    UnknownProfile {
        /// Which file, device or profile.
        place: String,
        /// What was read.
        name: String,
        /// What there is, and what was probably meant.
        wanted: String,
    },

    /// A device that cannot be found, for want of a key.
    #[error("{place}: transport `{transport}` needs `{key}`, {what}")]
    Missing {
        /// Which device, in which file.
        place: String,
        /// How it is reached.
        transport: &'static str,
        /// Which key.
        key: &'static str,
        /// What it says, with an example.
        what: &'static str,
    },

    /// A key of another transport.
    #[error("{place}: `{key}` belongs to transport `{owner}`, but the transport is `{transport}`")]
    Foreign {
        /// Which device, in which file.
        place: String,
        /// Which key.
        key: &'static str,
        /// The transport that has it.
        owner: &'static str,
        /// How the device is reached.
        transport: &'static str,
    },

    /// A text that is no address.
    #[error(
        "`{text}` is neither a name in devices.toml nor the address of a device, such as `local`, \
         `ssh:pi5.lan`, `ssh:bench@pi5.lan:2222` or `adb:39281FDJH0`"
    )]
    Address {
        /// What was read.
        text: String,
    },

    /// A device that is there already.
    #[error("{} has a device `{name}` already", file.display())]
    Exists {
        /// Its name.
        name: String,
        /// Where it is.
        file: PathBuf,
    },

    /// The system does not say where configurations are.
    #[error("there is no folder for the configuration of citronade")]
    NoFolder,

    /// The user's devices cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The user's devices cannot be written; the file is as it was.
    #[error("cannot write {}", file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ProfileError {
    /// What the user can do about it; printed by the CLI under the error.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("choose another name, or edit the file"),
            Self::Foreign { .. } => Some("delete the key, or change `transport`"),
            Self::NoFolder => Some("set CITRONADE_CONFIG_DIR to a folder"),
            Self::Read { .. } => Some("is it a text file that you may read?"),
            Self::Write { .. } => Some("may you write there, and is there space?"),
            Self::Toml { .. }
            | Self::Value { .. }
            | Self::UnknownProfile { .. }
            | Self::Missing { .. } => None,
            Self::Address { .. } => Some(
                "leave `--device` out to measure on this machine; `citronade devices` lists the \
                 names in devices.toml",
            ),
        }
    }

    pub(super) fn unknown_profile(place: &str, name: &str) -> ProfileError {
        let names: Vec<&str> = Profile::names().collect();
        let wanted = match nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        ProfileError::UnknownProfile { place: place.to_owned(), name: name.to_owned(), wanted }
    }
}
