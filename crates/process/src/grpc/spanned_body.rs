//! The body of an answer whose span ends with it, because gRPC sends the status after the last message.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status, body::Body as TonicBody};
use tracing::Span;

use super::call_status::record_on_server;

/// The body of an answer. Its messages are made inside the span of the call.
#[derive(Debug)]
pub(super) struct SpannedBody {
    body: TonicBody,
    span: Span,
    /// True once the span has the status of the call.
    recorded: bool,
}

impl SpannedBody {
    pub(super) fn new(body: TonicBody, span: Span) -> Self {
        Self { body, span, recorded: false }
    }

    fn record_end(&mut self, status: Code) {
        if !self.recorded {
            self.recorded = true;
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
                    self.record_end(status.code());
                }
            }
            Some(Err(status)) => {
                let code = status.code();
                self.record_end(code);
            }
            // Weir's services always send trailers.
            None => self.record_end(Code::Unknown),
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

/// A caller that disconnects reads no trailers.
impl Drop for SpannedBody {
    fn drop(&mut self) {
        self.record_end(Code::Cancelled);
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

    /// The fields that are recorded on a span after its start.
    #[derive(Clone, Debug, Default)]
    struct Recorded(Arc<Mutex<Vec<String>>>);

    impl Visit for Recorded {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.lock().unwrap().push(format!("{field}={value}"));
        }

        fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    }

    impl<S: tracing::Subscriber> Layer<S> for Recorded {
        fn on_record(&self, _: &Id, record: &Record<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            record.record(&mut self.clone());
        }
    }

    /// The record of a call whose answer is one message and then `trailers`. The caller reads so many frames.
    fn recorded(trailers: &[(&'static str, &'static str)], frames: usize) -> Vec<String> {
        let recorded = Recorded::default();
        let names = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let answer: [Result<Frame<Bytes>, Infallible>; 2] = [
            Ok(Frame::data(Bytes::from_static(b"message"))),
            Ok(Frame::trailers(HeaderMap::from_iter(names))),
        ];
        with_default(Registry::default().with(recorded.clone()), || {
            let span = info_span!("call", rpc.response.status_code = Empty, "error.type" = Empty);
            let body = TonicBody::new(StreamBody::new(stream::iter(answer)));
            let mut body = SpannedBody::new(body, span);
            futures::executor::block_on(async {
                for _ in 0..frames {
                    body.frame().await;
                }
            });
        });
        let lines = recorded.0.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn the_recorded_status_follows_the_last_message() {
        assert_eq!(recorded(&[("grpc-status", "0")], 3), ["rpc.response.status_code=OK"]);
        assert_eq!(recorded(&[("grpc-status", "5")], 3), ["rpc.response.status_code=NOT_FOUND"]);
        assert_eq!(
            recorded(&[("grpc-status", "14")], 3),
            ["rpc.response.status_code=UNAVAILABLE", "error.type=UNAVAILABLE"]
        );
    }

    #[test]
    fn a_disconnected_caller_cancels_the_call() {
        assert_eq!(recorded(&[("grpc-status", "0")], 1), ["rpc.response.status_code=CANCELLED"]);
    }
}
