//! What an event tells of its person, and how two such values are known to be the same.

use sha2::{Digest as _, Sha256};

use super::{
    encoding::Malformed,
    groups::{self, AGE_ENDS, FOLLOWER_ENDS},
};

/// Sources as `weir.event.v1` numbers them.
const FACEBOOK: i16 = 1;

/// What people are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Facebook: of ages. TikTok: of followers.
    Group,
    /// Facebook: the gender. TikTok: the device of a top event.
    Kind,
    /// TikTok: of a top event.
    Country,
    /// Facebook: a city of a country.
    City,
}

impl Dimension {
    pub const ALL: [Self; 4] = [Self::Group, Self::Kind, Self::Country, Self::City];
}

/// What an event tells of its person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// The place of the group, counted from 1; 0 where none is told.
    pub group: u8,
    /// The number of the closed set; 0 where none is told.
    pub kind: u8,
    pub country: Option<&'a str>,
    pub city: Option<&'a str>,
}

/// A value of each dimension as a number, 0 where there is none: equal ones are the same value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeHashes(pub [u64; Dimension::ALL.len()]);

impl<'a> Attributes<'a> {
    /// Of a row of `events`.
    ///
    /// A device is the person's on TikTok alone; on Facebook rows have one too, which nobody counts.
    #[must_use]
    pub fn of_row(
        source: i16,
        age: Option<i16>,
        gender: Option<i16>,
        followers: Option<i64>,
        device: Option<i16>,
        country: Option<&'a str>,
        city: Option<&'a str>,
    ) -> Self {
        let small = |number: Option<i16>| number.and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
        if source == FACEBOOK {
            let group = age.map_or(0, |age| groups::place(age.into(), &AGE_ENDS) + 1);
            Self { group, kind: small(gender), country, city }
        } else {
            let group = followers.map_or(0, |followers| groups::place(followers, &FOLLOWER_ENDS) + 1);
            Self { group, kind: small(device), country, city: None }
        }
    }

    #[must_use]
    pub fn marks(&self) -> AttributeHashes {
        let country = self.country.unwrap_or_default();
        let city = self.city.map_or(0, |city| mark(&[country, city]));
        AttributeHashes([
            self.group.into(),
            self.kind.into(),
            self.country.map_or(0, |name| mark(&[name])),
            city,
        ])
    }
}

impl AttributeHashes {
    /// Group and kind are a byte each, country and city are eight; zeros at the end are left out.
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let [group, kind, country, city] = self.0;
        let mut blob = vec![group as u8, kind as u8];
        if country != 0 || city != 0 {
            blob.extend_from_slice(&country.to_be_bytes());
        }
        if city != 0 {
            blob.extend_from_slice(&city.to_be_bytes());
        }
        blob
    }

    /// # Errors
    /// It is not what [`Self::to_blob`] makes.
    pub fn from_blob(blob: &[u8]) -> Result<Self, Malformed> {
        let malformed = Malformed("the marks of a person");
        let (small, large) = blob.split_first_chunk::<2>().ok_or(malformed)?;
        let mut marks = [small[0].into(), small[1].into(), 0, 0];
        let (words, rest) = large.as_chunks::<8>();
        if !rest.is_empty() || words.len() > 2 {
            return Err(malformed);
        }
        for (mark, word) in marks[2..].iter_mut().zip(words) {
            *mark = u64::from_be_bytes(*word);
        }
        Ok(Self(marks))
    }
}

/// Never 0. The length keeps ("a", "bc") and ("ab", "c") apart.
fn mark(names: &[&str]) -> u64 {
    let mut digest = Sha256::new();
    for name in names {
        digest.update((name.len() as u64).to_be_bytes());
        digest.update(name.as_bytes());
    }
    let digest = digest.finalize();
    let first = digest.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_written() {
        for marks in [[1, 2, 3, u64::MAX], [6, 0, 9, 0], [5, 3, 0, 0], [1, 1, 0, 7]] {
            assert_eq!(
                AttributeHashes::from_blob(&AttributeHashes(marks).to_blob()),
                Ok(AttributeHashes(marks))
            );
        }
        for blob in [&[][..], &[1], &[1, 2, 3], &[0; 26]] {
            assert!(AttributeHashes::from_blob(blob).is_err());
        }
    }

    #[test]
    fn a_city_is_one_of_its_country() {
        let of = |country, city| Attributes { country, city, ..Attributes::default() }.marks().0;
        let (peru, aruba) = (of(Some("Peru"), Some("Man")), of(Some("Aruba"), Some("Man")));
        assert!(peru[2] != aruba[2] && peru[3] != aruba[3]);
        assert_ne!(of(Some("a"), Some("bc"))[3], of(Some("ab"), Some("c"))[3]);
        assert_eq!(of(None, None), [0; 4]);
    }

    #[test]
    fn each_source_tells_its_own() {
        let row = |source| {
            Attributes::of_row(source, Some(24), Some(2), Some(1_000), Some(3), Some("Peru"), Some("Ica"))
        };
        let facebook = Attributes { group: 2, kind: 2, country: Some("Peru"), city: Some("Ica") };
        assert_eq!(row(1), facebook);
        assert_eq!(row(2), Attributes { group: 3, kind: 3, country: Some("Peru"), city: None });
    }
}
