//! The clock of this process compared with others: its skew, its leaps, and the decision whether it may
//! remove by age.

mod difference;
mod leap;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
pub use difference::{is_far, span};
pub use leap::{ClockCheckpoint, Reading};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::time::{self, MissedTickBehavior};
use tracing::{debug, info, warn};

use super::{Latch, RoleReadiness, Stop};

/// A larger difference is reported: in the log, in the ready probe, and by an alert on the metric.
const WARN_ABOVE: TimeDelta = TimeDelta::seconds(60);
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    against: &'static str,
}

/// `weir_clock_skew_seconds{against}`. Cheap to clone; every clone sets the same series.
#[derive(Clone, Debug, Default)]
pub struct ClockMetrics {
    skew: Family<Labels, Gauge<f64, AtomicU64>>,
}

impl ClockMetrics {
    /// Registers the family, once per process.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "weir_clock_skew_seconds",
            "How far this process's clock is ahead of another one's; negative where it is behind",
            metrics.skew.clone(),
        );
        metrics
    }
}

/// The result of a comparison with another clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// This process's clock is ahead of the other one by so much.
    Ahead(TimeDelta),
    /// No other clock exists. `held` is the reason why removal by age is suspended, if it is.
    Alone { held: Option<String> },
    /// The other side does not report its time.
    Unknown,
}

impl Comparison {
    /// The comparison with a clock that read `reported` between `asked` and `answered`; the middle of both is
    /// assumed.
    #[must_use]
    pub fn between(asked: DateTime<Utc>, reported: DateTime<Utc>, answered: DateTime<Utc>) -> Self {
        Self::Ahead(asked + (answered - asked) / 2 - reported)
    }
}

/// The comparisons of one role. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RoleClock {
    metrics: ClockMetrics,
    latch: Latch,
    compared: Arc<Mutex<BTreeMap<&'static str, Comparison>>>,
}

impl RoleClock {
    /// Adds the dependency `clock`, which the role does not require to be ready.
    #[must_use]
    pub fn new(metrics: ClockMetrics, readiness: &RoleReadiness) -> Self {
        let latch = readiness.dependency("clock", false);
        latch.set(Ok(()));
        Self { metrics, latch, compared: Arc::default() }
    }

    /// Compares with the clock of `against` (`journal` or `database`) every 5 s until `stop`. A clock that
    /// does not answer changes nothing, because readiness already reports outages.
    pub fn watch<F, C>(&self, against: &'static str, stop: Stop, look: C)
    where
        F: Future<Output = Result<Comparison, String>> + Send,
        C: Fn() -> F + Send + 'static,
    {
        let clock = self.clone();
        tokio::spawn(async move {
            let mut tick = time::interval(SAMPLE_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                match stop.run_until_cancelled(time::timeout(SAMPLE_TIMEOUT, look())).await {
                    Some(Ok(Ok(comparison))) => clock.note(against, comparison),
                    Some(Ok(Err(error))) => debug!(error, against, "clocks can't be compared"),
                    Some(Err(_)) | None => {}
                }
            }
        });
    }

    /// [`Self::watch`] for a clock that returns µs since the Unix epoch, or `None`.
    pub fn watch_microseconds<F, C>(&self, against: &'static str, stop: Stop, ask: C)
    where
        F: Future<Output = Result<Option<i64>, String>> + Send,
        C: Fn() -> F + Send + Sync + 'static,
    {
        let ask = Arc::new(ask);
        self.watch(against, stop, move || {
            let ask = Arc::clone(&ask);
            async move {
                let asked = Utc::now();
                let text = ask().await?.and_then(DateTime::from_timestamp_micros);
                Ok(text.map_or(Comparison::Unknown, |text| Comparison::between(asked, text, Utc::now())))
            }
        });
    }

    /// Records a comparison.
    pub fn note(&self, against: &'static str, comparison: Comparison) {
        if let Comparison::Ahead(ahead) = comparison {
            let seconds = ahead.num_milliseconds() as f64 / 1e3;
            self.metrics.skew.get_or_create(&Labels { against }).set(seconds);
        }
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let before = compared.get(against).and_then(|before| warning(against, before));
        let now = warning(against, &comparison);
        compared.insert(against, comparison);
        match (&before, &now) {
            (None, Some(reason)) => warn!(reason, against, "this process's clock can't be trusted"),
            (Some(_), None) => info!(against, "this process's clock can be trusted again"),
            _ => {}
        }
        let reasons: Vec<String> =
            compared.iter().filter_map(|(against, comparison)| warning(against, comparison)).collect();
        self.latch.set(if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) });
    }

    /// Returns true if this process's clock is known to be over a minute behind that of `against`.
    #[must_use]
    pub fn is_behind(&self, against: &str) -> bool {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(compared.get(against), Some(Comparison::Ahead(ahead)) if *ahead < -WARN_ABOVE)
    }

    /// Returns true if the clock was ever compared with that of `against`.
    #[must_use]
    pub fn is_compared(&self, against: &str) -> bool {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        compared.get(against).is_some_and(|comparison| *comparison != Comparison::Unknown)
    }

    /// Decides whether this process may remove by age.
    ///
    /// # Errors
    /// The clock is over an hour from another one, or leapt less than 24 hours of running ago. The error is
    /// the reason, for operators.
    pub fn may_remove(&self) -> Result<(), String> {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let forbids = |comparison: &Comparison| match comparison {
            Comparison::Ahead(ahead) => is_far(*ahead),
            Comparison::Alone { held } => held.is_some(),
            Comparison::Unknown => false,
        };
        let reasons: Vec<String> = compared
            .iter()
            .filter(|(_, comparison)| forbids(comparison))
            .filter_map(|(against, comparison)| warning(against, comparison))
            .collect();
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }
}

/// The warning for operators; `None` if the comparison is fine.
fn warning(against: &str, comparison: &Comparison) -> Option<String> {
    match comparison {
        Comparison::Ahead(ahead) if ahead.abs() > WARN_ABOVE => {
            let side = if *ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
            let consequence = if is_far(*ahead) {
                "; it removes nothing by age until they are less than an hour apart"
            } else {
                ""
            };
            Some(format!(
                "this process's clock is {} {side} that of the {against}{consequence}; set the wrong one (NTP)",
                span(*ahead)
            ))
        }
        Comparison::Alone { held } => held.clone(),
        Comparison::Ahead(_) | Comparison::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_is_shown_and_a_large_one_forbids_removal() {
        let readiness = RoleReadiness::new("collectors");
        let mut registry = Registry::default();
        let clock = RoleClock::new(ClockMetrics::register(&mut registry), &readiness);
        let text = || readiness.dependencies()["clock"].reason.clone().unwrap_or_default();
        clock.note("journal", Comparison::Ahead(TimeDelta::seconds(60)));
        assert_eq!((text(), clock.may_remove()), (String::new(), Ok(())));
        clock.note("database", Comparison::Ahead(TimeDelta::minutes(-10)));
        assert!(text().contains("10m behind that of the database"), "{}", text());
        assert_eq!(clock.may_remove(), Ok(()));
        assert!(readiness.is_ready());
        clock.note("journal", Comparison::Ahead(TimeDelta::days(91)));
        assert!(clock.may_remove().unwrap_err().contains("91d ahead of that of the journal"));
        assert!(!clock.may_remove().unwrap_err().contains("database"));
        clock.note("journal", Comparison::Ahead(TimeDelta::zero()));
        clock.note("database", Comparison::Unknown);
        assert_eq!((text(), clock.may_remove()), (String::new(), Ok(())));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(r#"weir_clock_skew_seconds{against="database"} -600"#), "{text}");
    }

    #[test]
    fn a_leap_on_files_forbids_removal_during_its_suspension() {
        let clock = RoleClock::new(ClockMetrics::default(), &RoleReadiness::new("collectors"));
        clock.note("journal", Comparison::Alone { held: Some("held".into()) });
        assert_eq!(clock.may_remove(), Err("held".into()));
        clock.note("journal", Comparison::Alone { held: None });
        assert_eq!(clock.may_remove(), Ok(()));
    }
}
