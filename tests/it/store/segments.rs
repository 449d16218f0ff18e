//! Segments of events, on PostgreSQL: an event is stored once whichever segment has it, and rows from before there were
//! segments are found as they are.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use sqlx::PgPool;
use weir_collectors::store::{Store, StoreError, Submission};
use weir_database::{
    id_code::{IdCode, id_of},
    segment_filter::{FilterHash, FilterOwner, FilterReader, SegmentFilter},
    up,
};
use weir_event::Source;
use weir_journal::Erasure;
use weir_testkit::{
    Storage, Weir,
    database::{Database, duplicates, stored_events},
    events::{Generator, frame, origin, with_id},
    eventually::eventually,
};

use super::{numbered, outcome, store_all, store_one};

/// The segment and the source of every filter here.
const OWNER: FilterOwner = FilterOwner { segment: 1, source: 1 };
/// Migrations up to those of segments.
const MIGRATIONS_BEFORE_SEGMENTS: u32 = 16;

async fn run(database: &DatabaseConnection, statement: &str) {
    database.execute_unprepared(statement).await.unwrap();
}

async fn open_segment(database: &DatabaseConnection) {
    run(database, "SELECT weir_open_segment()").await;
}

async fn number(database: &DatabaseConnection, query: &str) -> i64 {
    let statement = Statement::from_string(database.get_database_backend(), query);
    database.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// A fleet that no process has joined yet, with its tables.
async fn without_roles() -> (Weir, DatabaseConnection, Store) {
    let weir = Weir::launch(Storage::servers().await, Vec::new(), &[]);
    let database = weir.store().await;
    up(&database, None).await.unwrap();
    let store = Store::new(&database);
    (weir, database, store)
}

const ROLLED_UP: &str = "SELECT SUM(events)::bigint FROM rollups WHERE grain = 1";

async fn rows_now(database: &DatabaseConnection) -> i64 {
    number(database, "SELECT count(*) FROM events").await
}

async fn put_filter(database: &DatabaseConnection, parts: impl IntoIterator<Item = Vec<u8>>) {
    run(database, "DELETE FROM segment_filters").await;
    for (part, data) in (0_i32..).zip(parts) {
        sqlx::query("INSERT INTO segment_filters (segment, source, part, data) VALUES (1, 1, $1, $2)")
            .bind(part)
            .bind(data)
            .execute(database.get_postgres_connection_pool())
            .await
            .unwrap();
    }
    run(database, "UPDATE event_segments SET version = weir_next_segment_version()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_closed_segment_is_a_duplicate_whatever_filter_there_is() {
    let database = Database::postgres().await.migrated().await;
    let store = Store::new(&database);
    store_one(&store, &numbered(Source::Facebook, 0..50)).await;
    open_segment(&database).await;
    assert_eq!(store_one(&store, &numbered(Source::Facebook, 40..60)).await, outcome(10, 10), "no filter");
    assert_eq!(number(&database, "SELECT count(*) FROM events WHERE segment = 2").await, 10);

    let mut filter = SegmentFilter::with_room(50);
    let rows = stored_events(&database).await;
    rows[..50].iter().for_each(|row| filter.insert(FilterHash::of(&row.event_id)));
    put_filter(&database, filter.parts(OWNER)).await;
    for store in [store, Store::new(&database)] {
        assert_eq!(store_one(&store, &numbered(Source::Facebook, 0..5)).await, outcome(0, 5), "a filter");
    }

    // The filter of another segment, which has none of these events.
    put_filter(&database, SegmentFilter::with_room(5).parts(FilterOwner { segment: 2, ..OWNER })).await;
    let frame = numbered(Source::Facebook, 0..5);
    assert_eq!(store_one(&Store::new(&database), &frame).await, outcome(0, 5), "a misplaced filter");

    let mut damaged: Vec<Vec<u8>> = filter.parts(OWNER).collect();
    damaged[0].pop();
    put_filter(&database, damaged).await;
    let frame = numbered(Source::Facebook, 45..65);
    assert_eq!(store_one(&Store::new(&database), &frame).await, outcome(5, 15), "a damaged filter");
    // Five of the other source are new: an identity is a source and an id.
    assert_eq!(store_one(&Store::new(&database), &numbered(Source::Tiktok, 0..5)).await, outcome(5, 0));
    let counted: i64 = duplicates(&database).await.iter().map(|(.., times)| times).sum();
    assert_eq!(counted, 10 + 5 + 5 + 5 + 15);
    assert_eq!(number(&database, ROLLED_UP).await, rows_now(&database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_race_over_a_border_of_segments_store_each_event_once() {
    let database = Database::postgres().await.migrated().await;
    let opening = {
        let database = database.clone();
        tokio::spawn(async move {
            for _ in 0..12 {
                open_segment(&database).await;
                tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            }
        })
    };
    let mut storing = tokio::task::JoinSet::new();
    for writer in 0..4_usize {
        let store = Store::new(&database);
        storing.spawn(async move {
            let (mut stored, mut duplicate) = (0, 0);
            for round in 0..40 {
                // Each event comes from every writer, in other frames and other orders.
                let start = (round * 7 + writer * 10) % 400;
                let outcome = store_one(&store, &numbered(Source::Facebook, start..start + 30)).await;
                stored += outcome.stored;
                duplicate += outcome.duplicate;
            }
            (stored, duplicate)
        });
    }
    let outcomes = storing.join_all().await;
    opening.await.unwrap();
    let stored: u64 = outcomes.iter().map(|(stored, _)| stored).sum();
    let duplicate: u64 = outcomes.iter().map(|(_, duplicate)| duplicate).sum();
    let rows = stored_events(&database).await;
    let mut ids: Vec<&str> = rows.iter().map(|row| row.event_id.as_str()).collect();
    ids.dedup();
    assert_eq!((ids.len(), rows.len() as u64, stored + duplicate), (rows.len(), stored, 4 * 40 * 30));
    let used = number(&database, "SELECT count(DISTINCT segment) FROM events").await;
    assert!(used > 1, "{used} segments have rows");
    assert_eq!(number(&database, ROLLED_UP).await, rows_now(&database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_segment_leaves_keys_and_a_forgotten_one_nothing() {
    let database = Database::postgres().await.migrated().await;
    let store = Store::new(&database);
    store_one(&store, &numbered(Source::Facebook, 0..20)).await;
    open_segment(&database).await;
    store_one(&store, &numbered(Source::Facebook, 20..30)).await;
    for refused in [
        "SELECT weir_remove_segment(2)",
        "SELECT weir_remove_segment(7)",
        "SELECT weir_keep_event_keys(2)",
        "SELECT weir_forget_segment(1)",
        // Its keys are not made yet.
        "SELECT weir_remove_segment(1)",
    ] {
        database.execute_unprepared(refused).await.unwrap_err();
    }
    // A removal that did not get through left a table behind.
    run(&database, "SELECT weir_keep_event_keys(1)").await;
    run(&database, "SELECT weir_keep_event_keys(1); SELECT weir_remove_segment(1)").await;
    assert_eq!(stored_events(&database).await.len(), 10);
    assert_eq!(number(&database, "SELECT count(*) FROM event_keys").await, 20);
    assert_eq!(store_one(&store, &numbered(Source::Facebook, 15..35)).await, outcome(5, 15));

    run(&database, "SELECT weir_forget_segment(1)").await;
    assert_eq!(number(&database, "SELECT count(*) FROM event_keys").await, 0);
    assert_eq!(store_one(&store, &numbered(Source::Facebook, 0..35)).await, outcome(20, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_gives_way_to_a_report_and_keeps_nobody_waiting() {
    let database = Database::postgres().await.migrated().await;
    let store = Store::new(&database);
    store_one(&store, &numbered(Source::Facebook, 0..20)).await;
    open_segment(&database).await;
    run(&database, "SELECT weir_keep_event_keys(1)").await;
    let pool: &PgPool = database.get_postgres_connection_pool();
    let mut report = pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM stored_events").execute(&mut *report).await.unwrap();
    let refused = database.execute_unprepared("SELECT weir_remove_segment(1)").await.unwrap_err();
    assert!(refused.to_string().contains("lock timeout"), "{refused}");
    assert_eq!(store_one(&store, &numbered(Source::Facebook, 15..25)).await, outcome(5, 5));
    report.commit().await.unwrap();
    run(&database, "SELECT weir_remove_segment(1)").await;
    assert_eq!(store_one(&store, &numbered(Source::Facebook, 15..25)).await, outcome(0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_vanished_parks_no_event() {
    let database = Database::postgres().await.migrated().await;
    run(&database, "DROP TABLE events_1").await;
    let frame = numbered(Source::Facebook, 0..3);
    let error = Store::new(&database).store(&[Submission::whole(&frame)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Transient(_)), "{error:?}");
    run(&database, "SELECT weir_open_segment()").await;
    assert_eq!(store_one(&Store::new(&database), &frame).await, outcome(3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_a_restored_database_is_another_one() {
    let database = Database::postgres().await.migrated().await;
    let store = Store::new(&database);
    let close_with_filter = async |ids: std::ops::Range<usize>| {
        assert_eq!(store_one(&store, &numbered(Source::Facebook, ids.clone())).await, outcome(5, 0));
        open_segment(&database).await;
        let mut filter = SegmentFilter::with_room(5);
        ids.for_each(|id| filter.insert(FilterHash::of(&format!("{id:05}"))));
        put_filter(&database, filter.parts(OWNER)).await;
        store_one(&store, &numbered(Source::Facebook, 20..21)).await;
    };
    close_with_filter(0..5).await;
    // A copy from before the border comes back; other events fill the same segment.
    run(&database, "DELETE FROM event_segments; DROP TABLE events_1, events_2; DELETE FROM frames").await;
    open_segment(&database).await;
    close_with_filter(10..15).await;
    assert_eq!(store_one(&store, &numbered(Source::Facebook, 10..15)).await, outcome(0, 5));
}

/// Two rows as the build before wrote them, of the users `ada` and `bob`.
const OLD_ROWS: &str = "INSERT INTO events (source, event_id, occurred_at, funnel_stage, event_type, frame_id, \
        correlation_id, arrived_at, stored_at, user_id, user_name, age, gender, country, city) VALUES \
    (1, 'old 1', 60000000, 1, 1, 'f', 'c', 5, 5, 'ada', 'Ada', 36, 1, 'Peru', 'Ica'), \
    (1, 'fb-6f1c0d7e-2b9a-4c3d-8e21-0a7b6c5d4e3f', 60000000, 1, 1, 'f', 'c', 5, 5, 'bob', 'Bob', 7, 1, 'Peru', 'Ica')";

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_the_segments_are_found_and_anonymized_as_they_are() {
    let database = Database::postgres().await.connect().await;
    up(&database, Some(MIGRATIONS_BEFORE_SEGMENTS)).await.unwrap();
    run(&database, OLD_ROWS).await;
    up(&database, None).await.unwrap();
    let store = Store::new(&database);
    let of = |id: &str| {
        let mut event = with_id(Source::Facebook, id);
        event["data"]["user"]["userId"] = "ada".into();
        event
    };
    let uuid = "fb-6f1c0d7e-2b9a-4c3d-8e21-0a7b6c5d4e3f";
    assert_eq!(store_one(&store, &frame(&[of("old 1"), of(uuid), of("new 1")])).await, outcome(1, 2));
    let people = |rows: &[weir_database::entity::events::Model]| -> Vec<(String, String)> {
        rows.iter().map(|row| (row.event_id.clone(), row.user_id.clone())).collect()
    };
    let named = |id: &str, user: &str| (id.to_owned(), user.to_owned());
    let rows = people(&stored_events(&database).await);
    assert_eq!(rows, [named(uuid, "bob"), named("new 1", "ada"), named("old 1", "ada")]);

    let erasure = Erasure::new(Source::Facebook, "ada".to_owned(), false, origin());
    store.record_erasure(&erasure).await.unwrap();
    store.anonymize_rows(&erasure).await.unwrap();
    let rows = people(&stored_events(&database).await);
    assert_eq!(rows, [named(uuid, "bob"), named("new 1", ""), named("old 1", "")]);
    let counted = number(&database, r#"SELECT "rows" FROM erasures"#).await;
    assert_eq!(counted, 2);
    // A store that begins empty has no segment 0.
    let fresh = Database::postgres().await.migrated().await;
    assert_eq!(number(&fresh, "SELECT min(number)::bigint FROM event_segments").await, 1);
    store_all(&Store::new(&fresh), &[numbered(Source::Tiktok, 0..3)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_and_the_build_agree_about_the_codes_of_ids() {
    let database = Database::postgres().await.migrated().await;
    let uuid = "6f1c0d7e-2b9a-4c3d-8e21-0a7b6c5d4e3f";
    for id in [
        uuid.to_owned(),
        format!("fb-{uuid}"),
        format!("Zoë {uuid}"),
        format!("{uuid}\n"),
        format!("{uuid}\n{uuid}"),
        format!("{uuid}x"),
        uuid.to_uppercase(),
        uuid.replacen("6f1c", "6F1C", 1),
        uuid.replace('-', ""),
        format!("{{{uuid}}}"),
        "evt-1".to_owned(),
        "ÿ".to_owned(),
        r"\xff".to_owned(),
        String::new(),
    ] {
        let (code, back): (Vec<u8>, String) = sqlx::query_as("SELECT weir_code($1), weir_id(weir_code($1))")
            .bind(&id)
            .fetch_one(database.get_postgres_connection_pool())
            .await
            .unwrap();
        assert_eq!((code, back), (IdCode::of(&id).into_bytes(), id.clone()));
        assert_eq!(id_of(&IdCode::of(&id).into_bytes()), Some(id));
    }
}

/// A search for a person reads the blocks that no summary describes.
#[tokio::test(flavor = "multi_thread")]
async fn collectors_summarize_the_persons_of_closed_segments_and_of_the_older_blocks_of_the_open_one() {
    /// Blocks of a range.
    const RANGE: i64 = 96;
    let (mut weir, database, store) = without_roles().await;
    let frames = Generator::all_new(7).frames(0..22_000, |_| chrono::Utc::now());
    let (closed, open) = frames.split_at(frames.len() / 4);
    store_all(&store, closed).await;
    open_segment(&database).await;
    store_all(&store, open).await;
    run(&database, "CREATE EXTENSION pageinspect").await;
    let blocks = async |segment: i32| {
        number(&database, &format!("SELECT pg_relation_size('events_{segment}') / 8192")).await
    };
    let summaries = async |segment: i32| {
        let page = format!("get_raw_page('events_{segment}_by_person', 1)");
        let query = format!("SELECT count(*) FROM brin_revmap_data({page}) AS pages WHERE pages <> '(0,0)'");
        number(&database, &query).await
    };
    let (of_closed, of_open) = ((blocks(1).await + RANGE - 1) / RANGE, blocks(2).await / RANGE - 2);
    assert!(of_closed > 1 && of_open > 0, "{of_closed} {of_open}");

    weir.join("ingest", &["ingest"], &[]).await;
    weir.join("collect-facebook", &["collect", "facebook"], &[]).await;
    eventually(async || match (summaries(1).await, summaries(2).await) {
        (closed, open) if closed == of_closed && open >= of_open => Ok(()),
        found => Err(format!("{found:?} of {of_closed} and {of_open}")),
    })
    .await;
    assert!(summaries(2).await <= of_open + 1, "the newest blocks have no summary yet");
}

/// The ids of a segment above 32 MiB are counted from a sample, with room to spare.
#[tokio::test(flavor = "multi_thread")]
async fn collectors_make_a_filter_of_each_source_with_room_for_all_ids() {
    const MANY: u64 = 250_000;
    let (mut weir, database, store) = without_roles().await;
    store_one(&store, &numbered(Source::Tiktok, 0..5)).await;
    let columns = "segment, source, event_code, user_name, occurred_at, arrived_at, funnel_stage, event_type";
    let values = "1, 1, weir_code('many ' || number), repeat('n', 100), 60000000, 60000000, 1, 1";
    let many = format!("SELECT {values} FROM generate_series(1, {MANY}) AS number");
    run(&database, &format!("INSERT INTO events ({columns}) {many}")).await;
    assert!(number(&database, "SELECT pg_relation_size('events_1')").await > 32 << 20);
    open_segment(&database).await;

    weir.join("ingest", &["ingest"], &[]).await;
    weir.join("collect-facebook", &["collect", "facebook"], &[]).await;
    let filter = async |source: Source| {
        let source = i16::try_from(source.number()).unwrap();
        let parts: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT data FROM segment_filters WHERE segment = 1 AND source = $1 ORDER BY part",
        )
        .bind(source)
        .fetch_all(database.get_postgres_connection_pool())
        .await
        .unwrap();
        let mut reader = FilterReader::of(FilterOwner { segment: 1, source });
        parts.iter().try_for_each(|part| reader.read(part))?;
        reader.finish()
    };
    let (facebook, tiktok) = (
        eventually(async || filter(Source::Facebook).await).await,
        eventually(async || filter(Source::Tiktok).await).await,
    );
    assert_eq!((facebook.ids(), tiktok.ids()), (MANY, 5));
    let among = |filter: &SegmentFilter, numbers: std::ops::RangeInclusive<u64>| {
        numbers.filter(|number| filter.may_have(FilterHash::of(&format!("many {number}")))).count()
    };
    assert_eq!(among(&facebook, 1..=MANY), 250_000);
    let others = [&facebook, &tiktok].map(|filter| among(filter, MANY + 1..=MANY + 10_000));
    assert!(others[0] < 200 && others[1] < 10, "{others:?}");
    let bits_of_an_id = 8.0 * facebook.size() as f64 / MANY as f64;
    assert!((10.2..12.0).contains(&bits_of_an_id), "{bits_of_an_id}");
    assert_eq!(store_one(&store, &numbered(Source::Tiktok, 0..7)).await, outcome(2, 5));
}
