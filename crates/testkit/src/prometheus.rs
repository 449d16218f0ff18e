//! A real Prometheus server with the deployed configuration and rules.

use std::fs;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Weir, ports, process::Process};
use crate::repository::{deploy, yaml};

/// The interval of scrapes and rules. It is shorter than the deployment's, so that a story ends soon.
const INTERVAL: &str = "1s";

/// A running Prometheus that scrapes a Weir.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    address: String,
    http: reqwest::Client,
}

impl Prometheus {
    /// Starts a server that scrapes every process of `weir`.
    pub fn start(weir: &Weir) -> Self {
        let file = weir.folder().join("prometheus.yml");
        // JSON is YAML.
        fs::write(&file, configuration(weir).to_string()).expect("a temporary folder can be written");
        let address = format!("127.0.0.1:{}", ports::free());
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", weir.folder().join("prometheus").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage");
        let process = Process::start("prometheus", weir.folder(), command);
        Self { _process: process, address, http: reqwest::Client::new() }
    }

    /// The result of a query.
    ///
    /// # Errors
    /// Prometheus refuses the query or does not answer.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let answer = self.request("query", &[("query", query)]).await?;
        if answer["data"]["resultType"] == "scalar" {
            return Ok(vec![json!({"value": answer["data"]["result"]})]);
        }
        answer["data"]["result"].as_array().cloned().ok_or_else(|| answer.to_string())
    }

    /// The value of a query with exactly one result; otherwise `None`.
    pub async fn value(&self, query: &str) -> Option<f64> {
        match self.query(query).await.ok()?.as_slice() {
            [one] => value(one),
            _ => None,
        }
    }

    /// Checks that a query returns data: at least one value that is a number.
    ///
    /// # Errors
    /// It returns no number, or Prometheus refuses the query.
    pub async fn check_data(&self, query: &str) -> Result<(), String> {
        let found = self.query(query).await.map_err(|error| format!("{query}: {error}"))?;
        let numbers = found.iter().filter_map(value).filter(|value| !value.is_nan()).count();
        if numbers > 0 { Ok(()) } else { Err(format!("no number in {found:?} for: {query}")) }
    }

    /// The trace ids of a query's exemplars.
    ///
    /// # Errors
    /// Prometheus refuses the query or does not answer.
    pub async fn exemplars(&self, query: &str) -> Result<Vec<String>, String> {
        let span = [("query", query), ("start", "0"), ("end", "9999999999")];
        let answer = self.request("query_exemplars", &span).await?;
        let series = answer["data"].as_array().into_iter().flatten();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array().into_iter().flatten());
        Ok(exemplars
            .filter_map(|exemplar| exemplar["labels"]["trace_id"].as_str().map(str::to_owned))
            .collect())
    }

    /// The rules that failed at their last evaluation, with the error, and those that were not evaluated yet.
    ///
    /// # Errors
    /// Prometheus does not answer.
    pub async fn unhealthy_rules(&self) -> Result<Vec<String>, String> {
        let answer = self.request("rules", &[]).await?;
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let unhealthy = rules.filter(|rule| rule["health"] != "ok");
        Ok(unhealthy
            .map(|rule| format!("{}: {} {}", rule["name"], rule["health"], rule["lastError"]))
            .collect())
    }

    async fn request(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("http://{}/api/v1/{endpoint}", self.address);
        let answer = self.http.get(url).query(parameters).send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        if answer["status"] == "success" { Ok(answer) } else { Err(answer.to_string()) }
    }
}

fn value(found: &Value) -> Option<f64> {
    found["value"][1].as_str()?.parse().ok()
}

/// The deployed configuration with the addresses of this Weir and a shorter interval.
fn configuration(weir: &Weir) -> Value {
    let mut configuration = yaml(&deploy("prometheus/prometheus.yml"));
    configuration["global"] = json!({"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL});
    for file in configuration["rule_files"].as_array_mut().expect("rule files") {
        let name = file.as_str().expect("a file's name").to_owned();
        *file = json!(deploy("prometheus").join(name));
    }
    let jobs = configuration["scrape_configs"].as_array_mut().expect("jobs");
    // The OpenTelemetry collector does not run here.
    jobs.retain(|job| job["job_name"] == "weir");
    for group in jobs.iter_mut().flat_map(|job| job["static_configs"].as_array_mut().expect("groups")) {
        let hosts: Vec<_> = group["targets"].as_array().expect("targets").iter().map(host).collect();
        let of_group = weir.addresses.admin_by_process().filter(|(name, _)| hosts.contains(&service(name)));
        group["targets"] = of_group.map(|(_, address)| address.to_string()).collect();
    }
    configuration
}

fn host(target: &Value) -> String {
    let target = target.as_str().expect("a target is an address");
    target.split(':').next().expect("a split has a first part").to_owned()
}

/// The deployed service that a process represents. A process with every role represents ingest.
fn service(process: &str) -> String {
    match process {
        "up" => "ingest".to_owned(),
        _ => process.trim_end_matches("-too").replace("collect-", "collector-"),
    }
}
