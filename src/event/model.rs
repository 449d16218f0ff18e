//! The admitted event and its parts. Only this module's parent makes an [`Event`]; everybody may read one.

use chrono::{DateTime, Utc};

use super::{
    Amount, Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source,
    TiktokDevice,
};

/// An event that keeps every rule of wire.md section 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub(super) id: String,
    pub(super) timestamp: DateTime<Utc>,
    pub(super) details: Details,
}

/// What only one platform tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Details {
    Facebook { user: FacebookUser, engagement: FacebookEngagement },
    Tiktok { user: TiktokUser, engagement: TiktokEngagement },
}

#[derive(Clone, Debug, PartialEq)]
pub struct FacebookUser {
    pub id: String,
    pub name: String,
    /// Years, 0 to 150.
    pub age: u8,
    pub gender: Gender,
    pub country: String,
    pub city: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FacebookEngagement {
    Top(FacebookTop),
    Bottom(FacebookBottom),
}

#[derive(Clone, Debug, PartialEq)]
pub struct FacebookTop {
    pub event_type: EventType,
    pub action_time: DateTime<Utc>,
    pub referrer: Referrer,
    pub video_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FacebookBottom {
    pub event_type: EventType,
    pub ad_id: String,
    pub campaign_id: String,
    pub click_position: ClickPosition,
    pub device: FacebookDevice,
    pub browser: Browser,
    pub purchase_amount: Option<Amount>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TiktokUser {
    pub id: String,
    pub username: String,
    /// 0 to 2^53 − 1.
    pub followers: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TiktokEngagement {
    Top(TiktokTop),
    Bottom(TiktokBottom),
}

#[derive(Clone, Debug, PartialEq)]
pub struct TiktokTop {
    pub event_type: EventType,
    /// Seconds, 0 or more.
    pub watch_time: f64,
    /// 0 to 100.
    pub percentage_watched: f64,
    pub device: TiktokDevice,
    pub country: String,
    pub video_id: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TiktokBottom {
    pub event_type: EventType,
    pub action_time: DateTime<Utc>,
    pub profile_id: Option<String>,
    pub purchased_item: Option<String>,
    pub purchase_amount: Option<Amount>,
}

impl Event {
    /// The sender's id, unique within the source.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it happened, as the sender tells it, to the microsecond.
    #[must_use]
    pub fn timestamp(&self) -> DateTime<Utc> {
        self.timestamp
    }

    #[must_use]
    pub fn details(&self) -> &Details {
        &self.details
    }

    #[must_use]
    pub fn source(&self) -> Source {
        match self.details {
            Details::Facebook { .. } => Source::Facebook,
            Details::Tiktok { .. } => Source::Tiktok,
        }
    }

    #[must_use]
    pub fn funnel_stage(&self) -> FunnelStage {
        match &self.details {
            Details::Facebook { engagement: FacebookEngagement::Top(_), .. }
            | Details::Tiktok { engagement: TiktokEngagement::Top(_), .. } => FunnelStage::Top,
            Details::Facebook { engagement: FacebookEngagement::Bottom(_), .. }
            | Details::Tiktok { engagement: TiktokEngagement::Bottom(_), .. } => FunnelStage::Bottom,
        }
    }

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
