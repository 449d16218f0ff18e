//! The correlation id that follows a call to its row.

use std::fmt;

use uuid::Uuid;

/// Follows one webhook or gRPC call through logs, journal and rows: 1 to 128 characters of `[A-Za-z0-9._:-]`.
///
/// ```
/// use weir_process::CorrelationId;
///
/// assert!(CorrelationId::parse("order-17").is_some());
/// assert!(CorrelationId::parse("order 17").is_none());
/// assert_ne!(CorrelationId::generate(), CorrelationId::generate());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CorrelationId(String);

impl CorrelationId {
    /// The header of HTTP answers.
    pub const HTTP_HEADER: &'static str = "x-correlation-id";
    /// The key in gRPC metadata, journal headers and logs.
    pub const METADATA_KEY: &'static str = "x-correlation-id";
    const MAX_CHARACTERS: usize = 128;

    /// Takes the id that the caller sent, if it is valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=Self::MAX_CHARACTERS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte));
        valid.then(|| Self(text.to_owned()))
    }

    /// Makes a new id: a UUIDv7, so that ids sort by time.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_id_is_refused() {
        assert!(CorrelationId::parse("a.B_9:-").is_some());
        assert!(CorrelationId::parse(&"x".repeat(128)).is_some());
        for text in ["", "a b", "a\n", "ü", "{}", &"x".repeat(129)] {
            assert_eq!(CorrelationId::parse(text), None, "{text}");
        }
        assert!(CorrelationId::parse(CorrelationId::generate().as_str()).is_some());
    }
}
