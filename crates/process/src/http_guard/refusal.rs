//! Requests that a listener refuses for their head, and their number by reason.

use http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The reason of a refusal: the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request names a host that is no name of the listener.
    Host,
    /// The request comes from a page of another origin.
    Origin,
    /// An action's body is no JSON by its media type.
    MediaType,
    /// The body has a transfer coding besides chunked.
    TransferEncoding,
}

impl Refusal {
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TransferEncoding => StatusCode::BAD_REQUEST,
        }
    }

    /// The rule, for the caller. A listener adds its own remedy.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Host => {
                "the host of the request is no name of this listener; its names are its own address, localhost, \
                 127.0.0.1 and [::1]"
            }
            Self::Origin => "the request comes from a page of another origin",
            Self::MediaType => "the media type must be application/json or application/*+json",
            Self::TransferEncoding => "the transfer encoding must be chunked, once and alone",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::MediaType => "media_type",
            Self::TransferEncoding => "transfer_encoding",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    listener: &'static str,
    reason: &'static str,
}

/// Counts refused requests by listener and reason. Cheap to clone; every clone counts the same.
#[derive(Clone, Debug, Default)]
pub struct RefusedRequests(Family<Labels, Counter>);

impl RefusedRequests {
    /// Registers the counter, once per process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let refused = Self::default();
        registry.register(
            "weir_http_requests_refused",
            "Requests that a listener refused for their host, origin, media type or transfer encoding",
            refused.0.clone(),
        );
        refused
    }

    /// Makes the series of a listener, so that they are 0 before the first refusal.
    pub fn expect(&self, listener: &'static str, reasons: &[Refusal]) {
        for reason in reasons {
            drop(self.0.get_or_create(&Labels { listener, reason: reason.name() }));
        }
    }

    pub fn count(&self, listener: &'static str, reason: Refusal) {
        self.0.get_or_create(&Labels { listener, reason: reason.name() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_its_series_before_its_first_refusal() {
        let mut registry = Registry::default();
        let refused = RefusedRequests::register(&mut registry);
        refused.expect("edge", &[Refusal::Host, Refusal::Origin]);
        refused.count("edge", Refusal::Origin);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for series in [r#"{listener="edge",reason="host"} 0"#, r#"{listener="edge",reason="origin"} 1"#] {
            assert!(text.contains(&format!("weir_http_requests_refused_total{series}")), "{text}");
        }
    }
}
