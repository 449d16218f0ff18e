//! A real Prometheus scrapes what the processes serve.

use serde_json::json;

use crate::{
    harness::{Weir, eventually, prometheus::Prometheus},
    sender::Sender,
};

on_files_and_on_servers!(prometheus_scrapes_the_seed_metrics);

async fn prometheus_scrapes_the_seed_metrics(weir: Weir) {
    let mut events = Sender::new("scraped", 13).events(200);
    weir.post(&json!(events)).await.expect_accepted(200, 0);
    let facebook = events.iter().filter(|event| event["source"] == "facebook").count();
    events.truncate(10);
    events.push(json!({"source": "tiktok"}));
    weir.post(&json!(events)).await.expect_accepted(10, 1);
    weir.drained(210).await;
    weir.report("revenue", &[]).await;
    let again = events.iter().take(10).filter(|event| event["source"] == "facebook").count();
    let prometheus = Prometheus::scraping(&weir);

    for (query, expected) in [
        (r#"events_accepted_total{service="edge",source="facebook"}"#, facebook + again),
        (r#"events_accepted_total{service="ingest",source="facebook"}"#, facebook + again),
        (r#"events_processed_total{service="facebook-collector",source="facebook"}"#, facebook + again),
        (r#"sum(events_duplicate_total)"#, 10),
        (r#"events_failed_total{service="edge",source="tiktok",error_type="invalid"}"#, 1),
        (r#"report_duration_seconds_count{report_type="revenue"}"#, 1),
    ] {
        eventually(async || {
            let found = prometheus.value(query).await;
            if found == Some(expected as f64) {
                Ok(())
            } else {
                Err(format!("{query} is {found:?}, not {expected}"))
            }
        })
        .await;
    }
}
