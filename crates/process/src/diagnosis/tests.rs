//! What is told of each kind of server that is not the wanted one.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn target(url: &str, setting: &'static str, wanted: Wanted) -> Target {
    Target { url: url.parse().unwrap(), setting, wanted, instance: None }
}

fn told(wanted: Wanted, found: Found) -> String {
    target("http://me:secret@host:1/x?token=secret", "SETTING", wanted).unusable(found).to_string()
}

#[test]
fn every_cause_names_address_setting_and_remedy_and_no_secret() {
    for wanted in [Wanted::Ingest, Wanted::Reporting, Wanted::Edge, Wanted::Admin] {
        for found in [
            Found::UnknownHost,
            Found::SilentResolver,
            Found::Refused,
            Found::Unreachable("No route to host".into()),
            Found::SilentNetwork,
            Found::Silent,
            Found::Closed,
            Found::Http { weir: true },
            Found::Http { weir: false },
            Found::Http2,
            Found::Grpc(None),
            Found::Grpc(Some("reporting")),
            Found::Tls,
            Found::Server("a NATS server"),
            Found::Greeting("SSH-2.0".into()),
            Found::Refusal { status: 404, detail: "there is nothing at this path".into() },
            Found::Foreign { status: 404, redirect: None },
            Found::Foreign { status: 301, redirect: Some("https://host/".into()) },
        ] {
            let told = told(wanted, found.clone());
            for part in ["http://host:1/x", "(SETTING)"] {
                assert!(told.contains(part), "{found:?}: {part} is missing in {told}");
            }
            let remedies = ["correct", "name the", "name an address"];
            assert!(remedies.iter().any(|remedy| told.contains(remedy)), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}

#[test]
fn the_other_protocol_and_the_other_role_are_named() {
    let http = told(Wanted::Reporting, Found::Http { weir: true });
    assert!(http.contains("is HTTP, not gRPC"), "{http}");
    let grpc = told(Wanted::Edge, Found::Grpc(Some("ingest")));
    assert!(grpc.contains("is gRPC, not HTTP") && grpc.contains("a Weir's ingest"), "{grpc}");
    let other = told(Wanted::Ingest, Found::Grpc(Some("reporting")));
    assert!(other.contains("is a Weir's reporting, not ingest"), "{other}");
}

/// A server that sends `greeting`, then `reply` to whatever comes, and keeps or ends the connection.
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
async fn what_listens_is_told_by_how_it_answers() {
    for (greeting, reply, keeps, found) in [
        (&b"INFO {}\r\n"[..], &b""[..], true, Found::Server("a NATS server")),
        (b"", b"-ERR unknown command\r\n", true, Found::Server("a Redis server")),
        (b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", true, Found::Http { weir: false }),
        (b"", b"", true, Found::Silent),
        (b"", b"", false, Found::Closed),
    ] {
        let url = server(greeting, reply, keeps).await;
        assert_eq!(probe::at(&url, None).await, found, "{greeting:?} {reply:?}");
    }
}

#[tokio::test]
async fn nobody_and_nowhere_are_told_apart() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let refused = probe::at(&format!("http://{closed}").parse().unwrap(), None).await;
    assert_eq!(refused, Found::Refused);
    let unknown = probe::at(&"http://nowhere.invalid:1".parse().unwrap(), None).await;
    assert_eq!(unknown, Found::UnknownHost);
}
