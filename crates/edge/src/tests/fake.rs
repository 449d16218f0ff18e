//! A running edge, and fake services behind it that record their calls.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, service::RoutesBuilder};
use url::Url;
use weir::contract::{
    DESCRIPTORS,
    event::v1,
    ingest::v1::{
        self as ingest, ItemResult, Outcome, PublishEventsRequest, PublishEventsResponse,
        ingest_service_server::{IngestService, IngestServiceServer, SERVICE_NAME as INGEST},
        item::Content,
    },
    reporting::v1::{
        self as reporting,
        reporting_service_server::{ReportingService, ReportingServiceServer, SERVICE_NAME as REPORTING},
    },
};
use weir_event::EventMetrics;
use weir_process::{
    CallContext, Reason, RoleReadiness, SharedRegistry, Stop, connections::Connections, grpc::GrpcServer,
    http_guard::RefusedRequests, refuse,
};

use crate::{Edge, EdgeConfig, TraceTrust, Upstreams, trusted_proxies::TrustedProxies};

/// The responses of the fake services, and the calls that they received.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The reason with which every call is rejected.
    pub(crate) refusal: Option<Reason>,
    /// The number of calls whose responses get lost.
    pub(crate) losses: u32,
    /// The id of an event that ingest rejects, by a rule that the edge does not have.
    pub(crate) newer_rule: Option<&'static str>,
    /// The services never respond.
    pub(crate) silent: bool,
    /// Each response waits for a permit.
    pub(crate) permits: Option<Arc<Semaphore>>,
    pub(crate) calls: Vec<(CallContext, PublishEventsRequest)>,
    pub(crate) queries: Vec<reporting::GetEventStatisticsRequest>,
    /// The lookup responses of ingest and reporting; `None` is an unavailable service.
    pub(crate) journal: Option<ingest::FindEventResponse>,
    pub(crate) store: Option<reporting::FindEventResponse>,
    /// The service, source and id of each lookup, in their order.
    pub(crate) lookups: Vec<(&'static str, i32, String)>,
}

#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Script>>);

#[tonic::async_trait]
impl IngestService for Fake {
    async fn publish_events(
        &self,
        request: Request<PublishEventsRequest>,
    ) -> Result<Response<PublishEventsResponse>, Status> {
        let context = CallContext::from_metadata(request.metadata());
        let request = request.into_inner();
        let (answer, permits) = {
            let mut script = self.0.lock().unwrap();
            script.calls.push((context, request.clone()));
            let answer = match (script.silent, script.refusal) {
                (true, _) => None,
                _ if script.losses > 0 => {
                    script.losses -= 1;
                    Some(Err(Status::unavailable("the connection was lost")))
                }
                (false, Some(reason)) => Some(Err(refuse(reason, "refused", &[]))),
                (false, None) => Some(Ok(results(&request, script.newer_rule))),
            };
            (answer, script.permits.clone())
        };
        if let Some(permits) = permits {
            drop(permits.acquire().await.unwrap());
        }
        match answer {
            Some(answer) => answer.map(|results| Response::new(PublishEventsResponse { results })),
            None => std::future::pending().await,
        }
    }

    async fn find_event(
        &self,
        request: Request<ingest::FindEventRequest>,
    ) -> Result<Response<ingest::FindEventResponse>, Status> {
        let question = request.into_inner();
        let mut script = self.0.lock().unwrap();
        script.lookups.push(("ingest", question.source, question.event_id));
        let unavailable = || refuse(Reason::JournalUnavailable, "unavailable", &[]);
        script.journal.clone().map(Response::new).ok_or_else(unavailable)
    }
}

/// The id of an encoded event.
pub(crate) fn id(event: &Bytes) -> String {
    v1::Event::decode(event.clone()).unwrap().event_id
}

fn results(request: &PublishEventsRequest, newer_rule: Option<&str>) -> Vec<ItemResult> {
    let result = |content: &Content| match content {
        Content::Event(event) if Some(id(event).as_str()) == newer_rule => {
            let violation = weir_event::Violation::new("/data", "is out of fashion").into();
            ItemResult { outcome: Outcome::Rejected.into(), violations: vec![violation] }
        }
        Content::Event(_) => ItemResult { outcome: Outcome::Accepted.into(), violations: Vec::new() },
        Content::Rejected(rejected) => {
            ItemResult { outcome: Outcome::Rejected.into(), violations: rejected.violations.clone() }
        }
    };
    request.items.iter().map(|item| result(item.content.as_ref().unwrap())).collect()
}

#[tonic::async_trait]
impl ReportingService for Fake {
    async fn get_event_statistics(
        &self,
        request: Request<reporting::GetEventStatisticsRequest>,
    ) -> Result<Response<reporting::GetEventStatisticsResponse>, Status> {
        let question = request.into_inner();
        let mut script = self.0.lock().unwrap();
        script.queries.push(question);
        if script.losses > 0 {
            script.losses -= 1;
            return Err(Status::unavailable("the connection was lost"));
        }
        if let Some(reason) = script.refusal {
            return Err(refuse(reason, "refused", &[("group_by", "choose day")]));
        }
        let date_range = Some(reporting::DateRange { from: question.from, to: question.to });
        Ok(Response::new(reporting::GetEventStatisticsResponse { date_range, ..Default::default() }))
    }

    async fn get_revenue(
        &self,
        _request: Request<reporting::GetRevenueRequest>,
    ) -> Result<Response<reporting::GetRevenueResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn get_demographics(
        &self,
        _request: Request<reporting::GetDemographicsRequest>,
    ) -> Result<Response<reporting::GetDemographicsResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn find_event(
        &self,
        request: Request<reporting::FindEventRequest>,
    ) -> Result<Response<reporting::FindEventResponse>, Status> {
        let question = request.into_inner();
        let mut script = self.0.lock().unwrap();
        script.lookups.push(("reporting", question.source, question.event_id));
        let unavailable = || refuse(Reason::StoreUnavailable, "unavailable", &[]);
        script.store.clone().map(Response::new).ok_or_else(unavailable)
    }

    async fn get_frames(
        &self,
        _request: Request<reporting::GetFramesRequest>,
    ) -> Result<Response<reporting::GetFramesResponse>, Status> {
        Err(Status::unimplemented("the edge does not query frames"))
    }

    async fn get_erasures(
        &self,
        _request: Request<reporting::GetErasuresRequest>,
    ) -> Result<Response<reporting::GetErasuresResponse>, Status> {
        Err(Status::unimplemented("the edge does not query erasures"))
    }
}

/// A running edge; it ends with the test.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    script: Fake,
    pub(crate) stop: Stop,
    services: Stop,
    pub(crate) ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.services.cancel();
    }
}

/// The default limits, with few connections.
pub(crate) fn config() -> EdgeConfig {
    EdgeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        allowed_hosts: Arc::from([]),
        max_body_bytes: 64 << 20,
        max_in_flight_bytes: 256 << 20,
        trusted_proxies: TrustedProxies::default(),
        max_connections: 64,
        header_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(75),
        body_stall_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(120),
        request_timeout: Duration::from_secs(30),
        trace_trust: TraceTrust::Trust,
    }
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub(crate) async fn start_with(config: EdgeConfig) -> Self {
        let (script, services) = (Fake::default(), Stop::new());
        let service = serve(script.clone(), services.clone()).await;
        let upstreams = Upstreams { ingest: vec![service.clone()], reporting: vec![service] };
        Self::before(config, upstreams, script, services).await
    }

    /// An edge whose services are unreachable.
    pub(crate) async fn start_alone(config: EdgeConfig) -> Self {
        let nowhere: Url = "http://127.0.0.1:1".parse().unwrap();
        let upstreams = Upstreams { ingest: vec![nowhere], reporting: Vec::new() };
        Self::before(config, upstreams, Fake::default(), Stop::new()).await
    }

    async fn before(config: EdgeConfig, upstreams: Upstreams, script: Fake, services: Stop) -> Self {
        let stop = Stop::new();
        let mut registry = Registry::default();
        let connections = Connections::default();
        connections.register(&mut registry);
        let metrics = EventMetrics::register(&mut registry);
        let readiness = RoleReadiness::new("edge");
        let shared = SharedRegistry::default();
        let refused = RefusedRequests::default();
        let edge =
            Edge::bind(&config, &upstreams, metrics, readiness, &mut registry, shared.clone(), refused);
        let edge = edge.await.unwrap();
        shared.fill(registry);
        let address = edge.address();
        let ended = tokio::spawn(edge.run(connections, stop.clone()));
        Self { address, client: reqwest::Client::new(), script, stop, services, ended }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.script.0.lock().unwrap())
    }

    /// All items that ingest received, in the order of the calls.
    pub(crate) fn sent(&self) -> Vec<weir::contract::ingest::v1::Item> {
        self.script(|script| script.calls.iter().flat_map(|(_, call)| call.items.clone()).collect())
    }

    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(self.url("/events")).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(self.url(path)).send().await.unwrap()).await
    }

    /// Waits until the ready probe returns `ready`.
    pub(crate) async fn until_ready(&self, ready: bool) -> Answer {
        loop {
            let answer = self.get("/health/ready").await;
            if (answer.status == 200) == ready && !answer.text.contains("not seen yet") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A response and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} is no JSON", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts a problem whose body has this status and the correlation id of the header.
    pub(crate) fn assert_problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], json!(status));
        assert_eq!(problem["correlationId"].as_str(), self.header("x-correlation-id"));
        problem
    }
}

async fn serve(fake: Fake, stop: Stop) -> Url {
    let server = GrpcServer::bind("fake", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", server.address()).parse().unwrap();
    let mut services = RoutesBuilder::default();
    services.add_service(IngestServiceServer::new(fake.clone()).max_decoding_message_size(16 << 20));
    services.add_service(ReportingServiceServer::new(fake));
    let readiness = RoleReadiness::new("fake");
    tokio::spawn(async move {
        let connections = Connections::default();
        server.serve(services, &[INGEST, REPORTING], DESCRIPTORS, readiness, &connections, stop).await
    });
    url
}

/// A good event.
pub(crate) fn event(id: &str) -> Value {
    json!({
        "eventId": id, "timestamp": "2025-09-14T07:21:45.318Z", "source": "tiktok", "funnelStage": "bottom",
        "eventType": "follow", "data": {
            "user": {"userId": "u", "username": "n", "followers": 1},
            "engagement": {"actionTime": "2025-09-14T07:21:45Z", "profileId": null, "purchasedItem": null,
                           "purchaseAmount": null}
        }
    })
}

/// A bad event.
pub(crate) fn bad_event(id: &str) -> Value {
    let mut event = event(id);
    event["timestamp"] = json!("invalid-timestamp");
    event
}
