//! Attributes of people: the values of an event, and the hashes that equal values share.

use sha2::{Digest as _, Sha256};

use crate::blob::MalformedBlob;

/// The number of Facebook in `weir.event.v1.Source`.
const FACEBOOK: i16 = 1;

/// The first age, in years, behind each age group but the last. The sets are kept by group: a change makes it necessary
/// to rebuild them.
pub const AGE_ENDS: [i64; 5] = [18, 25, 35, 45, 55];
/// The first number of followers behind each follower group but the last. See [`AGE_ENDS`].
pub const FOLLOWER_ENDS: [i64; 4] = [100, 1_000, 10_000, 100_000];

/// A dimension that people are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Facebook: the age group. TikTok: the follower group.
    Group,
    /// Facebook: the gender. TikTok: the device of a top event.
    GenderOrDevice,
    /// Facebook: the country of the person. TikTok: the country of a top event.
    Country,
    /// Facebook: a city in a country.
    City,
}

impl Dimension {
    pub const ALL: [Self; 4] = [Self::Group, Self::GenderOrDevice, Self::Country, Self::City];
}

/// The attributes of a person in one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// The index of the group, counted from 1; 0 where the event has none.
    pub group: u8,
    /// The number of `weir.event.v1.Gender` or `weir.event.v1.TiktokDevice`; 0 where the event has none.
    pub gender_or_device: u8,
    pub country: Option<&'a str>,
    pub city: Option<&'a str>,
}

/// The value of each dimension as a number, in the order of [`Dimension::ALL`]: equal numbers are equal values, 0 is no
/// value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributeHashes(pub [u64; Dimension::ALL.len()]);

impl<'a> Attributes<'a> {
    /// The attributes in a row of `events`.
    ///
    /// Rows of Facebook have a device too. It is not an attribute: only TikTok counts people by device.
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
            let group = age.map_or(0, |age| group_of(age.into(), &AGE_ENDS) + 1);
            Self { group, gender_or_device: small(gender), country, city }
        } else {
            let group = followers.map_or(0, |followers| group_of(followers, &FOLLOWER_ENDS) + 1);
            Self { group, gender_or_device: small(device), country, city: None }
        }
    }

    /// The hashes of these values. The hash of a city includes its country.
    #[must_use]
    pub fn hashes(&self) -> AttributeHashes {
        let country = self.country.unwrap_or_default();
        let city = self.city.map_or(0, |city| hash(&[country, city]));
        AttributeHashes([
            self.group.into(),
            self.gender_or_device.into(),
            self.country.map_or(0, |name| hash(&[name])),
            city,
        ])
    }
}

impl AttributeHashes {
    /// The most bytes of [`Self::to_blob`].
    pub const MAX_BLOB: usize = 18;

    /// Encodes group and gender or device as a byte each, country and city as eight. Zeros at the end are left out.
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let [group, gender_or_device, country, city] = self.0;
        let mut blob = vec![group as u8, gender_or_device as u8];
        if country != 0 || city != 0 {
            blob.extend_from_slice(&country.to_be_bytes());
        }
        if city != 0 {
            blob.extend_from_slice(&city.to_be_bytes());
        }
        blob
    }

    /// # Errors
    /// [`Self::to_blob`] did not make the blob.
    pub fn from_blob(blob: &[u8]) -> Result<Self, MalformedBlob> {
        let malformed = MalformedBlob("the marks of a person");
        let (small, large) = blob.split_first_chunk::<2>().ok_or(malformed)?;
        let mut hashes = [small[0].into(), small[1].into(), 0, 0];
        let (words, rest) = large.as_chunks::<8>();
        if !rest.is_empty() || words.len() > 2 {
            return Err(malformed);
        }
        for (hash, word) in hashes[2..].iter_mut().zip(words) {
            *hash = u64::from_be_bytes(*word);
        }
        Ok(Self(hashes))
    }
}

/// The index of the group that a number falls into, counted from 0.
fn group_of(number: i64, ends: &[i64]) -> u8 {
    ends.iter().filter(|end| number >= **end).count() as u8
}

/// A hash that is never 0. The lengths keep ("a", "bc") and ("ab", "c") apart.
fn hash(names: &[&str]) -> u64 {
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
    fn a_number_falls_into_the_group_before_the_first_end_above_it() {
        let ages = [0, 17, 18, 24, 25, 54, 55, 150].map(|age| group_of(age, &AGE_ENDS));
        assert_eq!(ages, [0, 0, 1, 1, 2, 4, 5, 5]);
        let followers = [0, 99, 100, 99_999, 100_000].map(|number| group_of(number, &FOLLOWER_ENDS));
        assert_eq!(followers, [0, 0, 1, 3, 4]);
    }

    #[test]
    fn hashes_are_read_as_written() {
        for hashes in [[1, 2, 3, u64::MAX], [6, 0, 9, 0], [5, 3, 0, 0], [1, 1, 0, 7]] {
            assert_eq!(
                AttributeHashes::from_blob(&AttributeHashes(hashes).to_blob()),
                Ok(AttributeHashes(hashes))
            );
        }
        for blob in [&[][..], &[1], &[1, 2, 3], &[0; 26]] {
            assert!(AttributeHashes::from_blob(blob).is_err());
        }
    }

    #[test]
    fn a_city_of_the_same_name_in_another_country_is_another_city() {
        let of = |country, city| Attributes { country, city, ..Attributes::default() }.hashes().0;
        let (peru, aruba) = (of(Some("Peru"), Some("Man")), of(Some("Aruba"), Some("Man")));
        assert!(peru[2] != aruba[2] && peru[3] != aruba[3]);
        assert_ne!(of(Some("a"), Some("bc"))[3], of(Some("ab"), Some("c"))[3]);
        assert_eq!(of(None, None), [0; 4]);
    }

    #[test]
    fn each_source_has_its_own_attributes() {
        let row = |source| {
            Attributes::of_row(source, Some(24), Some(2), Some(1_000), Some(3), Some("Peru"), Some("Ica"))
        };
        let facebook = Attributes { group: 2, gender_or_device: 2, country: Some("Peru"), city: Some("Ica") };
        assert_eq!(row(1), facebook);
        assert_eq!(row(2), Attributes { group: 3, gender_or_device: 3, country: Some("Peru"), city: None });
    }
}
