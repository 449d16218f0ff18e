//! Reading counters from every process of a Weir.

use std::net::SocketAddr;

use super::Weir;

impl Weir {
    /// The sum of a metric over every process and every series that has all of `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut sum = 0.0;
        for address in self.addresses.admin() {
            sum += self.metric_at(address, name, labels).await;
        }
        sum
    }

    /// [`Weir::metric`] of one process.
    pub(crate) async fn metric_of(&self, process: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metric_at(self.addresses.admin_of(process), name, labels).await
    }

    async fn metric_at(&self, address: SocketAddr, name: &str, labels: &[(&str, &str)]) -> f64 {
        let answer =
            self.http.get(format!("http://{address}/metrics")).send().await.expect("metrics are served");
        let text = answer.text().await.expect("metrics are text");
        text.lines().filter_map(|line| value(line, name, labels)).sum()
    }
}

/// The value of a line `name{label="value",…} 17`, where it is of this metric and has all of `labels`.
fn value(line: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (series, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    let has = |(label, value): &(&str, &str)| series.contains(&format!("{label}=\"{value}\""));
    labels.iter().all(has).then(|| value.parse().ok()).flatten()
}
