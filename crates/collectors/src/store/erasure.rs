//! Taking a person out of what is stored, in steps that can each be repeated: whoever carries an erasure on after
//! another one broke off leaves the same behind.

mod postgres;
mod sqlite;

use std::time::Duration;

use anyhow::Context as _;
use rand::RngExt as _;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, EntityTrait as _,
    QueryFilter as _, QuerySelect as _, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use weir_database::{
    check_writer, clock,
    entity::{erasure_keys, erasures, frames},
    oldest_writer,
};
use weir_journal::Erasure;

use super::{
    ErasedPersons, Pool, STORE_LOCK, Store, erased::PersonKey, people_deltas::Delta, rollups::Rollups,
    row::small,
};
use crate::people::People;

/// For one transaction: a half-open connection answers nothing.
const LIMIT: Duration = Duration::from_secs(15);
/// The server gives up first. Who records an erasure waits for everybody who stores, and they for it.
const SERVER_LIMIT: &str = "SET LOCAL statement_timeout = '10s'";
/// The number of the one key.
const KEY_NUMBER: i16 = 1;

/// What [`super::row::Row::without_person`] leaves out.
const FORGET: &str = "user_id = '', user_name = '', age = NULL, gender = NULL, followers = NULL, country = NULL, \
    city = NULL, profile_id = NULL";
/// In the transaction that makes them anonymous, so that each row is counted once, whoever carries the erasure on.
const NOTE_ROWS: &str = "UPDATE erasures SET \"rows\" = COALESCE(\"rows\", 0) + $2 WHERE erasure_id = $1";

/// What is left to do of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureStage {
    /// It is recorded: from now on nothing of the person is stored.
    Recorded,
    /// All of it was done before.
    Complete,
}

/// What an erasure did in all, however often it broke off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureCounts {
    pub rows: u64,
    pub dead_letters: u64,
}

/// Of a person's row, what the rollups know of it: when it occurred, its stage, its type, the age or the followers.
type Removals = (i64, i16, i16, Option<i64>);

/// What rows that were made anonymous take off the rollups.
fn taken_off(source: i16, taken: &[Removals]) -> Rollups<'static> {
    let mut rollups = Rollups::default();
    for (occurred_at, funnel_stage, event_type, measure) in taken {
        let kind = (source, *funnel_stage, *event_type);
        measure.iter().for_each(|measure| rollups.take_out(kind, *occurred_at, *measure));
    }
    rollups
}

/// What rows that were made anonymous leave to be taken out of the sets of people.
fn noted<'a>(erasure_id: &'a str, source: i16, taken: &[Removals]) -> Option<Delta<'a>> {
    let measured = taken.iter().filter(|(.., measure)| measure.is_some());
    let times = measured.map(|(occurred_at, ..)| *occurred_at);
    Delta::taken_out(source, erasure_id, times)
}

/// A person as the statements name one: rows that had arrived by then, µs since the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Person<'a> {
    source: i16,
    user_id: &'a str,
    until: i64,
}

impl Store {
    /// The first step. When this returns, no transaction stores an event of the person that had arrived by then, or
    /// any with `suppress`, unless without the person.
    ///
    /// # Errors
    /// The store does not take it now.
    pub async fn record_erasure(&self, erasure: &Erasure) -> anyhow::Result<ErasureStage> {
        tokio::time::timeout(LIMIT, self.record(erasure))
            .await
            .context("recording took too long")?
            .map_err(Into::into)
    }

    /// The second step: makes the person's rows anonymous, window by window over the whole table, each in a
    /// transaction of its own, and then takes the person out of what distinct users are counted by.
    ///
    /// # Errors
    /// The store does not take it now; what was done stays done.
    pub async fn make_anonymous(&self, erasure: &Erasure) -> anyhow::Result<()> {
        let person = Person {
            source: small(erasure.source.number()),
            user_id: &erasure.user_id,
            until: if erasure.suppress { i64::MAX } else { erasure.requested_at.timestamp_micros() },
        };
        match &self.pool {
            Pool::Postgres(pool) => postgres::make_anonymous(pool, &erasure.id, person).await?,
            Pool::Sqlite(pool) => sqlite::make_anonymous(pool, &erasure.id, person).await?,
        }
        let people = People::new(self);
        let forgotten = people.forget(&erasure.id, person.source, person.user_id, person.until);
        Ok(Box::pin(forgotten).await?)
    }

    /// Notes that more of the person's dead letters are gone.
    ///
    /// # Errors
    /// The store does not take it now.
    pub async fn note_removed_letters(&self, erasure: &Erasure, letters: u64) -> anyhow::Result<()> {
        let removed = Expr::col(erasures::Column::DeadLetters).if_null(0_i64).add(letters.cast_signed());
        let note = erasures::Entity::update_many()
            .col_expr(erasures::Column::DeadLetters, removed)
            .filter(erasures::Column::ErasureId.eq(&erasure.id));
        tokio::time::timeout(LIMIT, note.exec(&self.database)).await.context("noting took too long")??;
        Ok(())
    }

    /// The last step: the receipt, and the frame among those that are dealt with.
    ///
    /// # Errors
    /// The store does not take it now.
    pub async fn complete_erasure(&self, erasure: &Erasure) -> anyhow::Result<ErasureCounts> {
        let counts = tokio::time::timeout(LIMIT, self.complete(erasure)).await;
        counts.context("completing took too long")?.map_err(Into::into)
    }

    /// Everybody who was erased.
    ///
    /// # Errors
    /// The store can't be read.
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
            let key = the_key(&transaction).await?;
            let record = erasures::ActiveModel {
                erasure_id: Set(erasure.id.clone()),
                source: Set(small(erasure.source.number())),
                user_hash: Set(key.hash(&erasure.user_id).to_vec()),
                suppress: Set(erasure.suppress),
                requested_at: Set(erasure.requested_at.timestamp_micros()),
                recorded_at: Set(next_record(&transaction).await?),
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
            source: Set(small(erasure.source.number())),
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

    /// Begins alone: nobody stores or removes rows until it ends.
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let at_once = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.database.begin_with_options(at_once).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            transaction.execute_unprepared(SERVER_LIMIT).await?;
            let alone = format!("SELECT pg_advisory_xact_lock({STORE_LOCK})");
            transaction.execute_unprepared(&alone).await?;
        }
        let oldest = oldest_writer(&transaction).await?;
        check_writer(oldest.as_deref()).map_err(|refused| DbErr::Custom(refused.to_string()))?;
        Ok(transaction)
    }
}

/// The key of the deployment's hashes; the first erasure makes it.
async fn the_key(transaction: &DatabaseTransaction) -> Result<PersonKey, DbErr> {
    if let Some(row) = erasure_keys::Entity::find_by_id(KEY_NUMBER).one(transaction).await? {
        return Ok(PersonKey::new(&row.key));
    }
    let key: [u8; 32] = rand::rng().random();
    let row = erasure_keys::ActiveModel { number: Set(KEY_NUMBER), key: Set(key.to_vec()) };
    erasure_keys::Entity::insert(row).exec_without_returning(transaction).await?;
    Ok(PersonKey::new(&key))
}

/// Now, or just behind the newest record: whoever knows the newest knows all of them.
async fn next_record(transaction: &DatabaseTransaction) -> Result<i64, DbErr> {
    let newest = erasures::Entity::find()
        .select_only()
        .column_as(erasures::Column::RecordedAt.max(), "newest")
        .into_tuple::<Option<i64>>()
        .one(transaction)
        .await?;
    let now = clock::now(transaction).await?;
    Ok(newest.flatten().map_or(now, |newest| Ord::max(now, newest + 1)))
}
