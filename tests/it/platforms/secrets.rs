//! Secrets: in files, as orchestrators mount them, and in nothing that a command shows or logs.

use std::fs;

use reqwest::StatusCode;
use serde_json::json;
use tempfile::tempdir;
use url::Url;
use weir_testkit::{
    Storage, TraceCollector, Weir, events::Sender, nats::Nats, postgres::Postgres, weir::command,
};

use super::variables;

/// Every variable with a secret, and a value for it.
const SECRETS: [(&str, &str); 3] = [
    ("NATS_URL", "nats://u:hidden-one@127.0.0.1:4222"),
    ("DATABASE_URL", "postgres://u:hidden-two@127.0.0.1/weir"),
    ("WEIR_OPERATOR_TOKEN", "hidden-three"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_runs_on_secrets_in_files() {
    let ground = Storage::servers().await;
    let Storage::Servers { nats, database_url } = &ground else { unreachable!("these are servers") };
    let folder = tempdir().unwrap();
    let file = |name: &str, content: String| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let settings = vec![
        ("NATS_URL_FILE", file("nats", format!("{}\n", nats.url()))),
        ("DATABASE_URL_FILE", file("database", format!("{database_url}\r\n"))),
        ("WEIR_OPERATOR_TOKEN_FILE", file("token", "a-token\n".into())),
        // Empty values replace those of the harness, so they count as unset.
        ("NATS_URL", String::new()),
        ("DATABASE_URL", String::new()),
    ];
    let mut weir = Weir::fleet_with(ground, settings).await;
    let answer = weir.post(&json!(Sender::new("secrets", 1).events(5))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    weir.drained(5).await;
    let (status, output) = weir.run(&["dead-letters", "list"], &[]).await;
    assert!(status.success(), "{output}");
    weir.stop().await;
}

#[tokio::test]
async fn a_double_or_unreadable_secret_is_reported_with_every_other_mistake() {
    let folder = tempdir().unwrap();
    let [missing, empty, binary] = ["missing", "empty", "binary"].map(|name| folder.path().join(name));
    fs::write(&empty, "\n").unwrap();
    fs::write(&binary, b"\xff\xfe\xfd").unwrap();
    let mut faults: Vec<_> = [(&missing, "No such file"), (&empty, "empty"), (&binary, "UTF-8")].into();
    for _ in 0..faults.len() {
        faults.rotate_left(1);
        let mut up = command(&["up", "--default-currency=dollars"]);
        for ((variable, _), (path, _)) in SECRETS.iter().zip(&faults) {
            up.env(format!("{variable}_FILE"), path);
        }
        let output = refused(up).await;
        assert!(output.contains("DEFAULT_CURRENCY"), "{output}");
        for ((variable, _), (path, reason)) in SECRETS.iter().zip(&faults) {
            let line = output.lines().find(|line| line.contains(&format!("{variable}_FILE")));
            let line = line.unwrap_or_else(|| panic!("{variable}_FILE is missing in {output}"));
            assert!(line.contains(&path.display().to_string()) && line.contains(reason), "{line}");
        }
    }
    let mut up = command(&["up"]);
    for (variable, value) in SECRETS {
        let file = folder.path().join(variable);
        fs::write(&file, value).unwrap();
        up.env(variable, value).env(format!("{variable}_FILE"), file);
    }
    let output = refused(up).await;
    for (variable, _) in SECRETS {
        assert!(output.contains(&format!("{variable} and {variable}_FILE")), "{output}");
    }
    assert!(!output.contains("hidden"), "{output}");
}

/// Every command that has options.
const COMMANDS: [&[&str]; 23] = [
    &["up"],
    &["edge"],
    &["ingest"],
    &["collect", "all"],
    &["reporting"],
    &["migrate", "up"],
    &["migrate", "down"],
    &["migrate", "status"],
    &["publish"],
    &["verify"],
    &["reconcile"],
    &["report", "events"],
    &["report", "demographics"],
    &["dead-letters", "list"],
    &["dead-letters", "show"],
    &["dead-letters", "redrive"],
    &["dead-letters", "discard"],
    &["erase"],
    &["event"],
    &["journal", "status"],
    &["journal", "forget-lost"],
    &["health"],
    &["log-level"],
];

#[tokio::test]
async fn no_help_shows_the_value_of_a_variable() {
    for words in COMMANDS {
        for help in ["--help", "-h"] {
            let mut asked = command(&[words, &[help]].concat());
            for variable in variables(words).await {
                asked.env(variable, "http://u:hidden@127.0.0.1:1/hidden");
            }
            let output = asked.output().await.unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("Options:"), "{words:?}: {output:?}");
            assert!(!text.contains("hidden"), "{words:?}: {text}");
        }
    }
}

#[tokio::test]
async fn no_mistake_repeats_a_secret() {
    for words in COMMANDS.iter().filter(|words| !["health", "log-level"].contains(&words[0])) {
        for mistake in [
            "https://u:hidden@127.0.0.1:1/x",
            "ftp://u:hidden@127.0.0.1:1",
            "postgres//u:hidden@127.0.0.1/x",
            "postgres://u:hid/hidden@127.0.0.1:x/y",
            "nats://u:hidden#@127.0.0.1:x",
            "u:hidden@127.0.0.1",
        ] {
            let mut command = command(words);
            // Another mistake, so that no role starts.
            command.env("APP_ENV", "nowhere").envs(SECRET_VARIABLES.map(|variable| (variable, mistake)));
            expect_hidden(words, command).await;
        }
    }
    for args in [
        &["collect", "postgres://u:hidden@127.0.0.1/x"][..],
        &["postgres://u:hidden@127.0.0.1/x"],
        &["up", "--database-ulr=postgres://u:hidden@127.0.0.1/x"],
        &["up", "postgres://u:hidden@127.0.0.1/x"],
    ] {
        expect_hidden(args, command(args)).await;
    }
}

/// Variables whose values may have a secret in them, by right or by mistake.
const SECRET_VARIABLES: [&str; 9] = [
    "NATS_URL",
    "NATS_MONITOR_URL",
    "DATABASE_URL",
    "INGEST_URL",
    "REPORTING_URL",
    "EVENT_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
];

async fn expect_hidden(words: &[&str], mut command: tokio::process::Command) {
    let output = command.output().await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!output.status.success() && !text.is_empty(), "{words:?}: {text}");
    assert!(!text.contains("hidden"), "{words:?}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_at_any_level_by_any_library() {
    for (collector, protocol) in
        [(TraceCollector::start().await, "grpc"), (TraceCollector::over_http().await, "http/protobuf")]
    {
        let nats = Nats::configured("", "authorization { user: weir, password: hidden-nats }").await;
        let mut database = Url::parse(&Postgres::shared().await.fresh_database_url().await).unwrap();
        database.set_password(Some("hidden-database")).unwrap();
        let endpoint = collector.settings().remove(0).1.replace("//", "//u:hidden-endpoint@");
        let settings = vec![
            ("LOG_LEVEL", "trace,async_nats=trace".to_owned()),
            ("NATS_URL", nats.url_with("weir:hidden-nats")),
            ("WEIR_OPERATOR_TOKEN", "hidden-token".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://u:hidden-mistake@127.0.0.1".to_owned()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=hidden-header".to_owned()),
        ];
        let storage = Storage::Servers { nats, database_url: database.into() };
        let mut weir = Weir::launch(storage, settings, &[("up", &["up"])]);
        weir.ready().await;
        weir.post(&json!(Sender::new("secrets", 1).events(2))).await.expect_accepted(2, 0);
        weir.drained(2).await;
        let (status, output) = weir.run(&["dead-letters", "list"], &[]).await;
        assert!(status.success() && !output.contains("hidden"), "{output}");
        collector.find(|span| span.name == "POST /events").await;
        weir.stop().await;
        let log = weir.log();
        for library in ["async_nats", "sqlx", "hyper"] {
            assert!(log.contains(library), "{library} logs nothing");
        }
        let line = log.lines().find(|line| line.contains("hidden"));
        assert_eq!(line, None, "a secret is logged");
    }
}

/// The error output of a misconfigured command.
async fn refused(mut command: tokio::process::Command) -> String {
    let output = command.output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    stderr
}
