//! Random times for events and ranges, crowded around the edges of minutes, hours, days and years; some are far from
//! each other.

use prost_types::Timestamp;
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 2023-06-01T12:34, the last hour of 2024 and 2025-09-14T00:00, in µs since the Unix epoch.
const ANCHORS: [i64; 3] = [1_685_622_840 * SECOND, 1_735_686_000 * SECOND, 1_757_808_000 * SECOND];

/// A random time in µs since the Unix epoch.
pub(super) fn moment(random: &mut StdRng) -> i64 {
    let spread = *[2 * MINUTE, 3 * HOUR, 3 * DAY, 40 * DAY].choose(random).unwrap();
    let anywhere = ANCHORS.choose(random).unwrap() + random.random_range(0..spread);
    let edge = *[1, MINUTE, HOUR, DAY].choose(random).unwrap();
    anywhere - anywhere % edge + *[-1, 0, 0, 1].choose(random).unwrap()
}

/// A random range, sometimes empty. An end may be unbounded or finer than a microsecond.
pub(super) fn range(random: &mut StdRng) -> (Option<Timestamp>, Option<Timestamp>) {
    let [one, other] = [(); 2].map(|()| {
        let nanoseconds = moment(random) * 1_000 + *[0, 0, 0, 1, 999].choose(random).unwrap();
        Timestamp {
            seconds: nanoseconds / 1_000_000_000,
            nanos: i32::try_from(nanoseconds % 1_000_000_000).unwrap(),
        }
    });
    let order = |time: &Timestamp| (time.seconds, time.nanos);
    let (first, last) = if order(&one) <= order(&other) { (one, other) } else { (other, one) };
    let last = if random.random_bool(0.03) { first } else { last };
    (random.random_bool(0.9).then_some(first), random.random_bool(0.9).then_some(last))
}
