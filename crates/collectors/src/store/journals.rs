//! Notes of journals, copied where they outlive them: `weir_journal::JournalCheckpoint`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DbErr, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use weir_database::{
    clock,
    entity::{audits, journal_states, settled_frames},
};
use weir_event::Source;
use weir_journal::{JournalCheckpoint, SourceCheckpoint};

use super::{Store, row::small};

/// For one step: a half-open connection answers nothing.
const LIMIT: Duration = Duration::from_secs(15);
/// A journal that a collector saw within this is in use, although it is not this collector's.
const IN_USE: i64 = 30_000_000;
/// A note that did not change is written again so often, µs: it says that the journal is in use.
const REFRESH: i64 = 10_000_000;

/// What the store has noted of journals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    pub(crate) states: Vec<JournalCheckpoint>,
    /// By journal, µs by the database's clock.
    noted_at: BTreeMap<i64, i64>,
    now: i64,
}

impl Noted {
    /// Without those that another collector uses now: of them this one can't say whether they vanished.
    pub(crate) fn without_others(&self, own: i64) -> Vec<JournalCheckpoint> {
        let in_use = |state: &JournalCheckpoint| {
            let seen = self.noted_at.get(&state.journal).copied().unwrap_or_default();
            state.journal != own && !state.ended && self.now.saturating_sub(seen) < IN_USE
        };
        self.states.iter().filter(|state| !in_use(state)).cloned().collect()
    }

    fn is_fresh(&self, state: &JournalCheckpoint) -> bool {
        let seen = self.noted_at.get(&state.journal).copied().unwrap_or_default();
        self.now.saturating_sub(seen) < REFRESH && self.states.iter().any(|known| same(known, state))
    }
}

/// Whether the store has nothing else to say of it.
fn same(known: &JournalCheckpoint, state: &JournalCheckpoint) -> bool {
    *known == JournalCheckpoint { last_sequences: BTreeMap::new(), ..state.clone() }
}

impl Store {
    pub(crate) async fn noted_journals(&self) -> anyhow::Result<Noted> {
        in_time(async {
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
            Ok(Noted { states: states.into_values().collect(), noted_at, now })
        })
        .await
    }

    /// Of journals that ended, what is stored after all is not lost: collectors may have had it in hand.
    pub(crate) async fn without_settled(
        &self,
        mut states: Vec<JournalCheckpoint>,
    ) -> anyhow::Result<Vec<JournalCheckpoint>> {
        for state in states.iter_mut().filter(|state| state.ended && state.lost() > 0) {
            let Some(unsettled) = self.unsettled(state).await? else { continue };
            let (lost, facebook) = (state.lost(), state.facebook.lost);
            if unsettled < lost {
                // Which source they are of is not known: both lose their share.
                state.facebook.lost =
                    (u128::from(facebook) * u128::from(unsettled) / u128::from(lost)) as u64;
                state.tiktok.lost = unsettled - state.facebook.lost;
                state.revision += 1;
            }
        }
        Ok(states)
    }

    /// How many sequences of a journal behind its last audit are not settled; `None` where it was never audited.
    async fn unsettled(&self, state: &JournalCheckpoint) -> anyhow::Result<Option<u64>> {
        use settled_frames::{Column, Entity};
        in_time(async {
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
            let behind = last.cast_unsigned().saturating_sub(through.cast_unsigned());
            Ok(Some(behind.saturating_sub(settled)))
        })
        .await
    }

    /// Writes what differs from `before`, unless another collector wrote something newer.
    pub(crate) async fn note_journals(
        &self,
        before: &Noted,
        states: &[JournalCheckpoint],
    ) -> anyhow::Result<()> {
        use journal_states::{ActiveModel, Column, Entity};
        let changed = states.iter().filter(|state| {
            let unchanged_end = state.ended && before.states.iter().any(|known| same(known, state));
            !unchanged_end && !before.is_fresh(state)
        });
        let rows: Vec<ActiveModel> = changed
            .flat_map(|state| Source::ALL.iter().map(move |source| (state, *source)))
            .map(|(state, source)| ActiveModel {
                journal: Set(state.journal),
                source: Set(small(source.number())),
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
        in_time(Entity::insert_many(rows).on_conflict(update).exec_without_returning(&self.database)).await?;
        Ok(())
    }

    /// Sets every loss that is noted back to none; returns how many frames were lost.
    ///
    /// # Errors
    /// The store does not take it now.
    pub async fn forget_losses(&self) -> anyhow::Result<u64> {
        let noted = self.noted_journals().await?;
        let mut states = noted.states.clone();
        let lost = weir_journal::reset_losses(&mut states);
        self.note_journals(&noted, &states).await?;
        Ok(lost)
    }

    /// What is noted of journals.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn journal_states(&self) -> anyhow::Result<Vec<JournalCheckpoint>> {
        Ok(self.noted_journals().await?.states)
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T, DbErr>>) -> anyhow::Result<T> {
    Ok(tokio::time::timeout(LIMIT, step).await.context("the store took too long")??)
}
