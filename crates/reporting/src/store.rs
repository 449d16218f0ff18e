//! Reading the store: one snapshot per report, so that the parts of an answer agree with each other.

mod span;

use std::{sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult,
    Statement, TransactionTrait as _,
    sea_query::{Query, SelectStatement},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;
use weir_process::trace;

use crate::{demographics::Columns, revenue::Rankings};

/// A budget that is a smaller part of what the database gives a statement by itself is told to it.
const WORTH_TELLING: f64 = 0.9;

/// The store that reports are read from. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: DatabaseConnection,
    /// What the database gives a statement by itself.
    timeout: Duration,
    /// As many reports at once as the pool has connections, but for the one that tells whether the database is
    /// there: many slow reports shall not look like an outage. The others wait in order, within their deadline.
    seats: Arc<Semaphore>,
    columns: Columns,
    rankings: Rankings,
}

impl Store {
    /// `database` was opened for reports with this `timeout`; `columns` is what is kept in memory of people.
    pub(crate) fn new(database: DatabaseConnection, timeout: Duration, columns: Columns) -> Self {
        let connections = match database.get_database_backend() {
            DatabaseBackend::Postgres => {
                database.get_postgres_connection_pool().options().get_max_connections()
            }
            DatabaseBackend::Sqlite => database.get_sqlite_connection_pool().options().get_max_connections(),
            _ => 1,
        };
        let seats = usize::try_from(connections).unwrap_or(usize::MAX).saturating_sub(1).max(1);
        let seats = Arc::new(Semaphore::new(seats));
        Self { database, timeout, seats, columns, rankings: Rankings::default() }
    }

    pub(crate) fn database(&self) -> &DatabaseConnection {
        &self.database
    }

    /// The store as it is now, to be read within about `budget`: PostgreSQL gives up a statement that takes longer,
    /// also when nobody waits for it any more.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn snapshot(&self, budget: Duration) -> Result<Snapshot, DbErr> {
        let seat = Arc::clone(&self.seats).acquire_owned().await;
        let seat = seat.expect("the semaphore is never closed");
        let transaction = match self.database.get_database_backend() {
            DatabaseBackend::Postgres => self.postgres_transaction(budget).await?,
            // Deferred: it takes no lock, and the first query takes the snapshot.
            _ => self.database.begin().await?,
        };
        let (columns, rankings) = (self.columns.clone(), self.rankings.clone());
        Ok(Snapshot { transaction, columns, rankings, _seat: seat })
    }

    async fn postgres_transaction(&self, budget: Duration) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.database.begin().await?;
        if budget < self.timeout.mul_f64(WORTH_TELLING) {
            // 0 would mean no limit at all.
            let timeout = format!("SET LOCAL statement_timeout = {}", budget.as_millis().max(1));
            transaction.execute_unprepared(&timeout).await?;
        }
        Ok(transaction)
    }
}

/// One state of the store.
#[derive(Debug)]
pub(crate) struct Snapshot {
    transaction: DatabaseTransaction,
    columns: Columns,
    rankings: Rankings,
    _seat: OwnedSemaphorePermit,
}

impl Snapshot {
    /// Every row of a query.
    ///
    /// # Errors
    /// The database is away or too slow.
    pub(crate) async fn all<Row: FromQueryResult>(&self, query: &SelectStatement) -> Result<Vec<Row>, DbErr> {
        let rows = self.traced(query, self.transaction.query_all(query)).await?;
        rows.iter().map(|row| Row::from_query_result(row, "")).collect()
    }

    /// The row of a query that always has exactly one.
    ///
    /// # Errors
    /// The database is away or too slow.
    pub(crate) async fn one<Row: FromQueryResult>(&self, query: &SelectStatement) -> Result<Row, DbErr> {
        let row = self.traced(query, self.transaction.query_one(query)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("an aggregate without a row".into()))?;
        Row::from_query_result(&row, "")
    }

    /// Every row of a statement that no query can be built for.
    ///
    /// # Errors
    /// The database is away or too slow.
    pub(crate) async fn all_raw<Row: FromQueryResult>(
        &self,
        statement: Statement,
        table: &'static str,
    ) -> Result<Vec<Row>, DbErr> {
        let named = Query::select().from(table).take();
        let rows = self.traced(&named, self.transaction.query_all_raw(statement)).await?;
        rows.iter().map(|row| Row::from_query_result(row, "")).collect()
    }

    /// From now on its statements read so many rows that parallel workers help.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn allow_workers(&self) -> Result<(), DbErr> {
        if self.backend() == DatabaseBackend::Postgres {
            let workers = "SET LOCAL max_parallel_workers_per_gather = DEFAULT";
            self.transaction.execute_unprepared(workers).await?;
        }
        Ok(())
    }

    pub(crate) fn backend(&self) -> DatabaseBackend {
        self.transaction.get_database_backend()
    }

    /// What is kept in memory of people.
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Which rankings of campaigns are remembered.
    pub(crate) fn rankings(&self) -> &Rankings {
        &self.rankings
    }

    async fn traced<T>(
        &self,
        query: &SelectStatement,
        answer: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let span = span::of(&self.transaction, query);
        let answer = answer.instrument(span.clone()).await;
        if answer.is_err() {
            span.record("error.type", "unavailable");
            trace::fail(&span, "");
        }
        answer
    }

    /// Gives the connection back, while the answer is on its way already.
    pub(crate) fn close(self) {
        tokio::spawn(async move {
            let Self { transaction, _seat, .. } = self;
            // Where the database went away, so did the transaction.
            drop(transaction.rollback().await);
        });
    }
}
