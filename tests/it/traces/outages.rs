//! Outages of the trace collector: they add no latency, lose no event and delay no shutdown. Without settings for it,
//! Weir exports no span.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_event::Source;
use weir_testkit::{
    Storage, TraceCollector, Weir,
    events::{Sender, with_id},
    eventually,
    fault_proxy::{FaultProxy, NetworkCondition},
    ports,
    trace_collector::settings,
};

use super::trail::{CALLER_TRACE, post_in_trace};

/// The limit of a post's latency: far below the 10 s that an export may take, and far above the usual latency beside
/// other stories.
const POST_DEADLINE: Duration = Duration::from_secs(3);
/// The limit of a shutdown: the 2 s for the last spans, and the time without them.
const END: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_do_not_suffer_while_the_trace_collector_is_away() {
    let address = ([127, 0, 0, 1], ports::free()).into();
    let mut weir = Weir::up_with(Storage::Files, settings(address)).await;
    expect_no_suffering(&mut weir).await;
    assert_eq!(weir.log().matches("spans can't be exported").count(), 1, "{}", weir.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_do_not_suffer_while_the_trace_collector_never_answers() {
    let collector = TraceCollector::start().await;
    let proxy = FaultProxy::start(collector.address()).await;
    proxy.set(NetworkCondition::Blackhole);
    let mut settings = settings(proxy.address());
    // Small batches, so that the posts fill the bounded queue.
    settings.push(("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64".to_owned()));
    let mut weir = Weir::up_with(Storage::Files, settings).await;
    eventually(async || {
        let posts = (0..64).map(|_| weir.request("/events").body("[]").send());
        futures::future::join_all(posts).await;
        let dropped = weir.metric("weir_spans_total", &[("outcome", "dropped")]).await;
        if dropped > 0.0 { Ok(()) } else { Err("nothing was dropped yet") }
    })
    .await;
    expect_no_suffering(&mut weir).await;
    assert!(collector.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_do_not_suffer_when_the_trace_collector_is_killed_and_spans_come_again_after() {
    let collector = TraceCollector::start().await;
    let proxy = FaultProxy::start(collector.address()).await;
    let mut weir = Weir::up_with(Storage::Files, settings(proxy.address())).await;
    post_in_trace(&weir, &[with_id(Source::Facebook, "before")], "before").await;
    collector.find(|span| span.attribute("weir.correlation_id") == "before").await;
    proxy.set(NetworkCondition::Refuse);
    post_in_trace(&weir, &[with_id(Source::Facebook, "meanwhile")], "meanwhile").await;
    eventually(async || {
        let failed = weir.metric("weir_spans_total", &[("outcome", "failed")]).await;
        if failed > 0.0 { Ok(()) } else { Err("no export failed yet") }
    })
    .await;
    proxy.set(NetworkCondition::Normal);
    eventually(async || {
        post_in_trace(&weir, &[], "after").await;
        let arrived = collector.spans().iter().any(|span| span.attribute("weir.correlation_id") == "after");
        if arrived { Ok(()) } else { Err("no span came after the outage") }
    })
    .await;
    weir.drained(2).await;
    weir.stop().await;
}

/// Expects that posts, rows and the shutdown are all in time.
async fn expect_no_suffering(weir: &mut Weir) {
    let mut sender = Sender::new("suffering", 23);
    for _ in 0..20 {
        let posted = Instant::now();
        weir.post(&json!(sender.events(10))).await.expect_accepted(10, 0);
        assert!(posted.elapsed() < POST_DEADLINE, "a post took {:?}", posted.elapsed());
    }
    weir.drained(200).await;
    assert_eq!(weir.reported_events().await, 200);
    let ended = Instant::now();
    weir.stop().await;
    assert!(ended.elapsed() < END, "the end took {:?}", ended.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_exported_at_the_end() {
    let collector = TraceCollector::start().await;
    let mut settings = collector.settings();
    // An hour, so that only the shutdown exports spans.
    settings.push(("OTEL_BSP_SCHEDULE_DELAY", "3600000".to_owned()));
    let mut weir = Weir::up_with(Storage::Files, settings).await;
    post_in_trace(&weir, &[with_id(Source::Facebook, "last")], "last").await;
    weir.drained(1).await;
    assert!(collector.spans().is_empty());
    weir.stop().await;
    for name in ["POST /events", "process events.facebook", "BATCH INSERT events"] {
        let spans = collector.spans();
        assert!(
            spans.iter().any(|span| span.name == name && span.trace == CALLER_TRACE),
            "{name}: {spans:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_the_last_spans() {
    let collector = TraceCollector::start().await;
    let proxy = FaultProxy::start(collector.address()).await;
    proxy.set(NetworkCondition::Blackhole);
    let mut weir = Weir::up_with(Storage::Files, settings(proxy.address())).await;
    post_in_trace(&weir, &[], "unfinished").await;
    weir.signal("TERM").await;
    // The journal is the last role to end; then the process waits for its spans.
    eventually(async || {
        let log = weir.log();
        let last = log.lines().last().unwrap_or_default().to_owned();
        if last.contains("role ended") && last.contains("journal") { Ok(()) } else { Err(last) }
    })
    .await;
    weir.signal("TERM").await;
    assert_eq!(weir.exit_codes().await, [Some(130)], "{}", weir.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_span_is_exported_when_tracing_is_off_and_the_caller_s_trace_is_kept() {
    let collector = TraceCollector::start().await;
    for (variable, value) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let mut settings = collector.settings();
        settings.push((variable, value.to_owned()));
        let mut weir = Weir::up_with(Storage::Files, settings).await;
        post_in_trace(&weir, &[with_id(Source::Facebook, "untraced")], "untraced").await;
        weir.drained(1).await;
        let found = weir.get("/events/facebook/untraced").await;
        assert_eq!(found.body["stored"]["traceId"], CALLER_TRACE, "{found:?}");
        weir.stop().await;
        assert!(collector.spans().is_empty(), "{:?}", collector.spans());
    }
}
