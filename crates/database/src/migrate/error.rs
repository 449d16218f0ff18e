//! Errors of migrations.

use sea_orm::DbErr;

use crate::{
    DatabaseUrl,
    error_class::sqlx_error,
    fault::{Cause, FaultKind, StoreFault},
};

/// Why the database is not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration failed, or the database can't be read.
    #[error("the migration failed")]
    Migration(#[from] DbErr),
    /// Only a newer build can take back the last migrations.
    #[error(
        "the database has migrations that this build does not know: {0}; take them back with the build that \
         applied them"
    )]
    Newer(String),
    /// The database was migrated by builds that do not follow each other.
    #[error(
        "the database has migrations that this build does not know, and they do not follow its own: {unknown} \
         (missing: {missing})"
    )]
    Diverged { unknown: String, missing: String },
    /// Migrations are missing, and this user may not apply them.
    #[error(
        "the database lacks {lacking}, and this user may not add anything ({reason}): run `weir migrate up` as the \
         owner of the tables"
    )]
    NoRight { lacking: String, reason: String },
    /// The server's lock can't be taken.
    #[error("the migration lock can't be taken")]
    Lock(#[source] sqlx::Error),
    /// The lock file beside the SQLite file can't be taken.
    #[error("the migration lock file can't be taken")]
    LockFile(#[source] std::io::Error),
}

impl MigrateError {
    /// The same error as a fault of the store.
    #[must_use]
    pub fn into_fault(self, url: &DatabaseUrl) -> StoreFault {
        let kind = match &self {
            Self::NoRight { .. } => FaultKind::Schema,
            Self::Newer(_) | Self::Diverged { .. } | Self::LockFile(_) => FaultKind::Permanent,
            Self::Migration(error) => match sqlx_error(error) {
                Some(error) => return StoreFault::of(url, error),
                None => FaultKind::Refused,
            },
            Self::Lock(error) => return StoreFault::of(url, error),
        };
        StoreFault::new(url, Cause::new(kind, self.to_string(), ""))
    }
}
