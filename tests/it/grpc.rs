//! gRPC clients that bypass the edge: they get the same rules and the same answers, and reflection describes the
//! services.

mod reflection;

use prost::Message as _;
use prost_types::Timestamp;
use reflection::Reflection;
use tonic::{Code, Request, transport::Channel};
use weir::contract::{
    event::v1::{self as event, event::Source as Platform, facebook_event::Engagement},
    ingest::v1::{
        self as ingest, Item, Outcome, PublishEventsRequest, RejectedItem,
        ingest_service_client::IngestServiceClient, item::Content,
    },
    reporting::v1::{
        self as reporting, GetEventStatisticsRequest, GetRevenueRequest, GroupBy,
        reporting_service_client::ReportingServiceClient,
    },
};
use weir_journal::MediaType;
use weir_testkit::Weir;

on_files_and_on_servers!(
    a_client_that_bypasses_the_edge_gets_the_same_rules_and_answers,
    a_malformed_call_is_refused_whole,
    reports_over_grpc_equal_those_over_http,
    an_event_is_found_over_grpc_and_a_request_without_a_source_is_refused,
    reflection_lists_and_describes_every_service,
    reflection_of_a_port_shows_nothing_that_another_port_serves,
);

async fn a_client_that_bypasses_the_edge_gets_the_same_rules_and_answers(mut weir: Weir) {
    let cases = broken_events();
    let good = checkout("good");
    let mut items = vec![item(encoded(&good))];
    items.extend(cases.iter().map(|(_, broken)| item(encoded(broken))));
    items.push(item(Content::Rejected(refused_elsewhere())));
    let mut request = Request::new(PublishEventsRequest { items, ..PublishEventsRequest::default() });
    request.metadata_mut().insert("x-correlation-id", "a-client".parse().unwrap());

    let results = ingest(&weir).await.publish_events(request).await.unwrap().into_inner().results;

    assert_eq!(results.len(), cases.len() + 2);
    assert_eq!(results[0].outcome(), Outcome::Accepted);
    for ((pointers, _), result) in cases.iter().zip(&results[1..]) {
        assert_eq!(result.outcome(), Outcome::Rejected, "{pointers:?}");
        let mut reported: Vec<_> =
            result.violations.iter().map(|violation| violation.pointer.as_str()).collect();
        reported.sort_unstable();
        assert_eq!(&reported, pointers);
    }
    assert_eq!(results[cases.len() + 1].outcome(), Outcome::Rejected);
    weir.drained(1).await;
    assert_eq!(weir.reported_events().await, 1);
    expect_dead_letters(&mut weir, cases.len() + 1).await;
}

async fn expect_dead_letters(weir: &mut Weir, count: usize) {
    let letters = weir.rejected().await;
    assert_eq!(letters.len(), count);
    assert!(letters.iter().all(|letter| letter.letter.origin.correlation_id.to_string() == "a-client"));
    let elsewhere = letters.iter().find(|letter| letter.letter.media_type == MediaType::Json);
    let elsewhere = elsewhere.expect("the item that was refused elsewhere keeps its JSON");
    assert_eq!(elsewhere.letter.raw, refused_elsewhere().raw);
}

async fn a_malformed_call_is_refused_whole(weir: Weir) {
    let empty = PublishEventsRequest { items: vec![Item::default()], ..PublishEventsRequest::default() };
    let too_many = PublishEventsRequest {
        items: vec![item(encoded(&checkout("many"))); 10_001],
        ..PublishEventsRequest::default()
    };
    let no_event = PublishEventsRequest {
        items: vec![item(encoded(&checkout("good"))), item(Content::Event(vec![0xff].into()))],
        ..PublishEventsRequest::default()
    };
    for request in [empty, too_many, no_event] {
        let refused = ingest(&weir).await.publish_events(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    assert_eq!(weir.reported_events().await, 0);
}

fn encoded(event: &event::Event) -> Content {
    Content::Event(event.encode_to_vec().into())
}

async fn reports_over_grpc_equal_those_over_http(weir: Weir) {
    let items = (0..5).map(|number| item(encoded(&checkout(&format!("checkout-{number}"))))).collect();
    ingest(&weir)
        .await
        .publish_events(PublishEventsRequest { items, ..PublishEventsRequest::default() })
        .await
        .unwrap();
    weir.drained(5).await;
    let mut client = reporting(&weir).await;

    let statistics = GetEventStatisticsRequest { group_by: GroupBy::Day.into(), ..Default::default() };
    let statistics = client.get_event_statistics(statistics).await.unwrap().into_inner();
    assert_eq!(statistics.total_events, 5);
    assert_eq!(statistics.events.len(), 1);
    assert_eq!(statistics.events[0].event_type(), event::EventType::CheckoutComplete);
    assert_eq!(statistics.series.len(), 1);

    let revenue = client.get_revenue(GetRevenueRequest::default()).await.unwrap().into_inner();
    let over_http = weir.report("revenue", &[]).await.body;
    assert_eq!(revenue.total_revenue, "62.50");
    assert_eq!(over_http["totalRevenue"], revenue.total_revenue);
    assert_eq!(over_http["totalTransactions"], revenue.total_transactions);

    let backwards = GetRevenueRequest { from: at(2), to: at(1), ..Default::default() };
    assert_eq!(client.get_revenue(backwards).await.unwrap_err().code(), Code::InvalidArgument);
}

async fn an_event_is_found_over_grpc_and_a_request_without_a_source_is_refused(weir: Weir) {
    let items = vec![item(encoded(&checkout("found"))), item(encoded(&checkout("")))];
    ingest(&weir)
        .await
        .publish_events(PublishEventsRequest { items, ..PublishEventsRequest::default() })
        .await
        .unwrap();
    weir.drained(1).await;
    let (source, event_id) = (event::Source::Facebook.into(), "found".to_owned());
    let (mut journal, mut store) = (ingest(&weir).await, reporting(&weir).await);

    let request = ingest::FindEventRequest { source, event_id: event_id.clone() };
    let known = journal.find_event(request).await.unwrap().into_inner();
    assert_eq!(known, ingest::FindEventResponse::default());
    let request = reporting::FindEventRequest { source, event_id };
    let stored = store.find_event(request).await.unwrap().into_inner().stored.unwrap();
    assert!(!stored.frame_id.is_empty() && stored.trace_id.is_empty(), "{stored:?}");

    let refused = journal.find_event(ingest::FindEventRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let refused = store.find_event(reporting::FindEventRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

async fn reflection_lists_and_describes_every_service(weir: Weir) {
    for (address, service, methods) in [
        (weir.addresses.ingest, "weir.ingest.v1.IngestService", vec!["PublishEvents", "FindEvent"]),
        (
            weir.addresses.ingest,
            "weir.ingest.v1.DeadLetterService",
            vec![
                "GroupDeadLetters",
                "ListDeadLetters",
                "GetDeadLetter",
                "RedriveDeadLetters",
                "DiscardDeadLetters",
            ],
        ),
        (weir.addresses.ingest, "weir.ingest.v1.ErasureService", vec!["ErasePerson"]),
        (
            weir.addresses.reporting,
            "weir.reporting.v1.ReportingService",
            vec![
                "GetEventStatistics",
                "GetRevenue",
                "GetDemographics",
                "GetFrames",
                "GetErasures",
                "FindEvent",
            ],
        ),
    ] {
        let channel = connect(address).await;
        for reflection in [Reflection::V1, Reflection::V1Alpha] {
            let services = reflection.services(channel.clone()).await;
            assert!(services.iter().any(|name| name == service), "{services:?}");
            assert!(services.iter().any(|name| name == "grpc.health.v1.Health"), "{services:?}");
            assert_eq!(reflection.methods(channel.clone(), service).await, methods);
        }
    }
}

async fn reflection_of_a_port_shows_nothing_that_another_port_serves(weir: Weir) {
    const BESIDE: [&str; 3] = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    let ingest =
        ["weir.ingest.v1.IngestService", "weir.ingest.v1.DeadLetterService", "weir.ingest.v1.ErasureService"];
    let reporting = ["weir.reporting.v1.ReportingService"];
    let of_both = ["weir.event.v1.Event", "google.rpc.BadRequest", "google.protobuf.Timestamp"];
    let messages = ["weir.ingest.v1.PublishEventsRequest", "weir.reporting.v1.GetRevenueRequest"];
    for (address, served, foreign, own_message, foreign_message) in [
        (weir.addresses.ingest, &ingest[..], &reporting[..], messages[0], messages[1]),
        (weir.addresses.reporting, &reporting[..], &ingest[..], messages[1], messages[0]),
    ] {
        let channel = connect(address).await;
        for reflection in [Reflection::V1, Reflection::V1Alpha] {
            let mut listed = reflection.services(channel.clone()).await;
            let mut expected = [served, &BESIDE].concat();
            listed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(listed, expected);
            for symbol in [served, &BESIDE, &of_both, &[own_message]].concat() {
                let found = reflection.files(channel.clone(), symbol).await;
                assert!(found.is_ok(), "{symbol}: {found:?}");
            }
            for symbol in [foreign, &[foreign_message, "weir.event.v1.Frame"]].concat() {
                let refused = reflection.files(channel.clone(), symbol).await.expect_err(symbol);
                assert_eq!(refused.code(), Code::NotFound, "{symbol}: {refused}");
            }
        }
    }
}

/// Events that can be encoded and break rules, each with the pointers that must be reported, ascending.
fn broken_events() -> Vec<(Vec<&'static str>, event::Event)> {
    vec![
        (vec!["/eventId"], checkout("")),
        (vec!["/eventId"], checkout(&"x".repeat(257))),
        (vec!["/timestamp"], event::Event { timestamp: at(0), ..checkout("old") }),
        (vec!["/timestamp"], event::Event { timestamp: None, ..checkout("timeless") }),
        (vec!["/data/user"], with_facebook(|facebook| facebook.user = None)),
        (vec!["/data/user/age"], with_user(|user| user.age = 151)),
        (vec!["/data/user/gender"], with_user(|user| user.gender = 0)),
        (vec!["/data/user/location"], with_user(|user| user.location = None)),
        (vec!["/data/engagement/adId"], with_bottom(|bottom| bottom.ad_id = " ".into())),
        (vec!["/data/engagement/browser"], with_bottom(|bottom| bottom.browser = 99)),
        (vec!["/eventType"], with_bottom(|bottom| bottom.event_type = 0)),
        (
            vec!["/data/engagement/purchaseAmount"],
            with_bottom(|bottom| bottom.purchase_amount = Some("12,50".into())),
        ),
        (
            vec!["/data/engagement/adId", "/data/engagement/clickPosition", "/data/engagement/device"],
            with_bottom(|bottom| {
                (bottom.ad_id, bottom.click_position, bottom.device) = ("\u{7}".into(), 0, -1);
            }),
        ),
    ]
}

fn with_facebook(change: impl FnOnce(&mut event::FacebookEvent)) -> event::Event {
    let mut event = checkout("broken");
    let Some(Platform::Facebook(facebook)) = &mut event.source else {
        unreachable!("a checkout is Facebook's")
    };
    change(facebook);
    event
}

fn with_user(change: impl FnOnce(&mut event::FacebookUser)) -> event::Event {
    with_facebook(|facebook| change(facebook.user.as_mut().expect("a checkout has a user")))
}

fn with_bottom(change: impl FnOnce(&mut event::FacebookBottom)) -> event::Event {
    with_facebook(|facebook| match &mut facebook.engagement {
        Some(Engagement::Bottom(bottom)) => change(bottom),
        _ => unreachable!("a checkout is a bottom event"),
    })
}

fn checkout(event_id: &str) -> event::Event {
    let user = event::FacebookUser {
        user_id: "user-1".into(),
        name: "Orla O'Dell".into(),
        age: 41,
        gender: event::Gender::Female.into(),
        location: Some(event::Location { country: "Åland".into(), city: "Mariehamn".into() }),
    };
    let bottom = event::FacebookBottom {
        event_type: event::FacebookBottomEventType::CheckoutComplete.into(),
        ad_id: "ad-1".into(),
        campaign_id: "campaign-1".into(),
        click_position: event::ClickPosition::Center.into(),
        device: event::FacebookDevice::Mobile.into(),
        browser: event::Browser::Firefox.into(),
        purchase_amount: Some("12.5".into()),
    };
    let facebook = event::FacebookEvent { user: Some(user), engagement: Some(Engagement::Bottom(bottom)) };
    let source = Some(Platform::Facebook(facebook));
    event::Event { event_id: event_id.into(), timestamp: at(1_757_834_505), source }
}

fn refused_elsewhere() -> RejectedItem {
    let violation = event::Violation { pointer: "/timestamp".into(), message: "is no date-time".into() };
    RejectedItem {
        raw: br#"{"eventId":"elsewhere","timestamp":"x"}"#.to_vec(),
        violations: vec![violation],
        event_id: "elsewhere".into(),
        ..Default::default()
    }
}

fn item(content: Content) -> Item {
    Item { content: Some(content), ..Default::default() }
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

async fn ingest(weir: &Weir) -> IngestServiceClient<Channel> {
    IngestServiceClient::new(connect(weir.addresses.ingest).await)
}

async fn reporting(weir: &Weir) -> ReportingServiceClient<Channel> {
    ReportingServiceClient::new(connect(weir.addresses.reporting).await)
}

async fn connect(address: std::net::SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address makes a URL");
    endpoint.connect().await.expect("the service listens")
}
