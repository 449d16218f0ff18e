//! Reads one body whole, decompressed, within its bounds of size, room and time.

mod gzip;

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use async_compression::{tokio::bufread::ZstdDecoder, zstd::DParameter};
use axum::body::Body;
use bytes::BufMut as _;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, StatusCode, header};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use weir_process::{Budget, Overloaded, Reason, Reservation};

use self::gzip::Members;
use super::media::Encoding;
use crate::{args::EdgeConfig, metrics, problem::Problem};

/// Where every body begins. One of unknown length doubles from there; one that announced its length is believed when it
/// has come so far, or connections that announce much and send nothing would hold all the room.
const FIRST_STEP: usize = 64 * 1024;
/// The most that one read writes: the decoder of gzip clears all the room that it is offered, at every call.
const PIECE: usize = 64 * 1024;
/// One part in so many of all room is kept for the beginnings of bodies.
const ENTRANCE_SHARE: usize = 8;
/// RFC 9659: a window of 8 MiB is all that a zstd sender may ask of a receiver.
const ZSTD_WINDOW_LOG: u32 = 23;
/// How long a body waits for room before it is refused.
const ROOM_PATIENCE: Duration = Duration::from_secs(30);

/// A body in memory and the room that it takes.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    /// At the entrance, and for what is beyond it.
    pub(super) room: [Reservation; 2],
}

/// Why a body was not received.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge { limit: usize },
    Overloaded,
    Slow,
    Broken(String),
}

/// Reads bodies.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// For the first 64 KiB of each body, so that small ones get in while large ones wait for each other.
    entrance: Budget,
    budget: Budget,
    /// After decompression.
    max_bytes: usize,
    /// The longest pause in a body.
    stall_timeout: Duration,
    /// The longest time that a body takes, waits for room apart.
    timeout: Duration,
}

impl From<Overloaded> for BodyError {
    fn from(Overloaded: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is over the limit of {limit} bytes after decompression"),
            ),
            BodyError::Overloaded => {
                let detail = "the bodies in flight fill the bound of EDGE_MAX_IN_FLIGHT_BYTES";
                let delay = Reason::Overloaded.retry_after().unwrap_or(Duration::from_secs(1));
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                    .reason(Reason::Overloaded.name())
                    .retry_after(delay)
            }
            BodyError::Slow => Self::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
            BodyError::Broken(error) => Self::bad_request(format!("the body can't be read: {error}")),
        }
    }
}

impl Receiver {
    pub(super) fn new(config: &EdgeConfig, registry: &mut Registry) -> Self {
        // The largest body must fit into what is left.
        let spare = config.max_in_flight_bytes - config.max_body_bytes;
        let entrance = spare.min(config.max_in_flight_bytes / ENTRANCE_SHARE);
        let budget;
        let entrance = if entrance < FIRST_STEP {
            budget = Budget::new(config.max_in_flight_bytes);
            budget.clone()
        } else {
            budget = Budget::new(config.max_in_flight_bytes - entrance);
            budget.partition(entrance)
        };
        metrics::register_bodies(&budget, registry);
        Self {
            entrance,
            budget,
            max_bytes: config.max_body_bytes,
            stall_timeout: config.body_stall_timeout,
            timeout: config.body_timeout,
        }
    }

    pub(super) async fn receive(
        &self,
        headers: &HeaderMap,
        encoding: Encoding,
        body: Body,
    ) -> Result<Received, BodyError> {
        let announced = content_length(headers).filter(|_| encoding == Encoding::Identity);
        if announced.is_some_and(|bytes| bytes > self.max_bytes) {
            return Err(BodyError::TooLarge { limit: self.max_bytes });
        }
        let mut data = body.into_data_stream();
        let first = data.next().now_or_never().flatten();
        if let (Some(Ok(whole)), Some(bytes)) = (&first, announced)
            && whole.len() == bytes
        {
            return self.keep(whole).await;
        }
        let data = stream::iter(first).chain(data);
        let raw = StreamReader::new(data.map_err(std::io::Error::other));
        match encoding {
            Encoding::Identity => self.collect(raw, announced).await,
            Encoding::Gzip => self.collect(Members::of(raw), None).await,
            Encoding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(raw, &[window]);
                // What follows the first frame belongs to the body.
                decoder.multiple_members(true);
                self.collect(decoder, None).await
            }
        }
    }

    /// A body that has come in one piece, which needs no clock.
    async fn keep(&self, whole: &[u8]) -> Result<Received, BodyError> {
        let mut received = self.nothing();
        self.make_room(&mut received, whole.len()).await?;
        received.bytes.extend_from_slice(whole);
        Ok(received)
    }

    fn nothing(&self) -> Received {
        Received { bytes: Vec::new(), room: [self.entrance.reservation(), self.budget.reservation()] }
    }

    async fn collect(&self, reader: impl AsyncRead, announced: Option<usize>) -> Result<Received, BodyError> {
        let mut reader = pin!(reader);
        let mut clock = Clock { stall: self.stall_timeout, left: self.timeout };
        let mut received = self.nothing();
        let most = announced.unwrap_or(self.max_bytes);
        loop {
            let held = received.bytes.capacity();
            if received.bytes.len() == held {
                if held >= most {
                    return self.expect_end(reader, clock, received).await;
                }
                let next = match announced {
                    Some(bytes) if held > 0 => bytes,
                    Some(_) | None => FIRST_STEP.max(held * 2),
                };
                self.make_room(&mut received, next.min(most)).await?;
            }
            // Without spare capacity the vector would grow by itself.
            let mut piece = (&mut received.bytes).limit(PIECE);
            if clock.time(reader.read_buf(&mut piece)).await? == 0 {
                return Ok(received);
            }
        }
    }

    async fn make_room(&self, received: &mut Received, bytes: usize) -> Result<(), BodyError> {
        let [entrance, beyond] = &mut received.room;
        self.entrance.cover(entrance, bytes.min(FIRST_STEP), ROOM_PATIENCE).await?;
        self.budget.cover(beyond, bytes.saturating_sub(FIRST_STEP), ROOM_PATIENCE).await?;
        received.bytes.reserve_exact(bytes - received.bytes.len());
        Ok(())
    }

    /// A body that fills its bound must end there.
    async fn expect_end(
        &self,
        mut reader: std::pin::Pin<&mut impl AsyncRead>,
        mut clock: Clock,
        received: Received,
    ) -> Result<Received, BodyError> {
        match clock.time(reader.read(&mut [0])).await? {
            0 => Ok(received),
            _ => Err(BodyError::TooLarge { limit: self.max_bytes }),
        }
    }
}

/// hyper holds a body to the length that it announces.
fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Told by the first cause: what is around it only says that a body was being read.
fn broken(error: std::io::Error) -> BodyError {
    BodyError::Broken(anyhow::Error::new(error).root_cause().to_string())
}

/// The time that a body may still take.
struct Clock {
    stall: Duration,
    left: Duration,
}

impl Clock {
    async fn time(&mut self, read: impl Future<Output = std::io::Result<usize>>) -> Result<usize, BodyError> {
        let began = Instant::now();
        let read = tokio::time::timeout(self.stall.min(self.left), read).await;
        self.left = self.left.saturating_sub(began.elapsed());
        read.map_err(|_| BodyError::Slow)?.map_err(broken)
    }
}
