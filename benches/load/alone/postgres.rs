//! PostgreSQL alone: the rows of events, inserted from arrays or copied, without rollups and without rows that account
//! for frames.

use std::sync::LazyLock;

use futures::TryStreamExt as _;
use sqlx::PgPool;
use weir_database::entity::events::Model;

/// Makes the insert from every column and the type of its array.
macro_rules! columns {
    ($($column:ident: $array:literal),+ $(,)?) => {
        static INSERT: LazyLock<String> = LazyLock::new(|| {
            let columns: Vec<&str> = vec![$(stringify!($column)),+];
            let arrays: Vec<String> =
                [$($array),+].iter().enumerate().map(|(index, array)| format!("${}::{array}[]", index + 1)).collect();
            format!("INSERT INTO events ({}) SELECT * FROM UNNEST({})", columns.join(", "), arrays.join(", "))
        });

        /// Inserts rows in one statement, which is one transaction.
        ///
        /// # Errors
        /// The database refuses them.
        pub(crate) async fn insert(pool: &PgPool, rows: &[Model]) -> Result<(), sqlx::Error> {
            let insert = sqlx::query(INSERT.as_str());
            $(let insert = insert.bind(rows.iter().map(|row| row.$column.clone()).collect::<Vec<_>>());)+
            insert.execute(pool).await.map(drop)
        }
    };
}

columns! {
    source: "smallint",
    event_id: "text",
    occurred_at: "bigint",
    funnel_stage: "smallint",
    event_type: "smallint",
    frame_id: "text",
    correlation_id: "text",
    traceparent: "text",
    arrived_at: "bigint",
    stored_at: "bigint",
    user_id: "text",
    user_name: "text",
    age: "smallint",
    gender: "smallint",
    followers: "bigint",
    country: "text",
    city: "text",
    action_time: "bigint",
    referrer: "smallint",
    video_id: "text",
    ad_id: "text",
    campaign_id: "text",
    click_position: "smallint",
    device: "smallint",
    browser: "smallint",
    watch_time: "double precision",
    percentage_watched: "double precision",
    profile_id: "text",
    purchased_item: "text",
    purchase_amount: "bigint",
    frame_number: "bigint",
    origin: "integer",
}

/// Rows in the binary format of PostgreSQL's COPY.
#[derive(Clone, Debug)]
pub(crate) struct Rows(Vec<u8>);

impl Rows {
    /// The stored rows of the frames with these numbers in `frame_origins`, in the order of their key.
    ///
    /// # Errors
    /// The database does not return them.
    pub(crate) async fn of_frames(pool: &PgPool, numbers: &[i64]) -> Result<Self, sqlx::Error> {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let statement = format!(
            "COPY (SELECT * FROM events WHERE frame_number IN ({}) ORDER BY source, event_id) \
                TO STDOUT (FORMAT BINARY)",
            numbers.join(", ")
        );
        let mut connection = pool.acquire().await?;
        let mut pieces = connection.copy_out_raw(&statement).await?;
        let mut rows = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            rows.extend_from_slice(&piece);
        }
        Ok(Self(rows))
    }

    /// Copies the rows into the table in one statement, which is one transaction.
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
