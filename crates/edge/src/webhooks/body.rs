//! Body reader: decompresses a whole body into memory, within the limits of its size, the total bytes in flight, and
//! time.

mod encoding;

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

pub(super) use self::encoding::Encoding;
use self::encoding::GzipMembers;
use crate::{args::EdgeConfig, metrics, problem::Problem};

/// The first reservation of every body, in bytes. A body of unknown length doubles from there. The reader trusts an
/// announced length once so many bytes have arrived: otherwise connections that announce a large body and send nothing
/// would reserve all memory.
const FIRST_RESERVATION: usize = 64 * 1024;
/// The most bytes of one read. At every call the gzip decoder zeroes all the room that it gets.
const MAX_READ: usize = 64 * 1024;
/// 1/8 of `EDGE_MAX_IN_FLIGHT_BYTES` is reserved for the first 64 KiB of each body.
const ENTRANCE_SHARE: usize = 8;
/// RFC 9659: a zstd sender may require a window of at most 8 MiB from a receiver.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The time that a body waits for bytes in flight before it is rejected.
const RESERVATION_TIMEOUT: Duration = Duration::from_secs(30);

/// A body in memory, and the reservations of its bytes.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    /// One for the first 64 KiB, one for the rest.
    pub(super) reservations: [Reservation; 2],
}

/// The reason why a body was not read.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge {
        limit: usize,
    },
    Overloaded,
    Slow,
    /// The connection or the decompression failed.
    Broken(String),
}

/// Reads bodies.
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    /// For the first 64 KiB of each body, so that small bodies are read while large ones wait for each other.
    entrance: Budget,
    budget: Budget,
    /// The limit of one body after decompression.
    max_bytes: usize,
    /// The longest pause in a body.
    stall_timeout: Duration,
    /// The longest time of a whole body, without waits for reservations.
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
                let detail = "the bodies in flight have reached the limit of EDGE_MAX_IN_FLIGHT_BYTES";
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

impl BodyReader {
    pub(super) fn new(config: &EdgeConfig, registry: &mut Registry) -> Self {
        // The largest body must fit into the rest.
        let spare = config.max_in_flight_bytes - config.max_body_bytes;
        let entrance = spare.min(config.max_in_flight_bytes / ENTRANCE_SHARE);
        let budget;
        let entrance = if entrance < FIRST_RESERVATION {
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

    /// Reads a whole body.
    ///
    /// # Errors
    /// The body is too large, too slow or broken, or the bodies in flight left no room for it for 30 s.
    pub(super) async fn read(
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
            return self.copy(whole).await;
        }
        let data = stream::iter(first).chain(data);
        let raw = StreamReader::new(data.map_err(std::io::Error::other));
        match encoding {
            Encoding::Identity => self.collect(raw, announced).await,
            Encoding::Gzip => self.collect(GzipMembers::new(raw), None).await,
            Encoding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(raw, &[window]);
                // A body may have several frames.
                decoder.multiple_members(true);
                self.collect(decoder, None).await
            }
        }
    }

    /// Copies a body that has arrived in one piece, so that it needs no timeouts.
    async fn copy(&self, whole: &[u8]) -> Result<Received, BodyError> {
        let mut received = self.empty();
        self.reserve(&mut received, whole.len()).await?;
        received.bytes.extend_from_slice(whole);
        Ok(received)
    }

    fn empty(&self) -> Received {
        let reservations = [self.entrance.reservation(), self.budget.reservation()];
        Received { bytes: Vec::new(), reservations }
    }

    async fn collect(&self, reader: impl AsyncRead, announced: Option<usize>) -> Result<Received, BodyError> {
        let mut reader = pin!(reader);
        let mut timer = BodyTimer { stall: self.stall_timeout, remaining: self.timeout };
        let mut received = self.empty();
        let max = announced.unwrap_or(self.max_bytes);
        loop {
            let capacity = received.bytes.capacity();
            if received.bytes.len() == capacity {
                if capacity >= max {
                    return self.expect_end(reader, timer, received).await;
                }
                let next = match announced {
                    Some(bytes) if capacity > 0 => bytes,
                    Some(_) | None => FIRST_RESERVATION.max(capacity * 2),
                };
                self.reserve(&mut received, next.min(max)).await?;
            }
            // `read_buf` would grow a vector without spare capacity, beyond the reservation.
            let mut buffer = (&mut received.bytes).limit(MAX_READ);
            if timer.limit(reader.read_buf(&mut buffer)).await? == 0 {
                return Ok(received);
            }
        }
    }

    async fn reserve(&self, received: &mut Received, bytes: usize) -> Result<(), BodyError> {
        let [entrance, rest] = &mut received.reservations;
        self.entrance.cover(entrance, bytes.min(FIRST_RESERVATION), RESERVATION_TIMEOUT).await?;
        self.budget.cover(rest, bytes.saturating_sub(FIRST_RESERVATION), RESERVATION_TIMEOUT).await?;
        received.bytes.reserve_exact(bytes - received.bytes.len());
        Ok(())
    }

    /// Checks that a body that fills its limit ends there.
    async fn expect_end(
        &self,
        mut reader: std::pin::Pin<&mut impl AsyncRead>,
        mut timer: BodyTimer,
        received: Received,
    ) -> Result<Received, BodyError> {
        match timer.limit(reader.read(&mut [0])).await? {
            0 => Ok(received),
            _ => Err(BodyError::TooLarge { limit: self.max_bytes }),
        }
    }
}

/// The announced length. hyper enforces that the body has it.
fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Names the root cause only: the errors around it say that a body was being read.
fn broken(error: std::io::Error) -> BodyError {
    BodyError::Broken(anyhow::Error::new(error).root_cause().to_string())
}

/// The two time limits of one body.
struct BodyTimer {
    stall: Duration,
    /// The time that is left for the whole body.
    remaining: Duration,
}

impl BodyTimer {
    /// Runs one read within both limits.
    async fn limit(
        &mut self,
        read: impl Future<Output = std::io::Result<usize>>,
    ) -> Result<usize, BodyError> {
        let started = Instant::now();
        let read = tokio::time::timeout(self.stall.min(self.remaining), read).await;
        self.remaining = self.remaining.saturating_sub(started.elapsed());
        read.map_err(|_| BodyError::Slow)?.map_err(broken)
    }
}
