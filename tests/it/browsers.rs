//! Pages in a browser on the machine that Weir runs on: they read nothing of it, change nothing, and show it in no frame.

mod attacker;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::StatusCode;
use sha2::{Digest as _, Sha256};
use weir_testkit::{Storage, Weir};

use self::attacker::{RawAnswer, send, send_to};

/// A name that leads to this machine by the attacker's own name server.
const EVIL: &str = "evil.example";
const METRIC: &str = "weir_http_requests_refused_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_name_leads_to_this_machine_reads_and_changes_nothing() {
    let weir = Weir::on_files().await;
    let (edge, admin) = (weir.addresses.edge, weir.addresses.admin_of("up"));
    let level = r#"{"level":"trace"}"#;
    for (address, method, path, body) in [
        (edge, "GET", "/reports/events", ""),
        (edge, "GET", "/events/facebook/fb-1", ""),
        (edge, "GET", "/metrics", ""),
        (edge, "GET", "/api/", ""),
        (edge, "GET", "/nothing", ""),
        (edge, "POST", "/events", "[]"),
        (admin, "GET", "/log-level", ""),
        (admin, "GET", "/metrics", ""),
        (admin, "GET", "/health/ready", ""),
        (admin, "PUT", "/log-level", level),
    ] {
        for host in [EVIL.to_owned(), format!("{EVIL}:{}", address.port()), format!("localhost.{EVIL}")] {
            let headers = format!("host: {host}\r\ncontent-type: application/json\r\n");
            let answer = send(address, method, path, &headers, body).await;
            answer.expect_problem(421);
            assert!(answer.body.contains("localhost"), "{answer:?}");
        }
    }
    assert!(!log_level(&weir).await.contains("trace"));
    for (listener, requests) in [("edge", 6), ("admin", 4)] {
        let refused = weir.metric(METRIC, &[("listener", listener), ("reason", "host")]).await;
        assert_eq!(refused as usize, requests * 3, "{listener}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_on_loopback_answers_to_its_own_names_and_to_those_of_its_setting() {
    let settings = vec![("EDGE_ALLOWED_HOSTS", "weir.example, edge".to_owned())];
    let weir = Weir::up_with(Storage::Files, settings).await;
    let (edge, admin) = (weir.addresses.edge, weir.addresses.admin_of("up"));
    let get = async |address, host: &str| {
        send(address, "GET", "/health/live", &format!("host: {host}\r\n"), "").await.status
    };
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:3001", "[::1]", "[::1]:3001"] {
        assert_eq!((get(edge, host).await, get(admin, host).await), (200, 200), "{host}");
    }
    for host in ["weir.example", "Weir.Example:443", "edge:3001"] {
        assert_eq!((get(edge, host).await, get(admin, host).await), (200, 421), "{host}");
    }
    // In HTTP/1.1 the target may name a host too.
    let target = format!("http://{EVIL}/health/live");
    assert_eq!(send(edge, "GET", &target, "host: localhost\r\n", "").await.status, 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_posts_no_events() {
    let weir = Weir::on_files().await;
    let edge = weir.addresses.edge;
    let own = format!("http://{edge}");
    let post = async |headers: &[(&str, &str)]| {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        send(edge, "POST", "/events", &format!("host: {edge}\r\n{headers}"), "[]").await
    };
    // A page sends a Blob without a media type, or forms, and no browser asks the edge before.
    let of_pages =
        ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"];
    let mut refused = 0;
    for origin in ["http://evil.example", "null", "https://evil.example:3001", "http://localhost:1"] {
        let answers =
            [post(&[("origin", origin)]).await, post(&[("origin", origin), ("content-type", "")]).await];
        for answer in &answers {
            answer.expect_problem(403);
            assert!(answer.body.contains("application/x-ndjson"), "{answer:?}");
        }
        refused += answers.len();
        for media_type in of_pages {
            post(&[("origin", origin), ("content-type", media_type)]).await.expect_problem(403);
            refused += 1;
        }
        // A browser asks for permission before it sends these, and the edge gives none.
        for media_type in ["application/json", "application/vnd.a+json; charset=utf-8"] {
            let headers = [("origin", origin), ("content-type", media_type)];
            assert_eq!(post(&headers).await.status, 202, "{origin} {media_type}");
        }
        let preflight =
            format!("host: {edge}\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n");
        let permission = send(edge, "OPTIONS", "/events", &preflight, "").await;
        assert!(permission.header("access-control-allow-origin").is_none(), "{permission:?}");
    }
    assert_eq!(weir.metric(METRIC, &[("listener", "edge"), ("reason", "origin")]).await as usize, refused);
    for headers in [&[][..], &[("content-type", "")], &[("origin", &own)]] {
        assert_eq!(post(headers).await.status, 202, "{headers:?}");
    }
    post(&[("content-type", "text/plain")]).await.expect_problem(415);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_takes_json_alone_and_from_no_page_of_another_origin() {
    let weir = Weir::on_files().await;
    let admin = weir.addresses.admin_of("up");
    let before = log_level(&weir).await;
    let put = async |headers: &str, body: &str| {
        send(admin, "PUT", "/log-level", &format!("host: {admin}\r\n{headers}"), body).await
    };
    let level = r#"{"level":"debug"}"#;
    put("origin: http://evil.example\r\ncontent-type: application/json\r\n", level).await.expect_problem(403);
    put("origin: null\r\n", level).await.expect_problem(403);
    for media_type in ["", "content-type: text/plain\r\n", "content-type: application/x-ndjson\r\n"] {
        let answer = put(media_type, level).await;
        answer.expect_problem(415);
        assert!(answer.body.contains("application/json"), "{answer:?}");
    }
    for body in ["debug", "\"debug\"", "{}", r#"{"level":"loud"}"#, r#"{"level":"debug","more":1}"#] {
        put("content-type: application/json\r\n", body).await.expect_problem(400);
    }
    assert_eq!(log_level(&weir).await, before);
    let own = format!("origin: http://localhost:{}\r\ncontent-type: application/json\r\n", admin.port());
    let changed = put(&own, level).await;
    assert_eq!((changed.status, changed.body.trim()), (200, "weir=debug,warn"));
    assert_eq!(weir.metric(METRIC, &[("listener", "admin"), ("reason", "media_type")]).await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_a_browser_must_not_do_with_it() {
    let settings = vec![("EDGE_BODY_STALL_TIMEOUT_MS", "100".to_owned())];
    let weir = Weir::up_with(Storage::Files, settings).await;
    let (edge, admin) = (weir.addresses.edge, weir.addresses.admin_of("up"));
    let json = "content-type: application/json\r\n";
    for (address, status, method, path, headers, body) in [
        (edge, 200, "GET", "/health/live", "", ""),
        (edge, 200, "GET", "/metrics", "", ""),
        (edge, 200, "GET", "/reports/events", "", ""),
        (edge, 200, "HEAD", "/reports/events", "", ""),
        (edge, 200, "GET", "/api/", "", ""),
        (edge, 200, "GET", "/api/swagger-ui.css", "", ""),
        (edge, 200, "GET", "/api/openapi.json", "", ""),
        (edge, 202, "POST", "/events", json, "[]"),
        (edge, 303, "GET", "/api", "", ""),
        (edge, 400, "POST", "/events", json, "oops"),
        (edge, 400, "GET", "/reports/events?what=1", "", ""),
        (edge, 403, "POST", "/events", "origin: null\r\n", "[]"),
        (edge, 404, "GET", "/nothing", "", ""),
        (edge, 404, "GET", "/api/nothing", "", ""),
        (edge, 404, "GET", "/events/facebook/none", "", ""),
        (edge, 405, "GET", "/events", "", ""),
        (edge, 405, "OPTIONS", "/events", "", ""),
        (edge, 408, "POST", "/events", "content-length: 9\r\n", ""),
        (edge, 415, "POST", "/events", "content-type: text/plain\r\n", "[]"),
        (admin, 200, "GET", "/health/live", "", ""),
        (admin, 200, "GET", "/metrics", "", ""),
        (admin, 200, "GET", "/log-level", "", ""),
        (admin, 404, "GET", "/nothing", "", ""),
        (admin, 405, "POST", "/metrics", "", ""),
        (admin, 415, "PUT", "/log-level", "", "debug"),
    ] {
        let answer = send(address, method, path, &format!("host: localhost\r\n{headers}"), body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        expect_headers(&answer);
    }
    let foreign = send(edge, "GET", "/health/live", "host: evil.example\r\n", "").await;
    assert_eq!(foreign.status, 421);
    expect_headers(&foreign);
}

fn expect_headers(answer: &RawAnswer) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{answer:?}");
    let policy =
        answer.header("content-security-policy").unwrap_or_else(|| panic!("no policy in {answer:?}"));
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let is_page = answer.header("content-type").is_some_and(|media_type| media_type.starts_with("text/html"));
    assert_eq!(policy.contains("default-src 'self'"), is_page, "{answer:?}");
}

/// The policy of a page allows its own files, and no script or style inside the page but one.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_the_interface_needs_nothing_that_its_policy_forbids() {
    let weir = Weir::on_files().await;
    let get = async |path| send(weir.addresses.edge, "GET", path, "host: localhost\r\n", "").await;
    let answer = get("/api/").await;
    let page = &answer.body;
    for reference in page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1)) {
        assert!(!reference.contains("//") || reference.starts_with("./"), "{reference:.80}");
    }
    for script in page.split("<script").skip(1) {
        assert!(script.starts_with(" src=\""), "{script:.80}");
        let inside = script.split_once('>').and_then(|(_, rest)| rest.split_once("</script>"));
        assert_eq!(inside.map(|(inside, _)| inside.trim()), Some(""));
    }
    for forbidden in ["<style", "style=", "onload=", "javascript:", "<iframe", "<base"] {
        assert!(!page.contains(forbidden), "{forbidden}: {page}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    for script in ["/api/swagger-ui-bundle.js", "/api/swagger-ui-standalone-preset.js"] {
        let script = get(script).await.body;
        for style in script.split("createElement(\"style\",null,\"").skip(1) {
            let (style, _) = style.split_once('"').unwrap();
            let hash = BASE64_STANDARD.encode(Sha256::digest(style));
            assert!(policy.contains(&format!("'sha256-{hash}'")), "{hash} of {style} is not in {policy}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_coding_besides_chunked_is_refused_by_its_rule() {
    let weir = Weir::on_files().await;
    let edge = weir.addresses.edge;
    for encoding in
        ["gzip, chunked", "chunked, chunked", "identity, chunked", "deflate,chunked", "x, chunked"]
    {
        let head = format!("POST /events HTTP/1.1\r\nhost: {edge}\r\ntransfer-encoding: {encoding}\r\n");
        let answer = send_to(edge, &format!("{head}connection: close\r\n\r\n2\r\n[]\r\n0\r\n\r\n")).await;
        answer.expect_problem(400);
        assert!(answer.body.contains("must be chunked, once and alone"), "{answer:?}");
    }
    let refused = weir.metric(METRIC, &[("listener", "edge"), ("reason", "transfer_encoding")]).await;
    assert_eq!(refused, 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_bounded_whatever_the_query_is() {
    let weir = Weir::on_files().await;
    let long = "x".repeat(60_000);
    for (path, more) in [
        (format!("/reports/events?{}", "a&".repeat(30_000)), Some(29_980)),
        // Each but the first is one too many, and the first is no date.
        (format!("/reports/events?{}", "from=x&".repeat(8_000)), Some(7_980)),
        (format!("/reports/revenue?{}", "%FF&".repeat(15_000)), Some(14_980)),
        (format!("/reports/events?{long}=1"), None),
        (format!("/reports/events?from={long}&to=x"), None),
        (format!("/reports/revenue?campaignId={long}"), None),
        (format!("/reports/demographics?limit={long}"), None),
    ] {
        let answer = weir.get(&path).await;
        answer.expect_problem(StatusCode::BAD_REQUEST);
        let text = answer.body.to_string();
        assert!(text.len() < 8 << 10, "{} bytes of {path:.40}", text.len());
        let listed = answer.body["violations"].as_array().map_or(0, Vec::len);
        assert!((1..=20).contains(&listed), "{path:.40}: {listed}");
        let told = more.map(|more| format!("{more} more"));
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(told.is_none_or(|told| detail.contains(&told)), "{path:.40}: {detail}");
    }
}

async fn log_level(weir: &Weir) -> String {
    let admin = weir.addresses.admin_of("up");
    send(admin, "GET", "/log-level", &format!("host: {admin}\r\n"), "").await.body
}
