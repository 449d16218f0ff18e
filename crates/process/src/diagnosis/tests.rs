//! Messages for each kind of server that is not the expected one.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn target(url: &str, setting: &'static str, kind: ServerKind) -> Target {
    Target { url: url.parse().unwrap(), setting, kind, instance: None }
}

fn told(kind: ServerKind, finding: Finding) -> String {
    target("http://me:secret@host:1/x?token=secret", "SETTING", kind).unusable(finding).to_string()
}

#[test]
fn every_message_names_address_setting_and_remedy_and_no_secret() {
    for kind in [ServerKind::Ingest, ServerKind::Reporting, ServerKind::Edge, ServerKind::Admin] {
        for finding in [
            Finding::UnknownHost,
            Finding::SilentResolver,
            Finding::Refused,
            Finding::Unreachable("No route to host".into()),
            Finding::SilentNetwork,
            Finding::Silent,
            Finding::Closed,
            Finding::Http { weir: true },
            Finding::Http { weir: false },
            Finding::Http2,
            Finding::Grpc(None),
            Finding::Grpc(Some("reporting")),
            Finding::Tls,
            Finding::Server("a NATS server"),
            Finding::Greeting("SSH-2.0".into()),
            Finding::Refusal { status: 404, detail: "there is nothing at this path".into() },
            Finding::Foreign { status: 404, redirect: None },
            Finding::Foreign { status: 301, redirect: Some("https://host/".into()) },
        ] {
            let told = told(kind, finding.clone());
            for part in ["http://host:1/x", "(SETTING)"] {
                assert!(told.contains(part), "{finding:?}: {part} is missing in {told}");
            }
            let remedies = ["correct", "name the", "name an address"];
            assert!(remedies.iter().any(|remedy| told.contains(remedy)), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}

#[test]
fn the_other_protocol_and_the_other_role_are_named() {
    let http = told(ServerKind::Reporting, Finding::Http { weir: true });
    assert!(http.contains("is HTTP, not gRPC"), "{http}");
    let grpc = told(ServerKind::Edge, Finding::Grpc(Some("ingest")));
    assert!(grpc.contains("is gRPC, not HTTP") && grpc.contains("a Weir's ingest"), "{grpc}");
    let other = told(ServerKind::Ingest, Finding::Grpc(Some("reporting")));
    assert!(other.contains("is a Weir's reporting, not ingest"), "{other}");
}

/// A server that sends `greeting`, then `reply` to every request, and keeps or closes the connection.
async fn server(greeting: &'static [u8], reply: &'static [u8], keeps: bool) -> Url {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(greeting).await.ok();
                let mut request = [0; 1024];
                while keeps || !reply.is_empty() {
                    if stream.read(&mut request).await.unwrap_or_default() == 0 {
                        break;
                    }
                    stream.write_all(reply).await.ok();
                }
            });
        }
    });
    format!("http://127.0.0.1:{port}").parse().unwrap()
}

#[tokio::test]
async fn a_listener_is_recognised_by_its_answer() {
    for (greeting, reply, keeps, finding) in [
        (&b"INFO {}\r\n"[..], &b""[..], true, Finding::Server("a NATS server")),
        (b"", b"-ERR unknown command\r\n", true, Finding::Server("a Redis server")),
        (b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", true, Finding::Http { weir: false }),
        (b"", b"", true, Finding::Silent),
        (b"", b"", false, Finding::Closed),
    ] {
        let url = server(greeting, reply, keeps).await;
        assert_eq!(probe::at(&url, None).await, finding, "{greeting:?} {reply:?}");
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_host_are_distinguished() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let refused = probe::at(&format!("http://{closed}").parse().unwrap(), None).await;
    assert_eq!(refused, Finding::Refused);
    let unknown = probe::at(&"http://nowhere.invalid:1".parse().unwrap(), None).await;
    assert_eq!(unknown, Finding::UnknownHost);
}
