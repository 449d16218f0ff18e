//! Encoding of blobs: numbers of variable length and texts, read and written. Derived tables hold such blobs.

/// A blob that is damaged, or that a newer build wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} can't be read: it is damaged, or of a newer build")]
pub struct MalformedBlob(pub(crate) &'static str);

/// Reads a blob from its begin to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlobReader<'a> {
    rest: &'a [u8],
    error: MalformedBlob,
}

impl<'a> BlobReader<'a> {
    /// A reader of a blob of this version; `name` is the blob's name in errors.
    pub(crate) fn new(blob: &'a [u8], version: u8, name: &'static str) -> Result<Self, MalformedBlob> {
        let error = MalformedBlob(name);
        let (first, rest) = blob.split_first().ok_or(error)?;
        if *first == version { Ok(Self { rest, error }) } else { Err(error) }
    }

    pub(crate) fn malformed(&self) -> MalformedBlob {
        self.error
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedBlob> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.error)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], MalformedBlob> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.error)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, MalformedBlob> {
        Ok(self.array::<1>()?[0])
    }

    /// A number of seven bits a byte, the lowest first. The eighth bit is set where more bytes follow.
    pub(crate) fn varint(&mut self) -> Result<u64, MalformedBlob> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error)
    }

    /// A number of either sign, as [`push_signed`] writes it.
    pub(crate) fn signed(&mut self) -> Result<i64, MalformedBlob> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, MalformedBlob> {
        let length = usize::try_from(self.varint()?).map_err(|_| self.error)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| self.error)
    }
}

pub(crate) fn push_varint(blob: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        blob.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    blob.push(value as u8);
}

/// Writes a number of either sign; small ones are short.
pub(crate) fn push_signed(blob: &mut Vec<u8>, value: i64) {
    push_varint(blob, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn push_text(blob: &mut Vec<u8>, text: &str) {
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
            let mut reader = BlobReader::new(&blob, 1, "it").unwrap();
            assert_eq!((reader.signed(), reader.varint()), (Ok(value), Ok(value.cast_unsigned())));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_blob_that_is_cut_or_of_another_version_is_malformed() {
        assert_eq!(BlobReader::new(&[], 1, "it").unwrap_err(), MalformedBlob("it"));
        assert_eq!(BlobReader::new(&[2, 0], 1, "it").unwrap_err(), MalformedBlob("it"));
        let mut reader = BlobReader::new(&[1, 0x80], 1, "it").unwrap();
        assert_eq!(reader.varint(), Err(MalformedBlob("it")));
        let mut reader = BlobReader::new(&[1, 3, b'a', b'b'], 1, "it").unwrap();
        assert_eq!(reader.text(), Err(MalformedBlob("it")));
    }
}
