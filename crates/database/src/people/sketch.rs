//! Sketches of users: samples of bounded size of a bucket's distinct users, from which their number and the size of each
//! group are estimated.
//!
//! A sketch has the users with the smallest hashes, at most 2^[`LG_K`] of them, and the threshold (theta) below which
//! their hashes lie. Every user below the threshold is in it, so that a group's members are those in the sketch divided
//! by theta. Sketches unite without loss: the union of the sketches of all minutes is the sketch of the day, in whatever
//! order they unite. The algorithm is the tuple sketch of Apache DataSketches, whose summary here are the attributes
//! that the user was seen with.
//!
//! The names of countries and cities lie behind the sketch, each once: an entry has their hashes alone.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use datasketches::{
    codec::{SketchBytes, SketchSlice},
    common::NumStdDev,
    error::{Error, ErrorKind},
    tuple::{
        CompactTupleSketch, SummaryCombinePolicy, SummaryPolicy, SummaryUpdatePolicy, TupleANotB,
        TupleSketch, TupleSketchBuilder, TupleSummaryValue, TupleUnion, TupleUnionBuilder,
    },
};
use smallvec::SmallVec;

use super::{
    attributes::{AttributeHashes, Attributes, Dimension},
    person_key::PersonKey,
};
use crate::blob::{BlobReader, MalformedBlob, push_text, push_varint};

/// The binary logarithm of the most users in a sketch. 8,192 users estimate a number with a relative standard error of
/// 1.1 %, in some 250 KB.
pub const LG_K: u8 = 13;

const VERSION: u8 = 1;
const NAME: &str = "a sketch of users";
/// The most combinations of values of one user: the smallest hashes, so that the order of events makes no difference.
const MAX_APPEARANCES: usize = 16;

/// The combinations of values that one user was seen with, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appearances(SmallVec<[AttributeHashes; 1]>);

/// A sketch that does not change.
#[derive(Clone, Debug)]
pub struct Sketch(CompactTupleSketch<Appearances>);

/// A union of sketches and observations.
pub struct SketchUnion(TupleUnion<Policy>);

/// A sketch with the names of its countries and cities, as it is stored.
#[derive(Clone, Debug)]
pub struct StoredSketch<'a> {
    pub sketch: Sketch,
    names: BlobReader<'a>,
}

/// A country, or a city of a country, by the hash that entries of sketches have.
#[derive(Clone, Debug, Default)]
pub struct SketchNames(HashMap<u64, (Box<str>, Option<Box<str>>)>);

#[derive(Clone, Copy, Debug, Default)]
struct Policy;

impl SummaryPolicy for Policy {
    type Summary = Appearances;

    fn create(&self) -> Appearances {
        Appearances::default()
    }
}

impl SummaryUpdatePolicy<AttributeHashes> for Policy {
    fn update(&self, summary: &mut Appearances, value: AttributeHashes) {
        summary.add(value);
    }
}

impl SummaryCombinePolicy for Policy {
    fn combine(&self, summary: &mut Appearances, other: &Appearances) {
        other.0.iter().for_each(|hashes| summary.add(*hashes));
    }
}

impl Appearances {
    fn add(&mut self, hashes: AttributeHashes) {
        let Err(place) = self.0.binary_search(&hashes) else { return };
        if place < MAX_APPEARANCES {
            self.0.insert(place, hashes);
            self.0.truncate(MAX_APPEARANCES);
        }
    }

    /// The different values of one dimension, each once; without 0, which is no value.
    pub fn values(&self, dimension: Dimension) -> impl Iterator<Item = u64> {
        let all = &self.0;
        let value = move |index: usize| all[index].0[dimension as usize];
        (0..all.len())
            .filter(move |index| {
                value(*index) != 0 && (0..*index).all(|earlier| value(earlier) != value(*index))
            })
            .map(value)
    }
}

impl TupleSummaryValue for Appearances {
    fn serialize_size(&self) -> usize {
        1 + self.0.iter().map(|hashes| 1 + hashes.to_blob().len()).sum::<usize>()
    }

    fn serialize_value(&self, bytes: &mut SketchBytes) {
        bytes.write_u8(self.0.len() as u8);
        for hashes in &self.0 {
            let blob = hashes.to_blob();
            bytes.write_u8(blob.len() as u8);
            bytes.write(&blob);
        }
    }

    fn deserialize_value(cursor: &mut SketchSlice<'_>) -> Result<Self, Error> {
        let damaged = || Error::new(ErrorKind::InvalidData, "an entry of a sketch of users is damaged");
        let number = cursor.read_u8().map_err(|_| damaged())?;
        let mut appearances = SmallVec::with_capacity(number.into());
        for _ in 0..number {
            let mut buffer = [0; AttributeHashes::MAX_BLOB];
            let length = usize::from(cursor.read_u8().map_err(|_| damaged())?);
            let blob = buffer.get_mut(..length).ok_or_else(damaged)?;
            cursor.read_exact(blob).map_err(|_| damaged())?;
            appearances.push(AttributeHashes::from_blob(blob).map_err(|_| damaged())?);
        }
        Ok(Self(appearances))
    }
}

impl Sketch {
    /// The estimated number of users; exact as long as there are at most 2^[`LG_K`].
    #[must_use]
    pub fn users(&self) -> f64 {
        self.0.estimate()
    }

    /// The number of users that there are at least, but for one case in a thousand: three standard errors less.
    #[must_use]
    pub fn least_users(&self) -> f64 {
        self.0.lower_bound(NumStdDev::Three)
    }

    /// The share of all users that is in the sketch, above 0 and at most 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.0.theta()
    }

    /// The relative standard error of [`Self::users`]. That of a group is the square root of (users / members) times as
    /// large.
    #[must_use]
    pub fn relative_error(&self) -> f64 {
        let retained = self.0.num_retained().max(1) as f64;
        ((1.0 - self.share()) / retained).sqrt()
    }

    /// The users in the sketch.
    pub fn appearances(&self) -> impl Iterator<Item = &Appearances> {
        self.0.iter().map(|entry| entry.summary())
    }

    /// The number of users of which either sketch has entries that the other has not.
    #[must_use]
    pub fn differences(&self, other: &Self) -> u64 {
        let entries = |sketch: &Self| -> HashMap<u64, Appearances> {
            sketch.0.iter().map(|entry| (entry.hash(), entry.summary().clone())).collect()
        };
        let (own, others) = (entries(self), entries(other));
        let missing = others.keys().filter(|hash| !own.contains_key(hash)).count();
        let wrong = own.iter().filter(|(hash, user)| others.get(hash) != Some(user)).count();
        (missing + wrong) as u64
    }

    /// The same sketch without a person.
    #[must_use]
    pub fn without(&self, person: PersonKey) -> Self {
        let mut erased = sketch();
        erased.update(person.0, AttributeHashes::default());
        let others = TupleANotB::default().compute(&self.0, &erased, true);
        Self(others.expect("both have the default seed"))
    }

    /// The hashes of the countries and cities in the sketch.
    #[must_use]
    pub fn name_hashes(&self) -> BTreeSet<u64> {
        let of = |user: &Appearances, dimension| user.values(dimension).collect::<SmallVec<[u64; 2]>>();
        let named = [Dimension::Country, Dimension::City];
        self.appearances().flat_map(|user| named.into_iter().flat_map(|named| of(user, named))).collect()
    }
}

fn sketch() -> TupleSketch<Policy> {
    TupleSketchBuilder::new(Policy).lg_k(LG_K).build().expect("the size is within the algorithm's limits")
}

impl Default for SketchUnion {
    fn default() -> Self {
        let union = TupleUnionBuilder::new(Policy).lg_k(LG_K).build();
        Self(union.expect("the size is within the algorithm's limits"))
    }
}

impl fmt::Debug for SketchUnion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SketchUnion").finish_non_exhaustive()
    }
}

impl SketchUnion {
    /// Adds the users of a sketch.
    pub fn unite(&mut self, other: &Sketch) {
        self.0.update(&other.0).expect("both have the default seed");
    }

    /// Adds users with the attributes of their events.
    pub fn observe(&mut self, users: impl IntoIterator<Item = (PersonKey, AttributeHashes)>) {
        let mut observed = sketch();
        users.into_iter().for_each(|(person, hashes)| observed.update(person.0, hashes));
        observed.trim();
        self.0.update(&observed).expect("both have the default seed");
    }

    #[must_use]
    pub fn finish(&self) -> Sketch {
        Sketch(self.0.to_sketch(true))
    }
}

impl SketchNames {
    /// Adds the names of an event, which has these hashes.
    pub fn add(&mut self, attributes: &Attributes<'_>, hashes: AttributeHashes) {
        let Some(country) = attributes.country else { return };
        let [_, _, of_country, of_city] = hashes.0;
        for (hash, city) in [(of_country, None), (of_city, attributes.city)] {
            if hash != 0 {
                self.0.entry(hash).or_insert_with(|| (country.into(), city.map(Box::from)));
            }
        }
    }

    /// Adds the names of a sketch from others that know them.
    pub fn extend(&mut self, others: &Self, sketch: &Sketch) {
        for hash in sketch.name_hashes() {
            if let Some(name) = others.0.get(&hash) {
                self.0.entry(hash).or_insert_with(|| name.clone());
            }
        }
    }

    /// Drops the names that no user of the sketch has.
    pub fn retain(&mut self, sketch: &Sketch) {
        let needed = sketch.name_hashes();
        self.0.retain(|hash, _| needed.contains(hash));
    }

    /// The number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Country and city of a hash; no city where it is a country's.
    #[must_use]
    pub fn of(&self, hash: u64) -> Option<(&str, Option<&str>)> {
        self.0.get(&hash).map(|(country, city)| (&**country, city.as_deref()))
    }

    /// The stored form of a sketch with those of the names that it has.
    #[must_use]
    pub fn to_blob(&self, sketch: &Sketch) -> Vec<u8> {
        let bytes = sketch.0.serialize();
        let mut blob = vec![VERSION];
        push_varint(&mut blob, bytes.len() as u64);
        blob.extend_from_slice(&bytes);
        // Only a sketch that was damaged has a name that is not known.
        let known = sketch.name_hashes().into_iter().filter_map(|hash| Some((hash, self.of(hash)?)));
        let known: Vec<(u64, (&str, Option<&str>))> = known.collect();
        push_varint(&mut blob, known.len() as u64);
        for (hash, (country, city)) in known {
            blob.extend_from_slice(&hash.to_le_bytes());
            push_text(&mut blob, country);
            push_text(&mut blob, city.unwrap_or_default());
        }
        blob
    }
}

impl<'a> StoredSketch<'a> {
    /// # Errors
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &'a [u8]) -> Result<Self, MalformedBlob> {
        let mut reader = BlobReader::new(blob, VERSION, NAME)?;
        let length = usize::try_from(reader.varint()?).map_err(|_| reader.malformed())?;
        let bytes = reader.take(length)?;
        let sketch = CompactTupleSketch::deserialize(bytes).map_err(|_| reader.malformed())?;
        Ok(Self { sketch: Sketch(sketch), names: reader })
    }

    /// Adds all names to `names`.
    ///
    /// # Errors
    /// The blob is damaged.
    pub fn names_into(&self, names: &mut SketchNames) -> Result<(), MalformedBlob> {
        let mut reader = self.names;
        for _ in 0..reader.varint()? {
            let hash = u64::from_le_bytes(reader.array()?);
            let (country, city) = (reader.text()?, reader.text()?);
            let city = (!city.is_empty()).then(|| city.into());
            names.0.entry(hash).or_insert_with(|| (country.into(), city));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
