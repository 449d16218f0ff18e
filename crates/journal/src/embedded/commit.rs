//! One commit: the work of everybody who asked meanwhile, made durable by one fsync.

use chrono::Utc;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    bounds::Bounds,
    command::{Command, Letter, Record, Work},
    compaction, dead_letters,
    usage::{Held, signed, unsigned, weight},
};
use crate::{AppendError, DeadLetterStream};

/// Does the work in one transaction. Says for each command whether it is done; an error means that none is.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    commands: &[Command],
    held: &mut Held,
    bounds: &Bounds,
) -> Result<Vec<Result<(), AppendError>>, sqlx::Error> {
    begin(connection).await?;
    let done = work(connection, commands, held, bounds).await;
    end(connection, done).await
}

/// Takes the write lock. [`end`] gives it back, whatever goes wrong in between: sqlx's own transactions leave a
/// connection useless where SQLite has rolled back itself, as it does on a full disk.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await.map(drop)
}

/// Commits what is done, or takes back what went wrong.
pub(super) async fn end<T>(
    connection: &mut SqliteConnection,
    done: Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let committed = match done {
        Ok(done) => sqlx::query("COMMIT").execute(&mut *connection).await.map(|_| done),
        Err(error) => Err(error),
    };
    if committed.is_err() {
        // On some errors SQLite has rolled back itself; then there is nothing left to roll back.
        sqlx::query("ROLLBACK").execute(&mut *connection).await.ok();
    }
    committed
}

async fn work(
    connection: &mut SqliteConnection,
    commands: &[Command],
    held: &mut Held,
    bounds: &Bounds,
) -> Result<Vec<Result<(), AppendError>>, sqlx::Error> {
    note_offers(connection, commands).await?;
    acknowledge(connection, commands).await?;
    let now = Utc::now().timestamp_micros();
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        answers.push(match &command.work {
            Work::Append(records) => append(connection, records, now, held, bounds).await?,
            Work::Bury(graveyard, letters) => {
                append_dead_letters(connection, *graveyard, letters, now, held, bounds).await?
            }
            Work::Remove(graveyard, sequences) => {
                remove(connection, *graveyard, sequences, held).await?;
                Ok(())
            }
            Work::Acknowledge(_) | Work::Offered(_) | Work::Close => Ok(()),
        });
    }
    Ok(answers)
}

async fn note_offers(connection: &mut SqliteConnection, commands: &[Command]) -> Result<(), sqlx::Error> {
    let offered = commands.iter().flat_map(|command| match &command.work {
        Work::Offered(sequences) => sequences.as_slice(),
        _ => &[],
    });
    let Some(offered) = list(offered.copied()) else { return Ok(()) };
    sqlx::query("UPDATE waiting SET offers = offers + 1 WHERE sequence IN (SELECT value FROM json_each(?))")
        .bind(offered)
        .execute(connection)
        .await?;
    Ok(())
}

async fn acknowledge(connection: &mut SqliteConnection, commands: &[Command]) -> Result<(), sqlx::Error> {
    let acknowledged = commands.iter().filter_map(|command| match &command.work {
        Work::Acknowledge(sequence) => Some(*sequence),
        _ => None,
    });
    let Some(acknowledged) = list(acknowledged) else { return Ok(()) };
    sqlx::query("DELETE FROM waiting WHERE sequence IN (SELECT value FROM json_each(?))")
        .bind(acknowledged)
        .execute(connection)
        .await?;
    Ok(())
}

async fn append(
    connection: &mut SqliteConnection,
    records: &[Record],
    now: i64,
    held: &mut Held,
    bounds: &Bounds,
) -> Result<Result<(), AppendError>, sqlx::Error> {
    if let Some(large) = records.iter().find(|record| weight(&record.payload) > bounds.frame_bytes) {
        return Ok(Err(AppendError::TooLarge { bytes: large.payload.len() }));
    }
    let bytes: u64 = records.iter().map(|record| weight(&record.payload)).sum();
    if held.frame_bytes + bytes > bounds.frame_bytes {
        return Ok(Err(AppendError::Full));
    }
    for record in records {
        if insert(connection, record, now).await? {
            held.add_frame(weight(&record.payload));
        }
    }
    Ok(Ok(()))
}

/// Whether it is new: a frame that is there already is the same frame, repeated.
async fn insert(connection: &mut SqliteConnection, record: &Record, now: i64) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO frame (frame_id, source, bytes, stored_at, payload) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (frame_id) DO NOTHING",
    )
    .bind(&record.id)
    .bind(record.source.number())
    .bind(signed(weight(&record.payload)))
    .bind(now)
    .bind(record.payload.as_ref())
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO waiting (sequence, source) VALUES (?, ?)")
        .bind(inserted.last_insert_rowid())
        .bind(record.source.number())
        .execute(connection)
        .await?;
    Ok(true)
}

async fn append_dead_letters(
    connection: &mut SqliteConnection,
    graveyard: DeadLetterStream,
    letters: &[Letter],
    now: i64,
    held: &mut Held,
    bounds: &Bounds,
) -> Result<Result<(), AppendError>, sqlx::Error> {
    let bytes: u64 = letters.iter().map(|letter| weight(&letter.payload)).sum();
    let excess = (*held.letter_bytes(graveyard) + bytes).saturating_sub(bounds.letter_bytes);
    if excess > 0 {
        match graveyard {
            DeadLetterStream::Parked => return Ok(Err(AppendError::Full)),
            DeadLetterStream::Rejected => {
                compaction::drop_letters(connection, graveyard, excess, held).await?
            }
        }
    }
    let table = dead_letters::table(graveyard);
    let insert = format!(
        "INSERT INTO {table} (subject, fingerprint, bytes, stored_at, payload) SELECT ?1, ?2, ?3, ?4, ?5
         WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE fingerprint = ?2)"
    );
    for letter in letters {
        let bytes = weight(&letter.payload);
        let inserted = sqlx::query(AssertSqlSafe(insert.as_str()))
            .bind(&letter.subject)
            .bind(letter.fingerprint.as_ref().map(|fingerprint| fingerprint.as_slice()))
            .bind(signed(bytes))
            .bind(now)
            .bind(letter.payload.as_ref())
            .execute(&mut *connection)
            .await?;
        // A letter that is there already is the same letter, posted again.
        *held.letter_bytes(graveyard) += bytes * inserted.rows_affected();
    }
    Ok(Ok(()))
}

async fn remove(
    connection: &mut SqliteConnection,
    graveyard: DeadLetterStream,
    sequences: &[i64],
    held: &mut Held,
) -> Result<(), sqlx::Error> {
    let Some(sequences) = list(sequences.iter().copied()) else { return Ok(()) };
    let table = dead_letters::table(graveyard);
    let remove =
        format!("DELETE FROM {table} WHERE sequence IN (SELECT value FROM json_each(?)) RETURNING bytes");
    // What is removed by order is gone from the file too: letters carry people's data.
    secure_delete(connection, "PRAGMA secure_delete = ON").await?;
    let freed: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(remove)).bind(sequences).fetch_all(&mut *connection).await?;
    // Frames and old letters make room for others: overwriting all of their pages would write everything twice.
    secure_delete(connection, "PRAGMA secure_delete = FAST").await?;
    let freed: u64 = freed.into_iter().map(unsigned).sum();
    *held.letter_bytes(graveyard) = held.letter_bytes(graveyard).saturating_sub(freed);
    Ok(())
}

/// It takes effect when it is prepared, so that a remembered statement would do nothing.
async fn secure_delete(connection: &mut SqliteConnection, mode: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(mode).persistent(false).execute(connection).await.map(drop)
}

/// Sequences as the JSON array that one statement takes for any number of them; `None` for none.
pub(super) fn list(sequences: impl Iterator<Item = i64>) -> Option<String> {
    let mut list = String::new();
    for sequence in sequences {
        list.push(if list.is_empty() { '[' } else { ',' });
        list.push_str(&sequence.to_string());
    }
    if list.is_empty() {
        return None;
    }
    list.push(']');
    Some(list)
}
