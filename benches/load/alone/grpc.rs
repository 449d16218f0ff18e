//! gRPC alone: unary calls of the contract with a thousand events, each of which the server decodes and answers.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::Utc;
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Request, Response, Status,
    client::Grpc,
    codec::{Codec, EncodeBuf, Encoder},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::{ProstCodec, ProstDecoder};
use weir::contract::{
    event::v1::Event,
    ingest::v1::{
        FindEventRequest, FindEventResponse, Item, ItemResult, Outcome, PublishEventsRequest,
        PublishEventsResponse,
        ingest_service_server::{IngestService, IngestServiceServer},
        item::Content,
    },
};
use weir_testkit::events::Generator;

use crate::loops::Throughput;

/// Events in one call, as the edge packs them.
const EVENTS_IN_A_CALL: u64 = 1_000;
/// Calls at the same time, as the edge makes them for one body.
const CALLS_IN_FLIGHT: usize = 4;
/// The windows of Weir. HTTP/2's default of 64 KiB would measure round trips.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

struct Decoding;

#[tonic::async_trait]
impl IngestService for Decoding {
    async fn publish_events(
        &self,
        request: Request<PublishEventsRequest>,
    ) -> Result<Response<PublishEventsResponse>, Status> {
        let items = request.into_inner().items;
        let results = items.into_iter().map(decode).collect::<Result<_, _>>()?;
        Ok(Response::new(PublishEventsResponse { results }))
    }

    async fn find_event(&self, _: Request<FindEventRequest>) -> Result<Response<FindEventResponse>, Status> {
        Err(Status::unimplemented("this server has only PublishEvents"))
    }
}

fn decode(item: Item) -> Result<ItemResult, Status> {
    let Some(Content::Event(encoded)) = item.content else {
        return Err(Status::invalid_argument("this server accepts only events"));
    };
    match Event::decode(encoded) {
        Ok(_) => Ok(ItemResult { outcome: Outcome::Accepted.into(), ..ItemResult::default() }),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}

pub(super) async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(IngestServiceServer::new(Decoding))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

/// Makes calls as fast as the server answers them.
///
/// # Errors
/// A call fails.
pub(crate) async fn call(server: SocketAddr, duration: Duration) -> anyhow::Result<Throughput> {
    let channel = Endpoint::from_shared(format!("http://{server}"))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect()
        .await?;
    let request = Arc::new(request());
    let mut callers = JoinSet::new();
    let started = Instant::now();
    for _ in 0..CALLS_IN_FLIGHT {
        let (channel, request) = (channel.clone(), Arc::clone(&request));
        callers.spawn(async move {
            let mut events = 0;
            while started.elapsed() < duration {
                events += publish(channel.clone(), Arc::clone(&request)).await?;
            }
            anyhow::Ok(events)
        });
    }
    let mut events = 0;
    while let Some(caller) = callers.join_next().await {
        events += caller??;
    }
    Ok(Throughput { events, elapsed: started.elapsed() })
}

fn request() -> PublishEventsRequest {
    let (generator, now) = (Generator::all_new(0), Utc::now());
    let item = |number| {
        let event = generator.event(number, now).admit(now);
        let encoded = Event::from(event).encode_to_vec().into();
        Item { content: Some(Content::Event(encoded)), ..Item::default() }
    };
    let items = (0..EVENTS_IN_A_CALL).map(item).collect();
    PublishEventsRequest { items, ..PublishEventsRequest::default() }
}

async fn publish(channel: Channel, request: Arc<PublishEventsRequest>) -> anyhow::Result<u64> {
    const PATH: &str = "/weir.ingest.v1.IngestService/PublishEvents";
    let mut client = Grpc::new(channel);
    client.ready().await.context("the server is not there")?;
    let response = client.unary(Request::new(request), PathAndQuery::from_static(PATH), SharedCodec).await?;
    Ok(response.into_inner().results.len() as u64)
}

/// A codec for a shared request. Otherwise the figure would include a copy of a thousand events for every call.
#[derive(Clone, Copy, Debug)]
struct SharedCodec;

impl Codec for SharedCodec {
    type Encode = Arc<PublishEventsRequest>;
    type Decode = PublishEventsResponse;
    type Encoder = SharedEncoder;
    type Decoder = ProstDecoder<PublishEventsResponse>;

    fn encoder(&mut self) -> SharedEncoder {
        SharedEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<PublishEventsRequest, PublishEventsResponse>::default().decoder()
    }
}

#[derive(Clone, Copy, Debug)]
struct SharedEncoder;

impl Encoder for SharedEncoder {
    type Item = Arc<PublishEventsRequest>;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}
