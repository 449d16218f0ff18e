//! What was told at each number: blocks that are only added to.

use std::collections::HashMap;

use super::{
    BLOCK,
    attributes::Attributes,
    encoding::{Malformed, Reader, push_text, push_varint},
};

const VERSION: u8 = 1;
const WHAT: &str = "a block of columns of people";
/// Group, kind, and the places of country and city among the names, counted from 1.
const RECORD_LENGTH: usize = 6;

/// The traits at the numbers of a block, from its first number on.
///
/// A blank one is of nobody any more: numbers are never given away twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block<'a>(pub Vec<Attributes<'a>>);

/// A number's traits as a block has them, with its names by place, counted from 1; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub group: u8,
    pub kind: u8,
    pub country: u16,
    pub city: u16,
}

impl<'a> Block<'a> {
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let mut names: Vec<&str> = Vec::new();
        let mut places: HashMap<&str, u16> = HashMap::with_capacity(self.0.len());
        let mut place = |name: Option<&'a str>| {
            name.map_or(0, |name| {
                *places.entry(name).or_insert_with(|| {
                    names.push(name);
                    u16::try_from(names.len()).expect("a block has at most two names a number")
                })
            })
        };
        let mut blob = vec![VERSION];
        push_varint(&mut blob, self.0.len() as u64);
        for traits in &self.0 {
            blob.extend_from_slice(&[traits.group, traits.kind]);
            blob.extend_from_slice(&place(traits.country).to_le_bytes());
            blob.extend_from_slice(&place(traits.city).to_le_bytes());
        }
        names.iter().for_each(|name| push_text(&mut blob, name));
        blob
    }

    /// # Errors
    /// It is damaged, or of a newer build.
    pub fn read(blob: &'a [u8]) -> Result<Self, Malformed> {
        let (records, names) = Self::records(blob)?;
        let name = |place: u16| usize::from(place).checked_sub(1).and_then(|place| names.get(place).copied());
        let traits = |record: Record| Attributes {
            group: record.group,
            kind: record.kind,
            country: name(record.country),
            city: name(record.city),
        };
        Ok(Self(records.into_iter().map(traits).collect()))
    }

    /// The same without a look at each name: the records, and the names that they number.
    ///
    /// # Errors
    /// It is damaged, or of a newer build.
    pub fn records(blob: &'a [u8]) -> Result<(Vec<Record>, Vec<&'a str>), Malformed> {
        let mut reader = Reader::new(blob, VERSION, WHAT)?;
        let filled = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if filled > BLOCK as usize {
            return Err(reader.malformed());
        }
        let (records, _) = reader.take(filled * RECORD_LENGTH)?.as_chunks::<RECORD_LENGTH>();
        let record = |[group, kind, country, country_high, city, city_high]: &[u8; RECORD_LENGTH]| Record {
            group: *group,
            kind: *kind,
            country: u16::from_le_bytes([*country, *country_high]),
            city: u16::from_le_bytes([*city, *city_high]),
        };
        let records: Vec<Record> = records.iter().map(record).collect();
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
        let traits = |group, country, city| Attributes { group, kind: 2, country, city };
        let block = Block(vec![
            traits(1, Some("Peru"), Some("Ica")),
            Attributes::default(),
            traits(6, Some("Ica"), None),
            traits(2, Some("Peru"), Some("Peru")),
        ]);
        let blob = block.to_blob();
        assert_eq!(Block::read(&blob).unwrap(), block);
        let (records, names) = Block::records(&blob).unwrap();
        assert_eq!(names, ["Peru", "Ica"]);
        assert_eq!(records[2], Record { group: 6, kind: 2, country: 2, city: 0 });
        assert_eq!(Block::read(&Block::default().to_blob()).unwrap(), Block::default());
    }

    #[test]
    fn a_damaged_block_is_told() {
        let traits = Attributes { group: 1, kind: 1, country: Some("Peru"), city: Some("Ica") };
        let blob = Block(vec![traits; 3]).to_blob();
        for length in 0..blob.len() {
            assert!(Block::read(&blob[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_full_block_of_names_that_are_all_different_fits() {
        let names: Vec<String> = (0..2 * BLOCK).map(|number| number.to_string()).collect();
        let (pairs, _) = names.as_chunks::<2>();
        let of = |[country, city]: &'_ [String; 2]| (country.clone(), city.clone());
        let pairs: Vec<(String, String)> = pairs.iter().map(of).collect();
        let traits = pairs.iter().map(|(country, city)| Attributes {
            group: 1,
            kind: 1,
            country: Some(country),
            city: Some(city),
        });
        let block = Block(traits.collect());
        assert_eq!(Block::read(&block.to_blob()).unwrap(), block);
    }
}
