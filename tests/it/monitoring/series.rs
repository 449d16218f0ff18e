//! The labels of metrics come from closed sets, so a sender's words create no series.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use weir_testkit::{Weir, events::Sender, weir::Series};

/// The word in everything that the hostile sender invents. No scrape may contain it.
const INVENTED: &str = "invented";
/// The number of requests of each kind in a round.
const MANY: usize = 20;

on_files_and_on_servers!(words_that_a_sender_invents_create_no_series);

async fn words_that_a_sender_invents_create_no_series(weir: Weir) {
    let mut sender = Sender::new(INVENTED, 11);
    // The first round creates the series that the closed sets have for such requests.
    let accepted = invent(&weir, &mut sender, "a").await;
    weir.drained(accepted).await;
    let before = series(&weir).await;
    let accepted = accepted + invent(&weir, &mut sender, "b").await;
    weir.drained(accepted).await;
    let after = series(&weir).await;
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{} series before, and these are new: {new:#?}", before.len());
    let seen: Vec<_> = after.iter().filter(|series| series.labels.contains(INVENTED)).collect();
    assert!(seen.is_empty(), "a sender's words are labels: {seen:#?}");
}

async fn series(weir: &Weir) -> BTreeSet<Series> {
    weir.series().await.into_iter().collect()
}

/// Sends an invented word in every place that a sender chooses; returns the number of accepted events.
async fn invent(weir: &Weir, sender: &mut Sender, round: &str) -> usize {
    for number in 0..MANY {
        let word = format!("{INVENTED}-{round}-{number}");
        for path in [
            format!("/{word}"),
            format!("/events/{word}/{word}"),
            format!("/events/facebook/{word}"),
            format!("/reports/{word}"),
            format!("/reports/revenue?campaignId={word}"),
            format!("/reports/events?{word}=1"),
            format!("/reports/events?source={word}"),
            format!("/api/{word}"),
        ] {
            let get = weir.request_by(Method::GET, &path);
            weir.send(get.header("x-correlation-id", &word).header("user-agent", &word)).await;
        }
        let method = Method::from_bytes(word.to_uppercase().as_bytes()).expect("a token is a method");
        weir.send(weir.request_by(method, "/events")).await;
        weir.post_bytes(&format!("application/{word}"), word.clone())
            .await
            .expect_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let made_up = json!({"eventId": word, "source": word, "funnelStage": word, "eventType": word});
        weir.post(&made_up).await.expect_problem(StatusCode::BAD_REQUEST);
    }
    let mut events: Vec<Value> = sender.events(MANY);
    for (number, event) in events.iter_mut().enumerate() {
        event["data"]["user"]["userId"] = json!(format!("{INVENTED}-{round}-{number}"));
        event["data"]["engagement"]["campaignId"] = json!(format!("{INVENTED}-{round}-{number}"));
    }
    weir.post(&json!(events)).await.expect_accepted(MANY, 0);
    MANY
}
