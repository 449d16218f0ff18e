//! Deltas of people: the observations of new rows, a few rows for each transaction. `crate::people` folds them later.

use std::collections::BTreeMap;

use weir_database::{
    people::{Attributes, Observation, Observations, PersonKey, Removals},
    time_bucket::MINUTE,
};

use super::row::Row;

/// Inserts one row of `people_deltas`: source, erasure, first and last minute, number of observations, time, data.
pub(super) const INSERT_DELTA: &str = "INSERT INTO people_deltas \
    (source, erasure_id, first_minute, last_minute, sightings, stored_at, data) VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// The most observations of one delta, which is the least that one fold takes. Folding so few delays storing on SQLite
/// only briefly.
const MOST_IN_DELTA: u64 = 4_096;

/// The observations of people in the new rows of one transaction, by source.
#[derive(Debug, Default)]
pub(super) struct ObservedPeople(BTreeMap<i16, Vec<Observations>>);

/// The values of [`INSERT_DELTA`].
#[derive(Debug)]
pub(super) struct PeopleDelta<'a> {
    pub(super) source: i16,
    pub(super) erasure_id: Option<&'a str>,
    pub(super) minutes: (i64, i64),
    pub(super) observations: i64,
    pub(super) data: Vec<u8>,
}

impl ObservedPeople {
    pub(super) fn of(rows: &[Row<'_>]) -> Self {
        let mut observed = Self::default();
        rows.iter().for_each(|row| observed.add(row));
        observed
    }

    /// Adds the observation of a row. The row of an erased person has none.
    pub(super) fn add(&mut self, row: &Row<'_>) {
        if row.user_id.is_empty() {
            return;
        }
        let deltas = self.0.entry(row.source).or_default();
        if deltas.last().is_none_or(|last| last.number() >= MOST_IN_DELTA) {
            deltas.push(Observations::default());
        }
        let Some(last) = deltas.last_mut() else { return };
        last.push(&Observation {
            minute: row.occurred_at.div_euclid(MINUTE),
            key: PersonKey::of(row.user_id),
            attributes: Attributes::of_row(
                row.source,
                row.age,
                row.gender,
                row.followers,
                row.device,
                row.country,
                row.city,
            ),
        });
    }

    pub(super) fn deltas(&self) -> impl Iterator<Item = PeopleDelta<'static>> {
        let all = self.0.iter().flat_map(|(source, deltas)| deltas.iter().map(|delta| (*source, delta)));
        all.filter_map(|(source, delta)| {
            Some(PeopleDelta {
                source,
                erasure_id: None,
                minutes: delta.minutes()?,
                observations: delta.number().cast_signed(),
                data: delta.to_blob().to_vec(),
            })
        })
    }
}

impl<'a> PeopleDelta<'a> {
    /// The removals of rows that an erasure anonymized, given their event times, µs since the Unix epoch; `None`
    /// without rows.
    pub(super) fn removals(
        source: i16,
        erasure_id: &'a str,
        times: impl Iterator<Item = i64>,
    ) -> Option<Self> {
        let mut removals = Removals::default();
        times.for_each(|time| *removals.0.entry(time.div_euclid(MINUTE)).or_default() += 1);
        let (first, last) = (*removals.0.keys().next()?, *removals.0.keys().next_back()?);
        Some(Self {
            source,
            erasure_id: Some(erasure_id),
            minutes: (first, last),
            observations: removals.0.values().sum::<u64>().cast_signed(),
            data: removals.to_blob(),
        })
    }
}

/// Inserts deltas, on either database.
macro_rules! insert_deltas {
    ($connection:expr, $deltas:expr, $now:expr) => {
        for delta in $deltas {
            sqlx::query($crate::store::people_deltas::INSERT_DELTA)
                .bind(delta.source)
                .bind(delta.erasure_id)
                .bind(delta.minutes.0)
                .bind(delta.minutes.1)
                .bind(delta.observations)
                .bind($now)
                .bind(delta.data)
                .execute(&mut *$connection)
                .await?;
        }
    };
}
pub(super) use insert_deltas;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(source: i16, user_id: &'static str, occurred_at: i64) -> Row<'static> {
        Row { source, user_id, occurred_at, age: Some(36), gender: Some(2), ..Row::default() }
    }

    #[test]
    fn rows_without_a_person_have_no_observation_and_each_source_has_its_delta() {
        let rows = [row(1, "ada", -1), row(1, "", 5), row(2, "ada", MINUTE), row(1, "bob", 2 * MINUTE)];
        let observed = ObservedPeople::of(&rows);
        let deltas: Vec<PeopleDelta<'_>> = observed.deltas().collect();
        let summaries: Vec<_> =
            deltas.iter().map(|delta| (delta.source, delta.observations, delta.minutes)).collect();
        assert_eq!(summaries, [(1, 2, (-1, 2)), (2, 1, (1, 1))]);
        let observations = Observations::read(&deltas[0].data).unwrap();
        assert_eq!(observations.iter().map(|observed| observed.minute).collect::<Vec<_>>(), [-1, 2]);
        assert_eq!(observations[1].key, PersonKey::of("bob"));
    }

    #[test]
    fn many_rows_are_several_deltas() {
        let rows = vec![row(1, "ada", 0); MOST_IN_DELTA as usize + 1];
        let sizes: Vec<i64> = ObservedPeople::of(&rows).deltas().map(|delta| delta.observations).collect();
        assert_eq!(sizes, [MOST_IN_DELTA as i64, 1]);
    }

    #[test]
    fn removals_are_counted_by_minute() {
        let delta = PeopleDelta::removals(1, "e", [MINUTE, 3, MINUTE + 1].into_iter()).unwrap();
        assert_eq!((delta.minutes, delta.observations, delta.erasure_id), ((0, 1), 3, Some("e")));
        assert_eq!(Removals::read(&delta.data).unwrap().0, BTreeMap::from([(0, 1), (1, 2)]));
        assert!(PeopleDelta::removals(1, "e", [].into_iter()).is_none());
    }
}
