//! Errors of requests over dead letters: all wrong fields of a request at once, and failures of the journal.

use tonic::Status;
use tracing::warn;
use weir_journal::JournalError;
use weir_process::{Reason, refuse};

/// The wrong fields of a request, each with a description.
#[derive(Debug, Default)]
pub(super) struct FieldErrors(Vec<(&'static str, String)>);

impl FieldErrors {
    /// Adds an error. Returns `None`, as the value of the wrong field.
    pub(super) fn add<T>(&mut self, field: &'static str, description: impl Into<String>) -> Option<T> {
        self.0.push((field, description.into()));
        None
    }

    /// Ends the check of a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names every wrong field.
    pub(super) fn into_result(self) -> Result<(), Status> {
        if self.0.is_empty() {
            return Ok(());
        }
        let fields: Vec<_> =
            self.0.iter().map(|(field, description)| (*field, description.as_str())).collect();
        let all: Vec<_> =
            fields.iter().map(|(field, description)| format!("{field} {description}")).collect();
        Err(refuse(Reason::InvalidRequest, all.join("; "), &fields))
    }
}

/// Logs a failure of the journal, and returns its status.
pub(super) fn journal_error(error: JournalError) -> Status {
    warn!(%error, "reading or removing dead letters failed");
    match error {
        JournalError::Unreachable(_) => refuse(Reason::JournalUnavailable, error.to_string(), &[]),
        JournalError::Unusable(_) => Status::internal(error.to_string()),
    }
}
