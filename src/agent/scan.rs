//! A look at a model before any library sees it.
//!
//! Runtimes parse models with code that was not written for strangers' files: a few bytes on the
//! wire become large messages, messages nest without end, a tensor declares what it does not hold
//! or names another file as the place of its data (CVE-2022-25882 and its followers; runtimes
//! follow hard links). This walk reads the wire format of protocol buffers with ONNX's own nesting,
//! allocates nothing, is linear in the length and refuses whatever exceeds its caps. What operators
//! mean is not its affair, so a model that passes is not yet safe to run: hence the sandbox.
mod schema;
mod tensor;

use std::fs::File;
use std::io::Read;

use super::runtime::RuntimeError;
use super::runtime::Source;
use schema::Message;
use schema::Part;

/// Longest model, bytes: the limit of protocol buffers themselves.
pub const MAX_MODEL_BYTES: u64 = i32::MAX as u64;

/// Most messages inside of each other; a graph inside of a node takes three.
const MAX_DEPTH: u32 = 48;

/// Most messages: no more than a GiB when decoded, since none of them takes more than half a KiB.
const MAX_MESSAGES: u64 = 2_000_000;

/// Most texts and lists, each of which takes 24 bytes when decoded, even if empty.
const MAX_TEXTS: u64 = 8_000_000;

/// Longest name of a node, value or tensor, bytes.
const MAX_NAME: u64 = 1 << 16;

/// Most elements of a value of declared shape.
const MAX_ELEMENTS: u64 = 1 << 40;

/// A model that no runtime gets to see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// More than a model needs.
    #[error("the model has more than {most} {what}")]
    TooMany {
        /// Of what, e.g. `bytes`.
        what: &'static str,
        /// The cap.
        most: u64,
    },

    /// Not the wire format of protocol buffers.
    #[error("byte {offset} does not belong to an ONNX model; is the file damaged or cut off?")]
    Malformed {
        /// Where reading stopped.
        offset: usize,
    },

    /// A part is there twice, which decoders would merge into one that nobody has looked at.
    #[error("the model has two of {what} where one belongs, at byte {offset}")]
    Twice {
        /// Which part.
        what: &'static str,
        /// Where the second ends.
        offset: usize,
    },

    /// Nothing to run.
    #[error("the model has no graph; is this an ONNX file?")]
    NoGraph,

    /// A shape that no memory holds.
    #[error("the shape at byte {offset} has more than {MAX_ELEMENTS} elements")]
    Shape {
        /// Where it ends.
        offset: usize,
    },

    /// A tensor with a dimension below 0, or with more elements than can be counted.
    #[error("tensor `{tensor}` has impossible dimensions")]
    Dimensions {
        /// Its name.
        tensor: String,
    },

    /// A tensor that holds something else than it says.
    #[error("tensor `{tensor}` declares {declared} and holds {held}")]
    Held {
        /// Its name.
        tensor: String,
        /// E.g. `400 bytes`.
        declared: String,
        /// Of the same unit.
        held: u64,
    },

    /// Weights in another file.
    #[error("tensor `{tensor}` is stored outside the model file; put the weights inside it")]
    External {
        /// The first such tensor.
        tensor: String,
    },
}

/// Refuses a model that exceeds the caps.
///
/// # Errors
///
/// [`RuntimeError::Unreadable`] and [`RuntimeError::Scan`].
pub fn check(model: Source<'_>) -> Result<(), RuntimeError> {
    match model {
        Source::Bytes(bytes) => Ok(scan(bytes)?),
        Source::File(path) => {
            let mut bytes = Vec::new();
            File::open(path)?.take(MAX_MODEL_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(scan(&bytes)?)
        }
    }
}

fn scan(bytes: &[u8]) -> Result<(), ScanError> {
    if bytes.len() as u64 > MAX_MODEL_BYTES {
        return Err(ScanError::TooMany { what: "bytes", most: MAX_MODEL_BYTES });
    }
    let mut scan = Scan { bytes, at: 0, depth: 0, messages: 0, texts: 0, has_graph: false };
    scan.message(Message::Model, bytes.len())?;
    match scan.has_graph {
        true => Ok(()),
        false => Err(ScanError::NoGraph),
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    messages: u64,
    texts: u64,
    has_graph: bool,
}

/// What a field holds.
enum Held {
    /// One number, not longer than 64 bits.
    Number(u64),
    /// So many bytes, from where the scan now is.
    Bytes(usize),
}

impl Scan<'_> {
    /// Walks the message that ends at `end`.
    fn message(&mut self, message: Message, end: usize) -> Result<(), ScanError> {
        self.messages += 1;
        self.depth += 1;
        ensure_few("messages", self.messages, MAX_MESSAGES)?;
        ensure_few("messages inside of each other", self.depth.into(), MAX_DEPTH.into())?;
        match message {
            Message::Tensor => self.tensor(end)?,
            Message::Shape => self.shape(end)?,
            other => {
                let mut seen = 0;
                while self.at < end {
                    let (number, held) = self.field(end)?;
                    self.part(other.part(number), held, number, &mut seen)?;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// A field of a message that is walked for its parts only; `seen` has a bit a field.
    fn part(
        &mut self,
        part: Part,
        held: Held,
        number: u64,
        seen: &mut u64,
    ) -> Result<(), ScanError> {
        let (Part::One(what, _) | Part::Many(what)) = part else {
            return self.text(&part, &held);
        };
        let Held::Bytes(length) = held else { return Err(self.malformed()) };
        let end = self.at + length;
        if let Part::One(_, name) = part {
            if *seen & 1 << number != 0 {
                return Err(ScanError::Twice { what: name, offset: end });
            }
            *seen |= 1 << number;
        }
        self.has_graph |= self.depth == 1 && number == 7;
        self.message(what, end)
    }

    fn text(&mut self, part: &Part, held: &Held) -> Result<(), ScanError> {
        let Held::Bytes(length) = *held else { return Ok(()) };
        self.texts += 1;
        ensure_few("texts and lists", self.texts, MAX_TEXTS)?;
        if matches!(part, Part::Name) {
            ensure_few("bytes in one name", length as u64, MAX_NAME)?;
        }
        self.at += length;
        Ok(())
    }

    /// The declared shape of a value: dimensions that are open, or below 0, count as 1.
    fn shape(&mut self, end: usize) -> Result<(), ScanError> {
        let mut elements = 1_u64;
        while self.at < end {
            let (number, held) = self.field(end)?;
            let Held::Bytes(length) = held else { continue };
            let inner = self.at + length;
            self.texts += 1;
            ensure_few("texts and lists", self.texts, MAX_TEXTS)?;
            while number == 1 && self.at < inner {
                match self.field(inner)? {
                    (1, Held::Number(size @ 1..=0x7fff_ffff_ffff_ffff)) => {
                        elements = elements.saturating_mul(size);
                    }
                    (_, Held::Number(_)) => {}
                    (_, held) => self.text(&Part::Name, &held)?,
                }
            }
            self.at = inner;
        }
        match elements > MAX_ELEMENTS {
            true => Err(ScanError::Shape { offset: self.at }),
            false => Ok(()),
        }
    }

    /// The next field of a message that ends at `end`: its number, and what it holds.
    fn field(&mut self, end: usize) -> Result<(u64, Held), ScanError> {
        let key = self.varint(end)?;
        let number = key >> 3;
        if !(1..=1 << 29).contains(&number) {
            return Err(self.malformed());
        }
        let held = match key & 7 {
            0 => Held::Number(self.varint(end)?),
            1 => Held::Number(self.fixed::<8>(end)?),
            5 => Held::Number(self.fixed::<4>(end)?),
            2 => {
                let length = self.varint(end)?;
                if length > (end - self.at) as u64 {
                    return Err(self.malformed());
                }
                Held::Bytes(length as usize)
            }
            _ => return Err(self.malformed()),
        };
        Ok((number, held))
    }

    fn fixed<const N: usize>(&mut self, end: usize) -> Result<u64, ScanError> {
        let found = self.bytes[..end].get(self.at..self.at + N);
        let found = found.ok_or_else(|| self.malformed())?;
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(found);
        self.at += N;
        Ok(u64::from_le_bytes(bytes))
    }

    fn varint(&mut self, end: usize) -> Result<u64, ScanError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes[..end].get(self.at) else { break };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    fn malformed(&self) -> ScanError {
        ScanError::Malformed { offset: self.at }
    }
}

fn ensure_few(what: &'static str, found: u64, most: u64) -> Result<(), ScanError> {
    match found > most {
        true => Err(ScanError::TooMany { what, most }),
        false => Ok(()),
    }
}

/// A name from the file, fit for a message: short, and without control characters.
fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 60;
    let name = String::from_utf8_lossy(name);
    let mut shown: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
