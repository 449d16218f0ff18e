//! An encoded event → candidate, without a copy of its texts.
//!
//! It reads only what is written as prost writes it: fields that the contract knows, each once and in order. Whatever
//! is written so is read here as prost reads it, and may be passed on as it is; of anything else this says nothing.

use prost::encoding::decode_varint;

use super::{
    Candidate, Data, Engagement, Location, Object, Scalar, User,
    from_message::{member, text},
};
use crate::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
    message::numbered_type,
};

/// One field's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// What a stage's message tells: its type by number, and the engagement.
type Stage<'a> = (FunnelStage, i32, Engagement<'a>);

/// What reads a stage's message: its type by number, and the engagement.
type ReadStage<'a> = fn(FunnelStage, &'a [u8]) -> Option<(i32, Engagement<'a>)>;

/// The event in `encoded`; `None` where it is not written as prost writes it.
pub(crate) fn candidate(encoded: &[u8]) -> Option<Candidate<'_>> {
    let mut candidate = Candidate { event_id: text(""), ..Candidate::default() };
    each(encoded, |tag, value| {
        match tag {
            // The id is there and comes first: who passes the bytes on finds it there.
            1 => candidate.event_id = value.text()?,
            2 => candidate.timestamp = value.instant()?,
            3 if matches!(candidate.data, Object::Absent) => {
                candidate.of(Source::Facebook, platform(value.bytes()?, facebook_user, facebook_stage)?);
            }
            4 if matches!(candidate.data, Object::Absent) => {
                candidate.of(Source::Tiktok, platform(value.bytes()?, tiktok_user, tiktok_stage)?);
            }
            _ => return None,
        }
        Some(())
    })?;
    Some(candidate)
}

impl<'a> Candidate<'a> {
    fn of(&mut self, source: Source, (user, stage): (Object<User<'a>>, Option<Stage<'a>>)) {
        self.source = text(source.name());
        let mut engagement = Object::Absent;
        if let Some((stage, number, told)) = stage {
            self.funnel_stage = text(stage.name());
            self.event_type = member(numbered_type(source, stage, number).map(EventType::name));
            engagement = Object::Present(told);
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
    let (mut read_user, mut read_stage) = (Object::Absent, None);
    each(encoded, |tag, value| {
        let bytes = value.bytes()?;
        let named = match tag {
            1 => {
                read_user = Object::Present(user(bytes)?);
                return Some(());
            }
            2 => FunnelStage::Top,
            3 => FunnelStage::Bottom,
            _ => return None,
        };
        let (number, engagement) = stage(named, bytes)?;
        read_stage.replace((named, number, engagement)).is_none().then_some(())
    })?;
    Some((read_user, read_stage))
}

fn facebook_user(encoded: &[u8]) -> Option<User<'_>> {
    let mut user = User {
        user_id: text(""),
        name: text(""),
        age: Scalar::Integer(0),
        gender: member(None),
        ..User::default()
    };
    each(encoded, |tag, value| {
        match tag {
            1 => user.user_id = value.text()?,
            2 => user.name = value.text()?,
            3 => user.age = Scalar::Integer(u32::try_from(value.varint()?).ok()?.into()),
            4 => user.gender = member(Gender::from_number(value.member()?).map(Gender::name)),
            5 => user.location = Object::Present(location(value.bytes()?)?),
            _ => return None,
        }
        Some(())
    })?;
    Some(user)
}

fn location(encoded: &[u8]) -> Option<Location<'_>> {
    let mut location = Location { country: text(""), city: text("") };
    each(encoded, |tag, value| {
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
    let mut user =
        User { user_id: text(""), username: text(""), followers: Scalar::Integer(0), ..User::default() };
    each(encoded, |tag, value| {
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
    let mut top = Engagement { referrer: member(None), video_id: Scalar::Null, ..Engagement::default() };
    each(encoded, |tag, value| {
        match tag {
            1 => number = value.member()?,
            2 => top.action_time = value.instant()?,
            3 => top.referrer = member(Referrer::from_number(value.member()?).map(Referrer::name)),
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
        ad_id: text(""),
        campaign_id: text(""),
        click_position: member(None),
        device: member(None),
        browser: member(None),
        purchase_amount: Scalar::Null,
        ..Engagement::default()
    };
    each(encoded, |tag, value| {
        match tag {
            1 => number = value.member()?,
            2 => bottom.ad_id = value.text()?,
            3 => bottom.campaign_id = value.text()?,
            4 => {
                let position = ClickPosition::from_number(value.member()?);
                bottom.click_position = member(position.map(ClickPosition::name));
            }
            5 => {
                let device = FacebookDevice::from_number(value.member()?);
                bottom.device = member(device.map(FacebookDevice::name));
            }
            6 => bottom.browser = member(Browser::from_number(value.member()?).map(Browser::name)),
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
        device: member(None),
        country: text(""),
        video_id: text(""),
        ..Engagement::default()
    };
    each(encoded, |tag, value| {
        match tag {
            1 => number = value.member()?,
            2 => top.watch_time = value.float()?,
            3 => top.percentage_watched = value.float()?,
            4 => top.device = member(TiktokDevice::from_number(value.member()?).map(TiktokDevice::name)),
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
    each(encoded, |tag, value| {
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
        std::str::from_utf8(self.bytes()?).ok().map(text)
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

    /// Of a negative number protobuf writes all 64 bits, whatever its type.
    fn instant(self) -> Option<Scalar<'a>> {
        let (mut seconds, mut nanos) = (0, 0);
        each(self.bytes()?, |tag, value| {
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

/// Shows every field of a message; `None` where one is not as prost would write it, or `read` takes none of it.
fn each<'a>(encoded: &'a [u8], mut read: impl FnMut(u8, Value<'a>) -> Option<()>) -> Option<()> {
    let mut rest = encoded;
    let mut before = 0;
    while !rest.is_empty() {
        // No tag of an event's is so high that its key needs a second byte.
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
