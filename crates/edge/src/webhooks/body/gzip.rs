//! Decompresses the members of a gzip body, each with a header that is looked at first.
//!
//! The decoder takes several members by itself, and ignores flags that RFC 1952 reserves: such a header may have
//! fields that it does not know, so that what follows would be read from the wrong place.

use std::{
    io::{self, Cursor},
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::tokio::bufread::GzipDecoder;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, Chain, ReadBuf};

/// Magic number, method and flags.
const BEGINNING: usize = 4;
const MAGIC_AND_METHOD: [u8; 3] = [0x1f, 0x8b, 8];
const RESERVED_FLAGS: u8 = 0b1110_0000;

type Decoder<R> = GzipDecoder<Chain<Cursor<[u8; BEGINNING]>, R>>;

/// What the members of `R` decompress to, one after the other.
#[derive(Debug)]
pub(super) struct Members<R> {
    state: State<R>,
    first: bool,
}

#[derive(Debug)]
enum State<R> {
    /// So many bytes of the next header have come.
    Header(R, [u8; BEGINNING], usize),
    Member(Decoder<R>),
    /// At the end, and after an error.
    Ended,
}

impl<R: AsyncBufRead + Unpin> Members<R> {
    pub(super) fn of(raw: R) -> Self {
        Self { state: State::Header(raw, [0; BEGINNING], 0), first: true }
    }

    /// `false` when there is no further member.
    fn poll_member(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let State::Header(raw, header, came) = &mut self.state else { return Poll::Ready(Ok(true)) };
        while *came < BEGINNING {
            let bytes = ready!(Pin::new(&mut *raw).poll_fill_buf(context))?;
            if bytes.is_empty() {
                let between = *came == 0 && !self.first;
                let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the gzip header is cut off");
                return Poll::Ready(if between { Ok(false) } else { Err(cut()) });
            }
            let taken = bytes.len().min(BEGINNING - *came);
            header[*came..*came + taken].copy_from_slice(&bytes[..taken]);
            *came += taken;
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
            self.state = State::Header(raw, [0; BEGINNING], 0);
        }
    }
}

impl<R: AsyncBufRead + Unpin> AsyncRead for Members<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held = buffer.filled().len();
        while buffer.remaining() > 0 && ready!(self.poll_member(context))? {
            let State::Member(decoder) = &mut self.state else { break };
            ready!(Pin::new(decoder).poll_read(context, buffer))?;
            if buffer.filled().len() > held {
                break;
            }
            self.end_member();
        }
        Poll::Ready(Ok(()))
    }
}
