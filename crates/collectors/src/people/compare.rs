//! Whether the sets name whom the rows do, for `weir reconcile`.
//!
//! A day that counts other sightings than the rollups do is no difference: reports answer it from rows, and it is mended
//! without being told, as what was stored before there were sets. Where the day counts the same and one of its minutes does
//! not, somebody damaged it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Range,
};

use tokio::time::{Instant, sleep};
use weir_database::people::{Dimension, MINUTE, Observation, Observations, PersonKey, SLOTS, Sets, USERS};

use super::{
    People, PeopleError,
    mend::{AT_ONCE, DAY, HOUR, PARTS, counts, deltas, is_erasing, rows, sighting, united, waiting, widen},
    numbering,
    session::{Bucket, Bucketed, PATIENCE, PAUSE, Session},
};

/// A bucket whose sets do not name whom they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Astray {
    pub(crate) bucket: Bucket,
    pub(crate) written: Told,
    pub(crate) expected: Told,
    /// How many users and members of groups are in its sets and should not be, or should be and are not.
    pub(crate) misplaced: u64,
}

/// What a bucket tells of its people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) users: u64,
    /// Without those that are not folded.
    pub(crate) sightings: i64,
}

/// Who was seen with what.
type Seen = (PersonKey, [u64; Dimension::ALL.len()]);

/// What is not folded of one minute, and how often it was noted.
type Unfolded = HashMap<Seen, usize>;

impl People {
    /// The buckets of a day of a source that went astray, the narrowest first: minutes beside their rows, hours and the day
    /// beside what they are made of. `asked` are those to compare, by grain. What begins before the time that rows are
    /// complete from is left out.
    ///
    /// # Errors
    /// The store can't be read, or a set is damaged.
    pub(crate) async fn astray(
        &self,
        source: i16,
        day: i64,
        asked: &[Range<i64>; 3],
    ) -> Result<Vec<Astray>, PeopleError> {
        let mut session = self.begin_reading().await?;
        let deltas = deltas(&mut session, source).await?;
        let waiting = waiting(&deltas)?;
        let span = day.max(session.horizon(source).await?)..day + DAY;
        if span.is_empty() {
            return Ok(Vec::new());
        }
        let [minutes, hours, days] = [
            counts(&mut session, source, 1, span.clone(), &waiting).await?,
            counts(&mut session, source, 2, span.clone(), &waiting).await?,
            counts(&mut session, source, 3, span.clone(), &waiting).await?,
        ];
        let is_believed = day >= span.start
            && days.get(&day).is_some_and(|(measured, counted)| measured == counted)
            && !is_erasing(&mut session, source).await?;
        let mut unfolded = unfolded(&deltas, &span)?;
        let (mut astray, mut doubted) = (Vec::new(), BTreeSet::new());
        for (minute, (measured, counted)) in minutes {
            if measured != counted {
                doubted.extend([minute.div_euclid(HOUR) * HOUR, day]);
                if !is_believed {
                    continue;
                }
            }
            if asked[0].contains(&minute) {
                let unfolded = unfolded.remove(&minute).unwrap_or_default();
                astray.extend(of_minute(&mut session, source, minute, measured, unfolded).await?);
            }
        }
        let wider = [(2, hours, HOUR / MINUTE, MINUTE, &asked[1]), (3, days, DAY / HOUR, HOUR, &asked[2])];
        for (grain, counts, parts, width, asked) in wider {
            for (start, (measured, counted)) in counts {
                if measured != counted {
                    doubted.insert(day);
                }
                if doubted.contains(&start) || !asked.contains(&start) || start < span.start {
                    continue;
                }
                let Bucketed { sightings, sets } =
                    united(&mut session, source, grain - 1, start, parts, width).await?;
                let expected = Told { users: sets.slot(USERS).len(), sightings };
                let stored = stored(&mut session, source, (grain, start)).await?;
                astray.extend(differing((grain, start), &stored, [&sets, &sets], expected, 0));
            }
        }
        session.commit().await?;
        Ok(astray)
    }

    /// Makes buckets anew: minutes from their rows, with the hours and the days that they are in, others from what they
    /// are made of.
    ///
    /// # Errors
    /// The store does not take it, or somebody is being erased for longer than can be waited; what was made stays so.
    pub(crate) async fn remake(&self, source: i16, buckets: &[Bucket]) -> Result<(), PeopleError> {
        let of_minutes = |(grain, start): &Bucket| (*grain == 1).then_some(*start);
        let mut minutes: BTreeSet<i64> = buckets.iter().filter_map(of_minutes).collect();
        while let (Some(first), Some(last)) = (minutes.first(), minutes.last()) {
            let span = *first..*last + MINUTE;
            let mut session = self.begin_while_nobody_is_erased(source).await?;
            let waiting = waiting(&deltas(&mut session, source).await?)?;
            let counts = counts(&mut session, source, 1, span, &waiting).await?;
            let measured = |minute: &i64| (*minute, counts.get(minute).map_or(0, |(measured, _)| *measured));
            let wrong: Vec<(i64, i64)> = minutes.iter().map(measured).collect();
            let mended = self.mend_minutes(&mut session, source, &wrong, &waiting).await?;
            session.commit().await?;
            wrong.iter().zip(0..mended).for_each(|((minute, _), _)| {
                minutes.remove(minute);
            });
        }
        let of_hours = |(grain, start): &Bucket| (*grain > 1).then_some(*start);
        let hours: BTreeSet<i64> = buckets.iter().filter_map(of_hours).collect();
        if !hours.is_empty() {
            let mut session = self.begin_while_nobody_is_erased(source).await?;
            // A day is made of its hours, of which the first is as good as any.
            widen(&mut session, source, &hours).await?;
            session.commit().await?;
        }
        Ok(())
    }

    async fn begin_while_nobody_is_erased(&self, source: i16) -> Result<Session, PeopleError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut session = self.begin_patiently().await?;
            if !is_erasing(&mut session, source).await? {
                return Ok(session);
            }
            drop(session);
            if Instant::now() >= deadline {
                return Err(PeopleError::Busy);
            }
            sleep(PAUSE).await;
        }
    }
}

/// By the start of their minute.
fn unfolded(deltas: &[Vec<u8>], span: &Range<i64>) -> Result<BTreeMap<i64, Unfolded>, PeopleError> {
    let mut unfolded: BTreeMap<i64, Unfolded> = BTreeMap::new();
    for delta in deltas {
        for sighting in Observations::read(delta)? {
            let minute = sighting.minute * MINUTE;
            if span.contains(&minute) {
                *unfolded.entry(minute).or_default().entry(seen(&sighting)).or_default() += 1;
            }
        }
    }
    Ok(unfolded)
}

/// A minute beside its rows. Who is not folded may be in its sets: a minute that was mended has them.
async fn of_minute(
    session: &mut Session,
    source: i16,
    minute: i64,
    measured: i64,
    mut unfolded: Unfolded,
) -> Result<Option<Astray>, PeopleError> {
    let parts = if measured > AT_ONCE { PARTS } else { 1 };
    let mut everybody: [Vec<u32>; SLOTS] = Default::default();
    let mut folded: [Vec<u32>; SLOTS] = Default::default();
    let (mut keys, mut sightings, mut lacking) = (HashSet::<PersonKey>::new(), 0, 0);
    for part in 0..parts {
        let start = minute + part * (MINUTE / parts);
        let rows = rows(session, source, start..start + MINUTE / parts).await?;
        let number = minute.div_euclid(MINUTE);
        let seen: Vec<Observation<'_>> = rows.iter().map(|row| sighting(source, number, row)).collect();
        for (sighting, found) in seen.iter().zip(numbering::find(session, source, &seen).await?) {
            keys.insert(sighting.key);
            let is_folded = !take(&mut unfolded, sighting);
            sightings += i64::from(is_folded);
            lacking += if is_folded { found.lacking as u64 } else { 0 };
            for (slot, number) in found.numbers.iter().enumerate() {
                everybody[slot].extend(number);
                folded[slot].extend(number.filter(|_| is_folded));
            }
        }
    }
    let stored = stored(session, source, (1, minute)).await?;
    let (least, most) = (Sets::of(folded), Sets::of(everybody));
    let expected = Told { users: keys.len() as u64, sightings };
    Ok(differing((1, minute), &stored, [&least, &most], expected, lacking))
}

fn seen(sighting: &Observation<'_>) -> Seen {
    (sighting.key, sighting.attributes.hashes().0)
}

/// Whether it was there, which it is once less.
fn take(unfolded: &mut Unfolded, sighting: &Observation<'_>) -> bool {
    let times = unfolded.get_mut(&seen(sighting)).filter(|times| **times > 0);
    times.map(|times| *times -= 1).is_some()
}

/// Empty where there is none.
async fn stored(session: &mut Session, source: i16, bucket: Bucket) -> Result<Bucketed, PeopleError> {
    Ok(session.buckets(source, &[bucket]).await?.pop().unwrap_or_default())
}

/// Of the numbers that may be there the first ones have to, and `lacking` more should be there and have no number.
fn differing(
    bucket: Bucket,
    stored: &Bucketed,
    [least, most]: [&Sets; 2],
    expected: Told,
    lacking: u64,
) -> Option<Astray> {
    let Bucketed { sightings, sets } = stored;
    let misplaced = |slot: usize| {
        least.slot(slot).difference_len(sets.slot(slot)) + sets.slot(slot).difference_len(most.slot(slot))
    };
    let misplaced = lacking + (0..SLOTS).map(misplaced).sum::<u64>();
    let written = Told { users: sets.slot(USERS).len(), sightings: *sightings };
    let differs = misplaced > 0 || written.sightings != expected.sightings;
    differs.then_some(Astray { bucket, written, expected, misplaced })
}
