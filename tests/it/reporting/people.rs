//! Sets of people give the figures of a scan of the rows, for random events, ranges and filters: at each stage of
//! folding, with erased people, removed rows and rows without a delta.

mod fixtures;
mod lookups;
mod sketches;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use serde_json::Value;
use weir::contract::reporting::v1::GetDemographicsRequest;
use weir_collectors::{
    people::{People, StepOutcome},
    store::Store,
};
use weir_database::entity::{events::Model, people_deltas, people_sets};
use weir_testkit::{
    database::anonymize,
    database::{Database, on_both_databases, stored_events},
    events::{Sender, frame},
};

use self::fixtures::*;
use super::{expected, moments, rows, running::Running};

on_both_databases!(
    sets_answer_as_the_rows_do_at_each_stage_of_folding,
    rows_without_a_delta_are_counted_at_once_and_rebuilt_later,
    an_erased_person_is_in_no_set_before_and_after_folding,
    a_fold_that_fails_changes_nothing,
    two_fold_jobs_at_once_fold_each_observation_once,
    an_estimate_lies_within_its_stated_error,
    sets_and_people_without_rows_are_pruned,
);

const EVENTS: usize = 1_000;
const EVENTS_PER_FRAME: usize = 40;
const REQUESTS: usize = 60;
const SOURCES: [i16; 2] = [1, 2];

async fn sets_answer_as_the_rows_do_at_each_stage_of_folding(database: Database) {
    let mut random = StdRng::seed_from_u64(21);
    let store = Store::new(&database.migrated().await);
    let people = People::new(&store);
    let reporting = Running::on(&database, "30000").await;
    let events = scattered("folded", &mut random);
    for (round, part) in events.chunks(EVENTS / 4).enumerate() {
        // The first half is stored twice.
        store_all(&store, &part[..part.len() / 2]).await;
        store_all(&store, part).await;
        compare(&reporting, &database, &mut random).await;
        for source in SOURCES {
            let folded = people.fold(source, [1, 30, 60, 1_000_000][round]).await.unwrap();
            assert!(matches!(folded, StepOutcome::Changed(1..)), "{folded:?}");
        }
        compare(&reporting, &database, &mut random).await;
    }
    fold_all(&people).await;
    assert_eq!(unfolded(&database).await, 0);
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);
}

/// Rows of the previous build, and rows that are older than the sets.
async fn rows_without_a_delta_are_counted_at_once_and_rebuilt_later(database: Database) {
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
        while people.rebuild(source).await.unwrap() != StepOutcome::Idle {
            ask(5, &reporting, &database, &mut random).await;
            people.fold(source, 50).await.unwrap();
        }
    }
    let reporting = Running::on(&database, "30000").await;
    compare(&reporting, &database, &mut random).await;
    fold_all(&people).await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);

    // The previous build erases a person.
    let erased = anonymize(&migrated, "source = 1 AND user_id IN ('user 3', 'user-3')");
    assert!(migrated.execute_unprepared(&erased).await.unwrap().rows_affected() > 0);
    roll_up_again(&migrated).await;
    compare(&reporting, &database, &mut random).await;
    while people.rebuild(1).await.unwrap() != StepOutcome::Idle {}
    let reporting = Running::on(&database, "30000").await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);
}

async fn an_erased_person_is_in_no_set_before_and_after_folding(database: Database) {
    let mut random = StdRng::seed_from_u64(23);
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let people = People::new(&store);
    let reporting = Running::on(&database, "30000").await;
    let events = scattered("erased", &mut random);
    let parts: Vec<&[Value]> = events.chunks(EVENTS / 5).collect();
    store_all(&store, parts[0]).await;
    people.fold(1, 40).await.unwrap();
    // Erased while the deltas are folded in part, before they are, and afterwards.
    erase(&store, "user-3", false).await;
    compare(&reporting, &database, &mut random).await;
    store_all(&store, parts[1]).await;
    erase(&store, "user-4", true).await;
    compare(&reporting, &database, &mut random).await;
    fold_all(&people).await;
    erase(&store, "user-5", false).await;
    compare(&reporting, &database, &mut random).await;

    // A person whose events arrive again counts again, unless suppressed; also after another erasure.
    let mut later = frames(parts[2]);
    later.iter_mut().for_each(|frame| frame.origins[0].arrived_at += chrono::TimeDelta::seconds(1));
    store_frames(&store, &later).await;
    compare(&reporting, &database, &mut random).await;
    fold_all(&people).await;
    compare(&reporting, &database, &mut random).await;
    erase(&store, "user-3", false).await;
    compare(&reporting, &database, &mut random).await;
    assert_counted_from(&reporting, true, false);

    // In the middle of an erasure the report counts rows.
    let erasure = erasure("user-6", true);
    store.record_erasure(&erasure).await.unwrap();
    store.anonymize_rows(&erasure).await.unwrap();
    People::new(&store).erase(&erasure).await.unwrap();
    let key = weir_database::people::PersonKey::of("user-6").0.to_vec();
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
    // A fold writes these tables in this order.
    for table in ["people", "people_aliases", "people_columns", "people_sets", "people_deltas"] {
        refuse(&migrated, table).await;
        for source in SOURCES {
            // The connection that failed may hold the lock for a moment.
            let mut folded = people.fold(source, 1_000_000).await;
            while let Ok(StepOutcome::Busy) = folded {
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

async fn two_fold_jobs_at_once_fold_each_observation_once(database: Database) {
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
                    Ok(StepOutcome::Changed(sightings)) => folded += sightings,
                    Ok(StepOutcome::Idle) => break,
                    // The other one has the lock, or had it a moment ago.
                    Ok(StepOutcome::Busy) | Err(_) => tokio::task::yield_now().await,
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

async fn an_estimate_lies_within_its_stated_error(database: Database) {
    let mut random = StdRng::seed_from_u64(26);
    let store = Store::new(&database.migrated().await);
    let mut events = Sender::new("sampled", 7).events(4_000);
    for (number, event) in events.iter_mut().enumerate() {
        event["timestamp"] = written(moments::moment(&mut random));
        event["data"]["user"]["userId"] = format!("user {}", number / 2).into();
    }
    store_all(&store, &events).await;
    let half = Running::with_max_exact_users(500, &database, "30000").await;
    let rows = stored_events(&store_of(&database).await).await;
    let request = GetDemographicsRequest { limit: Some(1_000), ..Default::default() };
    let expected = expected::demographics(&rows, &request);
    for folded in [false, true] {
        if folded {
            fold_all(&People::new(&store)).await;
        }
        let answer = half.client().get_demographics(request).await.unwrap().into_inner();
        let (estimated, exact) = (answer.facebook.unwrap(), expected.facebook.clone().unwrap());
        assert!(estimated.estimate && exact.users > 500);
        assert_eq!((estimated.users, estimated.average_age), (exact.users, exact.average_age), "exact");
        let error = estimated.relative_error.unwrap();
        assert!((0.01..0.2).contains(&error), "{error}");
        let groups = estimated
            .age_groups
            .iter()
            .zip(&exact.age_groups)
            .map(|(group, exact)| (group.users, exact.users));
        let genders = estimated.genders.iter().map(|group| {
            let exact = exact.genders.iter().find(|exact| exact.gender == group.gender).unwrap();
            (group.users, exact.users)
        });
        for (estimate, users) in groups.chain(genders) {
            // Four standard errors: chance exceeds them less often than once in ten thousand.
            let allowed = 4.0 * error * (exact.users as f64 * users as f64).sqrt();
            let difference = (estimate as f64 - users as f64).abs();
            assert!(difference <= allowed, "{estimate} for {users}, {allowed} allowed");
        }
    }
    // A section with fewer users is not estimated.
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
    // The old events are of other people, on the first of June 2023.
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
        assert!(matches!(people.rebuild(source).await.unwrap(), StepOutcome::Idle), "nothing is missing");
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
    // New numbers follow those of the removed people.
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
