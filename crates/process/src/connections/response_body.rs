//! Response bodies that note whether the peer takes them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, SizeHint};

use super::activity::RequestGuard;

/// The most bytes of a piece. Over HTTP/2, hyper takes a whole piece into memory as soon as the peer has room for a byte.
const PIECE: usize = 16 << 10;

/// The body of a response. The request is in flight until hyper has taken all of it.
#[derive(Debug)]
pub(super) struct ResponseBody<B> {
    body: B,
    /// The rest of a frame that is larger than a piece.
    rest: Bytes,
    /// The note that the peer has to take a piece. There is none while the handler has to make one.
    unread: Option<u64>,
    request: RequestGuard,
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn wrap(response: Response<B>, request: RequestGuard) -> Response<Self> {
        response.map(|body| {
            // A peer without room for a byte is not even asked to take the first piece.
            let unread = (!body.is_end_stream()).then(|| request.in_flight().activity().begin_unread());
            Self { body, rest: Bytes::new(), unread, request }
        })
    }
}

impl<B> ResponseBody<B> {
    fn end_unread(&mut self) {
        if let Some(number) = self.unread.take() {
            self.request.in_flight().activity().end_unread(number);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> ResponseBody<B> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context))
                .map(|frame| frame.map(Frame::into_data))
            {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.end_unread();
        let piece = ready!(self.poll_piece(context));
        if piece.is_some() && !self.is_end_stream() {
            self.unread = Some(self.request.in_flight().activity().begin_unread());
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl<B> Drop for ResponseBody<B> {
    fn drop(&mut self) {
        self.end_unread();
    }
}
