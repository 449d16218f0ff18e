//! One event as one row of `events`.

use weir_event::{
    Amount, Details, FacebookBottom, FacebookEngagement, FacebookTop, FacebookUser, TiktokBottom,
    TiktokEngagement, TiktokTop, TiktokUser,
};
use weir_journal::{Frame, FramedEvent};

use super::{columns::columns, keys::Identity};

columns!(
    /// One row of `events`; `weir_database::entity::events` says what each column means.
    Row<'a> {
        source: i16,
        event_id: &'a str,
        occurred_at: i64,
        funnel_stage: i16,
        event_type: i16,
        frame_id: &'a str,
        correlation_id: &'a str,
        traceparent: Option<&'a str>,
        arrived_at: i64,
        stored_at: i64,
        user_id: &'a str,
        user_name: &'a str,
        age: Option<i16>,
        gender: Option<i16>,
        followers: Option<i64>,
        country: Option<&'a str>,
        city: Option<&'a str>,
        action_time: Option<i64>,
        referrer: Option<i16>,
        video_id: Option<&'a str>,
        ad_id: Option<&'a str>,
        campaign_id: Option<&'a str>,
        click_position: Option<i16>,
        device: Option<i16>,
        browser: Option<i16>,
        watch_time: Option<f64>,
        percentage_watched: Option<f64>,
        profile_id: Option<&'a str>,
        purchased_item: Option<&'a str>,
        purchase_amount: Option<i64>,
    }
);

impl<'a> Row<'a> {
    /// `stored_at` in µs since the Unix epoch.
    pub(super) fn new(frame: &'a Frame, framed: &'a FramedEvent, stored_at: i64) -> Self {
        let (event, origin) = (&framed.event, &frame.origins[framed.origin]);
        let common = Self {
            source: small(event.source().number()),
            event_id: event.id(),
            occurred_at: event.timestamp().timestamp_micros(),
            funnel_stage: small(event.funnel_stage().number()),
            event_type: small(event.event_type().number()),
            frame_id: &frame.id,
            correlation_id: origin.correlation_id.as_str(),
            traceparent: Some(origin.traceparent.as_str()).filter(|text| !text.is_empty()),
            arrived_at: origin.arrived_at.timestamp_micros(),
            stored_at,
            ..Self::default()
        };
        match event.details() {
            Details::Facebook { user, engagement } => {
                let row = common.with_facebook_user(user);
                match engagement {
                    FacebookEngagement::Top(top) => row.with_facebook_top(top),
                    FacebookEngagement::Bottom(bottom) => row.with_facebook_bottom(bottom),
                }
            }
            Details::Tiktok { user, engagement } => {
                let row = common.with_tiktok_user(user);
                match engagement {
                    TiktokEngagement::Top(top) => row.with_tiktok_top(top),
                    TiktokEngagement::Bottom(bottom) => row.with_tiktok_bottom(bottom),
                }
            }
        }
    }

    /// The same event of nobody: what is the person's is gone, and what happened stays.
    pub(super) fn without_person(self) -> Self {
        Self {
            user_id: "",
            user_name: "",
            age: None,
            gender: None,
            followers: None,
            country: None,
            city: None,
            profile_id: None,
            ..self
        }
    }

    pub(super) fn identity(&self) -> Identity<'a> {
        (self.source, self.event_id)
    }

    fn with_facebook_user(self, user: &'a FacebookUser) -> Self {
        Self {
            user_id: &user.id,
            user_name: &user.name,
            age: Some(user.age.into()),
            gender: Some(small(user.gender.number())),
            country: Some(&user.country),
            city: Some(&user.city),
            ..self
        }
    }

    fn with_facebook_top(self, top: &'a FacebookTop) -> Self {
        Self {
            action_time: Some(top.action_time.timestamp_micros()),
            referrer: Some(small(top.referrer.number())),
            video_id: top.video_id.as_deref(),
            ..self
        }
    }

    fn with_facebook_bottom(self, bottom: &'a FacebookBottom) -> Self {
        Self {
            ad_id: Some(&bottom.ad_id),
            campaign_id: Some(&bottom.campaign_id),
            click_position: Some(small(bottom.click_position.number())),
            device: Some(small(bottom.device.number())),
            browser: Some(small(bottom.browser.number())),
            purchase_amount: bottom.purchase_amount.map(Amount::ten_thousandths),
            ..self
        }
    }

    fn with_tiktok_user(self, user: &'a TiktokUser) -> Self {
        Self { user_id: &user.id, user_name: &user.username, followers: Some(user.followers), ..self }
    }

    fn with_tiktok_top(self, top: &'a TiktokTop) -> Self {
        Self {
            watch_time: Some(top.watch_time),
            percentage_watched: Some(top.percentage_watched),
            device: Some(small(top.device.number())),
            country: Some(&top.country),
            video_id: Some(&top.video_id),
            ..self
        }
    }

    fn with_tiktok_bottom(self, bottom: &'a TiktokBottom) -> Self {
        Self {
            action_time: Some(bottom.action_time.timestamp_micros()),
            profile_id: bottom.profile_id.as_deref(),
            purchased_item: bottom.purchased_item.as_deref(),
            purchase_amount: bottom.purchase_amount.map(Amount::ten_thousandths),
            ..self
        }
    }
}

/// One row of each identity, in their order: of equal ones the first, because the sort is stable.
pub(super) fn each_once<'a>(rows: impl Iterator<Item = Row<'a>>) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = rows.collect();
    // A row is some hundred bytes, so that keys are moved about and each row once.
    rows.sort_by_cached_key(Row::identity);
    rows.dedup_by_key(|row| row.identity());
    rows
}

/// A closed set's number as the database keeps it.
pub(crate) fn small(number: i32) -> i16 {
    i16::try_from(number).expect("the contract's enum numbers are small")
}

#[cfg(test)]
mod tests {
    use sea_orm::{IdenStatic, Iterable};
    use weir_database::entity::events;

    use super::*;

    #[test]
    fn a_row_without_its_person_keeps_what_happened() {
        let person = Row {
            user_id: "u-1",
            user_name: "Ada",
            age: Some(36),
            gender: Some(2),
            followers: Some(7),
            country: Some("Peru"),
            city: Some("Ica"),
            profile_id: Some("p-1"),
            ..Row::default()
        };
        let happened = Row {
            event_id: "e-1",
            correlation_id: "c-1",
            arrived_at: 5,
            video_id: Some("v-1"),
            campaign_id: Some("camp-1"),
            device: Some(1),
            purchased_item: Some("shoe"),
            purchase_amount: Some(15_000),
            ..Row::default()
        };
        let both = Row {
            event_id: happened.event_id,
            correlation_id: happened.correlation_id,
            arrived_at: happened.arrived_at,
            video_id: happened.video_id,
            campaign_id: happened.campaign_id,
            device: happened.device,
            purchased_item: happened.purchased_item,
            purchase_amount: happened.purchase_amount,
            ..person
        };
        assert_eq!(both.without_person(), happened);
    }

    #[test]
    fn every_column_of_the_table_is_written() {
        let there: Vec<&str> = events::Column::iter().map(|column| column.as_str()).collect();
        assert_eq!(COLUMNS, there);
    }
}
