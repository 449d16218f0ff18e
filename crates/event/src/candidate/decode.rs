//! Decodes an event's bytes into a candidate, without a copy of its texts.
//!
//! The decoder accepts only the bytes that prost writes: fields that the contract knows, each once and in order. It
//! reads them exactly as prost does, so that ingest can pass them on unchanged. It returns `None` for all other bytes.

use prost::encoding::decode_varint;

use super::{Candidate, Data, Engagement, Location, Object, Scalar, User};
use crate::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
};

/// The value of one field.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// The content of a stage's message: the stage, the number of its event type, and the engagement.
type Stage<'a> = (FunnelStage, i32, Engagement<'a>);

/// A decoder of a stage's message, which returns the number of the event type and the engagement.
type ReadStage<'a> = fn(FunnelStage, &'a [u8]) -> Option<(i32, Engagement<'a>)>;

/// The candidate in `encoded`; `None` where prost would write the event differently.
pub(crate) fn decode(encoded: &[u8]) -> Option<Candidate<'_>> {
    let mut candidate = Candidate { event_id: Scalar::borrowed(""), ..Candidate::default() };
    for_each_field(encoded, |tag, value| {
        match tag {
            // The id is present and comes first: `EncodedEvent` looks for it there.
            1 => candidate.event_id = value.text()?,
            2 => candidate.timestamp = value.instant()?,
            3 if matches!(candidate.data, Object::Absent) => {
                candidate
                    .set_platform(Source::Facebook, platform(value.bytes()?, facebook_user, facebook_stage)?);
            }
            4 if matches!(candidate.data, Object::Absent) => {
                candidate.set_platform(Source::Tiktok, platform(value.bytes()?, tiktok_user, tiktok_stage)?);
            }
            _ => return None,
        }
        Some(())
    })?;
    Some(candidate)
}

impl<'a> Candidate<'a> {
    fn set_platform(&mut self, source: Source, (user, stage): (Object<User<'a>>, Option<Stage<'a>>)) {
        self.source = Scalar::borrowed(source.name());
        let mut engagement = Object::Absent;
        if let Some((stage, number, fields)) = stage {
            self.funnel_stage = Scalar::borrowed(stage.name());
            self.event_type =
                Scalar::member(EventType::from_number_in(source, stage, number).map(EventType::name));
            engagement = Object::Present(fields);
        }
        self.data = Object::Present(Data { user, engagement });
    }
}

/// A platform's message: a user, and the engagement of one stage.
fn platform<'a>(
    encoded: &'a [u8],
    user: fn(&'a [u8]) -> Option<User<'a>>,
    stage: ReadStage<'a>,
) -> Option<(Object<User<'a>>, Option<Stage<'a>>)> {
    let (mut found_user, mut found_stage) = (Object::Absent, None);
    for_each_field(encoded, |tag, value| {
        let bytes = value.bytes()?;
        let named = match tag {
            1 => {
                found_user = Object::Present(user(bytes)?);
                return Some(());
            }
            2 => FunnelStage::Top,
            3 => FunnelStage::Bottom,
            _ => return None,
        };
        let (number, engagement) = stage(named, bytes)?;
        found_stage.replace((named, number, engagement)).is_none().then_some(())
    })?;
    Some((found_user, found_stage))
}

fn facebook_user(encoded: &[u8]) -> Option<User<'_>> {
    let mut user = User {
        user_id: Scalar::borrowed(""),
        name: Scalar::borrowed(""),
        age: Scalar::Integer(0),
        gender: Scalar::member(None),
        ..User::default()
    };
    for_each_field(encoded, |tag, value| {
        match tag {
            1 => user.user_id = value.text()?,
            2 => user.name = value.text()?,
            3 => user.age = Scalar::Integer(u32::try_from(value.varint()?).ok()?.into()),
            4 => user.gender = Scalar::member(Gender::from_number(value.member()?).map(Gender::name)),
            5 => user.location = Object::Present(location(value.bytes()?)?),
            _ => return None,
        }
        Some(())
    })?;
    Some(user)
}

fn location(encoded: &[u8]) -> Option<Location<'_>> {
    let mut location = Location { country: Scalar::borrowed(""), city: Scalar::borrowed("") };
    for_each_field(encoded, |tag, value| {
        match tag {
            1 => location.country = value.text()?,
            2 => location.city = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(location)
}

fn tiktok_user(encoded: &[u8]) -> Option<User<'_>> {
    let mut user = User {
        user_id: Scalar::borrowed(""),
        username: Scalar::borrowed(""),
        followers: Scalar::Integer(0),
        ..User::default()
    };
    for_each_field(encoded, |tag, value| {
        match tag {
            1 => user.user_id = value.text()?,
            2 => user.username = value.text()?,
            3 => user.followers = Scalar::Integer(value.varint()?),
            _ => return None,
        }
        Some(())
    })?;
    Some(user)
}

fn facebook_stage(stage: FunnelStage, encoded: &[u8]) -> Option<(i32, Engagement<'_>)> {
    match stage {
        FunnelStage::Top => facebook_top(encoded),
        FunnelStage::Bottom => facebook_bottom(encoded),
    }
}

fn tiktok_stage(stage: FunnelStage, encoded: &[u8]) -> Option<(i32, Engagement<'_>)> {
    match stage {
        FunnelStage::Top => tiktok_top(encoded),
        FunnelStage::Bottom => tiktok_bottom(encoded),
    }
}

fn facebook_top(encoded: &[u8]) -> Option<(i32, Engagement<'_>)> {
    let mut number = 0;
    let mut top =
        Engagement { referrer: Scalar::member(None), video_id: Scalar::Null, ..Engagement::default() };
    for_each_field(encoded, |tag, value| {
        match tag {
            1 => number = value.member()?,
            2 => top.action_time = value.instant()?,
            3 => top.referrer = Scalar::member(Referrer::from_number(value.member()?).map(Referrer::name)),
            4 => top.video_id = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some((number, top))
}

fn facebook_bottom(encoded: &[u8]) -> Option<(i32, Engagement<'_>)> {
    let mut number = 0;
    let mut bottom = Engagement {
        ad_id: Scalar::borrowed(""),
        campaign_id: Scalar::borrowed(""),
        click_position: Scalar::member(None),
        device: Scalar::member(None),
        browser: Scalar::member(None),
        purchase_amount: Scalar::Null,
        ..Engagement::default()
    };
    for_each_field(encoded, |tag, value| {
        match tag {
            1 => number = value.member()?,
            2 => bottom.ad_id = value.text()?,
            3 => bottom.campaign_id = value.text()?,
            4 => {
                let position = ClickPosition::from_number(value.member()?);
                bottom.click_position = Scalar::member(position.map(ClickPosition::name));
            }
            5 => {
                let device = FacebookDevice::from_number(value.member()?);
                bottom.device = Scalar::member(device.map(FacebookDevice::name));
            }
            6 => bottom.browser = Scalar::member(Browser::from_number(value.member()?).map(Browser::name)),
            7 => bottom.purchase_amount = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some((number, bottom))
}

fn tiktok_top(encoded: &[u8]) -> Option<(i32, Engagement<'_>)> {
    let mut number = 0;
    let mut top = Engagement {
        watch_time: Scalar::Number(0.0),
        percentage_watched: Scalar::Number(0.0),
        device: Scalar::member(None),
        country: Scalar::borrowed(""),
        video_id: Scalar::borrowed(""),
        ..Engagement::default()
    };
    for_each_field(encoded, |tag, value| {
        match tag {
            1 => number = value.member()?,
            2 => top.watch_time = value.float()?,
            3 => top.percentage_watched = value.float()?,
            4 => {
                top.device =
                    Scalar::member(TiktokDevice::from_number(value.member()?).map(TiktokDevice::name))
            }
            5 => top.country = value.text()?,
            6 => top.video_id = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some((number, top))
}

fn tiktok_bottom(encoded: &[u8]) -> Option<(i32, Engagement<'_>)> {
    let mut number = 0;
    let mut bottom = Engagement {
        profile_id: Scalar::Null,
        purchased_item: Scalar::Null,
        purchase_amount: Scalar::Null,
        ..Engagement::default()
    };
    for_each_field(encoded, |tag, value| {
        match tag {
            1 => number = value.member()?,
            2 => bottom.action_time = value.instant()?,
            3 => bottom.profile_id = value.text()?,
            4 => bottom.purchased_item = value.text()?,
            5 => bottom.purchase_amount = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some((number, bottom))
}

impl<'a> Value<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    fn text(self) -> Option<Scalar<'a>> {
        std::str::from_utf8(self.bytes()?).ok().map(Scalar::borrowed)
    }

    fn varint(self) -> Option<u64> {
        if let Self::Varint(number) = self { Some(number) } else { None }
    }

    fn member(self) -> Option<i32> {
        self.varint().and_then(|number| i32::try_from(number).ok())
    }

    fn float(self) -> Option<Scalar<'a>> {
        if let Self::Fixed(bits) = self { Some(Scalar::Number(f64::from_bits(bits))) } else { None }
    }

    /// protobuf writes all 64 bits of a negative number, even of an `int32`.
    fn instant(self) -> Option<Scalar<'a>> {
        let (mut seconds, mut nanos) = (0, 0);
        for_each_field(self.bytes()?, |tag, value| {
            match tag {
                1 => seconds = value.varint()?.cast_signed(),
                2 => nanos = i32::try_from(value.varint()?.cast_signed()).ok()?,
                _ => return None,
            }
            Some(())
        })?;
        Some(Scalar::Instant(seconds, nanos))
    }
}

/// Calls `read` with every field of a message. `None` where prost would write a field differently, or `read` refuses
/// it.
fn for_each_field<'a>(encoded: &'a [u8], mut read: impl FnMut(u8, Value<'a>) -> Option<()>) -> Option<()> {
    let mut rest = encoded;
    let mut before = 0;
    while !rest.is_empty() {
        // The key of every field of an event fits into one byte.
        let (&key, after) = rest.split_first().filter(|(key, _)| key.is_ascii())?;
        rest = after;
        let (tag, wire_type) = (key >> 3, key & 7);
        if tag <= before {
            return None;
        }
        before = tag;
        let value = match wire_type {
            0 => Value::Varint(decode_varint(&mut rest).ok()?),
            1 => {
                let (bits, after) = rest.split_first_chunk::<8>()?;
                rest = after;
                Value::Fixed(u64::from_le_bytes(*bits))
            }
            2 => {
                let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                let (bytes, after) = rest.split_at_checked(length)?;
                rest = after;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        read(tag, value)?;
    }
    Some(())
}

#[cfg(test)]
mod tests;
