//! A look at the wire format before anything is allocated.
//!
//! Protocol buffers grow when they are decoded (two bytes on the wire can be an empty message of
//! hundreds), may nest without end and may hold what no reader expects. This walk allocates
//! nothing, knows every field that is read, and refuses the rest.
use super::OnnxError;
use super::proto::AttributeProto;
use super::proto::NodeProto;
use super::proto::TensorProto;
use super::proto::ValueInfoProto;

/// Longest file that is read: 256 MiB.
pub const MAX_MODEL_BYTES: usize = 256 << 20;

/// Most memory of a decoded file; vectors that grow may hold twice that for a moment.
const MAX_DECODED_BYTES: u64 = 2 * MAX_MODEL_BYTES as u64;

/// At least the size of every message that may be repeated, in memory.
const MESSAGE_BYTES: u64 = 2048;
const _: () = {
    assert!(size_of::<NodeProto>() as u64 <= MESSAGE_BYTES);
    assert!(size_of::<AttributeProto>() as u64 <= MESSAGE_BYTES);
    assert!(size_of::<TensorProto>() as u64 <= MESSAGE_BYTES);
    assert!(size_of::<ValueInfoProto>() as u64 <= MESSAGE_BYTES);
};

/// At least the size of a string or byte vector, without its content.
const TEXT_BYTES: u64 = 32;
/// Size of the largest number.
const NUMBER_BYTES: u64 = 8;

/// Refuses bytes that are not an ONNX file of known fields, or that would decode to more than
/// the caps. Time is linear in the length, nothing is allocated, depth is bounded by the types.
pub(super) fn scan(bytes: &[u8]) -> Result<(), OnnxError> {
    if bytes.len() > MAX_MODEL_BYTES {
        let (found, most) = (bytes.len() as u64, MAX_MODEL_BYTES as u64);
        return Err(OnnxError::TooLarge { what: "bytes", found, most });
    }
    let mut scan = Scan { bytes, at: 0, decoded: MESSAGE_BYTES };
    scan.message(Message::Model, bytes.len())
}

#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    Dimension,
    /// An operator set, or a pair of texts: nothing inside.
    Pair,
}

enum Field {
    /// One number.
    Number,
    /// Many numbers, packed or one by one.
    Numbers,
    /// A text or bytes.
    Text,
    /// Another message.
    Inner(Message),
    /// What is never read.
    Refused(&'static str),
}

impl Message {
    /// What `onnx.proto` has at `number`; no message leads back to itself.
    fn field(self, number: u64) -> Field {
        use Field::Inner;
        use Field::Number;
        use Field::Numbers;
        use Field::Refused;
        use Field::Text;
        match (self, number) {
            (Message::Model, 1 | 5) => Number,
            (Message::Model, 2 | 3 | 4 | 6) => Text,
            (Message::Model, 7) => Inner(Message::Graph),
            (Message::Model, 8 | 14) => Inner(Message::Pair),
            (Message::Model, 20) => Refused("training information"),
            (Message::Model, 25) => Refused("functions of its own"),
            (Message::Graph, 1) => Inner(Message::Node),
            (Message::Graph, 2 | 10) => Text,
            (Message::Graph, 5) => Inner(Message::Tensor),
            (Message::Graph, 11..=13) => Inner(Message::Value),
            (Message::Graph, 14) => Refused("annotations of quantisation"),
            (Message::Graph, 15) => Refused("sparse constants"),
            (Message::Graph | Message::Tensor, 16) => Inner(Message::Pair),
            (Message::Node, 1..=4 | 6..=8) => Text,
            (Message::Node, 5) => Inner(Message::Attribute),
            (Message::Node, 9) => Inner(Message::Pair),
            (Message::Attribute, 2 | 3 | 20) => Number,
            (Message::Attribute, 7 | 8) => Numbers,
            (Message::Attribute, 1 | 4 | 9 | 13) => Text,
            (Message::Attribute, 5 | 10) => Inner(Message::Tensor),
            (Message::Attribute, 6 | 11) => Refused("graphs inside of nodes"),
            (Message::Attribute, 21) => Refused("functions of its own"),
            (Message::Attribute, 22 | 23) => Refused("sparse constants"),
            (Message::Tensor, 2 | 14) => Number,
            (Message::Tensor, 1 | 4 | 5 | 7 | 10 | 11) => Numbers,
            (Message::Tensor, 6 | 8 | 9 | 12) => Text,
            (Message::Tensor, 3) => Refused("constants in segments"),
            (Message::Tensor, 13) => Refused("constants in other files"),
            (Message::Value, 1 | 3) => Text,
            (Message::Value, 2) => Inner(Message::Type),
            (Message::Value, 4) => Inner(Message::Pair),
            (Message::Type, 1) => Inner(Message::TensorType),
            (Message::Type, 6) => Text,
            (Message::Type, 4..=9) => Refused("values that are not tensors"),
            (Message::TensorType, 1) => Number,
            (Message::TensorType, 2) => Inner(Message::Shape),
            (Message::Shape, 1) => Inner(Message::Dimension),
            (Message::Dimension, 1) => Number,
            (Message::Dimension, 2 | 3) => Text,
            (Message::Pair, 1 | 2) => Text,
            _ => Refused("a part that this program does not know"),
        }
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    decoded: u64,
}

impl Scan<'_> {
    /// Walks the fields of one message that ends at `end`.
    fn message(&mut self, message: Message, end: usize) -> Result<(), OnnxError> {
        while self.at < end {
            let key = self.varint(end)?;
            self.field(message.field(key >> 3), key & 7, end)?;
        }
        Ok(())
    }

    fn field(&mut self, field: Field, wire_type: u64, end: usize) -> Result<(), OnnxError> {
        if let Field::Refused(what) = field {
            return Err(OnnxError::Refused(what));
        }
        match wire_type {
            0 => self.varint(end).and(self.hold(NUMBER_BYTES)),
            1 => self.skip(8, end).and(self.hold(NUMBER_BYTES)),
            5 => self.skip(4, end).and(self.hold(NUMBER_BYTES)),
            2 => self.delimited(field, end),
            _ => Err(self.malformed()),
        }
    }

    fn delimited(&mut self, field: Field, end: usize) -> Result<(), OnnxError> {
        let len = self.varint(end)?;
        let start = self.at;
        self.skip(len, end)?;
        match field {
            Field::Number | Field::Text => self.hold(TEXT_BYTES + len),
            Field::Numbers => self.hold(NUMBER_BYTES * len),
            Field::Inner(inner) => {
                self.hold(MESSAGE_BYTES)?;
                let end = std::mem::replace(&mut self.at, start);
                self.message(inner, end)
            }
            Field::Refused(what) => Err(OnnxError::Refused(what)),
        }
    }

    fn hold(&mut self, bytes: u64) -> Result<(), OnnxError> {
        self.decoded += bytes;
        match self.decoded > MAX_DECODED_BYTES {
            true => Err(OnnxError::TooLarge {
                what: "bytes when unpacked",
                found: self.decoded,
                most: MAX_DECODED_BYTES,
            }),
            false => Ok(()),
        }
    }

    fn skip(&mut self, len: u64, end: usize) -> Result<(), OnnxError> {
        if len > (end - self.at) as u64 {
            return Err(self.malformed());
        }
        self.at += len as usize;
        Ok(())
    }

    fn varint(&mut self, end: usize) -> Result<u64, OnnxError> {
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

    fn malformed(&self) -> OnnxError {
        OnnxError::Malformed { offset: self.at }
    }
}
