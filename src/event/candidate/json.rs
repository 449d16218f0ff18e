//! A webhook's JSON → candidate, key by key: no name, shape, value or number of keys keeps an item from being read.
//!
//! Nested objects are read in the same pass as the item. serde_json then refuses a scalar in the place of an object
//! that it can't hold (`1e999`, a lone surrogate); such an item is read once more, each nested value as text first.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Candidate, Data, Engagement, Location, NUMBER, Object, Scalar, User, kind, unquote};

/// How a value is read where an object belongs.
#[derive(Clone, Copy, Debug)]
enum Nested {
    /// In the pass that reads the item.
    Streamed,
    /// As text first, which takes whatever is well-formed.
    AsText,
}

/// The keys that an object may have.
pub(in crate::event) trait Keys<'a>: Default {
    /// Takes the value of `key`, or has it ignored.
    fn take<M: MapAccess<'a>>(&mut self, key: &str, value: Value<'_, M>) -> Result<(), M::Error>;
}

/// The value that comes next.
pub(in crate::event) struct Value<'m, M> {
    map: &'m mut M,
    nested: Nested,
}

impl<'a, M: MapAccess<'a>> Value<'_, M> {
    pub(in crate::event) fn scalar(self, scalar: &mut Scalar<'a>) -> Result<(), M::Error> {
        let raw = self.map.next_value::<&'a RawValue>()?.get();
        *scalar = match *scalar {
            Scalar::Absent => Scalar::Json(raw),
            // Of several values the first that is a string says most.
            Scalar::Json(first) | Scalar::Repeated(first) if first.starts_with('"') => {
                Scalar::Repeated(first)
            }
            _ => Scalar::Repeated(raw),
        };
        Ok(())
    }

    fn object<T: Keys<'a>>(self, object: &mut Object<T>) -> Result<(), M::Error> {
        let read = match self.nested {
            Nested::Streamed => self.map.next_value_seed(Reading::new(Nested::Streamed))?,
            Nested::AsText => {
                let raw = self.map.next_value::<&'a RawValue>()?.get();
                // It is well-formed, and so can always be read.
                parse(raw, Nested::AsText).unwrap_or(Err(kind(raw)))
            }
        };
        *object = match (&object, read) {
            (Object::Absent, Ok(read)) => Object::Present(read),
            (Object::Absent, Err(kind)) => Object::Other(kind),
            _ => Object::Repeated,
        };
        Ok(())
    }

    pub(in crate::event) fn ignore(self) -> Result<(), M::Error> {
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

/// Reads one JSON item.
///
/// # Errors
/// It is no object, or not well-formed: a message about the whole item.
pub(in crate::event) fn read<'a, T: Keys<'a>>(raw: &'a str) -> Result<T, String> {
    let object = parse(raw, Nested::Streamed).or_else(|_| parse(raw, Nested::AsText));
    let object = object.map_err(|error| not_well_formed(raw, &error))?;
    object.map_err(|kind| format!("must be an object, not {kind}"))
}

fn parse<'a, T: Keys<'a>>(raw: &'a str, nested: Nested) -> serde_json::Result<Read<T>> {
    if !raw.trim_ascii_start().starts_with('{') {
        return serde_json::from_str::<&RawValue>(raw).map(|value| Err(kind(value.get())));
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let object = Reading::new(nested).deserialize(&mut deserializer)?;
    deserializer.end().map(|()| object)
}

/// What is told of a text that is no JSON. Where it ends too early no place is told: that is only where it was cut.
fn not_well_formed(raw: &str, error: &serde_json::Error) -> String {
    // serde_json takes a number that was cut behind its sign, point or exponent for a wrong one.
    let ends_in_a_number = error.column() >= raw.len() && !raw.ends_with(['}', ']']);
    if error.is_eof() || ends_in_a_number {
        return CUT_OFF.into();
    }
    format!("is not well-formed JSON: {error}")
}

const CUT_OFF: &str = "is not well-formed JSON: it ends too early";

/// What is told of bytes that are no UTF-8, and so no JSON.
pub(in crate::event) fn not_utf_8(error: std::str::Utf8Error) -> String {
    match error.error_len() {
        Some(_) => format!("is no UTF-8 at line 1 column {}", error.valid_up_to() + 1),
        None => CUT_OFF.into(),
    }
}

/// An object, or what stands in its place.
type Read<T> = Result<T, &'static str>;

/// An object that is being read.
struct Reading<T> {
    nested: Nested,
    read: PhantomData<T>,
}

impl<T> Reading<T> {
    fn new(nested: Nested) -> Self {
        Self { nested, read: PhantomData }
    }
}

impl<'a, T: Keys<'a>> DeserializeSeed<'a> for Reading<T> {
    type Value = Read<T>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Read<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a, T: Keys<'a>> Visitor<'a> for Reading<T> {
    type Value = Read<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Read<T>, M::Error> {
        let mut read = T::default();
        while let Some(name) = map.next_key::<&'a RawValue>()? {
            // No known key has a lone surrogate in its name.
            let name = unquote(name.get()).unwrap_or(Cow::Borrowed(""));
            read.take(&name, Value { map: &mut map, nested: self.nested })?;
        }
        Ok(Ok(read))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Read<T>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err("an array"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Read<T>, E> {
        Ok(Err("a string"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Read<T>, E> {
        Ok(Err("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Read<T>, E> {
        Ok(Err(NUMBER))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Read<T>, E> {
        Ok(Err(NUMBER))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Read<T>, E> {
        Ok(Err(NUMBER))
    }

    fn visit_unit<E>(self) -> Result<Read<T>, E> {
        Ok(Err("null"))
    }
}
