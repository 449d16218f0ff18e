//! Reads a webhook's JSON into a candidate, or its identity alone, key by key. No name, shape, value or number of keys
//! stops the reader.
//!
//! The reader takes nearly every item in one quick pass. That pass fails on names with escapes, and on a scalar in the
//! place of an object that serde_json can't hold (`1e999`, a lone surrogate). A second pass then reads such an item,
//! names and nested values as text first.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Candidate, Data, Engagement, Location, NUMBER, Object, Scalar, User, kind, unquote};
use crate::Source;

/// The way to read names, and values in the place of an object.
#[derive(Clone, Copy, Debug)]
enum Pass {
    /// Directly.
    Quick,
    /// As text first, which accepts every well-formed value.
    Thorough,
}

/// The source and the `eventId` that an item names. The item may break every other rule.
#[derive(Debug, Default)]
pub struct ItemIdentity<'a> {
    event_id: Scalar<'a>,
    source: Scalar<'a>,
}

/// An object with keys that the reader knows.
pub(crate) trait Keys<'a>: Default {
    /// Stores the value of `key`, or ignores it.
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error>;
}

/// The next value of a JSON object.
pub(crate) struct Value<'m, M> {
    map: &'m mut M,
    pass: Pass,
}

impl<'a, M: MapAccess<'a>> Value<'_, M> {
    pub(crate) fn scalar(self, scalar: &mut Scalar<'a>) -> Result<(), M::Error> {
        let raw = self.map.next_value::<&'a RawValue>()?.get();
        *scalar = match *scalar {
            Scalar::Absent => Scalar::Json(raw),
            // Of several values the first string is the most useful in a report.
            Scalar::Json(first) | Scalar::Repeated(first) if first.starts_with('"') => {
                Scalar::Repeated(first)
            }
            _ => Scalar::Repeated(raw),
        };
        Ok(())
    }

    fn object<T: Keys<'a>>(self, object: &mut Object<T>) -> Result<(), M::Error> {
        if !matches!(object, Object::Absent) {
            *object = Object::Repeated;
            return self.ignore();
        }
        *object = Object::Present(T::default());
        let Object::Present(into) = object else { return Ok(()) };
        let filled = match self.pass {
            Pass::Quick => self.map.next_value_seed(Filling { into, pass: Pass::Quick })?,
            Pass::Thorough => {
                let raw = self.map.next_value::<&'a RawValue>()?.get();
                // The value is well-formed, so the pass always succeeds.
                fill(into, raw, Pass::Thorough).unwrap_or(Err(kind(raw)))
            }
        };
        if let Err(kind) = filled {
            *object = Object::Other(kind);
        }
        Ok(())
    }

    pub(crate) fn ignore(self) -> Result<(), M::Error> {
        self.map.next_value::<IgnoredAny>().map(|_| ())
    }
}

impl<'a> Keys<'a> for Candidate<'a> {
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error> {
        match key {
            "eventId" => value.scalar(&mut self.event_id),
            "timestamp" => value.scalar(&mut self.timestamp),
            "source" => value.scalar(&mut self.source),
            "funnelStage" => value.scalar(&mut self.funnel_stage),
            "eventType" => value.scalar(&mut self.event_type),
            "data" => value.object(&mut self.data),
            _ => value.ignore(),
        }
    }
}

impl<'a> Keys<'a> for Data<'a> {
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error> {
        match key {
            "user" => value.object(&mut self.user),
            "engagement" => value.object(&mut self.engagement),
            _ => value.ignore(),
        }
    }
}

impl<'a> Keys<'a> for User<'a> {
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error> {
        match key {
            "userId" => value.scalar(&mut self.user_id),
            "name" => value.scalar(&mut self.name),
            "age" => value.scalar(&mut self.age),
            "gender" => value.scalar(&mut self.gender),
            "location" => value.object(&mut self.location),
            "username" => value.scalar(&mut self.username),
            "followers" => value.scalar(&mut self.followers),
            _ => value.ignore(),
        }
    }
}

impl<'a> Keys<'a> for Location<'a> {
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error> {
        match key {
            "country" => value.scalar(&mut self.country),
            "city" => value.scalar(&mut self.city),
            _ => value.ignore(),
        }
    }
}

impl<'a> Keys<'a> for Engagement<'a> {
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error> {
        match key {
            "actionTime" => value.scalar(&mut self.action_time),
            "referrer" => value.scalar(&mut self.referrer),
            "videoId" => value.scalar(&mut self.video_id),
            "adId" => value.scalar(&mut self.ad_id),
            "campaignId" => value.scalar(&mut self.campaign_id),
            "clickPosition" => value.scalar(&mut self.click_position),
            "device" => value.scalar(&mut self.device),
            "browser" => value.scalar(&mut self.browser),
            "purchaseAmount" => value.scalar(&mut self.purchase_amount),
            "watchTime" => value.scalar(&mut self.watch_time),
            "percentageWatched" => value.scalar(&mut self.percentage_watched),
            "country" => value.scalar(&mut self.country),
            "profileId" => value.scalar(&mut self.profile_id),
            "purchasedItem" => value.scalar(&mut self.purchased_item),
            _ => value.ignore(),
        }
    }
}

/// Reads one JSON item. Of an item that is not well-formed it reads the part before the fault.
///
/// # Errors
/// The item is no object, or not well-formed: a message about the whole item.
pub(crate) fn read<'a, T: Keys<'a>>(into: &mut T, raw: &'a str) -> Result<(), String> {
    let filled = fill(into, raw, Pass::Quick).or_else(|_| {
        *into = T::default();
        fill(into, raw, Pass::Thorough)
    });
    filled
        .map_err(|error| not_well_formed(raw, &error))?
        .map_err(|kind| format!("must be an object, not {kind}"))
}

fn fill<'a, T: Keys<'a>>(into: &mut T, raw: &'a str, pass: Pass) -> serde_json::Result<Filled> {
    if !raw.trim_ascii_start().starts_with('{') {
        return serde_json::from_str::<&RawValue>(raw).map(|value| Err(kind(value.get())));
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let filled = Filling { into, pass }.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| filled)
}

/// The message for a text that is no JSON. A text that ends too early gets no column: that is only the place of the
/// cut.
fn not_well_formed(raw: &str, error: &serde_json::Error) -> String {
    // serde_json reports a number that was cut after its sign, point or exponent as an invalid one.
    let ends_in_a_number = error.column() >= raw.len() && !raw.ends_with(['}', ']']);
    if error.is_eof() || ends_in_a_number {
        return CUT_OFF.into();
    }
    let message = error.to_string();
    // An item is one line, or a part of a body: its column is more useful than its line.
    let rule = message.rsplit_once(" at line ").map_or(&*message, |(rule, _)| rule);
    format!("is not well-formed JSON: {rule} at column {}", error.column())
}

const CUT_OFF: &str = "is not well-formed JSON: it ends too early";

/// The message for bytes that are no UTF-8, and therefore no JSON.
pub(crate) fn not_utf_8(error: std::str::Utf8Error) -> String {
    match error.error_len() {
        Some(_) => format!("is no UTF-8 at column {}", error.valid_up_to() + 1),
        None => CUT_OFF.into(),
    }
}

/// `Err` with the kind of the value, such as `an array`, where the value is no object.
type Filled = Result<(), &'static str>;

/// Reads one object into its place. Writing in place saves the moves of a large value.
struct Filling<'t, T> {
    into: &'t mut T,
    pass: Pass,
}

impl<T> Filling<'_, T> {
    fn next_name<'a, M: MapAccess<'a>>(&self, map: &mut M) -> Result<Option<Cow<'a, str>>, M::Error> {
        match self.pass {
            Pass::Quick => Ok(map.next_key::<&'a str>()?.map(Cow::Borrowed)),
            // A name with a lone surrogate is no known key.
            Pass::Thorough => {
                Ok(map.next_key::<&'a RawValue>()?.map(|name| unquote(name.get()).unwrap_or_default()))
            }
        }
    }
}

impl<'a, T: Keys<'a>> DeserializeSeed<'a> for Filling<'_, T> {
    type Value = Filled;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Filled, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a, T: Keys<'a>> Visitor<'a> for Filling<'_, T> {
    type Value = Filled;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Filled, M::Error> {
        while let Some(name) = self.next_name(&mut map)? {
            self.into.take(&name, Value { map: &mut map, pass: self.pass })?;
        }
        Ok(Ok(()))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Filled, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err("an array"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Filled, E> {
        Ok(Err("a string"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Filled, E> {
        Ok(Err("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Filled, E> {
        Ok(Err(NUMBER))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Filled, E> {
        Ok(Err(NUMBER))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Filled, E> {
        Ok(Err(NUMBER))
    }

    fn visit_unit<E>(self) -> Result<Filled, E> {
        Ok(Err("null"))
    }
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
    fn an_array_is_no_event() {
        let mut candidate = Candidate::default();
        assert!(read(&mut candidate, "[]").unwrap_err().contains("an array"));
        read(&mut candidate, r#"{"data":[1,[2]]}"#).unwrap();
        assert!(matches!(candidate.data, Object::Other("an array")));
    }

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
