//! Lookup of one event, at the edge and from the command line: it is stored, a dead letter, removed, or unknown.

use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, EntityTrait as _};
use serde_json::{Value, json};
use url::Url;
use weir_database::entity::events;
use weir_event::Source;
use weir_testkit::{
    Answer, Weir,
    database::{events_by_id, insert_key, refuse},
    events::with_id,
    eventually,
};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

on_files_and_on_servers!(
    an_event_that_came_once_is_stored_without_duplicates,
    an_event_that_came_three_times_has_two_duplicates,
    an_event_that_breaks_rules_is_a_dead_letter_until_it_is_corrected,
    an_item_without_a_source_is_found_under_either_source,
    an_event_that_the_store_refuses_is_parked,
    an_event_whose_row_was_removed_after_its_time_is_reported_with_its_arrival,
    an_event_that_never_came_is_unknown,
    an_event_that_waits_is_reported_as_unknown_until_it_is_stored,
    an_id_may_hold_characters_that_a_path_may_not,
);

async fn an_event_that_came_once_is_stored_without_duplicates(weir: Weir) {
    let event = with_id(Source::Facebook, "once");
    let request = weir.request("/events").header("x-correlation-id", "order-17");
    weir.send(request.header("traceparent", TRACEPARENT).json(&event)).await.expect_accepted(1, 0);
    weir.drained(1).await;

    let answer = find(&weir, Source::Facebook, "once").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let stored = &answer.body["stored"];
    let fields = [&stored["correlationId"], &stored["traceId"], &stored["duplicates"]];
    assert_eq!(fields, [&json!("order-17"), &json!("4bf92f3577b34da6a3ce929d0e0e4736"), &json!(0)]);
    let instant = |name: &str| chrono::DateTime::parse_from_rfc3339(stored[name].as_str().unwrap()).unwrap();
    assert!(instant("arrivedAt") <= instant("storedAt"), "{stored}");
    assert_eq!(answer.body["deadLetters"], json!([]));
    let other = find(&weir, Source::Tiktok, "once").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "the same id of another source is another event");

    let (status, shown) = weir.run(&["event", "facebook", "once"], &[]).await;
    assert!(status.success() && shown.contains("order-17"), "{shown}");
}

async fn an_event_that_came_three_times_has_two_duplicates(weir: Weir) {
    let [event, other] = ["thrice", "other"].map(|id| with_id(Source::Tiktok, id));
    weir.post(&json!([event, other, event])).await.expect_accepted(3, 0);
    weir.drained(3).await;
    weir.post(&json!([event])).await.expect_accepted(1, 0);
    weir.drained(4).await;
    let duplicates = async |id| find(&weir, Source::Tiktok, id).await.body["stored"]["duplicates"].clone();
    assert_eq!((duplicates("thrice").await, duplicates("other").await), (json!(2), json!(0)));
}

async fn an_event_that_breaks_rules_is_a_dead_letter_until_it_is_corrected(weir: Weir) {
    let good = with_id(Source::Facebook, "mended");
    let mut bad = good.clone();
    bad["timestamp"] = json!("yesterday");
    bad["data"]["user"]["gender"] = json!("alien");
    let request = weir.request("/events").header("x-correlation-id", "the-bad-one");
    weir.send(request.json(&bad)).await.expect_problem(StatusCode::BAD_REQUEST);

    let answer = find(&weir, Source::Facebook, "mended").await;
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::OK, &json!("deadLetter")));
    let letter = &answer.body["deadLetters"][0];
    assert_eq!((&letter["kind"], &letter["correlationId"]), (&json!("rejected"), &json!("the-bad-one")));
    assert_eq!(pointers(letter), ["/data/user/gender", "/timestamp"]);

    weir.post(&good).await.expect_accepted(1, 0);
    weir.drained(1).await;
    let answer = find(&weir, Source::Facebook, "mended").await;
    assert_eq!(answer.body["status"], "stored");
    assert_eq!(answer.body["deadLetters"].as_array().map(Vec::len), Some(1));
}

async fn an_item_without_a_source_is_found_under_either_source(weir: Weir) {
    let mut item = with_id(Source::Facebook, "sourceless");
    item["source"] = json!("Facebook");
    weir.post(&item).await.expect_problem(StatusCode::BAD_REQUEST);
    for source in Source::ALL {
        let answer = find(&weir, *source, "sourceless").await;
        assert_eq!(answer.body["status"], "deadLetter", "{answer:?}");
        assert!(pointers(&answer.body["deadLetters"][0]).contains(&"/source".to_owned()), "{answer:?}");
    }
}

async fn an_event_that_the_store_refuses_is_parked(weir: Weir) {
    refuse(&weir.store().await, &["refused"]).await;
    let events = ["refused", "neighbour"].map(|id| with_id(Source::Facebook, id));
    weir.post(&json!(events)).await.expect_accepted(2, 0);
    let letter = eventually(async || {
        let mut answer = find(&weir, Source::Facebook, "refused").await;
        if answer.body["status"] == "deadLetter" {
            Ok(answer.body["deadLetters"][0].take())
        } else {
            Err(answer)
        }
    })
    .await;
    assert_eq!(letter["kind"], "parked");
    assert_eq!(pointers(&letter), [""]);
    let reason = letter["violations"][0]["message"].as_str().unwrap();
    assert!(reason.contains("not_this_one"), "{reason}");
    weir.drained(1).await;
    assert_eq!(find(&weir, Source::Facebook, "neighbour").await.body["status"], "stored");
}

async fn an_event_whose_row_was_removed_after_its_time_is_reported_with_its_arrival(weir: Weir) {
    weir.post(&with_id(Source::Facebook, "old")).await.expect_accepted(1, 0);
    weir.drained(1).await;
    let arrived_at = find(&weir, Source::Facebook, "old").await.body["stored"]["arrivedAt"].clone();
    let store = weir.store().await;
    let row = events::Entity::find_by_id((1, "old".to_owned())).one(&store).await.unwrap().unwrap();
    insert_key(&store, row.source, &row.event_id, row.arrived_at).await;
    let delete = format!("DELETE FROM {} WHERE event_id = 'old'", events_by_id(&store));
    assert_eq!(store.execute_unprepared(&delete).await.unwrap().rows_affected(), 1);

    let answer = find(&weir, Source::Facebook, "old").await;
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::OK, &json!("removed")));
    assert_eq!(answer.body["removed"], json!({"arrivedAt": arrived_at}));
    assert!(answer.body.get("stored").is_none(), "{answer:?}");
    let (status, shown) = weir.run(&["event", "facebook", "old"], &[]).await;
    let is_reported = shown.contains("removed") && shown.contains(arrived_at.as_str().unwrap());
    assert!(status.success() && is_reported, "{shown}");
}

async fn an_event_that_never_came_is_unknown(weir: Weir) {
    let answer = find(&weir, Source::Tiktok, "nowhere").await;
    let expected = json!({"source": "tiktok", "eventId": "nowhere", "status": "unknown", "deadLetters": [],
                          "waitingFrames": 0});
    assert_eq!((answer.status, answer.body), (StatusCode::NOT_FOUND, expected.clone()));

    let (status, shown) = weir.run(&["event", "tiktok", "nowhere", "--json"], &[]).await;
    assert_eq!(status.code(), Some(1), "{shown}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), expected);
    let (status, shown) = weir.run(&["event", "meta", "nowhere"], &[]).await;
    assert_eq!(status.code(), Some(64), "{shown}");
    weir.get("/events/meta/nowhere").await.expect_problem(StatusCode::BAD_REQUEST);
    let nul = find(&weir, Source::Facebook, "nul\0").await;
    assert_eq!(nul.status, StatusCode::NOT_FOUND, "{nul:?}");
}

async fn an_event_that_waits_is_reported_as_unknown_until_it_is_stored(weir: Weir) {
    let store = weir.store().await;
    // Collectors can't account for a frame, while reporting can read events.
    store.execute_unprepared("ALTER TABLE frames RENAME TO away").await.unwrap();
    weir.post(&with_id(Source::Tiktok, "waiting")).await.expect_accepted(1, 0);
    let answer = find(&weir, Source::Tiktok, "waiting").await;
    assert_eq!((answer.status, &answer.body["waitingFrames"]), (StatusCode::NOT_FOUND, &json!(1)));
    assert_eq!(find(&weir, Source::Facebook, "waiting").await.body["waitingFrames"], 0);
    let (status, shown) = weir.run(&["event", "tiktok", "waiting"], &[]).await;
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("ask again"), "{shown}");

    store.execute_unprepared("ALTER TABLE away RENAME TO frames").await.unwrap();
    eventually(async || {
        let answer = find(&weir, Source::Tiktok, "waiting").await;
        if answer.status == StatusCode::OK { Ok(()) } else { Err(answer) }
    })
    .await;
}

async fn an_id_may_hold_characters_that_a_path_may_not(weir: Weir) {
    let ids =
        ["a/b/../c", "with space + plus", "q?x=1&y#z", "100%25", "Zoë 東京 💩", "quote'\"\\", "*.>", "..."];
    let events: Vec<Value> = ids.iter().map(|id| with_id(Source::Facebook, id)).collect();
    weir.post(&json!(events)).await.expect_accepted(ids.len(), 0);
    weir.drained(ids.len()).await;
    for id in ids {
        let answer = find(&weir, Source::Facebook, id).await;
        assert_eq!((&answer.body["status"], &answer.body["eventId"]), (&json!("stored"), &json!(id)));
        let (status, shown) = weir.run(&["event", "facebook", id], &[]).await;
        assert!(status.success() && shown.contains(id), "{shown}");
    }
}

/// The answer of the edge about an event; the id may have any characters.
async fn find(weir: &Weir, source: Source, id: &str) -> Answer {
    let mut url = Url::parse("http://edge/events").unwrap();
    url.path_segments_mut().unwrap().extend([source.name(), id]);
    weir.get(url.path()).await
}

/// The pointers of a letter's violations, ascending.
fn pointers(letter: &Value) -> Vec<String> {
    let violations = letter["violations"].as_array().expect("a letter names violations").iter();
    let mut pointers: Vec<String> =
        violations.map(|violation| violation["pointer"].as_str().unwrap().to_owned()).collect();
    pointers.sort();
    pointers
}
