//! The journal on NATS JetStream.

mod ack_floor;
mod api;
mod checkpoint_bucket;
mod connection;
mod consumer;
mod consumers;
mod credentials;
mod dead_letters;
mod desired;
mod diagnosis;
mod dialer;
mod maintenance;
mod message_limits;
mod observation;
mod observer;
mod publish;
mod purge;
mod server_errors;
mod session;
mod setting;
mod settings_diff;
mod streams;

use std::{sync::Arc, time::Duration};

use api::{ApiError, Context};
use chrono::{DateTime, Utc};
use connection::with_retry;
pub(super) use consumer::{MessageAcker, PullConsumer};
use maintenance::Maintenance;
pub(super) use observer::JetStreamObserver;
use publish::OutgoingMessage;
use session::Session;
pub use setting::{JournalSetting, SettingState};
use tokio::time::sleep;
use weir_event::Source;

use crate::{
    checkpoint::{AppendedFrame, JournalCheckpoint},
    clock::Clock,
    dead_letter::{DeadLetter, StoredDeadLetter},
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    durability::{self, DurabilityReport},
    error::{AppendError, JournalError},
    frame::{FrameLimit, SealedFrame},
    names::Names,
    position::{AckFloor, PresentFrame},
    servers::Servers,
    settings::Settings,
    usage::{Backlog, Usage},
};

/// Timeout of one publish or acknowledgement. A publish that takes longer is usually stored; its repetition carries the
/// same message id.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(2500);

/// Timeout of one request to the JetStream API. It includes the sending, which waits while the connection is down;
/// async-nats limits the wait for the answer alone.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// The journal on JetStream. A clone is cheap and uses the same connection.
#[derive(Clone, Debug)]
pub struct JetStreamJournal {
    session: Arc<Session>,
}

impl JetStreamJournal {
    pub(super) async fn connect(
        servers: &Servers,
        settings: Settings,
        timeout: Duration,
    ) -> Result<Self, JournalError> {
        let session = with_retry(timeout, || Session::open(servers, &settings)).await?;
        Ok(Self { session: Arc::new(session) })
    }

    fn context(&self) -> &Context {
        self.session.connection.context()
    }

    pub(super) fn names(&self) -> &Names {
        &self.session.settings.names
    }

    pub(super) fn ack_wait(&self) -> Duration {
        self.session.ack_wait
    }

    pub(super) fn frame_limit(&self) -> FrameLimit {
        self.session.limits.frame_limit(self.session.connection.client())
    }

    pub(super) async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        let messages = frames.iter().map(|frame| OutgoingMessage::frame(self.names(), frame));
        match publish::publish_all(&self.session.connection, messages.collect()).await {
            Ok(outcome) => {
                self.session.checkpoints.add_appended(self.appended_frames(outcome.stored));
                Ok(())
            }
            Err(error) => {
                self.repair_after(&error).await;
                Err(error)
            }
        }
    }

    /// The frames of one append, for the next checkpoint. Empty in a guest: only the owner records checkpoints.
    fn appended_frames(&self, stored: Vec<(async_nats::Subject, u64)>) -> Vec<AppendedFrame> {
        if self.session.maintenance.is_none() {
            return Vec::new();
        }
        let source_of = |subject: &str| {
            let mut sources = Source::ALL.iter().copied();
            sources.find(|source| {
                subject == self.names().events(*source) || subject == self.names().erasures(*source)
            })
        };
        let frames = stored.into_iter().filter_map(|(subject, sequence)| {
            Some(AppendedFrame { source: source_of(&subject)?, subject: subject.into_string(), sequence })
        });
        frames.collect()
    }

    pub(super) async fn append_dead_letters(
        &self,
        stream: DeadLetterStream,
        letters: &[DeadLetter],
    ) -> Result<(), AppendError> {
        let max_bytes = self.session.limits.letter_bytes(self.session.connection.client(), stream);
        let letters: Vec<_> = letters.iter().map(|letter| letter.clone().truncated_to(max_bytes)).collect();
        let appended = dead_letters::append(&self.session.connection, self.names(), stream, &letters).await;
        if let Err(error) = &appended {
            self.repair_after(error).await;
        }
        appended
    }

    /// Starts a maintenance round, which may repair the reason of the failure: it purges frames and creates a lost stream
    /// anew. After `TooLarge` it also reads the limits again.
    async fn repair_after(&self, error: &AppendError) {
        self.session.request_maintenance();
        if matches!(error, AppendError::TooLarge { .. })
            && let Err(error) = self.session.limits.refresh(self.context(), self.names()).await
        {
            tracing::debug!(%error, "the message limits of the journal's streams can't be read");
        }
    }

    pub(super) async fn dead_letters(
        &self,
        stream: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read_page(self.context(), &self.names().dead_letter_stream(stream), after, limit).await
    }

    pub(super) async fn dead_letter(
        &self,
        stream: DeadLetterStream,
        sequence: u64,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::read_at(self.context(), &self.names().dead_letter_stream(stream), sequence).await
    }

    pub(super) async fn remove_dead_letters(
        &self,
        stream: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        dead_letters::remove(self.context(), &self.names().dead_letter_stream(stream), sequences).await
    }

    pub(super) async fn last_dead_letter(
        &self,
        stream: DeadLetterStream,
        subject: &str,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::read_last(self.context(), &self.names().dead_letter_stream(stream), subject).await
    }

    pub(super) async fn dead_letter_stats(
        &self,
        stream: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(self.context(), &self.names().dead_letter_stream(stream)).await
    }

    pub(super) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        consumer::backlog(self.context(), self.names(), source).await
    }

    pub(super) async fn oldest_unacknowledged(
        &self,
        source: Source,
    ) -> Result<Option<DateTime<Utc>>, JournalError> {
        consumer::oldest_unacknowledged(self.context(), self.names(), source).await
    }

    pub(super) async fn consumer(&self, source: Source) -> Result<PullConsumer, JournalError> {
        PullConsumer::open(Arc::clone(&self.session), source).await
    }

    pub(super) async fn usage(&self) -> Result<Usage, JournalError> {
        if let Some(problem) = self.session.maintenance.as_ref().and_then(Maintenance::problem) {
            return Err(JournalError::Unusable(problem));
        }
        self.context().check_permissions()?;
        let events = self.names().events_stream();
        let info = match api::stream_info(self.context(), &events).await {
            Err(ApiError::NotFound(_)) => {
                // The owner creates the stream anew at once. Readiness stays up for this short time.
                self.session.request_maintenance();
                sleep(maintenance::INTERVAL * 2).await;
                api::stream_info(self.context(), &events).await?
            }
            other => other?,
        };
        let info = info.info;
        Ok(Usage {
            bytes: info.state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX),
            frames: info.state.messages,
        })
    }

    /// Compares this process's clock, half way between request and answer, with the server's clock.
    pub(super) async fn clock(&self) -> Result<Clock, JournalError> {
        let requested = Utc::now();
        let info = api::stream_info(self.context(), &self.names().events_stream()).await?;
        let answered = Utc::now();
        Ok(info.server_time.map_or(Clock::Unknown, |now| Clock::Server {
            now,
            ahead: requested + (answered - requested) / 2 - now,
        }))
    }

    pub(super) fn identity(&self) -> i64 {
        self.session.identity()
    }

    pub(super) async fn ack_floor(&self) -> Result<AckFloor, JournalError> {
        let floor = ack_floor::read(self.context(), self.names()).await?;
        self.session.set_identity(floor.journal);
        Ok(floor)
    }

    pub(super) async fn present_frames(&self, sequences: &[u64]) -> Result<Vec<PresentFrame>, JournalError> {
        ack_floor::present_frames(self.context(), self.names(), sequences).await
    }

    pub(super) async fn update_checkpoints(
        &self,
        recorded: Vec<JournalCheckpoint>,
    ) -> Result<Vec<JournalCheckpoint>, JournalError> {
        let checkpoints = self.session.checkpoints.observe_and_update(recorded).await?;
        if let Some(current) = checkpoints.iter().find(|checkpoint| !checkpoint.ended) {
            self.session.set_identity(current.journal);
        }
        Ok(checkpoints)
    }

    pub(super) fn last_checkpoints(&self) -> Vec<JournalCheckpoint> {
        self.session.checkpoints.last()
    }

    pub(super) async fn differing_settings(&self) -> Result<Vec<JournalSetting>, JournalError> {
        streams::check(self.context(), &self.session.settings).await
    }

    pub(super) async fn durability(&self) -> DurabilityReport {
        durability::of_servers(&self.session.settings.monitors).await
    }

    pub(super) async fn close(self, deadline: Duration) {
        if let Some(maintenance) = &self.session.maintenance {
            maintenance.stop();
        }
        self.session.connection.close(deadline).await;
    }
}
