//! Errors of reports, and their status on the wire.

use std::time::Duration;

use sea_orm::DbErr;
use tonic::Status;
use weir_process::{Reason, refuse};

/// An error of one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// The name of the field in the contract.
    pub(crate) field: &'static str,
    pub(crate) description: String,
}

impl FieldError {
    pub(crate) fn new(field: &'static str, description: impl Into<String>) -> Self {
        Self { field, description: description.into() }
    }
}

/// The reason why a report has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// The request itself is wrong.
    #[error("the request has invalid fields")]
    InvalidRequest(Vec<FieldError>),
    /// The store can't be read. A retry is safe, and nothing else can help the caller: every reason is transient here.
    #[error("the store can't be read: {0}")]
    Store(#[from] DbErr),
    /// The answer needs more memory than one report may take, until collectors have folded more.
    #[error(
        "more users wait to be folded than one report can hold: ask again in a minute, or for a shorter range or one source"
    )]
    TooManyUsers,
    /// The store was too slow, or too many reports ran at once.
    #[error("the report took longer than {0:?}")]
    TimedOut(Duration),
}

impl From<ReportError> for Status {
    fn from(error: ReportError) -> Self {
        match &error {
            ReportError::InvalidRequest(errors) => {
                let fields: Vec<_> =
                    errors.iter().map(|error| (error.field, error.description.as_str())).collect();
                refuse(Reason::InvalidRequest, error.to_string(), &fields)
            }
            // The database's own text stays in the log: it may name hosts.
            ReportError::Store(_) => refuse(Reason::StoreUnavailable, "the store can't be read", &[]),
            ReportError::TooManyUsers => refuse(Reason::Overloaded, error.to_string(), &[]),
            ReportError::TimedOut(_) => refuse(Reason::StoreUnavailable, error.to_string(), &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn a_status_names_every_invalid_field() {
        let errors = vec![FieldError::new("from", "is after to"), FieldError::new("limit", "is 0")];
        let status = Status::from(ReportError::InvalidRequest(errors));
        assert_eq!(
            (status.code(), Reason::of(&status)),
            (Code::InvalidArgument, Some(Reason::InvalidRequest))
        );
        let named: Vec<_> = status
            .get_details_bad_request()
            .unwrap()
            .field_violations
            .into_iter()
            .map(|violation| violation.field)
            .collect();
        assert_eq!(named, ["from", "limit"]);
    }

    #[test]
    fn a_store_that_is_away_or_slow_asks_for_a_retry() {
        let away = DbErr::Custom("secret host".into());
        for error in [ReportError::Store(away), ReportError::TimedOut(Duration::from_secs(1))] {
            let status = Status::from(error);
            assert_eq!(
                (status.code(), Reason::of(&status)),
                (Code::Unavailable, Some(Reason::StoreUnavailable))
            );
            assert!(status.get_details_retry_info().is_some());
            assert!(!status.message().contains("secret"));
        }
    }

    #[test]
    fn too_many_users_ask_for_less_or_for_a_retry() {
        let status = Status::from(ReportError::TooManyUsers);
        assert_eq!((status.code(), Reason::of(&status)), (Code::ResourceExhausted, Some(Reason::Overloaded)));
        assert!(status.get_details_retry_info().is_some() && status.message().contains("shorter range"));
    }
}
