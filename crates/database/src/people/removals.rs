//! How many rows an erasure took its person out of, by minute: noted beside it, and settled when the person is taken
//! out of the sets as well.

use std::collections::BTreeMap;

use super::encoding::{Malformed, Reader, push_signed, push_varint};

const VERSION: u8 = 1;

/// Rows by minute of event time since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removals(pub BTreeMap<i64, u64>);

impl Removals {
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let (mut blob, mut last) = (vec![VERSION], 0);
        for (minute, rows) in &self.0 {
            push_signed(&mut blob, minute - last);
            push_varint(&mut blob, *rows);
            last = *minute;
        }
        blob
    }

    /// # Errors
    /// It is damaged, or of a newer build.
    pub fn read(blob: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(blob, VERSION, "a delta of taken out people")?;
        let (mut minutes, mut minute) = (BTreeMap::new(), 0_i64);
        while !reader.is_empty() {
            minute = minute.wrapping_add(reader.signed()?);
            *minutes.entry(minute).or_default() += reader.varint()?;
        }
        Ok(Self(minutes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_minute_are_read_as_written() {
        let taken_out = Removals(BTreeMap::from([(-3, 1), (29_296_809, 700), (29_296_810, 2)]));
        assert_eq!(Removals::read(&taken_out.to_blob()), Ok(taken_out));
        assert!(Removals::read(&[]).is_err());
    }
}
