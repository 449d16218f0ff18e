//! Text of strangers shows on an operator's terminal and in the logs, and steers neither.

use axum::{Json, extract::Request, http::header::CONTENT_TYPE, response::IntoResponse as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use weir::contract::{
    event::v1::Violation,
    ingest::v1::{
        Item, Outcome, PublishEventsRequest, RejectedItem, ingest_service_client::IngestServiceClient,
        item::Content,
    },
};
use weir_event::Source;
use weir_process::{Reason, refuse};
use weir_testkit::{Storage, Weir, events::with_id, eventually, weir::command};

/// A title and a clipboard for a terminal, a line of its own, a control of C1, and text that runs backwards.
const HOSTILE: &str = "x\u{1b}]52;c;aGk=\u{7}\nweir: stored\r\u{9b}2J\u{202e}y\u{7f}";
const SHOWN: &str = r"x\u{1b}]52;c;aGk=\u{7}\u{a}weir: stored\u{d}\u{9b}2J\u{202e}y\u{7f}";
/// The gate admits formats, which are no controls.
const BACKWARDS: &str = "Per\u{202e}u\u{2066}";
const BACKWARDS_SHOWN: &str = r"Per\u{202e}u\u{2066}";

on_files_and_on_servers!(no_tool_prints_what_a_terminal_acts_on);

async fn no_tool_prints_what_a_terminal_acts_on(weir: Weir) {
    let id = format!("id-{BACKWARDS}");
    let good = json!({
        "eventId": id, "timestamp": "2025-09-14T07:21:45Z", "source": "facebook", "funnelStage": "bottom",
        "eventType": "checkout.complete",
        "data": {
            "user": {"userId": "u-1", "name": "Orla", "age": 41, "gender": "female",
                     "location": {"country": BACKWARDS, "city": BACKWARDS}},
            "engagement": {"adId": "ad-1", "campaignId": BACKWARDS, "clickPosition": "center", "device": "mobile",
                           "browser": "Firefox", "purchaseAmount": "1.50"},
        },
    });
    let bad = with_id(Source::Facebook, HOSTILE);
    weir.post(&json!([good, bad])).await.expect_accepted(1, 1);
    let mut client = IngestServiceClient::connect(format!("http://{}", weir.addresses.ingest)).await.unwrap();
    let request = PublishEventsRequest { items: vec![refused_item()], ..PublishEventsRequest::default() };
    let results = client.publish_events(request).await.unwrap().into_inner().results;
    assert_eq!(results[0].outcome(), Outcome::Rejected);
    weir.drained(1).await;

    for (args, shown) in [
        (&["report", "events"][..], ""),
        (&["report", "revenue"], BACKWARDS_SHOWN),
        (&["report", "demographics"], BACKWARDS_SHOWN),
        (&["event", "facebook", &id], BACKWARDS_SHOWN),
        (&["event", "facebook", HOSTILE], SHOWN),
        (&["dead-letters", "list"], ""),
        (&["dead-letters", "list", "--each"], r"x\u{1b}]52;c;"),
        (&["dead-letters", "redrive", "--all", "--dry-run"], ""),
        (&["dead-letters", "discard", "--all", "--dry-run"], ""),
        (&["erase", "facebook", "--receipt", HOSTILE], ""),
        (&["report", "events", "--source", HOSTILE], SHOWN),
        (&["journal", HOSTILE], r"x\u{1b}]52;c;"),
        (&["event", "facebook", "a", "--endpoint", HOSTILE], SHOWN),
    ] {
        let (_, output) = weir.run(args, &[]).await;
        expect_harmless(args, &output);
        assert!(output.contains(shown), "{args:?}: {output}");
    }
    for (args, pointer, value) in [
        (&["report", "demographics", "--json"][..], "/facebook/countries/0/country", BACKWARDS),
        (&["report", "revenue", "--json"], "/campaigns/0/campaignId", BACKWARDS),
        (&["event", "facebook", &id, "--json"], "/eventId", &id),
        (&["event", "facebook", HOSTILE, "--json"], "/eventId", HOSTILE),
    ] {
        let output = expect_json(&weir, args).await;
        assert_eq!(output.pointer(pointer), Some(&json!(value)), "{args:?}: {output}");
    }
    let letters = expect_json(&weir, &["dead-letters", "list", "--each", "--json"]).await;
    let letters = letters["letters"].as_array().unwrap();
    assert_eq!(letters.len(), 2, "{letters:?}");
    for letter in letters {
        assert_eq!(letter["eventId"], json!(HOSTILE));
        let args = ["dead-letters", "show", letter["id"].as_str().unwrap()];
        let (_, output) = weir.run(&args, &[]).await;
        expect_harmless(&args, &output);
        assert!(output.contains(r"x\u{1b}]52;c;"), "{output}");
    }
}

/// An item as an edge would send it, whose violations are of a stranger.
fn refused_item() -> Item {
    let violation = Violation { pointer: HOSTILE.to_owned(), message: HOSTILE.to_owned() };
    let rejected = RejectedItem {
        event_id: HOSTILE.to_owned(),
        raw: b"{}".to_vec(),
        violations: vec![violation],
        ..RejectedItem::default()
    };
    Item { content: Some(Content::Rejected(rejected)), ..Item::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tool_prints_a_server_s_text_as_it_came() {
    let address = hostile_server().await;
    let (grpc, edge) = (format!("http://{address}"), format!("http://{address}/events"));
    for (args, code, shown) in [
        (&["report", "events", "--reporting-url", &grpc][..], 64, SHOWN),
        (&["dead-letters", "list", "--ingest-url", &grpc], 64, SHOWN),
        (&["event", "facebook", "a", "--endpoint", &edge], 1, SHOWN),
        (&["publish", "--duration", "100ms", "--max", "1", "--min", "1", "--endpoint", &edge], 1, SHOWN),
    ] {
        let output = command(args).output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        expect_harmless(args, &text);
        assert!(output.status.code() == Some(code) && text.contains(shown), "{args:?}: {text}");
    }
}

/// A server whose every refusal has a hostile text, over HTTP and over gRPC.
async fn hostile_server() -> std::net::SocketAddr {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in [
        "weir.reporting.v1.ReportingService",
        "weir.ingest.v1.DeadLetterService",
        "weir.ingest.v1.IngestService",
    ] {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let router = Routes::new(health).into_axum_router().fallback(async |request: Request| {
        let is_grpc = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if is_grpc {
            let field = format!("from{HOSTILE}");
            refuse(Reason::InvalidRequest, HOSTILE, &[(field.as_str(), HOSTILE)]).into_http()
        } else {
            let problem = json!({"status": 400, "detail": HOSTILE, "correlationId": "c"});
            (StatusCode::BAD_REQUEST, Json(problem)).into_response()
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_entry_shows_a_stranger_s_text_on_one_line_in_either_format() {
    for (format, shown) in [("pretty", BACKWARDS_SHOWN), ("json", r"Per\u202eu\u2066")] {
        let weir = Weir::up_with(Storage::Files, vec![("LOG_FORMAT", format.to_owned())]).await;
        // A level is logged as it was asked for.
        let level = format!("info,{BACKWARDS}=debug");
        let admin = weir.addresses.admin_of("up").to_string();
        let (status, output) = weir.run(&["log-level", &level], &[("ADMIN_LISTEN", &admin)]).await;
        expect_harmless(&["log-level"], &output);
        assert!(status.success() && output.contains(BACKWARDS_SHOWN), "{output}");
        let line = eventually(async || {
            let log = weir.log();
            let line = log.lines().find(|line| line.contains("the log level was changed"));
            line.map(str::to_owned).ok_or(log)
        })
        .await;
        assert!(line.contains(shown) && !line.contains(BACKWARDS), "{line}");
    }
}

/// Runs a tool whose answer is JSON.
async fn expect_json(weir: &Weir, args: &[&str]) -> Value {
    let output = weir.tool(args).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    expect_harmless(args, &text);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error} in {text}"))
}

fn expect_harmless(args: &[&str], output: &str) {
    assert!(!output.contains(acts), "{args:?}: {}", output.escape_debug());
    assert!(!output.lines().any(|line| line.starts_with("weir: stored")), "{args:?}: {output}");
}

/// Whether a terminal acts on the character; a line break is how a tool ends its own lines.
fn acts(letter: char) -> bool {
    let is_bidirectional = matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_bidirectional || (letter.is_control() && letter != '\n')
}
