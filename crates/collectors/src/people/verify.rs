//! Verification of the sets and sketches against the rows, for `weir reconcile`.
//!
//! A day whose count differs from the rollups' is no mismatch: reports answer it from rows, and the job rebuilds it,
//! as it does for rows from before there were sets. A mismatch is a minute whose set is wrong in a day whose count is
//! right: such a set was damaged.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Range,
};

use tokio::time::{Instant, sleep};
use weir_database::{
    people::{Dimension, Observation, Observations, PersonKey, SLOTS, Sets, USERS},
    time_bucket::{DAY, Grain, HOUR, MINUTE},
};

use super::{
    Derived, Mismatch, People, PeopleCounts, PeopleError, dictionary,
    rebuild::{
        PARTS_OF_MINUTE, ROWS_AT_ONCE, counts, deltas, is_erasing, observation, rebuild_hours, rows, union,
        waiting,
    },
    transaction::{BucketKey, JobTransaction, LOCK_POLL_INTERVAL, LOCK_TIMEOUT, PeopleBucket},
    verify_sketches::sketch_mismatches,
};

/// A person with the hashes of the observed attributes.
type ObservationKey = (PersonKey, [u64; Dimension::ALL.len()]);

/// The observations of one minute that are not folded, and how often each occurs.
type Unfolded = HashMap<ObservationKey, usize>;

impl People {
    /// The mismatches of one source and day, the narrowest bucket first. Minutes are compared with their rows; hours
    /// and days with the buckets that they consist of. `asked` has the range of buckets to compare for each grain.
    /// Buckets that begin before the horizon are left out.
    ///
    /// # Errors
    /// The database can't be read, or a set is damaged.
    pub(crate) async fn mismatches(
        &self,
        source: i16,
        day: i64,
        asked: &[Range<i64>; 3],
    ) -> Result<Vec<Mismatch>, PeopleError> {
        let mut transaction = self.begin_read_only().await?;
        let deltas = deltas(&mut transaction, source, Derived::Sets).await?;
        let waiting = waiting(&mut transaction, source, Derived::Sets).await?;
        let span = day.max(transaction.horizon(source).await?)..day + DAY;
        if span.is_empty() {
            return Ok(Vec::new());
        }
        let [minutes, hours, days] = [
            counts(&mut transaction, source, Derived::Sets, Grain::Minute, span.clone(), &waiting).await?,
            counts(&mut transaction, source, Derived::Sets, Grain::Hour, span.clone(), &waiting).await?,
            counts(&mut transaction, source, Derived::Sets, Grain::Day, span.clone(), &waiting).await?,
        ];
        let is_day_right = day >= span.start
            && days.get(&day).is_some_and(|(measured, counted)| measured == counted)
            && !is_erasing(&mut transaction, source).await?;
        let mut unfolded = unfolded(&deltas, &span)?;
        let (mut mismatches, mut skipped) = (Vec::new(), BTreeSet::new());
        for (minute, (measured, counted)) in minutes {
            if measured != counted {
                skipped.extend([Grain::Hour.start_of(minute), day]);
                if !is_day_right {
                    continue;
                }
            }
            if asked[0].contains(&minute) {
                let unfolded = unfolded.remove(&minute).unwrap_or_default();
                mismatches
                    .extend(compare_minute(&mut transaction, source, minute, measured, unfolded).await?);
            }
        }
        let wider = [
            (Grain::Hour, hours, Grain::Minute, HOUR / MINUTE, &asked[1]),
            (Grain::Day, days, Grain::Hour, DAY / HOUR, &asked[2]),
        ];
        for (grain, counts, finer, parts, asked) in wider {
            for (start, (measured, counted)) in counts {
                if measured != counted {
                    skipped.insert(day);
                }
                if skipped.contains(&start) || !asked.contains(&start) || start < span.start {
                    continue;
                }
                let PeopleBucket { observations, sets } =
                    union(&mut transaction, source, finer, start, parts).await?;
                let expected = PeopleCounts { users: sets.slot(USERS).len(), observations };
                let bucket = (grain.number(), start);
                let stored = stored(&mut transaction, source, bucket).await?;
                mismatches.extend(compare_sets(bucket, &stored, [&sets, &sets], expected, 0));
            }
        }
        let in_sketches = sketch_mismatches(&mut transaction, source, span, asked).await?;
        let known: BTreeSet<BucketKey> = mismatches.iter().map(|mismatch| mismatch.bucket).collect();
        mismatches.extend(in_sketches.into_iter().filter(|mismatch| !known.contains(&mismatch.bucket)));
        mismatches.sort_by_key(|mismatch| mismatch.bucket);
        transaction.commit().await?;
        Ok(mismatches)
    }

    /// Rebuilds buckets: minutes from their rows, with their hours and days; others from the buckets that they
    /// consist of.
    ///
    /// # Errors
    /// The database can't be written now, or an erasure takes longer than [`LOCK_TIMEOUT`]. Rebuilt buckets stay
    /// rebuilt.
    pub(crate) async fn rebuild_buckets(
        &self,
        source: i16,
        buckets: &[BucketKey],
    ) -> Result<(), PeopleError> {
        self.rebuild_buckets_of(source, Derived::Sketches, buckets).await?;
        let mut transaction = self.begin_read_only().await?;
        let large_days = self.large_days(&mut transaction, source).await?;
        transaction.commit().await?;
        let has_sets = |(_, start): &&BucketKey| !large_days.contains(&Grain::Day.start_of(*start));
        let with_sets: Vec<BucketKey> = buckets.iter().filter(has_sets).copied().collect();
        self.rebuild_buckets_of(source, Derived::Sets, &with_sets).await
    }

    async fn rebuild_buckets_of(
        &self,
        source: i16,
        derived: Derived,
        buckets: &[BucketKey],
    ) -> Result<(), PeopleError> {
        let of_minutes = |(grain, start): &BucketKey| (*grain == 1).then_some(*start);
        let mut minutes: BTreeSet<i64> = buckets.iter().filter_map(of_minutes).collect();
        while let (Some(first), Some(last)) = (minutes.first(), minutes.last()) {
            let span = *first..*last + MINUTE;
            let mut transaction = self.begin_without_erasure(source).await?;
            let waiting = waiting(&mut transaction, source, derived).await?;
            let counts = counts(&mut transaction, source, derived, Grain::Minute, span, &waiting).await?;
            let measured = |minute: &i64| (*minute, counts.get(minute).map_or(0, |(measured, _)| *measured));
            let wrong: Vec<(i64, i64)> = minutes.iter().map(measured).collect();
            let rebuilt = self.rebuild_minutes(&mut transaction, source, derived, &wrong, &waiting).await?;
            transaction.commit().await?;
            wrong.iter().zip(0..rebuilt).for_each(|((minute, _), _)| {
                minutes.remove(minute);
            });
        }
        let of_hours = |(grain, start): &BucketKey| (*grain > 1).then_some(*start);
        let hours: BTreeSet<i64> = buckets.iter().filter_map(of_hours).collect();
        if !hours.is_empty() {
            let mut transaction = self.begin_without_erasure(source).await?;
            // A day is rebuilt from its hours, so that any of its hours will do; this takes the first.
            rebuild_hours(&mut transaction, source, derived, &hours).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    async fn begin_without_erasure(&self, source: i16) -> Result<JobTransaction, PeopleError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            let mut transaction = self.begin_when_free().await?;
            if !is_erasing(&mut transaction, source).await? {
                return Ok(transaction);
            }
            drop(transaction);
            if Instant::now() >= deadline {
                return Err(PeopleError::Busy);
            }
            sleep(LOCK_POLL_INTERVAL).await;
        }
    }
}

/// Observations that are not folded, by the start of their minute.
fn unfolded(deltas: &[Vec<u8>], span: &Range<i64>) -> Result<BTreeMap<i64, Unfolded>, PeopleError> {
    let mut unfolded: BTreeMap<i64, Unfolded> = BTreeMap::new();
    for delta in deltas {
        for observation in Observations::read(delta)? {
            let minute = observation.minute * MINUTE;
            if span.contains(&minute) {
                *unfolded.entry(minute).or_default().entry(observation_key(&observation)).or_default() += 1;
            }
        }
    }
    Ok(unfolded)
}

/// Compares a minute with its rows. Its sets may have observations that are not folded, because rebuilding adds these
/// as well.
async fn compare_minute(
    transaction: &mut JobTransaction,
    source: i16,
    minute: i64,
    measured: i64,
    mut unfolded: Unfolded,
) -> Result<Option<Mismatch>, PeopleError> {
    let parts = if measured > ROWS_AT_ONCE { PARTS_OF_MINUTE } else { 1 };
    let mut possible: [Vec<u32>; SLOTS] = Default::default();
    let mut folded: [Vec<u32>; SLOTS] = Default::default();
    let (mut keys, mut observations, mut missing) = (HashSet::<PersonKey>::new(), 0, 0);
    for part in 0..parts {
        let start = minute + part * (MINUTE / parts);
        let rows = rows(transaction, source, start..start + MINUTE / parts).await?;
        let number = minute.div_euclid(MINUTE);
        let of_rows: Vec<Observation<'_>> = rows.iter().map(|row| observation(source, number, row)).collect();
        for (observation, found) in
            of_rows.iter().zip(dictionary::find_numbers(transaction, source, &of_rows).await?)
        {
            keys.insert(observation.key);
            let is_folded = !take_occurrence(&mut unfolded, observation);
            observations += i64::from(is_folded);
            missing += if is_folded { found.missing as u64 } else { 0 };
            for (slot, number) in found.numbers.iter().enumerate() {
                possible[slot].extend(number);
                folded[slot].extend(number.filter(|_| is_folded));
            }
        }
    }
    let stored = stored(transaction, source, (1, minute)).await?;
    let (least, most) = (Sets::of(folded), Sets::of(possible));
    let expected = PeopleCounts { users: keys.len() as u64, observations };
    Ok(compare_sets((1, minute), &stored, [&least, &most], expected, missing))
}

fn observation_key(observation: &Observation<'_>) -> ObservationKey {
    (observation.key, observation.attributes.hashes().0)
}

/// Takes one occurrence of an observation, and returns whether there was one.
fn take_occurrence(unfolded: &mut Unfolded, observation: &Observation<'_>) -> bool {
    let times = unfolded.get_mut(&observation_key(observation)).filter(|times| **times > 0);
    times.map(|times| *times -= 1).is_some()
}

/// The bucket of the table; an empty one where there is none.
async fn stored(
    transaction: &mut JobTransaction,
    source: i16,
    bucket: BucketKey,
) -> Result<PeopleBucket, PeopleError> {
    Ok(transaction.buckets(source, &[bucket]).await?.pop().unwrap_or_default())
}

/// Compares a bucket with its expected numbers: it must contain those of `least` and may contain those of `most`.
/// `missing` more should be there and have no number.
fn compare_sets(
    bucket: BucketKey,
    stored: &PeopleBucket,
    [least, most]: [&Sets; 2],
    expected: PeopleCounts,
    missing: u64,
) -> Option<Mismatch> {
    let PeopleBucket { observations, sets } = stored;
    let misplaced = |slot: usize| {
        least.slot(slot).difference_len(sets.slot(slot)) + sets.slot(slot).difference_len(most.slot(slot))
    };
    let misplaced = missing + (0..SLOTS).map(misplaced).sum::<u64>();
    let written = PeopleCounts { users: sets.slot(USERS).len(), observations: *observations };
    let differs = misplaced > 0 || written.observations != expected.observations;
    differs.then_some(Mismatch { bucket, written, expected, misplaced })
}
