//! Who was seen when, as a storing transaction notes it.

use super::{
    attributes::Attributes,
    encoding::{Malformed, Reader, push_signed, push_text},
    key::PersonKey,
};

const VERSION: u8 = 1;
const WHAT: &str = "a delta of people";
const HAS_COUNTRY: u8 = 1;
const HAS_CITY: u8 = 2;

/// One event of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Of event time, since the Unix epoch.
    pub minute: i64,
    pub key: PersonKey,
    pub traits: Attributes<'a>,
}

/// Observations of one source as they are written, some 45 bytes each.
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
    pub fn push(&mut self, sighting: &Sighting<'_>) {
        let Sighting { minute, key, traits } = sighting;
        push_signed(&mut self.data, minute - self.last);
        self.last = *minute;
        self.number += 1;
        let (first, last) = self.minutes.unwrap_or((*minute, *minute));
        self.minutes = Some((first.min(*minute), last.max(*minute)));

        self.data.extend_from_slice(&key.0);
        let has = |named: bool, flag| if named { flag } else { 0 };
        let flags = has(traits.country.is_some(), HAS_COUNTRY) | has(traits.city.is_some(), HAS_CITY);
        self.data.extend_from_slice(&[traits.group, traits.kind, flags]);
        traits.country.iter().chain(&traits.city).for_each(|name| push_text(&mut self.data, name));
    }

    /// How many they are.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The earliest and the latest minute; none where nobody was seen.
    #[must_use]
    pub fn minutes(&self) -> Option<(i64, i64)> {
        self.minutes
    }

    #[must_use]
    pub fn to_blob(&self) -> &[u8] {
        &self.data
    }

    /// In the order in which they were noted.
    ///
    /// # Errors
    /// It is damaged, or of a newer build.
    pub fn read(blob: &[u8]) -> Result<Vec<Sighting<'_>>, Malformed> {
        let mut reader = Reader::new(blob, VERSION, WHAT)?;
        let (mut sightings, mut minute) = (Vec::with_capacity(blob.len() / 45), 0_i64);
        while !reader.is_empty() {
            minute = minute.wrapping_add(reader.signed()?);
            let key = PersonKey(reader.array()?);
            let [group, kind, flags] = reader.array()?;
            let country = if flags & HAS_COUNTRY == 0 { None } else { Some(reader.text()?) };
            let city = if flags & HAS_CITY == 0 { None } else { Some(reader.text()?) };
            sightings.push(Sighting { minute, key, traits: Attributes { group, kind, country, city } });
        }
        Ok(sightings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sightings_are_read_as_noted() {
        let sighting = |minute, user, country, city| Sighting {
            minute,
            key: PersonKey::of(user),
            traits: Attributes { group: 6, kind: 3, country, city },
        };
        let noted = [
            sighting(29_296_809, "ada", Some("Côte d'Ivoire"), Some("Man")),
            sighting(29_296_807, "bob", Some("Peru"), None),
            sighting(-5, "ada", None, None),
        ];
        let mut sightings = Observations::default();
        assert_eq!((sightings.number(), sightings.minutes()), (0, None));
        noted.iter().for_each(|sighting| sightings.push(sighting));
        assert_eq!((sightings.number(), sightings.minutes()), (3, Some((-5, 29_296_809))));
        assert_eq!(Observations::read(sightings.to_blob()).unwrap(), noted);
        let cut = &sightings.to_blob()[..sightings.to_blob().len() - 1];
        assert!(Observations::read(cut).is_err() && Observations::read(&[9]).is_err());
    }
}
