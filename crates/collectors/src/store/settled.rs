//! Which frames are settled: recorded where they are stored, before the journal hears of it, so that what the journal
//! holds as acknowledged can be compared with it.

use sqlx::{PgConnection, QueryBuilder, Sqlite, SqliteConnection};
use weir_journal::Position;

use super::{Ending, Store, StoreError};

const IN_POSTGRES: &str = "INSERT INTO settled_frames (journal, sequence) \
    SELECT * FROM UNNEST($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING";

impl Store {
    /// Records frames as settled that leave nothing else in the store.
    ///
    /// # Errors
    /// Never [`StoreError::Permanent`].
    pub async fn settle(&self, positions: &[Position]) -> Result<(), StoreError> {
        self.transact(&[], positions, Ending::Commit).await.map(drop)
    }
}

/// Part of a storing transaction, at its end. Positions ascend: two collectors with the same frames wait for each other
/// and never in a circle.
pub(super) async fn record_in_postgres(
    connection: &mut PgConnection,
    positions: &[Position],
) -> Result<(), sqlx::Error> {
    if positions.is_empty() {
        return Ok(());
    }
    let (journals, sequences): (Vec<i64>, Vec<i64>) =
        positions.iter().map(|position| (position.journal, position.sequence.cast_signed())).unzip();
    sqlx::query(IN_POSTGRES).bind(journals).bind(sequences).execute(connection).await?;
    Ok(())
}

/// Part of a storing transaction. A batch of a worker has few frames, so that one statement takes all of them.
pub(super) async fn record_in_sqlite(
    connection: &mut SqliteConnection,
    positions: &[Position],
) -> Result<(), sqlx::Error> {
    if positions.is_empty() {
        return Ok(());
    }
    let mut statement = QueryBuilder::<Sqlite>::new("INSERT INTO settled_frames (journal, sequence) ");
    statement.push_values(positions, |mut tuple, position| {
        tuple.push_bind(position.journal).push_bind(position.sequence.cast_signed());
    });
    statement.push(" ON CONFLICT DO NOTHING");
    statement.build().execute(connection).await?;
    Ok(())
}
