//! Causes of failed requests of the publisher: looked at once for all that fail together, and told at once, each cause once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::ProgressBar;
use reqwest::StatusCode;
use tokio::time::{Instant, timeout};
use weir_process::diagnosis::{Target, Unusable};

use super::summary::Failure;
use crate::{
    client::{QUIET, broken, explained},
    output::complain,
};

/// What was found at the endpoint holds for so long.
const HOLDS: Duration = Duration::from_secs(5);

/// What was found at the endpoint, and when.
#[derive(Debug)]
struct Look {
    at: Instant,
    found: Option<Unusable>,
}

/// Shared by every request. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Causes {
    target: Arc<Target>,
    progress: ProgressBar,
    /// The last look; one at a time.
    seen: Arc<tokio::sync::Mutex<Option<Look>>>,
    told: Arc<Mutex<BTreeSet<String>>>,
    has_answered: Arc<AtomicBool>,
}

impl Causes {
    pub(super) fn of(target: Target, progress: ProgressBar) -> Self {
        Self {
            target: Arc::new(target),
            progress,
            seen: Arc::default(),
            told: Arc::default(),
            has_answered: Arc::default(),
        }
    }

    /// Awaits an answer. A silent endpoint is looked at and its cause told; one that has never answered and can't be used
    /// is not waited for.
    pub(super) async fn watch<F: Future>(&self, answer: F) -> Result<F::Output, Failure> {
        let mut answer = std::pin::pin!(answer);
        if let Ok(answer) = timeout(QUIET, &mut answer).await {
            return Ok(answer);
        }
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer),
            unusable = self.look() => if let Some(unusable) = unusable {
                let failure = Failure { reason: unusable.to_string(), refused: false };
                self.tell(&failure.reason);
                if !self.has_answered.load(Ordering::Relaxed) {
                    return Err(failure);
                }
            },
        }
        Ok(answer.await)
    }

    /// An endpoint that answered is waited for from now on.
    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// Why no answer came.
    pub(super) async fn of_error(&self, error: &reqwest::Error, patience: Duration) -> String {
        match self.look().await {
            Some(unusable) => unusable.to_string(),
            None => broken(&self.target, patience, error),
        }
    }

    /// What an answer says that accepts nothing.
    pub(super) fn of_answer(&self, status: StatusCode, body: &[u8], redirect: Option<&str>) -> String {
        explained(&self.target, status, body, redirect)
    }

    /// Says a cause on standard error, once.
    pub(super) fn tell(&self, cause: &str) {
        let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(cause.to_owned());
        if is_new {
            self.progress.suspend(|| complain(format_args!("weir: {cause}")));
        }
    }

    async fn look(&self) -> Option<Unusable> {
        let mut seen = self.seen.lock().await;
        if let Some(look) = seen.as_ref().filter(|look| look.at.elapsed() < HOLDS) {
            return look.found.clone();
        }
        let found = self.target.is_no_http().await;
        *seen = Some(Look { at: Instant::now(), found: found.clone() });
        found
    }
}
