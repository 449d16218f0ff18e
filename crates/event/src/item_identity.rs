//! The identity of an item, read without a check of its other keys.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::{
    Source,
    candidate::{
        Scalar,
        json::{Keys, Value, read},
    },
};

/// The source and the `eventId` that an item names. The item may break every other rule.
#[derive(Debug, Default)]
pub struct ItemIdentity<'a> {
    event_id: Scalar<'a>,
    source: Scalar<'a>,
}

impl<'a> Keys<'a> for ItemIdentity<'a> {
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error> {
        match key {
            "eventId" => value.scalar(&mut self.event_id),
            "source" => value.scalar(&mut self.source),
            _ => value.ignore(),
        }
    }
}

impl<'a> ItemIdentity<'a> {
    /// Reads the identity of one JSON item; `None` where the item is no JSON object.
    #[must_use]
    pub fn read(item: &'a str) -> Option<Self> {
        let mut identity = Self::default();
        read(&mut identity, item).ok().map(|()| identity)
    }

    /// The `eventId`; `None` where the item has none that is a string.
    #[must_use]
    pub fn event_id(&self) -> Option<Cow<'a, str>> {
        self.event_id.first_text()
    }

    /// The source; `None` where the item names none, or one that does not exist.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        Source::from_name(&self.source.first_text()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_from_among_any_other_keys() {
        let item = r#"{"x":[1e400,{}],"\ud800":"\ud800","source":"tiktok","data":1e999,"eventId":"a\u0041"}"#;
        let identity = ItemIdentity::read(item).unwrap();
        assert_eq!((identity.event_id().as_deref(), identity.source()), (Some("aA"), Some(Source::Tiktok)));
    }

    #[test]
    fn an_object_without_an_identity_differs_from_an_item_that_is_no_object() {
        for item in ["17", "[]", "not json", "{\"eventId\":"] {
            assert!(ItemIdentity::read(item).is_none(), "{item}");
        }
        let identity = ItemIdentity::read(r#"{"eventId":1,"source":"meta"}"#).unwrap();
        assert_eq!((identity.event_id(), identity.source()), (None, None));
    }
}
