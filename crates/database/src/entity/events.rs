//! `stored_events`: every stored event of both sources, once. A column of the other source is null.
//!
//! A view of the table `events`. On SQLite it is the table as it is. On PostgreSQL the table has codes of ids (see
//! [`id_code`](crate::id_code)), and is split into segments: `SELECT` by an id reads it whole there, by a code does not.
//!
//! Times are microseconds since the Unix epoch, UTC. Closed sets are the enum numbers of `weir.event.v1`.

use sea_orm::entity::prelude::*;

/// One stored event. `(source, event_id)` is its identity; the first committed event with an identity stays.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "stored_events")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The sender's id, unique within the source.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub event_id: String,
    /// Event time as the sender states it, µs. Every report selects by it.
    pub occurred_at: i64,
    /// `weir.event.v1.FunnelStage`.
    pub funnel_stage: i16,
    /// `weir.event.v1.EventType`; unique only together with the source.
    pub event_type: i16,
    /// Of rows from before migration 16: the id of the frame that the event came in, a row of `frames`. Empty since then.
    #[sea_orm(column_type = "Text")]
    pub frame_id: String,
    /// Of such rows: the correlation id of the call that the event came in. Empty since then.
    #[sea_orm(column_type = "Text")]
    pub correlation_id: String,
    /// Of such rows: the `traceparent` (W3C Trace Context) of that call; null where it had none, and since then.
    #[sea_orm(column_type = "Text", nullable)]
    pub traceparent: Option<String>,
    /// The arrival of that call, µs.
    pub arrived_at: i64,
    /// The time when the row was written, µs.
    pub stored_at: i64,
    /// The platform's id of the person.
    #[sea_orm(column_type = "Text")]
    pub user_id: String,
    /// Facebook `name`, TikTok `username`.
    #[sea_orm(column_type = "Text")]
    pub user_name: String,
    /// Facebook: years, 0 to 150.
    pub age: Option<i16>,
    /// Facebook: `weir.event.v1.Gender`.
    pub gender: Option<i16>,
    /// TikTok: 0 to 2^53 − 1.
    pub followers: Option<i64>,
    /// Facebook: of the person. TikTok: of a top event.
    #[sea_orm(column_type = "Text", nullable)]
    pub country: Option<String>,
    /// Facebook: of the person.
    #[sea_orm(column_type = "Text", nullable)]
    pub city: Option<String>,
    /// Facebook top, TikTok bottom, µs.
    pub action_time: Option<i64>,
    /// Facebook top: `weir.event.v1.FacebookReferrer`.
    pub referrer: Option<i16>,
    /// Top events; null on Facebook where the sender sends null.
    #[sea_orm(column_type = "Text", nullable)]
    pub video_id: Option<String>,
    /// Facebook bottom.
    #[sea_orm(column_type = "Text", nullable)]
    pub ad_id: Option<String>,
    /// Facebook bottom.
    #[sea_orm(column_type = "Text", nullable)]
    pub campaign_id: Option<String>,
    /// Facebook bottom: `weir.event.v1.ClickPosition`.
    pub click_position: Option<i16>,
    /// Facebook bottom: `weir.event.v1.FacebookDevice`. TikTok top: `weir.event.v1.TiktokDevice`.
    pub device: Option<i16>,
    /// Facebook bottom: `weir.event.v1.Browser`.
    pub browser: Option<i16>,
    /// TikTok top: seconds, 0 or more.
    pub watch_time: Option<f64>,
    /// TikTok top: 0 to 100.
    pub percentage_watched: Option<f64>,
    /// TikTok bottom.
    #[sea_orm(column_type = "Text", nullable)]
    pub profile_id: Option<String>,
    /// TikTok bottom.
    #[sea_orm(column_type = "Text", nullable)]
    pub purchased_item: Option<String>,
    /// Bottom events: ten-thousandths of the deployment's currency. A transaction is a `checkout.complete`
    /// (Facebook) or `purchase` (TikTok) where this is not null.
    pub purchase_amount: Option<i64>,
    /// The frame that the event came in, a row of `frame_origins`; null in rows from before migration 16.
    pub frame_number: Option<i64>,
    /// The index of the event's call among the origins of that frame.
    pub origin: Option<i32>,
}

/// The table has no foreign keys: a frame's row may be removed before its events.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
