//! Content encodings: the names of the header, and the decoder of gzip.
//!
//! The gzip decoder of async-compression reads several members, but ignores flags that RFC 1952 reserves. A header
//! with such a flag may have unknown fields, so the decoder would read the data from a wrong offset. This module
//! therefore checks the header of every member first.

use std::{
    io::{self, Cursor},
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::tokio::bufread::GzipDecoder;
use http::{HeaderMap, StatusCode, header};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, Chain, ReadBuf};
use weir_process::http_guard::non_blank_values;

use crate::problem::Problem;

const SUPPORTED: &str = "gzip, zstd";

/// The size of the magic number, the method and the flags of a gzip header.
const GZIP_START: usize = 4;
const MAGIC_AND_METHOD: [u8; 3] = [0x1f, 0x8b, 8];
const RESERVED_FLAGS: u8 = 0b1110_0000;

type Decoder<R> = GzipDecoder<Chain<Cursor<[u8; GZIP_START]>, R>>;

/// The compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// The encoding that the headers name, or `Identity` without one.
    ///
    /// # Errors
    /// 415 where the encoding is unknown, or where several are combined: no sender needs that.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let unsupported = || {
            let detail = format!("the content encoding must be one of {SUPPORTED}, or none");
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
                .header(header::ACCEPT_ENCODING, SUPPORTED)
        };
        let mut values = non_blank_values(headers, &header::CONTENT_ENCODING);
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::Identity),
            (Some(value), None) => value.to_str().ok().and_then(Self::parse).ok_or_else(unsupported),
            (Some(_), Some(_)) => Err(unsupported()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Decompresses the gzip members of `R`, one after the other.
#[derive(Debug)]
pub(super) struct GzipMembers<R> {
    state: State<R>,
    first: bool,
}

#[derive(Debug)]
enum State<R> {
    /// The reader, the start of the next header, and the number of its bytes that have been read.
    Header(R, [u8; GZIP_START], usize),
    Member(Decoder<R>),
    /// After the last member, or after an error.
    Ended,
}

impl<R: AsyncBufRead + Unpin> GzipMembers<R> {
    pub(super) fn new(raw: R) -> Self {
        Self { state: State::Header(raw, [0; GZIP_START], 0), first: true }
    }

    /// Reads the header of the next member. Returns `false` at the end of the body.
    fn poll_member(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let State::Header(raw, header, read) = &mut self.state else { return Poll::Ready(Ok(true)) };
        while *read < GZIP_START {
            let bytes = ready!(Pin::new(&mut *raw).poll_fill_buf(context))?;
            if bytes.is_empty() {
                let is_end = *read == 0 && !self.first;
                let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the gzip header is cut off");
                return Poll::Ready(if is_end { Ok(false) } else { Err(cut()) });
            }
            let taken = bytes.len().min(GZIP_START - *read);
            header[*read..*read + taken].copy_from_slice(&bytes[..taken]);
            *read += taken;
            Pin::new(&mut *raw).consume(taken);
        }
        if header.starts_with(&MAGIC_AND_METHOD) && header[3] & RESERVED_FLAGS != 0 {
            let error = "the gzip header has reserved flags";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        let header = Cursor::new(*header);
        if let State::Header(raw, ..) = std::mem::replace(&mut self.state, State::Ended) {
            self.state = State::Member(GzipDecoder::new(header.chain(raw)));
        }
        self.first = false;
        Poll::Ready(Ok(true))
    }

    fn end_member(&mut self) {
        if let State::Member(decoder) = std::mem::replace(&mut self.state, State::Ended) {
            let (_, raw) = decoder.into_inner().into_inner();
            self.state = State::Header(raw, [0; GZIP_START], 0);
        }
    }
}

impl<R: AsyncBufRead + Unpin> AsyncRead for GzipMembers<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 && ready!(self.poll_member(context))? {
            let State::Member(decoder) = &mut self.state else { break };
            ready!(Pin::new(decoder).poll_read(context, buffer))?;
            if buffer.filled().len() > before {
                break;
            }
            self.end_member();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_encoding_is_supported_and_a_combination_is_not() {
        assert_eq!(Encoding::parse("GZIP"), Some(Encoding::Gzip));
        assert_eq!(Encoding::parse("zstd"), Some(Encoding::Zstd));
        for text in ["br", "deflate", "gzip, zstd", "gzip,gzip", ""] {
            assert_eq!(Encoding::parse(text), None, "{text}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        twice.append(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(Encoding::of(&twice).unwrap_err().status(), 415);
    }
}
