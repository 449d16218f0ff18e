//! One setting of a stream or consumer, found and wanted, and the comparison of all of them.

use std::{cmp::Ordering, collections::HashMap, fmt, time::Duration};

use async_nats::jetstream::consumer;
use chrono::{SecondsFormat, TimeDelta, Utc};
use weir_process::clock;

use super::desired::MARK;

/// One setting of a stream or consumer, wanted and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSetting {
    /// The stream or consumer, such as `stream EVENTS` or `consumer collector-facebook`.
    pub place: String,
    /// The name of the setting in NATS.
    pub setting: &'static str,
    /// The variable that chooses it; `None` if Weir fixes it.
    pub variable: Option<&'static str>,
    /// The value that this process wants.
    pub wanted: String,
    /// The value on the server.
    pub found: String,
    pub state: SettingState,
}

/// The state of a setting, from its comparison with the wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingState {
    /// Both values are the same.
    Same,
    /// Ingest changes the setting when it starts; nothing shrinks.
    Changes,
    /// The change would shrink something. Ingest keeps the setting; `weir journal apply --shrink` changes it.
    Shrinks,
    /// An operator has paused the consumer. Weir does not change that.
    Paused,
    /// The stream or consumer is another application's, or can't be used. `found` is a sentence for operators, and Weir
    /// leaves it untouched.
    Foreign,
}

/// The name of the setting that stands for a missing stream or consumer.
const EXISTENCE: &str = "existence";

impl JournalSetting {
    /// A missing stream or consumer.
    pub(super) fn missing(place: String) -> Self {
        Self {
            place,
            setting: EXISTENCE,
            variable: None,
            wanted: "there".to_owned(),
            found: "missing".to_owned(),
            state: SettingState::Changes,
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.setting == EXISTENCE
    }

    /// Another application's stream or consumer, which `found` describes.
    pub(super) fn foreign(place: String, found: String) -> Self {
        Self {
            place,
            setting: "owner",
            variable: Some("JOURNAL_PREFIX"),
            wanted: "Weir".to_owned(),
            found,
            state: SettingState::Foreign,
        }
    }
}

impl fmt::Display for JournalSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, setting, variable, wanted, found, state } = self;
        if *state == SettingState::Foreign {
            return formatter.write_str(found);
        }
        write!(formatter, "{place}: {setting} is {found} on the server and {wanted} here")?;
        variable.map_or(Ok(()), |variable| write!(formatter, " ({variable})"))
    }
}

/// Permission to lower a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shrinking {
    Refused,
    Allowed,
}

/// The value of a limit. `Unlimited` is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LimitValue {
    Count(u64),
    Bytes(u64),
    Time(Duration),
    Unlimited,
}

impl LimitValue {
    /// Reads a number as NATS writes it: a number that is not positive means no limit.
    pub(super) fn count(number: i64) -> Self {
        u64::try_from(number).ok().filter(|number| *number > 0).map_or(Self::Unlimited, Self::Count)
    }

    /// Reads bytes as NATS writes them: a number that is not positive means no limit.
    pub(super) fn bytes(number: i64) -> Self {
        u64::try_from(number).ok().filter(|number| *number > 0).map_or(Self::Unlimited, Self::Bytes)
    }

    /// Reads an age as NATS writes it: zero means no limit.
    pub(super) fn age(time: Duration) -> Self {
        if time.is_zero() { Self::Unlimited } else { Self::Time(time) }
    }
}

impl fmt::Display for LimitValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(number) if number.is_multiple_of(1 << 20) => {
                write!(formatter, "{number} ({}MiB)", number >> 20)
            }
            Self::Count(number) | Self::Bytes(number) => write!(formatter, "{number}"),
            Self::Time(time) if time.subsec_nanos() > 0 => write!(formatter, "{time:?}"),
            Self::Time(time) => {
                formatter.write_str(&clock::span(TimeDelta::from_std(*time).unwrap_or(TimeDelta::MAX)))
            }
            Self::Unlimited => formatter.write_str("unlimited"),
        }
    }
}

/// The comparison of one stream or consumer: changes the settings that may change, and collects all of them.
pub(super) struct SettingsComparison {
    place: String,
    shrinking: Shrinking,
    pub(super) settings: Vec<JournalSetting>,
}

impl SettingsComparison {
    pub(super) fn new(place: String, shrinking: Shrinking) -> Self {
        Self { place, shrinking, settings: Vec::new() }
    }

    /// Compares a setting that has one right value.
    pub(super) fn fixed<T: PartialEq>(
        &mut self,
        setting: &'static str,
        found: &mut T,
        wanted: T,
        show: impl Fn(&T) -> String,
    ) {
        let state = if *found == wanted { SettingState::Same } else { SettingState::Changes };
        self.add(setting, None, show(found), show(&wanted), state);
        *found = wanted;
    }

    /// Compares a limit: a higher one keeps more.
    pub(super) fn limit<T: Copy>(
        &mut self,
        setting: &'static str,
        variable: Option<&'static str>,
        found: &mut T,
        wanted: T,
        amount: impl Fn(T) -> LimitValue,
    ) {
        let (found_amount, wanted_amount) = (amount(*found), amount(wanted));
        let state = match wanted_amount.cmp(&found_amount) {
            Ordering::Equal => SettingState::Same,
            Ordering::Greater => SettingState::Changes,
            Ordering::Less => SettingState::Shrinks,
        };
        self.add(setting, variable, found_amount.to_string(), wanted_amount.to_string(), state);
        if state == SettingState::Changes
            || (state == SettingState::Shrinks && self.shrinking == Shrinking::Allowed)
        {
            *found = wanted;
        }
    }

    /// Compares the number of copies.
    pub(super) fn replicas(&mut self, found: &mut usize, wanted: usize) {
        let copies = |copies: usize| LimitValue::Count(copies as u64);
        self.limit("num_replicas", Some("JOURNAL_REPLICAS"), found, wanted, copies);
    }

    /// Compares the mark, and keeps metadata of other applications.
    pub(super) fn mark(&mut self, found: &mut HashMap<String, String>, wanted: &HashMap<String, String>) {
        let mut mark = found.get(MARK).cloned();
        self.fixed("metadata", &mut mark, wanted.get(MARK).cloned(), |mark| {
            mark.as_ref().map_or_else(|| format!("no {MARK}"), |format| format!("{MARK} {format}"))
        });
        found.extend(wanted.clone());
    }

    /// Collects the pause of a consumer that an operator has paused.
    pub(super) fn pause(&mut self, found: &consumer::Config) {
        if let Some(until) = found.pause_until.filter(|until| *until > Utc::now()) {
            let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            self.add("pause_until", None, until, "none".to_owned(), SettingState::Paused);
        }
    }

    fn add(
        &mut self,
        setting: &'static str,
        variable: Option<&'static str>,
        found: String,
        wanted: String,
        state: SettingState,
    ) {
        let place = self.place.clone();
        self.settings.push(JournalSetting { place, setting, variable, wanted, found, state });
    }
}
