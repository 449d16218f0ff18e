//! The database as code: migrations under a lock, and entities that mirror the tables.

use std::time::Duration;

use futures::future::join_all;
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IdenStatic,
    Iterable, PrimaryKeyToColumn, Statement, TransactionTrait,
};
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::time::sleep;
use weir_database::{
    MigrateError, MigrationState, Rights, check, down,
    entity::{
        audits, campaign_deltas, campaign_rankings, campaign_rollups, duplicates, erasure_keys, erasures,
        event_keys, events, frame_origins, frame_totals, frames, horizons, journal_states, oldest_writer,
        people, people_aliases, people_columns, people_deltas, people_sets, people_sketches, rollups,
        settled_frames, unaccounted_frames,
    },
    status, up,
};
use weir_testkit::database::{Database, on_both_databases};

on_both_databases!(
    four_instances_that_start_at_once_on_an_empty_database_all_find_it_migrated,
    a_schema_of_a_newer_build_is_used_as_it_is_and_not_taken_back,
    a_schema_of_a_build_that_does_not_come_after_is_refused,
    a_missing_migration_asks_for_migrating_and_for_no_backup,
    every_entity_mirrors_its_table,
    text_is_ordered_by_code_point,
    sums_of_whole_numbers_are_exact_and_never_wrap,
);

async fn four_instances_that_start_at_once_on_an_empty_database_all_find_it_migrated(database: Database) {
    let instances: Vec<DatabaseConnection> = join_all((0..4).map(|_| database.connect())).await;
    for migrated in join_all(instances.iter().map(|instance| up(instance, None))).await {
        migrated.unwrap();
    }
    for instance in &instances {
        let migrations = status(instance).await.unwrap();
        assert!(!migrations.is_empty() && migrations.iter().all(|one| one.applied), "{migrations:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_file_waits_for_another_process_that_writes_it() {
    let database = Database::sqlite();
    let file = format!("{}?mode=rwc", database.url.to_string().replacen("SQLite file ", "sqlite://", 1));
    let mut writer = SqliteConnection::connect(&file).await.unwrap();
    for statement in ["CREATE TABLE started (at)", "BEGIN IMMEDIATE"] {
        writer.execute(statement).await.unwrap();
    }
    let opening = tokio::spawn(async move { database.connect().await });
    // Long enough that the first attempt has met the writer.
    sleep(Duration::from_millis(500)).await;
    assert!(!opening.is_finished());
    writer.execute("ROLLBACK").await.unwrap();
    opening.await.unwrap();
}

/// Only SQLite needs a test: the planner of PostgreSQL finds these indexes by its statistics.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_finds_rows_of_a_range_by_an_index() {
    let database = Database::sqlite();
    let migrated = database.migrated().await;
    for store in [migrated, database.connect().await] {
        for (rows, index) in [
            ("occurred_at >= 1 AND occurred_at < 2 AND source = 1 AND user_id <> ''", "events_by_time"),
            ("source = 2 AND event_type = 3 AND occurred_at >= 1", "events_by_time"),
            (
                "source = 2 AND purchase_amount IS NOT NULL AND occurred_at >= 1 AND occurred_at < 2",
                "events_by_time",
            ),
            ("arrived_at > 1 AND source = 1 AND user_id = 'somebody'", "events_by_arrival"),
            ("stored_at >= 1 AND stored_at < 2", "events_by_storage"),
            ("source = 1 AND event_id = 'one'", "sqlite_autoindex_events_1 (source=? AND event_id=?)"),
        ] {
            let explain = format!("EXPLAIN QUERY PLAN SELECT user_name FROM events WHERE {rows}");
            let plan = store.query_one_raw(Statement::from_string(DbBackend::Sqlite, explain)).await.unwrap();
            let plan: String = plan.unwrap().try_get("", "detail").unwrap();
            assert!(plan.contains(index), "{rows}: {plan}");
        }
    }
}

async fn a_schema_of_a_newer_build_is_used_as_it_is_and_not_taken_back(database: Database) {
    let database = database.migrated().await;
    let own = status(&database).await.unwrap();
    let later = "m29990101_000001_later";
    record_applied(&database, later).await;
    up(&database, None).await.unwrap();
    let newer = MigrationState { name: later.to_owned(), applied: true, known: false };
    let all: Vec<MigrationState> = own.into_iter().chain([newer]).collect();
    assert_eq!(status(&database).await.unwrap(), all);

    let refusal = down(&database, 1).await.unwrap_err();
    assert!(matches!(&refusal, MigrateError::Newer(names) if names == later), "{refusal}");
    assert_eq!(status(&database).await.unwrap(), all);
}

async fn a_schema_of_a_build_that_does_not_come_after_is_refused(database: Database) {
    let database = database.migrated().await;
    record_applied(&database, "m20000101_000001_elsewhere").await;
    let refusal = up(&database, None).await.unwrap_err().to_string();
    assert!(refusal.contains("m20000101_000001_elsewhere"), "{refusal}");
}

async fn a_missing_migration_asks_for_migrating_and_for_no_backup(database: Database) {
    let database = database.migrated().await;
    down(&database, 1).await.unwrap();
    for rights in [Rights::Read, Rights::Write] {
        let fault = check(&database, rights).await.unwrap_err().to_string();
        assert!(fault.contains("`weir migrate up`") && !fault.contains("backup"), "{fault}");
    }
    up(&database, None).await.unwrap();
    check(&database, Rights::Write).await.unwrap();
}

async fn record_applied(database: &DatabaseConnection, name: &str) {
    let record = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
    database.execute_unprepared(&record).await.unwrap();
}

async fn every_entity_mirrors_its_table(database: Database) {
    let database = database.migrated().await;
    mirrors_view(&database).await;
    assert_eq!(mirrored::<frames::Entity>(&database), table(&database, "frames").await);
    assert_eq!(mirrored::<duplicates::Entity>(&database), table(&database, "duplicates").await);
    assert_eq!(mirrored::<rollups::Entity>(&database), table(&database, "rollups").await);
    assert_eq!(mirrored::<campaign_rollups::Entity>(&database), table(&database, "campaign_rollups").await);
    assert_eq!(mirrored::<campaign_rankings::Entity>(&database), table(&database, "campaign_rankings").await);
    assert_eq!(mirrored::<campaign_deltas::Entity>(&database), table(&database, "campaign_deltas").await);
    assert_eq!(mirrored::<horizons::Entity>(&database), table(&database, "horizons").await);
    assert_eq!(mirrored::<frame_origins::Entity>(&database), table(&database, "frame_origins").await);
    assert_eq!(mirrored::<frame_totals::Entity>(&database), table(&database, "frame_totals").await);
    assert_eq!(mirrored::<erasures::Entity>(&database), table(&database, "erasures").await);
    assert_eq!(mirrored::<erasure_keys::Entity>(&database), table(&database, "erasure_keys").await);
    assert_eq!(mirrored::<settled_frames::Entity>(&database), table(&database, "settled_frames").await);
    assert_eq!(
        mirrored::<unaccounted_frames::Entity>(&database),
        table(&database, "unaccounted_frames").await
    );
    assert_eq!(mirrored::<people::Entity>(&database), table(&database, "people").await);
    assert_eq!(mirrored::<people_aliases::Entity>(&database), table(&database, "people_aliases").await);
    assert_eq!(mirrored::<people_columns::Entity>(&database), table(&database, "people_columns").await);
    assert_eq!(mirrored::<people_deltas::Entity>(&database), table(&database, "people_deltas").await);
    assert_eq!(mirrored::<people_sets::Entity>(&database), table(&database, "people_sets").await);
    assert_eq!(mirrored::<people_sketches::Entity>(&database), table(&database, "people_sketches").await);
    assert_eq!(mirrored::<audits::Entity>(&database), table(&database, "audits").await);
    assert_eq!(mirrored::<journal_states::Entity>(&database), table(&database, "journal_states").await);
    assert_eq!(mirrored::<oldest_writer::Entity>(&database), table(&database, "oldest_writer").await);
}

/// Columns of views are nullable, and a key of a partitioned table is that of each part. On PostgreSQL both have columns
/// beside those that SQLite has too.
async fn mirrors_view(database: &DatabaseConnection) {
    if database.get_database_backend() == DbBackend::Sqlite {
        assert_eq!(mirrored::<events::Entity>(database), table(database, "events").await);
        assert_eq!(mirrored::<event_keys::Entity>(database), table(database, "event_keys").await);
        return;
    }
    let names_and_types = |columns: Vec<Column>| -> Vec<(String, String)> {
        columns.into_iter().map(|(name, kind, ..)| (name, kind)).collect()
    };
    let columns = names_and_types(table(database, "stored_events").await);
    let mirrored_columns = names_and_types(mirrored::<events::Entity>(database));
    assert_eq!(columns[..mirrored_columns.len()], mirrored_columns);
    let columns = names_and_types(table(database, "event_keys").await);
    for column in names_and_types(mirrored::<event_keys::Entity>(database)) {
        assert!(columns.contains(&column), "{column:?} {columns:?}");
    }
}

async fn text_is_ordered_by_code_point(database: Database) {
    let database = database.migrated().await;
    for name in ["é", "a", "Z", "z", "€", "𝄞", "B"] {
        let insert = format!(
            "INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
             VALUES ('{name}', 1, 0, 0, 0, 0)"
        );
        database.execute_unprepared(&insert).await.unwrap();
    }
    let rows = query(&database, "SELECT frame_id FROM frames ORDER BY frame_id").await;
    let names: Vec<String> = rows.iter().map(|row| row.try_get("", "frame_id").unwrap()).collect();
    assert_eq!(names, ["B", "Z", "a", "z", "é", "€", "𝄞"]);
}

/// With the settings of reports: this schema comes before `pg_catalog`.
async fn sums_of_whole_numbers_are_exact_and_never_wrap(database: Database) {
    let database = database.migrated().await;
    let transaction = database.begin().await.unwrap();
    if transaction.get_database_backend() == DbBackend::Postgres {
        let path = "SELECT set_config('search_path', current_setting('search_path') || ', pg_catalog', true)";
        transaction.execute_unprepared(path).await.unwrap();
        let types =
            "SELECT pg_typeof(SUM(number))::text AS type FROM (SELECT 1::bigint AS number) AS numbers";
        assert_eq!(query(&transaction, types).await[0].try_get::<String>("", "type").unwrap(), "bigint");
    }
    let sum = |numbers: [i64; 2]| {
        let [one, other] = numbers;
        format!(
            "SELECT SUM(number) AS total FROM (SELECT CAST({one} AS BIGINT) AS number \
             UNION ALL SELECT CAST({other} AS BIGINT)) AS numbers"
        )
    };
    let largest = query(&transaction, &sum([i64::MAX - 1, 1])).await;
    assert_eq!(largest[0].try_get::<i64>("", "total").unwrap(), i64::MAX);
    let backend = transaction.get_database_backend();
    let too_large = Statement::from_string(backend, sum([i64::MAX, 1]));
    transaction.query_all_raw(too_large).await.unwrap_err();
}

/// Name, type, nullable, index in the primary key.
type Column = (String, String, bool, Option<usize>);

fn mirrored<E: EntityTrait>(database: &DatabaseConnection) -> Vec<Column> {
    let keys: Vec<String> = E::PrimaryKey::iter().map(|key| key.into_column().as_str().to_owned()).collect();
    let column = |column: E::Column| {
        let (definition, name) = (column.def(), column.as_str().to_owned());
        let key = keys.iter().position(|key| *key == name);
        let kind = type_name(definition.get_column_type(), database.get_database_backend());
        (name, kind.to_owned(), definition.is_null(), key)
    };
    E::Column::iter().map(column).collect()
}

fn type_name(column_type: &ColumnType, backend: DbBackend) -> &'static str {
    match (column_type, backend) {
        (ColumnType::Text, _) => "text",
        (ColumnType::SmallInteger, _) => "smallint",
        (ColumnType::BigInteger, DbBackend::Postgres) => "bigint",
        (ColumnType::BigInteger, _) => "integer",
        (ColumnType::Integer, _) => "integer",
        (ColumnType::Double, DbBackend::Postgres) => "double precision",
        (ColumnType::Double, _) => "double",
        (ColumnType::VarBinary(_) | ColumnType::Blob, DbBackend::Postgres) => "bytea",
        (ColumnType::VarBinary(_) | ColumnType::Blob, _) => "blob",
        (ColumnType::Boolean, _) => "boolean",
        (other, _) => panic!("no entity has had a {other:?} so far"),
    }
}

/// The same columns from the catalog of the database.
async fn table(database: &DatabaseConnection, table: &str) -> Vec<Column> {
    let catalog_query = match database.get_database_backend() {
        DbBackend::Postgres => format!(
            "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type, NOT attnotnull AS nullable, \
             (array_position(indkey::int2[], attnum))::bigint AS key \
             FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary \
             WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
        ),
        _ => format!(
            "SELECT name, type, \"notnull\" = 0 AS nullable, CASE pk WHEN 0 THEN NULL ELSE pk - 1 END AS key \
             FROM pragma_table_info('{table}') ORDER BY cid"
        ),
    };
    let rows = query(database, &catalog_query).await;
    let column = |row: &sea_orm::QueryResult| {
        let kind: String = row.try_get("", "type").unwrap();
        let key: Option<i64> = row.try_get("", "key").unwrap();
        (
            row.try_get("", "name").unwrap(),
            kind.to_lowercase(),
            row.try_get("", "nullable").unwrap(),
            key.map(|key| usize::try_from(key).unwrap()),
        )
    };
    rows.iter().map(column).collect()
}

async fn query(database: &impl ConnectionTrait, sql: &str) -> Vec<sea_orm::QueryResult> {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    database.query_all_raw(statement).await.unwrap()
}
