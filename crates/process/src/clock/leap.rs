//! Leaps of the wall clock, for a journal without another clock. The reference is the machine's uptime: it
//! goes on while the machine sleeps, and it can't be set.

use std::{fs, time::Duration};

use chrono::{TimeDelta, Utc};

use super::difference::{is_far, span};

/// A leap suspends removal by age for so long, of the time that the process runs. That leaves an operator
/// time to notice it.
const HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The clocks of a machine at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// µs since the Unix epoch.
    pub wall: i64,
    /// The id of the machine's boot; empty if the machine does not have one.
    pub boot: String,
    /// ms since that boot.
    pub uptime: i64,
}

/// A stored reading, and the rest of the time for which removal by age is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockCheckpoint {
    pub reading: Reading,
    /// The last leap of the clock in µs; positive if it leapt ahead.
    pub leap: i64,
    /// The rest of the suspension in ms of running; 0 if removal is not suspended.
    pub held: i64,
}

impl Reading {
    /// Reads the clocks.
    #[must_use]
    pub fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let uptime = fs::read_to_string("/proc/uptime").ok().and_then(|text| {
            let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
            Some((seconds * 1e3) as i64)
        });
        let boot = if uptime.is_some() { boot.trim().to_owned() } else { String::new() };
        Self { wall: Utc::now().timestamp_micros(), boot, uptime: uptime.unwrap_or_default() }
    }

    /// The µs by which the clock advanced more than time did since `before`. The uptime does not span a
    /// restart of the machine, so then every step counts.
    fn leap_since(&self, before: &Self) -> i64 {
        let passed = if self.boot == before.boot && !self.boot.is_empty() {
            self.uptime.saturating_sub(before.uptime).saturating_mul(1_000)
        } else {
            0
        };
        self.wall.saturating_sub(before.wall).saturating_sub(passed)
    }
}

impl ClockCheckpoint {
    /// The first checkpoint, without an earlier reading.
    #[must_use]
    pub fn first(reading: Reading) -> Self {
        Self { reading, leap: 0, held: 0 }
    }

    /// The next checkpoint, after the process ran for `ran` since this one. A leap of more than an hour, in
    /// either direction, suspends removal by age for 24 hours of running.
    #[must_use]
    pub fn next(&self, reading: Reading, ran: Duration) -> Self {
        let leap = reading.leap_since(&self.reading);
        if is_far(TimeDelta::microseconds(leap)) {
            return Self { reading, leap, held: millis(HOLD) };
        }
        Self { reading, leap: self.leap, held: self.held.saturating_sub(millis(ran)).max(0) }
    }

    /// The message for operators while removal by age is suspended.
    #[must_use]
    pub fn held_reason(&self) -> Option<String> {
        (self.held > 0).then(|| {
            let side = if self.leap > 0 { "ahead" } else { "back" };
            let (leap, left) = (TimeDelta::microseconds(self.leap), TimeDelta::milliseconds(self.held));
            format!(
                "the clock leapt {} {side}: all removal by age is held for {} of running; set the clock if it is wrong (NTP)",
                span(leap),
                span(left)
            )
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn reading(boot: &str, hours: i64, up: i64) -> Reading {
        Reading { wall: hours * HOUR * 1_000, boot: boot.to_owned(), uptime: up * HOUR }
    }

    #[test]
    fn a_sleep_of_the_machine_is_not_a_leap_and_a_leap_counts_in_both_directions() {
        let noted = ClockCheckpoint::first(reading("a", 100, 10));
        for (now, leaps) in [
            (reading("a", 101, 11), false),
            (reading("a", 148, 58), false),
            (reading("a", 148, 11), true),
            (reading("a", 52, 11), true),
            (reading("b", 101, 0), false),
            (reading("b", 103, 0), true),
            (reading("", 103, 0), true),
        ] {
            assert_eq!(noted.next(now.clone(), Duration::ZERO).held > 0, leaps, "{now:?}");
        }
    }

    #[test]
    fn a_suspension_ends_after_its_hours_of_running_and_survives_restarts() {
        let noted = ClockCheckpoint::first(reading("a", 100, 10)).next(reading("a", 300, 11), Duration::ZERO);
        assert_eq!(noted.held, 24 * HOUR);
        assert!(noted.held_reason().unwrap().contains("leapt 8d 7h ahead"), "{noted:?}");
        let stopped = noted.next(reading("a", 310, 21), Duration::from_secs(2 * 3600));
        assert_eq!(stopped.held, 22 * HOUR, "only running counts");
        let over = stopped.next(reading("a", 332, 43), Duration::from_secs(22 * 3600));
        assert_eq!((over.held, over.held_reason()), (0, None));
        let back = over.next(reading("a", 132, 44), Duration::ZERO);
        assert!(back.held_reason().unwrap().contains("back"), "{back:?}");
    }

    #[test]
    fn this_machine_has_a_boot_id_and_an_uptime() {
        let now = Reading::now();
        assert!(!now.boot.is_empty() && now.uptime > 0, "{now:?}");
        assert_eq!(ClockCheckpoint::first(now).next(Reading::now(), Duration::ZERO).held, 0);
    }
}
