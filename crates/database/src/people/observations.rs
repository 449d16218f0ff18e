//! Observations of people: deltas that storing transactions and erasures write until a fold job folds them into the
//! sets.

use std::collections::BTreeMap;

use super::{attributes::Attributes, person_key::PersonKey};
use crate::blob::{BlobReader, MalformedBlob, push_signed, push_text, push_varint};

const VERSION: u8 = 1;
const NAME: &str = "a delta of people";
const HAS_COUNTRY: u8 = 1;
const HAS_CITY: u8 = 2;

/// One event of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// Minutes of event time since the Unix epoch.
    pub minute: i64,
    pub key: PersonKey,
    pub attributes: Attributes<'a>,
}

/// Encoded observations of one source, some 45 bytes each.
#[derive(Clone, Debug)]
pub struct Observations {
    data: Vec<u8>,
    last: i64,
    number: u64,
    minutes: Option<(i64, i64)>,
}

impl Default for Observations {
    fn default() -> Self {
        Self { data: vec![VERSION], last: 0, number: 0, minutes: None }
    }
}

impl Observations {
    pub fn push(&mut self, observation: &Observation<'_>) {
        let Observation { minute, key, attributes } = observation;
        push_signed(&mut self.data, minute - self.last);
        self.last = *minute;
        self.number += 1;
        let (first, last) = self.minutes.unwrap_or((*minute, *minute));
        self.minutes = Some((first.min(*minute), last.max(*minute)));

        self.data.extend_from_slice(&key.0);
        let Attributes { group, gender_or_device, country, city } = attributes;
        let has = |named: bool, flag| if named { flag } else { 0 };
        let flags = has(country.is_some(), HAS_COUNTRY) | has(city.is_some(), HAS_CITY);
        self.data.extend_from_slice(&[*group, *gender_or_device, flags]);
        country.iter().chain(city).for_each(|name| push_text(&mut self.data, name));
    }

    /// The number of observations.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The earliest and the latest minute; `None` without observations.
    #[must_use]
    pub fn minutes(&self) -> Option<(i64, i64)> {
        self.minutes
    }

    #[must_use]
    pub fn to_blob(&self) -> &[u8] {
        &self.data
    }

    /// Decodes observations in the order in which they were pushed.
    ///
    /// # Errors
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &[u8]) -> Result<Vec<Observation<'_>>, MalformedBlob> {
        let mut reader = BlobReader::new(blob, VERSION, NAME)?;
        let (mut observations, mut minute) = (Vec::with_capacity(blob.len() / 45), 0_i64);
        while !reader.is_empty() {
            minute = minute.wrapping_add(reader.signed()?);
            let key = PersonKey(reader.array()?);
            let [group, gender_or_device, flags] = reader.array()?;
            let country = if flags & HAS_COUNTRY == 0 { None } else { Some(reader.text()?) };
            let city = if flags & HAS_CITY == 0 { None } else { Some(reader.text()?) };
            let attributes = Attributes { group, gender_or_device, country, city };
            observations.push(Observation { minute, key, attributes });
        }
        Ok(observations)
    }
}

/// The number of rows that an erasure made anonymous, by minute of event time since the Unix epoch. The erasure writes
/// it beside the deltas; the fold job settles it when it removes the person from the sets.
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
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &[u8]) -> Result<Self, MalformedBlob> {
        let mut reader = BlobReader::new(blob, VERSION, "a delta of removed people")?;
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
    fn observations_are_read_as_written() {
        let observation = |minute, user, country, city| Observation {
            minute,
            key: PersonKey::of(user),
            attributes: Attributes { group: 6, gender_or_device: 3, country, city },
        };
        let written = [
            observation(29_296_809, "ada", Some("Côte d'Ivoire"), Some("Man")),
            observation(29_296_807, "bob", Some("Peru"), None),
            observation(-5, "ada", None, None),
        ];
        let mut observations = Observations::default();
        assert_eq!((observations.number(), observations.minutes()), (0, None));
        written.iter().for_each(|observation| observations.push(observation));
        assert_eq!((observations.number(), observations.minutes()), (3, Some((-5, 29_296_809))));
        assert_eq!(Observations::read(observations.to_blob()).unwrap(), written);
        let cut = &observations.to_blob()[..observations.to_blob().len() - 1];
        assert!(Observations::read(cut).is_err() && Observations::read(&[9]).is_err());
    }

    #[test]
    fn removals_are_read_as_written() {
        let removals = Removals(BTreeMap::from([(-3, 1), (29_296_809, 700), (29_296_810, 2)]));
        assert_eq!(Removals::read(&removals.to_blob()), Ok(removals));
        assert!(Removals::read(&[]).is_err());
    }
}
