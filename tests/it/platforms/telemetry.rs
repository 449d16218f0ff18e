//! Invalid telemetry settings cause warnings, and events are still accepted.

use serde_json::json;
use weir_testkit::{Storage, TraceCollector, Weir, events::Sender};

type Settings = Vec<(&'static str, String)>;

/// Runs `weir up` on files, posts an event, and returns the log.
async fn log_of_run(settings: Settings) -> String {
    let mut weir = Weir::up_with(Storage::Files, settings).await;
    weir.post(&json!(Sender::new("telemetry", 1).events(1))).await.expect_accepted(1, 0);
    weir.stop().await;
    weir.log()
}

fn settings<const N: usize>(settings: [(&'static str, &str); N]) -> Settings {
    settings.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// The warnings about a variable.
fn warnings<'a>(log: &'a str, variable: &str) -> Vec<&'a str> {
    let names = format!("{variable}: ");
    log.lines().filter(|line| line.contains(r#""level":"warn""#) && line.contains(&names)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_export_logs_no_warnings() {
    for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
        let log = log_of_run(settings([
            off,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.invalid:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_TRACES_SAMPLER", "foo"),
        ]))
        .await;
        assert!(!log.contains("OTEL_"), "{off:?}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_telemetry_setting_is_named_in_a_warning_and_ingestion_starts() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.invalid:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS_FILE", "/no/such/file"),
    ] {
        let mut settings = settings([(variable, value)]);
        settings.extend((variable != "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| {
            // No server listens there. The outage is not a warning about a setting.
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9".to_owned())
        }));
        let log = log_of_run(settings).await;
        assert_eq!(warnings(&log, variable).len(), 1, "{variable}={value}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_variable_causes_a_warning_and_spans_are_exported_by_the_default() {
    let collector = TraceCollector::over_http().await;
    let wrong = [
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_SAMPLER", "foo"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hidden-key"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
    ];
    let mut all = settings(wrong);
    all.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address())));
    all.push(("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()));
    let log = log_of_run(all).await;
    for (variable, _) in wrong {
        assert_eq!(warnings(&log, variable).len(), 1, "{variable}: {log}");
    }
    assert!(!log.contains("hidden-key"), "{log}");
    collector.find(|span| span.name == "POST /events").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_compressed_on_request() {
    for over_http in [true, false] {
        let collector =
            if over_http { TraceCollector::over_http().await } else { TraceCollector::start().await };
        let mut all = collector.settings();
        all.push(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()));
        if over_http {
            all.retain(|(name, _)| *name != "OTEL_EXPORTER_OTLP_PROTOCOL");
        }
        let log = log_of_run(all).await;
        collector.find(|span| span.name == "POST /events").await;
        assert!(warnings(&log, "OTEL_EXPORTER_OTLP_COMPRESSION").is_empty(), "{log}");
    }
}
