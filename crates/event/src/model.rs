//! The admitted event and its parts. Code outside this crate can read an [`Event`] and can't build one from its parts.
//!
//! Texts are owned, or borrowed from the sender's bytes while the event passes through the gate.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{
    Amount, Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source,
    TiktokDevice,
};

/// An event that a gate admitted: this build's, or an earlier one's for an event from the journal ([`Event::restore`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Event<Text = String> {
    pub(super) id: Text,
    pub(super) timestamp: DateTime<Utc>,
    pub(super) details: Details<Text>,
}

/// The part of an event that differs by platform.
#[derive(Clone, Debug, PartialEq)]
pub enum Details<Text = String> {
    Facebook { user: FacebookUser<Text>, engagement: FacebookEngagement<Text> },
    Tiktok { user: TiktokUser<Text>, engagement: TiktokEngagement<Text> },
}

/// The person behind a Facebook event.
#[derive(Clone, Debug, PartialEq)]
pub struct FacebookUser<Text = String> {
    pub id: Text,
    pub name: Text,
    /// Years, 0 to 150.
    pub age: u8,
    pub gender: Gender,
    pub country: Text,
    pub city: Text,
}

/// The engagement of a Facebook event, by funnel stage.
#[derive(Clone, Debug, PartialEq)]
pub enum FacebookEngagement<Text = String> {
    Top(FacebookTop<Text>),
    Bottom(FacebookBottom<Text>),
}

/// A Facebook event of the top stage: attention.
#[derive(Clone, Debug, PartialEq)]
pub struct FacebookTop<Text = String> {
    pub event_type: EventType,
    pub action_time: DateTime<Utc>,
    pub referrer: Referrer,
    pub video_id: Option<Text>,
}

/// A Facebook event of the bottom stage: intent.
#[derive(Clone, Debug, PartialEq)]
pub struct FacebookBottom<Text = String> {
    pub event_type: EventType,
    pub ad_id: Text,
    pub campaign_id: Text,
    pub click_position: ClickPosition,
    pub device: FacebookDevice,
    pub browser: Browser,
    pub purchase_amount: Option<Amount>,
}

/// The person behind a TikTok event.
#[derive(Clone, Debug, PartialEq)]
pub struct TiktokUser<Text = String> {
    pub id: Text,
    pub username: Text,
    /// 0 to 2^53 − 1.
    pub followers: i64,
}

/// The engagement of a TikTok event, by funnel stage.
#[derive(Clone, Debug, PartialEq)]
pub enum TiktokEngagement<Text = String> {
    Top(TiktokTop<Text>),
    Bottom(TiktokBottom<Text>),
}

/// A TikTok event of the top stage: attention.
#[derive(Clone, Debug, PartialEq)]
pub struct TiktokTop<Text = String> {
    pub event_type: EventType,
    /// Seconds, 0 or more.
    pub watch_time: f64,
    /// Percent, 0 to 100.
    pub percentage_watched: f64,
    pub device: TiktokDevice,
    pub country: Text,
    pub video_id: Text,
}

/// A TikTok event of the bottom stage: intent.
#[derive(Clone, Debug, PartialEq)]
pub struct TiktokBottom<Text = String> {
    pub event_type: EventType,
    pub action_time: DateTime<Utc>,
    pub profile_id: Option<Text>,
    pub purchased_item: Option<Text>,
    pub purchase_amount: Option<Amount>,
}

impl<Text: AsRef<str>> Event<Text> {
    /// The sender's id, unique within the source.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_ref()
    }
}

impl<Text> Event<Text> {
    /// The time of the event by the sender's clock, to the microsecond.
    #[must_use]
    pub fn timestamp(&self) -> DateTime<Utc> {
        self.timestamp
    }

    /// The user and the engagement, by platform.
    #[must_use]
    pub fn details(&self) -> &Details<Text> {
        &self.details
    }

    /// The platform that the event comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        match self.details {
            Details::Facebook { .. } => Source::Facebook,
            Details::Tiktok { .. } => Source::Tiktok,
        }
    }

    /// The place of the event in the funnel.
    #[must_use]
    pub fn funnel_stage(&self) -> FunnelStage {
        match &self.details {
            Details::Facebook { engagement: FacebookEngagement::Top(_), .. }
            | Details::Tiktok { engagement: TiktokEngagement::Top(_), .. } => FunnelStage::Top,
            Details::Facebook { engagement: FacebookEngagement::Bottom(_), .. }
            | Details::Tiktok { engagement: TiktokEngagement::Bottom(_), .. } => FunnelStage::Bottom,
        }
    }

    /// The type, unique together with the source.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match &self.details {
            Details::Facebook { engagement: FacebookEngagement::Top(top), .. } => top.event_type,
            Details::Facebook { engagement: FacebookEngagement::Bottom(bottom), .. } => bottom.event_type,
            Details::Tiktok { engagement: TiktokEngagement::Top(top), .. } => top.event_type,
            Details::Tiktok { engagement: TiktokEngagement::Bottom(bottom), .. } => bottom.event_type,
        }
    }
}

impl Event<Cow<'_, str>> {
    /// The same event with texts of its own, independent of the sender's bytes.
    #[must_use]
    pub fn into_owned(self) -> Event {
        Event { id: self.id.into_owned(), timestamp: self.timestamp, details: self.details.into_owned() }
    }
}

impl Details<Cow<'_, str>> {
    fn into_owned(self) -> Details {
        match self {
            Self::Facebook { user, engagement } => {
                let engagement = match engagement {
                    FacebookEngagement::Top(top) => FacebookEngagement::Top(top.into_owned()),
                    FacebookEngagement::Bottom(bottom) => FacebookEngagement::Bottom(bottom.into_owned()),
                };
                Details::Facebook { user: user.into_owned(), engagement }
            }
            Self::Tiktok { user, engagement } => {
                let engagement = match engagement {
                    TiktokEngagement::Top(top) => TiktokEngagement::Top(top.into_owned()),
                    TiktokEngagement::Bottom(bottom) => TiktokEngagement::Bottom(bottom.into_owned()),
                };
                Details::Tiktok { user: user.into_owned(), engagement }
            }
        }
    }
}

impl FacebookUser<Cow<'_, str>> {
    fn into_owned(self) -> FacebookUser {
        let Self { id, name, age, gender, country, city } = self;
        let [id, name, country, city] = [id, name, country, city].map(Cow::into_owned);
        FacebookUser { id, name, age, gender, country, city }
    }
}

impl FacebookTop<Cow<'_, str>> {
    fn into_owned(self) -> FacebookTop {
        let Self { event_type, action_time, referrer, video_id } = self;
        FacebookTop { event_type, action_time, referrer, video_id: video_id.map(Cow::into_owned) }
    }
}

impl FacebookBottom<Cow<'_, str>> {
    fn into_owned(self) -> FacebookBottom {
        let Self { event_type, ad_id, campaign_id, click_position, device, browser, purchase_amount } = self;
        let [ad_id, campaign_id] = [ad_id, campaign_id].map(Cow::into_owned);
        FacebookBottom { event_type, ad_id, campaign_id, click_position, device, browser, purchase_amount }
    }
}

impl TiktokUser<Cow<'_, str>> {
    fn into_owned(self) -> TiktokUser {
        let Self { id, username, followers } = self;
        TiktokUser { id: id.into_owned(), username: username.into_owned(), followers }
    }
}

impl TiktokTop<Cow<'_, str>> {
    fn into_owned(self) -> TiktokTop {
        let Self { event_type, watch_time, percentage_watched, device, country, video_id } = self;
        let [country, video_id] = [country, video_id].map(Cow::into_owned);
        TiktokTop { event_type, watch_time, percentage_watched, device, country, video_id }
    }
}

impl TiktokBottom<Cow<'_, str>> {
    fn into_owned(self) -> TiktokBottom {
        let Self { event_type, action_time, profile_id, purchased_item, purchase_amount } = self;
        let [profile_id, purchased_item] = [profile_id, purchased_item].map(|text| text.map(Cow::into_owned));
        TiktokBottom { event_type, action_time, profile_id, purchased_item, purchase_amount }
    }
}
