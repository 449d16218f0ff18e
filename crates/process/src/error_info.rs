//! Errors of gRPC calls: a status with `google.rpc` details.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Error details stay under 8 KiB: hyper caps received header lists at 16 KiB.
const MAX_DETAIL_BYTES: usize = 6 * 1024;

/// `google.rpc.ErrorInfo.reason`: the reason why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    InvalidRequest,
    QuotaExceeded,
    JournalFull,
    JournalUnavailable,
    StoreUnavailable,
    Overloaded,
}

impl Reason {
    const DOMAIN: &'static str = "weir";
    const ALL: [Self; 6] = [
        Self::InvalidRequest,
        Self::QuotaExceeded,
        Self::JournalFull,
        Self::JournalUnavailable,
        Self::StoreUnavailable,
        Self::Overloaded,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::JournalFull => "JOURNAL_FULL",
            Self::JournalUnavailable => "JOURNAL_UNAVAILABLE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
        }
    }

    /// Returns the reason of a status that a Weir server made.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let info = status.get_details_error_info()?;
        Self::ALL.into_iter().find(|reason| info.domain == Self::DOMAIN && info.reason == reason.name())
    }

    fn code(self) -> Code {
        match self {
            Self::InvalidRequest => Code::InvalidArgument,
            Self::QuotaExceeded | Self::JournalFull | Self::Overloaded => Code::ResourceExhausted,
            Self::JournalUnavailable | Self::StoreUnavailable => Code::Unavailable,
        }
    }

    /// The wait before a caller may try again; `None` if a retry does not help.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::InvalidRequest => None,
            Self::QuotaExceeded | Self::JournalUnavailable | Self::StoreUnavailable | Self::Overloaded => {
                Some(Duration::from_secs(1))
            }
            Self::JournalFull => Some(Duration::from_secs(5)),
        }
    }
}

/// Makes a status with the reason, the fields at fault and the wait before a retry.
///
/// ```
/// use weir_process::{Reason, refuse};
///
/// let status = refuse(Reason::InvalidRequest, "the range is invalid", &[("from", "must not be after to")]);
/// assert_eq!(status.code(), tonic::Code::InvalidArgument);
/// assert_eq!(Reason::of(&status), Some(Reason::InvalidRequest));
/// ```
#[must_use]
pub fn refuse(reason: Reason, message: impl Into<String>, fields: &[(&str, &str)]) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason.name(), Reason::DOMAIN, HashMap::new());
    if let Some(delay) = reason.retry_after() {
        details.set_retry_info(Some(delay));
    }
    let mut room = MAX_DETAIL_BYTES;
    let fitting = fields.iter().take_while(|(field, description)| {
        let size = field.len() + description.len();
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    });
    let violations: Vec<_> =
        fitting.map(|(field, description)| FieldViolation::new(*field, *description)).collect();
    if !violations.is_empty() {
        details.set_bad_request(violations);
    }
    Status::with_error_details(reason.code(), message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_its_reason() {
        let status = refuse(Reason::JournalFull, "the journal is full", &[]);
        assert_eq!(
            (status.code(), Reason::of(&status)),
            (Code::ResourceExhausted, Some(Reason::JournalFull))
        );
        assert_eq!(Reason::of(&Status::unavailable("x")), None);
    }

    #[test]
    fn error_details_stay_small_with_many_violations() {
        let long = "x".repeat(1000);
        let fields = vec![("items", long.as_str()); 100];
        let status = refuse(Reason::InvalidRequest, "bad", &fields);
        assert!(status.details().len() < 8 * 1024);
        assert!(!status.get_details_bad_request().unwrap().field_violations.is_empty());
    }
}
