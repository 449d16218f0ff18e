//! Records of erasures, from the order to the receipt. Each step can be repeated, so that any collector can continue an
//! interrupted erasure.

use std::time::Duration;

use anyhow::Context as _;
use rand::RngExt as _;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
    QuerySelect as _, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use weir_database::{
    advisory_lock::AdvisoryLock,
    check_writer, clock,
    dialect::Dialect,
    entity::{erasure_keys, erasures, frames},
    oldest_writer,
};
use weir_journal::Erasure;

use super::{
    Store,
    erased::{ErasedPersons, PersonHasher},
    row::to_smallint,
};

/// The time limit of one transaction: a half-open connection never answers.
const LIMIT: Duration = Duration::from_secs(15);
/// The server's limit is shorter. An erasure and the storing transactions exclude each other, so both wait.
const SERVER_LIMIT: &str = "SET LOCAL statement_timeout = '10s'";
/// The number of the only key.
const KEY_NUMBER: i16 = 1;

/// How far an erasure has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureStage {
    /// It is recorded. From now on, no event that it covers is stored with the person.
    Recorded,
    /// It is complete, and its frame has its accounts.
    Complete,
}

/// The totals of an erasure, over all of its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureCounts {
    /// Rows that were anonymized.
    pub rows: u64,
    /// Dead letters that were removed.
    pub dead_letters: u64,
}

impl Store {
    /// Records the erasure: the first step. From then on, no transaction stores the person with an event that had
    /// arrived by the request; with `suppress`, with any event.
    ///
    /// # Errors
    /// The database can't be written now.
    pub async fn record_erasure(&self, erasure: &Erasure) -> anyhow::Result<ErasureStage> {
        tokio::time::timeout(LIMIT, self.record(erasure))
            .await
            .context("recording took too long")?
            .map_err(Into::into)
    }

    /// Adds removed dead letters to the erasure's total.
    ///
    /// # Errors
    /// The database can't be written now.
    pub async fn note_removed_dead_letters(&self, erasure: &Erasure, letters: u64) -> anyhow::Result<()> {
        let removed = Expr::col(erasures::Column::DeadLetters).if_null(0_i64).add(letters.cast_signed());
        let note = erasures::Entity::update_many()
            .col_expr(erasures::Column::DeadLetters, removed)
            .filter(erasures::Column::ErasureId.eq(&erasure.id));
        tokio::time::timeout(LIMIT, note.exec(&self.database)).await.context("noting took too long")??;
        Ok(())
    }

    /// Completes the receipt and writes the accounts of the erasure's frame: the last step.
    ///
    /// # Errors
    /// The database can't be written now.
    pub async fn complete_erasure(&self, erasure: &Erasure) -> anyhow::Result<ErasureCounts> {
        let counts = tokio::time::timeout(LIMIT, self.complete(erasure)).await;
        counts.context("completing took too long")?.map_err(Into::into)
    }

    /// All erased persons.
    ///
    /// # Errors
    /// The database can't be read now.
    pub async fn erased_persons(&self) -> anyhow::Result<ErasedPersons> {
        let key = erasure_keys::Entity::find_by_id(KEY_NUMBER).one(&self.database).await?;
        let records = erasures::Entity::find().all(&self.database).await?;
        let records = records
            .into_iter()
            .map(|row| (row.source, row.user_hash, row.suppress, row.requested_at, row.recorded_at));
        Ok(ErasedPersons::new(key.map(|row| row.key), records.collect()))
    }

    async fn record(&self, erasure: &Erasure) -> Result<ErasureStage, DbErr> {
        let transaction = self.begin().await?;
        if frames::Entity::find_by_id(&erasure.id).one(&transaction).await?.is_some() {
            return Ok(ErasureStage::Complete);
        }
        if erasures::Entity::find_by_id(&erasure.id).one(&transaction).await?.is_none() {
            let hasher = hasher(&transaction).await?;
            let record = erasures::ActiveModel {
                erasure_id: Set(erasure.id.clone()),
                source: Set(to_smallint(erasure.source.number())),
                user_hash: Set(hasher.hash(&erasure.user_id).to_vec()),
                suppress: Set(erasure.suppress),
                requested_at: Set(erasure.requested_at.timestamp_micros()),
                recorded_at: Set(next_recorded_at(&transaction).await?),
                rows: NotSet,
                dead_letters: NotSet,
                completed_at: NotSet,
            };
            erasures::Entity::insert(record).exec_without_returning(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(ErasureStage::Recorded)
    }

    async fn complete(&self, erasure: &Erasure) -> Result<ErasureCounts, DbErr> {
        let transaction = self.begin().await?;
        let now = clock::now(&transaction).await?;
        let counted = |column: erasures::Column| Expr::col(column).if_null(0_i64);
        erasures::Entity::update_many()
            .col_expr(erasures::Column::CompletedAt, Expr::value(now))
            .col_expr(erasures::Column::Rows, counted(erasures::Column::Rows))
            .col_expr(erasures::Column::DeadLetters, counted(erasures::Column::DeadLetters))
            .filter(erasures::Column::ErasureId.eq(&erasure.id))
            .filter(erasures::Column::CompletedAt.is_null())
            .exec(&transaction)
            .await?;
        let frame = frames::ActiveModel {
            frame_id: Set(erasure.id.clone()),
            source: Set(to_smallint(erasure.source.number())),
            stored: Set(0),
            duplicate: Set(0),
            parked: Set(0),
            committed_at: Set(now),
        };
        let once = OnConflict::column(frames::Column::FrameId).do_nothing().to_owned();
        frames::Entity::insert(frame).on_conflict(once).exec_without_returning(&transaction).await?;
        let done = erasures::Entity::find_by_id(&erasure.id).one(&transaction).await?;
        transaction.commit().await?;
        let count = |count: Option<i64>| count.unwrap_or_default().unsigned_abs();
        Ok(done
            .map(|done| ErasureCounts { rows: count(done.rows), dead_letters: count(done.dead_letters) })
            .unwrap_or_default())
    }

    /// Begins a transaction that excludes storing and removing rows until it ends.
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.database.begin_with_options(immediate).await?;
        if Dialect::of(&transaction) == Dialect::Postgres {
            transaction.execute_unprepared(SERVER_LIMIT).await?;
            transaction.execute_unprepared(&AdvisoryLock::Store.lock_transaction_sql()).await?;
        }
        let oldest = oldest_writer(&transaction).await?;
        check_writer(oldest.as_deref()).map_err(|refused| DbErr::Custom(refused.to_string()))?;
        Ok(transaction)
    }
}

/// The hasher with the deployment's key, which the first erasure creates.
async fn hasher(transaction: &DatabaseTransaction) -> Result<PersonHasher, DbErr> {
    if let Some(row) = erasure_keys::Entity::find_by_id(KEY_NUMBER).one(transaction).await? {
        return Ok(PersonHasher::new(&row.key));
    }
    let key: [u8; 32] = rand::rng().random();
    let row = erasure_keys::ActiveModel { number: Set(KEY_NUMBER), key: Set(key.to_vec()) };
    erasure_keys::Entity::insert(row).exec_without_returning(transaction).await?;
    Ok(PersonHasher::new(&key))
}

/// Now, or one microsecond after the newest record. Times of records ascend, so that a cache with the newest record has
/// all of them.
async fn next_recorded_at(transaction: &DatabaseTransaction) -> Result<i64, DbErr> {
    let newest = erasures::Entity::find()
        .select_only()
        .column_as(erasures::Column::RecordedAt.max(), "newest")
        .into_tuple::<Option<i64>>()
        .one(transaction)
        .await?;
    let now = clock::now(transaction).await?;
    Ok(newest.flatten().map_or(now, |newest| Ord::max(now, newest + 1)))
}

/// The latest arrival of an event that the erasure covers, µs since the Unix epoch.
pub(crate) fn last_arrival(erasure: &Erasure) -> i64 {
    if erasure.suppress { i64::MAX } else { erasure.requested_at.timestamp_micros() }
}
