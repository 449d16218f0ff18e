//! The mapping of a failed gRPC call to the problem that the caller gets.

use std::time::Duration;

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use weir_process::Reason;

use crate::problem::{ParameterViolation, Problem};

const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reason of a failed call. An unreachable service names none, so the caller passes the reason that applies then as
/// `unreachable`.
pub(crate) fn status_to_reason(status: &Status, unreachable: Reason) -> Option<Reason> {
    Reason::of(status).or(match status.code() {
        Code::InvalidArgument => Some(Reason::InvalidRequest),
        Code::ResourceExhausted => Some(Reason::Overloaded),
        // An expired deadline, a lost connection or a dead instance: the call may have taken effect.
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => Some(unreachable),
        Code::Ok
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => None,
    })
}

/// The problem of a call that a service rejected or that did not reach it.
pub(crate) fn status_to_problem(status: &Status, unreachable: Reason) -> Problem {
    let Some(reason) = status_to_reason(status, unreachable) else {
        tracing::error!(code = ?status.code(), message = status.message(), "a gRPC call failed for no known reason");
        return Problem::internal();
    };
    match reason {
        Reason::InvalidRequest => {
            Problem::bad_request(status.message()).reason(reason.name()).violations(violations(status))
        }
        Reason::QuotaExceeded => {
            retry_later(StatusCode::TOO_MANY_REQUESTS, "the quota is used up", reason, status)
        }
        Reason::JournalFull => unavailable("the journal is full", reason, status),
        Reason::JournalUnavailable => unavailable("the journal can't be reached", reason, status),
        Reason::StoreUnavailable => unavailable("the store can't be reached", reason, status),
        Reason::Overloaded => unavailable("the service is overloaded", reason, status),
    }
}

fn unavailable(detail: &str, reason: Reason, status: &Status) -> Problem {
    retry_later(StatusCode::SERVICE_UNAVAILABLE, detail, reason, status)
}

fn retry_later(code: StatusCode, detail: &str, reason: Reason, status: &Status) -> Problem {
    let requested = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let delay = requested.or(reason.retry_after()).unwrap_or(DEFAULT_RETRY_AFTER);
    Problem::new(code, detail).reason(reason.name()).retry_after(delay)
}

/// The invalid fields, under the names of their HTTP parameters.
fn violations(status: &Status) -> Vec<ParameterViolation> {
    let fields = status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    let violation = |field: tonic_types::FieldViolation| ParameterViolation {
        parameter: camel_case(&field.field),
        message: field.description,
    };
    fields.into_iter().map(violation).collect()
}

/// `group_by` → `groupBy`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut characters = word.chars();
        camel.extend(characters.next().map(|initial| initial.to_ascii_uppercase()));
        camel.push_str(characters.as_str());
        camel
    })
}

#[cfg(test)]
mod tests {
    use weir_process::refuse;

    use super::*;

    #[test]
    fn every_reason_has_its_status() {
        for (reason, code) in [
            (Reason::InvalidRequest, 400),
            (Reason::QuotaExceeded, 429),
            (Reason::JournalFull, 503),
            (Reason::JournalUnavailable, 503),
            (Reason::StoreUnavailable, 503),
            (Reason::Overloaded, 503),
        ] {
            let problem = status_to_problem(&refuse(reason, "x", &[]), Reason::JournalUnavailable);
            assert_eq!(problem.status().as_u16(), code, "{reason:?}");
        }
    }

    #[test]
    fn a_call_that_did_not_arrive_may_be_repeated() {
        for code in
            [Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded, Code::Unknown, Code::Internal]
        {
            let status = Status::new(code, "transport error");
            assert_eq!(status_to_problem(&status, Reason::JournalUnavailable).status(), 503, "{code:?}");
        }
        assert_eq!(status_to_problem(&Status::unimplemented("x"), Reason::JournalUnavailable).status(), 500);
    }

    #[test]
    fn an_invalid_field_has_the_name_of_its_parameter() {
        let status = refuse(Reason::InvalidRequest, "too many buckets", &[("group_by", "choose day")]);
        let expected = ParameterViolation { parameter: "groupBy".into(), message: "choose day".into() };
        assert_eq!(violations(&status), [expected]);
    }
}
