//! How long an event takes from its post into the reports, found out by posting one and asking for it.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::{Instant, sleep};
use weir_testkit::Weir;

use crate::statistics::Latencies;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two events.
const REST: Duration = Duration::from_secs(1);
/// What takes longer is told as that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts an event, asks until it is reported, and again. Every event has a second of `year` for itself, in which nothing
/// else happened.
///
/// # Errors
/// An event is refused.
pub(super) async fn for_a_while(weir: &Weir, year: i32, duration: Duration) -> anyhow::Result<Latencies> {
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
    let answer = weir.post(&event(moment)).await;
    ensure!(answer.status.is_success(), "{answer:?}");
    let second = [("from", moment.to_rfc3339()), ("to", (moment + TimeDelta::seconds(1)).to_rfc3339())];
    while posted.elapsed() < PATIENCE {
        if weir.report("events", &second).await.body["totalEvents"] == 1 {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(posted.elapsed())
}

fn event(moment: DateTime<Utc>) -> serde_json::Value {
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
