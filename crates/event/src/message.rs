//! The admitted event as the contract's message, and back.

use weir::contract::{
    event::v1::{
        self, event::Source as Platform, facebook_event::Engagement as FacebookOneof,
        tiktok_event::Engagement as TiktokOneof,
    },
    instant_micros, timestamp,
};

use super::{
    Amount, Browser, ClickPosition, Details, Event, EventType, FacebookBottom, FacebookDevice,
    FacebookEngagement, FacebookTop, FacebookUser, FunnelStage, Gender, Referrer, Source, TiktokBottom,
    TiktokDevice, TiktokEngagement, TiktokTop, TiktokUser,
};

/// The message is not the one of an admitted event.
#[derive(Debug, thiserror::Error)]
#[error("the event's {0} is missing or unknown")]
pub struct MalformedEvent(&'static str);

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        let source = match event.details {
            Details::Facebook { user, engagement } => Platform::Facebook(v1::FacebookEvent {
                user: Some(user.into()),
                engagement: Some(engagement.into()),
            }),
            Details::Tiktok { user, engagement } => Platform::Tiktok(v1::TiktokEvent {
                user: Some(user.into()),
                engagement: Some(engagement.into()),
            }),
        };
        Self { event_id: event.id, timestamp: Some(timestamp(event.timestamp)), source: Some(source) }
    }
}

impl From<FacebookUser> for v1::FacebookUser {
    fn from(user: FacebookUser) -> Self {
        let location = Some(v1::Location { country: user.country, city: user.city });
        Self {
            user_id: user.id,
            name: user.name,
            age: user.age.into(),
            gender: user.gender.number(),
            location,
        }
    }
}

impl From<FacebookEngagement> for FacebookOneof {
    fn from(engagement: FacebookEngagement) -> Self {
        match engagement {
            FacebookEngagement::Top(top) => Self::Top(v1::FacebookTop {
                event_type: top.event_type.number_in(Source::Facebook, FunnelStage::Top),
                action_time: Some(timestamp(top.action_time)),
                referrer: top.referrer.number(),
                video_id: top.video_id,
            }),
            FacebookEngagement::Bottom(bottom) => Self::Bottom(v1::FacebookBottom {
                event_type: bottom.event_type.number_in(Source::Facebook, FunnelStage::Bottom),
                ad_id: bottom.ad_id,
                campaign_id: bottom.campaign_id,
                click_position: bottom.click_position.number(),
                device: bottom.device.number(),
                browser: bottom.browser.number(),
                purchase_amount: bottom.purchase_amount.map(|amount| amount.to_string()),
            }),
        }
    }
}

impl From<TiktokUser> for v1::TiktokUser {
    fn from(user: TiktokUser) -> Self {
        Self { user_id: user.id, username: user.username, followers: user.followers.unsigned_abs() }
    }
}

impl From<TiktokEngagement> for TiktokOneof {
    fn from(engagement: TiktokEngagement) -> Self {
        match engagement {
            TiktokEngagement::Top(top) => Self::Top(v1::TiktokTop {
                event_type: top.event_type.number_in(Source::Tiktok, FunnelStage::Top),
                watch_time: top.watch_time,
                percentage_watched: top.percentage_watched,
                device: top.device.number(),
                country: top.country,
                video_id: top.video_id,
            }),
            TiktokEngagement::Bottom(bottom) => Self::Bottom(v1::TiktokBottom {
                event_type: bottom.event_type.number_in(Source::Tiktok, FunnelStage::Bottom),
                action_time: Some(timestamp(bottom.action_time)),
                profile_id: bottom.profile_id,
                purchased_item: bottom.purchased_item,
                purchase_amount: bottom.purchase_amount.map(|amount| amount.to_string()),
            }),
        }
    }
}

impl Event {
    /// Restores an event that a gate admitted before, such as one from the journal. It checks the shape of the message,
    /// not the rules: a rule of this build must not reject an event that an earlier build accepted. The caller vouches
    /// that the message comes from a gate.
    ///
    /// # Errors
    /// The message lacks a part that every build writes, or holds a value that no member of a closed set has.
    pub fn restore(message: v1::Event) -> Result<Self, MalformedEvent> {
        let timestamp = instant_micros(message.timestamp).ok_or(MalformedEvent("timestamp"))?;
        let details = match message.source.ok_or(MalformedEvent("source"))? {
            Platform::Facebook(facebook) => Details::Facebook {
                user: facebook.user.and_then(restore_facebook_user).ok_or(MalformedEvent("user"))?,
                engagement: facebook
                    .engagement
                    .and_then(restore_facebook)
                    .ok_or(MalformedEvent("engagement"))?,
            },
            Platform::Tiktok(tiktok) => Details::Tiktok {
                user: tiktok.user.and_then(restore_tiktok_user).ok_or(MalformedEvent("user"))?,
                engagement: tiktok.engagement.and_then(restore_tiktok).ok_or(MalformedEvent("engagement"))?,
            },
        };
        Ok(Self { id: message.event_id, timestamp, details })
    }
}

fn restore_facebook_user(user: v1::FacebookUser) -> Option<FacebookUser> {
    let location = user.location?;
    Some(FacebookUser {
        id: user.user_id,
        name: user.name,
        age: u8::try_from(user.age).ok()?,
        gender: Gender::from_number(user.gender)?,
        country: location.country,
        city: location.city,
    })
}

fn restore_facebook(engagement: FacebookOneof) -> Option<FacebookEngagement> {
    Some(match engagement {
        FacebookOneof::Top(top) => FacebookEngagement::Top(FacebookTop {
            event_type: EventType::from_number_in(Source::Facebook, FunnelStage::Top, top.event_type)?,
            action_time: instant_micros(top.action_time)?,
            referrer: Referrer::from_number(top.referrer)?,
            video_id: top.video_id,
        }),
        FacebookOneof::Bottom(bottom) => FacebookEngagement::Bottom(FacebookBottom {
            event_type: EventType::from_number_in(Source::Facebook, FunnelStage::Bottom, bottom.event_type)?,
            ad_id: bottom.ad_id,
            campaign_id: bottom.campaign_id,
            click_position: ClickPosition::from_number(bottom.click_position)?,
            device: FacebookDevice::from_number(bottom.device)?,
            browser: Browser::from_number(bottom.browser)?,
            purchase_amount: restore_amount(bottom.purchase_amount)?,
        }),
    })
}

fn restore_tiktok_user(user: v1::TiktokUser) -> Option<TiktokUser> {
    let followers = i64::try_from(user.followers).ok()?;
    Some(TiktokUser { id: user.user_id, username: user.username, followers })
}

fn restore_tiktok(engagement: TiktokOneof) -> Option<TiktokEngagement> {
    Some(match engagement {
        TiktokOneof::Top(top) => TiktokEngagement::Top(TiktokTop {
            event_type: EventType::from_number_in(Source::Tiktok, FunnelStage::Top, top.event_type)?,
            watch_time: top.watch_time,
            percentage_watched: top.percentage_watched,
            device: TiktokDevice::from_number(top.device)?,
            country: top.country,
            video_id: top.video_id,
        }),
        TiktokOneof::Bottom(bottom) => TiktokEngagement::Bottom(TiktokBottom {
            event_type: EventType::from_number_in(Source::Tiktok, FunnelStage::Bottom, bottom.event_type)?,
            action_time: instant_micros(bottom.action_time)?,
            profile_id: bottom.profile_id,
            purchased_item: bottom.purchased_item,
            purchase_amount: restore_amount(bottom.purchase_amount)?,
        }),
    })
}

/// The outer `None` is an amount that does not parse.
fn restore_amount(amount: Option<String>) -> Option<Option<Amount>> {
    match amount {
        None => Some(None),
        Some(text) => Amount::parse(&text).map(Some),
    }
}
