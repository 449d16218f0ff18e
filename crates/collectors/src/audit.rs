//! The audit: compares the frames that the journal holds as acknowledged with those that the store has settled.
//!
//! Both sides are durable, so that no restart and no kill changes the result. Every collector audits; one at a time
//! records how far the audit has advanced (docs/reliability.md#i8-accounting).

use std::{
    collections::{BTreeSet, HashSet},
    ops::RangeInclusive,
    time::Duration,
};

use anyhow::Context as _;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QuerySelect as _, Statement, TransactionTrait as _,
    sea_query::{Expr, OnConflict},
};
use tokio::time::{self, MissedTickBehavior};
use tracing::{debug, error};
use weir_database::entity::{audits, frames, settled_frames, unaccounted_frames};
use weir_journal::{AckFloor, Journal, PresentFrame};
use weir_process::Stop;

use crate::{metrics::AuditMetrics, store::Store};

/// The interval of the audit: one request to the journal's server and two queries of the database.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Frames that are audited at once. The journal is asked for each missing one.
const FRAMES_AT_ONCE: u64 = 1_000;
/// The time limit of one query: a half-open connection never answers.
const QUERY_LIMIT: Duration = Duration::from_secs(15);
/// Values in one statement; SQLite takes 32,766.
const VALUES_PER_STATEMENT: usize = 10_000;

const FOLD: &str = "DELETE FROM settled_frames WHERE journal = $1 AND sequence <= $2 RETURNING sequence";

/// The job that compares the journal with the store.
#[derive(Debug)]
pub(crate) struct Auditor {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) metrics: AuditMetrics,
}

/// A part of a journal that was audited.
#[derive(Clone, Debug)]
struct AuditedPart {
    journal: i64,
    /// The last sequence before it.
    from: u64,
    /// Its last sequence.
    through: u64,
    /// Its acknowledged frames that are not settled.
    missing: Vec<u64>,
}

impl Auditor {
    /// Audits until `stop`. Waits out an outage, which the ready probe reports.
    pub(crate) async fn run(self, stop: Stop) {
        let mut tick = time::interval(CHECK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            match stop.run_until_cancelled(Box::pin(self.advance(before))).await {
                Some(Ok(floor)) => before = Some(floor),
                Some(Err(error)) => {
                    self.metrics.failed();
                    debug!(error = format!("{error:#}"), "the audit waits");
                }
                None => {}
            }
        }
    }

    /// Audits up to the lower of two consecutive floors, because a single one may be too high. Returns the newer floor.
    async fn advance(&self, before: Option<AckFloor>) -> anyhow::Result<AckFloor> {
        let floor = self.journal.ack_floor().await?;
        let mut from = self.store.audited_through(floor).await?;
        let before = before.filter(|before| before.journal == floor.journal);
        let sure = before.map_or(from, |before| before.through.min(floor.through)).max(from);
        while let Some(part) = self.audit_part(floor.journal, from, sure).await? {
            if !self.store.record_audit(&part).await? {
                break;
            }
            report_missing(&part);
            from = part.through;
            // The rest waits for the next tick where frames are missing, because each costs the journal a request.
            if from == sure || !part.missing.is_empty() {
                break;
            }
        }
        self.metrics.show(self.store.unaccounted().await?);
        Ok(floor)
    }

    /// The next part; `None` where another collector has advanced the audit meanwhile.
    async fn audit_part(&self, journal: i64, from: u64, sure: u64) -> anyhow::Result<Option<AuditedPart>> {
        let through = sure.min(from.saturating_add(FRAMES_AT_ONCE));
        let settled = self.store.settled(journal, from + 1..=through).await?;
        let unsettled: Vec<u64> =
            (from + 1..=through).filter(|sequence| !settled.contains(sequence)).collect();
        let as_before = AckFloor { journal, through: from };
        if !unsettled.is_empty() && self.store.audited_through(as_before).await? != from {
            return Ok(None);
        }
        let missing = self.missing(&unsettled).await?;
        Ok(Some(AuditedPart { journal, from, through, missing }))
    }

    /// The missing frames among those that are not recorded as settled. A frame is not missing where the journal never
    /// had it or has dropped it by age, nor where a build that records no positions left its accounts.
    async fn missing(&self, unsettled: &[u64]) -> anyhow::Result<Vec<u64>> {
        if unsettled.is_empty() {
            return Ok(Vec::new());
        }
        let present = self.journal.present_frames(unsettled).await?;
        let with_accounts = self.store.with_accounts(&present).await?;
        let missing = present.iter().filter(|frame| !with_accounts.contains(&frame.id));
        Ok(missing.map(|frame| frame.sequence).collect())
    }
}

/// Logs missing frames once in the fleet: only the collector that recorded the part calls this.
fn report_missing(part: &AuditedPart) {
    if let (Some(first), Some(last)) = (part.missing.first(), part.missing.last()) {
        let frames = part.missing.len();
        error!(
            frames,
            first, last, "the journal holds frames as acknowledged that the store knows nothing of"
        );
    }
}

impl Store {
    /// The last audited sequence of a journal. The first audit of a journal begins at its floor, because no positions
    /// were recorded before.
    async fn audited_through(&self, floor: AckFloor) -> anyhow::Result<u64> {
        with_query_limit(async {
            if let Some(audit) = audits::Entity::find_by_id(floor.journal).one(&self.database).await? {
                return Ok(audit.through.cast_unsigned());
            }
            let first = audits::ActiveModel {
                journal: Set(floor.journal),
                through: Set(floor.through.cast_signed()),
            };
            let once = OnConflict::column(audits::Column::Journal).do_nothing().to_owned();
            audits::Entity::insert(first).on_conflict(once).exec_without_returning(&self.database).await?;
            Ok(floor.through)
        })
        .await
    }

    /// The settled ones among the frames of a journal's range.
    async fn settled(&self, journal: i64, sequences: RangeInclusive<u64>) -> anyhow::Result<BTreeSet<u64>> {
        use settled_frames::{Column, Entity};
        let (first, last) = (sequences.start().cast_signed(), sequences.end().cast_signed());
        let settled = Entity::find()
            .select_only()
            .column(Column::Sequence)
            .filter(Column::Journal.eq(journal))
            .filter(Column::Sequence.between(first, last))
            .into_tuple::<i64>();
        let settled = with_query_limit(settled.all(&self.database)).await?;
        Ok(settled.into_iter().map(i64::cast_unsigned).collect())
    }

    /// The ids of those frames that have accounts, from any build.
    async fn with_accounts(&self, present: &[PresentFrame]) -> anyhow::Result<HashSet<String>> {
        use frames::{Column, Entity};
        let known = Entity::find()
            .select_only()
            .column(Column::FrameId)
            .filter(Column::FrameId.is_in(present.iter().map(|frame| frame.id.as_str())))
            .into_tuple::<String>();
        Ok(with_query_limit(known.all(&self.database)).await?.into_iter().collect())
    }

    /// Records an audited part. Returns false where another collector has advanced the audit meanwhile.
    async fn record_audit(&self, part: &AuditedPart) -> anyhow::Result<bool> {
        with_query_limit(async {
            let transaction = self.database.begin().await?;
            if part.from < part.through && !advance(&transaction, part).await? {
                transaction.rollback().await?;
                return Ok(false);
            }
            fold_settled(&transaction, part).await?;
            record_missing(&transaction, part).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// The number of missing frames, over all journals.
    async fn unaccounted(&self) -> anyhow::Result<u64> {
        with_query_limit(unaccounted_frames::Entity::find().count(&self.database)).await
    }
}

/// Moves the audit to the end of the part. The updated row also keeps other collectors from this journal's audit until
/// the transaction ends.
async fn advance(transaction: &DatabaseTransaction, part: &AuditedPart) -> Result<bool, DbErr> {
    use audits::{Column, Entity};
    let advanced = Entity::update_many()
        .col_expr(Column::Through, Expr::value(part.through.cast_signed()))
        .filter(Column::Journal.eq(part.journal))
        .filter(Column::Through.eq(part.from.cast_signed()))
        .exec(transaction)
        .await?;
    Ok(advanced.rows_affected > 0)
}

/// Deletes the records of audited frames, which are needed no longer. A frame before the part that is settled only now
/// was redelivered; it may have been missing until now, and is missing no longer.
async fn fold_settled(transaction: &DatabaseTransaction, part: &AuditedPart) -> Result<(), DbErr> {
    use unaccounted_frames::{Column, Entity};
    let values = [part.journal.into(), part.through.cast_signed().into()];
    let fold = Statement::from_sql_and_values(transaction.get_database_backend(), FOLD, values);
    let mut redelivered: Vec<i64> = Vec::new();
    for row in transaction.query_all_raw(fold).await? {
        redelivered.push(row.try_get("", "sequence")?);
    }
    redelivered.retain(|sequence| sequence.cast_unsigned() <= part.from);
    for redelivered in redelivered.chunks(VALUES_PER_STATEMENT) {
        Entity::delete_many()
            .filter(Column::Journal.eq(part.journal))
            .filter(Column::Sequence.is_in(redelivered.iter().copied()))
            .exec(transaction)
            .await?;
    }
    Ok(())
}

async fn record_missing(transaction: &DatabaseTransaction, part: &AuditedPart) -> Result<(), DbErr> {
    use unaccounted_frames::{ActiveModel, Column, Entity};
    if part.missing.is_empty() {
        return Ok(());
    }
    let missing = part
        .missing
        .iter()
        .map(|sequence| ActiveModel { journal: Set(part.journal), sequence: Set(sequence.cast_signed()) });
    let once = OnConflict::columns([Column::Journal, Column::Sequence]).do_nothing().to_owned();
    Entity::insert_many(missing).on_conflict(once).exec_without_returning(transaction).await.map(drop)
}

async fn with_query_limit<T>(query: impl Future<Output = Result<T, DbErr>>) -> anyhow::Result<T> {
    Ok(time::timeout(QUERY_LIMIT, query).await.context("a query of the audit took too long")??)
}
