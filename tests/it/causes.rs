//! A wrong address in a setting is diagnosed at once: the server there, the setting, and the remedy.

mod foreign_servers;

use std::time::{Duration, Instant};

use foreign_servers::ForeignServer;
use serde_json::Value;
use weir_testkit::{Storage, Weir, eventually, nats::Nats, ports, postgres::Postgres, weir::command};

/// A tool names its cause within 5 s. The rest is for a machine that runs other tests too.
const DEADLINE: Duration = Duration::from_secs(15);

/// Tools, and the variables that name their addresses.
const OVER_GRPC: [(&[&str], &str); 5] = [
    (&["report", "events"], "REPORTING_URL"),
    (&["erase", "--receipt", "r-1"], "REPORTING_URL"),
    (&["erase", "facebook", "u-1"], "INGEST_URL"),
    (&["dead-letters", "list"], "INGEST_URL"),
    (&["dead-letters", "redrive", "--reason", "x"], "INGEST_URL"),
];
const OVER_HTTP: [(&[&str], &str); 4] = [
    (&["event", "facebook", "fb-1"], "EVENT_ENDPOINT"),
    (&["publish", "--min", "1", "--max", "2", "--duration", "200ms"], "EVENT_ENDPOINT"),
    (&["health"], "ADMIN_LISTEN"),
    (&["log-level"], "ADMIN_LISTEN"),
];

/// A foreign server, and the messages of tools that expect gRPC or HTTP there.
struct Endpoint {
    address: String,
    instead_of_grpc: &'static str,
    instead_of_http: &'static str,
}

fn endpoint(
    address: impl Into<String>,
    instead_of_grpc: &'static str,
    instead_of_http: &'static str,
) -> Endpoint {
    Endpoint { address: address.into(), instead_of_grpc, instead_of_http }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_names_the_foreign_server_behind_its_address() {
    let (nats, postgres) = (Nats::start().await, Postgres::shared().await.fresh_database_url().await);
    let (silent, closing) = (ForeignServer::silent().await, ForeignServer::closing().await);
    let (tls, redis) =
        (ForeignServer::tls().await, ForeignServer::answering("-ERR unknown command\r\n").await);
    let page = ForeignServer::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\nConnection: close\r\n\r\n<html>\n</html>",
    )
    .await;
    let moved = ForeignServer::answering(
        "HTTP/1.1 301 Moved\r\nLocation: https://weir.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    for Endpoint { address, instead_of_grpc, instead_of_http } in [
        endpoint(format!("127.0.0.1:{}", ports::free()), "nothing listens", "nothing listens"),
        endpoint(address_of(&nats.url()), "is a NATS server", "is a NATS server"),
        endpoint(address_of(&postgres), "is a PostgreSQL server", "is a PostgreSQL server"),
        endpoint(redis.address(), "is a Redis server", "is a Redis server"),
        endpoint(tls.address(), "speaks TLS", "speaks TLS"),
        endpoint(silent.address(), "does not answer", "does not answer"),
        endpoint(closing.address(), "without an answer", "without an answer"),
        endpoint(page.address(), "is HTTP, not gRPC", "answers 200, not as"),
        endpoint(moved.address(), "is HTTP, not gRPC", "leads to 'https://weir.example/'"),
    ] {
        expect_of_every_tool(&address, instead_of_grpc, instead_of_http).await;
    }
    for (args, variable) in OVER_GRPC.into_iter().chain(OVER_HTTP.into_iter().take(2)) {
        expect(args, variable, "http://nowhere.invalid:50051", "the host of http://nowhere.invalid").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_names_the_weir_server_behind_its_address() {
    let weir = Weir::on_files().await;
    let (ingest, reporting) = (weir.addresses.ingest, weir.addresses.reporting);
    for http in [weir.addresses.edge, weir.addresses.admin_of("up")] {
        for (args, variable) in OVER_GRPC {
            expect(args, variable, &format!("http://{http}"), "is HTTP, not gRPC").await;
        }
    }
    for (args, variable) in OVER_HTTP {
        let url = url_for(variable, &ingest.to_string());
        expect(args, variable, &url, "is gRPC, not HTTP").await;
    }
    for (args, variable) in OVER_GRPC {
        let (other, expected) = match variable {
            "INGEST_URL" => (reporting, "is a Weir's reporting, not ingest"),
            _ => (ingest, "is a Weir's ingest, not reporting"),
        };
        expect(args, variable, &format!("http://{other}"), expected).await;
    }
    let edge = weir.addresses.edge;
    let wrong_path = format!("http://{edge}/event");
    for (args, variable) in OVER_HTTP.into_iter().take(2) {
        expect(args, variable, &wrong_path, "the edge answers at").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_instance_is_named_and_the_others_are_used() {
    let weir = Weir::on_files().await;
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let both = format!("{nobody},http://{}", weir.addresses.reporting);
    let (status, output) = weir.run(&["report", "events"], &[("REPORTING_URL", &both)]).await;
    assert!(status.success() && output.contains("Events: 0"), "{output}");
    assert!(output.contains(&format!("nothing listens at {nobody}")), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_whose_progress_is_unknown_is_durable_and_ends_with_75() {
    let weir = Weir::on_files().await;
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let started = Instant::now();
    let (status, output) = weir.run(&["erase", "facebook", "u-1"], &[("REPORTING_URL", &nobody)]).await;
    assert_eq!(status.code(), Some(75), "{output}");
    assert!(
        output.contains("It is durable and will be done") && output.contains("nothing listens at"),
        "{output}"
    );
    assert!(started.elapsed() < DEADLINE, "it took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_address_ends_with_64_and_the_error_names_its_part() {
    for (args, variable, value, part) in [
        (&["report", "events"][..], "REPORTING_URL", "http://a:1,", "part 2 of 2 is empty"),
        (
            &["report", "events"],
            "REPORTING_URL",
            "reporting:50052",
            "'reporting:50052' is no address: write http://",
        ),
        (&["report", "events"], "REPORTING_URL", "https://a:1", "https is not supported"),
        (
            &["dead-letters", "list"],
            "INGEST_URL",
            "http://a:1,http://b:2/x",
            "'http://b:2/x': a gRPC server has no path",
        ),
        (&["dead-letters", "list"], "INGEST_URL", "http://me:secret@b:2", "a user and a password"),
        (&["event", "facebook", "x"], "EVENT_ENDPOINT", "https://a/events", "https is not supported"),
        (&["publish"], "EVENT_ENDPOINT", "127.0.0.1:3001/events", "is no http:// URL"),
        (&["edge"], "INGEST_URL", "http://a:1,,http://b:2", "part 2 of 3 is empty"),
    ] {
        let output = command(args).env(variable, value).output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{args:?} {value}: {stderr}");
        assert!(stderr.contains(variable) && stderr.contains(part), "{args:?} {value}: {stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_names_the_foreign_server_in_its_ready_probe_and_once_in_its_log() {
    let (nats, silent, tls) =
        (Nats::start().await, ForeignServer::silent().await, ForeignServer::tls().await);
    let weir = Weir::on_files().await;
    for (url, expected) in [
        (format!("http://{}", address_of(&nats.url())), "is a NATS server, not ingest"),
        (format!("http://{}", silent.address()), "does not answer"),
        (format!("http://{}", tls.address()), "speaks TLS"),
        (format!("http://{}", weir.addresses.edge), "is HTTP, not gRPC"),
        (format!("http://{}", weir.addresses.reporting), "is a Weir's reporting, not ingest"),
        (format!("http://127.0.0.1:{}", ports::free()), "nothing listens at"),
        ("http://nowhere.invalid:50051".to_owned(), "is unknown"),
    ] {
        let started = Instant::now();
        let settings = vec![("INGEST_URL", url.clone())];
        let edge = Weir::launch(Storage::Files, settings, &[("edge", &["edge"])]);
        eventually(async || {
            let dependencies = dependencies(&edge).await?;
            let reason = dependencies["ingest"]["reason"].as_str().unwrap_or_default();
            let is_named = [expected, "INGEST_URL", &url].iter().all(|part| reason.contains(part));
            if is_named { Ok(()) } else { Err(reason.to_owned()) }
        })
        .await;
        assert!(started.elapsed() < DEADLINE, "{expected}: it took {:?}", started.elapsed());
        // Later samples repeat no log entry.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let log = edge.log();
        let lines = log.lines().filter(|line| line.contains(expected) && line.contains("INGEST_URL")).count();
        assert_eq!(lines, 1, "{expected}: {log}");
    }
}

async fn expect_of_every_tool(address: &str, instead_of_grpc: &str, instead_of_http: &str) {
    for (args, variable) in OVER_GRPC {
        expect(args, variable, &format!("http://{address}"), instead_of_grpc).await;
    }
    for (args, variable) in OVER_HTTP {
        expect(args, variable, &url_for(variable, address), instead_of_http).await;
    }
}

/// The value of a variable for an address.
fn url_for(variable: &str, address: &str) -> String {
    if variable == "ADMIN_LISTEN" { address.to_owned() } else { format!("http://{address}/events") }
}

/// Host and port of a URL.
fn address_of(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
}

/// Fails unless the tool ends with 1 in time, and its error contains `expected`, the address and the
/// variable.
async fn expect(args: &[&str], variable: &str, value: &str, expected: &str) {
    let started = Instant::now();
    let output = command(args).env(variable, value).output().await.unwrap();
    let took = started.elapsed();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?} {value}: {stderr}");
    for part in [expected, variable, value.trim_end_matches("/events")] {
        assert!(stderr.contains(part), "{args:?} {value}: '{part}' is missing in {stderr}");
    }
    assert!(took < DEADLINE, "{args:?} {value}: it took {took:?}");
}

async fn dependencies(edge: &Weir) -> Result<Value, String> {
    let url = format!("http://{}/health/ready", edge.addresses.admin_of("edge"));
    let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
    let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
    Ok(answer["dependencies"].take())
}
