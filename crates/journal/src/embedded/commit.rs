//! One commit of the writer: executes all waiting operations in one transaction, which one fsync makes durable.

use chrono::Utc;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    command::{Command, NewDeadLetter, NewFrame, Operation},
    compaction,
    sql::{begin, commit_or_roll_back, json_array, signed, table, unsigned},
    usage::{FileLimits, FileUsage, row_bytes},
};
use crate::{dead_letter_stream::DeadLetterStream, error::AppendError};

/// Executes the commands in one transaction. Returns the result of each command.
///
/// # Errors
/// No command is executed.
pub(super) async fn execute(
    connection: &mut SqliteConnection,
    commands: &[Command],
    usage: &mut FileUsage,
    limits: &FileLimits,
) -> Result<Vec<Result<(), AppendError>>, sqlx::Error> {
    begin(connection).await?;
    let results = execute_all(connection, commands, usage, limits).await;
    commit_or_roll_back(connection, results).await
}

async fn execute_all(
    connection: &mut SqliteConnection,
    commands: &[Command],
    usage: &mut FileUsage,
    limits: &FileLimits,
) -> Result<Vec<Result<(), AppendError>>, sqlx::Error> {
    count_deliveries(connection, commands).await?;
    acknowledge(connection, commands).await?;
    let now = Utc::now().timestamp_micros();
    let mut results = Vec::with_capacity(commands.len());
    for command in commands {
        results.push(match &command.operation {
            Operation::Append(frames) => append(connection, frames, now, usage, limits).await?,
            Operation::AppendDeadLetters(stream, letters) => {
                append_dead_letters(connection, *stream, letters, now, usage, limits).await?
            }
            Operation::RemoveDeadLetters(stream, sequences) => {
                remove_dead_letters(connection, *stream, sequences, usage).await?;
                Ok(())
            }
            Operation::Acknowledge(_) | Operation::CountDeliveries(_) | Operation::Close => Ok(()),
        });
    }
    Ok(results)
}

async fn count_deliveries(
    connection: &mut SqliteConnection,
    commands: &[Command],
) -> Result<(), sqlx::Error> {
    let delivered = commands.iter().flat_map(|command| match &command.operation {
        Operation::CountDeliveries(sequences) => sequences.as_slice(),
        _ => &[],
    });
    let Some(delivered) = json_array(delivered.copied()) else { return Ok(()) };
    sqlx::query("UPDATE waiting SET offers = offers + 1 WHERE sequence IN (SELECT value FROM json_each(?))")
        .bind(delivered)
        .execute(connection)
        .await?;
    Ok(())
}

async fn acknowledge(connection: &mut SqliteConnection, commands: &[Command]) -> Result<(), sqlx::Error> {
    let acknowledged = commands.iter().filter_map(|command| match &command.operation {
        Operation::Acknowledge(sequence) => Some(*sequence),
        _ => None,
    });
    let Some(acknowledged) = json_array(acknowledged) else { return Ok(()) };
    sqlx::query("DELETE FROM waiting WHERE sequence IN (SELECT value FROM json_each(?))")
        .bind(acknowledged)
        .execute(connection)
        .await?;
    Ok(())
}

async fn append(
    connection: &mut SqliteConnection,
    frames: &[NewFrame],
    now: i64,
    usage: &mut FileUsage,
    limits: &FileLimits,
) -> Result<Result<(), AppendError>, sqlx::Error> {
    if let Some(large) = frames.iter().find(|frame| row_bytes(&frame.payload) > limits.frame_bytes) {
        return Ok(Err(AppendError::TooLarge { bytes: large.payload.len() }));
    }
    let bytes: u64 = frames.iter().map(|frame| row_bytes(&frame.payload)).sum();
    if usage.frame_bytes + bytes > limits.frame_bytes {
        return Ok(Err(AppendError::Full));
    }
    for frame in frames {
        if insert(connection, frame, now).await? {
            usage.add_frame(row_bytes(&frame.payload));
        }
    }
    Ok(Ok(()))
}

/// Inserts a frame. Returns false if the file has its id already: then it is the same frame, repeated.
async fn insert(connection: &mut SqliteConnection, frame: &NewFrame, now: i64) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO frame (frame_id, source, bytes, stored_at, payload) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (frame_id) DO NOTHING",
    )
    .bind(&frame.id)
    .bind(frame.source.number())
    .bind(signed(row_bytes(&frame.payload)))
    .bind(now)
    .bind(frame.payload.as_ref())
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO waiting (sequence, source) VALUES (?, ?)")
        .bind(inserted.last_insert_rowid())
        .bind(frame.source.number())
        .execute(connection)
        .await?;
    Ok(true)
}

async fn append_dead_letters(
    connection: &mut SqliteConnection,
    stream: DeadLetterStream,
    letters: &[NewDeadLetter],
    now: i64,
    usage: &mut FileUsage,
    limits: &FileLimits,
) -> Result<Result<(), AppendError>, sqlx::Error> {
    let bytes: u64 = letters.iter().map(|letter| row_bytes(&letter.payload)).sum();
    let excess = (*usage.letter_bytes(stream) + bytes).saturating_sub(limits.letter_bytes);
    if excess > 0 {
        match stream {
            DeadLetterStream::Parked => return Ok(Err(AppendError::Full)),
            DeadLetterStream::Rejected => {
                compaction::drop_oldest_letters(connection, stream, excess, usage).await?;
            }
        }
    }
    let table = table(stream);
    let insert = format!(
        "INSERT INTO {table} (subject, fingerprint, bytes, stored_at, payload) SELECT ?1, ?2, ?3, ?4, ?5
         WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE fingerprint = ?2)"
    );
    for letter in letters {
        let bytes = row_bytes(&letter.payload);
        let inserted = sqlx::query(AssertSqlSafe(insert.as_str()))
            .bind(&letter.subject)
            .bind(letter.fingerprint.as_ref().map(|fingerprint| fingerprint.as_slice()))
            .bind(signed(bytes))
            .bind(now)
            .bind(letter.payload.as_ref())
            .execute(&mut *connection)
            .await?;
        // No row is inserted for a letter that is in the stream already: the same item, posted again.
        *usage.letter_bytes(stream) += bytes * inserted.rows_affected();
    }
    Ok(Ok(()))
}

async fn remove_dead_letters(
    connection: &mut SqliteConnection,
    stream: DeadLetterStream,
    sequences: &[i64],
    usage: &mut FileUsage,
) -> Result<(), sqlx::Error> {
    let Some(sequences) = json_array(sequences.iter().copied()) else { return Ok(()) };
    let table = table(stream);
    let remove =
        format!("DELETE FROM {table} WHERE sequence IN (SELECT value FROM json_each(?)) RETURNING bytes");
    // A letter that an operator removes also leaves the file's bytes: letters carry personal data.
    set_secure_delete(connection, "PRAGMA secure_delete = ON").await?;
    let freed: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(remove)).bind(sequences).fetch_all(&mut *connection).await?;
    // Purged frames and old letters are not overwritten: that would write every byte twice.
    set_secure_delete(connection, "PRAGMA secure_delete = FAST").await?;
    let freed: u64 = freed.into_iter().map(unsigned).sum();
    *usage.letter_bytes(stream) = usage.letter_bytes(stream).saturating_sub(freed);
    Ok(())
}

/// Sets the mode. The pragma takes effect when it is prepared, so that a cached statement would do nothing.
async fn set_secure_delete(
    connection: &mut SqliteConnection,
    pragma: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(pragma).persistent(false).execute(connection).await.map(drop)
}
