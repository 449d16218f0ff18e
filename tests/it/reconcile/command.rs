//! `weir reconcile` beside a running system: what it says, and its exit codes.

use std::process::ExitStatus;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use weir_testkit::{Weir, events::Sender, eventually, load::Load};

on_files_and_on_servers!(
    nothing_differs_beside_a_publisher_whose_rows_are_removed,
    damage_is_told_and_mended_beside_the_running_system,
    damaged_sets_of_people_are_told_and_mended_beside_the_running_system,
    every_mistake_in_the_arguments_is_told_at_once,
);

async fn nothing_differs_beside_a_publisher_whose_rows_are_removed(mut weir: Weir) {
    let keeping = [("EVENT_RETENTION", "2s".to_owned()), ("EVENT_KEY_RETENTION", "400d".to_owned())];
    weir.restart_with(keeping.into()).await;
    let load = Load::start(&weir);
    for _ in 0..3 {
        let before = weir.metric("rows_removed_total", &[]).await;
        eventually(async || match weir.metric("rows_removed_total", &[]).await {
            removed if removed > before => Ok(()),
            removed => Err(removed),
        })
        .await;
        let (status, told) = reconcile(&weir, &[]).await;
        assert!(status.success(), "{told}");
        assert_eq!(told["found"], 0, "{told}");
        assert!(told["days"].as_u64().unwrap() > 0 && told["completeFrom"]["tiktok"].is_string(), "{told}");
    }
    load.verify(&weir).await;
}

async fn damage_is_told_and_mended_beside_the_running_system(weir: Weir) {
    let events = Sender::new("damaged", 31).events(500);
    weir.post(&json!(events)).await.expect_accepted(500, 0);
    weir.drained(500).await;
    let revenue = async || weir.report("revenue", &[]).await.body;
    let before = revenue().await;
    let store = weir.store().await;
    store
        .execute_unprepared("UPDATE rollups SET amount_low = amount_low + 10000 WHERE grain = 3")
        .await
        .unwrap();
    assert_ne!(revenue().await, before);

    let (status, told) = reconcile(&weir, &["--limit", "1"]).await;
    assert_eq!(status.code(), Some(1), "{told}");
    let found = told["found"].as_u64().unwrap();
    assert!(found > 1 && told["differences"].as_array().unwrap().len() == 1, "{told}");
    let difference = &told["differences"][0];
    assert_eq!(
        (&difference["grain"], &difference["toldBy"]),
        (&json!("day"), &json!("rows")),
        "{difference}"
    );
    assert_ne!(difference["rollups"]["amount"], difference["expected"]["amount"]);
    assert_eq!(difference["rollups"]["events"], difference["expected"]["events"]);

    let (status, text) = weir.run(&["reconcile", "--source", "facebook"], &[]).await;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("│ day ") && text.contains("amount ") && !text.contains("tiktok"), "{text}");

    let (status, told) = reconcile(&weir, &["--repair"]).await;
    assert!(status.success(), "{told}");
    assert_eq!((&told["found"], &told["repaired"], &told["left"]), (&json!(found), &json!(found), &json!(0)));
    assert_eq!(revenue().await, before);
    let (status, told) = reconcile(&weir, &[]).await;
    assert!(status.success() && told["found"] == 0, "{told}");
}

async fn damaged_sets_of_people_are_told_and_mended_beside_the_running_system(weir: Weir) {
    let events = Sender::new("people", 32).events(500);
    weir.post(&json!(events)).await.expect_accepted(500, 0);
    weir.drained(500).await;
    eventually(async || match weir.metric("weir_people_folded_total", &[]).await {
        500.0 => Ok(()),
        folded => Err(folded),
    })
    .await;
    let demographics = async || weir.report("demographics", &[]).await.body;
    let before = demographics().await;
    let store = weir.store().await;
    // The day names the people of one of its minutes alone.
    let narrowed = "UPDATE people_sets SET data = (SELECT data FROM people_sets AS minutes \
        WHERE minutes.source = 1 AND minutes.grain = 1 ORDER BY minutes.bucket LIMIT 1) WHERE grain = 3 AND source = 1";
    assert!(store.execute_unprepared(narrowed).await.unwrap().rows_affected() > 0);
    assert_ne!(demographics().await, before);

    let (status, told) = reconcile(&weir, &["--source", "facebook"]).await;
    assert_eq!(status.code(), Some(1), "{told}");
    let difference = &told["differences"][0];
    assert_eq!((&difference["grain"], &difference["toldBy"]), (&json!("day"), &json!("minutes")), "{told}");
    assert!(difference["sets"]["misplaced"].as_u64() > Some(0), "{difference}");
    assert_eq!(difference["expected"]["misplaced"], 0, "{difference}");
    let (_, text) = weir.run(&["reconcile"], &[]).await;
    assert!(text.contains("facebook people") && text.contains("misplaced "), "{text}");

    let (status, told) = reconcile(&weir, &["--repair"]).await;
    assert!(status.success() && told["left"] == 0, "{told}");
    assert_eq!(demographics().await, before);
}

async fn every_mistake_in_the_arguments_is_told_at_once(weir: Weir) {
    let wrong = ["--from", "yesterday", "--source", "myspace", "--limit", "some", "--format", "xml"];
    let (status, told) = weir.run(&[&["reconcile"][..], &wrong].concat(), &[]).await;
    assert_eq!(status.code(), Some(64), "{told}");
    for mistake in ["--from", "--source", "--limit", "--format"] {
        assert!(told.contains(mistake), "{mistake} is missing in {told}");
    }
    let backward = ["reconcile", "--from", "2025-02-01", "--to", "2025-01-01"];
    let (status, told) = weir.run(&backward, &[("DATABASE_URL", "mysql://x")]).await;
    assert_eq!(status.code(), Some(64), "{told}");
    assert!(told.contains("--from: must not be after") && told.contains("DATABASE_URL"), "{told}");
}

async fn reconcile(weir: &Weir, args: &[&str]) -> (ExitStatus, Value) {
    let (status, told) = weir.run(&[&["reconcile", "--format", "json"][..], args].concat(), &[]).await;
    let told = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    (status, told)
}
