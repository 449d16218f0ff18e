//! Sets of people answer as a scan of the rows does: for random events, ranges and filters, however much is folded, with
//! people erased, rows removed and rows that no delta came with.

use chrono::{DateTime, SecondsFormat};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;
use weir::{
    contract::reporting::v1::{GetDemographicsRequest, GetDemographicsResponse},
    event::Source,
    journal::{Erasure, Frame},
};
use weir_collectors::{
    people::{People, Step},
    store::{Store, Submission},
};
use weir_migration::entity::{events::Model, people_deltas, people_sets};

use super::{expected, moments, rows, running::Running};
use crate::{
    harness::{
        database::{Database, on_both_databases, stored_events},
        events::{frame, origin},
    },
    sender::Sender,
};

on_both_databases!(
    sets_answer_as_the_rows_do_however_much_is_folded,
    rows_that_no_delta_came_with_are_counted_at_once_and_filled_in,
    an_erased_person_is_in_no_set_whenever_it_was_folded,
    a_fold_that_fails_changes_nothing,
    two_who_fold_at_once_fold_each_sighting_once,
    a_sample_errs_as_little_as_it_says,
    sets_and_people_without_rows_are_pruned,
);

const EVENTS: usize = 1_000;
const EVENTS_PER_FRAME: usize = 40;
const QUESTIONS: usize = 60;
const SOURCES: [i16; 2] = [1, 2];

async fn sets_answer_as_the_rows_do_however_much_is_folded(database: Database) {
    let mut random = StdRng::seed_from_u64(21);
    let store = Store::new(&database.migrated().await);
    let people = People::new(&store);
    let reporting = Running::on(&database, "30000").await;
    let events = scattered("folded", &mut random);
    for (round, part) in events.chunks(EVENTS / 4).enumerate() {
        // What came before comes again.
        store_all(&store, &part[..part.len() / 2]).await;
        store_all(&store, part).await;
        compare(&reporting, &database, &mut random).await;
        for source in SOURCES {
            let folded = people.fold(source, [1, 30, 60, 1_000_000][round]).await.unwrap();
            assert!(matches!(folded, Step::Did(1..)), "{folded:?}");
        }
        compare(&reporting, &database, &mut random).await;
    }
    fold_all(&people).await;
    assert_eq!(unfolded(&database).await, 0);
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);
}

/// As the previous build stores them, and as they were stored before there were sets.
async fn rows_that_no_delta_came_with_are_counted_at_once_and_filled_in(database: Database) {
    let mut random = StdRng::seed_from_u64(22);
    let before: Vec<Model> = rows::many()
        .into_iter()
        .map(|row| Model { occurred_at: moments::moment(&mut random), ..row })
        .collect();
    let migrated = rows::store(&database, &before).await;
    let store = Store::new(&migrated);
    let people = People::new(&store);
    let reporting = Running::on(&database, "30000").await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, true);

    let events = scattered("meanwhile", &mut random);
    let (by_previous_build, own) = events.split_at(EVENTS / 2);
    store_all(&store, by_previous_build).await;
    migrated.execute_unprepared("DELETE FROM people_deltas").await.unwrap();
    store_all(&store, own).await;
    for source in SOURCES {
        people.fold(source, 1).await.unwrap();
        while people.mend(source).await.unwrap() != Step::Idle {
            ask(5, &reporting, &database, &mut random).await;
            people.fold(source, 50).await.unwrap();
        }
    }
    let reporting = Running::on(&database, "30000").await;
    compare(&reporting, &database, &mut random).await;
    fold_all(&people).await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);

    // The previous build erases somebody.
    let erased = "UPDATE events SET user_id = '', user_name = '', age = NULL, gender = NULL, followers = NULL, \
        country = NULL, city = NULL, profile_id = NULL WHERE source = 1 AND user_id IN ('user 3', 'user-3')";
    migrated.execute_unprepared(erased).await.unwrap();
    roll_up_again(&migrated).await;
    compare(&reporting, &database, &mut random).await;
    while people.mend(1).await.unwrap() != Step::Idle {}
    let reporting = Running::on(&database, "30000").await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);
}

async fn an_erased_person_is_in_no_set_whenever_it_was_folded(database: Database) {
    let mut random = StdRng::seed_from_u64(23);
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let people = People::new(&store);
    let reporting = Running::on(&database, "30000").await;
    let events = scattered("erased", &mut random);
    let parts: Vec<&[Value]> = events.chunks(EVENTS / 5).collect();
    store_all(&store, parts[0]).await;
    people.fold(1, 40).await.unwrap();
    // Folded in part, before anything is, and when everything is.
    erase(&store, "user-3", false).await;
    compare(&reporting, &database, &mut random).await;
    store_all(&store, parts[1]).await;
    erase(&store, "user-4", true).await;
    compare(&reporting, &database, &mut random).await;
    fold_all(&people).await;
    erase(&store, "user-5", false).await;
    compare(&reporting, &database, &mut random).await;

    // Who comes again counts again, unless suppressed; also where that is erased once more.
    let mut later = frames(parts[2]);
    later.iter_mut().for_each(|frame| frame.origins[0].arrived_at += chrono::TimeDelta::seconds(1));
    store_frames(&store, &later).await;
    compare(&reporting, &database, &mut random).await;
    fold_all(&people).await;
    compare(&reporting, &database, &mut random).await;
    erase(&store, "user-3", false).await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);

    // In the middle of an erasure rows are asked.
    let erasure = erasure("user-6", true);
    store.record_erasure(&erasure).await.unwrap();
    store.make_anonymous(&erasure).await.unwrap();
    let key = weir_migration::people::PersonKey::of("user-6").0.to_vec();
    assert!(keys(&migrated, 1).await.iter().all(|known| *known != key), "the key is gone");
    assert!(keys(&migrated, 2).await.contains(&key), "it is another person of TikTok");
}

async fn a_fold_that_fails_changes_nothing(database: Database) {
    let mut random = StdRng::seed_from_u64(24);
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let people = People::new(&store);
    let reporting = Running::on(&database, "30000").await;
    let mut events = scattered("fails", &mut random);
    for (number, event) in events.iter_mut().enumerate() {
        event["data"]["user"]["userId"] = format!("user {}", number / 3).into();
    }
    store_all(&store, &events[..EVENTS / 2]).await;
    fold_all(&people).await;
    store_all(&store, &events[EVENTS / 2..]).await;
    let (before, waiting) = (sets(&database).await, unfolded(&database).await);
    // Each is written later than the one before.
    for table in ["people", "people_aliases", "people_columns", "people_sets", "people_deltas"] {
        refuse(&migrated, table).await;
        for source in SOURCES {
            // The connection that failed before may hold the lock for a moment.
            let mut folded = people.fold(source, 1_000_000).await;
            while let Ok(Step::Busy) = folded {
                folded = people.fold(source, 1_000_000).await;
            }
            assert!(folded.is_err(), "{table} was written: {folded:?}");
        }
        accept_again(&migrated, table).await;
        assert_eq!((sets(&database).await, unfolded(&database).await), (before.clone(), waiting), "{table}");
    }
    compare(&reporting, &database, &mut random).await;
    fold_all(&people).await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);
}

async fn two_who_fold_at_once_fold_each_sighting_once(database: Database) {
    let mut random = StdRng::seed_from_u64(25);
    let store = Store::new(&database.migrated().await);
    store_all(&store, &scattered("at once", &mut random)).await;
    let waiting = unfolded(&database).await;
    let folders = (0..2).map(async |_| {
        let people = People::new(&Store::new(&database.connect().await));
        let mut folded = 0;
        for source in SOURCES {
            loop {
                match people.fold(source, 40).await {
                    Ok(Step::Did(sightings)) => folded += sightings,
                    Ok(Step::Idle) => break,
                    // The other one has the lock, or had it a moment ago.
                    Ok(Step::Busy) | Err(_) => tokio::task::yield_now().await,
                }
            }
        }
        folded
    });
    let folded: u64 = futures::future::join_all(folders).await.into_iter().sum();
    assert_eq!((folded, unfolded(&database).await), (waiting, 0));
    let reporting = Running::on(&database, "30000").await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);
}

async fn a_sample_errs_as_little_as_it_says(database: Database) {
    let mut random = StdRng::seed_from_u64(26);
    let store = Store::new(&database.migrated().await);
    let mut events = Sender::new("sampled", 7).events(4_000);
    for (number, event) in events.iter_mut().enumerate() {
        event["timestamp"] = written(moments::moment(&mut random));
        event["data"]["user"]["userId"] = format!("user {}", number / 2).into();
    }
    store_all(&store, &events).await;
    let half = Running::exact_to(500, &database, "30000").await;
    let rows = stored_events(&store_of(&database).await).await;
    let request = GetDemographicsRequest { limit: Some(1_000), ..Default::default() };
    let expected = expected::demographics(&rows, &request);
    for folded in [false, true] {
        if folded {
            fold_all(&People::new(&store)).await;
        }
        let answer = half.client().get_demographics(request).await.unwrap().into_inner();
        let (told, exact) = (answer.facebook.unwrap(), expected.facebook.clone().unwrap());
        assert!(told.estimate && exact.users > 500);
        assert_eq!((told.users, told.average_age), (exact.users, exact.average_age), "these are exact");
        let error = told.relative_error.unwrap();
        assert!((0.01..0.2).contains(&error), "{error}");
        let groups =
            told.age_groups.iter().zip(&exact.age_groups).map(|(told, exact)| (told.users, exact.users));
        let genders = told.genders.iter().map(|told| {
            let exact = exact.genders.iter().find(|exact| exact.gender == told.gender).unwrap();
            (told.users, exact.users)
        });
        for (told, is) in groups.chain(genders) {
            // Four standard errors: by chance less often than once in ten thousand.
            let allowed = 4.0 * error * (exact.users as f64 * is as f64).sqrt();
            assert!((told as f64 - is as f64).abs() <= allowed, "{told} for {is}, {allowed} allowed");
        }
    }
    // Where there are fewer, nothing is estimated.
    let from = moments::range(&mut random).0;
    let request = GetDemographicsRequest { from, to: from, ..request };
    let answer = half.client().get_demographics(request).await.unwrap().into_inner();
    assert!(!answer.facebook.unwrap().estimate);
}

async fn sets_and_people_without_rows_are_pruned(database: Database) {
    let mut random = StdRng::seed_from_u64(27);
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let people = People::new(&store);
    let (mut old, mut young) = (scattered("old", &mut random), scattered("young", &mut random));
    // All of the old ones are of people of their own, on the first of June 2023.
    for (number, event) in old.iter_mut().enumerate() {
        let second = random.random_range(0..86_400);
        event["timestamp"] = written((1_685_577_600 + second) * 1_000_000);
        event["data"]["user"]["userId"] = format!("old {}", number / 2).into();
    }
    young.iter_mut().for_each(|event| {
        event["timestamp"] = written((1_735_689_600 + random.random_range(0..200_000)) * 1_000_000);
    });
    store_all(&store, &old).await;
    store_all(&store, &young).await;
    fold_all(&people).await;
    let before = (keys(&migrated, 1).await.len(), sets(&database).await.len());
    // In the second hour of 2025.
    let horizon = 1_735_693_200_000_000_i64;
    let removed = format!("DELETE FROM events WHERE occurred_at < {horizon}");
    migrated.execute_unprepared(&removed).await.unwrap();
    for source in SOURCES {
        let moved = format!("INSERT INTO horizons (source, complete_from) VALUES ({source}, {horizon})");
        migrated.execute_unprepared(&moved).await.unwrap();
        assert!(people.prune(source).await.unwrap() > 100);
        assert_eq!(people.prune(source).await.unwrap(), 0);
        assert!(matches!(people.mend(source).await.unwrap(), Step::Idle), "nothing is missing");
    }
    let after = (keys(&migrated, 1).await.len(), sets(&database).await.len());
    assert!(after.0 <= 200 && before.0 > 300, "{before:?} {after:?}");
    assert!(after.1 < before.1, "{before:?} {after:?}");
    let ends_before = |set: &people_sets::Model| {
        let width = [60, 3_600, 86_400][set.grain as usize - 1] * 1_000_000;
        set.bucket + width <= horizon
    };
    assert!(!sets(&database).await.iter().any(ends_before));

    let reporting = Running::on(&database, "30000").await;
    let rows = stored_events(&migrated).await;
    let request = GetDemographicsRequest::default();
    let mut answer = reporting.client().get_demographics(request).await.unwrap().into_inner();
    answer.facebook.iter_mut().for_each(|section| section.complete_from = None);
    answer.tiktok.iter_mut().for_each(|section| section.complete_from = None);
    assert_eq!(answer, expected::demographics(&rows, &request));
    assert_counted_from(&reporting, true, false);
    // Numbers go on behind those that are gone.
    let again: Vec<Value> = old
        .iter()
        .take(100)
        .cloned()
        .map(|mut event| {
            event["eventId"] = format!("{} again", event["eventId"]).into();
            event["timestamp"] = written(1_757_808_000_000_000);
            event
        })
        .collect();
    store_all(&store, &again).await;
    fold_all(&people).await;
    let rows = stored_events(&migrated).await;
    let mut answer = reporting.client().get_demographics(request).await.unwrap().into_inner();
    answer.facebook.iter_mut().for_each(|section| section.complete_from = None);
    answer.tiktok.iter_mut().for_each(|section| section.complete_from = None);
    assert_eq!(answer, expected::demographics(&rows, &request));
}

/// Events of both sources at moments that crowd around edges; many of the same two hundred people of either.
fn scattered(name: &'static str, random: &mut StdRng) -> Vec<Value> {
    let mut events = Sender::new(name, 3).events(EVENTS);
    events.iter_mut().for_each(|event| event["timestamp"] = written(moments::moment(random)));
    events
}

fn written(microseconds: i64) -> Value {
    DateTime::from_timestamp_micros(microseconds).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true).into()
}

fn frames(events: &[Value]) -> Vec<Frame> {
    let of = |source: &Source| {
        let events = events.iter().filter(|event| event["source"] == source.name());
        let events: Vec<Value> = events.cloned().collect();
        events.chunks(EVENTS_PER_FRAME).map(frame).collect::<Vec<_>>()
    };
    Source::ALL.iter().flat_map(of).collect()
}

async fn store_all(store: &Store, events: &[Value]) {
    store_frames(store, &frames(events)).await;
}

async fn store_frames(store: &Store, frames: &[Frame]) {
    for frame in frames {
        store.store(&[Submission::whole(frame)]).await.unwrap();
    }
}

async fn fold_all(people: &People) {
    for source in SOURCES {
        people.fold_all(source).await.unwrap();
    }
}

fn erasure(user_id: &str, suppress: bool) -> Erasure {
    Erasure::new(Source::Facebook, user_id.to_owned(), suppress, origin())
}

async fn erase(store: &Store, user_id: &str, suppress: bool) {
    let mut erasure = erasure(user_id, suppress);
    // Of the second time, too.
    erasure.requested_at = origin().arrived_at;
    store.record_erasure(&erasure).await.unwrap();
    store.make_anonymous(&erasure).await.unwrap();
    store.complete_erasure(&erasure).await.unwrap();
}

async fn store_of(database: &Database) -> DatabaseConnection {
    database.connect().await
}

/// Asks about random ranges, and compares with a scan of the rows as they are.
async fn compare(reporting: &Running, database: &Database, random: &mut StdRng) {
    let found = ask(QUESTIONS, reporting, database, random).await;
    assert!(found > QUESTIONS / 5, "only {found} questions had an answer to compare");
}

/// Returns how many questions had an answer.
async fn ask(questions: usize, reporting: &Running, database: &Database, random: &mut StdRng) -> usize {
    let rows: Vec<Model> = stored_events(&store_of(database).await)
        .await
        .into_iter()
        .filter(|row| !row.user_id.is_empty())
        .collect();
    let mut found = 0;
    for _ in 0..questions {
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

fn assert_counted_from(reporting: &Running, sets: bool, rows: bool) {
    let metrics = reporting.metrics();
    let counted =
        |from: &str| metrics.contains(&format!("weir_demographics_sections_total{{from=\"{from}\"}}"));
    assert_eq!((counted("sets"), counted("rows")), (sets, rows), "{metrics}");
}

async fn sets(database: &Database) -> Vec<people_sets::Model> {
    use sea_orm::{EntityTrait as _, QueryOrder as _};
    use weir_migration::entity::people_sets::{Column, Entity};
    let ordered =
        Entity::find().order_by_asc(Column::Source).order_by_asc(Column::Grain).order_by_asc(Column::Bucket);
    ordered.all(&store_of(database).await).await.unwrap()
}

async fn unfolded(database: &Database) -> u64 {
    use sea_orm::EntityTrait as _;
    let deltas = people_deltas::Entity::find().all(&store_of(database).await).await.unwrap();
    deltas.iter().map(|delta| delta.sightings.unsigned_abs()).sum()
}

async fn keys(database: &DatabaseConnection, source: i16) -> Vec<Vec<u8>> {
    let query = format!("SELECT key FROM people WHERE source = {source}");
    let query = Statement::from_string(database.get_database_backend(), query);
    let rows = database.query_all_raw(query).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// What the previous build leaves in the rollups when it takes somebody out of rows.
async fn roll_up_again(database: &DatabaseConnection) {
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
async fn refuse(database: &DatabaseConnection, table: &str) {
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

async fn accept_again(database: &DatabaseConnection, table: &str) {
    let rules = match database.get_database_backend() {
        DbBackend::Postgres => vec![format!("DROP TRIGGER not_now ON {table}")],
        _ => ["INSERT", "UPDATE", "DELETE"].map(|change| format!("DROP TRIGGER not_now_{change}")).into(),
    };
    for rule in rules {
        database.execute_unprepared(&rule).await.unwrap();
    }
}
