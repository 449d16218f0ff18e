//! Blocks of columns: the attributes at each number. A block only grows.

use std::collections::HashMap;

use super::attributes::Attributes;
use crate::blob::{BlobReader, MalformedBlob, push_text, push_varint};

/// Numbers of a block. Few, because each fold writes the last block of each partition again; many enough that a million
/// people are a few thousand rows.
pub const BLOCK: u32 = 512;

const VERSION: u8 = 1;
const NAME: &str = "a block of columns of people";
/// Bytes of a record: group, gender or device, and the indexes of country and city among the names, counted from 1.
const RECORD_LENGTH: usize = 6;

/// The attributes at the numbers of a block, from its first number on.
///
/// Empty attributes belong to a removed person: a number is never given to another person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block<'a>(pub Vec<Attributes<'a>>);

/// The attributes at one number as a block has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRecord {
    pub group: u8,
    pub gender_or_device: u8,
    /// The index of the name in the block, counted from 1; 0 is no country.
    pub country: u16,
    /// The index of the name in the block, counted from 1; 0 is no city.
    pub city: u16,
}

impl<'a> Block<'a> {
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let mut names: Vec<&str> = Vec::new();
        let mut indexes: HashMap<&str, u16> = HashMap::with_capacity(self.0.len());
        let mut index = |name: Option<&'a str>| {
            name.map_or(0, |name| {
                *indexes.entry(name).or_insert_with(|| {
                    names.push(name);
                    u16::try_from(names.len()).expect("a block has at most two names a number")
                })
            })
        };
        let mut blob = vec![VERSION];
        push_varint(&mut blob, self.0.len() as u64);
        for attributes in &self.0 {
            blob.extend_from_slice(&[attributes.group, attributes.gender_or_device]);
            blob.extend_from_slice(&index(attributes.country).to_le_bytes());
            blob.extend_from_slice(&index(attributes.city).to_le_bytes());
        }
        names.iter().for_each(|name| push_text(&mut blob, name));
        blob
    }

    /// # Errors
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &'a [u8]) -> Result<Self, MalformedBlob> {
        let (records, names) = Self::records(blob)?;
        let name = |index: u16| usize::from(index).checked_sub(1).and_then(|index| names.get(index).copied());
        let attributes = |record: BlockRecord| Attributes {
            group: record.group,
            gender_or_device: record.gender_or_device,
            country: name(record.country),
            city: name(record.city),
        };
        Ok(Self(records.into_iter().map(attributes).collect()))
    }

    /// Decodes the records and the names that they refer to, without a look at each name.
    ///
    /// # Errors
    /// The blob is damaged, or a newer build wrote it.
    pub fn records(blob: &'a [u8]) -> Result<(Vec<BlockRecord>, Vec<&'a str>), MalformedBlob> {
        let mut reader = BlobReader::new(blob, VERSION, NAME)?;
        let filled = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if filled > BLOCK as usize {
            return Err(reader.malformed());
        }
        let (records, _) = reader.take(filled * RECORD_LENGTH)?.as_chunks::<RECORD_LENGTH>();
        let record =
            |[group, kind, country, country_high, city, city_high]: &[u8; RECORD_LENGTH]| BlockRecord {
                group: *group,
                gender_or_device: *kind,
                country: u16::from_le_bytes([*country, *country_high]),
                city: u16::from_le_bytes([*city, *city_high]),
            };
        let records: Vec<BlockRecord> = records.iter().map(record).collect();
        let mut names = Vec::new();
        while !reader.is_empty() {
            names.push(reader.text()?);
        }
        let last = records.iter().map(|record| record.country.max(record.city)).max().unwrap_or(0);
        if usize::from(last) > names.len() { Err(reader.malformed()) } else { Ok((records, names)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_written() {
        let attributes = |group, country, city| Attributes { group, gender_or_device: 2, country, city };
        let block = Block(vec![
            attributes(1, Some("Peru"), Some("Ica")),
            Attributes::default(),
            attributes(6, Some("Ica"), None),
            attributes(2, Some("Peru"), Some("Peru")),
        ]);
        let blob = block.to_blob();
        assert_eq!(Block::read(&blob).unwrap(), block);
        let (records, names) = Block::records(&blob).unwrap();
        assert_eq!(names, ["Peru", "Ica"]);
        assert_eq!(records[2], BlockRecord { group: 6, gender_or_device: 2, country: 2, city: 0 });
        assert_eq!(Block::read(&Block::default().to_blob()).unwrap(), Block::default());
    }

    #[test]
    fn a_damaged_block_is_malformed() {
        let attributes =
            Attributes { group: 1, gender_or_device: 1, country: Some("Peru"), city: Some("Ica") };
        let blob = Block(vec![attributes; 3]).to_blob();
        for length in 0..blob.len() {
            assert!(Block::read(&blob[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_full_block_of_different_names_fits() {
        let names: Vec<String> = (0..2 * BLOCK).map(|number| number.to_string()).collect();
        let (pairs, _) = names.as_chunks::<2>();
        let of = |[country, city]: &'_ [String; 2]| (country.clone(), city.clone());
        let pairs: Vec<(String, String)> = pairs.iter().map(of).collect();
        let attributes = pairs.iter().map(|(country, city)| Attributes {
            group: 1,
            gender_or_device: 1,
            country: Some(country),
            city: Some(city),
        });
        let block = Block(attributes.collect());
        assert_eq!(Block::read(&block.to_blob()).unwrap(), block);
    }
}
