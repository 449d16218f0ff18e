//! Databases of both kinds for one story each, and readers of their tables.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prost::Message as _;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, QueryOrder};
use tempfile::TempDir;
use weir::contract::event::v1;
use weir_database::{
    Access, DatabaseUrl, connect,
    entity::{duplicates, events, frame_origins, frames},
    event_key::EventKey,
    up,
};

use super::postgres::Postgres;

/// Runs each story twice: on SQLite and on a real PostgreSQL.
#[macro_export]
macro_rules! on_both_databases {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story($crate::database::Database::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story($crate::database::Database::postgres().await).await;
            })+
        }
    };
}
pub use on_both_databases;

/// A database that belongs to one story.
#[derive(Clone, Debug)]
pub struct Database {
    pub url: DatabaseUrl,
    _folder: Option<Arc<TempDir>>,
}

impl Database {
    /// A file that does not exist yet.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(&folder.path().join("store.sqlite"));
        Self { url, _folder: Some(Arc::new(folder)) }
    }

    /// An empty database on the shared server.
    pub async fn postgres() -> Self {
        Self { url: Postgres::shared().await.fresh_database().await, _folder: None }
    }

    /// Opens a pool that may write, as a process would.
    pub async fn connect(&self) -> DatabaseConnection {
        connect(&self.url, Access::Write, Duration::ZERO).await.unwrap()
    }

    /// Opens a pool and applies every migration.
    pub async fn migrated(&self) -> DatabaseConnection {
        let database = self.connect().await;
        up(&database, None).await.unwrap();
        database
    }
}

/// The relation whose rows are those of events with their ids as text, and from which they can be deleted.
pub fn events_by_id(database: &DatabaseConnection) -> &'static str {
    match database.get_database_backend() {
        DbBackend::Postgres => "stored_events",
        _ => "events",
    }
}

/// Adds the key of an event whose row was removed before there were segments; times in µs since the Unix epoch.
pub async fn insert_key(database: &DatabaseConnection, source: i16, event_id: &str, arrived_at: i64) {
    let key = EventKey::of(event_id).0.map(|byte| format!("{byte:02x}")).concat();
    let statements = match database.get_database_backend() {
        DbBackend::Postgres => vec![
            "DO $$ BEGIN IF to_regclass('event_keys_0') IS NULL THEN \
                CREATE TABLE event_keys_0 PARTITION OF event_keys FOR VALUES IN (0); END IF; END $$"
                .to_owned(),
            format!(
                "INSERT INTO event_keys (segment, source, key, arrived_at, stored_at) \
                 VALUES (0, {source}, decode('{key}', 'hex'), {arrived_at}, {arrived_at})"
            ),
        ],
        _ => vec![format!(
            "INSERT INTO event_keys (source, key, arrived_at, stored_at) \
             VALUES ({source}, x'{key}', {arrived_at}, {arrived_at})"
        )],
    };
    for statement in statements {
        database.execute_unprepared(&statement).await.unwrap();
    }
}

/// The statement that anonymizes the rows for which `condition` is true of `events_by_id`, as an erasure does.
pub fn anonymize(database: &DatabaseConnection, condition: &str) -> String {
    let (columns, rows) = match database.get_database_backend() {
        DbBackend::Postgres => (
            "old_user_id = CASE WHEN old_user_id IS NOT NULL THEN '' END, old_profile_id = NULL, \
                user_code = CASE WHEN old_user_id IS NULL THEN ''::bytea END, profile_code = NULL",
            format!(
                "(source, COALESCE(old_event_id, weir_id(event_code))) IN \
                    (SELECT source, event_id FROM stored_events WHERE {condition})"
            ),
        ),
        _ => ("user_id = '', profile_id = NULL", condition.to_owned()),
    };
    format!(
        "UPDATE events SET {columns}, user_name = '', age = NULL, gender = NULL, followers = NULL, country = NULL, \
            city = NULL WHERE {rows}"
    )
}

/// Every stored event, ordered by source and id. Each has the texts of its frame and its origin in place of their
/// numbers, as rows from before migration 16 have them.
pub async fn stored_events(database: &DatabaseConnection) -> Vec<events::Model> {
    let by_identity =
        events::Entity::find().order_by_asc(events::Column::Source).order_by_asc(events::Column::EventId);
    let mut rows = by_identity.all(database).await.unwrap();
    let frames = frame_origins::Entity::find().all(database).await.unwrap();
    let frames: HashMap<i64, (String, v1::Frame)> = frames
        .into_iter()
        .map(|frame| (frame.number, (frame.frame_id, v1::Frame::decode(&frame.data[..]).unwrap())))
        .collect();
    for row in &mut rows {
        let (Some(number), Some(origin)) = (row.frame_number.take(), row.origin.take()) else { continue };
        let (frame_id, frame) = &frames[&number];
        let origin = &frame.origins[usize::try_from(origin).unwrap()];
        row.frame_id = frame_id.clone();
        row.correlation_id = origin.correlation_id.clone();
        row.traceparent = Some(origin.traceparent.clone()).filter(|text| !text.is_empty());
    }
    rows
}

/// Source, id and number of duplicates of each event that came again, ordered by source and id.
pub async fn duplicates(database: &DatabaseConnection) -> Vec<(i16, String, i64)> {
    use duplicates::{Column, Entity};
    let by_identity = Entity::find().order_by_asc(Column::Source).order_by_asc(Column::EventId);
    let rows = by_identity.all(database).await.unwrap();
    rows.into_iter().map(|row| (row.source, row.event_id, row.times)).collect()
}

/// The row that accounts for one frame.
pub async fn accounts(database: &DatabaseConnection, frame_id: &str) -> Option<frames::Model> {
    frames::Entity::find_by_id(frame_id).one(database).await.unwrap()
}

/// The sums of stored, duplicate and parked events over all frames.
pub async fn accounts_of_all(database: &DatabaseConnection) -> (i64, i64, i64) {
    let frames = frames::Entity::find().all(database).await.unwrap();
    frames.iter().fold((0, 0, 0), |(stored, duplicate, parked), frame| {
        (stored + frame.stored, duplicate + frame.duplicate, parked + frame.parked)
    })
}

/// Makes the database refuse events with these ids.
pub async fn refuse(database: &DatabaseConnection, ids: &[&str]) {
    let ids = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
    let rule = match database.get_database_backend() {
        DbBackend::Postgres => {
            format!(
                "ALTER TABLE events ADD CONSTRAINT not_this_one CHECK (weir_id(event_code) NOT IN ({ids}))"
            )
        }
        _ => format!(
            "CREATE TRIGGER not_this_one BEFORE INSERT ON events WHEN NEW.event_id IN ({ids}) \
             BEGIN SELECT RAISE(ABORT, 'not_this_one'); END"
        ),
    };
    database.execute_unprepared(&rule).await.unwrap();
}

/// Removes the constraint that [`refuse`] added.
pub async fn accept_again(database: &DatabaseConnection) {
    let rule = match database.get_database_backend() {
        DbBackend::Postgres => "ALTER TABLE events DROP CONSTRAINT not_this_one",
        _ => "DROP TRIGGER not_this_one",
    };
    database.execute_unprepared(rule).await.unwrap();
}
