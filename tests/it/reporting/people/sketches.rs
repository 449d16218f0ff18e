//! Sketches estimate the users of ranges that have too many to count: the same whatever is folded, within the stated
//! error, also where people were erased or sketches were lost.

use weir::contract::reporting::v1::{FacebookDemographics, GetDemographicsResponse};

use super::*;

on_both_databases!(
    an_estimate_is_the_same_at_each_stage_of_folding_and_within_its_error,
    a_day_of_too_many_users_gives_them_no_numbers,
    an_erased_person_leaves_the_sketches,
    lost_sketches_are_made_anew_from_the_rows,
);

/// The users that reports of these stories count exactly.
const MAX_EXACT: u64 = 5_000;

async fn everything(reporting: &Running) -> GetDemographicsResponse {
    let request = GetDemographicsRequest { limit: Some(1_000), ..Default::default() };
    reporting.client().get_demographics(request).await.unwrap().into_inner()
}

/// Fails unless every figure lies within four of its standard errors.
fn assert_close(estimated: &FacebookDemographics, exact: &FacebookDemographics) {
    let error = estimated.relative_error.unwrap();
    assert!(estimated.estimate && (0.001..0.05).contains(&error), "{error}");
    let total = exact.users as f64;
    let groups =
        estimated.age_groups.iter().zip(&exact.age_groups).map(|(one, other)| (one.users, other.users));
    let cities = estimated.cities.iter().map(|row| {
        let exact =
            exact.cities.iter().find(|exact| (&exact.country, &exact.city) == (&row.country, &row.city));
        (row.users, exact.unwrap().users)
    });
    for (estimate, users) in groups.chain(cities).chain([(estimated.users, exact.users)]) {
        let allowed = 4.0 * error * (users as f64 * total).sqrt();
        assert!(
            (estimate as f64 - users as f64).abs() <= allowed,
            "{estimate} for {users}, {allowed} allowed"
        );
    }
    assert_eq!(estimated.average_age_decimal, exact.average_age_decimal, "a mean is never estimated");
}

async fn exact(database: &Database) -> FacebookDemographics {
    let rows: Vec<Model> = stored_events(&store_of(database).await).await;
    let rows: Vec<Model> = rows.into_iter().filter(|row| !row.user_id.is_empty()).collect();
    let request = GetDemographicsRequest { limit: Some(1_000), ..Default::default() };
    expected::demographics(&rows, &request).facebook.unwrap()
}

async fn an_estimate_is_the_same_at_each_stage_of_folding_and_within_its_error(database: Database) {
    let store = Store::new(&database.migrated().await);
    let people = People::new(&store);
    let reporting = Running::with_max_exact_users(MAX_EXACT, &database, "30000").await;
    let events = crowded();
    let (first, second) = events.split_at(USERS);
    store_crowd(&store, first).await;
    assert!(matches!(people.sketch(1).await.unwrap(), StepOutcome::Changed(1..)));
    store_crowd(&store, second).await;
    let partly_sketched = everything(&reporting).await;
    assert_close(partly_sketched.facebook.as_ref().unwrap(), &exact(&database).await);
    while people.sketch(1).await.unwrap() != StepOutcome::Idle {}
    assert_eq!(everything(&reporting).await, partly_sketched, "sketched");
    assert!(matches!(people.fold(1, 10_000).await.unwrap(), StepOutcome::Changed(1..)));
    assert_eq!(everything(&reporting).await, partly_sketched, "partly folded");
    fold_all(&people).await;
    assert_eq!(everything(&reporting).await, partly_sketched, "folded");
    let metrics = reporting.metrics();
    assert!(metrics.contains("weir_demographics_sections_total{from=\"sketches\"} 4"), "{metrics}");
    // A range of fewer users is counted.
    let mut random = StdRng::seed_from_u64(29);
    compare(&Running::on(&database, "30000").await, &database, &mut random).await;
}

async fn a_day_of_too_many_users_gives_them_no_numbers(database: Database) {
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let people = People::new(&store).with_most_numbered_users(6_000);
    let reporting = Running::with_max_exact_users(MAX_EXACT, &database, "30000").await;
    let events = crowded();
    store_crowd(&store, &events[..USERS]).await;
    while people.sketch(1).await.unwrap() != StepOutcome::Idle {}
    let sketched = everything(&reporting).await;
    fold_all(&people).await;
    assert_eq!(unfolded(&database).await, 0, "folding is through");
    assert_eq!(keys(&migrated, 1).await.len(), 0, "nobody got a number");
    assert_eq!(everything(&reporting).await, sketched);
    assert_close(sketched.facebook.as_ref().unwrap(), &exact(&database).await);
    assert!(
        matches!(people.rebuild(1).await.unwrap(), StepOutcome::Idle),
        "sets of the day are not made anew"
    );
    // A part of the day with fewer users is counted from rows.
    let rows = stored_events(&migrated).await;
    let time = |seconds| prost_types::Timestamp { seconds: DAY / 1_000_000 + seconds, nanos: 0 };
    let request =
        GetDemographicsRequest { from: Some(time(600)), to: Some(time(9_000)), source: 1, limit: Some(3) };
    let answer = reporting.client().get_demographics(request).await.unwrap().into_inner();
    assert_eq!(answer, expected::demographics(&rows, &request));
    assert!(!answer.facebook.unwrap().estimate);
}

async fn an_erased_person_leaves_the_sketches(database: Database) {
    let store = Store::new(&database.migrated().await);
    let people = People::new(&store);
    let reporting = Running::with_max_exact_users(MAX_EXACT, &database, "30000").await;
    let events = crowded();
    store_crowd(&store, &events[..USERS]).await;
    while people.sketch(1).await.unwrap() != StepOutcome::Idle {}
    store_crowd(&store, &events[USERS..]).await;
    let before = everything(&reporting).await.facebook.unwrap();
    for user in 0..40 {
        erase(&store, &format!("user {user}"), false).await;
    }
    let after = everything(&reporting).await.facebook.unwrap();
    assert!(after.estimate && after.users < before.users, "{} after {}", after.users, before.users);
    assert_close(&after, &exact(&database).await);
    assert_eq!(reporting.metrics().matches("from=\"rows\"").count(), 0);
}

async fn lost_sketches_are_made_anew_from_the_rows(database: Database) {
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let people = People::new(&store);
    let reporting = Running::with_max_exact_users(MAX_EXACT, &database, "30000").await;
    let events = crowded();
    store_crowd(&store, &events[..USERS]).await;
    fold_all(&people).await;
    let before = everything(&reporting).await;
    // As if the build before had folded.
    migrated.execute_unprepared("DELETE FROM people_sketches").await.unwrap();
    store_crowd(&store, &events[USERS..USERS + 1_000]).await;
    let counted = everything(&reporting).await.facebook.unwrap();
    assert_eq!(counted.users, USERS as u64, "without sketches users are counted");
    while people.rebuild_sketches(1).await.unwrap() != StepOutcome::Idle {}
    let rebuilt = everything(&reporting).await.facebook.unwrap();
    assert_eq!(rebuilt.users, before.facebook.unwrap().users);
    assert_close(&rebuilt, &exact(&database).await);
    // The sketch of deltas that it contains already is the same once they are sketched.
    while people.sketch(1).await.unwrap() != StepOutcome::Idle {}
    assert_eq!(everything(&reporting).await.facebook.unwrap(), rebuilt);
    assert!(matches!(people.rebuild_sketches(1).await.unwrap(), StepOutcome::Idle), "nothing is missing");
}
