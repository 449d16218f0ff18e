//! Snapshots of the store: each report reads one, so that the parts of a response agree with each other.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt as _;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement,
    StreamTrait as _, TransactionTrait as _, Value,
    sea_query::{Query, SelectStatement},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument as _, Span, field::Empty, info_span};
use weir_database::{
    MalformedBlob,
    dialect::{Dialect, Pool},
};
use weir_process::trace;

/// Where the budget of a report is a smaller part of the pool's timeout, the transaction sets a timeout of its own.
const SHORTER_TIMEOUT: f64 = 0.9;

/// The store that reports read. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ReportStore {
    database: DatabaseConnection,
    /// The statement timeout of the pool.
    timeout: Duration,
    /// One permit for each report at once: as many as the pool has connections, less one for the check of the schema.
    /// So many slow reports do not look like an outage. Further reports wait in order, within their deadline.
    permits: Arc<Semaphore>,
}

impl ReportStore {
    /// `database` is a pool for reports with this `timeout`.
    pub(crate) fn new(database: DatabaseConnection, timeout: Duration) -> Self {
        let connections = Pool::of(&database).max_connections();
        let permits = usize::try_from(connections).unwrap_or(usize::MAX).saturating_sub(1).max(1);
        Self { database, timeout, permits: Arc::new(Semaphore::new(permits)) }
    }

    pub(crate) fn database(&self) -> &DatabaseConnection {
        &self.database
    }

    /// The present state of the store, to be read within about `budget`. PostgreSQL gives up a statement that takes
    /// longer, also where the caller has gone.
    ///
    /// # Errors
    /// The database can't be reached.
    pub(crate) async fn snapshot(&self, budget: Duration) -> Result<Snapshot, DbErr> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let transaction = match Dialect::of(&self.database) {
            Dialect::Postgres => self.postgres_transaction(budget).await?,
            // Deferred: the transaction takes no lock, and the first query takes the snapshot.
            Dialect::Sqlite => self.database.begin().await?,
        };
        Ok(Snapshot { transaction, _permit: permit })
    }

    async fn postgres_transaction(&self, budget: Duration) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.database.begin().await?;
        if budget < self.timeout.mul_f64(SHORTER_TIMEOUT) {
            // 0 would mean no limit.
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
    _permit: OwnedSemaphorePermit,
}

impl Snapshot {
    /// Every row of a query.
    ///
    /// # Errors
    /// The database can't be reached or is too slow.
    pub(crate) async fn all<Row: FromQueryResult>(&self, query: &SelectStatement) -> Result<Vec<Row>, DbErr> {
        let rows = self.traced(query, self.transaction.query_all(query)).await?;
        rows.iter().map(|row| Row::from_query_result(row, "")).collect()
    }

    /// The row of a query that always has exactly one.
    ///
    /// # Errors
    /// The database can't be reached or is too slow.
    pub(crate) async fn one<Row: FromQueryResult>(&self, query: &SelectStatement) -> Result<Row, DbErr> {
        let row = self.traced(query, self.transaction.query_one(query)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("an aggregate without a row".into()))?;
        Row::from_query_result(&row, "")
    }

    /// Every row of a statement that sea-query can't build; its span names `table`.
    ///
    /// # Errors
    /// The database can't be reached or is too slow.
    pub(crate) async fn all_raw<Row: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
        table: &'static str,
    ) -> Result<Vec<Row>, DbErr> {
        let statement = Statement::from_sql_and_values(self.dialect().backend(), sql, values);
        let named = Query::select().from(table).take();
        let rows = self.traced(&named, self.transaction.query_all_raw(statement)).await?;
        rows.iter().map(|row| Row::from_query_result(row, "")).collect()
    }

    /// Hands each row of a query to `each` as it comes, so that only a few are in memory at once.
    ///
    /// # Errors
    /// The database can't be reached or is too slow, or `each` failed.
    pub(crate) async fn for_each<Row: FromQueryResult, E: From<DbErr>>(
        &self,
        query: &SelectStatement,
        each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_of(self.dialect().backend().build(query), query, each).await
    }

    /// [`Self::for_each`] of a statement that sea-query can't build; its span names `table`.
    ///
    /// # Errors
    /// Those of [`Self::for_each`].
    pub(crate) async fn for_each_raw<Row: FromQueryResult, E: From<DbErr>>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
        table: &'static str,
        each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let statement = Statement::from_sql_and_values(self.dialect().backend(), sql, values);
        self.for_each_of(statement, &Query::select().from(table).take(), each).await
    }

    async fn for_each_of<Row: FromQueryResult, E: From<DbErr>>(
        &self,
        statement: Statement,
        named: &SelectStatement,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = async {
            let mut rows = self.transaction.stream_raw(statement).await?;
            while let Some(row) = rows.try_next().await? {
                each(Row::from_query_result(&row, "")?)?;
            }
            Ok(())
        };
        self.traced(named, read).await
    }

    /// Lets PostgreSQL use parallel workers from now on, for statements that read very many rows.
    ///
    /// # Errors
    /// The database can't be reached.
    pub(crate) async fn allow_parallel_workers(&self) -> Result<(), DbErr> {
        if self.dialect() == Dialect::Postgres {
            let workers = "SET LOCAL max_parallel_workers_per_gather = DEFAULT";
            self.transaction.execute_unprepared(workers).await?;
        }
        Ok(())
    }

    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::of(&self.transaction)
    }

    async fn traced<T, E>(
        &self,
        query: &SelectStatement,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let span = query_span(self.dialect(), query);
        let answer = answer.instrument(span.clone()).await;
        if answer.is_err() {
            span.record("error.type", "unavailable");
            trace::fail(&span, "");
        }
        answer
    }

    /// Returns the connection to the pool in the background, so that the response does not wait for it.
    pub(crate) fn close(self) {
        tokio::spawn(async move {
            let Self { transaction, _permit } = self;
            // An error means that the transaction ended with its connection.
            drop(transaction.rollback().await);
        });
    }
}

/// A blob in the store that can't be read: the caller can only retry.
pub(crate) fn malformed(error: MalformedBlob) -> DbErr {
    DbErr::Custom(error.to_string())
}

/// The span of a query, as OpenTelemetry's conventions for databases name it. It has no values.
fn query_span(dialect: Dialect, query: &SelectStatement) -> Span {
    if !trace::is_exported() {
        return Span::none();
    }
    // This SQL has placeholders instead of values.
    let tables = tables(&dialect.backend().build(query).sql);
    let summary = format!("SELECT {}", tables.join(" "));
    info_span!(
        target: trace::TARGET,
        "query",
        otel.name = summary,
        otel.kind = "client",
        db.system.name = dialect.name(),
        db.operation.name = "SELECT",
        db.collection.name = if let [only] = tables.as_slice() { Some(only.as_str()) } else { None },
        db.query.summary = summary,
        "error.type" = Empty,
    )
}

/// The tables that a statement reads, each once, in the order of the statement.
fn tables(sql: &str) -> Vec<String> {
    let mut tables = Vec::new();
    let mut words = sql.split_whitespace();
    while let Some(word) = words.next() {
        if !["FROM", "JOIN"].contains(&word) {
            continue;
        }
        let name = words.clone().next().unwrap_or_default();
        let name: String = name.chars().filter(|letter| !['"', ',', ')'].contains(letter)).collect();
        // A query in brackets names its own tables.
        if !name.is_empty() && !name.starts_with('(') && !tables.contains(&name) {
            tables.push(name);
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_names_every_table_once() {
        let sql = r#"SELECT COUNT(*) FROM "events" WHERE "a" = $1 AND "b" IN (SELECT "b" FROM "frames") "#;
        assert_eq!(tables(sql), ["events", "frames"]);
        assert_eq!(
            tables(r#"SELECT * FROM (SELECT 1 FROM "events") AS "x" JOIN "events" ON TRUE"#),
            ["events"]
        );
    }
}
