//! The gate: every rule of an event, in one place for webhooks and gRPC alike.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use prost::{DecodeError, Message as _};
use weir::contract::{enums::ClosedSet, event::v1};

use super::{
    Amount, Details, EncodedEvent, Event, EventType, FacebookBottom, FacebookEngagement, FacebookTop,
    FacebookUser, FunnelStage, Refusal, Source, TiktokBottom, TiktokEngagement, TiktokTop, TiktokUser,
    Violation,
    candidate::{
        Candidate, Engagement, Location, Object, REPEATED, Scalar, User, check_text,
        decode::decode,
        json::{not_utf_8, read},
    },
    cut_event_id,
};

/// The most bytes of one item's JSON: 256 KiB.
pub const MAX_ITEM_BYTES: usize = 256 * 1024;
/// 2000-01-01T00:00:00Z: these platforms have no older events.
const EARLIEST: DateTime<Utc> = DateTime::from_timestamp(946_684_800, 0).expect("2000 is in chrono's range");
/// The most time that a sender's clock may be ahead of the arrival.
const MAX_AHEAD: TimeDelta = TimeDelta::hours(24);
/// The message for a timestamp further ahead than 24 hours. The clock behind the arrival may be at fault as well, so
/// ingest adds a hint to exactly this message.
pub const TOO_FAR_AHEAD: &str =
    "must lie between 2000-01-01 and 24 hours after arrival, and is further ahead";
/// Years.
const MAX_AGE: u64 = 150;
/// 2^53 − 1: every JSON reader keeps integers up to it exact.
const MAX_FOLLOWERS: u64 = (1 << 53) - 1;

/// Checks one webhook item. `arrived_at` is the time that its timestamp is measured against.
///
/// # Errors
/// Every rule that the item breaks.
pub fn admit_json(raw: &str, arrived_at: DateTime<Utc>) -> Result<Event, Refusal> {
    check_json(raw, arrived_at).map(Event::into_owned)
}

/// [`admit_json`] for bytes that may be no UTF-8, such as those of a dead letter.
///
/// # Errors
/// Every rule that the item breaks. Bytes that are no UTF-8 or no JSON break that one rule, at pointer `""`.
pub fn admit_bytes(raw: &[u8], arrived_at: DateTime<Utc>) -> Result<Event, Refusal> {
    check_bytes(raw, arrived_at).map(Event::into_owned)
}

/// [`admit_json`] without a copy: the event borrows its texts from `raw`.
///
/// # Errors
/// Every rule that the item breaks.
pub fn check_json(raw: &str, arrived_at: DateTime<Utc>) -> Result<Event<Cow<'_, str>>, Refusal> {
    let mut candidate = Candidate::default();
    match read(&mut candidate, raw) {
        Ok(()) if raw.len() <= MAX_ITEM_BYTES => admit(candidate, arrived_at),
        Ok(()) => {
            let message = format!("has {} bytes, over the limit of {MAX_ITEM_BYTES}", raw.len());
            Err(Refusal::of_item(message, candidate))
        }
        // An item that is not well-formed reports no source: the result would depend on where its JSON breaks.
        Err(message) => Err(Refusal { source: None, ..Refusal::of_item(message, candidate) }),
    }
}

/// [`admit_bytes`] without a copy, for a line of NDJSON.
///
/// # Errors
/// Every rule that the item breaks.
pub fn check_bytes(raw: &[u8], arrived_at: DateTime<Utc>) -> Result<Event<Cow<'_, str>>, Refusal> {
    let error = match std::str::from_utf8(raw) {
        Ok(text) => return check_json(text, arrived_at),
        Err(error) => error,
    };
    // One invalid byte in a name must not hide the item's source and id.
    let lossy = String::from_utf8_lossy(raw);
    let mut candidate = Candidate::default();
    let is_json = read(&mut candidate, &lossy).is_ok();
    let mut refusal = Refusal::of_item(not_utf_8(error), candidate);
    refusal.source = refusal.source.filter(|_| is_json);
    refusal.event_id = refusal.event_id.filter(|id| !id.contains(char::REPLACEMENT_CHARACTER));
    Err(refusal)
}

/// Checks one event of a gRPC client by the same rules. The pointers are those of the webhook's JSON.
///
/// # Errors
/// Every rule that the event breaks.
pub fn admit_message(message: &v1::Event, arrived_at: DateTime<Utc>) -> Result<Event, Refusal> {
    admit(Candidate::from(message), arrived_at).map(Event::into_owned)
}

/// [`admit_message`] for encoded bytes. Bytes that prost would write stay as they are; others are decoded and written
/// anew.
///
/// # Errors
/// The outer error: the bytes are no event. The inner error: every rule that the event breaks.
pub fn admit_encoded(
    encoded: &Bytes,
    arrived_at: DateTime<Utc>,
) -> Result<Result<EncodedEvent, Refusal>, DecodeError> {
    if let Some(candidate) = decode(encoded) {
        let admitted = admit(candidate, arrived_at);
        return Ok(admitted.map(|event| EncodedEvent::new(event.source(), encoded.clone())));
    }
    let message = v1::Event::decode(&**encoded)?;
    Ok(admit_message(&message, arrived_at).map(EncodedEvent::from))
}

fn admit(candidate: Candidate<'_>, arrived_at: DateTime<Utc>) -> Result<Event<Cow<'_, str>>, Refusal> {
    let mut check = Check::default();
    let repeated_id = match &candidate.event_id {
        repeated @ Scalar::Repeated(_) => repeated.first_text(),
        _ => None,
    };
    let id = candidate.event_id.text();
    let id_is_good =
        check.value("/eventId", id.as_deref().map_err(Clone::clone).and_then(check_text)).is_some();
    let timestamp = check
        .value("/timestamp", candidate.timestamp.instant().and_then(|at| check_timestamp(at, arrived_at)));
    let source = check.one_of("/source", candidate.source);
    let stage = check.one_of("/funnelStage", candidate.funnel_stage);
    let event_type = check.value("/eventType", event_type(candidate.event_type, source, stage));
    let details = check.object("/data", candidate.data).and_then(|data| {
        let user = check.object("/data/user", data.user);
        let engagement = check.object("/data/engagement", data.engagement);
        check.details(source.zip(stage), event_type, source, user, engagement)
    });
    match (id, timestamp, details) {
        (Ok(id), Some(timestamp), Some(details)) if id_is_good && check.violations.is_empty() => {
            Ok(Event { id, timestamp, details })
        }
        (id, ..) => Err(Refusal {
            violations: check.violations,
            source,
            event_id: id.ok().or(repeated_id).map(|id| cut_event_id(&id).to_owned()),
        }),
    }
}

/// One run of the gate. Each method returns a value that keeps its rule, or records the violation.
#[derive(Default)]
struct Check {
    violations: Vec<Violation>,
}

impl Check {
    fn value<T>(&mut self, pointer: &'static str, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.violations.push(Violation::new(pointer, message))).ok()
    }

    fn object<T>(&mut self, pointer: &'static str, object: Object<T>) -> Option<T> {
        let value = match object {
            Object::Present(value) => Ok(value),
            Object::Absent => Err("is required".into()),
            Object::Repeated => Err(REPEATED.into()),
            Object::Other(kind) => Err(format!("must be an object, not {kind}")),
        };
        self.value(pointer, value)
    }

    fn text<'a>(&mut self, pointer: &'static str, scalar: Scalar<'a>) -> Option<Cow<'a, str>> {
        let text = scalar.text().and_then(|text| check_text(&text).map(|()| text));
        self.value(pointer, text)
    }

    fn one_of<T: ClosedSet>(&mut self, pointer: &'static str, scalar: Scalar<'_>) -> Option<T> {
        let member = scalar.text().and_then(|name| {
            T::from_name(&name).ok_or_else(|| format!("must be one of {}", T::NAMES.join(", ")))
        });
        self.value(pointer, member)
    }

    /// A key that is required and may be null: `Some(None)` is a null.
    fn nullable<'a, T>(
        &mut self,
        scalar: Scalar<'a>,
        value: impl FnOnce(&mut Self, Scalar<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        if scalar.is_null() { Some(None) } else { value(self, scalar).map(Some) }
    }

    fn nullable_text<'a>(
        &mut self,
        pointer: &'static str,
        scalar: Scalar<'a>,
    ) -> Option<Option<Cow<'a, str>>> {
        self.nullable(scalar, |check, scalar| check.text(pointer, scalar))
    }

    fn amount(&mut self, scalar: Scalar<'_>) -> Option<Option<Amount>> {
        self.nullable(scalar, |check, scalar| {
            let amount =
                scalar.text().and_then(|text| Amount::parse(&text).ok_or_else(|| Amount::RULE.into()));
            check.value("/data/engagement/purchaseAmount", amount)
        })
    }

    /// Checks the keys of the source and the stage. Without a source it can only check the key that every source has.
    fn details<'a>(
        &mut self,
        known: Option<(Source, FunnelStage)>,
        event_type: Option<EventType>,
        source: Option<Source>,
        user: Option<User<'a>>,
        engagement: Option<Engagement<'a>>,
    ) -> Option<Details<Cow<'a, str>>> {
        match source {
            None => {
                self.text("/data/user/userId", user?.user_id);
                None
            }
            Some(Source::Facebook) => {
                let user = user.and_then(|user| self.facebook_user(user));
                let engagement = engagement.zip(known).and_then(|(engagement, (_, stage))| match stage {
                    FunnelStage::Top => {
                        self.facebook_top(event_type, engagement).map(FacebookEngagement::Top)
                    }
                    FunnelStage::Bottom => {
                        self.facebook_bottom(event_type, engagement).map(FacebookEngagement::Bottom)
                    }
                });
                Some(Details::Facebook { user: user?, engagement: engagement? })
            }
            Some(Source::Tiktok) => {
                let user = user.and_then(|user| self.tiktok_user(user));
                let engagement = engagement.zip(known).and_then(|(engagement, (_, stage))| match stage {
                    FunnelStage::Top => self.tiktok_top(event_type, engagement).map(TiktokEngagement::Top),
                    FunnelStage::Bottom => {
                        self.tiktok_bottom(event_type, engagement).map(TiktokEngagement::Bottom)
                    }
                });
                Some(Details::Tiktok { user: user?, engagement: engagement? })
            }
        }
    }

    fn facebook_user<'a>(&mut self, user: User<'a>) -> Option<FacebookUser<Cow<'a, str>>> {
        let id = self.text("/data/user/userId", user.user_id);
        let name = self.text("/data/user/name", user.name);
        let age = self.value("/data/user/age", user.age.integer(MAX_AGE));
        let gender = self.one_of("/data/user/gender", user.gender);
        let location =
            self.object("/data/user/location", user.location).and_then(|location| self.location(location));
        let (country, city) = location?;
        let age = u8::try_from(age?).expect("the gate lets no age over 150 pass");
        Some(FacebookUser { id: id?, name: name?, age, gender: gender?, country, city })
    }

    fn location<'a>(&mut self, location: Location<'a>) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
        let country = self.text("/data/user/location/country", location.country);
        let city = self.text("/data/user/location/city", location.city);
        country.zip(city)
    }

    fn facebook_top<'a>(
        &mut self,
        event_type: Option<EventType>,
        top: Engagement<'a>,
    ) -> Option<FacebookTop<Cow<'a, str>>> {
        let action_time = self.value("/data/engagement/actionTime", top.action_time.instant());
        let referrer = self.one_of("/data/engagement/referrer", top.referrer);
        let video_id = self.nullable_text("/data/engagement/videoId", top.video_id);
        Some(FacebookTop {
            event_type: event_type?,
            action_time: action_time?,
            referrer: referrer?,
            video_id: video_id?,
        })
    }

    fn facebook_bottom<'a>(
        &mut self,
        event_type: Option<EventType>,
        bottom: Engagement<'a>,
    ) -> Option<FacebookBottom<Cow<'a, str>>> {
        let ad_id = self.text("/data/engagement/adId", bottom.ad_id);
        let campaign_id = self.text("/data/engagement/campaignId", bottom.campaign_id);
        let click_position = self.one_of("/data/engagement/clickPosition", bottom.click_position);
        let device = self.one_of("/data/engagement/device", bottom.device);
        let browser = self.one_of("/data/engagement/browser", bottom.browser);
        let purchase_amount = self.amount(bottom.purchase_amount);
        Some(FacebookBottom {
            event_type: event_type?,
            ad_id: ad_id?,
            campaign_id: campaign_id?,
            click_position: click_position?,
            device: device?,
            browser: browser?,
            purchase_amount: purchase_amount?,
        })
    }

    fn tiktok_user<'a>(&mut self, user: User<'a>) -> Option<TiktokUser<Cow<'a, str>>> {
        let id = self.text("/data/user/userId", user.user_id);
        let username = self.text("/data/user/username", user.username);
        let followers = self.value("/data/user/followers", user.followers.integer(MAX_FOLLOWERS));
        let followers = i64::try_from(followers?).expect("the gate lets no count over 2^53 − 1 pass");
        Some(TiktokUser { id: id?, username: username?, followers })
    }

    fn tiktok_top<'a>(
        &mut self,
        event_type: Option<EventType>,
        top: Engagement<'a>,
    ) -> Option<TiktokTop<Cow<'a, str>>> {
        let watch_time = self.value("/data/engagement/watchTime", top.watch_time.number(None));
        let percentage_watched =
            self.value("/data/engagement/percentageWatched", top.percentage_watched.number(Some(100.0)));
        let device = self.one_of("/data/engagement/device", top.device);
        let country = self.text("/data/engagement/country", top.country);
        let video_id = self.text("/data/engagement/videoId", top.video_id);
        Some(TiktokTop {
            event_type: event_type?,
            watch_time: watch_time?,
            percentage_watched: percentage_watched?,
            device: device?,
            country: country?,
            video_id: video_id?,
        })
    }

    fn tiktok_bottom<'a>(
        &mut self,
        event_type: Option<EventType>,
        bottom: Engagement<'a>,
    ) -> Option<TiktokBottom<Cow<'a, str>>> {
        let action_time = self.value("/data/engagement/actionTime", bottom.action_time.instant());
        let profile_id = self.nullable_text("/data/engagement/profileId", bottom.profile_id);
        let purchased_item = self.nullable_text("/data/engagement/purchasedItem", bottom.purchased_item);
        let purchase_amount = self.amount(bottom.purchase_amount);
        Some(TiktokBottom {
            event_type: event_type?,
            action_time: action_time?,
            profile_id: profile_id?,
            purchased_item: purchased_item?,
            purchase_amount: purchase_amount?,
        })
    }
}

fn check_timestamp(timestamp: DateTime<Utc>, arrived_at: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if timestamp < EARLIEST {
        Err("must lie between 2000-01-01 and 24 hours after arrival".into())
    } else if timestamp > arrived_at + MAX_AHEAD {
        Err(TOO_FAR_AHEAD.into())
    } else {
        Ok(timestamp)
    }
}

/// Checks a type against the known source and stage. Without both it must exist in some source and stage.
fn event_type(
    scalar: Scalar<'_>,
    source: Option<Source>,
    stage: Option<FunnelStage>,
) -> Result<EventType, String> {
    let sources = source.as_ref().map_or(Source::ALL, std::slice::from_ref);
    let stages = stage.as_ref().map_or(FunnelStage::ALL, std::slice::from_ref);
    let possible =
        || sources.iter().flat_map(|source| stages.iter().flat_map(|stage| EventType::of(*source, *stage)));
    let event_type = EventType::from_name(&scalar.text()?);
    event_type.filter(|event_type| possible().any(|possible| possible == event_type)).ok_or_else(|| {
        let names: Vec<&str> = possible().map(|event_type| event_type.name()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests;
