//! What can go wrong between the host and a device.
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::agent::Refusal;

/// What can go wrong between the host and a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No transport reads this address.
    #[error(
        "`{text}` is not a device: there are local, ssh:HOST, ssh:HOST:PORT, adb:SERIAL, and the \
         names in devices.toml"
    )]
    UnknownAddress {
        /// What was read.
        text: String,
    },

    /// The agent could not be started.
    #[error("the runner `{program}` cannot be started on {address}")]
    NotStarted {
        /// Whole command line.
        program: String,
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// Why.
        source: io::Error,
    },

    /// No answer in time; the agent was killed.
    #[error("the runner on {address} hung: no answer within {} s while it should {doing}; it was killed", timeout.as_secs_f64())]
    Hung {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// The limit that was hit.
        timeout: Duration,
    },

    /// The device is not there, or does not let this user in.
    #[error("{address} cannot be reached: {}", or_silence(complaint))]
    Absent {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// What it probably is.
        absence: Absence,
        /// In the words of `ssh` or `adb`.
        complaint: String,
    },

    /// The device was there, and went away.
    #[error("the link to {address} was lost while it should {doing}{}", tail(complaint))]
    Gone {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// In the words of `ssh` or `adb`.
        complaint: String,
        /// Was the runner at work? Then that may be why.
        at_work: bool,
    },

    /// Somebody else measures on the device.
    #[error("{address} is in use by {owner}")]
    Busy {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// User, host and process, as they said it.
        owner: String,
    },

    /// It failed several times in a row, and is not used until a check passes.
    #[error(
        "{address} is in quarantine after {faults} faults in a row, the last: {reason}; \
         `citronade devices check {address}` brings it back if its reference model runs"
    )]
    Quarantined {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// How many.
        faults: u32,
        /// The last of them.
        reason: String,
    },

    /// Nothing can be written on the device.
    #[error("cannot write in `{folder}` on {address}: {reason}")]
    NotWritable {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// The work folder.
        folder: String,
        /// In the device's words.
        reason: String,
    },

    /// A file is too large for the bound of the work folder.
    #[error("there is no room on {address}: {reason}")]
    NoRoom {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// With the sizes.
        reason: String,
        /// Is it a model that is too large? Else none fits.
        for_model: bool,
    },

    /// A file arrived damaged, twice.
    #[error("`{name}` arrives damaged on {address}: {reason}")]
    Damaged {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// Its name there.
        name: String,
        /// What differs.
        reason: String,
    },

    /// There is no runner for this kind of processor.
    #[error(
        "there is no runner for {arch}, which {address} needs; looked for {searched}; in the source \
         of citronade, {way_out}"
    )]
    NoRunner {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// As `uname -m` says it.
        arch: String,
        /// Files that are not there.
        searched: String,
        /// E.g. `` `runners/build aarch64 --to FOLDER` builds one ``.
        way_out: String,
    },

    /// The file that was given as runner is not one for the device.
    #[error("`{}` is no runner for {address}: {reason}", path.display())]
    WrongRunner {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// Which file.
        path: PathBuf,
        /// E.g. `it is for x86_64, the device is aarch64`.
        reason: String,
    },

    /// A file of this machine that should go to the device cannot be read.
    #[error("cannot read `{}`", path.display())]
    NotRead {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The agent was ended by a signal.
    #[error(
        "the runner on {address} crashed (signal {signal}) while it should {doing}{}",
        tail(stderr_tail)
    )]
    Crashed {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// Which signal, e.g. 6 for an abort.
        signal: i32,
        /// Last lines of its standard error.
        stderr_tail: String,
    },

    /// The agent was ended for the processor time it took.
    #[error(
        "the runner on {address} used more than {seconds} s of processor time while it should \
         {doing}, and was ended"
    )]
    Overran {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// The limit: the deadline times the threads.
        seconds: u64,
    },

    /// The agent ended without an answer.
    #[error("the runner on {address} ended {} while it should {doing}{}", with_status(*status), tail(stderr_tail))]
    Ended {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// E.g. `time m.onnx`.
        doing: String,
        /// Exit status, if there is one.
        status: Option<i32>,
        /// Last lines of its standard error.
        stderr_tail: String,
    },

    /// Something else than the agent answered.
    #[error("what answers on {address} is not this version of the runner: {reason}")]
    Garbage {
        /// As [`Transport::address`](super::Transport::address) gives it.
        address: String,
        /// What was wrong with the line, and its start.
        reason: String,
    },

    /// The agent did not do it.
    #[error("{reason}")]
    Refused {
        /// Whose fault it is.
        kind: Refusal,
        /// In the agent's words.
        reason: String,
    },
}

/// Why a device is not there, as far as `ssh` or `adb` tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Its name means nothing here.
    NoSuchHost,
    /// Its key is not the known one, or not known yet.
    HostKey,
    /// It does not accept this user's key.
    NotLetIn,
    /// Nobody has allowed this computer on the phone's screen.
    PhoneNotLetIn,
    /// This user may not use the USB device.
    NoPermission,
    /// It does not answer.
    Offline,
    /// The phone is plugged in, but does not answer.
    PhoneOffline,
    /// No such phone is connected.
    NotPlugged,
    /// None of these.
    Unknown,
}

impl Absence {
    /// What the user can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Absence::NoSuchHost => "is the name right? `ssh HOST` must work with it",
            Absence::HostKey => {
                "connect once with `ssh HOST` and check the key it shows; if the board was set up \
                 anew, `ssh-keygen -R HOST` first; citronade never skips that check"
            }
            Absence::NotLetIn => {
                "`ssh HOST` must work without a question: `ssh-copy-id HOST`, or a key in the agent"
            }
            Absence::PhoneNotLetIn => {
                "unlock the phone and tap `Allow` under `Allow USB debugging?`; if it does not ask: \
                 Settings, Developer options, Revoke USB debugging authorisations, and plug it in \
                 again"
            }
            Absence::NoPermission => {
                "allow it with a udev rule: SUBSYSTEM==\"usb\", ATTR{idVendor}==\"18d1\", \
                 MODE=\"0660\", GROUP=\"plugdev\" in /etc/udev/rules.d/51-android.rules \
                 (`lsusb` tells the vendor), then plug it in again"
            }
            Absence::Offline => "is it switched on and in this network, and does its sshd run?",
            Absence::PhoneOffline => "unplug it and plug it in again, or `adb reconnect offline`",
            Absence::NotPlugged => {
                "`adb devices` lists what is there; switch USB debugging on, try another cable"
            }
            Absence::Unknown => "try it by hand: `ssh HOST`, or `adb devices`",
        }
    }
}

impl DeviceError {
    /// What the user can do about it; printed by the CLI under the error.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UnknownAddress { .. } => Some("leave `--device` out to measure on this machine"),
            Self::Absent { absence, .. } => Some(absence.hint()),
            Self::Gone { .. } => Some("is it still on, and the cable or network in order?"),
            Self::Busy { .. } => Some("wait for it, or stop it: one measurement at a time"),
            Self::Quarantined { .. } => Some("look after the device, then check it"),
            Self::NotWritable { .. } => Some(
                "make room there or let it be written, or name another `workdir` for the device",
            ),
            Self::NoRoom { .. } => Some("set a larger `max_mb` for the device in devices.toml"),
            Self::Damaged { .. } => Some("try another cable or port; a full disk does this too"),
            Self::NoRunner { .. } => {
                Some("docs/runner.md says more; --agent names a runner that is somewhere else")
            }
            Self::WrongRunner { .. } => Some("docs/runner.md says how runners are built"),
            Self::NotRead { .. } => None,
            Self::NotStarted { .. } => Some("is the program there, and may it be executed?"),
            Self::Hung { .. } | Self::Overran { .. } => Some(
                "the model may be too slow for this device, or the machine too busy; \
                 `measure --deadline 10min` gives it longer",
            ),
            Self::Crashed { signal: 6 | 9 | 11, .. } => {
                Some("the model may need more memory than is free on the device")
            }
            Self::Crashed { .. } | Self::Ended { .. } => {
                Some("`citronade devices check NAME` shows whether the runner works at all")
            }
            Self::Garbage { .. } => Some("use the same version of citronade on both sides"),
            Self::Refused { kind: Refusal::Runtime, .. } => {
                Some("`--runtime tract` is always there")
            }
            Self::Refused { kind: Refusal::Model | Refusal::Request, .. } => None,
        }
    }

    /// Whether trying again can help; the engine retries only these.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Hung { .. } | Self::Crashed { .. } | Self::Ended { .. } => true,
            Self::UnknownAddress { .. }
            | Self::Absent { .. }
            | Self::Gone { .. }
            | Self::Busy { .. }
            | Self::Quarantined { .. }
            | Self::NotWritable { .. }
            | Self::NoRoom { .. }
            | Self::Damaged { .. }
            | Self::NoRunner { .. }
            | Self::WrongRunner { .. }
            | Self::NotRead { .. }
            | Self::NotStarted { .. }
            | Self::Overran { .. }
            | Self::Garbage { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Whether no model could have been run: the runner or the device is not what it should be.
    pub fn concerns_every_model(&self) -> bool {
        match self {
            Self::Ended { .. } if self.is_missing_runner() => true,
            Self::NoRoom { for_model, .. } => !for_model,
            Self::UnknownAddress { .. }
            | Self::Absent { .. }
            | Self::Gone { .. }
            | Self::Busy { .. }
            | Self::Quarantined { .. }
            | Self::NotWritable { .. }
            | Self::Damaged { .. }
            | Self::NoRunner { .. }
            | Self::WrongRunner { .. }
            | Self::NotStarted { .. }
            | Self::Garbage { .. }
            | Self::Refused { kind: Refusal::Request | Refusal::Runtime, .. } => true,
            Self::Hung { .. }
            | Self::Overran { .. }
            | Self::Crashed { .. }
            | Self::Ended { .. }
            | Self::NotRead { .. }
            | Self::Refused { kind: Refusal::Model, .. } => false,
        }
    }

    /// Whether the runner is not where it was put: what a shell says that does not find a program, or
    /// may not start it. The next launch brings it there again.
    pub fn is_missing_runner(&self) -> bool {
        matches!(self, Self::Ended { status: Some(126 | 127), .. })
    }

    /// Whether it may have been the model's doing, or the device's.
    pub fn may_be_the_models(&self) -> bool {
        match self {
            Self::Hung { .. } | Self::Crashed { .. } => true,
            Self::Ended { .. } => !self.is_missing_runner(),
            _ => false,
        }
    }

    /// Whether the device is away or taken, and may come back: waiting can help.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Absent { absence, .. } => match absence {
                Absence::Offline
                | Absence::PhoneOffline
                | Absence::NotPlugged
                | Absence::Unknown => true,
                Absence::NoSuchHost
                | Absence::HostKey
                | Absence::NotLetIn
                | Absence::PhoneNotLetIn
                | Absence::NoPermission => false,
            },
            Self::Gone { .. } | Self::Busy { .. } => true,
            Self::NotWritable { reason, .. } => {
                ["No space left", "uota exceeded"].iter().any(|known| reason.contains(known))
            }
            Self::UnknownAddress { .. }
            | Self::Quarantined { .. }
            | Self::NoRoom { .. }
            | Self::Damaged { .. }
            | Self::NoRunner { .. }
            | Self::WrongRunner { .. }
            | Self::NotRead { .. }
            | Self::NotStarted { .. }
            | Self::Hung { .. }
            | Self::Overran { .. }
            | Self::Crashed { .. }
            | Self::Ended { .. }
            | Self::Garbage { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Whether the model is to blame, and the device is fine. That goes for what
    /// [may be the model's doing](Self::may_be_the_models) as long as the reference model runs.
    pub fn is_the_models_fault(&self) -> bool {
        match self {
            Self::Refused { kind: Refusal::Model, .. }
            | Self::Overran { .. }
            | Self::NotRead { .. } => true,
            other => other.may_be_the_models(),
        }
    }
}

fn or_silence(complaint: &str) -> &str {
    match complaint.trim() {
        "" => "nothing was said why",
        text => text,
    }
}

fn with_status(status: Option<i32>) -> String {
    status.map_or_else(|| "without an answer".to_owned(), |s| format!("with status {s}"))
}

fn tail(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
