//! A store that an earlier build made is carried over: this build migrates it, answers the same about it, and finds no
//! difference in it.
//!
//! tests/fixtures/schema-13 has a store of the last build before migration 14, on both databases, and the answers of that
//! build: 400 events of both sources over three days, of which 30 were sent twice, an erased person, and 100 events
//! whose people were not folded yet. `stored_at` of its rows ages, so the story keeps rows for ever.

use std::fs;

use sea_orm::EntityTrait as _;
use serde_json::Value;
use weir_database::entity::events;
use weir_testkit::{Weir, eventually, repository::repository};

on_files_and_on_servers!(a_store_of_schema_13_answers_the_same);

const FIXTURE: &str = "tests/fixtures/schema-13";

async fn a_store_of_schema_13_answers_the_same(mut weir: Weir) {
    weir.stop().await;
    weir.replace_store(&repository(FIXTURE)).await;
    weir.start_again_with(vec![("EVENT_RETENTION", "off".to_owned())]).await;
    assert_answers(&weir).await;
    let store = weir.store().await;
    // Rows of that build have the texts of their frame and their call themselves.
    let row = events::Entity::find().one(&store).await.unwrap().unwrap();
    assert!(row.frame_number.is_none() && !row.correlation_id.is_empty(), "{row:?}");
    let source = weir_event::Source::from_number(row.source.into()).unwrap().name();
    let answer = weir.get(&format!("/events/{source}/{}", row.event_id)).await;
    assert_eq!(answer.body["stored"]["correlationId"], row.correlation_id.as_str(), "{answer:?}");
    // The background work of this build goes over the store: sketches and rankings are made, the rest is folded.
    eventually(async || {
        let waiting = number(&store, "SELECT COUNT(*) FROM people_deltas").await;
        let sketched =
            number(&store, "SELECT COALESCE(SUM(sightings), 0) FROM people_sketches WHERE grain = 3").await;
        let events = number(&store, "SELECT COUNT(*) FROM stored_events WHERE user_id <> ''").await;
        let ranked = number(&store, &sales_in("campaign_rankings")).await;
        let sales = number(&store, &sales_in("campaign_rollups")).await;
        if (waiting, sketched, ranked) == (0, events, sales) {
            Ok(())
        } else {
            Err(format!("{waiting} deltas, {sketched} of {events} events, {ranked} of {sales} sales"))
        }
    })
    .await;
    store.close().await.unwrap();
    assert_answers(&weir).await;
    weir.stop().await;
    let (status, output) = weir.run(&["reconcile"], &[]).await;
    assert!(status.success(), "{output}");
}

fn sales_in(table: &str) -> String {
    format!("SELECT COALESCE(SUM(transactions), 0) FROM {table} WHERE grain = 3")
}

async fn number(store: &sea_orm::DatabaseConnection, query: &str) -> i64 {
    use sea_orm::{ConnectionTrait as _, Statement};
    let query =
        Statement::from_string(store.get_database_backend(), format!("SELECT CAST(({query}) AS BIGINT)"));
    store.query_one_raw(query).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn assert_answers(weir: &Weir) {
    let hundred = ("limit", "100".to_owned());
    for (report, parameters) in [
        ("events", vec![("groupBy", "hour".to_owned())]),
        ("revenue", vec![("groupBy", "day".to_owned()), hundred.clone()]),
        ("demographics", vec![hundred]),
    ] {
        let file = repository(FIXTURE).join(report).with_extension("json");
        let expected: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(weir.report(report, &parameters).await.body, expected, "{report}");
    }
}
