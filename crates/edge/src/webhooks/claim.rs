//! Who an item says it is, read without checking anything else.

use std::borrow::Cow;

use serde::Deserialize;
use weir::event::Source;

/// The identity that an item claims.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claim<'a> {
    #[serde(borrow)]
    pub(super) event_id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
}

impl<'a> Claim<'a> {
    /// `None` where the item has no `eventId` and `source` that are strings: no such item is an event.
    pub(super) fn read(item: &'a str) -> Option<Self> {
        serde_json::from_str(item).ok()
    }

    /// `None` where the item names a source that does not exist.
    pub(super) fn source(&self) -> Option<Source> {
        Source::from_name(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_from_among_anything() {
        let claim =
            Claim::read(r#"{"x":[1e400,{}],"source":"tiktok","data":null,"eventId":"a\u0041"}"#).unwrap();
        assert_eq!((&*claim.event_id, claim.source()), ("aA", Some(Source::Tiktok)));
        for item in ["17", "[]", "{}", r#"{"eventId":1,"source":"tiktok"}"#, "not json"] {
            assert!(Claim::read(item).is_none(), "{item}");
        }
    }
}
