//! An answer whose span ends with it: gRPC says how a call went behind its last message.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status, body::Body as TonicBody};
use tracing::Span;

use super::call_status::record_on_server;

/// The body of an answer inside its call's span, which what makes its messages is part of.
#[derive(Debug)]
pub(super) struct SpannedBody {
    body: TonicBody,
    span: Span,
    /// Whether the span was told how the call ended.
    told: bool,
}

impl SpannedBody {
    pub(super) fn new(body: TonicBody, span: Span) -> Self {
        Self { body, span, told: false }
    }

    fn tell(&mut self, status: Code) {
        if !self.told {
            self.told = true;
            record_on_server(&self.span, status);
        }
    }
}

impl Body for SpannedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, span, .. } = &mut *self;
        let polled = span.in_scope(|| Pin::new(body).poll_frame(context));
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.tell(status.code());
                }
            }
            Some(Err(status)) => {
                let code = status.code();
                self.tell(code);
            }
            // Answers without trailers don't come from our services.
            None => self.tell(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A caller that is gone reads no end.
impl Drop for SpannedBody {
    fn drop(&mut self) {
        self.tell(Code::Cancelled);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use futures::stream;
    use http::HeaderMap;
    use http_body_util::{BodyExt as _, StreamBody};
    use tracing::{
        field::{Empty, Field, Visit},
        info_span,
        span::{Id, Record},
        subscriber::with_default,
    };
    use tracing_subscriber::{Layer, Registry, layer::SubscriberExt as _};

    use super::*;

    /// What a span is told after it began.
    #[derive(Clone, Debug, Default)]
    struct Told(Arc<Mutex<Vec<String>>>);

    impl Visit for Told {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.lock().unwrap().push(format!("{field}={value}"));
        }

        fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    }

    impl<S: tracing::Subscriber> Layer<S> for Told {
        fn on_record(&self, _: &Id, record: &Record<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            record.record(&mut self.clone());
        }
    }

    /// What the span of a call is told whose answer is one message and then `trailers`, of which so many frames are
    /// read.
    fn told(trailers: &[(&'static str, &'static str)], frames: usize) -> Vec<String> {
        let told = Told::default();
        let names = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let answer: [Result<Frame<Bytes>, Infallible>; 2] = [
            Ok(Frame::data(Bytes::from_static(b"message"))),
            Ok(Frame::trailers(HeaderMap::from_iter(names))),
        ];
        with_default(Registry::default().with(told.clone()), || {
            let span = info_span!("call", rpc.response.status_code = Empty, "error.type" = Empty);
            let body = TonicBody::new(StreamBody::new(stream::iter(answer)));
            let mut body = SpannedBody::new(body, span);
            futures::executor::block_on(async {
                for _ in 0..frames {
                    body.frame().await;
                }
            });
        });
        let lines = told.0.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn the_status_is_the_one_behind_the_last_message() {
        assert_eq!(told(&[("grpc-status", "0")], 3), ["rpc.response.status_code=OK"]);
        assert_eq!(told(&[("grpc-status", "5")], 3), ["rpc.response.status_code=NOT_FOUND"]);
        assert_eq!(
            told(&[("grpc-status", "14")], 3),
            ["rpc.response.status_code=UNAVAILABLE", "error.type=UNAVAILABLE"]
        );
    }

    #[test]
    fn a_caller_that_goes_away_cancels() {
        assert_eq!(told(&[("grpc-status", "0")], 1), ["rpc.response.status_code=CANCELLED"]);
    }
}
