//! Frames and their origins: written once a frame, so that its rows refer to them by number.

use std::collections::HashMap;

use prost::Message as _;
use sqlx::{PgConnection, SqliteConnection};
use weir::contract::event::v1;
use weir_journal::Frame;

use super::submission::Submission;

const INSERT: &str = "INSERT INTO frame_origins (source, frame_id, stored_at, data) \
    SELECT source, frame_id, $3, data FROM UNNEST($1::smallint[], $2::text[], $4::bytea[]) AS new (source, frame_id, data) \
    RETURNING frame_id, number";
const INSERT_ONE: &str = "INSERT INTO frame_origins (source, frame_id, stored_at, data) VALUES (?, ?, ?, ?) \
    RETURNING number";

/// Writes the origins of frames. Returns the number of each frame, by its id.
pub(super) async fn insert_in_postgres(
    connection: &mut PgConnection,
    frames: &[&Submission<'_>],
    stored_at: i64,
) -> Result<HashMap<String, i64>, sqlx::Error> {
    let numbers: Vec<(String, i64)> = sqlx::query_as(INSERT)
        .bind(frames.iter().map(|frame| frame.source()).collect::<Vec<_>>())
        .bind(frames.iter().map(|frame| frame.frame_id()).collect::<Vec<_>>())
        .bind(stored_at)
        .bind(frames.iter().map(|frame| origins_of(frame.frame())).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(numbers.into_iter().collect())
}

/// Writes the origins of a frame, and returns its number.
pub(super) async fn insert_in_sqlite(
    connection: &mut SqliteConnection,
    frame: &Submission<'_>,
    stored_at: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(INSERT_ONE)
        .bind(frame.source())
        .bind(frame.frame_id())
        .bind(stored_at)
        .bind(origins_of(frame.frame()))
        .fetch_one(connection)
        .await
}

fn origins_of(frame: &Frame) -> Vec<u8> {
    let origins = frame.origins.iter().cloned().map(v1::Origin::from).collect();
    v1::Frame { origins, ..v1::Frame::default() }.encode_to_vec()
}
