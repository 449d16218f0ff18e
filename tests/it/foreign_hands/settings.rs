//! Settings of streams and consumers. Only ingest sets them up; it adopts those of an earlier build, and leaves the
//! choices of an operator.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::{Config, DiscardPolicy, SubjectTransform},
};
use chrono::Utc;
use serde_json::json;
use weir_testkit::{
    Storage, Weir,
    events::Sender,
    eventually,
    nats::{Cluster, Nats, Operator},
    postgres::Postgres,
};

use super::{expect_reported, expect_stored, ids, one_source, post_each};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const STREAMS: [&str; 3] = ["EVENTS", "DEAD_LETTERS", "REJECTED"];
const EVERY_ROLE: &[&str] =
    &["edge", "ingest", "collect-facebook", "collect-facebook-too", "collect-tiktok", "reporting"];
const JOURNAL_ROLES: &[(&str, &[&str])] =
    &[("ingest", &["ingest"]), ("collect-facebook", &["collect", "facebook"])];
/// The sizes of a stream before and after it shrinks, in bytes.
const FOUND: i64 = 64 << 20;
const WANTED: i64 = 32 << 20;
const LOWERED: [(&str, &str); 1] = [("JOURNAL_MAX_BYTES", "32MiB")];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_stream_has_no_maximum_age() {
    let weir = Weir::on_servers().await;
    assert_eq!(weir.operator().await.settings("EVENTS").await.max_age, Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_consumers_of_an_earlier_build_are_adopted() {
    let nats = Nats::start().await;
    let operator = Operator::connect(&nats.url()).await;
    set_up_as_an_earlier_build(&operator).await;
    let database_url = Postgres::shared().await.fresh_database_url().await;
    let weir = Weir::up_with(Storage::Servers { nats, database_url }, Vec::new()).await;
    post_each(&weir, ["adopted".to_owned()].into_iter()).await;
    expect_stored(&weir.store().await, ["adopted".to_owned()].into_iter()).await;

    let events = operator.settings("EVENTS").await;
    assert_eq!(events.max_age, Duration::ZERO);
    for subject in ["events.facebook", "events.tiktok", "erasures.facebook", "erasures.tiktok"] {
        assert!(events.subjects.iter().any(|known| known == subject), "{subject}: {:?}", events.subjects);
    }
    assert!(
        events.metadata.keys().any(|key| key.contains("weir")),
        "no metadata of Weir: {:?}",
        events.metadata
    );
    let consumer = operator.consumer("collector-facebook").await.unwrap().config;
    let mut filters = consumer.filter_subjects.clone();
    filters.sort();
    assert_eq!(filters, ["erasures.facebook", "events.facebook"]);
    assert!(
        consumer.metadata.keys().any(|key| key.contains("weir")),
        "no metadata of Weir: {:?}",
        consumer.metadata
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_an_operator_raised_stay_when_every_process_is_replaced() {
    let mut weir = Weir::fleet().await;
    let operator = weir.operator().await;
    let [events, letters] = [operator.settings("EVENTS").await, operator.settings("DEAD_LETTERS").await];
    let raised = [
        Config { max_bytes: events.max_bytes + (1 << 20), ..events },
        Config { max_age: letters.max_age + DAY, ..letters },
    ];
    for config in &raised {
        operator.context.update_stream(config).await.unwrap();
    }
    for name in EVERY_ROLE {
        weir.stop_process(name).await;
        weir.start_process(name);
        weir.ready().await;
    }
    weir.expect_recovery().await;
    for Config { name, max_bytes, max_age, .. } in &raised {
        let found = operator.settings(name).await;
        assert_eq!((found.max_bytes, found.max_age), (*max_bytes, *max_age), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_stop_all_frames_are_corrected_while_ingest_runs() {
    let weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    let right = operator.settings("EVENTS").await;
    let elsewhere = SubjectTransform {
        source: "events.facebook".to_owned(),
        destination: "elsewhere.facebook".to_owned(),
    };
    let wrong = [
        Config { max_messages: 1, ..right.clone() },
        Config { max_message_size: 16, ..right.clone() },
        Config { no_ack: true, ..right.clone() },
        Config { subject_transform: Some(elsewhere), ..right.clone() },
        Config { max_messages_per_subject: 1, discard_new_per_subject: true, ..right.clone() },
    ];
    for config in &wrong {
        operator.context.update_stream(config).await.unwrap();
        eventually(async || {
            let found = operator.settings("EVENTS").await;
            if found == right { Ok(()) } else { Err(found) }
        })
        .await;
    }
    post_each(&weir, ids("through", 5)).await;
    expect_stored(&store, ids("through", 5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_an_operator_paused_is_reported_and_stays_paused() {
    let weir = one_source().await;
    let operator = weir.operator().await;
    let events = operator.context.get_stream("EVENTS").await.unwrap();
    let until = Utc::now() + Duration::from_secs(3_600);
    events.pause_consumer("collector-facebook", until).await.unwrap();
    for process in ["ingest", "collect-facebook"] {
        let reason = expect_reported(&weir, process, "journal_settings").await;
        assert!(reason.contains("collector-facebook: pause_until"), "{reason}");
    }
    let (status, output) = weir.run(&["journal", "status"], &[]).await;
    assert!(!status.success() && output.contains("pause_until"), "{output}");
    let (_, output) = weir.run(&["journal", "apply", "--shrink"], &[]).await;
    assert!(operator.consumer("collector-facebook").await.unwrap().paused, "{output}");
    events.resume_consumer("collector-facebook").await.unwrap();
    post_each(&weir, ids("resumed", 3)).await;
    expect_stored(&weir.store().await, ids("resumed", 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_with_fewer_replicas_configured_reports_that_and_changes_nothing() {
    let cluster = Cluster::start().await;
    let settings = vec![("NATS_URL", cluster.url()), ("JOURNAL_REPLICAS", "3".to_owned())];
    let mut weir = Weir::launch(Storage::servers().await, settings, JOURNAL_ROLES);
    weir.ready().await;
    let operator = weir.operator().await;

    weir.stop_process("collect-facebook").await;
    weir.start_process_with("collect-facebook", &[("JOURNAL_REPLICAS", "1")]);
    weir.ready().await;
    for stream in STREAMS {
        assert_eq!(operator.settings(stream).await.num_replicas, 3, "{stream}");
    }
    expect_difference_reported(&weir, "JOURNAL_REPLICAS").await;
    for stream in STREAMS {
        assert_eq!(operator.settings(stream).await.num_replicas, 3, "{stream}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_with_another_ack_wait_configured_reports_that_and_changes_nothing() {
    let mut weir = Weir::launch(Storage::servers().await, Vec::new(), JOURNAL_ROLES);
    weir.ready().await;
    let operator = weir.operator().await;
    let ack_wait = async || operator.consumer("collector-facebook").await.unwrap().config.ack_wait;
    let before = ack_wait().await;

    weir.stop_process("collect-facebook").await;
    weir.start_process_with("collect-facebook", &[("JOURNAL_ACK_WAIT_MS", "2000")]);
    weir.ready().await;
    assert_eq!(ack_wait().await, before);
    expect_difference_reported(&weir, "JOURNAL_ACK_WAIT_MS").await;
    assert_eq!(ack_wait().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_with_equal_settings_reports_no_difference() {
    let weir = Weir::fleet().await;
    let events = Sender::new("agreed", 45).events(100);
    weir.post(&json!(events)).await.expect_accepted(100, 0);
    weir.drained(100).await;
    for process in ["collect-facebook", "collect-tiktok"] {
        eventually(async || match weir.readiness(process).await {
            (true, dependencies) if dependencies["journal_settings"]["ready"] == true => Ok(()),
            other => Err(format!("{process}: {other:?}")),
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shrinks_only_by_an_operator_s_command() {
    let settings = vec![("JOURNAL_MAX_BYTES", "64MiB".to_owned())];
    let mut weir = Weir::launch(Storage::servers().await, settings, &JOURNAL_ROLES[..1]);
    weir.ready().await;
    let operator = weir.operator().await;
    assert_eq!(max_bytes(&operator).await, FOUND);

    weir.stop_process("ingest").await;
    weir.start_process_with("ingest", &LOWERED);
    weir.ready().await;
    assert_eq!(max_bytes(&operator).await, FOUND, "ingest has shrunk the stream");

    let (_, output) = weir.run(&["journal", "status"], &LOWERED).await;
    assert!(output.contains("max_bytes") || output.contains("JOURNAL_MAX_BYTES"), "{output}");
    for (bytes, in_words) in [(FOUND, ["64MiB", "64 MiB"]), (WANTED, ["32MiB", "32 MiB"])] {
        let named =
            output.contains(&bytes.to_string()) || in_words.iter().any(|words| output.contains(words));
        assert!(named, "{bytes} is not in: {output}");
    }
    weir.run(&["journal", "apply"], &LOWERED).await;
    assert_eq!(max_bytes(&operator).await, FOUND, "the stream shrinks without --shrink");

    let (_, output) = weir.run(&["journal", "apply", "--shrink"], &LOWERED).await;
    assert_eq!(max_bytes(&operator).await, WANTED, "{output}");
}

/// Waits until the collector reports, in its ready probe and its log, that this variable differs from the server.
async fn expect_difference_reported(weir: &Weir, variable: &str) {
    let reason = expect_reported(weir, "collect-facebook", "journal_settings").await;
    assert!(reason.contains(variable), "{reason}");
    eventually(async || {
        let log = weir.log_of("collect-facebook");
        if log.contains(variable) { Ok(()) } else { Err(format!("{variable} is not logged: {log}")) }
    })
    .await;
}

/// Creates the stream and the consumers as the last build did whose collectors set up their consumers themselves.
async fn set_up_as_an_earlier_build(operator: &Operator) {
    let events = Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["events.facebook".to_owned(), "events.tiktok".to_owned()],
        max_age: DAY * 7,
        max_bytes: 8 << 30,
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_secs(120),
        ..Config::default()
    };
    let events = operator.context.create_stream(events).await.unwrap();
    for source in ["facebook", "tiktok"] {
        let consumer = pull::Config {
            durable_name: Some(format!("collector-{source}")),
            filter_subject: format!("events.{source}"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(30),
            max_deliver: -1,
            max_ack_pending: 100_000,
            ..pull::Config::default()
        };
        events.create_consumer(consumer).await.unwrap();
    }
}

async fn max_bytes(operator: &Operator) -> i64 {
    operator.settings("EVENTS").await.max_bytes
}
