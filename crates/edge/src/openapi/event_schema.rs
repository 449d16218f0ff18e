//! The OpenAPI schema of an event, made of the same closed sets that the gate checks events against.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema},
};
use weir_event::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
};

/// The name of one event's schema. No value of this type exists: the gate reads events itself.
#[derive(Debug)]
pub(crate) enum Event {}

/// The name of the schema of one event or an array of events.
#[derive(Debug)]
pub(crate) enum Events {}

impl ToSchema for Event {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }
}

impl PartialSchema for Event {
    fn schema() -> RefOr<Schema> {
        schema(json!({"description": "An event; unknown keys are ignored.", "oneOf": [
            event(Source::Facebook, FunnelStage::Top, facebook_user(), facebook_top()),
            event(Source::Facebook, FunnelStage::Bottom, facebook_user(), facebook_bottom()),
            event(Source::Tiktok, FunnelStage::Top, tiktok_user(), tiktok_top()),
            event(Source::Tiktok, FunnelStage::Bottom, tiktok_user(), tiktok_bottom()),
        ], "example": example()}))
    }
}

impl ToSchema for Events {
    fn name() -> Cow<'static, str> {
        "Events".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Event::name().into_owned(), Event::schema()));
    }
}

impl PartialSchema for Events {
    fn schema() -> RefOr<Schema> {
        let event = Ref::from_schema_name(Event::name()).ref_location;
        schema(json!({
            "oneOf": [{"$ref": event}, {"type": "array", "items": {"$ref": event}}],
            "example": [example()]
        }))
    }
}

fn schema(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).expect("the schema is a constant that a test checks")
}

fn event(source: Source, stage: FunnelStage, user: Value, engagement: Value) -> Value {
    let mut event = object(&[
        ("eventId", text()),
        ("timestamp", time()),
        ("source", one_of(&[source], Source::name)),
        ("funnelStage", one_of(&[stage], FunnelStage::name)),
        ("eventType", one_of(EventType::of(source, stage), EventType::name)),
        ("data", object(&[("user", user), ("engagement", engagement)])),
    ]);
    event["title"] = json!(format!("{source} {stage}"));
    event
}

fn facebook_user() -> Value {
    object(&[
        ("userId", text()),
        ("name", text()),
        ("age", json!({"type": "integer", "minimum": 0, "maximum": 150})),
        ("gender", one_of(Gender::ALL, Gender::name)),
        ("location", object(&[("country", text()), ("city", text())])),
    ])
}

fn facebook_top() -> Value {
    object(&[
        ("actionTime", time()),
        ("referrer", one_of(Referrer::ALL, Referrer::name)),
        ("videoId", nullable(text())),
    ])
}

fn facebook_bottom() -> Value {
    object(&[
        ("adId", text()),
        ("campaignId", text()),
        ("clickPosition", one_of(ClickPosition::ALL, ClickPosition::name)),
        ("device", one_of(FacebookDevice::ALL, FacebookDevice::name)),
        ("browser", one_of(Browser::ALL, Browser::name)),
        ("purchaseAmount", nullable(amount())),
    ])
}

fn tiktok_user() -> Value {
    object(&[
        ("userId", text()),
        ("username", text()),
        ("followers", json!({"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_i64})),
    ])
}

fn tiktok_top() -> Value {
    object(&[
        ("watchTime", json!({"type": "number", "minimum": 0, "description": "Seconds"})),
        ("percentageWatched", json!({"type": "number", "minimum": 0, "maximum": 100})),
        ("device", one_of(TiktokDevice::ALL, TiktokDevice::name)),
        ("country", text()),
        ("videoId", text()),
    ])
}

fn tiktok_bottom() -> Value {
    object(&[
        ("actionTime", time()),
        ("profileId", nullable(text())),
        ("purchasedItem", nullable(text())),
        ("purchaseAmount", nullable(amount())),
    ])
}

/// An object whose keys are all required: null is a value, a missing key is an error.
fn object(properties: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn one_of<T: Copy>(members: &[T], name: impl Fn(T) -> &'static str) -> Value {
    let names: Vec<&str> = members.iter().map(|member| name(*member)).collect();
    json!({"type": "string", "enum": names})
}

fn text() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 256, "description": "Not blank, no control character"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn amount() -> Value {
    json!({"type": "string", "pattern": r"^\d{1,9}(\.\d{1,4})?$"})
}

fn nullable(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn example() -> Value {
    json!({
        "eventId": "fb-00000000-0000-4000-8000-000000000001",
        "timestamp": "2025-09-14T07:21:45.318Z",
        "source": "facebook",
        "funnelStage": "top",
        "eventType": "ad.view",
        "data": {
            "user": {
                "userId": "6f1c0d7e-2b9a-4c3d-8e21-0a7b6c5d4e3f", "name": "Mrs. Orla O'Dell", "age": 41,
                "gender": "female", "location": {"country": "Trinidad and Tobago", "city": "East Bramwell"}
            },
            "engagement": {"actionTime": "2025-09-14T07:21:45.318Z", "referrer": "marketplace", "videoId": null}
        }
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use weir_event::admit_json;

    use super::*;

    #[test]
    fn the_schema_names_every_stage_of_every_source() {
        let written = serde_json::to_value(Event::schema()).unwrap();
        let types: usize = written["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["properties"]["eventType"]["enum"].as_array().unwrap().len())
            .sum();
        assert_eq!(types, 14);
        let amount = &written["oneOf"][1]["properties"]["data"]["properties"]["engagement"]["properties"]["purchaseAmount"];
        assert_eq!(amount["type"], json!(["string", "null"]));
    }

    #[test]
    fn the_example_passes_the_gate() {
        assert!(admit_json(&example().to_string(), Utc::now()).is_ok());
    }
}
