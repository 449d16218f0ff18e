//! Metrics in the format that a scraper accepts: OpenMetrics if its request names it, else Prometheus' text
//! format.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::{encoding::text, registry::Registry};

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Returns every metric of the process, in the format that the headers of the request accept.
#[must_use]
pub fn metrics(registry: &Registry, headers: &HeaderMap) -> Response {
    let mut open_metrics = String::new();
    if let Err(error) = text::encode(&mut open_metrics, registry) {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    let (media_type, body) = match wants_open_metrics(headers) {
        true => (OPEN_METRICS, open_metrics),
        false => (TEXT, to_text(&open_metrics)),
    };
    ([(header::CONTENT_TYPE, media_type), (header::VARY, HeaderValue::from(header::ACCEPT))], body)
        .into_response()
}

/// Returns true if the request names OpenMetrics and does not prefer text to it.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = accepted.flat_map(|value| split(value, ',')).map(media_range).collect();
    let weight = |wanted: &str| {
        let weights = ranges.iter().filter(|(range, _)| range.eq_ignore_ascii_case(wanted));
        weights.map(|(_, weight)| *weight).reduce(f32::max)
    };
    let named = weight("application/openmetrics-text").unwrap_or(0.0);
    let text = weight("text/plain").or_else(|| weight("text/*")).or_else(|| weight("*/*"));
    named > 0.0 && named >= text.unwrap_or(0.0)
}

/// Reads a media range without its parameters, and its weight. The weight is 1 if the range has no readable
/// one.
fn media_range(text: &str) -> (&str, f32) {
    let mut parts = split(text, ';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok()).flatten()
    });
    (range, weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0))
}

/// Splits at separators that stand outside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    text.split(move |character| quotes.is_outside(character) && character == separator)
}

/// Tracks the beginning and the end of a quoted string.
#[derive(Default)]
struct Quotes {
    quoted: bool,
    escaped: bool,
}

impl Quotes {
    /// Returns true if the next character stands outside quotes.
    fn is_outside(&mut self, character: char) -> bool {
        match character {
            _ if self.escaped => self.escaped = false,
            '\\' if self.quoted => self.escaped = true,
            '"' => self.quoted = !self.quoted,
            _ => {}
        }
        !self.quoted
    }
}

/// Converts OpenMetrics to text 0.0.4. That format has no units, exemplars and end, and names a family like
/// its samples.
fn to_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The help line precedes the type line, and the name of the samples depends on the type.
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|text| text.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            text.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(without_exemplar(line));
            text.push('\n');
        }
    }
    text
}

/// Cuts a sample at the `#` that begins its exemplar.
fn without_exemplar(sample: &str) -> &str {
    let mut quotes = Quotes::default();
    let exemplar = sample.find(|character| quotes.is_outside(character) && character == '#');
    exemplar.map_or(sample, |start| sample[..start].trim_end())
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{
        counter::Counter,
        exemplar::{CounterWithExemplar, HistogramWithExemplars},
        family::Family,
        gauge::Gauge,
        info::Info,
    };

    use super::*;

    fn is_open_metrics(accept: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        wants_open_metrics(&headers)
    }

    #[test]
    fn open_metrics_needs_a_request_that_names_it() {
        const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                                  version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [
            &[PROMETHEUS][..],
            &["application/openmetrics-text"],
            &["Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.001"],
            &["application/openmetrics-text, text/plain"],
            &["application/openmetrics-text, */*"],
            &["text/plain;q=0.5", "application/openmetrics-text"],
            &["text/plain;q=0.1, */*;q=0.9, application/openmetrics-text;q=0.2"],
            &[r#"application/openmetrics-text;escaping="a,b;q=0""#],
        ] {
            assert!(is_open_metrics(accept), "{accept:?}");
        }
    }

    #[test]
    fn every_other_request_gets_text() {
        for accept in [
            &[][..],
            &[""],
            &["*/*"],
            &["application/*"],
            &["text/plain"],
            &["text/plain;version=0.0.4"],
            &["text/html,application/xhtml+xml,*/*;q=0.8"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=0.000, text/plain"],
            &["application/openmetrics-text;q=0.5, text/plain"],
            &["application/openmetrics-text;q=0.5, text/plain;q=0.6"],
            &["application/openmetrics-text;q=0.5, */*"],
            &["application/openmetrics-textual"],
            &[r#"text/plain;a="application/openmetrics-text, application/openmetrics-text""#],
        ] {
            assert!(!is_open_metrics(accept), "{accept:?}");
        }
    }

    #[test]
    fn the_text_format_has_no_exemplars_and_names_a_family_as_its_samples() {
        let mut registry = Registry::default();
        let counters = Family::<Vec<(String, String)>, Counter>::default();
        counters.get_or_create(&vec![("path".into(), "a \" # {b".into())]).inc();
        registry.register("calls", "Calls", counters);
        registry.register("depth", "Depth", Gauge::<i64>::default());
        registry.register("build", "Build", Info::new([("version", "1")]));
        let traced = CounterWithExemplar::<Vec<(String, String)>>::default();
        traced.inc_by(2, Some(vec![("trace_id".into(), "#1".into())]), None);
        registry.register("traced", "Traced", traced);
        let durations = HistogramWithExemplars::new([1.0].into_iter());
        durations.observe(0.5, Some(vec![("trace_id".to_owned(), "ab".to_owned())]), None);
        registry.register("seconds", "Seconds", durations);
        let mut open_metrics = String::new();
        text::encode(&mut open_metrics, &registry).unwrap();
        let expected = "\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{path=\"a \\\" # {b\"} 1
# HELP depth Depth.
# TYPE depth gauge
depth 0
# HELP build_info Build.
# TYPE build_info gauge
build_info{version=\"1\"} 1
# HELP traced_total Traced.
# TYPE traced_total counter
traced_total 2
# HELP seconds Seconds.
# TYPE seconds histogram
seconds_sum 0.5
seconds_count 1
seconds_bucket{le=\"1.0\"} 1
seconds_bucket{le=\"+Inf\"} 1
";
        assert_eq!(to_text(&open_metrics), expected);
    }
}
