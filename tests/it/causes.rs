//! A wrong address in a setting is told at once: what is there, which setting named it, and the remedy.

mod strangers;

use std::time::{Duration, Instant};

use serde_json::Value;
use strangers::Stranger;
use weir_testkit::{Storage, Weir, eventually, nats::Nats, ports, postgres::Postgres, weir::command};

/// A tool says its cause within 5 s; the rest is for a machine that runs other tests besides.
const AT_ONCE: Duration = Duration::from_secs(15);

/// What a tool is asked, and the variable that names its address.
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

/// What is behind the addresses of one story, and what is said of it to who expects gRPC and to who expects HTTP.
struct Place {
    address: String,
    instead_of_grpc: &'static str,
    instead_of_http: &'static str,
}

fn place(address: impl Into<String>, instead_of_grpc: &'static str, instead_of_http: &'static str) -> Place {
    Place { address: address.into(), instead_of_grpc, instead_of_http }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_names_the_stranger_behind_its_address() {
    let (nats, postgres) = (Nats::start().await, Postgres::shared().await.fresh_database_url().await);
    let (silent, closing) = (Stranger::silent().await, Stranger::closing().await);
    let (tls, redis) = (Stranger::tls().await, Stranger::answering("-ERR unknown command\r\n").await);
    let page = Stranger::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\nConnection: close\r\n\r\n<html>\n</html>",
    )
    .await;
    let moved = Stranger::answering(
        "HTTP/1.1 301 Moved\r\nLocation: https://weir.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    for Place { address, instead_of_grpc, instead_of_http } in [
        place(format!("127.0.0.1:{}", ports::free()), "nothing listens", "nothing listens"),
        place(address_of(&nats.url()), "is a NATS server", "is a NATS server"),
        place(address_of(&postgres), "is a PostgreSQL server", "is a PostgreSQL server"),
        place(redis.address(), "is a Redis server", "is a Redis server"),
        place(tls.address(), "speaks TLS", "speaks TLS"),
        place(silent.address(), "does not answer", "does not answer"),
        place(closing.address(), "without an answer", "without an answer"),
        place(page.address(), "is HTTP, not gRPC", "answers 200, not as"),
        place(moved.address(), "is HTTP, not gRPC", "leads to 'https://weir.example/'"),
    ] {
        every_tool_says(&address, instead_of_grpc, instead_of_http).await;
    }
    for (args, variable) in OVER_GRPC.into_iter().chain(OVER_HTTP.into_iter().take(2)) {
        expect(args, variable, "http://nowhere.invalid:50051", "the host of http://nowhere.invalid").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_names_the_part_of_weir_behind_its_address() {
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
        let (other, told) = match variable {
            "INGEST_URL" => (reporting, "is a Weir's reporting, not ingest"),
            _ => (ingest, "is a Weir's ingest, not reporting"),
        };
        expect(args, variable, &format!("http://{other}"), told).await;
    }
    let edge = weir.addresses.edge;
    let wrong_path = format!("http://{edge}/event");
    for (args, variable) in OVER_HTTP.into_iter().take(2) {
        expect(args, variable, &wrong_path, "the edge answers at").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_can_t_be_used_is_named_and_the_others_are_asked() {
    let weir = Weir::on_files().await;
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let both = format!("{nobody},http://{}", weir.addresses.reporting);
    let (status, told) = weir.run(&["report", "events"], &[("REPORTING_URL", &both)]).await;
    assert!(status.success() && told.contains("Events: 0"), "{told}");
    assert!(told.contains(&format!("nothing listens at {nobody}")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_can_t_be_followed_is_ordered_and_told_at_once() {
    let weir = Weir::on_files().await;
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let started = Instant::now();
    let (status, told) = weir.run(&["erase", "facebook", "u-1"], &[("REPORTING_URL", &nobody)]).await;
    assert_eq!(status.code(), Some(75), "{told}");
    assert!(told.contains("It is durable and will be done") && told.contains("nothing listens at"), "{told}");
    assert!(started.elapsed() < AT_ONCE, "it took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_address_ends_with_64_and_names_its_part() {
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
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{args:?} {value}: {told}");
        assert!(told.contains(variable) && told.contains(part), "{args:?} {value}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_names_the_stranger_behind_its_setting_in_ready_and_once_in_its_log() {
    let (nats, silent, tls) = (Nats::start().await, Stranger::silent().await, Stranger::tls().await);
    let weir = Weir::on_files().await;
    for (url, told) in [
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
            let is_named = [told, "INGEST_URL", &url].iter().all(|part| reason.contains(part));
            if is_named { Ok(()) } else { Err(reason.to_owned()) }
        })
        .await;
        assert!(started.elapsed() < AT_ONCE, "{told}: it took {:?}", started.elapsed());
        // Some samples later it is still said once.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let log = edge.log();
        let lines = log.lines().filter(|line| line.contains(told) && line.contains("INGEST_URL")).count();
        assert_eq!(lines, 1, "{told}: {log}");
    }
}

async fn every_tool_says(address: &str, instead_of_grpc: &str, instead_of_http: &str) {
    for (args, variable) in OVER_GRPC {
        expect(args, variable, &format!("http://{address}"), instead_of_grpc).await;
    }
    for (args, variable) in OVER_HTTP {
        expect(args, variable, &url_for(variable, address), instead_of_http).await;
    }
}

/// How a variable names an address.
fn url_for(variable: &str, address: &str) -> String {
    if variable == "ADMIN_LISTEN" { address.to_owned() } else { format!("http://{address}/events") }
}

/// Host and port of any URL.
fn address_of(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
}

/// Fails unless the tool ends with 1 at once, and says `told`, the address and the variable.
async fn expect(args: &[&str], variable: &str, value: &str, told: &str) {
    let started = Instant::now();
    let output = command(args).env(variable, value).output().await.unwrap();
    let took = started.elapsed();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?} {value}: {said}");
    for part in [told, variable, value.trim_end_matches("/events")] {
        assert!(said.contains(part), "{args:?} {value}: '{part}' is missing in {said}");
    }
    assert!(took < AT_ONCE, "{args:?} {value}: it took {took:?}");
}

async fn dependencies(edge: &Weir) -> Result<Value, String> {
    let url = format!("http://{}/health/ready", edge.addresses.admin_of("edge"));
    let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
    let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
    Ok(answer["dependencies"].take())
}
