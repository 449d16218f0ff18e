//! Body reader: decompresses a whole body into memory, within the limits of its size and of the room for all bodies. The
//! connection bounds its time.

mod encoding;

use std::{
    net::IpAddr,
    pin::{Pin, pin},
    time::Duration,
};

use async_compression::{tokio::bufread::ZstdDecoder, zstd::DParameter};
use axum::body::Body;
use bytes::{BufMut as _, Bytes};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::OptionFuture, stream};
use http::{HeaderMap, StatusCode, header};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use weir_process::{Claim, Overloaded, Reason, Room, SlowBody, connections::BodyReadError};

pub(super) use self::encoding::Encoding;
use self::encoding::GzipMembers;
use crate::{args::EdgeConfig, metrics, problem::Problem};

/// The least memory of a body that does not come in one piece. It doubles when it is full: what is announced takes no
/// memory, because a sender may announce much and send nothing.
const FIRST_CAPACITY: usize = 4 * 1024;
/// The bytes of each body that lie in the entrance.
const ENTRANCE_BYTES: usize = 64 * 1024;
/// The most bytes of one read. At every call the gzip decoder zeroes all the room that it gets.
const MAX_READ: usize = 64 * 1024;
/// 1/8 of `EDGE_MAX_IN_FLIGHT_BYTES` is for the first 64 KiB of each body.
const ENTRANCE_SHARE: usize = 8;
/// RFC 9659: a zstd sender may require a window of at most 8 MiB from a receiver.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The time that a body waits for room before it is rejected.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);

/// A body in memory, and its room.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) room: BodyRoom,
}

/// The room of one body, in the entrance for its first 64 KiB.
#[derive(Debug)]
pub(super) struct BodyRoom {
    caller: IpAddr,
    entrance: Claim,
    /// `None` for a body that is no larger.
    rest: Option<Claim>,
    room: Room,
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
    entrance: Room,
    room: Room,
    /// The limit of one body after decompression.
    max_bytes: usize,
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
                let detail =
                    "the bodies in flight fill EDGE_MAX_IN_FLIGHT_BYTES, and this one was slower than others";
                let delay = Reason::Overloaded.retry_after().unwrap_or(Duration::from_secs(1));
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                    .reason(Reason::Overloaded.name())
                    .retry_after(delay)
            }
            BodyError::Slow => Self::new(StatusCode::REQUEST_TIMEOUT, SlowBody.to_string()),
            BodyError::Broken(error) => Self::bad_request(format!("the body can't be read: {error}")),
        }
    }
}

impl BodyReader {
    pub(super) fn new(config: &EdgeConfig, registry: &mut Registry) -> Self {
        // The largest body must fit into the rest.
        let spare = config.max_in_flight_bytes - config.max_body_bytes;
        let entrance = spare.min(config.max_in_flight_bytes / ENTRANCE_SHARE);
        let room;
        let entrance = if entrance < ENTRANCE_BYTES {
            room = Room::new(config.max_in_flight_bytes);
            room.clone()
        } else {
            room = Room::new(config.max_in_flight_bytes - entrance);
            room.partition(entrance)
        };
        metrics::register_bodies(&room, registry);
        Self { entrance, room, max_bytes: config.max_body_bytes }
    }

    /// Reads the whole body of a caller.
    ///
    /// # Errors
    /// The body is too large, too slow or broken, there was no room for it for 30 s, or its room was taken for others.
    pub(super) async fn read(
        &self,
        caller: IpAddr,
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
            return self.copy(caller, whole).await;
        }
        let came = first.as_ref().and_then(|first| first.as_ref().ok()).map_or(0, Bytes::len);
        let mut received = self.empty(caller);
        let least = came.max(FIRST_CAPACITY);
        let data = stream::iter(first).chain(data);
        let raw = StreamReader::new(data.map_err(std::io::Error::other));
        match encoding {
            Encoding::Identity => self.collect(&mut received, raw, least, announced).await,
            Encoding::Gzip => self.collect(&mut received, GzipMembers::new(raw), least, None).await,
            Encoding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(raw, &[window]);
                // A body may have several frames.
                decoder.multiple_members(true);
                self.collect(&mut received, decoder, least, None).await
            }
        }?;
        Ok(received)
    }

    /// Copies a body that has arrived in one piece.
    async fn copy(&self, caller: IpAddr, whole: &[u8]) -> Result<Received, BodyError> {
        let mut received = self.empty(caller);
        received.grow_to(whole.len()).await?;
        received.bytes.extend_from_slice(whole);
        received.room.complete();
        Ok(received)
    }

    fn empty(&self, caller: IpAddr) -> Received {
        Received { bytes: Vec::new(), room: BodyRoom::new(&self.entrance, &self.room, caller) }
    }

    /// Reads on from `reader` to its end. `least` is the first capacity.
    async fn collect(
        &self,
        received: &mut Received,
        reader: impl AsyncRead,
        least: usize,
        announced: Option<usize>,
    ) -> Result<(), BodyError> {
        let mut reader = pin!(reader);
        let max = announced.unwrap_or(self.max_bytes);
        loop {
            let capacity = received.bytes.capacity();
            if received.bytes.len() == capacity {
                if capacity >= max {
                    break;
                }
                received.grow_to(least.max(capacity * 2).min(max)).await?;
            }
            if received.read_some(reader.as_mut()).await? == 0 {
                received.room.complete();
                return Ok(());
            }
        }
        // A body that fills its limit has to end there.
        match received.room.unless_taken(reader.read(&mut [0])).await? {
            0 => {
                received.room.complete();
                Ok(())
            }
            _ => Err(BodyError::TooLarge { limit: self.max_bytes }),
        }
    }
}

impl Received {
    /// Has memory for `bytes` bytes, once there is room for them.
    async fn grow_to(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.room.grow_to(bytes).await?;
        self.bytes.reserve_exact(bytes - self.bytes.len());
        Ok(())
    }

    /// Reads what comes next; 0 at the end.
    async fn read_some(&mut self, mut reader: Pin<&mut impl AsyncRead>) -> Result<usize, BodyError> {
        // `read_buf` would grow a vector without spare capacity, beyond its room.
        let mut buffer = (&mut self.bytes).limit(MAX_READ);
        self.room.unless_taken(reader.read_buf(&mut buffer)).await
    }
}

impl BodyRoom {
    pub(super) fn new(entrance: &Room, room: &Room, caller: IpAddr) -> Self {
        Self { caller, entrance: entrance.claim(caller), rest: None, room: room.clone() }
    }

    async fn grow_to(&mut self, bytes: usize) -> Result<(), Overloaded> {
        self.entrance.grow_to(bytes.min(ENTRANCE_BYTES), ROOM_TIMEOUT).await?;
        if bytes <= ENTRANCE_BYTES {
            return Ok(());
        }
        let rest = self.rest.get_or_insert_with(|| self.room.claim(self.caller));
        rest.grow_to(bytes - ENTRANCE_BYTES, ROOM_TIMEOUT).await
    }

    /// Reads, unless the room is taken for others meanwhile.
    async fn unless_taken(
        &self,
        read: impl Future<Output = std::io::Result<usize>>,
    ) -> Result<usize, BodyError> {
        let rest_taken = OptionFuture::from(self.rest.as_ref().map(Claim::taken));
        tokio::select! {
            biased;
            read = read => read.map_err(unread),
            () = self.entrance.taken() => Err(BodyError::Overloaded),
            Some(()) = rest_taken => Err(BodyError::Overloaded),
        }
    }

    fn complete(&self) {
        self.entrance.complete();
        self.rest.iter().for_each(Claim::complete);
    }
}

/// The announced length. hyper enforces that the body has it.
fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Names the root cause only: the errors around it say that a body was being read.
fn unread(error: std::io::Error) -> BodyError {
    let error = anyhow::Error::new(error);
    match error.root_cause().downcast_ref::<BodyReadError>() {
        Some(BodyReadError::Slow(SlowBody)) => BodyError::Slow,
        Some(BodyReadError::Broken(_)) | None => BodyError::Broken(error.root_cause().to_string()),
    }
}
