//! The one writer: everybody's work of a moment in one transaction, so that an fsync is shared.

use std::{fs::File, time::Duration};

use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::{
    Lanes,
    bounds::Bounds,
    clock::FileClock,
    command::{Command, Work, Writing},
    commit, compaction,
    usage::{Held, weight},
};
use crate::{AppendError, JournalError, Usage, limits};

/// Commands that wait for the writer, and the most that it commits together.
const QUEUE: usize = 256;
/// Nobody waits for the note that a frame was offered: alone it waits this long for company.
const NOTE_DELAY: Duration = Duration::from_millis(100);
/// Between looks for what is past its age, which is counted in days.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// Steps of purging after a commit; as many as it takes only where an append would be refused otherwise.
const STEPS: usize = 4;

/// Owns the file for writing.
pub(super) struct Writer {
    connection: SqliteConnection,
    /// Dropped before the queue, whose end says that the file may be opened again.
    _lock: File,
    commands: mpsc::Receiver<Command>,
    bounds: Bounds,
    held: Held,
    lanes: Lanes,
    fill: watch::Sender<Usage>,
    expired_at: Instant,
    clock: FileClock,
}

impl Writer {
    pub(super) async fn start(
        mut connection: SqliteConnection,
        lock: File,
        bounds: Bounds,
        lanes: Lanes,
        fill: watch::Sender<Usage>,
        clock: FileClock,
    ) -> Result<Writing, JournalError> {
        let unusable = |error: sqlx::Error| JournalError::Unusable(error.to_string());
        let mut held = Held::count(&mut connection).await.map_err(unusable)?;
        if clock.held_reason().is_none() {
            compaction::expire(&mut connection, &mut held, &bounds).await.map_err(unusable)?;
        }
        let (sender, commands) = mpsc::channel(QUEUE);
        let expired_at = Instant::now();
        let writer = Self { connection, commands, bounds, held, lanes, fill, expired_at, clock, _lock: lock };
        writer.show_fill();
        tokio::spawn(writer.run());
        Ok(Writing::new(sender))
    }

    /// Ends when it is told to close or nobody is left to ask.
    async fn run(mut self) {
        loop {
            let Some(commands) = self.gather().await else { break };
            let close = commands.iter().any(|command| matches!(command.work, Work::Close));
            if !commands.is_empty() {
                self.make_room_for(&commands).await;
                self.commit(commands).await;
            }
            self.keep_room().await;
            self.show_fill();
            if close {
                break;
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the journal's file did not close cleanly");
        }
        for lane in [self.lanes.facebook, self.lanes.tiktok] {
            lane.changed.notify_waiters();
        }
    }

    /// What was asked meanwhile, perhaps nothing; `None` when nobody is left to ask.
    async fn gather(&mut self) -> Option<Vec<Command>> {
        let mut commands = Vec::new();
        match timeout(EXPIRY_INTERVAL, self.commands.recv_many(&mut commands, QUEUE)).await {
            Ok(0) => return None,
            Ok(_) => {}
            Err(_elapsed) => return Some(commands),
        }
        let deadline = Instant::now() + NOTE_DELAY;
        while commands.len() < QUEUE && commands.iter().all(|command| command.answer.is_none()) {
            let more = self.commands.recv_many(&mut commands, QUEUE);
            match tokio::time::timeout_at(deadline, more).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Some(commands)
    }

    async fn commit(&mut self, commands: Vec<Command>) {
        let mut held = self.held;
        match commit::run(&mut self.connection, &commands, &mut held, &self.bounds).await {
            Ok(answers) => {
                self.held = held;
                self.wake(&commands);
                for (command, answer) in commands.into_iter().zip(answers) {
                    command.answer(answer);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the journal's file can't be written");
                let refusal = refusal(&error);
                for command in commands {
                    command.answer(Err(refusal.clone()));
                }
            }
        }
    }

    fn wake(&self, commands: &[Command]) {
        for command in commands {
            if let Work::Append(records) = &command.work {
                for record in records {
                    self.lanes.of(record.source).changed.notify_waiters();
                }
            }
        }
    }

    /// Before an append is refused, everything that may go has gone.
    async fn make_room_for(&mut self, commands: &[Command]) {
        let incoming: u64 = commands
            .iter()
            .map(|command| match &command.work {
                Work::Append(records) => records.iter().map(|record| weight(&record.payload)).sum(),
                _ => 0,
            })
            .sum();
        if self.held.frame_bytes + incoming > self.bounds.frame_bytes {
            let target =
                limits::mark(self.bounds.frame_bytes).min(self.bounds.frame_bytes.saturating_sub(incoming));
            self.purge(target, usize::MAX).await;
        }
    }

    async fn keep_room(&mut self) {
        self.purge(limits::mark(self.bounds.frame_bytes), STEPS).await;
        if self.expired_at.elapsed() >= EXPIRY_INTERVAL {
            self.expired_at = Instant::now();
            if let Err(error) = self.expire().await {
                tracing::error!(%error, "what is past its age can't be removed from the journal");
            }
        }
    }

    async fn expire(&mut self) -> Result<(), sqlx::Error> {
        self.clock.tick(&mut self.connection).await?;
        if self.clock.held_reason().is_none() {
            compaction::expire(&mut self.connection, &mut self.held, &self.bounds).await?;
        }
        Ok(())
    }

    async fn purge(&mut self, target: u64, steps: usize) {
        if let Err(error) = compaction::purge(&mut self.connection, &mut self.held, target, steps).await {
            tracing::error!(%error, "acknowledged frames can't be purged from the journal");
        }
    }

    fn show_fill(&self) {
        self.fill.send_replace(Usage {
            bytes: self.held.frame_bytes,
            max_bytes: self.bounds.frame_bytes,
            frames: self.held.frames,
        });
    }
}

/// The disk is full, or it is another matter: either way nothing of the transaction is there.
fn refusal(error: &sqlx::Error) -> AppendError {
    /// SQLITE_FULL
    const FULL: &str = "13";
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(FULL) {
        AppendError::Full
    } else {
        AppendError::Unreachable(error.to_string())
    }
}
