//! The time that is noted in the file: a leap of the clock holds all removal by age (`process::clock`).

use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::{sync::watch, time::Instant};

use crate::process::clock::{Noted, Reading};

type Row = (i64, String, i64, i64, i64);

const SELECT: &str = "SELECT wall, boot, uptime, leap, held FROM clock";
/// What a build noted that knew no clock: when it wrote last.
const NEWEST: &str = "SELECT max(stored_at) FROM (
    SELECT max(stored_at) AS stored_at FROM frame UNION ALL SELECT max(stored_at) FROM rejected
    UNION ALL SELECT max(stored_at) FROM parked)";
const NOTE: &str =
    "INSERT OR REPLACE INTO clock (number, wall, boot, uptime, leap, held) VALUES (1, ?, ?, ?, ?, ?)";

/// The clock of a file's one writer.
#[derive(Debug)]
pub(super) struct FileClock {
    noted: Option<Noted>,
    noted_at: Instant,
    held: watch::Sender<Option<String>>,
}

impl FileClock {
    /// The clock, and where it is told why removal by age is held.
    pub(super) async fn open(
        connection: &mut SqliteConnection,
    ) -> Result<(Self, watch::Receiver<Option<String>>), sqlx::Error> {
        let row: Option<Row> = sqlx::query_as(SELECT).fetch_optional(&mut *connection).await?;
        let noted = match row {
            Some((wall, boot, uptime, leap, held)) => {
                Some(Noted { reading: Reading { wall, boot, uptime }, leap, held })
            }
            None => {
                let newest: Option<i64> = sqlx::query_scalar(NEWEST).fetch_one(&mut *connection).await?;
                newest.map(|wall| Noted::first(Reading { wall, boot: String::new(), uptime: 0 }))
            }
        };
        let (held, told) = watch::channel(None);
        let mut clock = Self { noted, noted_at: Instant::now(), held };
        clock.note(connection, Duration::ZERO).await?;
        Ok((clock, told))
    }

    /// Notes the time. What follows on the first note is the time that this process has run since.
    pub(super) async fn tick(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let ran = self.noted_at.elapsed();
        self.note(connection, ran).await
    }

    /// Whether what is old may be removed.
    pub(super) fn may_remove(&self) -> bool {
        self.held.borrow().is_none()
    }

    async fn note(&mut self, connection: &mut SqliteConnection, ran: Duration) -> Result<(), sqlx::Error> {
        let reading = Reading::now();
        let noted = match &self.noted {
            Some(before) => before.next(reading, ran),
            None => Noted::first(reading),
        };
        sqlx::query(NOTE)
            .bind(noted.reading.wall)
            .bind(&noted.reading.boot)
            .bind(noted.reading.uptime)
            .bind(noted.leap)
            .bind(noted.held)
            .execute(connection)
            .await?;
        self.held.send_replace(noted.held_reason());
        self.noted = Some(noted);
        self.noted_at = Instant::now();
        Ok(())
    }
}
