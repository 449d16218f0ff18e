//! Causes of failed requests. Requests that fail together share one probe of the endpoint, and each cause is
//! reported once.

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

use super::summary::RequestError;
use crate::{
    client::{DIAGNOSE_AFTER, broken, explanation},
    output::eprint_line,
};

/// A diagnosis of the endpoint is valid for so long.
const DIAGNOSIS_VALID_FOR: Duration = Duration::from_secs(5);

/// The diagnosis of the endpoint, and its time.
#[derive(Debug)]
struct Diagnosis {
    at: Instant,
    found: Option<Unusable>,
}

/// Shared by every request. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct FailureCauses {
    target: Arc<Target>,
    progress: ProgressBar,
    /// The last diagnosis. The lock admits one probe at a time.
    diagnosis: Arc<tokio::sync::Mutex<Option<Diagnosis>>>,
    reported: Arc<Mutex<BTreeSet<String>>>,
    has_answered: Arc<AtomicBool>,
}

impl FailureCauses {
    pub(super) fn of(target: Target, progress: ProgressBar) -> Self {
        Self {
            target: Arc::new(target),
            progress,
            diagnosis: Arc::default(),
            reported: Arc::default(),
            has_answered: Arc::default(),
        }
    }

    /// Awaits an answer. A silent endpoint is probed and its cause reported. The wait ends if the endpoint is
    /// unusable and never answered.
    pub(super) async fn watch<F: Future>(&self, answer: F) -> Result<F::Output, RequestError> {
        let mut answer = std::pin::pin!(answer);
        if let Ok(answer) = timeout(DIAGNOSE_AFTER, &mut answer).await {
            return Ok(answer);
        }
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer),
            unusable = self.diagnose() => if let Some(unusable) = unusable {
                let error = RequestError { reason: unusable.to_string(), refused: false };
                self.report(&error.reason);
                if !self.has_answered.load(Ordering::Relaxed) {
                    return Err(error);
                }
            },
        }
        Ok(answer.await)
    }

    /// Notes that the endpoint answered. From now on requests wait for it.
    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// The cause of a missing answer.
    pub(super) async fn of_error(&self, error: &reqwest::Error, max_wait: Duration) -> String {
        match self.diagnose().await {
            Some(unusable) => unusable.to_string(),
            None => broken(&self.target, max_wait, error),
        }
    }

    /// Explains an answer that accepts nothing.
    pub(super) fn of_answer(&self, status: StatusCode, body: &[u8], redirect: Option<&str>) -> String {
        explanation(&self.target, status, body, redirect)
    }

    /// Reports a cause on standard error, once.
    pub(super) fn report(&self, cause: &str) {
        let is_new = self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(cause.to_owned());
        if is_new {
            self.progress.suspend(|| eprint_line(format_args!("weir: {cause}")));
        }
    }

    async fn diagnose(&self) -> Option<Unusable> {
        let mut diagnosis = self.diagnosis.lock().await;
        if let Some(last) = diagnosis.as_ref().filter(|last| last.at.elapsed() < DIAGNOSIS_VALID_FOR) {
            return last.found.clone();
        }
        let found = self.target.diagnose_http().await;
        *diagnosis = Some(Diagnosis { at: Instant::now(), found: found.clone() });
        found
    }
}
