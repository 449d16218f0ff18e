//! The context that a call passes on: its correlation id and its W3C Trace Context.

use tonic::metadata::MetadataMap;

use super::CorrelationId;

/// W3C Trace Context; empty if the caller sent none.
///
/// ```
/// use weir_process::TraceContext;
///
/// let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::parse(Some(sampled), Some("vendor=a"));
/// assert_eq!(context.sampled_trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
/// assert_eq!(TraceContext::parse(Some("nonsense"), None), TraceContext::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    pub traceparent: String,
    pub tracestate: String,
}

impl TraceContext {
    pub const TRACEPARENT: &'static str = "traceparent";
    pub const TRACESTATE: &'static str = "tracestate";
    /// In bytes. The W3C recommendation asks to carry at least this much; a longer state is dropped whole.
    const MAX_TRACESTATE: usize = 512;

    /// Takes the caller's context if its `traceparent` is well formed (version 00 of the W3C recommendation).
    #[must_use]
    pub fn parse(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let Some(traceparent) = traceparent.filter(|text| is_traceparent(text)) else {
            return Self::default();
        };
        let tracestate = tracestate.filter(|text| text.len() <= Self::MAX_TRACESTATE).unwrap_or_default();
        Self { traceparent: traceparent.to_owned(), tracestate: tracestate.to_owned() }
    }

    /// The trace id, 32 hexadecimal digits, if the trace is sampled.
    #[must_use]
    pub fn sampled_trace_id(&self) -> Option<&str> {
        const SAMPLED: u8 = 1;
        let mut parts = self.traceparent.split('-').skip(1);
        let (trace_id, flags) = (parts.next()?, parts.nth(1)?);
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (flags & SAMPLED != 0).then_some(trace_id)
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not zero.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let identifies = |part: &str, length: usize| hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], ["00", trace, span, flags] if identifies(trace, 32) && identifies(span, 16) && hex(flags, 2))
}

/// The context of one call, over HTTP or gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallContext {
    pub correlation_id: CorrelationId,
    pub trace: TraceContext,
}

impl CallContext {
    /// Reads the metadata of a call. A new correlation id replaces a missing or invalid one.
    #[must_use]
    pub fn from_metadata(metadata: &MetadataMap) -> Self {
        let text = |key: &str| metadata.get(key).and_then(|value| value.to_str().ok());
        let correlation_id = text(CorrelationId::METADATA_KEY)
            .and_then(CorrelationId::parse)
            .unwrap_or_else(CorrelationId::generate);
        let trace = TraceContext::parse(text(TraceContext::TRACEPARENT), text(TraceContext::TRACESTATE));
        Self { correlation_id, trace }
    }

    /// Writes the context into the metadata of a call, in place of an earlier one.
    pub fn write_metadata(&self, metadata: &mut MetadataMap) {
        let entries = [
            (CorrelationId::METADATA_KEY, self.correlation_id.as_str()),
            (TraceContext::TRACEPARENT, &self.trace.traceparent),
            (TraceContext::TRACESTATE, &self.trace.tracestate),
        ];
        for (key, text) in entries {
            metadata.remove(key);
            if let (false, Ok(value)) = (text.is_empty(), text.parse()) {
                metadata.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_malformed_traceparent_is_dropped() {
        assert_eq!(TraceContext::parse(Some(GOOD), Some("a=b")).tracestate, "a=b");
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(TraceContext::parse(Some(bad), Some("a=b")), TraceContext::default(), "{bad}");
        }
    }

    #[test]
    fn a_context_survives_metadata() {
        let context = CallContext {
            correlation_id: CorrelationId::generate(),
            trace: TraceContext::parse(Some(GOOD), None),
        };
        let mut metadata = MetadataMap::new();
        context.write_metadata(&mut metadata);
        assert_eq!(CallContext::from_metadata(&metadata), context);
    }
}
