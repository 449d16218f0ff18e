//! Whatever a sender makes up, it makes no series: labels come from closed sets.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use weir_testkit::{Weir, events::Sender, weir::Series};

/// What the hostile sender invents; nothing of it may be seen in a scrape.
const INVENTED: &str = "invented";
/// Of each kind, for each round.
const MANY: usize = 20;

on_files_and_on_servers!(what_a_sender_makes_up_makes_no_series);

async fn what_a_sender_makes_up_makes_no_series(weir: Weir) {
    let mut sender = Sender::new(INVENTED, 11);
    // The first round shows what the closed sets have for such requests.
    let accepted = invent(&weir, &mut sender, "a").await;
    weir.drained(accepted).await;
    let before = series(&weir).await;
    let accepted = accepted + invent(&weir, &mut sender, "b").await;
    weir.drained(accepted).await;
    let after = series(&weir).await;
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{} series before, and these besides: {new:#?}", before.len());
    let seen: Vec<_> = after.iter().filter(|series| series.labels.contains(INVENTED)).collect();
    assert!(seen.is_empty(), "a sender's words are labels: {seen:#?}");
}

async fn series(weir: &Weir) -> BTreeSet<Series> {
    weir.series().await.into_iter().collect()
}

/// One round of everything that a sender chooses; says how many events were accepted.
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
