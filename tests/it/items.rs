//! Unusual items of real senders: unknown keys, repeated keys, other encodings, and torn lines.

use reqwest::StatusCode;
use serde_json::{Value, json};
use weir_event::Source;
use weir_testkit::{Answer, Weir, events::with_id};

on_files_and_on_servers!(
    unknown_keys_are_ignored_with_any_value,
    a_bad_item_is_found_by_its_id_with_the_pointer_of_its_fault,
    a_line_in_another_encoding_is_one_bad_item,
    a_body_of_too_many_items_for_its_size_is_refused_whole,
);

/// The JSON of an event with further members at its beginning, or at the beginning of the object `key`.
fn with(source: Source, id: &str, key: &str, members: &str) -> String {
    let event = with_id(source, id).to_string();
    let opening = if key.is_empty() { "{".to_owned() } else { format!("\"{key}\":{{") };
    assert!(event.contains(&opening), "{event}");
    event.replacen(&opening, &format!("{opening}{members},"), 1)
}

async fn unknown_keys_are_ignored_with_any_value(weir: Weir) {
    let items = [
        with(Source::Facebook, "surrogate", "data", r#""cut \ud83d":1"#),
        with(Source::Facebook, "twice", "", r#""x":1,"x":[{}]"#),
        with(Source::Facebook, "number", "user", r#""x":1e999"#),
        with(Source::Facebook, "watched", "engagement", r#""watchTime":-1,"watchTime":"a""#),
        with(Source::Tiktok, "gender", "user", r#""gender":"alien","gender":1"#),
        with(Source::Tiktok, "location", "user", r#""location":"\ud800""#),
        with(Source::Tiktok, "ad", "engagement", r#""adId":1e999,"adId":2"#),
    ];
    let array = format!("[{}]", items.join(","));
    weir.post_bytes("application/json", array.clone()).await.expect_accepted(items.len(), 0);
    weir.post_bytes("application/x-ndjson", items.join("\n")).await.expect_accepted(items.len(), 0);
    for item in &items {
        weir.post_bytes("application/json", item.clone()).await.expect_accepted(1, 0);
    }
    // The same event twice in one body is a duplicate, and no other event.
    let doubled = format!("[{},{}]", items[0], items[0]);
    weir.post_bytes("application/json", doubled).await.expect_accepted(2, 0);
    weir.drained(3 * items.len() + 2).await;
    assert_eq!(weir.reported_events().await, items.len() as u64);
    let stored = weir.get("/events/facebook/surrogate").await;
    assert_eq!(stored.body["stored"]["duplicates"], json!(4), "{stored:?}");
}

async fn a_bad_item_is_found_by_its_id_with_the_pointer_of_its_fault(weir: Weir) {
    let cases = [
        ("twice", with(Source::Facebook, "twice", "user", r#""age":41"#), "/data/user/age"),
        ("object", with(Source::Facebook, "object", "data", r#""user":{}"#), "/data/user"),
        (
            "number",
            with(Source::Facebook, "number", "", "\"x\":1").replacen(
                "\"data\":{",
                "\"data\":1e999,\"was\":{",
                1,
            ),
            "/data",
        ),
        (
            "surrogate",
            with(Source::Facebook, "surrogate", "", "\"x\":1").replacen(
                "\"location\":{",
                r#""location":"\ud800","was":{"#,
                1,
            ),
            "/data/user/location",
        ),
    ];
    for (id, item, pointer) in &cases {
        for media_type in ["application/json", "application/x-ndjson"] {
            let answer = weir.post_bytes(media_type, item.clone()).await;
            answer.expect_problem(StatusCode::BAD_REQUEST);
            expect_fault(&answer, id, pointer);
        }
        let found = weir.get(&format!("/events/facebook/{id}")).await;
        assert_eq!(
            (found.status, &found.body["status"]),
            (StatusCode::OK, &json!("deadLetter")),
            "{found:?}"
        );
        assert_eq!(found.body["deadLetters"][0]["violations"][0]["pointer"], json!(pointer), "{found:?}");
    }
    let array = cases.map(|(_, item, _)| item).join(",");
    let answer =
        weir.post_bytes("application/json", format!("[{array},{}]", with_id(Source::Tiktok, "good"))).await;
    answer.expect_accepted(1, 4);
}

fn expect_fault(answer: &Answer, id: &str, pointer: &str) {
    let error = &answer.body["errors"][0];
    let fault = &error["violations"][0]["pointer"];
    assert_eq!((&error["eventId"], fault), (&json!(id), &json!(pointer)), "{answer:?}");
}

async fn a_line_in_another_encoding_is_one_bad_item(mut weir: Weir) {
    let good = ["one", "two"].map(|id| with_id(Source::Facebook, id).to_string().into_bytes());
    let latin_1 = b"{\"name\":\"Jos\xe9\"}";
    let answer =
        weir.post_bytes("application/x-ndjson", [&good[0][..], latin_1, &good[1]].join(&b'\n')).await;
    answer.expect_accepted(2, 1);
    assert_eq!(answer.pointers(1), [""]);
    // A file that ends inside a character.
    let cut = [&good[0][..], &b"{\"name\":\"Jos\xc3"[..]].join(&b'\n');
    weir.post_bytes("application/x-ndjson", cut).await.expect_accepted(1, 1);
    let named = [&b"{\"eventId\":\"accented\",\"source\":\"facebook\",\"name\":\"Jos\xe9\"}"[..], &good[0]]
        .join(&b'\n');
    let answer = weir.post_bytes("application/x-ndjson", named).await;
    expect_fault(&answer, "accented", "");
    let found: Value = weir.get("/events/facebook/accented").await.body;
    assert_eq!(found["status"], json!("deadLetter"), "{found}");
    // A file that ends inside an item, behind its id.
    let torn = with_id(Source::Tiktok, "torn").to_string();
    let torn = [&good[0][..], &torn.as_bytes()[..torn.len() - 9]].join(&b'\n');
    expect_fault(&weir.post_bytes("application/x-ndjson", torn).await, "torn", "");
    let found: Value = weir.get("/events/tiktok/torn").await.body;
    assert_eq!(found["status"], json!("deadLetter"), "{found}");
    let letters = weir.rejected().await;
    assert!(
        letters.iter().any(|stored| *stored.letter.raw == latin_1[..]),
        "the bytes are kept as they came"
    );
}

async fn a_body_of_too_many_items_for_its_size_is_refused_whole(mut weir: Weir) {
    weir.post_bytes("application/x-ndjson", "1\n".repeat(1001))
        .await
        .expect_problem(StatusCode::PAYLOAD_TOO_LARGE);
    let array = format!("[{}{}]", with_id(Source::Facebook, "first"), ",{}".repeat(1000));
    weir.post_bytes("application/json", array).await.expect_problem(StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(weir.reported_events().await, 0);
    let most = format!("[{}{}]", with_id(Source::Facebook, "first"), ",{}".repeat(999));
    weir.post_bytes("application/json", most).await.expect_accepted(1, 999);
    let long = format!("{{\"x\":\"{}\"}}\n", "x".repeat(128));
    weir.post_bytes("application/x-ndjson", long.repeat(1500)).await.expect_problem(StatusCode::BAD_REQUEST);
    let kinds = weir.rejected().await.len();
    assert_eq!(kinds, 2, "an item that comes again makes no second letter, and a refused body makes none");
}
