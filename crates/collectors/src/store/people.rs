//! Who was seen in new rows: noted beside them, a few rows a transaction, and folded later (`crate::people`).

use std::collections::BTreeMap;

use weir_database::people::{Attributes, MINUTE, Observation, Observations, PersonKey, Removals};

use super::row::Row;

/// One row of `people_deltas`: source, erasure, first and last minute, how many, when, data.
pub(super) const NOTE: &str = "INSERT INTO people_deltas \
    (source, erasure_id, first_minute, last_minute, sightings, stored_at, data) VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// What is folded at least at once: little enough that folding it holds up nobody on SQLite.
const MOST: u64 = 4_096;

/// The people in the new rows of one transaction.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<i16, Vec<Observations>>);

/// What is bound to [`NOTE`].
#[derive(Debug)]
pub(super) struct Delta<'a> {
    pub(super) source: i16,
    pub(super) erasure_id: Option<&'a str>,
    pub(super) minutes: (i64, i64),
    pub(super) sightings: i64,
    pub(super) data: Vec<u8>,
}

impl Seen {
    pub(super) fn of(rows: &[Row<'_>]) -> Self {
        let mut seen = Self::default();
        rows.iter().for_each(|row| seen.add(row));
        seen
    }

    /// An erased person's row names nobody.
    pub(super) fn add(&mut self, row: &Row<'_>) {
        if row.user_id.is_empty() {
            return;
        }
        let deltas = self.0.entry(row.source).or_default();
        if deltas.last().is_none_or(|last| last.number() >= MOST) {
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

    pub(super) fn deltas(&self) -> impl Iterator<Item = Delta<'static>> {
        let all = self.0.iter().flat_map(|(source, deltas)| deltas.iter().map(|delta| (*source, delta)));
        all.filter_map(|(source, delta)| {
            Some(Delta {
                source,
                erasure_id: None,
                minutes: delta.minutes()?,
                sightings: delta.number().cast_signed(),
                data: delta.to_blob().to_vec(),
            })
        })
    }
}

impl<'a> Delta<'a> {
    /// Of rows that an erasure took its person out of, by their event times, µs since the Unix epoch; none where there
    /// are none.
    pub(super) fn taken_out(
        source: i16,
        erasure_id: &'a str,
        times: impl Iterator<Item = i64>,
    ) -> Option<Self> {
        let mut taken_out = Removals::default();
        times.for_each(|time| *taken_out.0.entry(time.div_euclid(MINUTE)).or_default() += 1);
        let (first, last) = (*taken_out.0.keys().next()?, *taken_out.0.keys().next_back()?);
        Some(Self {
            source,
            erasure_id: Some(erasure_id),
            minutes: (first, last),
            sightings: taken_out.0.values().sum::<u64>().cast_signed(),
            data: taken_out.to_blob(),
        })
    }
}

/// Notes deltas, on either database.
macro_rules! note {
    ($connection:expr, $deltas:expr, $now:expr) => {
        for delta in $deltas {
            sqlx::query($crate::store::people::NOTE)
                .bind(delta.source)
                .bind(delta.erasure_id)
                .bind(delta.minutes.0)
                .bind(delta.minutes.1)
                .bind(delta.sightings)
                .bind($now)
                .bind(delta.data)
                .execute(&mut *$connection)
                .await?;
        }
    };
}
pub(super) use note;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(source: i16, user_id: &'static str, occurred_at: i64) -> Row<'static> {
        Row { source, user_id, occurred_at, age: Some(36), gender: Some(2), ..Row::default() }
    }

    #[test]
    fn rows_of_nobody_are_not_noted_and_sources_are_apart() {
        let rows = [row(1, "ada", -1), row(1, "", 5), row(2, "ada", MINUTE), row(1, "bob", 2 * MINUTE)];
        let seen = Seen::of(&rows);
        let deltas: Vec<Delta<'_>> = seen.deltas().collect();
        let told: Vec<_> =
            deltas.iter().map(|delta| (delta.source, delta.sightings, delta.minutes)).collect();
        assert_eq!(told, [(1, 2, (-1, 2)), (2, 1, (1, 1))]);
        let people = Observations::read(&deltas[0].data).unwrap();
        assert_eq!(people.iter().map(|seen| seen.minute).collect::<Vec<_>>(), [-1, 2]);
        assert_eq!(people[1].key, PersonKey::of("bob"));
    }

    #[test]
    fn many_rows_are_several_deltas() {
        let rows = vec![row(1, "ada", 0); MOST as usize + 1];
        let sizes: Vec<i64> = Seen::of(&rows).deltas().map(|delta| delta.sightings).collect();
        assert_eq!(sizes, [MOST as i64, 1]);
    }

    #[test]
    fn rows_that_lost_their_person_are_counted_by_minute() {
        let delta = Delta::taken_out(1, "e", [MINUTE, 3, MINUTE + 1].into_iter()).unwrap();
        assert_eq!((delta.minutes, delta.sightings, delta.erasure_id), ((0, 1), 3, Some("e")));
        assert_eq!(Removals::read(&delta.data).unwrap().0, BTreeMap::from([(0, 1), (1, 2)]));
        assert!(Delta::taken_out(1, "e", [].into_iter()).is_none());
    }
}
