//! A machine whose environment names an HTTP proxy.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use weir_testkit::{Storage, TraceCollector, Weir, eventually, weir::command};

/// A proxy that answers every request with 418, and counts the requests.
struct Proxy {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let answer = "HTTP/1.1 418 a proxy\r\ncontent-length: 5\r\nconnection: close\r\n\r\nproxy";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, asked }
    }

    /// The variables that name a proxy, for all programs.
    fn variables(&self) -> [(&'static str, &str); 4] {
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, self.url.as_str()))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_this_machine_use_no_proxy() {
    let proxy = Proxy::start().await;
    let mut weir = Weir::on_files().await;
    let admin = weir.addresses.admin_of("up").to_string();
    let health = |host: &str| format!("http://{host}:{}/health/ready", weir.addresses.admin_of("up").port());
    let environment: Vec<_> =
        [("ADMIN_LISTEN", admin.as_str())].into_iter().chain(proxy.variables()).collect();
    for args in [
        &["health"][..],
        &["health", "--url", &health("127.0.0.1")],
        &["health", "--url", &health("localhost")],
        &["log-level"],
        &["publish", "--duration=1s", "--min=1", "--max=2"],
        &["report", "events"],
        &["dead-letters", "list"],
    ] {
        let (status, output) = weir.run(args, &environment).await;
        assert!(status.success(), "{args:?}: {output}");
    }
    let (_, output) = weir.run(&["event", "facebook", "none"], &environment).await;
    assert!(output.contains("unknown"), "{output}");
    assert_eq!(proxy.asked(), 0);
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_other_hosts_use_the_proxy_unless_no_proxy_names_them() {
    let proxy = Proxy::start().await;
    let args = ["health", "--url", "http://weir.invalid:9101/health/ready"];
    let asked = command(&args).envs(proxy.variables()).output().await.unwrap();
    let output = String::from_utf8_lossy(&asked.stderr);
    assert!(output.contains("418"), "{output}");
    assert_eq!(proxy.asked(), 1);
    for name in ["no_proxy", "NO_PROXY"] {
        let direct =
            command(&args).envs(proxy.variables()).env(name, "other,.invalid").output().await.unwrap();
        assert!(!direct.status.success(), "{direct:?}");
        assert_eq!(proxy.asked(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_monitor_and_trace_collector_are_asked_without_a_proxy() {
    let proxy = Proxy::start().await;
    let collector = TraceCollector::over_http().await;
    let ground = Storage::servers().await;
    let Storage::Servers { nats, .. } = &ground else { unreachable!("these are servers") };
    let named = [
        ("NATS_MONITOR_URL", nats.monitor_url()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address())),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let proxies = proxy.variables().map(|(name, url)| (name, url.to_owned()));
    let mut weir = Weir::up_with(ground, proxies.into_iter().chain(named).collect()).await;
    weir.post(&serde_json::json!([])).await.expect_accepted(0, 0);
    collector.find(|span| span.name == "POST /events").await;
    eventually(async || match weir.metric("weir_journal_durability", &[("promise", "power_loss")]).await {
        1.0 => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(proxy.asked(), 0, "{}", weir.log());
    weir.stop().await;
}
