//! The right to execute the functions that open and remove segments of events, and the remedy where it is missing.

use weir_database::error_class::is_denied;

/// The role may not execute a function of segments. Storing goes on in the open segment meanwhile.
#[derive(Debug, thiserror::Error)]
#[error(
    "the role may not open or remove segments of events ({0}): GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA … TO the \
     collectors' role, as docs/runbook.md lists its rights"
)]
struct Denied(#[source] sqlx::Error);

/// The error of a call of such a function, with the remedy where a right is missing.
pub(crate) fn with_remedy(error: sqlx::Error) -> sqlx::Error {
    if error.as_database_error().is_some_and(is_denied) {
        return sqlx::Error::Configuration(Denied(error).into());
    }
    error
}
