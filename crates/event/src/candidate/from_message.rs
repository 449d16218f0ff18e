//! A gRPC client's message → candidate, so that the gate's rules are the same ones.
//!
//! What protobuf can't leave out (an empty string, a zero) is a value that breaks its rule; a missing message or
//! oneof is an absent key.

use std::borrow::Cow;

use prost_types::Timestamp;
use weir::contract::event::v1::{
    self, event::Source as Platform, facebook_event::Engagement as FacebookOneof,
    tiktok_event::Engagement as TiktokOneof,
};

use super::{Candidate, Data, Engagement, Location, Object, Scalar, User};
use crate::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
    message::numbered_type,
};

impl<'a> From<&'a v1::Event> for Candidate<'a> {
    fn from(event: &'a v1::Event) -> Self {
        let (source, stage, event_type, data) = match &event.source {
            None => (Scalar::Absent, Scalar::Absent, Scalar::Absent, Object::Absent),
            Some(Platform::Facebook(facebook)) => {
                let typed = facebook.engagement.as_ref().map(|engagement| match engagement {
                    FacebookOneof::Top(top) => (FunnelStage::Top, top.event_type),
                    FacebookOneof::Bottom(bottom) => (FunnelStage::Bottom, bottom.event_type),
                });
                let (stage, event_type) = stage_and_type(Source::Facebook, typed);
                let user = facebook.user.as_ref().map(User::from);
                let engagement = facebook.engagement.as_ref().map(Engagement::from);
                (text(Source::Facebook.name()), stage, event_type, data(user, engagement))
            }
            Some(Platform::Tiktok(tiktok)) => {
                let typed = tiktok.engagement.as_ref().map(|engagement| match engagement {
                    TiktokOneof::Top(top) => (FunnelStage::Top, top.event_type),
                    TiktokOneof::Bottom(bottom) => (FunnelStage::Bottom, bottom.event_type),
                });
                let (stage, event_type) = stage_and_type(Source::Tiktok, typed);
                let user = tiktok.user.as_ref().map(User::from);
                let engagement = tiktok.engagement.as_ref().map(Engagement::from);
                (text(Source::Tiktok.name()), stage, event_type, data(user, engagement))
            }
        };
        let timestamp = time(event.timestamp);
        Self { event_id: text(&event.event_id), timestamp, source, funnel_stage: stage, event_type, data }
    }
}

impl<'a> From<&'a v1::FacebookUser> for User<'a> {
    fn from(user: &'a v1::FacebookUser) -> Self {
        Self {
            user_id: text(&user.user_id),
            name: text(&user.name),
            age: Scalar::Integer(user.age.into()),
            gender: member(Gender::from_number(user.gender).map(Gender::name)),
            location: object(
                user.location.as_ref().map(|location| Location {
                    country: text(&location.country),
                    city: text(&location.city),
                }),
            ),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a v1::TiktokUser> for User<'a> {
    fn from(user: &'a v1::TiktokUser) -> Self {
        Self {
            user_id: text(&user.user_id),
            username: text(&user.username),
            followers: Scalar::Integer(user.followers),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a FacebookOneof> for Engagement<'a> {
    fn from(engagement: &'a FacebookOneof) -> Self {
        match engagement {
            FacebookOneof::Top(top) => Self {
                action_time: time(top.action_time),
                referrer: member(Referrer::from_number(top.referrer).map(Referrer::name)),
                video_id: nullable(top.video_id.as_deref()),
                ..Self::default()
            },
            FacebookOneof::Bottom(bottom) => Self {
                ad_id: text(&bottom.ad_id),
                campaign_id: text(&bottom.campaign_id),
                click_position: member(
                    ClickPosition::from_number(bottom.click_position).map(ClickPosition::name),
                ),
                device: member(FacebookDevice::from_number(bottom.device).map(FacebookDevice::name)),
                browser: member(Browser::from_number(bottom.browser).map(Browser::name)),
                purchase_amount: nullable(bottom.purchase_amount.as_deref()),
                ..Self::default()
            },
        }
    }
}

impl<'a> From<&'a TiktokOneof> for Engagement<'a> {
    fn from(engagement: &'a TiktokOneof) -> Self {
        match engagement {
            TiktokOneof::Top(top) => Self {
                watch_time: Scalar::Number(top.watch_time),
                percentage_watched: Scalar::Number(top.percentage_watched),
                device: member(TiktokDevice::from_number(top.device).map(TiktokDevice::name)),
                country: text(&top.country),
                video_id: text(&top.video_id),
                ..Self::default()
            },
            TiktokOneof::Bottom(bottom) => Self {
                action_time: time(bottom.action_time),
                profile_id: nullable(bottom.profile_id.as_deref()),
                purchased_item: nullable(bottom.purchased_item.as_deref()),
                purchase_amount: nullable(bottom.purchase_amount.as_deref()),
                ..Self::default()
            },
        }
    }
}

fn stage_and_type(source: Source, typed: Option<(FunnelStage, i32)>) -> (Scalar<'static>, Scalar<'static>) {
    match typed {
        None => (Scalar::Absent, Scalar::Absent),
        Some((stage, number)) => {
            let event_type = numbered_type(source, stage, number);
            (text(stage.name()), member(event_type.map(EventType::name)))
        }
    }
}

fn data<'a>(user: Option<User<'a>>, engagement: Option<Engagement<'a>>) -> Object<Data<'a>> {
    Object::Present(Data { user: object(user), engagement: object(engagement) })
}

fn object<T>(message: Option<T>) -> Object<T> {
    message.map_or(Object::Absent, Object::Present)
}

pub(super) fn text(text: &str) -> Scalar<'_> {
    Scalar::Text(Cow::Borrowed(text))
}

/// UNSPECIFIED and numbers of newer contracts are in no closed set, and neither is this name.
pub(super) fn member(known: Option<&'static str>) -> Scalar<'static> {
    text(known.unwrap_or("UNSPECIFIED"))
}

fn nullable(value: Option<&str>) -> Scalar<'_> {
    value.map_or(Scalar::Null, text)
}

fn time(timestamp: Option<Timestamp>) -> Scalar<'static> {
    timestamp.map_or(Scalar::Absent, |timestamp| Scalar::Instant(timestamp.seconds, timestamp.nanos))
}
