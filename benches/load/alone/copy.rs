//! PostgreSQL alone: the rows of events as it writes them itself, copied in as they are, with neither rollups nor the
//! accounts of frames.

use futures::TryStreamExt as _;
use sqlx::PgPool;

/// Rows in PostgreSQL's binary format.
#[derive(Clone, Debug)]
pub(crate) struct Rows(Vec<u8>);

impl Rows {
    /// The rows that these frames became, in the order of their key.
    ///
    /// # Errors
    /// The database does not give them.
    pub(crate) async fn of_frames(pool: &PgPool, frame_ids: &[&str]) -> Result<Self, sqlx::Error> {
        let statement = format!(
            "COPY (SELECT * FROM events WHERE frame_id IN ('{}') ORDER BY source, event_id) \
                TO STDOUT (FORMAT BINARY)",
            frame_ids.join("','")
        );
        let mut connection = pool.acquire().await?;
        let mut pieces = connection.copy_out_raw(&statement).await?;
        let mut rows = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            rows.extend_from_slice(&piece);
        }
        Ok(Self(rows))
    }

    /// Stores them in one statement, which is one transaction.
    ///
    /// # Errors
    /// The database refuses them.
    pub(crate) async fn copy(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let mut copying = connection.copy_in_raw("COPY events FROM STDIN (FORMAT BINARY)").await?;
        copying.send(self.0.as_slice()).await?;
        copying.finish().await.map(drop)
    }
}
