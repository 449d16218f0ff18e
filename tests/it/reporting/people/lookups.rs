//! Lookups of people by key: one by one where few of many are wanted, also where PostgreSQL's statistics show hardly any
//! people; by one pass over all people where many are wanted.

use sea_orm::DbBackend;
use weir_testkit::eventually::eventually;

use super::*;

on_both_databases!(many_people_are_found_with_one_pass);

async fn many_people_are_found_with_one_pass(database: Database) {
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let events = crowded();
    let (known, unfolded) = events.split_at(USERS / 3);
    store_crowd(&store, known).await;
    People::new(&store).fold_all(1).await.unwrap();
    store_crowd(&store, unfolded).await;
    let before = scans(&migrated).await;

    let reporting = Running::on(&database, "30000").await;
    let request = GetDemographicsRequest { limit: Some(1_000), ..Default::default() };
    let answer = reporting.client().get_demographics(request).await.unwrap().into_inner();
    assert_eq!(answer, expected::demographics(&stored_events(&migrated).await, &request));
    assert_eq!(answer.facebook.unwrap().users, USERS as u64);
    assert_counted_from(&reporting, true, false);
    if migrated.get_database_backend() == DbBackend::Postgres {
        at_least(before + 1, async || scans(&migrated).await).await;
        let scans = scans(&migrated).await - before;
        assert!(scans < 100, "{scans}");
    }
}

/// How often people were read so far, as a whole table or by an index; 0 on SQLite, which does not say.
async fn scans(database: &DatabaseConnection) -> i64 {
    if database.get_database_backend() == DbBackend::Sqlite {
        return 0;
    }
    number(database, "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'people'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_looked_up_by_key_where_statistics_show_no_person_of_their_source() {
    let mut random = StdRng::seed_from_u64(28);
    let database = Database::postgres().await;
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    let people = People::new(&store);
    let mut events = scattered("first", &mut random);
    for (number, event) in events.iter_mut().enumerate() {
        event["data"]["user"]["userId"] = format!("user {number}").into();
    }
    let (facebook, tiktok): (Vec<Value>, Vec<Value>) =
        events.into_iter().partition(|event| event["source"] == "facebook");
    store_all(&store, &facebook).await;
    people.fold_all(1).await.unwrap();
    migrated.execute_unprepared("ANALYZE").await.unwrap();
    store_all(&store, &tiktok).await;
    people.fold_all(2).await.unwrap();
    let known = keys(&migrated, 2).await.len() as i64;
    assert!(known > 300, "{known}");

    let again: Vec<Value> = tiktok
        .into_iter()
        .map(|mut event| {
            event["eventId"] = format!("{} again", event["eventId"]).into();
            event
        })
        .collect();
    store_all(&store, &again).await;
    let before = lookups(&migrated).await;
    let reporting = Running::on(&database, "30000").await;
    reporting.client().get_demographics(GetDemographicsRequest::default()).await.unwrap();
    assert_counted_from(&reporting, true, false);
    at_least(before + known, async || lookups(&migrated).await).await;
    people.fold_all(2).await.unwrap();
    at_least(before + 2 * known, async || lookups(&migrated).await).await;
}

/// Waits until PostgreSQL has counted so much: it reports the work of a connection some seconds later.
async fn at_least(most: i64, counted: impl AsyncFn() -> i64) {
    eventually(async || match counted().await {
        enough if enough >= most => Ok(()),
        few => Err(format!("{few} of {most}")),
    })
    .await;
}

/// The number of scans of the index of keys so far.
async fn lookups(database: &DatabaseConnection) -> i64 {
    number(database, "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'people_pkey'").await
}

async fn number(database: &DatabaseConnection, query: &str) -> i64 {
    let query = Statement::from_string(database.get_database_backend(), query);
    database.query_one_raw(query).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}
