//! The publisher against an endpoint whose answers each test chooses.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;

const ACCEPTED: &str = r#"{"accepted":2,"rejected":1,"correlationId":"a"}"#;

fn plan(listener: &TcpListener) -> Plan {
    let address = listener.local_addr().unwrap();
    Plan {
        endpoint: Url::parse(&format!("http://{address}/events")).unwrap(),
        mix: Mix { sizes: 2..=2, corrupt: 1.0, duplicates: 0.0, late: 0.0 },
        interval: Duration::from_millis(1),
        duration: None,
        seed: 7,
        ledger: None,
    }
}

/// A complete request that waits for its answer.
struct Request {
    stream: TcpStream,
    items: usize,
}

impl Request {
    async fn read(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let mut reader = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).await.unwrap() > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.unwrap();
        let items: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
        Self { stream: reader.into_inner(), items: items.len() }
    }

    async fn answer(mut self, status: &str, body: &str) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        self.stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn requests_do_not_wait_for_earlier_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stop = Stop::new();
    let publisher = tokio::spawn(publish(plan(&listener), stop.clone()));
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(Request::read(&listener).await);
    }
    stop.cancel();
    assert!(waiting.iter().all(|request| request.items == 3));
    for request in waiting {
        request.answer("202 Accepted", ACCEPTED).await;
    }
    drop(listener);
    let summary = publisher.await.unwrap().unwrap();
    assert_eq!((summary.accepted, summary.rejected), (6, 3));
}

#[tokio::test]
async fn an_answer_without_a_2xx_is_a_failed_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stop = Stop::new();
    let plan = Plan { interval: Duration::from_secs(3600), ..plan(&listener) };
    let publisher = tokio::spawn(publish(plan, stop.clone()));
    Request::read(&listener).await.answer("503 Service Unavailable", "").await;
    stop.cancel();
    let summary = publisher.await.unwrap().unwrap();
    assert_eq!((summary.requests(), summary.events, summary.accepted, summary.failed()), (1, 3, 0, 1));
    let message = summary.page().to_string();
    assert!(message.contains("1 × http://127.0.0.1:") && message.contains("answers 503"), "{message}");
    assert!(message.contains("EVENT_ENDPOINT"), "{message}");
}
