//! Streams and consumers of other applications with Weir's names: Weir refuses them by name and leaves them unchanged.

use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::Config,
};
use weir_event::Source;

use reqwest::StatusCode;
use weir_testkit::{
    Storage, Weir,
    events::with_id,
    eventually,
    nats::{Nats, Operator},
    postgres::Postgres,
};

use super::{expect_stored, ids, post_each};

const ORDERS: u64 = 3;
const PROCESSES: [&str; 2] = ["ingest", "collect-facebook"];

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_application_is_refused_by_name_and_left_untouched() {
    let nats = Nats::start().await;
    let operator = Operator::connect(&nats.url()).await;
    let orders =
        Config { name: "EVENTS".to_owned(), subjects: vec!["orders.>".to_owned()], ..Config::default() };
    operator.context.create_stream(orders).await.unwrap();
    for _ in 0..ORDERS {
        operator.context.publish("orders.new", "an order".into()).await.unwrap().await.unwrap();
    }
    let before = operator.settings("EVENTS").await;

    let database_url = Postgres::shared().await.fresh_database_url().await;
    let storage = Storage::Servers { nats, database_url };
    let weir = Weir::launch(storage, Vec::new(), &[("ingest", &["ingest"])]);
    let untouched = async || {
        let found = operator.stream("EVENTS").await.unwrap();
        assert_eq!(found.config, before);
        assert_eq!((found.state.messages, found.state.consumer_count), (ORDERS, 0));
    };
    expect_complaint(&weir, "ingest", 0, "EVENTS", untouched).await;
    untouched().await;
    assert!(!probe(&weir, "ingest").await.0, "ingest is ready without a journal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_another_application_is_refused_by_name_and_left_untouched() {
    let mut weir = super::one_source().await;
    let operator = weir.operator().await;
    let logged = PROCESSES.map(|name| weir.log_of(name).len());
    for name in PROCESSES {
        weir.stop_process(name).await;
    }
    let events = operator.context.get_stream("EVENTS").await.unwrap();
    events.delete_consumer("collector-facebook").await.unwrap();
    let theirs = pull::Config {
        durable_name: Some("collector-facebook".to_owned()),
        filter_subject: "events.tiktok".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    events.create_consumer(theirs).await.unwrap();
    let before = operator.consumer("collector-facebook").await.unwrap();

    let untouched = async || {
        let found = operator.consumer("collector-facebook").await.unwrap();
        assert_eq!(found.config, before.config);
        assert_eq!(found.delivered.consumer_sequence, 0, "a collector has fetched frames from it");
    };
    for (name, logged_before) in PROCESSES.into_iter().zip(logged) {
        weir.start_process(name);
        expect_complaint(&weir, name, logged_before, "collector-facebook", untouched).await;
    }
    untouched().await;
    assert!(!probe(&weir, "collect-facebook").await.0, "the collector is ready without its consumer");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_another_application_s_stream_would_take_are_not_accepted() {
    for subjects in ["events.*", "events.>", "events.facebook"] {
        let weir = super::one_source().await;
        let (store, operator) = (weir.store().await, weir.operator().await);
        let theirs =
            Config { name: "THEIRS".to_owned(), subjects: vec![subjects.to_owned()], ..Config::default() };
        replace_stream(&operator, "EVENTS", theirs).await;
        for id in ids("refused", 5) {
            let answer = weir.post(&with_id(Source::Facebook, &id)).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{subjects}: {answer:?}");
        }
        expect_complaint(&weir, "ingest", 0, "THEIRS", async || {}).await;
        assert_eq!(operator.stream("THEIRS").await.unwrap().state.messages, 0, "{subjects}");
        operator.context.delete_stream("THEIRS").await.unwrap();
        post_each(&weir, ids("accepted", 3)).await;
        expect_stored(&store, ids("accepted", 3)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_place_of_the_bucket_of_notes_is_reported_and_left_untouched() {
    let weir = super::one_source().await;
    let operator = weir.operator().await;
    let theirs = Config {
        name: "KV_WEIR_STATE".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..Config::default()
    };
    replace_stream(&operator, "KV_WEIR_STATE", theirs).await;
    let before = operator.settings("KV_WEIR_STATE").await;
    let untouched = async || assert_eq!(operator.settings("KV_WEIR_STATE").await, before);
    expect_complaint(&weir, "ingest", 0, "KV_WEIR_STATE", untouched).await;
    let (status, output) = weir.run(&["journal", "status"], &[]).await;
    assert!(!status.success() && output.contains("KV_WEIR_STATE is another application's"), "{output}");
    assert!(output.contains("max_bytes"), "the other settings are missing: {output}");
    operator.context.delete_stream("KV_WEIR_STATE").await.unwrap();
    let mut weir = weir;
    weir.ready().await;
}

/// Replaces a stream of Weir with a stream of another application. Both commands are sent together, because ingest
/// creates a deleted stream again within a second.
async fn replace_stream(operator: &Operator, stream: &str, theirs: Config) {
    eventually(async || {
        let made = operator.context.create_stream(theirs.clone());
        let (_, made) = tokio::join!(operator.context.delete_stream(stream), made);
        made.map_err(|error| error.to_string())?;
        // Where both are created in one moment, the server lets them share their subjects.
        if theirs.name != stream && operator.context.get_stream(stream).await.is_ok() {
            operator.context.delete_stream(&theirs.name).await.ok();
            return Err("ingest was as quick".to_owned());
        }
        Ok(())
    })
    .await;
}

/// Waits until a process reports `name`, in its ready probe or in its log after so many bytes. Meanwhile `untouched`
/// checks that Weir changes nothing.
async fn expect_complaint(
    weir: &Weir,
    process: &str,
    logged_before: usize,
    name: &str,
    untouched: impl AsyncFn(),
) {
    eventually(async || {
        untouched().await;
        let log = weir.log_of(process);
        let since = log.get(logged_before..).unwrap_or_default();
        let mut complaints = since.lines().filter(|line| !line.contains(r#""level":"info""#));
        let (_, probed) = probe(weir, process).await;
        if probed.contains(name) || complaints.any(|line| line.contains(name)) {
            Ok(())
        } else {
            Err(format!("{process} does not report {name}: {probed} {since}"))
        }
    })
    .await;
}

/// Whether a process is ready, and the text of its ready probe; empty if the process has ended.
async fn probe(weir: &Weir, process: &str) -> (bool, String) {
    let url = format!("http://{}/health/ready", weir.addresses.admin_of(process));
    match reqwest::get(url).await {
        Ok(answer) => (answer.status().is_success(), answer.text().await.unwrap_or_default()),
        Err(_) => (false, String::new()),
    }
}
