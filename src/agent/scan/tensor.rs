//! Tensors hold what they declare.
use super::Held;
use super::MAX_NAME;
use super::MAX_TEXTS;
use super::Scan;
use super::ScanError;
use super::ensure_few;
use super::shown;

/// What a tensor says of itself, and what it holds.
struct Tensor<'a> {
    name: &'a [u8],
    /// Product of the dimensions above 0; `None` if it cannot be counted.
    elements: Option<u64>,
    has_zero: bool,
    has_negative: bool,
    /// `TensorProto.DataType`.
    kind: u64,
    raw: Option<u64>,
    /// Numbers or texts in the fields for them.
    items: u64,
    is_external: bool,
}

impl<'a> Scan<'a> {
    /// Walks a tensor that ends at `end`.
    pub(super) fn tensor(&mut self, end: usize) -> Result<(), ScanError> {
        let mut tensor = Tensor {
            name: b"",
            elements: Some(1),
            has_zero: false,
            has_negative: false,
            kind: 0,
            raw: None,
            items: 0,
            is_external: false,
        };
        while self.at < end {
            match self.field(end)? {
                (1, Held::Number(size)) => tensor.grow(size),
                (1, Held::Bytes(length)) => {
                    let end = self.at + length;
                    while self.at < end {
                        let size = self.varint(end)?;
                        tensor.grow(size);
                    }
                }
                (2, Held::Number(kind)) => tensor.kind = kind,
                (14, Held::Number(place)) => tensor.is_external |= place == 1,
                (4 | 5 | 7 | 10 | 11, Held::Number(_)) => tensor.items += 1,
                (_, Held::Number(_)) => {}
                (number, Held::Bytes(length)) => self.data(&mut tensor, number, length)?,
            }
        }
        tensor.ensure_whole()
    }

    fn data(
        &mut self,
        tensor: &mut Tensor<'a>,
        number: u64,
        length: usize,
    ) -> Result<(), ScanError> {
        let bytes = self.bytes;
        let bytes = &bytes[self.at..self.at + length];
        self.at += length;
        self.texts += 1;
        ensure_few("texts and lists", self.texts, MAX_TEXTS)?;
        match number {
            4 => tensor.items += length as u64 / 4,
            5 | 7 | 11 => tensor.items += bytes.iter().filter(|b| **b < 0x80).count() as u64,
            6 => tensor.items += 1,
            8 => {
                ensure_few("bytes in one name", length as u64, MAX_NAME)?;
                tensor.name = bytes;
            }
            9 => tensor.raw = Some(length as u64),
            10 => tensor.items += length as u64 / 8,
            13 => tensor.is_external = true,
            _ => {}
        }
        Ok(())
    }
}

impl Tensor<'_> {
    /// By a dimension.
    fn grow(&mut self, size: u64) {
        match size.cast_signed() {
            0 => self.has_zero = true,
            1.. => self.elements = self.elements.and_then(|n| n.checked_mul(size)),
            _ => self.has_negative = true,
        }
    }

    fn ensure_whole(&self) -> Result<(), ScanError> {
        let tensor = shown(self.name);
        if self.is_external {
            return Err(ScanError::External { tensor });
        }
        let elements = match self.elements {
            _ if self.has_negative => return Err(ScanError::Dimensions { tensor }),
            _ if self.has_zero => 0,
            Some(elements) => elements,
            None => return Err(ScanError::Dimensions { tensor }),
        };
        let Some(bits) = bits(self.kind) else { return Ok(()) };
        let Some(bytes) = elements.checked_mul(bits).map(|bits| bits.div_ceil(8)) else {
            return Err(ScanError::Dimensions { tensor });
        };
        match self.raw {
            Some(held) if held != bytes && self.kind != STRING => {
                Err(ScanError::Held { tensor, declared: format!("{bytes} bytes"), held })
            }
            // Numbers of less than a byte may share one.
            None if self.items < elements.div_ceil(if bits < 8 { 8 / bits } else { 1 }) => {
                let declared = format!("{elements} elements");
                Err(ScanError::Held { tensor, declared, held: self.items })
            }
            Some(_) | None => Ok(()),
        }
    }
}

const STRING: u64 = 8;

/// Size of an element, `None` for a type of a later release, or none.
fn bits(kind: u64) -> Option<u64> {
    Some(match kind {
        25 | 26 => 2,
        21..=23 => 4,
        2 | 3 | 9 | 17..=20 | 24 | STRING => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        _ => return None,
    })
}
