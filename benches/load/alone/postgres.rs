//! PostgreSQL alone: the rows of events, inserted from arrays or copied, without rollups and without rows that account
//! for frames.

use std::sync::LazyLock;

use futures::TryStreamExt as _;
use sqlx::PgPool;
use weir_database::{entity::events::Model, id_code::IdCode};

/// The open segment of a database that was migrated just now.
const SEGMENT: i32 = 1;

fn code(id: &str) -> Vec<u8> {
    IdCode::of(id).into_bytes()
}

/// Makes the insert from every column and the type of its array.
macro_rules! columns {
    ($row:ident => $($column:ident: $array:literal = $value:expr,)+) => {
        static INSERT: LazyLock<String> = LazyLock::new(|| {
            let columns: Vec<&str> = vec![$(stringify!($column)),+];
            let arrays: Vec<String> =
                [$($array),+].iter().enumerate().map(|(index, array)| format!("${}::{array}[]", index + 1)).collect();
            format!(
                "INSERT INTO events (segment, {}) SELECT {SEGMENT}, * FROM UNNEST({})",
                columns.join(", "),
                arrays.join(", ")
            )
        });

        /// Inserts rows in one statement, which is one transaction.
        ///
        /// # Errors
        /// The database refuses them.
        pub(crate) async fn insert(pool: &PgPool, rows: &[Model]) -> Result<(), sqlx::Error> {
            let insert = sqlx::query(INSERT.as_str());
            $(let insert = insert.bind(rows.iter().map(|$row| $value).collect::<Vec<_>>());)+
            insert.execute(pool).await.map(drop)
        }
    };
}

columns! {
    row =>
    source: "smallint" = row.source,
    event_code: "bytea" = code(&row.event_id),
    occurred_at: "bigint" = row.occurred_at,
    funnel_stage: "smallint" = row.funnel_stage,
    event_type: "smallint" = row.event_type,
    arrived_at: "bigint" = row.arrived_at,
    user_code: "bytea" = code(&row.user_id),
    user_name: "text" = row.user_name.clone(),
    age: "smallint" = row.age,
    gender: "smallint" = row.gender,
    followers: "bigint" = row.followers,
    country: "text" = row.country.clone(),
    city: "text" = row.city.clone(),
    action_time: "bigint" = row.action_time,
    referrer: "smallint" = row.referrer,
    video_code: "bytea" = row.video_id.as_deref().map(code),
    ad_code: "bytea" = row.ad_id.as_deref().map(code),
    campaign_code: "bytea" = row.campaign_id.as_deref().map(code),
    click_position: "smallint" = row.click_position,
    device: "smallint" = row.device,
    browser: "smallint" = row.browser,
    watch_time: "double precision" = row.watch_time,
    percentage_watched: "double precision" = row.percentage_watched,
    profile_code: "bytea" = row.profile_id.as_deref().map(code),
    purchased_item: "text" = row.purchased_item.clone(),
    purchase_amount: "bigint" = row.purchase_amount,
    frame_number: "bigint" = row.frame_number,
    origin: "integer" = row.origin,
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
        let of_frames = format!(
            "SELECT * FROM events WHERE frame_number IN ({}) ORDER BY source, event_code",
            numbers.join(", ")
        );
        Self::of(pool, &of_frames).await
    }

    /// The rows that a statement selects.
    ///
    /// # Errors
    /// The database does not return them.
    pub(crate) async fn of(pool: &PgPool, select: &str) -> Result<Self, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let mut pieces =
            connection.copy_out_raw(&format!("COPY ({select}) TO STDOUT (FORMAT BINARY)")).await?;
        let mut rows = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            rows.extend_from_slice(&piece);
        }
        Ok(Self(rows))
    }

    /// Copies the rows into a table in one statement, which is one transaction.
    ///
    /// # Errors
    /// The database refuses them.
    pub(crate) async fn copy(&self, pool: &PgPool, table: &str) -> Result<(), sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let mut copying = connection.copy_in_raw(&format!("COPY {table} FROM STDIN (FORMAT BINARY)")).await?;
        copying.send(self.0.as_slice()).await?;
        copying.finish().await.map(drop)
    }
}
