//! The store's part of the audit: how far it has got, what is settled behind that, and what is missing.

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
use weir_database::entity::{audits, frames, settled_frames, unaccounted_frames};
use weir_journal::{AckFloor, PresentFrame};

use super::Store;

/// For one step: a half-open connection answers nothing.
const LIMIT: Duration = Duration::from_secs(15);
/// Values in one statement, of which SQLite takes 32,766.
const VALUES: usize = 10_000;

const FOLD: &str = "DELETE FROM settled_frames WHERE journal = $1 AND sequence <= $2 RETURNING sequence";

/// A part of a journal that was gone through.
#[derive(Clone, Debug)]
pub(crate) struct AuditedPart {
    pub(crate) journal: i64,
    /// What was gone through before.
    pub(crate) from: u64,
    pub(crate) through: u64,
    /// Acknowledged frames of it that are not settled.
    pub(crate) missing: Vec<u64>,
}

impl Store {
    /// How far the audit of a journal has got. The first one begins behind what is acknowledged then: of what came
    /// before, nothing was recorded.
    pub(crate) async fn audited_through(&self, seen: AckFloor) -> anyhow::Result<u64> {
        in_time(async {
            if let Some(audit) = audits::Entity::find_by_id(seen.journal).one(&self.database).await? {
                return Ok(audit.through.cast_unsigned());
            }
            let first =
                audits::ActiveModel { journal: Set(seen.journal), through: Set(seen.through.cast_signed()) };
            let once = OnConflict::column(audits::Column::Journal).do_nothing().to_owned();
            audits::Entity::insert(first).on_conflict(once).exec_without_returning(&self.database).await?;
            Ok(seen.through)
        })
        .await
    }

    /// Which frames of a part of a journal are settled.
    pub(crate) async fn settled(
        &self,
        journal: i64,
        sequences: RangeInclusive<u64>,
    ) -> anyhow::Result<BTreeSet<u64>> {
        use settled_frames::{Column, Entity};
        let (first, last) = (sequences.start().cast_signed(), sequences.end().cast_signed());
        let settled = Entity::find()
            .select_only()
            .column(Column::Sequence)
            .filter(Column::Journal.eq(journal))
            .filter(Column::Sequence.between(first, last))
            .into_tuple::<i64>();
        let settled = in_time(settled.all(&self.database)).await?;
        Ok(settled.into_iter().map(i64::cast_unsigned).collect())
    }

    /// Which of these frames left their accounts, whoever stored them.
    pub(crate) async fn with_accounts(&self, held: &[PresentFrame]) -> anyhow::Result<HashSet<String>> {
        use frames::{Column, Entity};
        let known = Entity::find()
            .select_only()
            .column(Column::FrameId)
            .filter(Column::FrameId.is_in(held.iter().map(|frame| frame.id.as_str())))
            .into_tuple::<String>();
        Ok(in_time(known.all(&self.database)).await?.into_iter().collect())
    }

    /// Writes down what was gone through; false where another collector has got further meanwhile.
    pub(crate) async fn close_audit(&self, part: &AuditedPart) -> anyhow::Result<bool> {
        in_time(async {
            let transaction = self.database.begin().await?;
            if part.from < part.through && !advance(&transaction, part).await? {
                transaction.rollback().await?;
                return Ok(false);
            }
            fold(&transaction, part).await?;
            note_missing(&transaction, part).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// How many frames are missing, of whatever journal.
    pub(crate) async fn unaccounted(&self) -> anyhow::Result<u64> {
        in_time(unaccounted_frames::Entity::find().count(&self.database)).await
    }
}

/// Also keeps every other collector from the journal's audit until the transaction ends.
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

/// What was gone through needs no record of its own. A frame before it that is settled now was offered again: it may
/// have been missing.
async fn fold(transaction: &DatabaseTransaction, part: &AuditedPart) -> Result<(), DbErr> {
    use unaccounted_frames::{Column, Entity};
    let values = [part.journal.into(), part.through.cast_signed().into()];
    let fold = Statement::from_sql_and_values(transaction.get_database_backend(), FOLD, values);
    let mut again: Vec<i64> = Vec::new();
    for row in transaction.query_all_raw(fold).await? {
        again.push(row.try_get("", "sequence")?);
    }
    again.retain(|sequence| sequence.cast_unsigned() <= part.from);
    for again in again.chunks(VALUES) {
        Entity::delete_many()
            .filter(Column::Journal.eq(part.journal))
            .filter(Column::Sequence.is_in(again.iter().copied()))
            .exec(transaction)
            .await?;
    }
    Ok(())
}

async fn note_missing(transaction: &DatabaseTransaction, part: &AuditedPart) -> Result<(), DbErr> {
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

async fn in_time<T>(step: impl Future<Output = Result<T, DbErr>>) -> anyhow::Result<T> {
    Ok(tokio::time::timeout(LIMIT, step).await.context("the audit's step took too long")??)
}
