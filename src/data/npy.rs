//! One array of an npz archive.
//!
//! Source: NumPy's format description, `numpy.lib.format`, versions 1.0 to 3.0. Read by hand,
//! because the size must be known and capped before memory is asked for.

use std::io::Read;

/// Longest header that is read; NumPy itself warns above 10,000 bytes.
const MAX_HEADER: usize = 64 << 10;

/// Numbers with a shape, not yet converted.
#[derive(Clone, Debug)]
pub(super) struct Array {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Elements from one value of an axis to the next.
    pub strides: Vec<usize>,
    element: Element,
    bytes: Vec<u8>,
}

/// Why an array cannot be used.
#[derive(Debug)]
pub(super) enum ArrayError {
    /// Goes on after the array's name.
    Unusable(String),
    /// More bytes announced than allowed.
    TooLarge(u64),
    /// Bytes announced and bytes there.
    Truncated(u64, u64),
    /// Bytes announced, and more there.
    Trailing(u64),
}

/// Type of an element: kind as NumPy writes it, bytes, order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned,
    Signed,
    Float,
}

impl Array {
    /// Reads an array of at most `limit` bytes.
    pub fn read(reader: &mut dyn Read, limit: u64) -> Result<Array, ArrayError> {
        let header = read_header(reader)?;
        let element = Element::parse(field(&header, "descr")?)?;
        let shape = parse_shape(field(&header, "shape")?)?;
        let fortran = field(&header, "fortran_order")?.starts_with("True");
        let factors = shape.iter().map(|&n| n as u64).chain([element.size as u64]);
        let announced = factors.fold(1, u64::saturating_mul);
        if announced > limit {
            return Err(ArrayError::TooLarge(announced));
        }
        let bytes = read_up_to(reader, announced + 1)?;
        match bytes.len() as u64 {
            there if there < announced => Err(ArrayError::Truncated(announced, there)),
            there if there > announced => Err(ArrayError::Trailing(announced)),
            _ => Ok(Array { strides: strides(&shape, fortran), shape, element, bytes }),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.element.size
    }

    /// Element `index` in memory order; whole numbers beyond 2^53 are rounded.
    pub fn value(&self, index: usize) -> f64 {
        let size = self.element.size;
        self.element.value(&self.bytes[index * size..(index + 1) * size])
    }
}

impl Element {
    fn parse(descr: &str) -> Result<Element, ArrayError> {
        let unusable = || ArrayError::Unusable(format!("has element type {descr}, not numbers"));
        let text = descr.strip_prefix(['\'', '"']).and_then(|t| t.split(['\'', '"']).next());
        let mut chars = text.ok_or_else(unusable)?.chars();
        let big_endian = match chars.next() {
            Some('>') => true,
            Some('<' | '|' | '=') => false,
            Some(_) | None => return Err(unusable()),
        };
        let (kind, size) = match (chars.next(), chars.as_str()) {
            (Some('b' | 'u'), "1") => (Kind::Unsigned, 1),
            (Some('u'), "2") => (Kind::Unsigned, 2),
            (Some('u'), "4") => (Kind::Unsigned, 4),
            (Some('u'), "8") => (Kind::Unsigned, 8),
            (Some('i'), "1") => (Kind::Signed, 1),
            (Some('i'), "2") => (Kind::Signed, 2),
            (Some('i'), "4") => (Kind::Signed, 4),
            (Some('i'), "8") => (Kind::Signed, 8),
            (Some('f'), "4") => (Kind::Float, 4),
            (Some('f'), "8") => (Kind::Float, 8),
            _ => return Err(unusable()),
        };
        Ok(Element { kind, size, big_endian })
    }

    fn value(self, bytes: &[u8]) -> f64 {
        let byte = |n: u64, &b: &u8| n << 8 | u64::from(b);
        let bits = match self.big_endian {
            true => bytes.iter().fold(0, byte),
            false => bytes.iter().rev().fold(0, byte),
        };
        let unused = 64 - 8 * self.size as u32;
        match (self.kind, self.size) {
            (Kind::Unsigned, _) => bits as f64,
            (Kind::Signed, _) => ((bits << unused) as i64 >> unused) as f64,
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
        }
    }
}

/// The dictionary that describes the array, as text.
fn read_header(reader: &mut dyn Read) -> Result<String, ArrayError> {
    let unusable = |reason: &str| ArrayError::Unusable(reason.to_owned());
    let start = read_up_to(reader, 8)?;
    let len_bytes = match start.as_slice() {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _] => 2,
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _] => 4,
        _ => return Err(unusable("is not in NumPy's format")),
    };
    let len = read_up_to(reader, len_bytes)?;
    let len = len.iter().rev().fold(0usize, |n, &byte| n << 8 | usize::from(byte));
    if len > MAX_HEADER {
        return Err(unusable("has a header that is too long"));
    }
    let text = read_up_to(reader, len as u64)?;
    String::from_utf8(text).map_err(|_| unusable("has a header that is not text"))
}

/// What follows `'name':` in the header.
fn field<'a>(header: &'a str, name: &str) -> Result<&'a str, ArrayError> {
    let after = header.split_once(&format!("'{name}':")).map(|(_, after)| after.trim_start());
    after.ok_or_else(|| ArrayError::Unusable(format!("has no `{name}` in its header")))
}

fn parse_shape(text: &str) -> Result<Vec<usize>, ArrayError> {
    let unusable = || ArrayError::Unusable("has a shape that cannot be read".to_owned());
    let inside = text.strip_prefix('(').and_then(|t| t.split_once(')')).ok_or_else(unusable)?.0;
    let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().map_err(|_| unusable())).collect()
}

/// Of an empty array with enormous other axes they mean nothing, and must not overflow.
fn strides(shape: &[usize], fortran: bool) -> Vec<usize> {
    let product = |axes: &[usize]| axes.iter().fold(1usize, |n, &axis| n.saturating_mul(axis));
    let stride = |axis: usize| match fortran {
        true => product(&shape[..axis]),
        false => product(&shape[axis + 1..]),
    };
    (0..shape.len()).map(stride).collect()
}

fn read_up_to(reader: &mut dyn Read, limit: u64) -> Result<Vec<u8>, ArrayError> {
    let mut bytes = Vec::new();
    match reader.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(ArrayError::Unusable(format!("cannot be unpacked: {error}"))),
    }
}
