//! The journal on NATS JetStream.

mod ack_floor;
mod api;
mod bury;
mod checkpoint_bucket;
mod connection;
mod consumer;
mod credentials;
mod dead_letters;
mod desired;
mod diagnosis;
mod dialer;
mod maintenance;
mod message_limits;
mod observer;
mod publish;
mod setting;
mod settings_diff;
mod streams;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use api::ApiError;
use checkpoint_bucket::Notebook;
use chrono::{DateTime, Utc};
use connection::Connection;
pub(super) use consumer::{Pull, PullVerdict};
use maintenance::{Keeper, Kept};
use message_limits::Sizes;
pub(super) use observer::Watched;
pub use setting::{JournalSetting, SettingState};
use tokio::time::sleep;
use weir_event::Source;

use super::{
    AppendError, Backlog, Clock, DeadLetter, DeadLetterStats, DeadLetterStream, FrameLimit, JournalError,
    JournalState, Names, Ownership, Promise, SealedFrame, Servers, Settings, StoredDeadLetter, Usage,
    checkpoint::Appended, durability,
};

/// A connection to JetStream whose streams and consumers are Weir's. Cheap to clone; every
/// clone is the same connection.
#[derive(Clone, Debug)]
pub struct JetStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connection: Connection,
    settings: Settings,
    notebook: Arc<Notebook>,
    /// The owner's.
    keeper: Option<Keeper>,
    /// Of `EVENTS`, when it was last asked.
    identity: AtomicI64,
    /// How long a frame may be held, as the consumers say.
    ack_wait: Duration,
    sizes: Arc<Sizes>,
}

impl Shared {
    fn look(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.look();
        }
    }
}

impl JetStream {
    pub(super) async fn connect(
        servers: &Servers,
        settings: Settings,
        patience: Duration,
    ) -> Result<Self, JournalError> {
        connection::patiently(patience, || Self::attempt(servers, &settings)).await
    }

    async fn attempt(servers: &Servers, settings: &Settings) -> Result<Self, JournalError> {
        let connection = Connection::open(servers).await?;
        let (context, names) = (connection.context(), &settings.names);
        streams::prepare(context, settings).await?;
        let events = names.events_stream();
        let info = api::stream_info(context, &events).await?.info;
        let mut ack_wait = Duration::MAX;
        for source in Source::ALL {
            let consumer = api::consumer_info(context, &events, &names.consumer(*source)).await?;
            ack_wait = ack_wait.min(consumer.config.ack_wait);
        }
        let sizes = Arc::new(Sizes::default());
        sizes.ask(context, names).await?;
        let notebook = Arc::new(Notebook::new(context.clone(), names.clone(), settings.ownership));
        let keeper = (settings.ownership == Ownership::Owner).then(|| {
            let (context, settings) = (context.clone(), settings.clone());
            let (notebook, sizes) = (Arc::clone(&notebook), Arc::clone(&sizes));
            Keeper::keep(Kept { context, settings, notebook, sizes })
        });
        let shared = Shared {
            identity: AtomicI64::new(ack_floor::identity(&info)),
            settings: settings.clone(),
            connection,
            notebook,
            keeper,
            ack_wait,
            sizes,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(super) fn names(&self) -> &Names {
        &self.shared.settings.names
    }

    pub(super) fn ack_wait(&self) -> Duration {
        self.shared.ack_wait
    }

    pub(super) fn frame_limit(&self) -> FrameLimit {
        self.shared.sizes.frame_limit(self.shared.connection.client())
    }

    pub(super) async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        let messages = frames.iter().map(|frame| publish::Outgoing::frame(self.names(), frame));
        let appended = publish::all(&self.shared.connection, messages.collect()).await;
        match appended {
            Ok(published) => {
                self.shared.notebook.appended(self.appended(published.new));
                Ok(())
            }
            Err(error) => {
                self.mend_after(&error).await;
                Err(error)
            }
        }
    }

    /// What a call appended, for the note of it; only an owner notes.
    fn appended(&self, new: Vec<(async_nats::Subject, u64)>) -> Vec<Appended> {
        if self.shared.keeper.is_none() {
            return Vec::new();
        }
        let source_of = |subject: &str| {
            let mut sources = Source::ALL.iter().copied();
            sources.find(|source| {
                subject == self.names().events(*source) || subject == self.names().erasures(*source)
            })
        };
        let known = new.into_iter().filter_map(|(subject, sequence)| {
            Some(Appended { source: source_of(&subject)?, subject: subject.into_string(), sequence })
        });
        known.collect()
    }

    pub(super) async fn append_dead_letters(
        &self,
        graveyard: DeadLetterStream,
        letters: &[DeadLetter],
    ) -> Result<(), AppendError> {
        let most_bytes = self.shared.sizes.letter_bytes(self.shared.connection.client(), graveyard);
        let fitted: Vec<_> = letters.iter().map(|letter| letter.clone().fitted(most_bytes)).collect();
        let appended =
            bury::append_dead_letters(&self.shared.connection, self.names(), graveyard, &fitted).await;
        if let Err(error) = &appended {
            self.mend_after(error).await;
        }
        appended
    }

    /// Whatever it was, a look at the streams now may mend it: room is made, a lost stream is made anew, a lower limit is
    /// known.
    async fn mend_after(&self, error: &AppendError) {
        self.shared.look();
        if matches!(error, AppendError::TooLarge { .. }) {
            let (sizes, context) = (&self.shared.sizes, self.shared.connection.context());
            if let Err(error) = sizes.ask(context, self.names()).await {
                tracing::debug!(%error, "what the journal's streams take can't be asked");
            }
        }
    }

    pub(super) async fn dead_letters(
        &self,
        graveyard: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read(self.shared.connection.context(), &self.stream(graveyard), after, limit).await
    }

    pub(super) async fn dead_letter(
        &self,
        graveyard: DeadLetterStream,
        sequence: u64,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::at(self.shared.connection.context(), &self.stream(graveyard), sequence).await
    }

    pub(super) async fn remove_dead_letters(
        &self,
        graveyard: DeadLetterStream,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        dead_letters::remove(self.shared.connection.context(), &self.stream(graveyard), sequences).await
    }

    pub(super) async fn last_dead_letter(
        &self,
        graveyard: DeadLetterStream,
        subject: &str,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        dead_letters::last(self.shared.connection.context(), &self.stream(graveyard), subject).await
    }

    pub(super) async fn dead_letter_stats(
        &self,
        graveyard: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(self.shared.connection.context(), &self.stream(graveyard)).await
    }

    pub(super) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        consumer::backlog(self.shared.connection.context(), self.names(), source).await
    }

    pub(super) async fn oldest_waiting(&self, source: Source) -> Result<Option<DateTime<Utc>>, JournalError> {
        consumer::oldest_waiting(self.shared.connection.context(), self.names(), source).await
    }

    pub(super) async fn consumer(&self, source: Source) -> Result<Pull, JournalError> {
        Pull::open(Arc::clone(&self.shared), source).await
    }

    pub(super) async fn usage(&self) -> Result<Usage, JournalError> {
        if let Some(trouble) = self.shared.keeper.as_ref().and_then(Keeper::trouble) {
            return Err(JournalError::Unusable(trouble));
        }
        let (context, events) = (self.shared.connection.context(), self.names().events_stream());
        context.check_rights()?;
        let info = match api::stream_info(context, &events).await {
            Err(ApiError::NotFound(_)) => {
                // Its owner makes it anew at once: readiness need not flip for that.
                self.shared.look();
                sleep(maintenance::INTERVAL * 2).await;
                api::stream_info(context, &events).await?
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

    /// The server's clock, and how far this process's is ahead of it: the middle of question and answer counts.
    pub(super) async fn clock(&self) -> Result<Clock, JournalError> {
        let asked = Utc::now();
        let stream = self.names().events_stream();
        let told_at = api::stream_info(self.shared.connection.context(), &stream).await?.told_at;
        let answered = Utc::now();
        Ok(told_at
            .map_or(Clock::Unknown, |now| Clock::Server { now, ahead: asked + (answered - asked) / 2 - now }))
    }

    pub(super) async fn states(&self, others: Vec<JournalState>) -> Result<Vec<JournalState>, JournalError> {
        let states = self.shared.notebook.observe_and_reckon(others).await?;
        if let Some(current) = states.iter().find(|state| !state.ended) {
            self.shared.identity.store(current.journal, Ordering::Relaxed);
        }
        Ok(states)
    }

    pub(super) fn known_states(&self) -> Vec<JournalState> {
        self.shared.notebook.known()
    }

    pub(super) async fn differences(&self) -> Result<Vec<JournalSetting>, JournalError> {
        streams::check(self.shared.connection.context(), &self.shared.settings).await
    }

    pub(super) async fn promise(&self) -> Promise {
        durability::of_servers(&self.shared.settings.monitors).await
    }

    pub(super) async fn close(self, deadline: Duration) {
        if let Some(keeper) = &self.shared.keeper {
            keeper.stop();
        }
        self.shared.connection.close(deadline).await;
    }

    fn stream(&self, graveyard: DeadLetterStream) -> String {
        self.names().graveyard_stream(graveyard)
    }
}
