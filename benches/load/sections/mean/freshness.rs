//! Freshness: the time from the post of an event until it is in the reports.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::{Instant, sleep};
use weir_testkit::Weir;

use crate::statistics::Latencies;

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(20);
/// The pause between two events.
const REST: Duration = Duration::from_secs(1);
/// The longest measured time; a longer one counts as this.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts one event after the other, and requests a report until the event is in it. Each event is the only one in its
/// second of `year`.
///
/// # Errors
/// An event is refused.
pub(in crate::sections) async fn measure(
    weir: &Weir,
    year: i32,
    duration: Duration,
) -> anyhow::Result<Latencies> {
    let end = Instant::now() + duration;
    let mut latencies = Vec::new();
    let mut moment =
        NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN).and_utc();
    while Instant::now() < end {
        latencies.push(one(weir, moment).await?);
        moment += TimeDelta::seconds(1);
        sleep(REST).await;
    }
    Ok(Latencies::new(latencies))
}

async fn one(weir: &Weir, moment: DateTime<Utc>) -> anyhow::Result<Duration> {
    let posted = Instant::now();
    let answer = weir.post(&page_like(moment)).await;
    ensure!(answer.status.is_success(), "{answer:?}");
    let second = [("from", moment.to_rfc3339()), ("to", (moment + TimeDelta::seconds(1)).to_rfc3339())];
    while posted.elapsed() < TIMEOUT {
        if weir.report("events", &second).await.body["totalEvents"] == 1 {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(posted.elapsed())
}

fn page_like(moment: DateTime<Utc>) -> serde_json::Value {
    json!({
        "eventId": format!("fresh-{}", moment.timestamp()), "timestamp": moment.to_rfc3339(), "source": "facebook",
        "funnelStage": "top", "eventType": "page.like",
        "data": {
            "user": {"userId": "u", "name": "Orla", "age": 41, "gender": "female",
                     "location": {"country": "Peru", "city": "Ica"}},
            "engagement": {"actionTime": moment.to_rfc3339(), "referrer": "newsfeed", "videoId": null},
        },
    })
}
