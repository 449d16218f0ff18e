//! Another application's streams and consumers of the same names are refused by name and left as they are.

use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::Config,
};
use weir_event::Source;

use reqwest::StatusCode;
use weir_testkit::{
    Ground, Weir,
    events::with_id,
    eventually,
    nats::{Nats, Operator},
    postgres::Postgres,
};

use super::{ids, post_each, stored_are};

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

    let database_url = Postgres::shared().await.fresh_address().await;
    let ground = Ground::Servers { nats, database_url };
    let weir = Weir::launched(ground, Vec::new(), &[("ingest", &["ingest"])]);
    let untouched = async || {
        let found = operator.stream("EVENTS").await.unwrap();
        assert_eq!(found.config, before);
        assert_eq!((found.state.messages, found.state.consumer_count), (ORDERS, 0));
    };
    complains(&weir, "ingest", 0, "EVENTS", untouched).await;
    untouched().await;
    assert!(!probe(&weir, "ingest").await.0, "ingest is ready without a journal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_another_application_is_refused_by_name_and_left_untouched() {
    let mut weir = super::one_source().await;
    let operator = weir.operator().await;
    let said = PROCESSES.map(|name| weir.log_of(name).len());
    for name in PROCESSES {
        weir.retire(name).await;
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
        assert_eq!(found.delivered.consumer_sequence, 0, "it was asked for frames");
    };
    for (name, said_before) in PROCESSES.into_iter().zip(said) {
        weir.revive(name);
        complains(&weir, name, said_before, "collector-facebook", untouched).await;
    }
    untouched().await;
    assert!(!probe(&weir, "collect-facebook").await.0, "the collector is ready without its consumer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_application_s_stream_would_take_is_not_accepted() {
    for subjects in ["events.*", "events.>", "events.facebook"] {
        let weir = super::one_source().await;
        let (store, operator) = (weir.store().await, weir.operator().await);
        let theirs =
            Config { name: "THEIRS".to_owned(), subjects: vec![subjects.to_owned()], ..Config::default() };
        taken_by(&operator, "EVENTS", theirs).await;
        for id in ids("refused", 5) {
            let answer = weir.post(&with_id(Source::Facebook, &id)).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{subjects}: {answer:?}");
        }
        complains(&weir, "ingest", 0, "THEIRS", async || {}).await;
        assert_eq!(operator.stream("THEIRS").await.unwrap().state.messages, 0, "{subjects}");
        operator.context.delete_stream("THEIRS").await.unwrap();
        post_each(&weir, ids("accepted", 3)).await;
        stored_are(&store, ids("accepted", 3)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_place_of_the_bucket_of_notes_is_named_and_left_untouched() {
    let weir = super::one_source().await;
    let operator = weir.operator().await;
    let theirs = Config {
        name: "KV_WEIR_STATE".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..Config::default()
    };
    taken_by(&operator, "KV_WEIR_STATE", theirs).await;
    let before = operator.settings("KV_WEIR_STATE").await;
    let untouched = async || assert_eq!(operator.settings("KV_WEIR_STATE").await, before);
    complains(&weir, "ingest", 0, "KV_WEIR_STATE", untouched).await;
    let (status, told) = weir.run(&["journal", "status"], &[]).await;
    assert!(!status.success() && told.contains("KV_WEIR_STATE is another application's"), "{told}");
    assert!(told.contains("max_bytes"), "the rest is not shown: {told}");
    operator.context.delete_stream("KV_WEIR_STATE").await.unwrap();
    let mut weir = weir;
    weir.ready().await;
}

/// Puts a stream of another application in the place of one of Weir's. Ingest makes its own anew within a second, so that
/// both commands go out together.
async fn taken_by(operator: &Operator, stream: &str, theirs: Config) {
    eventually(async || {
        let made = operator.context.create_stream(theirs.clone());
        let (_, made) = tokio::join!(operator.context.delete_stream(stream), made);
        made.map(drop)
    })
    .await;
}

/// Waits until a process names something as wrong: in its ready probe, or in its log behind so many bytes. Meanwhile
/// `untouched` looks whether it changes something.
async fn complains(weir: &Weir, process: &str, said_before: usize, name: &str, untouched: impl AsyncFn()) {
    eventually(async || {
        untouched().await;
        let log = weir.log_of(process);
        let since = log.get(said_before..).unwrap_or_default();
        let mut complaints = since.lines().filter(|line| !line.contains(r#""level":"info""#));
        let (_, said) = probe(weir, process).await;
        if said.contains(name) || complaints.any(|line| line.contains(name)) {
            Ok(())
        } else {
            Err(format!("{process} does not name {name}: {said} {since}"))
        }
    })
    .await;
}

/// Whether a process is ready, and what it says of that; nothing where it has ended.
async fn probe(weir: &Weir, process: &str) -> (bool, String) {
    let url = format!("http://{}/health/ready", weir.addresses.admin_of(process));
    match reqwest::get(url).await {
        Ok(answer) => (answer.status().is_success(), answer.text().await.unwrap_or_default()),
        Err(_) => (false, String::new()),
    }
}
