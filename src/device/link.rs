//! The address of a device.
use std::fmt;

use super::ProfileError;
use super::profile::ensure;

/// How a device is reached; displayed as the address that [`Link::parse`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is this machine.
    Local,
    /// By the user's own ssh.
    Ssh {
        /// As that ssh knows it: an alias, a name or `user@name`.
        host: String,
        /// If it is not what that ssh says.
        port: Option<u16>,
    },
    /// By adb.
    Adb {
        /// As `adb devices` shows it.
        serial: String,
    },
}

impl Link {
    /// Reads `local`, `ssh:HOST`, `ssh:USER@HOST:PORT`, `adb:SERIAL`.
    ///
    /// A serial may have colons. An IPv6 address with a port is in brackets: `ssh:[::1]:22`.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Address`], and [`ProfileError::Value`] for a host, port or serial that
    /// cannot be.
    pub fn parse(address: &str) -> Result<Link, ProfileError> {
        let place = format!("address `{address}`");
        let link = match address.split_once(':') {
            None if address == "local" => Link::Local,
            Some(("ssh", rest)) => {
                let (host, port) = host_and_port(rest);
                Link::Ssh { host, port: port.map(|text| read_port(text, &place)).transpose()? }
            }
            Some(("adb", serial)) => Link::Adb { serial: serial.to_owned() },
            _ => return Err(ProfileError::Address { text: address.to_owned() }),
        };
        link.validate(&place)?;
        Ok(link)
    }

    /// Name of the transport, e.g. `ssh`.
    pub fn transport(&self) -> &'static str {
        match self {
            Link::Local => "local",
            Link::Ssh { .. } => "ssh",
            Link::Adb { .. } => "adb",
        }
    }

    /// Refuses what `ssh` or `adb` would take for something else.
    pub(super) fn validate(&self, place: &str) -> Result<(), ProfileError> {
        match self {
            Link::Local => Ok(()),
            Link::Adb { serial } => reject_strange_word(serial, "serial", place),
            Link::Ssh { host, port } => {
                reject_strange_word(host, "host", place)?;
                reject_option_after_user(host, place)?;
                reject_port_in_host(host, place)?;
                reject_port_zero(*port, place)
            }
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Link::Local => f.pad("local"),
            Link::Adb { serial } => f.pad(&format!("adb:{serial}")),
            Link::Ssh { host, port: None } => f.pad(&format!("ssh:{host}")),
            Link::Ssh { host, port: Some(port) } => match host.rsplit_once('@') {
                _ if !host.contains(':') => f.pad(&format!("ssh:{host}:{port}")),
                Some((user, host)) => f.pad(&format!("ssh:{user}@[{host}]:{port}")),
                None => f.pad(&format!("ssh:[{host}]:{port}")),
            },
        }
    }
}

/// Splits `USER@HOST:PORT`; without brackets, several colons are an IPv6 address.
fn host_and_port(text: &str) -> (String, Option<&str>) {
    let at = text.rfind('@').map_or(0, |at| at + 1);
    let (user, rest) = text.split_at(at);
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) if after.starts_with(':') => (host, Some(&after[1..])),
        _ if rest.matches(':').count() == 1 => {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        }
        _ => (rest, None),
    };
    (format!("{user}{host}"), port)
}

fn read_port(text: &str, place: &str) -> Result<u16, ProfileError> {
    let port = text.parse().unwrap_or(0);
    let wanted = "a number from 1 to 65535";
    ensure(port > 0, place, "port", format!("{text:?}"), wanted).map(|()| port)
}

/// The word becomes an argument of a program.
fn reject_strange_word(word: &str, key: &'static str, place: &str) -> Result<(), ProfileError> {
    let is_strange = |c: char| c.is_whitespace() || c.is_control();
    let holds = !word.is_empty() && !word.starts_with('-') && !word.contains(is_strange);
    let wanted = "a word without spaces that does not begin with `-`";
    ensure(holds, place, key, format!("{word:?}"), wanted)
}

fn reject_option_after_user(host: &str, place: &str) -> Result<(), ProfileError> {
    let (_, name) = host.rsplit_once('@').unwrap_or(("", host));
    let holds = !name.is_empty() && !name.starts_with('-');
    ensure(holds, place, "host", format!("{host:?}"), "a host such as `pi5.lan` or `user@pi5.lan`")
}

fn reject_port_in_host(host: &str, place: &str) -> Result<(), ProfileError> {
    let holds = host.matches(':').count() != 1;
    ensure(
        holds,
        place,
        "host",
        format!("{host:?}"),
        "a host alone; the port has its own key, `port`",
    )
}

fn reject_port_zero(port: Option<u16>, place: &str) -> Result<(), ProfileError> {
    ensure(port != Some(0), place, "port", "0".to_owned(), "a number from 1 to 65535")
}
