//! Options of the collectors, checked at start.

use std::time::Duration;

use weir_process::args::{ConfigErrors, duration};

use crate::Retention;

/// The most batches of one source that one process stores at once. More of them would only wait for a connection.
const MAX_WORKERS: usize = 4;

/// The shortest retention. A shorter one would remove events before any report can have read them.
const SHORTEST_RETENTION: Duration = Duration::from_secs(1);
/// The value that turns removal off.
const OFF: &str = "off";

/// The options of the collectors.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Collectors")]
pub struct CollectorArgs {
    /// Batches of one source that are stored at once, 1 to 4; by default 2, on SQLite 1.
    #[arg(long, env = "COLLECTOR_WORKERS", value_name = "NUMBER")]
    pub collector_workers: Option<String>,
    /// How long rows of events are kept after they were stored, such as 90d, 36h, 15m or 30s; off removes none. Reports
    /// of events and revenue stay exact to the minute without rows. All collectors of a store must have the same value.
    #[arg(long, env = "EVENT_RETENTION", default_value = "90d", value_name = "DURATION")]
    pub event_retention: String,
    /// How long a removed event is still recognised as a duplicate, from when it was stored, such as 400d, 36h, 15m or
    /// 30s; not less than EVENT_RETENTION; off forgets none.
    #[arg(long, env = "EVENT_KEY_RETENTION", default_value = "400d", value_name = "DURATION")]
    pub event_key_retention: String,
}

impl CollectorArgs {
    /// The number of workers, if one is given. A wrong one is added to `errors`.
    pub fn workers(&self, errors: &mut ConfigErrors) -> Option<usize> {
        let text = self.collector_workers.as_deref()?;
        let number = text.parse().ok().filter(|number| (1..=MAX_WORKERS).contains(number));
        errors.check(
            "COLLECTOR_WORKERS",
            number.ok_or_else(|| format!("'{text}' is no number from 1 to {MAX_WORKERS}")),
        )
    }

    /// The retention. Wrong values are added to `errors`.
    pub fn retention(&self, errors: &mut ConfigErrors) -> Option<Retention> {
        let rows = errors.check("EVENT_RETENTION", retention(&self.event_retention));
        let keys = errors.check("EVENT_KEY_RETENTION", retention(&self.event_key_retention));
        let (rows, keys) = (rows?, keys?);
        if rows.zip(keys).is_some_and(|(rows, keys)| keys < rows) {
            let (rows, keys) = (&self.event_retention, &self.event_key_retention);
            errors.add(format!("EVENT_KEY_RETENTION: {keys} is shorter than EVENT_RETENTION, {rows}"));
            return None;
        }
        Some(Retention { rows, keys })
    }
}

/// A retention; `None` where nothing is removed.
fn retention(text: &str) -> Result<Option<Duration>, String> {
    if text.trim() == OFF {
        return Ok(None);
    }
    let retention =
        duration(text).map_err(|_| format!("'{text}' is no time such as 90d, 36h, 15m or 30s, nor {OFF}"))?;
    if retention < SHORTEST_RETENTION {
        return Err(format!("'{text}' is under {SHORTEST_RETENTION:?}; {OFF} removes nothing"));
    }
    Ok(Some(retention))
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
    fn a_number_of_workers_out_of_range_is_refused() {
        for (text, number, is_wrong) in [
            (None, None, false),
            (Some("4"), Some(4), false),
            (Some("0"), None, true),
            (Some("many"), None, true),
        ] {
            let mut errors = ConfigErrors::default();
            assert_eq!(args(text, "90d", "400d").workers(&mut errors), number);
            assert_eq!(errors.into_result().is_err(), is_wrong, "{text:?}");
        }
    }

    #[test]
    fn a_retention_is_a_duration_or_off() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (rows, keys, expected) in [
            ("90d", "400d", (seconds(90 * 86_400), seconds(400 * 86_400))),
            ("36h", "36h", (seconds(36 * 3_600), seconds(36 * 3_600))),
            ("30s", "off", (seconds(30), None)),
            ("off", "15m", (None, seconds(15 * 60))),
            ("off", "off", (None, None)),
        ] {
            let mut errors = ConfigErrors::default();
            let retention = args(None, rows, keys).retention(&mut errors);
            let (rows, keys) = expected;
            assert_eq!(retention, Some(Retention { rows, keys }));
        }
    }

    #[test]
    fn a_wrong_retention_is_refused_with_the_name_of_its_variable() {
        for (rows, keys, expected) in [
            ("soon", "400d", "EVENT_RETENTION: 'soon' is no time"),
            ("", "400d", "EVENT_RETENTION: '' is no time"),
            ("0s", "400d", "EVENT_RETENTION: '0s' is under 1s"),
            ("90d", "1w", "EVENT_KEY_RETENTION: '1w' is no time"),
            ("90d", "30d", "EVENT_KEY_RETENTION: 30d is shorter than EVENT_RETENTION, 90d"),
        ] {
            let mut errors = ConfigErrors::default();
            assert_eq!(args(None, rows, keys).retention(&mut errors), None);
            let errors = errors.into_result().unwrap_err().to_string();
            assert!(errors.contains(expected), "{expected} is missing in {errors}");
        }
    }
}
