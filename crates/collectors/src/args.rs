//! Settings of the collectors that a deployment chooses.

use std::time::Duration;

use weir_process::args::{ConfigErrors, duration};

use crate::Retention;

/// Batches of one source that one process stores at once. More than the store's pool can carry would only wait.
const MAX_WORKERS: usize = 4;

/// Less would remove what nobody can have asked for yet.
const SHORTEST_RETENTION: Duration = Duration::from_secs(1);
/// What removes nothing.
const OFF: &str = "off";

/// The knobs of the collectors.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Collectors")]
pub struct CollectorArgs {
    /// Batches of one source that are stored at once, 1 to 4; by default 2, on SQLite 1.
    #[arg(long, env = "COLLECTOR_WORKERS", value_name = "NUMBER")]
    pub collector_workers: Option<String>,
    /// How long the rows of events are kept after the store took them: 90d, 36h, 15m or 30s; off removes none. Reports of
    /// events and revenue stay exact to the minute without them. Every collector of a store is told the same.
    #[arg(long, env = "EVENT_RETENTION", default_value = "90d", value_name = "DURATION")]
    pub event_retention: String,
    /// How long after the store took it an event whose row was removed is still recognised when it comes again: 400d, 36h,
    /// 15m or 30s, not less than EVENT_RETENTION; off forgets none.
    #[arg(long, env = "EVENT_KEY_RETENTION", default_value = "400d", value_name = "DURATION")]
    pub event_key_retention: String,
}

impl CollectorArgs {
    /// The number, where one is given; mistakes go to `mistakes`.
    pub fn workers(&self, mistakes: &mut ConfigErrors) -> Option<usize> {
        let text = self.collector_workers.as_deref()?;
        let number = text.parse().ok().filter(|number| (1..=MAX_WORKERS).contains(number));
        mistakes.check(
            "COLLECTOR_WORKERS",
            number.ok_or_else(|| format!("'{text}' is no number from 1 to {MAX_WORKERS}")),
        )
    }

    /// How long things are kept; mistakes go to `mistakes`.
    pub fn retention(&self, mistakes: &mut ConfigErrors) -> Option<Retention> {
        let rows = mistakes.check("EVENT_RETENTION", kept(&self.event_retention));
        let keys = mistakes.check("EVENT_KEY_RETENTION", kept(&self.event_key_retention));
        let (rows, keys) = (rows?, keys?);
        if rows.zip(keys).is_some_and(|(rows, keys)| keys < rows) {
            let (rows, keys) = (&self.event_retention, &self.event_key_retention);
            mistakes.add(format!("EVENT_KEY_RETENTION: {keys} is shorter than EVENT_RETENTION, {rows}"));
            return None;
        }
        Some(Retention { rows, keys })
    }
}

/// A time, or none for what is kept for ever.
fn kept(text: &str) -> Result<Option<Duration>, String> {
    if text.trim() == OFF {
        return Ok(None);
    }
    let kept =
        duration(text).map_err(|_| format!("'{text}' is no time such as 90d, 36h, 15m or 30s, nor {OFF}"))?;
    if kept < SHORTEST_RETENTION {
        return Err(format!("'{text}' is under {SHORTEST_RETENTION:?}; {OFF} removes nothing"));
    }
    Ok(Some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(workers: Option<&str>, rows: &str, keys: &str) -> CollectorArgs {
        CollectorArgs {
            collector_workers: workers.map(str::to_owned),
            event_retention: rows.to_owned(),
            event_key_retention: keys.to_owned(),
        }
    }

    #[test]
    fn a_number_out_of_range_is_a_mistake() {
        for (text, number, mistaken) in [
            (None, None, false),
            (Some("4"), Some(4), false),
            (Some("0"), None, true),
            (Some("many"), None, true),
        ] {
            let mut mistakes = ConfigErrors::default();
            assert_eq!(args(text, "90d", "400d").workers(&mut mistakes), number);
            assert_eq!(mistakes.into_result().is_err(), mistaken, "{text:?}");
        }
    }

    #[test]
    fn times_are_read_and_off_keeps_for_ever() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (rows, keys, expected) in [
            ("90d", "400d", (seconds(90 * 86_400), seconds(400 * 86_400))),
            ("36h", "36h", (seconds(36 * 3_600), seconds(36 * 3_600))),
            ("30s", "off", (seconds(30), None)),
            ("off", "15m", (None, seconds(15 * 60))),
            ("off", "off", (None, None)),
        ] {
            let mut mistakes = ConfigErrors::default();
            let retention = args(None, rows, keys).retention(&mut mistakes);
            let (rows, keys) = expected;
            assert_eq!(retention, Some(Retention { rows, keys }));
        }
    }

    #[test]
    fn a_time_that_makes_no_sense_is_a_mistake_with_the_variable_s_name() {
        for (rows, keys, told) in [
            ("soon", "400d", "EVENT_RETENTION: 'soon' is no time"),
            ("", "400d", "EVENT_RETENTION: '' is no time"),
            ("0s", "400d", "EVENT_RETENTION: '0s' is under 1s"),
            ("90d", "1w", "EVENT_KEY_RETENTION: '1w' is no time"),
            ("90d", "30d", "EVENT_KEY_RETENTION: 30d is shorter than EVENT_RETENTION, 90d"),
        ] {
            let mut mistakes = ConfigErrors::default();
            assert_eq!(args(None, rows, keys).retention(&mut mistakes), None);
            let mistakes = mistakes.into_result().unwrap_err().to_string();
            assert!(mistakes.contains(told), "{told} is missing in {mistakes}");
        }
    }
}
