//! A real Prometheus scrapes what the processes serve.

use std::fs;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    deploy::dashboard_expressions,
    harness::{Weir, eventually, ports, process::Process},
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
            let found = prometheus.query(query).await;
            if found == Some(expected as f64) {
                Ok(())
            } else {
                Err(format!("{query} is {found:?}, not {expected}"))
            }
        })
        .await;
    }
    for expression in dashboard_expressions() {
        eventually(async || {
            let understood = prometheus.understands(&expression).await;
            if understood { Ok(()) } else { Err(format!("a dashboard asks in vain: {expression}")) }
        })
        .await;
    }
}

/// A Prometheus server of this test's own.
struct Prometheus {
    _process: Process,
    address: String,
}

impl Prometheus {
    fn scraping(weir: &Weir) -> Self {
        let targets: Vec<_> = weir.addresses.admin().map(|address| address.to_string()).collect();
        let config = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "weir", "static_configs": [{"targets": targets}]}],
        });
        // JSON is YAML.
        let file = weir.folder().join("prometheus.yml");
        fs::write(&file, config.to_string()).expect("a temporary folder can be written");
        let address = format!("127.0.0.1:{}", ports::free());
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", weir.folder().join("prometheus").display()))
            .arg(format!("--web.listen-address={address}"));
        Self { _process: Process::start("prometheus", weir.folder(), command), address }
    }

    /// Whether a query finds at least one series.
    async fn understands(&self, query: &str) -> bool {
        let answer = self.ask(query).await.unwrap_or_default();
        answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
    }

    /// The value of a query with one answer; `None` while there is none, or more.
    async fn query(&self, query: &str) -> Option<f64> {
        let answer = self.ask(query).await?;
        match answer["data"]["result"].as_array()?.as_slice() {
            [one] => one["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }

    async fn ask(&self, query: &str) -> Option<Value> {
        let url = format!("http://{}/api/v1/query", self.address);
        let answer = reqwest::Client::new().get(url).query(&[("query", query)]).send().await.ok()?;
        answer.json().await.ok()
    }
}
