//! Faults of the store as an operator is told them: cause, place, setting and remedy, and whether waiting helps.

mod connection;
mod postgres;

pub(crate) use postgres::RIGHTS;
use sea_orm::{DbErr, RuntimeErr};
use sqlx::{
    postgres::{PgConnectOptions, PgDatabaseError},
    sqlite::SqliteError,
};

use crate::{
    DatabaseUrl,
    url::{Named, Place},
};

/// What a pooler is told that hands one connection to several sessions.
pub(crate) const POOLER: &str = "it leads to a pooler in transaction mode, which gives a session's statements to \
    several connections: set pool_mode = session for this database, or name the server itself";

/// Why the store can't be used. The text names place and setting, never a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StoreFault {
    text: String,
    pub outlook: Outlook,
}

/// Whether waiting helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// The server is not there yet, or has no room for another connection.
    Away,
    /// The server says no, or is another one: somebody may mend that meanwhile.
    Refused,
    /// The database can be used, and lacks tables or rights, or is for newer builds: that comes by itself or is ordered.
    Schema,
    /// Another configuration alone helps.
    Never,
}

/// A cause and what to do about it, behind the place.
#[derive(Debug)]
pub(crate) struct Cause {
    pub(crate) what: String,
    pub(crate) remedy: String,
    pub(crate) outlook: Outlook,
}

impl Cause {
    pub(crate) fn new(outlook: Outlook, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), outlook }
    }
}

impl StoreFault {
    pub(crate) fn new(place: impl std::fmt::Display, cause: Cause) -> Self {
        let Cause { what, remedy, outlook } = cause;
        let remedy = if remedy.is_empty() { remedy } else { format!(": {remedy}") };
        Self { text: format!("{place} (DATABASE_URL): {what}{remedy}"), outlook }
    }

    /// The same, of a file that is made with its tables.
    #[must_use]
    pub fn lacking_schema(self) -> Self {
        let text = format!("{}: `weir migrate up`, or a collector at its start, makes it", self.text);
        Self { text, outlook: Outlook::Schema }
    }

    /// Of either database.
    pub(crate) fn of(url: &DatabaseUrl, error: &sqlx::Error) -> Self {
        match &url.0 {
            Place::Postgres(server) => Self::of_server(&server.options, error),
            Place::Sqlite(_) => Self::of_file(url, error),
        }
    }

    /// Of a server that was to be reached by these options.
    pub(crate) fn of_server(options: &PgConnectOptions, error: &sqlx::Error) -> Self {
        let cause = match error {
            sqlx::Error::Database(refusal) => match refusal.try_downcast_ref::<PgDatabaseError>() {
                Some(refusal) => postgres::cause(refusal, options),
                None => Cause::new(Outlook::Refused, refusal.to_string(), ""),
            },
            sqlx::Error::Io(error) => connection::cause(error, options),
            sqlx::Error::Tls(error) => connection::tls_cause(&error.to_string(), options),
            sqlx::Error::Protocol(text) => connection::protocol_cause(text),
            sqlx::Error::PoolTimedOut => Cause::new(Outlook::Away, "no connection came free in time", ""),
            other => Cause::new(Outlook::Refused, other.to_string(), "see DATABASE_URL"),
        };
        Self::new(Named(options), cause)
    }

    /// Of a file.
    pub(crate) fn of_file(place: impl std::fmt::Display, error: &sqlx::Error) -> Self {
        let outlook = if is_busy(error) {
            Outlook::Away
        } else if is_unusable_file(error) {
            Outlook::Never
        } else {
            Outlook::Refused
        };
        Self::new(place, Cause::new(outlook, format!("it can't be used: {error}"), ""))
    }
}

/// What the database itself said.
pub(crate) fn error_of(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Whether another process holds the SQLite file for a moment. Its busy timeout does not cover the change of an
/// empty file to a write-ahead log, which processes that start at once all want to make.
fn is_busy(error: &sqlx::Error) -> bool {
    sqlite_code(error).is_some_and(|code| matches!(code, 5 | 6))
}

/// READONLY, CANTOPEN, NOTADB.
fn is_unusable_file(error: &sqlx::Error) -> bool {
    sqlite_code(error).is_some_and(|code| matches!(code, 8 | 14 | 26))
}

/// The low byte of SQLite's code.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let refusal = error.as_database_error()?;
    refusal.try_downcast_ref::<SqliteError>()?;
    refusal.code()?.parse::<u32>().ok().map(|code| code & 0xFF)
}
