//! What is wrong with a request, all of it at once; and what the journal's failures are on the wire.

use tonic::Status;
use tracing::warn;
use weir_journal::JournalError;
use weir_process::{Reason, refuse};

/// Fields and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(&'static str, String)>);

impl Faults {
    /// Always `None`, for a field that has no value then.
    pub(super) fn add<T>(&mut self, field: &'static str, description: impl Into<String>) -> Option<T> {
        self.0.push((field, description.into()));
        None
    }

    /// # Errors
    /// INVALID_ARGUMENT that names every field at fault.
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

/// What the journal's failure is on the wire; told here, where it ends.
pub(super) fn unreadable(error: JournalError) -> Status {
    warn!(%error, "dead letters can't be read or removed");
    match error {
        JournalError::Unreachable(_) => refuse(Reason::JournalUnavailable, error.to_string(), &[]),
        JournalError::Unusable(_) => Status::internal(error.to_string()),
    }
}
