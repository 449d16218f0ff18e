//! The three reports with every filter, compared with the tests' own computation over the sent events.

use chrono::{DateTime, Duration, Utc};
use futures::{StreamExt as _, stream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use weir_testkit::{
    Weir,
    events::{Sender, first_day},
    eventually,
};

use crate::model::{Model, Query, Width, normalised};

on_files_and_on_servers!(
    event_statistics_are_exact_for_every_filter,
    revenue_is_exact_for_every_filter,
    demographics_are_exact_for_every_filter,
    an_invalid_request_is_refused_with_its_errors,
    means_keep_every_digit,
);

const EVENTS: usize = 3_000;
/// Requests at the same time.
const AT_ONCE: usize = 8;
const TYPES: [&str; 12] = [
    "ad.view",
    "page.like",
    "comment",
    "video.view",
    "ad.click",
    "form.submission",
    "checkout.complete",
    "like",
    "share",
    "profile.visit",
    "purchase",
    "follow",
];

async fn event_statistics_are_exact_for_every_filter(weir: Weir) {
    let model = filled(&weir).await;
    let mut queries = Vec::new();
    for range in ranges() {
        for source in optional(&["facebook", "tiktok"]) {
            for funnel_stage in optional(&["top", "bottom"]) {
                for event_type in optional(&TYPES) {
                    let group_by = width(queries.len());
                    let query =
                        Query { source: source.clone(), funnel_stage: funnel_stage.clone(), ..range.clone() };
                    queries.push(Query { event_type, group_by, ..query });
                }
            }
        }
    }
    compare(&weir, "events", queries, |query| model.events(query)).await;
}

async fn revenue_is_exact_for_every_filter(weir: Weir) {
    let model = filled(&weir).await;
    let mut queries = Vec::new();
    for range in ranges() {
        for source in optional(&["facebook", "tiktok"]) {
            for campaign_id in optional(&["campaign-7", "campaign-of-nobody"]) {
                for limit in [None, Some(1), Some(3), Some(1000)] {
                    let group_by = width(queries.len());
                    let query =
                        Query { source: source.clone(), campaign_id: campaign_id.clone(), ..range.clone() };
                    queries.push(Query { limit, group_by, ..query });
                }
            }
        }
    }
    compare(&weir, "revenue", queries, |query| model.revenue(query)).await;
}

async fn demographics_are_exact_for_every_filter(weir: Weir) {
    let model = filled(&weir).await;
    let mut queries = Vec::new();
    for range in ranges() {
        for source in optional(&["facebook", "tiktok"]) {
            for limit in [None, Some(1), Some(3), Some(1000)] {
                queries.push(Query { source: source.clone(), limit, ..range.clone() });
            }
        }
    }
    compare(&weir, "demographics", queries.clone(), |query| model.demographics(query)).await;
    eventually(async || match weir.metric("weir_people_folded_total", &[]).await {
        folded if folded == EVENTS as f64 => Ok(()),
        folded => Err(format!("{folded} of {EVENTS} observations are folded")),
    })
    .await;
    compare(&weir, "demographics", queries, |query| model.demographics(query)).await;
    let sections = async |from| weir.metric("weir_demographics_sections_total", &[("from", from)]).await;
    assert!(
        sections("sets").await > 0.0 && sections("rows").await == 0.0,
        "rows are read for partial minutes only"
    );
}

async fn an_invalid_request_is_refused_with_its_errors(weir: Weir) {
    for (request, invalid) in [
        ("events?from=yesterday", "from"),
        ("events?from=2025-09-14&to=2025-09-13", "from"),
        ("events?source=myspace", "source"),
        ("events?colour=red", "colour"),
        ("events?source=tiktok&source=tiktok", "source"),
        ("revenue?limit=0", "limit"),
        ("revenue?groupBy=year", "groupBy"),
        ("demographics?limit=1001", "limit"),
        ("demographics?funnelStage=top", "funnelStage"),
        ("revenue?campaignId=%FF", "campaignId"),
        ("revenue?campaignId=a%C3&limit=3", "campaignId"),
        ("events?source=tiktok%FF", "source"),
        ("events?from%FF=2025-09-14", "from\u{FFFD}"),
    ] {
        let answer = weir.get(&format!("/reports/{request}")).await;
        answer.expect_problem(StatusCode::BAD_REQUEST);
        assert!(answer.body["violations"].to_string().contains(invalid), "{request}: {answer:?}");
    }
    let replaced = weir.get("/reports/revenue?campaignId=%EF%BF%BD").await;
    assert_eq!(replaced.status, StatusCode::OK, "a replacement character is text: {replaced:?}");
    for pair in ["a&", "a=%FF&", "%C3%A9=1&"] {
        let answer = weir.get(&format!("/reports/events?{}", pair.repeat(60_000 / pair.len()))).await;
        answer.expect_problem(StatusCode::BAD_REQUEST);
        let (violations, text) = (&answer.body["violations"], answer.body.to_string());
        assert!(
            violations.as_array().is_some_and(|violations| violations.len() == 20) && text.len() < 5_000,
            "{text}"
        );
    }
    let long = weir.get(&format!("/reports/events?{}=1", "a".repeat(30_000))).await;
    long.expect_problem(StatusCode::BAD_REQUEST);
    assert!(long.body.to_string().len() < 1_000, "{long:?}");
    let empty = weir.get("/reports/events?from=2025-09-14&to=2025-09-14").await;
    assert_eq!((empty.status, &empty.body["totalEvents"]), (StatusCode::OK, &json!(0)));
    // Many clients send a space for a plus: an offset must survive it.
    let spaced = weir.get("/reports/events?from=2025-09-14T00:00:00+02:00").await;
    assert_eq!(normalised(spaced.body)["dateRange"]["from"], "2025-09-13T22:00:00Z");
}

async fn means_keep_every_digit(weir: Weir) {
    let most = (1_u64 << 53) - 1;
    let mut events = Sender::new("means", 18).events(40);
    events.retain(|event| event["source"] == "tiktok");
    events.truncate(2);
    for (event, followers) in events.iter_mut().zip([most, most - 1]) {
        event["data"]["user"]["followers"] = followers.into();
    }
    weir.post(&json!(events)).await.expect_accepted(2, 0);
    weir.drained(2).await;
    let request = weir.request_by(Method::GET, "/reports/demographics?source=tiktok");
    let over_http = request.send().await.unwrap().text().await.unwrap();
    assert!(over_http.contains(r#""averageFollowers":9007199254740990.5,"#), "{over_http}");
    let report = ["report", "demographics", "--source", "tiktok"];
    let (_, json) = weir.run(&[&report[..], &["--json"]].concat(), &[]).await;
    assert!(json.contains(r#""averageFollowers": 9007199254740990.5,"#), "{json}");
    let (_, tables) = weir.run(&report, &[]).await;
    assert!(tables.contains(" 9007199254740990.50 "), "{tables}");
}

/// Compares the three reports for one query.
pub(crate) async fn expect_reports(weir: &Weir, model: &Model, query: &Query) {
    compare(weir, "events", vec![query.clone()], |query| model.events(query)).await;
    compare(weir, "revenue", vec![query.clone()], |query| model.revenue(query)).await;
    compare(weir, "demographics", vec![query.clone()], |query| model.demographics(query)).await;
}

async fn compare(weir: &Weir, report: &str, queries: Vec<Query>, expected: impl Fn(&Query) -> Value) {
    let mut answers = stream::iter(queries)
        .map(async |query| (weir.report(report, &query.parameters()).await, query))
        .buffer_unordered(AT_ONCE);
    while let Some((answer, query)) = answers.next().await {
        assert_eq!(answer.status, StatusCode::OK, "{report} of {query:?}: {answer:?}");
        let (answered, expected) = (normalised(answer.body), expected(&query));
        assert_eq!(
            answered, expected,
            "{report} of {query:?}:\nanswered {answered:#}\nexpected {expected:#}"
        );
    }
}

/// Stores random events, and returns the model of them.
async fn filled(weir: &Weir) -> Model {
    let events = Sender::new("reports", 4).events(EVENTS);
    weir.post(&json!(events)).await.expect_accepted(EVENTS, 0);
    weir.drained(EVENTS).await;
    let mut model = Model::default();
    model.accept(&events);
    assert_eq!(model.len(), EVENTS);
    model
}

/// Whole buckets, ends within a minute, one open end, an empty range.
fn ranges() -> Vec<Query> {
    let at =
        |hours: i64, micros: i64| Some(first_day() + Duration::hours(hours) + Duration::microseconds(micros));
    let range = |from: Option<DateTime<Utc>>, to| Query { from, to, ..Query::default() };
    vec![
        range(None, None),
        range(at(24, 0), at(48, 0)),
        range(at(5, 0), None),
        range(None, at(70, 1)),
        range(at(10, 1_234_567), at(59, 3_599_999_999)),
        range(at(30, 60_000_000), at(30, 2_400_000_000)),
        range(at(24, 0), at(24, 0)),
        range(at(24 * 400, 0), None),
    ]
}

/// Absent, and each of `values`.
fn optional(values: &[&str]) -> Vec<Option<String>> {
    std::iter::once(None).chain(values.iter().map(|value| Some((*value).to_owned()))).collect()
}

/// Takes turns between no series, hours and days.
fn width(turn: usize) -> Option<Width> {
    [None, Some(Width::Hour), Some(Width::Day)][turn % 3]
}
