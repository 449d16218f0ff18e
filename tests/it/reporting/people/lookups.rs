//! Lookups of people by key on PostgreSQL, also where its statistics show hardly any people.

use weir_testkit::eventually::eventually;

use super::*;

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
    looked_up(&migrated, before + known).await;
    people.fold_all(2).await.unwrap();
    looked_up(&migrated, before + 2 * known).await;
}

/// Waits for the lookups: PostgreSQL reports the work of a connection some seconds later.
async fn looked_up(database: &DatabaseConnection, at_least: i64) {
    eventually(async || match lookups(database).await {
        enough if enough >= at_least => Ok(()),
        few => Err(format!("{few} lookups of {at_least}")),
    })
    .await;
}

/// The number of scans of the index of keys so far.
async fn lookups(database: &DatabaseConnection) -> i64 {
    let query = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'people_pkey'";
    let query = Statement::from_string(database.get_database_backend(), query);
    database.query_one_raw(query).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}
