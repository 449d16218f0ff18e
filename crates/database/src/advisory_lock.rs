//! Advisory locks of PostgreSQL: the number of each lock of Weir, and how a session takes it.
//!
//! SQLite has one writer and needs none of them; a lock that outlives a transaction is a file beside the database
//! there.

use sqlx::PgConnection;

/// A lock of Weir. Each number is a word in ASCII, so that other users of the same server hardly take it. Releases of
/// different versions run at once: a number never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdvisoryLock {
    /// Migrators exclude each other.
    Migration,
    /// Storing transactions share it. A transaction that removes rows or records an erasure takes it alone and for a
    /// short while. So no event is stored again while its row becomes a key, and no event is stored with a person whose
    /// erasure is being recorded.
    Store,
    /// One collector removes expired rows.
    Retention,
    /// One collector opens segments of events and makes their filters.
    Segments,
    /// One transaction at a time changes the numbers or the sets of people.
    People,
    /// One transaction at a time changes the rankings of campaigns.
    Rankings,
    /// One process repairs rollups.
    Repair,
}

impl AdvisoryLock {
    /// The key that PostgreSQL knows the lock by.
    #[must_use]
    pub const fn key(self) -> i64 {
        match self {
            // "weir"
            Self::Migration => 0x7765_6972,
            // "weirstor"
            Self::Store => 0x7765_6972_7374_6f72,
            // "weirrows"
            Self::Retention => 0x7765_6972_726f_7773,
            // "weirsegm"
            Self::Segments => 0x7765_6972_7365_676d,
            // "weirfold"
            Self::People => 0x7765_6972_666f_6c64,
            // "weirrank"
            Self::Rankings => 0x7765_6972_7261_6e6b,
            // "weirmend"
            Self::Repair => 0x7765_6972_6d65_6e64,
        }
    }

    /// A statement that waits for the lock and holds it until the transaction ends.
    #[must_use]
    pub fn lock_transaction_sql(self) -> String {
        format!("SELECT pg_advisory_xact_lock({})", self.key())
    }

    /// A statement that waits until no transaction holds the lock alone, and shares it until the transaction ends.
    #[must_use]
    pub fn share_transaction_sql(self) -> String {
        format!("SELECT pg_advisory_xact_lock_shared({})", self.key())
    }

    /// Waits for the lock. The session holds it until it ends.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn lock_session(self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT pg_advisory_lock($1)").bind(self.key()).execute(session).await?;
        Ok(())
    }

    /// Takes the lock where it is free; returns whether it was. The session holds it until it ends.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn try_lock_session(self, session: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(self.key()).fetch_one(session).await
    }

    /// Waits for the lock. The transaction holds it until it ends.
    ///
    /// # Errors
    /// The server does not answer, or gives up the wait (`lock_timeout`).
    pub async fn lock_transaction(self, transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(self.key()).execute(transaction).await?;
        Ok(())
    }

    /// Takes the lock where it is free; returns whether it was. The transaction holds it until it ends.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn try_lock_transaction(self, transaction: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(self.key())
            .fetch_one(transaction)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_word_that_begins_with_weir() {
        let locks = [
            (AdvisoryLock::Migration, "weir"),
            (AdvisoryLock::Store, "weirstor"),
            (AdvisoryLock::Retention, "weirrows"),
            (AdvisoryLock::Segments, "weirsegm"),
            (AdvisoryLock::People, "weirfold"),
            (AdvisoryLock::Rankings, "weirrank"),
            (AdvisoryLock::Repair, "weirmend"),
        ];
        for (lock, word) in locks {
            let key = lock.key().to_be_bytes();
            assert_eq!(String::from_utf8_lossy(&key).trim_start_matches('\0'), word);
            assert!(lock.share_transaction_sql().contains(&lock.key().to_string()));
        }
    }
}
