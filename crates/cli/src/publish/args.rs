//! The arguments of `weir publish`.

use std::path::PathBuf;

use clap::Args;
use weir_process::args::{ConfigErrors, Misconfigured};

use super::publisher::Plan;
use crate::{
    client::{EDGE_SETTING, edge_endpoint},
    exit::configured,
    generator::Mix,
    units,
};

/// The size, the pace and the quality of the batches.
#[derive(Debug, Args)]
#[command(next_help_heading = "Publishing")]
pub(crate) struct PublishArgs {
    /// The URL that events are posted to.
    #[arg(long, env = "EVENT_ENDPOINT", default_value = "http://127.0.0.1:3001/events", value_name = "URL")]
    endpoint: String,
    /// The smallest batch, in events.
    #[arg(long, default_value = "1000", value_name = "EVENTS")]
    min: String,
    /// The largest batch, in events; every size in between is equally likely.
    #[arg(long, default_value = "50000", value_name = "EVENTS")]
    max: String,
    /// Milliseconds from one request to the next, answered or not.
    #[arg(long, default_value = "1000", value_name = "MILLISECONDS")]
    interval_ms: String,
    /// The share of requests that contain one more event, a corrupted one, 0 to 1.
    #[arg(long, default_value = "0.1", value_name = "SHARE")]
    corrupt: String,
    /// The share of events that repeat one of the last thousand, 0 to 1.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    duplicates: String,
    /// The share of events that happened an hour to a week ago, 0 to 1.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    late: String,
    /// Makes the stream the same every time, ids included, except for its timestamps. By default every run
    /// differs.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<String>,
    /// Record every answer durably for `weir verify`. An existing file is appended to.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// How long to publish: 500ms, 60s, 5m or 1h. By default until an interrupt.
    #[arg(long, value_name = "DURATION")]
    duration: Option<String>,
}

impl PublishArgs {
    pub(super) fn plan(&self) -> Result<Plan, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let endpoint = errors.check(EDGE_SETTING, edge_endpoint(&self.endpoint));
        let mix = self.mix(&mut errors);
        let interval = errors.check("--interval-ms", units::at_least(1, &self.interval_ms));
        let duration = self.duration.as_deref().map(units::duration).transpose();
        let duration = errors.check("--duration", duration);
        let seed = self.seed.as_deref().map(|seed| units::at_least(0, seed)).transpose();
        let seed = errors.check("--seed", seed);
        let plan = || {
            Some(Plan {
                endpoint: endpoint?,
                mix: mix?,
                interval: std::time::Duration::from_millis(interval?),
                duration: duration?,
                seed: seed?.unwrap_or_else(rand::random),
                ledger: self.ledger.clone(),
            })
        };
        configured(plan(), errors)
    }

    fn mix(&self, errors: &mut ConfigErrors) -> Option<Mix> {
        let min = errors.check("--min", units::at_least(0, &self.min));
        let max = errors.check("--max", units::at_least(0, &self.max));
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            errors.add(format!("--min: {min} is over --max, which is {max}"));
        }
        let corrupt = errors.check("--corrupt", units::share(&self.corrupt));
        let duplicates = errors.check("--duplicates", units::share(&self.duplicates));
        let late = errors.check("--late", units::share(&self.late));
        let sizes = usize::try_from(min?).ok()?..=usize::try_from(max?).ok()?;
        Some(Mix { sizes, corrupt: corrupt?, duplicates: duplicates?, late: late? })
    }
}
