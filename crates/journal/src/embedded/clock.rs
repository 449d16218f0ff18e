//! The clock of the file: the time that the file recorded last. A leap of the clock holds all removal by age
//! (`weir_process::clock`).

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::SqliteConnection;
use tokio::time::Instant;
use weir_process::clock::{ClockCheckpoint, Reading};

type Row = (i64, String, i64, i64, i64);

const SELECT: &str = "SELECT wall, boot, uptime, leap, held FROM clock";
/// The last time that an older build wrote, which recorded no clock.
const LAST_WRITE: &str = "SELECT max(stored_at) FROM (
    SELECT max(stored_at) AS stored_at FROM frame UNION ALL SELECT max(stored_at) FROM rejected
    UNION ALL SELECT max(stored_at) FROM parked)";
const RECORD: &str =
    "INSERT OR REPLACE INTO clock (number, wall, boot, uptime, leap, held) VALUES (1, ?, ?, ?, ?, ?)";

/// The clock of a file. A clone is cheap and is the same clock.
#[derive(Clone, Debug)]
pub(super) struct FileClock(Arc<Mutex<LastRecord>>);

/// The time that the file recorded last.
#[derive(Clone, Debug)]
struct LastRecord {
    noted: ClockCheckpoint,
    /// When it was recorded, by the monotonic clock.
    at: Instant,
}

impl FileClock {
    /// Reads the recorded time, and records the time now.
    pub(super) async fn open(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let row: Option<Row> = sqlx::query_as(SELECT).fetch_optional(&mut *connection).await?;
        let before = match row {
            Some((wall, boot, uptime, leap, held)) => {
                Some(ClockCheckpoint { reading: Reading { wall, boot, uptime }, leap, held })
            }
            None => {
                let last: Option<i64> = sqlx::query_scalar(LAST_WRITE).fetch_one(&mut *connection).await?;
                last.map(|wall| ClockCheckpoint::first(Reading { wall, boot: String::new(), uptime: 0 }))
            }
        };
        let noted = before.unwrap_or_else(|| ClockCheckpoint::first(Reading::now()));
        let clock = Self(Arc::new(Mutex::new(LastRecord { noted, at: Instant::now() })));
        clock.tick(connection).await?;
        Ok(clock)
    }

    /// Records the time now.
    pub(super) async fn tick(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let noted = self.now();
        sqlx::query(RECORD)
            .bind(noted.reading.wall)
            .bind(&noted.reading.boot)
            .bind(noted.reading.uptime)
            .bind(noted.leap)
            .bind(noted.held)
            .execute(connection)
            .await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = LastRecord { noted, at: Instant::now() };
        Ok(())
    }

    /// The reason that removal by age is held now, if it is.
    pub(super) fn held_reason(&self) -> Option<String> {
        self.now().held_reason()
    }

    /// The record of this moment.
    fn now(&self) -> ClockCheckpoint {
        let LastRecord { noted, at } = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        noted.next(Reading::now(), at.elapsed())
    }
}
