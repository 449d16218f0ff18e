//! Faults of the store as an operator reads them: cause, location, setting and remedy, and whether waiting helps.

mod cause;
mod connection;
mod postgres;

use sea_orm::{DatabaseConnection, DbErr};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError};

pub use cause::FaultKind;
pub(crate) use cause::{Cause, POOLER, RIGHTS};

use crate::{
    DatabaseUrl,
    dialect::Pool,
    error_class::{is_busy_file, is_unusable_file, sqlx_error},
    url::{FileName, Location, ServerName},
};

/// Why the store can't be used. The text names location and setting, never a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StoreFault {
    text: String,
    pub kind: FaultKind,
}

impl StoreFault {
    /// A fault of the database at `location`.
    pub(crate) fn new(location: impl std::fmt::Display, cause: Cause) -> Self {
        let Cause { kind, text, remedy } = cause;
        let remedy = if remedy.is_empty() { remedy } else { format!(": {remedy}") };
        Self { text: format!("{location} (DATABASE_URL): {text}{remedy}"), kind }
    }

    /// The same fault of a missing file, which the first migration creates with its tables.
    #[must_use]
    pub fn lacking_schema(self) -> Self {
        let text = format!("{}: `weir migrate up`, or a collector at its start, makes it", self.text);
        Self { text, kind: FaultKind::Schema }
    }

    /// The fault behind an error of either database.
    pub(crate) fn of(url: &DatabaseUrl, error: &sqlx::Error) -> Self {
        match &url.0 {
            Location::Postgres(server) => Self::of_server(&server.options, error),
            Location::Sqlite(_) => Self::of_file(url, error),
        }
    }

    /// The fault behind an error of a server that these options lead to.
    pub(crate) fn of_server(options: &PgConnectOptions, error: &sqlx::Error) -> Self {
        let cause = match error {
            sqlx::Error::Database(refusal) => match refusal.try_downcast_ref::<PgDatabaseError>() {
                Some(refusal) => postgres::cause(refusal, options),
                None => Cause::new(FaultKind::Refused, refusal.to_string(), ""),
            },
            sqlx::Error::Io(error) => connection::cause(error, options),
            sqlx::Error::Tls(error) => connection::tls_cause(&error.to_string(), options),
            sqlx::Error::Protocol(text) => connection::protocol_cause(text),
            sqlx::Error::PoolTimedOut => {
                Cause::new(FaultKind::Unavailable, "no connection came free in time", "")
            }
            other => Cause::new(FaultKind::Refused, other.to_string(), "see DATABASE_URL"),
        };
        Self::new(ServerName(options), cause)
    }

    /// The fault behind an error of a file.
    pub(crate) fn of_file(location: impl std::fmt::Display, error: &sqlx::Error) -> Self {
        let kind = if is_busy_file(error) {
            FaultKind::Unavailable
        } else if is_unusable_file(error) {
            FaultKind::Permanent
        } else {
            FaultKind::Refused
        };
        Self::new(location, Cause::new(kind, format!("it can't be used: {error}"), ""))
    }

    /// A fault of an open database.
    pub(crate) fn in_database(database: &DatabaseConnection, cause: Cause) -> Self {
        match Pool::of(database) {
            Pool::Postgres(pool) => Self::new(ServerName(&pool.connect_options()), cause),
            Pool::Sqlite(pool) => Self::new(FileName(&pool.connect_options()), cause),
        }
    }

    /// The fault behind an error of a statement to an open database.
    pub(crate) fn of_statement(database: &DatabaseConnection, error: &DbErr) -> Self {
        let Some(reason) = sqlx_error(error) else {
            return Self::in_database(database, Cause::new(FaultKind::Unavailable, error.to_string(), ""));
        };
        match Pool::of(database) {
            Pool::Postgres(pool) => Self::of_server(&pool.connect_options(), reason),
            Pool::Sqlite(pool) => Self::of_file(FileName(&pool.connect_options()), reason),
        }
    }
}
