//! Fixtures of the stories of people: events, frames, requests and their comparison.

use chrono::{DateTime, SecondsFormat};
use rand::seq::IndexedRandom as _;
use sea_orm::{DatabaseConnection, DbBackend, Statement};
use weir::contract::reporting::v1::GetDemographicsResponse;
use weir_collectors::store::Submission;
use weir_event::Source;
use weir_journal::{Erasure, Frame};
use weir_testkit::events::origin;

use super::*;

/// The users of a crowd.
pub(super) const USERS: usize = 12_000;
const PER_FRAME: usize = 500;
/// The start of a day.
pub(super) const DAY: i64 = 1_735_689_600_000_000;

/// Events of both sources at random times that crowd around edges, many of the same two hundred people of each source.
pub(super) fn scattered(name: &'static str, random: &mut StdRng) -> Vec<Value> {
    let mut events = Sender::new(name, 3).events(EVENTS);
    events.iter_mut().for_each(|event| event["timestamp"] = written(moments::moment(random)));
    events
}

pub(super) fn written(microseconds: i64) -> Value {
    DateTime::from_timestamp_micros(microseconds).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true).into()
}

pub(super) fn frames(events: &[Value]) -> Vec<Frame> {
    let of = |source: &Source| {
        let events = events.iter().filter(|event| event["source"] == source.name());
        let events: Vec<Value> = events.cloned().collect();
        events.chunks(EVENTS_PER_FRAME).map(frame).collect::<Vec<_>>()
    };
    Source::ALL.iter().flat_map(of).collect()
}

pub(super) async fn store_all(store: &Store, events: &[Value]) {
    store_frames(store, &frames(events)).await;
}

pub(super) async fn store_frames(store: &Store, frames: &[Frame]) {
    for frame in frames {
        store.store(&[Submission::whole(frame)]).await.unwrap();
    }
}

pub(super) async fn fold_all(people: &People) {
    for source in SOURCES {
        people.fold_all(source).await.unwrap();
    }
}

pub(super) fn erasure(user_id: &str, suppress: bool) -> Erasure {
    Erasure::new(Source::Facebook, user_id.to_owned(), suppress, origin())
}

pub(super) async fn erase(store: &Store, user_id: &str, suppress: bool) {
    let mut erasure = erasure(user_id, suppress);
    // So that the erasure includes the events of the second time.
    erasure.requested_at = origin().arrived_at;
    store.record_erasure(&erasure).await.unwrap();
    store.anonymize_rows(&erasure).await.unwrap();
    People::new(store).erase(&erasure).await.unwrap();
    store.complete_erasure(&erasure).await.unwrap();
}

pub(super) async fn store_of(database: &Database) -> DatabaseConnection {
    database.connect().await
}

/// Requests random ranges, and compares the responses with a scan of the present rows.
pub(super) async fn compare(reporting: &Running, database: &Database, random: &mut StdRng) {
    let found = ask(REQUESTS, reporting, database, random).await;
    assert!(found > REQUESTS / 5, "only {found} reports had users to compare");
}

/// Compares responses to random requests. Returns the number of responses with users.
pub(super) async fn ask(
    requests: usize,
    reporting: &Running,
    database: &Database,
    random: &mut StdRng,
) -> usize {
    let rows: Vec<Model> = stored_events(&store_of(database).await)
        .await
        .into_iter()
        .filter(|row| !row.user_id.is_empty())
        .collect();
    let mut found = 0;
    for _ in 0..requests {
        let (from, to) = if random.random_bool(0.2) { (None, None) } else { moments::range(random) };
        let request = GetDemographicsRequest {
            from,
            to,
            source: random.random_range(0..=2),
            limit: *[None, Some(1), Some(3), Some(1_000)].choose(random).unwrap(),
        };
        let answer: GetDemographicsResponse =
            reporting.client().get_demographics(request).await.unwrap().into_inner();
        let expected = expected::demographics(&rows, &request);
        found += usize::from(expected.facebook.as_ref().is_some_and(|section| section.users > 0));
        assert_eq!(answer, expected, "{request:?}");
    }
    found
}

pub(super) fn assert_counted_from(reporting: &Running, sets: bool, rows: bool) {
    let metrics = reporting.metrics();
    let counted =
        |from: &str| metrics.contains(&format!("weir_demographics_sections_total{{from=\"{from}\"}}"));
    assert_eq!((counted("sets"), counted("rows")), (sets, rows), "{metrics}");
}

pub(super) async fn sets(database: &Database) -> Vec<people_sets::Model> {
    use sea_orm::{EntityTrait as _, QueryOrder as _};
    use weir_database::entity::people_sets::{Column, Entity};
    let ordered =
        Entity::find().order_by_asc(Column::Source).order_by_asc(Column::Grain).order_by_asc(Column::Bucket);
    ordered.all(&store_of(database).await).await.unwrap()
}

pub(super) async fn unfolded(database: &Database) -> u64 {
    use sea_orm::EntityTrait as _;
    let deltas = people_deltas::Entity::find().all(&store_of(database).await).await.unwrap();
    deltas.iter().map(|delta| delta.sightings.unsigned_abs()).sum()
}

pub(super) async fn keys(database: &DatabaseConnection, source: i16) -> Vec<Vec<u8>> {
    let query = format!("SELECT key FROM people WHERE source = {source}");
    let query = Statement::from_string(database.get_database_backend(), query);
    let rows = database.query_all_raw(query).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Writes the rollups as the previous build leaves them when it makes rows anonymous.
pub(super) async fn roll_up_again(database: &DatabaseConnection) {
    database
        .execute_unprepared("UPDATE rollups SET measured = 0, measure_high = 0, measure_low = 0")
        .await
        .unwrap();
    for (grain, width) in [(1, 60_000_000_i64), (2, 3_600_000_000), (3, 86_400_000_000)] {
        let add = format!(
            "INSERT INTO rollups (grain, bucket, source, funnel_stage, event_type, shard, events, measured, \
                measure_high, measure_low, transactions, amount_high, amount_low) \
             SELECT {grain}, occurred_at - occurred_at % {width}, source, funnel_stage, event_type, 9, 0, \
                COUNT(COALESCE(age, followers)), COALESCE(SUM(COALESCE(age, followers) >> 26), 0), \
                COALESCE(SUM(COALESCE(age, followers) & 67108863), 0), 0, 0, 0 \
             FROM events GROUP BY occurred_at - occurred_at % {width}, source, funnel_stage, event_type"
        );
        database.execute_unprepared(&add).await.unwrap();
    }
}

/// Makes the database refuse every write to a table.
pub(super) async fn refuse(database: &DatabaseConnection, table: &str) {
    let rules: Vec<String> = match database.get_database_backend() {
        DbBackend::Postgres => vec![
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''not now''; END' \
                LANGUAGE plpgsql"
                .into(),
            format!(
                "CREATE TRIGGER not_now BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW \
                 EXECUTE FUNCTION refuse()"
            ),
        ],
        _ => ["INSERT", "UPDATE", "DELETE"]
            .map(|change| {
                format!(
                    "CREATE TRIGGER not_now_{change} BEFORE {change} ON {table} \
                     BEGIN SELECT RAISE(ABORT, 'not now'); END"
                )
            })
            .into(),
    };
    for rule in rules {
        database.execute_unprepared(&rule).await.unwrap();
    }
}

pub(super) async fn accept_again(database: &DatabaseConnection, table: &str) {
    let rules = match database.get_database_backend() {
        DbBackend::Postgres => vec![format!("DROP TRIGGER not_now ON {table}")],
        _ => ["INSERT", "UPDATE", "DELETE"].map(|change| format!("DROP TRIGGER not_now_{change}")).into(),
    };
    for rule in rules {
        database.execute_unprepared(&rule).await.unwrap();
    }
}

/// Two events of each user, at most a day apart, of which the first are within one day. Every third user moves.
pub(super) fn crowded() -> Vec<Value> {
    let mut events = Sender::new("crowd", 5).events(4 * USERS);
    events.retain(|event| event["source"] == "facebook");
    events.truncate(2 * USERS);
    for (number, event) in events.iter_mut().enumerate() {
        let (user, time) = (number % USERS, number / USERS);
        event["data"]["user"]["userId"] = format!("user {user}").into();
        event["timestamp"] = written(DAY + (user * 7 + time * 86_400) as i64 * 1_000_000);
        if time == 1 && user.is_multiple_of(3) {
            event["data"]["user"]["location"]["city"] = "Elsewhere".into();
        }
    }
    events
}

pub(super) async fn store_crowd(store: &Store, events: &[Value]) {
    for events in events.chunks(PER_FRAME) {
        store_frames(store, &[frame(events)]).await;
    }
}
