//! The time that is noted in the file: a leap of the clock holds all removal by age (`process::clock`).

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::SqliteConnection;
use tokio::time::Instant;
use weir_process::clock::{ClockCheckpoint, Reading};

type Row = (i64, String, i64, i64, i64);

const SELECT: &str = "SELECT wall, boot, uptime, leap, held FROM clock";
/// What a build noted that knew no clock: when it wrote last.
const NEWEST: &str = "SELECT max(stored_at) FROM (
    SELECT max(stored_at) AS stored_at FROM frame UNION ALL SELECT max(stored_at) FROM rejected
    UNION ALL SELECT max(stored_at) FROM parked)";
const NOTE: &str =
    "INSERT OR REPLACE INTO clock (number, wall, boot, uptime, leap, held) VALUES (1, ?, ?, ?, ?, ?)";

/// The clock of a file. Cheap to clone; every clone is the same.
#[derive(Clone, Debug)]
pub(super) struct FileClock(Arc<Mutex<LastNote>>);

#[derive(Clone, Debug)]
struct LastNote {
    noted: ClockCheckpoint,
    at: Instant,
}

impl FileClock {
    /// Reads what was noted, and notes the time.
    pub(super) async fn open(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let row: Option<Row> = sqlx::query_as(SELECT).fetch_optional(&mut *connection).await?;
        let before = match row {
            Some((wall, boot, uptime, leap, held)) => {
                Some(ClockCheckpoint { reading: Reading { wall, boot, uptime }, leap, held })
            }
            None => {
                let newest: Option<i64> = sqlx::query_scalar(NEWEST).fetch_one(&mut *connection).await?;
                newest.map(|wall| ClockCheckpoint::first(Reading { wall, boot: String::new(), uptime: 0 }))
            }
        };
        let noted = before.unwrap_or_else(|| ClockCheckpoint::first(Reading::now()));
        let clock = Self(Arc::new(Mutex::new(LastNote { noted, at: Instant::now() })));
        clock.tick(connection).await?;
        Ok(clock)
    }

    /// Notes the time.
    pub(super) async fn tick(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let noted = self.now();
        sqlx::query(NOTE)
            .bind(noted.reading.wall)
            .bind(&noted.reading.boot)
            .bind(noted.reading.uptime)
            .bind(noted.leap)
            .bind(noted.held)
            .execute(connection)
            .await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = LastNote { noted, at: Instant::now() };
        Ok(())
    }

    /// Why removal by age is held now, where it is.
    pub(super) fn held_reason(&self) -> Option<String> {
        self.now().held_reason()
    }

    /// What would be noted now.
    fn now(&self) -> ClockCheckpoint {
        let LastNote { noted, at } = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        noted.next(Reading::now(), at.elapsed())
    }
}
