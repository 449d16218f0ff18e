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
    every_label_is_one_of_the_wire(&weir).await;
}

/// The labels of each family as dashboards name them, and the values that each may have.
async fn every_label_is_one_of_the_wire(weir: &Weir) {
    let shown = weir.series().await;
    for (name, labels) in [
        ("events_accepted_total", &["service", "source"][..]),
        ("events_processed_total", &["service", "source"]),
        ("events_duplicate_total", &["service", "source"]),
        ("events_failed_total", &["service", "source", "error_type"]),
        ("report_duration_seconds_count", &["report_type"]),
    ] {
        let mut of_family = shown.iter().filter(|series| series.name == name).peekable();
        assert!(of_family.peek().is_some(), "{name} is not shown");
        for series in of_family {
            let pairs = series.labels.trim_start_matches('{').split(',');
            let pairs: Vec<(&str, &str)> = pairs.filter_map(|pair| pair.split_once('=')).collect();
            let names: Vec<&str> = pairs.iter().map(|(label, _)| *label).collect();
            assert_eq!(names, labels, "{series:?}");
            assert!(
                pairs.iter().all(|(label, value)| is_known(label, value.trim_matches('"'))),
                "{series:?}"
            );
        }
    }
}

fn is_known(label: &str, value: &str) -> bool {
    let known: &[&str] = match label {
        "service" => &["edge", "ingest", "facebook-collector", "tiktok-collector", "reporting"],
        "source" => &["facebook", "tiktok", "unknown"],
        "error_type" => &[
            "invalid",
            "too_large",
            "journal_full",
            "journal_unavailable",
            "quota",
            "overloaded",
            "parked",
            "transient",
        ],
        "report_type" => &["events", "revenue", "demographics"],
        other => panic!("{other} is no label of the wire"),
    };
    known.contains(&value)
}
