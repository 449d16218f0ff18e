//! Why a report is not answered, and how that is told on the wire.

use std::time::Duration;

use sea_orm::DbErr;
use tonic::Status;
use weir_process::{Reason, refuse};

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// As the contract names it.
    pub(crate) field: &'static str,
    pub(crate) description: String,
}

impl Fault {
    pub(crate) fn new(field: &'static str, description: impl Into<String>) -> Self {
        Self { field, description: description.into() }
    }
}

/// Why a report is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// The question itself is wrong.
    #[error("the request has invalid fields")]
    Question(Vec<Fault>),
    /// Whatever the store's reason, asking again later is safe and the only thing that can help.
    #[error("the store can't be read: {0}")]
    Store(#[from] DbErr),
    /// The store was too slow, or too many reports were asked for at once.
    #[error("the report took longer than {0:?}")]
    Late(Duration),
}

impl From<ReportError> for Status {
    fn from(error: ReportError) -> Self {
        match &error {
            ReportError::Question(faults) => {
                let fields: Vec<_> =
                    faults.iter().map(|fault| (fault.field, fault.description.as_str())).collect();
                refuse(Reason::InvalidRequest, error.to_string(), &fields)
            }
            // The database's own words stay in the log.
            ReportError::Store(_) => refuse(Reason::StoreUnavailable, "the store can't be read", &[]),
            ReportError::Late(_) => refuse(Reason::StoreUnavailable, error.to_string(), &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn every_field_at_fault_is_named() {
        let faults = vec![Fault::new("from", "is after to"), Fault::new("limit", "is 0")];
        let status = Status::from(ReportError::Question(faults));
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
    fn a_store_that_is_away_or_late_may_be_asked_again() {
        let away = DbErr::Custom("secret host".into());
        for error in [ReportError::Store(away), ReportError::Late(Duration::from_secs(1))] {
            let status = Status::from(error);
            assert_eq!(
                (status.code(), Reason::of(&status)),
                (Code::Unavailable, Some(Reason::StoreUnavailable))
            );
            assert!(status.get_details_retry_info().is_some());
            assert!(!status.message().contains("secret"));
        }
    }
}
