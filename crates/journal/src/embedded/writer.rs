//! The writer of the file. It commits the operations of all callers together, so that they share one fsync.

use std::{fs::File, time::Duration};

use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use weir_event::Source;

use super::{
    clock::FileClock,
    command::{Command, Operation, WriterHandle},
    commit, compaction,
    source_queue::SourceQueues,
    usage::{FileLimits, FileUsage, row_bytes},
};
use crate::{
    error::{AppendError, JournalError},
    limits::high_watermark,
    usage::Usage,
};

/// The most commands that wait for the writer, and the most that it commits together.
const QUEUE_COMMANDS: usize = 256;
/// No caller waits for a count of deliveries, so that the writer waits this long for other commands to commit with it.
const COUNT_DELAY: Duration = Duration::from_millis(100);
/// Interval of expiry. Ages are counted in days.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// Steps of purging after a commit. Before an append that does not fit, the writer takes as many steps as necessary.
const PURGE_STEPS: usize = 4;

/// The one task that writes the file.
pub(super) struct Writer {
    connection: SqliteConnection,
    /// The lock of the file. It is declared, and so dropped, before the queue: a closed queue means that the file can be
    /// opened again.
    _lock: File,
    commands: mpsc::Receiver<Command>,
    limits: FileLimits,
    usage: FileUsage,
    queues: SourceQueues,
    usage_sender: watch::Sender<Usage>,
    expired_at: Instant,
    clock: FileClock,
}

impl Writer {
    pub(super) async fn start(
        mut connection: SqliteConnection,
        lock: File,
        limits: FileLimits,
        queues: SourceQueues,
        usage_sender: watch::Sender<Usage>,
        clock: FileClock,
    ) -> Result<WriterHandle, JournalError> {
        let unusable = |error: sqlx::Error| JournalError::Unusable(error.to_string());
        let mut usage = FileUsage::count(&mut connection).await.map_err(unusable)?;
        if clock.held_reason().is_none() {
            compaction::expire(&mut connection, &mut usage, &limits).await.map_err(unusable)?;
        }
        let (sender, commands) = mpsc::channel(QUEUE_COMMANDS);
        let expired_at = Instant::now();
        let writer = Self {
            connection,
            commands,
            limits,
            usage,
            queues,
            usage_sender,
            expired_at,
            clock,
            _lock: lock,
        };
        writer.send_usage();
        tokio::spawn(writer.run());
        Ok(WriterHandle::new(sender))
    }

    /// Runs until a `Close` command, or until every handle is dropped.
    async fn run(mut self) {
        loop {
            let Some(commands) = self.receive().await else { break };
            let close = commands.iter().any(|command| matches!(command.operation, Operation::Close));
            if !commands.is_empty() {
                self.purge_for(&commands).await;
                self.commit(commands).await;
            }
            self.compact().await;
            self.send_usage();
            if close {
                break;
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the journal's file did not close cleanly");
        }
        for source in Source::ALL {
            self.queues.of(*source).changed.notify_waiters();
        }
    }

    /// Receives the commands that wait, perhaps none after [`EXPIRY_INTERVAL`]; `None` when every handle is dropped.
    async fn receive(&mut self) -> Option<Vec<Command>> {
        let mut commands = Vec::new();
        match timeout(EXPIRY_INTERVAL, self.commands.recv_many(&mut commands, QUEUE_COMMANDS)).await {
            Ok(0) => return None,
            Ok(_) => {}
            Err(_elapsed) => return Some(commands),
        }
        let deadline = Instant::now() + COUNT_DELAY;
        while commands.len() < QUEUE_COMMANDS && commands.iter().all(|command| command.reply.is_none()) {
            let more = self.commands.recv_many(&mut commands, QUEUE_COMMANDS);
            match tokio::time::timeout_at(deadline, more).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Some(commands)
    }

    async fn commit(&mut self, commands: Vec<Command>) {
        let mut usage = self.usage;
        match commit::execute(&mut self.connection, &commands, &mut usage, &self.limits).await {
            Ok(results) => {
                self.usage = usage;
                self.wake_consumers(&commands);
                for (command, result) in commands.into_iter().zip(results) {
                    command.reply(result);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the journal's file can't be written");
                let error = append_error(&error);
                for command in commands {
                    command.reply(Err(error.clone()));
                }
            }
        }
    }

    fn wake_consumers(&self, commands: &[Command]) {
        for command in commands {
            if let Operation::Append(frames) = &command.operation {
                for frame in frames {
                    self.queues.of(frame.source).changed.notify_waiters();
                }
            }
        }
    }

    /// Purges as many acknowledged frames as the appends need, so that the file refuses an append only if nothing more
    /// can be purged.
    async fn purge_for(&mut self, commands: &[Command]) {
        let incoming: u64 = commands
            .iter()
            .map(|command| match &command.operation {
                Operation::Append(frames) => frames.iter().map(|frame| row_bytes(&frame.payload)).sum(),
                _ => 0,
            })
            .sum();
        let most = self.limits.frame_bytes;
        if self.usage.frame_bytes + incoming > most {
            self.purge(high_watermark(most).min(most.saturating_sub(incoming)), usize::MAX).await;
        }
    }

    async fn compact(&mut self) {
        self.purge(high_watermark(self.limits.frame_bytes), PURGE_STEPS).await;
        if self.expired_at.elapsed() >= EXPIRY_INTERVAL {
            self.expired_at = Instant::now();
            if let Err(error) = self.expire().await {
                tracing::error!(%error, "expired frames and dead letters can't be removed from the journal");
            }
        }
    }

    async fn expire(&mut self) -> Result<(), sqlx::Error> {
        self.clock.tick(&mut self.connection).await?;
        if self.clock.held_reason().is_none() {
            compaction::expire(&mut self.connection, &mut self.usage, &self.limits).await?;
        }
        Ok(())
    }

    async fn purge(&mut self, target: u64, steps: usize) {
        if let Err(error) = compaction::purge(&mut self.connection, &mut self.usage, target, steps).await {
            tracing::error!(%error, "acknowledged frames can't be purged from the journal");
        }
    }

    fn send_usage(&self) {
        self.usage_sender.send_replace(Usage {
            bytes: self.usage.frame_bytes,
            max_bytes: self.limits.frame_bytes,
            frames: self.usage.frames,
        });
    }
}

/// The error of a transaction that was rolled back: `Full` on a full disk.
fn append_error(error: &sqlx::Error) -> AppendError {
    /// SQLITE_FULL
    const FULL: &str = "13";
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(FULL) {
        AppendError::Full
    } else {
        AppendError::Unreachable(error.to_string())
    }
}
