//! Secrets in files, as orchestrators mount them.

use std::fs;

use reqwest::StatusCode;
use serde_json::json;
use tempfile::tempdir;
use weir_testkit::{Storage, Weir, events::Sender, weir::command};

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

/// The error output of a misconfigured command.
async fn refused(mut command: tokio::process::Command) -> String {
    let output = command.output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    stderr
}
