//! Erasure of a person: events stay and count, the person's data is gone, and a receipt reports it.

mod killed;
mod proof;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use weir_event::Source;
use weir_testkit::{
    Weir,
    database::{refuse, stored_events},
    events::with_id,
    eventually,
};

on_files_and_on_servers!(
    an_erased_person_is_gone_and_the_events_still_count,
    a_waiting_erasure_has_its_own_exit_code_and_covers_the_events_before_it,
    a_person_who_returns_counts_unless_suppressed,
    a_wrong_order_is_refused_and_its_user_id_is_not_printed,
);

const ADA: &str = "u-ada-lovelace";
const NAME: &str = "Augusta Ada King";

async fn an_erased_person_is_gone_and_the_events_still_count(weir: Weir) {
    let store = weir.store().await;
    refuse(&store, &["parked"]).await;
    let mut rejected = of(ADA, "rejected");
    rejected["timestamp"] = "yesterday".into();
    let mut of_bob = of("u-bob", "rejected too");
    of_bob["timestamp"] = "yesterday".into();
    let good = [of(ADA, "top"), purchase(ADA, "bottom"), purchase("u-bob", "other"), of(ADA, "parked")];
    let posted = [&good[..], &[rejected, of_bob]].concat();
    weir.post(&json!(posted)).await.expect_accepted(4, 2);
    weir.drained(3).await;
    eventually(async || match letters(&weir).await {
        3 => Ok(()),
        other => Err(other),
    })
    .await;
    let before = (figures(&weir, "events").await, figures(&weir, "revenue").await);

    let receipt = erase(&weir, &["facebook", ADA]).await;
    assert_eq!((&receipt["rows"], &receipt["deadLetters"]), (&json!(2), &json!(2)), "{receipt}");
    assert_eq!(before, (figures(&weir, "events").await, figures(&weir, "revenue").await));
    let people = figures(&weir, "demographics").await["facebook"].take();
    assert_eq!((&people["users"], &people["averageAge"]), (&json!(1), &json!(23.0)), "{people}");
    assert_eq!(people["genders"], json!([{"gender": "male", "users": 1}]));
    assert_eq!(letters(&weir).await, 1, "another person's letter stays");
    let rows = format!("{:?}", stored_events(&store).await);
    let log = weir.log();
    for trace in [ADA, NAME] {
        assert!(!rows.contains(trace), "{trace} is stored: {rows}");
        assert!(!log.contains(trace), "{trace} is logged");
    }

    let again = erase(&weir, &["facebook", ADA]).await;
    assert_eq!((&again["rows"], &again["deadLetters"]), (&json!(0), &json!(0)), "{again}");
    assert_ne!(again["erasureId"], receipt["erasureId"]);
    let id = receipt["erasureId"].as_str().unwrap();
    assert_eq!(erase(&weir, &["--receipt", id]).await, receipt, "the first receipt stands");
}

async fn a_waiting_erasure_has_its_own_exit_code_and_covers_the_events_before_it(weir: Weir) {
    let store = weir.store().await;
    store.execute_unprepared("ALTER TABLE frames RENAME TO away").await.unwrap();
    weir.post(&of(ADA, "waiting")).await.expect_accepted(1, 0);
    let (status, output) = weir.run(&["erase", "facebook", ADA, "--wait", "0s", "--json"], &[]).await;
    assert_eq!(status.code(), Some(75), "{output}");
    let receipt: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(receipt["completedAt"], Value::Null);
    weir.post(&of(ADA, "after")).await.expect_accepted(1, 0);

    store.execute_unprepared("ALTER TABLE away RENAME TO frames").await.unwrap();
    weir.drained(2).await;
    erase(&weir, &["--receipt", receipt["erasureId"].as_str().unwrap()]).await;
    let persons: Vec<_> =
        stored_events(&store).await.into_iter().map(|row| (row.event_id, row.user_id)).collect();
    let expected = [("after", ADA), ("waiting", "")];
    assert_eq!(persons, expected.map(|(id, person)| (id.to_owned(), person.to_owned())));
}

async fn a_person_who_returns_counts_unless_suppressed(weir: Weir) {
    let users = async || figures(&weir, "demographics").await["facebook"]["users"].take();
    weir.post(&of(ADA, "first")).await.expect_accepted(1, 0);
    weir.drained(1).await;
    erase(&weir, &["facebook", ADA]).await;
    assert_eq!(users().await, 0);
    weir.post(&of(ADA, "again")).await.expect_accepted(1, 0);
    weir.drained(2).await;
    assert_eq!(users().await, 1);
    let receipt = erase(&weir, &["facebook", ADA, "--suppress"]).await;
    assert_eq!((&receipt["rows"], &receipt["suppress"]), (&json!(1), &json!(true)), "{receipt}");
    weir.post(&of(ADA, "once more")).await.expect_accepted(1, 0);
    weir.drained(3).await;
    assert_eq!((users().await, weir.reported_events().await), (json!(0), 3));
}

async fn a_wrong_order_is_refused_and_its_user_id_is_not_printed(weir: Weir) {
    let too_long = format!("{ADA}{}", "x".repeat(256));
    for args in [["erase", ADA, "facebook"], ["erase", "facebook", &too_long]] {
        let (status, output) = weir.run(&args, &[]).await;
        assert_eq!(status.code(), Some(64), "{output}");
        assert!(!output.contains(ADA), "{output}");
    }
    let away = [("INGEST_URL", "http://127.0.0.1:1")];
    let (status, output) = weir.run(&["erase", "facebook", ADA], &away).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("INGEST_URL") && !output.contains(ADA), "{output}");
}

/// A top event of a person of Facebook.
fn of(user_id: &str, event_id: &str) -> Value {
    let mut event = with_id(Source::Facebook, event_id);
    let (name, age, gender) = if user_id == ADA { (NAME, 36, "female") } else { ("Bob", 23, "male") };
    let user = &mut event["data"]["user"];
    (user["userId"], user["name"]) = (user_id.into(), name.into());
    (user["age"], user["gender"]) = (age.into(), gender.into());
    event
}

fn purchase(user_id: &str, event_id: &str) -> Value {
    let mut event = of(user_id, event_id);
    (event["funnelStage"], event["eventType"]) = ("bottom".into(), "checkout.complete".into());
    event["data"]["engagement"] = json!({
        "adId": "ad", "campaignId": "campaign", "clickPosition": "center", "device": "mobile", "browser": "Firefox",
        "purchaseAmount": "10.50",
    });
    event
}

/// The receipt of a complete erasure.
async fn erase(weir: &Weir, args: &[&str]) -> Value {
    let (status, output) = weir.run(&[&["erase", "--json"], args].concat(), &[]).await;
    assert!(status.success(), "{args:?}: {output}");
    // After the JSON, the command writes a note to standard error where the erasure takes a while.
    let mut values = serde_json::Deserializer::from_str(&output).into_iter();
    values.next().and_then(Result::ok).unwrap_or_else(|| panic!("no JSON in {output}"))
}

async fn letters(weir: &Weir) -> u64 {
    let (_, output) = weir.run(&["dead-letters", "list", "--json"], &[]).await;
    let listed: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error} in {output}"));
    listed["letters"].as_u64().unwrap()
}

async fn figures(weir: &Weir, report: &str) -> Value {
    weir.report(report, &[]).await.body
}
