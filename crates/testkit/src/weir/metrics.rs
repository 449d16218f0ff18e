//! Metrics of the processes of a Weir.

use std::net::SocketAddr;

use super::Weir;

/// One series in a scrape, without its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    process: &'static str,
    pub name: String,
    pub labels: String,
}

impl Weir {
    /// Every series of every process.
    pub async fn series(&self) -> Vec<Series> {
        let mut series = Vec::new();
        for (process, address) in self.addresses.admin_by_process() {
            let scraped = self.scrape(address).await;
            series.extend(scraped.lines().filter(|line| !line.starts_with('#')).map(|line| {
                let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line} is no series"));
                let labels = line[end..].split_once("} ").map_or("", |(labels, _)| labels).to_owned();
                Series { process, name: line[..end].to_owned(), labels }
            }));
        }
        series
    }

    /// The sum of a metric over every process and every series that has all of `labels`.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut sum = 0.0;
        for address in self.addresses.admin() {
            sum += self.metric_at(address, name, labels).await;
        }
        sum
    }

    /// [`Weir::metric`] for one process.
    pub async fn metric_of(&self, process: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metric_at(self.addresses.admin_of(process), name, labels).await
    }

    /// The value of one process's series that has all of `labels`; `None` if it has no such series.
    pub async fn series_value(&self, process: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let scraped = self.scrape(self.addresses.admin_of(process)).await;
        scraped.lines().find_map(|line| value(line, name, labels))
    }

    async fn metric_at(&self, address: SocketAddr, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.scrape(address).await.lines().filter_map(|line| value(line, name, labels)).sum()
    }

    async fn scrape(&self, address: SocketAddr) -> String {
        let url = format!("http://{address}/metrics");
        self.http.get(url).send().await.expect("metrics are served").text().await.expect("metrics are text")
    }
}

/// The value of a line `name{label="value",…} 17`, if it is of this metric and has all of `labels`.
fn value(line: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (series, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    let has = |(label, value): &(&str, &str)| series.contains(&format!("{label}=\"{value}\""));
    labels.iter().all(has).then(|| value.parse().ok()).flatten()
}
