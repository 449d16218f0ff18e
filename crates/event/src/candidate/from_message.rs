//! Converts a gRPC client's message into a candidate, so that the gate applies the same rules to it.
//!
//! protobuf can't leave out a string or a number, so an empty string and a zero are values, and may break a rule. A
//! missing message or oneof is an absent key.

use prost_types::Timestamp;
use weir::contract::event::v1::{
    self, event::Source as Platform, facebook_event::Engagement as FacebookOneof,
    tiktok_event::Engagement as TiktokOneof,
};

use super::{Candidate, Data, Engagement, Location, Object, Scalar, User};
use crate::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
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
                (Scalar::borrowed(Source::Facebook.name()), stage, event_type, data(user, engagement))
            }
            Some(Platform::Tiktok(tiktok)) => {
                let typed = tiktok.engagement.as_ref().map(|engagement| match engagement {
                    TiktokOneof::Top(top) => (FunnelStage::Top, top.event_type),
                    TiktokOneof::Bottom(bottom) => (FunnelStage::Bottom, bottom.event_type),
                });
                let (stage, event_type) = stage_and_type(Source::Tiktok, typed);
                let user = tiktok.user.as_ref().map(User::from);
                let engagement = tiktok.engagement.as_ref().map(Engagement::from);
                (Scalar::borrowed(Source::Tiktok.name()), stage, event_type, data(user, engagement))
            }
        };
        let timestamp = time(event.timestamp);
        Self {
            event_id: Scalar::borrowed(&event.event_id),
            timestamp,
            source,
            funnel_stage: stage,
            event_type,
            data,
        }
    }
}

impl<'a> From<&'a v1::FacebookUser> for User<'a> {
    fn from(user: &'a v1::FacebookUser) -> Self {
        Self {
            user_id: Scalar::borrowed(&user.user_id),
            name: Scalar::borrowed(&user.name),
            age: Scalar::Integer(user.age.into()),
            gender: Scalar::member(Gender::from_number(user.gender).map(Gender::name)),
            location: object(user.location.as_ref().map(|location| Location {
                country: Scalar::borrowed(&location.country),
                city: Scalar::borrowed(&location.city),
            })),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a v1::TiktokUser> for User<'a> {
    fn from(user: &'a v1::TiktokUser) -> Self {
        Self {
            user_id: Scalar::borrowed(&user.user_id),
            username: Scalar::borrowed(&user.username),
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
                referrer: Scalar::member(Referrer::from_number(top.referrer).map(Referrer::name)),
                video_id: nullable(top.video_id.as_deref()),
                ..Self::default()
            },
            FacebookOneof::Bottom(bottom) => Self {
                ad_id: Scalar::borrowed(&bottom.ad_id),
                campaign_id: Scalar::borrowed(&bottom.campaign_id),
                click_position: Scalar::member(
                    ClickPosition::from_number(bottom.click_position).map(ClickPosition::name),
                ),
                device: Scalar::member(FacebookDevice::from_number(bottom.device).map(FacebookDevice::name)),
                browser: Scalar::member(Browser::from_number(bottom.browser).map(Browser::name)),
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
                device: Scalar::member(TiktokDevice::from_number(top.device).map(TiktokDevice::name)),
                country: Scalar::borrowed(&top.country),
                video_id: Scalar::borrowed(&top.video_id),
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
            let event_type = EventType::from_number_in(source, stage, number);
            (Scalar::borrowed(stage.name()), Scalar::member(event_type.map(EventType::name)))
        }
    }
}

fn data<'a>(user: Option<User<'a>>, engagement: Option<Engagement<'a>>) -> Object<Data<'a>> {
    Object::Present(Data { user: object(user), engagement: object(engagement) })
}

fn object<T>(message: Option<T>) -> Object<T> {
    message.map_or(Object::Absent, Object::Present)
}

fn nullable(value: Option<&str>) -> Scalar<'_> {
    value.map_or(Scalar::Null, Scalar::borrowed)
}

fn time(timestamp: Option<Timestamp>) -> Scalar<'static> {
    timestamp.map_or(Scalar::Absent, |timestamp| Scalar::Instant(timestamp.seconds, timestamp.nanos))
}
