//! The end of a call at its caller's deadline.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::time;
use tonic::{Status, body::Body};
use tower::Service;

use crate::grpc_timeout;

/// A service that ends a call when its caller stops waiting. A call without a deadline ends by itself.
#[derive(Clone, Debug)]
pub(super) struct CallDeadline<S>(S);

impl<S> CallDeadline<S> {
    pub(super) fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Service<Request<B>> for CallDeadline<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let deadline = grpc_timeout::effective(request.headers(), Duration::MAX);
        let call = self.0.call(request);
        if deadline == Duration::MAX {
            return Box::pin(call);
        }
        Box::pin(async move {
            let expired = || Status::deadline_exceeded("the call was not answered before its deadline");
            time::timeout(deadline, call).await.unwrap_or_else(|_elapsed| Ok(expired().into_http()))
        })
    }
}
