//! The journal's clock, compared with the clock of this process.

use chrono::{DateTime, TimeDelta, Utc};
use weir_process::clock::Comparison;

/// The journal's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The server has a clock of its own, by which frames and dead letters age. This process's clock is `ahead` of it;
    /// a negative difference means behind.
    Server { now: DateTime<Utc>, ahead: TimeDelta },
    /// The server does not report its time.
    Unknown,
    /// The embedded journal has this process's clock alone. `held` is the reason that removal by age is held, if it is.
    Local { held: Option<String> },
}

impl Clock {
    /// The server's time; this process's time if the server reports none.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::Server { now, .. } => *now,
            Self::Unknown | Self::Local { .. } => Utc::now(),
        }
    }
}

impl From<Clock> for Comparison {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::Server { ahead, .. } => Self::Ahead(ahead),
            Clock::Unknown => Self::Unknown,
            Clock::Local { held } => Self::Alone { held },
        }
    }
}
