//! Reading and writing blobs.

/// A blob that no build wrote, or only a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} can't be read: it is damaged, or of a newer build")]
pub struct Malformed(pub(super) &'static str);

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: Malformed,
}

impl<'a> Reader<'a> {
    /// A blob of a known version.
    pub(super) fn new(blob: &'a [u8], version: u8, what: &'static str) -> Result<Self, Malformed> {
        let what = Malformed(what);
        let (first, rest) = blob.split_first().ok_or(what)?;
        if *first == version { Ok(Self { rest, what }) } else { Err(what) }
    }

    pub(super) fn malformed(&self) -> Malformed {
        self.what
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.what)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.what)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.what)
    }

    /// A number of either sign, as [`push_signed`] writes it.
    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| self.what)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| self.what)
    }
}

pub(super) fn push_varint(blob: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        blob.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    blob.push(value as u8);
}

/// Small numbers of either sign are short.
pub(super) fn push_signed(blob: &mut Vec<u8>, value: i64) {
    push_varint(blob, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(super) fn push_text(blob: &mut Vec<u8>, text: &str) {
    push_varint(blob, text.len() as u64);
    blob.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_are_read_as_written() {
        for value in [0, 1, -1, 63, 64, -64, -65, 1 << 40, i64::MAX, i64::MIN] {
            let mut blob = vec![1];
            push_signed(&mut blob, value);
            push_varint(&mut blob, value.cast_unsigned());
            let mut reader = Reader::new(&blob, 1, "it").unwrap();
            assert_eq!((reader.signed(), reader.varint()), (Ok(value), Ok(value.cast_unsigned())));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn what_ends_too_early_or_is_of_another_version_is_told() {
        assert_eq!(Reader::new(&[], 1, "it").unwrap_err(), Malformed("it"));
        assert_eq!(Reader::new(&[2, 0], 1, "it").unwrap_err(), Malformed("it"));
        let mut reader = Reader::new(&[1, 0x80], 1, "it").unwrap();
        assert_eq!(reader.varint(), Err(Malformed("it")));
        let mut reader = Reader::new(&[1, 3, b'a', b'b'], 1, "it").unwrap();
        assert_eq!(reader.text(), Err(Malformed("it")));
    }
}
