//! The identity that an item claims, read without checking anything else.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::{
    Source,
    candidate::{Keys, Scalar, Value, read},
};

/// The identity that an item claims.
#[derive(Debug, Default)]
pub struct Claim<'a> {
    event_id: Scalar<'a>,
    source: Scalar<'a>,
}

impl<'a> Keys<'a> for Claim<'a> {
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error> {
        match key {
            "eventId" => value.scalar(&mut self.event_id),
            "source" => value.scalar(&mut self.source),
            _ => value.ignore(),
        }
    }
}

impl<'a> Claim<'a> {
    /// `None` where the item is no JSON object.
    #[must_use]
    pub fn read(item: &'a str) -> Option<Self> {
        let mut claim = Self::default();
        read(&mut claim, item).ok().map(|()| claim)
    }

    /// `None` where the item has no `eventId` that is a string.
    #[must_use]
    pub fn event_id(&self) -> Option<Cow<'a, str>> {
        self.event_id.first_text()
    }

    /// `None` where the item names no source, or one that does not exist.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        Source::from_name(&self.source.first_text()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_from_among_anything() {
        let item = r#"{"x":[1e400,{}],"\ud800":"\ud800","source":"tiktok","data":1e999,"eventId":"a\u0041"}"#;
        let claim = Claim::read(item).unwrap();
        assert_eq!((claim.event_id().as_deref(), claim.source()), (Some("aA"), Some(Source::Tiktok)));
    }

    #[test]
    fn what_claims_nothing_is_told_apart_from_what_is_no_object() {
        for item in ["17", "[]", "not json", "{\"eventId\":"] {
            assert!(Claim::read(item).is_none(), "{item}");
        }
        let claim = Claim::read(r#"{"eventId":1,"source":"meta"}"#).unwrap();
        assert_eq!((claim.event_id(), claim.source()), (None, None));
    }
}
