//! Logs: the trace and the process of an entry, no people's data, and a level that changes at run time.

mod failures;

use reqwest::StatusCode;
use serde_json::{Value, json};
use weir_event::Source;
use weir_testkit::{Storage, TraceCollector, Weir, events::with_id, eventually};

/// People's data of the events. No other text resembles it.
const SECRETS: [&str; 6] =
    ["Qwendolyn-Secret", "secret-user-id", "secret_username", "Secretland", "Secretville", "secret-campaign"];

#[tokio::test(flavor = "multi_thread")]
async fn people_s_data_is_neither_logged_nor_exported_at_debug_level() {
    let collector = TraceCollector::start().await;
    let mut settings = collector.settings();
    settings.push(("LOG_LEVEL", "debug,hyper=info,h2=info".to_owned()));
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    let (facebook, tiktok) = (with_secrets(Source::Facebook), with_secrets(Source::Tiktok));
    let mut bad = with_secrets(Source::Facebook);
    bad["timestamp"] = json!("secret-user-id");
    bad["data"]["user"]["age"] = json!("Qwendolyn-Secret");
    weir.post(&json!([facebook, tiktok, bad, facebook])).await.expect_accepted(3, 1);
    weir.post(&bad).await.expect_problem(StatusCode::BAD_REQUEST);
    weir.post_bytes("application/json", format!("[{facebook},"))
        .await
        .expect_problem(StatusCode::BAD_REQUEST);
    weir.drained(3).await;
    weir.report("revenue", &[("campaignId", "secret-campaign".to_owned())]).await;
    weir.report("demographics", &[]).await;
    weir.stop().await;
    let log = weir.log();
    assert!(log.contains("items are durable"), "nothing is logged at debug level");
    let exported = format!("{:?}", collector.spans());
    assert!(exported.contains("POST /events"));
    for secret in SECRETS {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is logged");
        assert!(!exported.contains(secret), "{secret} is exported");
    }
}

fn with_secrets(source: Source) -> Value {
    let mut event = with_id(source, "of-a-person");
    let user = event["data"]["user"].as_object_mut().unwrap();
    for (name, value) in user.iter_mut() {
        match name.as_str() {
            "userId" => *value = json!("secret-user-id"),
            "name" => *value = json!("Qwendolyn-Secret"),
            "username" => *value = json!("secret_username"),
            "location" => *value = json!({"country": "Secretland", "city": "Secretville"}),
            _ => {}
        }
    }
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn log_entries_name_the_trace_and_the_process_in_either_format() {
    let collector = TraceCollector::start().await;
    for format in ["json", "pretty"] {
        let mut settings = collector.settings();
        settings.extend([("LOG_LEVEL", "debug".to_owned()), ("LOG_FORMAT", format.to_owned())]);
        let mut weir = Weir::up_with(Storage::Files, settings).await;
        let request = weir.request("/events").json(&json!([with_id(Source::Facebook, "logged")]));
        weir.send(request.header("x-correlation-id", format)).await.expect_accepted(1, 0);
        let webhook = collector.find(|span| span.attribute("weir.correlation_id") == format).await;
        weir.stop().await;
        let log = weir.log();
        let instance = &webhook.resource["service.instance.id"];
        let of_trace = log.lines().filter(|line| line.contains(&webhook.trace)).collect::<Vec<_>>();
        for said in ["request answered", "items are durable"] {
            let line = of_trace.iter().find(|line| line.contains(said));
            let line = line.unwrap_or_else(|| panic!("'{said}' is not logged in the trace:\n{log}"));
            assert!(line.contains(instance.as_str()) && line.contains("span_id"), "{line}");
        }
        assert!(log.lines().filter(|line| !line.is_empty()).all(|line| line.contains(instance.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_changes_while_the_process_runs() {
    let weir = Weir::on_files().await;
    let address = weir.addresses.admin_of("up").to_string();
    let level = async |level: &'static str| {
        let (status, output) = weir.run(&["log-level", level], &[("ADMIN_LISTEN", &address)]).await;
        (status.code(), output.trim().to_owned())
    };
    let answers = async || {
        weir.post(&json!([])).await.expect_accepted(0, 0);
        weir.log().matches("request answered").count()
    };
    assert_eq!(answers().await, 0);
    let (refused, output) = level("loud").await;
    assert!(refused == Some(64) && output.contains("'loud'"), "{output}");
    assert_eq!(level("debug").await, (Some(0), "weir=debug,warn".to_owned()));
    eventually(async || if answers().await > 0 { Ok(()) } else { Err("nothing more is logged") }).await;
    assert_eq!(level("info").await, (Some(0), "weir=info,warn".to_owned()));
    let before = weir.log().matches("request answered").count();
    assert_eq!(answers().await, before);
    let (_, shown) = weir.run(&["log-level"], &[("ADMIN_LISTEN", &address)]).await;
    assert_eq!(shown.trim(), "weir=info,warn");
}
