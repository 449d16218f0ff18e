//! Goes through the settings of a stream or consumer one by one: which are changed, and which are only told.

use std::{cmp::Ordering, collections::HashMap, fmt, time::Duration};

use async_nats::jetstream::consumer;
use chrono::{SecondsFormat, TimeDelta, Utc};
use weir_process::clock;

use super::desired::MARK;

/// One setting of a stream or consumer, wanted and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSetting {
    /// Such as `stream EVENTS` or `consumer collector-facebook`.
    pub place: String,
    /// As NATS names it.
    pub setting: &'static str,
    /// The variable that chooses it; `None` where Weir fixes it.
    pub variable: Option<&'static str>,
    pub wanted: String,
    pub found: String,
    pub state: SettingState,
}

/// How a setting that is found stands to what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingState {
    Same,
    /// Ingest changes it when it starts: nothing shrinks by it.
    Changes,
    /// The change would shrink something: ingest leaves it, `weir journal apply --shrink` makes it.
    Shrinks,
    /// An operator stopped something for a time: nothing of Weir changes it.
    Paused,
    /// It is another application's, or can't be used: what is found is a sentence for people, and is left untouched.
    Foreign,
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

/// Whether a change may lower what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shrinking {
    Refused,
    Allowed,
}

/// A limit's value; the greatest is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Amount {
    Count(u64),
    Bytes(u64),
    Time(Duration),
    Unlimited,
}

impl Amount {
    /// As NATS writes it: without a limit it is not positive.
    pub(super) fn count(number: i64) -> Self {
        u64::try_from(number).ok().filter(|number| *number > 0).map_or(Self::Unlimited, Self::Count)
    }

    pub(super) fn bytes(number: i64) -> Self {
        u64::try_from(number).ok().filter(|number| *number > 0).map_or(Self::Unlimited, Self::Bytes)
    }

    /// A time of which zero is none.
    pub(super) fn age(time: Duration) -> Self {
        if time.is_zero() { Self::Unlimited } else { Self::Time(time) }
    }
}

impl fmt::Display for Amount {
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

/// Goes through the settings of one stream or consumer: changes those that may be changed, and tells all of them.
pub(super) struct Comparison {
    place: String,
    shrinking: Shrinking,
    pub(super) settings: Vec<JournalSetting>,
}

impl Comparison {
    pub(super) fn new(place: String, shrinking: Shrinking) -> Self {
        Self { place, shrinking, settings: Vec::new() }
    }

    /// A setting that has one right value.
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

    /// A setting of which more keeps more.
    pub(super) fn limit<T: Copy>(
        &mut self,
        setting: &'static str,
        variable: Option<&'static str>,
        found: &mut T,
        wanted: T,
        amount: impl Fn(T) -> Amount,
    ) {
        let (there, here) = (amount(*found), amount(wanted));
        let state = match here.cmp(&there) {
            Ordering::Equal => SettingState::Same,
            Ordering::Greater => SettingState::Changes,
            Ordering::Less => SettingState::Shrinks,
        };
        self.add(setting, variable, there.to_string(), here.to_string(), state);
        if state == SettingState::Changes
            || (state == SettingState::Shrinks && self.shrinking == Shrinking::Allowed)
        {
            *found = wanted;
        }
    }

    pub(super) fn replicas(&mut self, found: &mut usize, wanted: usize) {
        let copies = |copies: usize| Amount::Count(copies as u64);
        self.limit("num_replicas", Some("JOURNAL_REPLICAS"), found, wanted, copies);
    }

    /// The mark of what is Weir's, beside what others wrote there.
    pub(super) fn mark(&mut self, found: &mut HashMap<String, String>, wanted: &HashMap<String, String>) {
        let mut mark = found.get(MARK).cloned();
        self.fixed("metadata", &mut mark, wanted.get(MARK).cloned(), |mark| {
            mark.as_ref().map_or_else(|| format!("no {MARK}"), |format| format!("{MARK} {format}"))
        });
        found.extend(wanted.clone());
    }

    /// A consumer that delivers nothing for a time, as an operator asked.
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
