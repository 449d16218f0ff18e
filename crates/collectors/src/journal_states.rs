//! Copies of journal states in the store, which outlive the journal, and the count of lost frames that comes of them.
//!
//! [`weir_journal::JournalCheckpoint`] documents the states.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DbErr, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use tokio::time::{self, MissedTickBehavior};
use tracing::debug;
use weir_database::{
    clock,
    entity::{audits, journal_states, settled_frames},
};
use weir_event::Source;
use weir_journal::{Journal, JournalCheckpoint, LostFrameMetrics, SourceCheckpoint};
use weir_process::{Latch, Stop};

use crate::store::{Store, to_smallint};

/// The interval of copying.
const COPY_EVERY: Duration = Duration::from_secs(2);
/// The time limit of one query: a half-open connection never answers.
const QUERY_LIMIT: Duration = Duration::from_secs(15);
/// A journal is in use where a collector wrote its state within this time, µs.
const IN_USE: i64 = 30_000_000;
/// A state that did not change is written again after this time, µs, to show that its journal is in use.
const REFRESH: i64 = 10_000_000;

/// The job that copies the states.
#[derive(Debug)]
pub(crate) struct JournalStateCopier {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) lost: LostFrameMetrics,
    pub(crate) latch: Latch,
}

/// The states that the store has.
#[derive(Clone, Debug, Default)]
struct StoredStates {
    states: Vec<JournalCheckpoint>,
    /// When each journal's state was written, µs by the database's clock.
    noted_at: BTreeMap<i64, i64>,
    /// When they were read, by the same clock.
    now: i64,
}

impl JournalStateCopier {
    /// Copies until `stop`. Waits out an outage, which the ready probe reports.
    pub(crate) async fn run(self, stop: Stop) {
        self.latch.set(Ok(()));
        let mut tick = time::interval(COPY_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(Box::pin(self.copy())).await {
                debug!(error = format!("{error:#}"), "the journal's state can't be copied");
            }
        }
    }

    async fn copy(&self) -> anyhow::Result<()> {
        let before = self.store.stored_states().await?;
        let known = match &self.journal {
            // Another collector of the same store may use another server.
            Journal::JetStream(_) => before.without_others(self.journal.identity()),
            Journal::Embedded(_) => before.states.clone(),
        };
        let known = self.store.without_settled(known).await?;
        let states = self.journal.update_checkpoints(known).await?;
        self.store.write_states(&before, &states).await?;
        // Journals that other collectors use are counted too.
        let all = weir_journal::merge_checkpoints(before.states, states);
        self.lost.set(&all, &self.latch);
        Ok(())
    }
}

impl StoredStates {
    /// Without journals that another collector uses now: this collector can't know whether their frames have vanished.
    fn without_others(&self, own: i64) -> Vec<JournalCheckpoint> {
        let in_use = |state: &JournalCheckpoint| {
            let noted_at = self.noted_at.get(&state.journal).copied().unwrap_or_default();
            state.journal != own && !state.ended && self.now.saturating_sub(noted_at) < IN_USE
        };
        self.states.iter().filter(|state| !in_use(state)).cloned().collect()
    }

    fn is_fresh(&self, state: &JournalCheckpoint) -> bool {
        let noted_at = self.noted_at.get(&state.journal).copied().unwrap_or_default();
        self.now.saturating_sub(noted_at) < REFRESH && self.states.iter().any(|known| is_same(known, state))
    }
}

/// Whether both have the same columns in the store, which does not keep last sequences by source.
fn is_same(known: &JournalCheckpoint, state: &JournalCheckpoint) -> bool {
    *known == JournalCheckpoint { last_sequences: BTreeMap::new(), ..state.clone() }
}

impl Store {
    async fn stored_states(&self) -> anyhow::Result<StoredStates> {
        with_query_limit(async {
            let mut states: BTreeMap<i64, JournalCheckpoint> = BTreeMap::new();
            let mut noted_at = BTreeMap::new();
            for row in journal_states::Entity::find().all(&self.database).await? {
                noted_at.insert(row.journal, row.noted_at);
                let Some(source) = Source::from_number(row.source.into()) else { continue };
                let state = states.entry(row.journal).or_default();
                state.journal = row.journal;
                state.revision = row.revision.cast_unsigned();
                state.last_sequence = row.last_sequence.cast_unsigned();
                state.ended = row.ended;
                *state.of_mut(source) = SourceCheckpoint {
                    waiting: row.waiting.cast_unsigned(),
                    floor: row.acknowledged.cast_unsigned(),
                    lost: row.lost.cast_unsigned(),
                };
            }
            let now = clock::now(&self.database).await?;
            Ok(StoredStates { states: states.into_values().collect(), noted_at, now })
        })
        .await
    }

    /// Takes settled frames off the losses of ended journals: collectors may have had such a frame in hand when its
    /// journal ended.
    async fn without_settled(
        &self,
        mut states: Vec<JournalCheckpoint>,
    ) -> anyhow::Result<Vec<JournalCheckpoint>> {
        for state in states.iter_mut().filter(|state| state.ended && state.lost() > 0) {
            let Some(unsettled) = self.unsettled(state).await? else { continue };
            let (lost, facebook) = (state.lost(), state.facebook.lost);
            if unsettled < lost {
                // The source of a settled frame is not recorded, so that both sources lose their share.
                state.facebook.lost =
                    (u128::from(facebook) * u128::from(unsettled) / u128::from(lost)) as u64;
                state.tiktok.lost = unsettled - state.facebook.lost;
                state.revision += 1;
            }
        }
        Ok(states)
    }

    /// How many sequences of a journal after its last audit are not settled; `None` where it was never audited.
    async fn unsettled(&self, state: &JournalCheckpoint) -> anyhow::Result<Option<u64>> {
        use settled_frames::{Column, Entity};
        with_query_limit(async {
            let Some(audit) = audits::Entity::find_by_id(state.journal).one(&self.database).await? else {
                return Ok(None);
            };
            let (through, last) = (audit.through, state.last_sequence.cast_signed());
            let settled = Entity::find()
                .filter(Column::Journal.eq(state.journal))
                .filter(Column::Sequence.gt(through))
                .filter(Column::Sequence.lte(last))
                .count(&self.database)
                .await?;
            let after_audit = last.cast_unsigned().saturating_sub(through.cast_unsigned());
            Ok(Some(after_audit.saturating_sub(settled)))
        })
        .await
    }

    /// Writes the states that differ from `before`, unless another collector wrote a newer revision.
    async fn write_states(&self, before: &StoredStates, states: &[JournalCheckpoint]) -> anyhow::Result<()> {
        use journal_states::{ActiveModel, Column, Entity};
        let changed = states.iter().filter(|state| {
            let unchanged_end = state.ended && before.states.iter().any(|known| is_same(known, state));
            !unchanged_end && !before.is_fresh(state)
        });
        let rows: Vec<ActiveModel> = changed
            .flat_map(|state| Source::ALL.iter().map(move |source| (state, *source)))
            .map(|(state, source)| ActiveModel {
                journal: Set(state.journal),
                source: Set(to_smallint(source.number())),
                revision: Set(state.revision.cast_signed()),
                last_sequence: Set(state.last_sequence.cast_signed()),
                acknowledged: Set(state.of(source).floor.cast_signed()),
                waiting: Set(state.of(source).waiting.cast_signed()),
                lost: Set(state.of(source).lost.cast_signed()),
                ended: Set(state.ended),
                noted_at: Set(before.now),
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let revision = || Expr::col((Entity, Column::Revision));
        let not_older = Expr::cust("excluded.revision").gte(revision());
        let update = OnConflict::columns([Column::Journal, Column::Source])
            .update_columns([
                Column::Revision,
                Column::LastSequence,
                Column::Acknowledged,
                Column::Waiting,
                Column::Lost,
                Column::Ended,
                Column::NotedAt,
            ])
            .action_and_where(not_older)
            .to_owned();
        let written = Entity::insert_many(rows).on_conflict(update).exec_without_returning(&self.database);
        with_query_limit(written).await?;
        Ok(())
    }

    /// Resets the counts of lost frames of all journals. Returns how many frames were lost.
    ///
    /// # Errors
    /// The database can't be read or written now.
    pub async fn forget_losses(&self) -> anyhow::Result<u64> {
        let stored = self.stored_states().await?;
        let mut states = stored.states.clone();
        let lost = weir_journal::reset_losses(&mut states);
        self.write_states(&stored, &states).await?;
        Ok(lost)
    }

    /// The states of all journals that the store has.
    ///
    /// # Errors
    /// The database can't be read now.
    pub async fn journal_states(&self) -> anyhow::Result<Vec<JournalCheckpoint>> {
        Ok(self.stored_states().await?.states)
    }
}

async fn with_query_limit<T>(query: impl Future<Output = Result<T, DbErr>>) -> anyhow::Result<T> {
    Ok(time::timeout(QUERY_LIMIT, query).await.context("the store took too long")??)
}
