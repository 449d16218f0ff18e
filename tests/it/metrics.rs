//! A real Prometheus scrapes what the processes serve.

use std::{net::SocketAddr, process::Stdio};

use reqwest::header::{ACCEPT, CONTENT_TYPE, VARY};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};
use weir_testkit::{Weir, events::Sender, eventually, prometheus::Prometheus};

on_files_and_on_servers!(prometheus_scrapes_the_seed_metrics, a_scraper_receives_the_format_that_it_accepts);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// As Prometheus 3 asks.
const OF_PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

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
    let prometheus = Prometheus::start(&weir);

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
    expect_known_labels(&weir).await;
}

async fn a_scraper_receives_the_format_that_it_accepts(weir: Weir) {
    let events = Sender::new("formats", 14).events(20);
    weir.post(&json!(events)).await.expect_accepted(20, 0);
    weir.drained(20).await;
    let mut addresses: Vec<_> = weir.addresses.admin().collect();
    addresses.push(weir.addresses.edge);
    for address in addresses {
        for (accept, expected) in [
            ("*/*", TEXT),
            ("text/plain;version=0.0.4", TEXT),
            ("application/openmetrics-text;q=0, text/plain", TEXT),
            ("application/openmetrics-text", OPEN_METRICS),
            (OF_PROMETHEUS, OPEN_METRICS),
        ] {
            let (format, text) = scraped(address, accept).await;
            assert_eq!(format, expected, "{accept:?}");
            assert_eq!(text.ends_with("# EOF\n"), expected == OPEN_METRICS, "{accept:?}: {text}");
            let name = if expected == TEXT { "weir_build_info gauge" } else { "weir_build info" };
            assert!(text.contains(&format!("# TYPE {name}\n")), "{accept:?}: {text}");
        }
        is_clean(scraped(address, "text/plain").await.1).await;
    }
}

/// The media type and the text of the metrics at an address.
async fn scraped(address: SocketAddr, accept: &str) -> (String, String) {
    let request = reqwest::Client::new().get(format!("http://{address}/metrics")).header(ACCEPT, accept);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()[VARY], "accept");
    let format = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    (format, answer.text().await.unwrap())
}

/// Fails if Prometheus' own tool can't parse the text, or finds names that break the rules.
async fn is_clean(text: String) {
    let mut promtool = Command::new("promtool");
    let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = promtool.wait_with_output().await.unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{told}\n{text}");
}

/// Expects the labels of each family that dashboards use, with known values only.
async fn expect_known_labels(weir: &Weir) {
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
