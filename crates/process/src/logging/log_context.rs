//! The context of log entries: the process that writes them, and the call that they belong to, in whichever
//! task.
//!
//! The context of a call is no span of `tracing`. Making, entering and closing a span, and formatting its
//! fields before an entry needs them, showed in every profile of posts of single events.

use std::sync::Arc;

use tokio::task::futures::TaskLocalFuture;

use crate::CorrelationId;

tokio::task_local! {
    static CALL: LogContext;
}

/// The process that writes an entry: its role and its instance.
#[derive(Clone, Debug)]
pub(crate) struct ProcessIdentity {
    pub(crate) role: &'static str,
    pub(crate) instance: String,
}

/// A call as log entries name it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogContext(Arc<Named>);

#[derive(Debug)]
struct Named {
    correlation_id: CorrelationId,
    /// Method and path of an HTTP request.
    request: Option<(String, String)>,
}

impl LogContext {
    /// A call of which only the id is known.
    #[must_use]
    pub fn new(correlation_id: CorrelationId) -> Self {
        Self(Arc::new(Named { correlation_id, request: None }))
    }

    /// An HTTP request.
    #[must_use]
    pub fn request(correlation_id: CorrelationId, method: &str, path: &str) -> Self {
        Self(Arc::new(Named { correlation_id, request: Some((method.to_owned(), path.to_owned())) }))
    }

    /// The call that the current work belongs to.
    #[must_use]
    pub fn current() -> Option<Self> {
        CALL.try_with(Self::clone).ok()
    }

    /// Runs `work`, whose log entries name the call.
    pub fn within<F: Future>(self, work: F) -> TaskLocalFuture<Self, F> {
        CALL.scope(self, work)
    }

    /// [`Self::within`] for work that does not wait.
    pub fn within_sync<T>(self, work: impl FnOnce() -> T) -> T {
        CALL.sync_scope(self, work)
    }

    /// Names and values, in the order of an entry.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let request = self.0.request.as_ref();
        let request = request.map(|(method, path)| [("method", method.as_str()), ("path", path.as_str())]);
        std::iter::once(("correlation_id", self.0.correlation_id.as_str()))
            .chain(request.into_iter().flatten())
    }
}
