//! One event as one row of `events`, and its identity.

use weir_event::{
    Amount, Details, FacebookBottom, FacebookEngagement, FacebookTop, FacebookUser, TiktokBottom,
    TiktokEngagement, TiktokTop, TiktokUser,
};
use weir_journal::{Frame, FramedEvent};

/// Source and event id.
pub(super) type EventIdentity<'a> = (i16, &'a str);

/// Declares a row of a table as a struct, with functions that bind its columns in their order.
///
/// With a PostgreSQL array type for each column, PostgreSQL takes rows as one array for each column.
macro_rules! table_row {
    (
        $(#[$doc:meta])*
        $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty => $array:literal),+ $(,)? }
    ) => {
        $crate::store::row::table_row!(@row $(#[$doc])* $row $(<$life>)? { $($column: $type),+ });

        impl $(<$life>)? $row $(<$life>)? {
            /// Each column, with the PostgreSQL type of an array of its values.
            pub(crate) const COLUMNS: &'static [(&'static str, &'static str)] = &[$((stringify!($column), $array)),+];

            /// Binds one array for each column.
            fn bind_arrays<'q>(
                query: sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>,
                rows: &[Self],
            ) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
                query$(.bind(rows.iter().map(|row| row.$column).collect::<Vec<_>>()))+
            }
        }
    };
    (
        $(#[$doc:meta])*
        $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty),+ $(,)? }
    ) => {
        $crate::store::row::table_row!(@row $(#[$doc])* $row $(<$life>)? { $($column: $type),+ });

        impl $(<$life>)? $row $(<$life>)? {
            pub(crate) const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];
        }
    };
    (@row $(#[$doc:meta])* $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub(crate) struct $row $(<$life>)? { $(pub(crate) $column: $type),+ }

        impl $(<$life>)? $row $(<$life>)? {
            /// Binds one value for each column.
            pub(crate) fn bind_values(
                &self,
                tuple: &mut sqlx::query_builder::Separated<'_, sqlx::Sqlite, &'static str>,
            ) {
                $(tuple.push_bind(self.$column);)+
            }
        }
    };
}
pub(super) use table_row;

table_row!(
    /// One row of `events` as SQLite has it; `weir_database::entity::events` documents the columns.
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
        frame_number: Option<i64>,
        origin: Option<i32>,
    }
);

impl<'a> Row<'a> {
    /// The row of an event in the frame with this number in `frame_origins`; `stored_at` in µs since the Unix epoch.
    pub(super) fn of_event(
        frame: &'a Frame,
        frame_number: i64,
        framed: &'a FramedEvent,
        stored_at: i64,
    ) -> Self {
        let event = &framed.event;
        let common = Self {
            source: to_smallint(event.source().number()),
            event_id: event.id(),
            occurred_at: event.timestamp().timestamp_micros(),
            funnel_stage: to_smallint(event.funnel_stage().number()),
            event_type: to_smallint(event.event_type().number()),
            arrived_at: frame.origins[framed.origin].arrived_at.timestamp_micros(),
            stored_at,
            frame_number: Some(frame_number),
            origin: i32::try_from(framed.origin).ok(),
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

    /// The same event without its person: columns of the person are empty, all others stay.
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

    pub(super) fn identity(&self) -> EventIdentity<'a> {
        (self.source, self.event_id)
    }

    fn with_facebook_user(self, user: &'a FacebookUser) -> Self {
        Self {
            user_id: &user.id,
            user_name: &user.name,
            age: Some(user.age.into()),
            gender: Some(to_smallint(user.gender.number())),
            country: Some(&user.country),
            city: Some(&user.city),
            ..self
        }
    }

    fn with_facebook_top(self, top: &'a FacebookTop) -> Self {
        Self {
            action_time: Some(top.action_time.timestamp_micros()),
            referrer: Some(to_smallint(top.referrer.number())),
            video_id: top.video_id.as_deref(),
            ..self
        }
    }

    fn with_facebook_bottom(self, bottom: &'a FacebookBottom) -> Self {
        Self {
            ad_id: Some(&bottom.ad_id),
            campaign_id: Some(&bottom.campaign_id),
            click_position: Some(to_smallint(bottom.click_position.number())),
            device: Some(to_smallint(bottom.device.number())),
            browser: Some(to_smallint(bottom.browser.number())),
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
            device: Some(to_smallint(top.device.number())),
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

/// One row of each identity, in the order of identities. The first of equal ones stays, because the sort is stable.
pub(super) fn deduplicated<'a>(rows: impl Iterator<Item = Row<'a>>) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = rows.collect();
    // A row has some hundred bytes: sorting by cached keys moves each row once.
    rows.sort_by_cached_key(Row::identity);
    rows.dedup_by_key(|row| row.identity());
    rows
}

/// A number of the contract's enums in the database's type.
pub(crate) fn to_smallint(number: i32) -> i16 {
    i16::try_from(number).expect("the contract's enum numbers are small")
}

#[cfg(test)]
mod tests {
    use sea_orm::{IdenStatic, Iterable};
    use weir_database::entity::events;

    use super::*;

    #[test]
    fn a_row_without_its_person_keeps_the_columns_of_the_event() {
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
            frame_number: Some(7),
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
            frame_number: happened.frame_number,
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
        let of_table: Vec<&str> = events::Column::iter().map(|column| column.as_str()).collect();
        assert_eq!(Row::COLUMNS, of_table);
    }
}
