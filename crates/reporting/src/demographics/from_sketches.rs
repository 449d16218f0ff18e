//! Users from sketches: the estimate above the number of users that is counted exactly.
//!
//! It reads a sample of bounded size for each bucket of the range, however many users there are. Observations that are
//! in no sketch yet, and rows of partial minutes, are added to the sample, so that it stands for every committed event.

use std::collections::HashMap;

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Expr, ExprTrait as _, Query},
};
use weir::contract::{
    event::v1::Source,
    reporting::v1::{CityUsers, CountryUsers},
};
use weir_database::{
    MalformedBlob,
    entity::people_sketches::{Column, Entity},
    people::{Dimension, Sketch, SketchNames, SketchUnion, StoredSketch},
    time_bucket::Grain,
};

use super::{
    observed_users::{Lacking, ObservedUsers, SeenUser},
    result::Users,
};
use crate::{
    plan::{self, Granularity},
    store::{Snapshot, malformed},
    time_range::TimeRange,
};

/// So many names are worth pruning.
const WORTH_PRUNING: usize = 1 << 16;

/// A bucket without its sketch.
#[derive(FromQueryResult)]
struct HeadRow {
    sightings: i64,
    users: i64,
}

#[derive(FromQueryResult)]
struct SketchRow {
    data: Vec<u8>,
}

/// The users of a source in a range of so many `events` with a user, estimated.
///
/// `None` where there may be at most `max_exact_users`, or where the sketches miss events that the rollups count: the
/// caller must count exactly.
pub(super) async fn estimate(
    snapshot: &Snapshot,
    source: Source,
    range: TimeRange,
    events: u64,
    max_exact_users: u64,
    limit: usize,
) -> Result<Option<Users>, DbErr> {
    if events <= max_exact_users {
        return Ok(None);
    }
    let buckets: Vec<(Grain, TimeRange)> = plan::pieces(range, Grain::Day)
        .into_iter()
        .filter_map(|piece| match piece.granularity {
            Granularity::Buckets(grain) => Some((grain, piece.range)),
            Granularity::Rows => None,
        })
        .collect();
    // A bucket whose rows are not sketched yet may count fewer than none, after an erasure.
    let (mut sketched, mut most_users) = (0, 0);
    for (grain, range) in &buckets {
        let heads: Vec<HeadRow> =
            snapshot.all(&select(source, *grain, range, &[Column::Sightings, Column::Users])).await?;
        sketched += heads.iter().map(|head| head.sightings).sum::<i64>();
        most_users += heads.iter().map(|head| head.users.unsigned_abs()).sum::<u64>();
    }
    let most_unsketched = events.saturating_sub_signed(sketched);
    if most_users + most_unsketched <= max_exact_users {
        return Ok(None);
    }
    let mut sample = Sample::default();
    let observed = ObservedUsers::of(source, range);
    let observe = |users: &[SeenUser<'_>]| {
        sample.observe(users);
        Ok::<(), DbErr>(())
    };
    let unsketched = observed.visit(snapshot, Lacking::Sketches, observe).await?;
    let erased = observed.erased(snapshot).await?;
    if sketched + unsketched - erased != events.cast_signed() {
        return Ok(None);
    }
    for (grain, range) in &buckets {
        let unite = |SketchRow { data }: SketchRow| sample.unite(&data).map_err(malformed);
        snapshot.for_each(&select(source, *grain, range, &[Column::Data]), unite).await?;
    }
    let sketch = sample.union.finish();
    // A sample that has everybody is no estimate.
    if sketch.share() == 1.0 || sketch.least_users() <= max_exact_users as f64 {
        return Ok(None);
    }
    Estimate::of(&sketch).finish(&sketch, limit, &sample.names).map(Some)
}

/// The union of the sketches read so far, with the names of its users' values.
#[derive(Debug, Default)]
struct Sample {
    union: SketchUnion,
    names: SketchNames,
    /// The number of names at which those that the union no longer needs are dropped.
    next_prune: usize,
}

impl Sample {
    /// Adds the users of events.
    fn observe(&mut self, users: &[SeenUser<'_>]) {
        let Self { union, names, .. } = self;
        union.observe(users.iter().map(|(key, attributes)| {
            let hashes = attributes.hashes();
            names.add(attributes, hashes);
            (*key, hashes)
        }));
        self.prune();
    }

    /// Adds the users of a stored sketch.
    fn unite(&mut self, stored: &[u8]) -> Result<(), MalformedBlob> {
        let stored = StoredSketch::read(stored)?;
        stored.names_into(&mut self.names)?;
        self.union.unite(&stored.sketch);
        self.prune();
        Ok(())
    }

    /// Drops names where there are many. A user who is not in the union now will not be in it later.
    fn prune(&mut self) {
        if self.names.len() >= self.next_prune.max(WORTH_PRUNING) {
            self.names.retain(&self.union.finish());
            self.next_prune = self.names.len() * 2;
        }
    }
}

fn select(
    source: Source,
    grain: Grain,
    range: &TimeRange,
    columns: &[Column],
) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .columns(columns.iter().copied())
        .from(Entity)
        .and_where(Expr::col(Column::Source).eq(i32::from(source)))
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .cond_where(range.contains(Expr::col(Column::Bucket)))
        .take()
}

/// The users of the sample by their values of each dimension.
struct Estimate {
    members: [HashMap<u64, u64>; Dimension::ALL.len()],
    /// The share of all users that is in the sample.
    share: f64,
}

impl Estimate {
    fn of(sketch: &Sketch) -> Self {
        let mut members: [HashMap<u64, u64>; Dimension::ALL.len()] = Default::default();
        for user in sketch.appearances() {
            for dimension in Dimension::ALL {
                user.values(dimension)
                    .for_each(|value| *members[dimension as usize].entry(value).or_default() += 1);
            }
        }
        Self { members, share: sketch.share() }
    }

    fn finish(&self, sketch: &Sketch, limit: usize, names: &SketchNames) -> Result<Users, DbErr> {
        let [countries, cities] =
            [Dimension::Country, Dimension::City].map(|dimension| self.candidates(dimension, limit));
        let named =
            |hash: &u64| names.of(*hash).ok_or_else(|| DbErr::Custom("a name of a sketch is missing".into()));
        let mut country_rows = Vec::new();
        for hash in &countries {
            let users = self.scaled(self.members[Dimension::Country as usize][hash]);
            country_rows.push(CountryUsers {
                country: named(hash)?.0.to_owned(),
                users,
                relative_error: None,
            });
        }
        let mut city_rows = Vec::new();
        for hash in &cities {
            let users = self.scaled(self.members[Dimension::City as usize][hash]);
            let (country, city) = named(hash)?;
            let (country, city) = (country.to_owned(), city.unwrap_or_default().to_owned());
            city_rows.push(CityUsers { country, city, users, relative_error: None });
        }
        country_rows
            .sort_by(|one, other| other.users.cmp(&one.users).then_with(|| one.country.cmp(&other.country)));
        city_rows.sort_by(|one, other| {
            let by_names = || (&one.country, &one.city).cmp(&(&other.country, &other.city));
            other.users.cmp(&one.users).then_with(by_names)
        });
        country_rows.truncate(limit);
        city_rows.truncate(limit);
        let counted = |dimension: Dimension| self.members[dimension as usize].iter();
        Ok(Users {
            users: sketch.users().round() as u64,
            groups: counted(Dimension::Group)
                .map(|(group, members)| (*group as usize - 1, self.scaled(*members)))
                .collect(),
            genders_or_devices: counted(Dimension::GenderOrDevice)
                .map(|(number, members)| (*number as i32, self.scaled(*members)))
                .collect(),
            countries: country_rows,
            cities: city_rows,
            relative_error: Some(sketch.relative_error()),
        })
    }

    /// The values that may be among the first `limit`: all that have as many members as the last of them.
    fn candidates(&self, dimension: Dimension, limit: usize) -> Vec<u64> {
        let members = &self.members[dimension as usize];
        let mut sizes: Vec<u64> = members.values().copied().collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        let least = match limit.checked_sub(1) {
            None => return Vec::new(),
            Some(last) => sizes.get(last).copied().unwrap_or(0),
        };
        members.iter().filter(|(_, size)| **size >= least).map(|(value, _)| *value).collect()
    }

    fn scaled(&self, members: u64) -> u64 {
        (members as f64 / self.share).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use weir_database::people::{Attributes, PersonKey};

    use super::*;

    fn observed(users: u32) -> Vec<(PersonKey, Attributes<'static>)> {
        const COUNTRIES: [&str; 4] = ["Peru", "Peru", "Chile", "Aruba"];
        let user = |number: u32| {
            let country = COUNTRIES[number as usize % 4];
            let city = if number.is_multiple_of(4) { "Ica" } else { "Man" };
            let attributes = Attributes {
                group: 1 + (number % 2) as u8,
                gender_or_device: 1,
                country: Some(country),
                city: Some(city),
            };
            (PersonKey::of(&number.to_string()), attributes)
        };
        (0..users).map(user).collect()
    }

    fn users(number: u32, limit: usize) -> Users {
        let observed = observed(number);
        let mut sample = Sample::default();
        observed.chunks(1_000).for_each(|users| sample.observe(users));
        let sketch = sample.union.finish();
        Estimate::of(&sketch).finish(&sketch, limit, &sample.names).unwrap()
    }

    #[test]
    fn a_sample_that_has_everybody_is_exact() {
        let users = users(400, 3);
        assert_eq!((users.users, users.relative_error), (400, Some(0.0)));
        let countries: Vec<_> = users.countries.iter().map(|row| (row.country.as_str(), row.users)).collect();
        assert_eq!(countries, [("Peru", 200), ("Aruba", 100), ("Chile", 100)], "ties by name");
        let cities: Vec<_> =
            users.cities.iter().map(|row| (row.country.as_str(), row.city.as_str(), row.users)).collect();
        assert_eq!(cities, [("Aruba", "Man", 100), ("Chile", "Man", 100), ("Peru", "Ica", 100)]);
        let mut groups = users.groups.clone();
        groups.sort_unstable();
        assert_eq!((groups, users.genders_or_devices), (vec![(0, 200), (1, 200)], vec![(1, 400)]));
    }

    #[test]
    fn groups_are_estimated_within_the_stated_error() {
        let all = 200_000;
        let users = users(all, 1);
        let error = users.relative_error.unwrap();
        let within = |estimate: u64, members: f64, times: f64| {
            let error = error * (f64::from(all) / members).sqrt();
            (estimate as f64 / members - 1.0).abs() < times * error
        };
        assert!(within(users.users, f64::from(all), 4.0), "{users:?}");
        assert!(
            users.groups.iter().all(|(_, members)| within(*members, f64::from(all) / 2.0, 4.0)),
            "{users:?}"
        );
        assert_eq!((users.countries.len(), users.countries[0].country.as_str()), (1, "Peru"));
        assert!(
            users.cities.len() == 1 && within(users.cities[0].users, f64::from(all) / 4.0, 4.0),
            "{users:?}"
        );
    }

    #[test]
    fn names_that_no_user_of_the_sample_has_are_dropped() {
        let mut sample = Sample::default();
        for first in (0..400_000).step_by(1_000) {
            let cities: Vec<String> = (first..first + 1_000).map(|number| format!("city {number}")).collect();
            let of_city =
                |city| Attributes { country: Some("Peru"), city: Some(city), ..Attributes::default() };
            let users: Vec<SeenUser<'_>> =
                cities.iter().map(|city| (PersonKey::of(city), of_city(city.as_str()))).collect();
            sample.observe(&users);
        }
        assert!(sample.names.len() < 2 * WORTH_PRUNING, "{}", sample.names.len());
        let hashes = sample.union.finish().name_hashes();
        assert!(hashes.len() > 8_000 && hashes.iter().all(|hash| sample.names.of(*hash).is_some()));
    }
}
