//! Rows for reports, drawn with a fixed seed from small pools, so that users, places and amounts repeat.

use prost_types::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use sea_orm::{
    ActiveValue::NotSet, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, IntoActiveModel as _,
    QueryTrait as _,
};
use weir_database::{
    entity::events::{ActiveModel, Entity, Model},
    up,
};
use weir_event::{EventType, FunnelStage, Source};
use weir_testkit::database::Database;

/// 2025-09-14T00:00:00Z in seconds since the Unix epoch.
const MIDNIGHT: i64 = 1_757_808_000;
const HOUR: i64 = 3_600;
const MICROSECONDS: i64 = 1_000_000;
const ROWS: i64 = 600;
/// SQLite takes 32,766 parameters in one statement, PostgreSQL 65,535; a row has 30.
const ROWS_PER_INSERT: usize = 1_000;
/// The tables of events and of duplicates.
const MIGRATIONS_BEFORE_ROLLUPS: u32 = 2;

/// Names whose order differs by code point, by letter, by UTF-16 unit and without regard to case.
const PLACES: [&str; 9] =
    ["Åland", "austria", "Austria", "Côte d'Ivoire", "Zambia", "\u{ff5e}", "𝄞", "a, b", "_"];
const CAMPAIGNS: [&str; 6] = ["campaign a", "Campaign a", "campaign-b", "Ünited", "100% \"off\"", "zero"];
/// Ten-thousandths: zero, halves of a hundredth, two to four decimals, and the largest amount that an event may have.
const AMOUNTS: [i64; 8] = [0, 50, 150, 1_050, 3_184_900, 1_234_567, 10_000, 9_999_999_999_999];
const FOLLOWERS: [i64; 10] = [0, 99, 100, 999, 1_000, 9_999, 10_000, 99_999, 100_000, (1 << 53) - 1];

type Bound = Option<Timestamp>;

/// Six hundred rows over five days, some of them on the edge of an hour.
pub(super) fn many() -> Vec<Model> {
    let mut random = StdRng::seed_from_u64(14);
    (0..ROWS).map(|number| drawn(number, &mut random)).collect()
}

fn drawn(number: i64, random: &mut StdRng) -> Model {
    let source = *Source::ALL.choose(random).unwrap();
    let stage = *FunnelStage::ALL.choose(random).unwrap();
    let event_type = *EventType::of(source, stage).choose(random).unwrap();
    let start = MIDNIGHT + random.random_range(0..5 * 24) * HOUR;
    let within_hour =
        *[0, 1, random.random_range(0..HOUR * MICROSECONDS), HOUR * MICROSECONDS - 1].choose(random).unwrap();
    let row = Model {
        occurred_at: start * MICROSECONDS + within_hour,
        user_id: format!("user {}", random.random_range(0..40)),
        ..blank(number, source, stage, event_type)
    };
    match source {
        Source::Facebook => facebook(row, stage, random),
        Source::Tiktok => tiktok(row, stage, random),
    }
}

fn facebook(row: Model, stage: FunnelStage, random: &mut StdRng) -> Model {
    let is_bottom = stage == FunnelStage::Bottom;
    Model {
        age: Some(*[0, 17, 18, 24, 25, 34, 35, 44, 45, 54, 55, 150].choose(random).unwrap()),
        gender: Some(random.random_range(1..=3)),
        country: place(random),
        city: place(random),
        campaign_id: is_bottom.then(|| (*CAMPAIGNS.choose(random).unwrap()).to_owned()),
        device: is_bottom.then(|| random.random_range(1..=2)),
        purchase_amount: if is_bottom { amount(random) } else { None },
        ..row
    }
}

fn tiktok(row: Model, stage: FunnelStage, random: &mut StdRng) -> Model {
    let is_top = stage == FunnelStage::Top;
    Model {
        followers: Some(*FOLLOWERS.choose(random).unwrap()),
        country: if is_top { place(random) } else { None },
        device: is_top.then(|| random.random_range(1..=3)),
        purchase_amount: if is_top { None } else { amount(random) },
        ..row
    }
}

fn place(random: &mut StdRng) -> Option<String> {
    PLACES.choose(random).map(|name| (*name).to_owned())
}

/// An amount for an event of any type, because a sender may put one on each; one event in four has none.
fn amount(random: &mut StdRng) -> Option<i64> {
    random.random_bool(0.75).then(|| *AMOUNTS.choose(random).unwrap())
}

/// A Facebook checkout; the amount is in ten-thousandths.
pub(super) fn checkout(number: i64, campaign_id: &str, amount: i64) -> Model {
    Model {
        age: Some(30),
        gender: Some(1),
        country: Some("Chile".into()),
        city: Some("Arica".into()),
        campaign_id: Some(campaign_id.into()),
        purchase_amount: Some(amount),
        ..blank(number, Source::Facebook, FunnelStage::Bottom, EventType::CheckoutComplete)
    }
}

/// A TikTok purchase; the amount is in ten-thousandths.
pub(super) fn tiktok_purchase(number: i64, amount: i64) -> Model {
    Model {
        followers: Some(1),
        purchase_amount: Some(amount),
        ..blank(number, Source::Tiktok, FunnelStage::Bottom, EventType::Purchase)
    }
}

fn blank(number: i64, source: Source, stage: FunnelStage, event_type: EventType) -> Model {
    let small = |number: i32| i16::try_from(number).unwrap();
    Model {
        source: small(source.number()),
        event_id: format!("event {number}"),
        occurred_at: (MIDNIGHT + number) * MICROSECONDS,
        funnel_stage: small(stage.number()),
        event_type: small(event_type.number()),
        frame_id: "frame".into(),
        correlation_id: "correlation".into(),
        traceparent: None,
        arrived_at: MIDNIGHT * MICROSECONDS,
        stored_at: MIDNIGHT * MICROSECONDS,
        user_id: format!("user {number}"),
        user_name: "Mrs. Orla O'Dell".into(),
        age: None,
        gender: None,
        followers: None,
        country: None,
        city: None,
        action_time: None,
        referrer: None,
        video_id: None,
        ad_id: None,
        campaign_id: None,
        click_position: None,
        device: None,
        browser: None,
        watch_time: None,
        percentage_watched: None,
        profile_id: None,
        purchased_item: None,
        purchase_amount: None,
        frame_number: None,
        origin: None,
    }
}

/// Ranges with ends between microseconds and at edges of hours, ranges before and after all rows, and an empty one.
pub(super) fn ranges() -> Vec<(Bound, Bound)> {
    let at = |hours: i64, nanos: i32| Some(Timestamp { seconds: MIDNIGHT + hours * HOUR, nanos });
    vec![
        (None, None),
        (at(30, 0), None),
        (None, at(50, 1_000)),
        (at(24, 1), at(72, 1)),
        (at(24, 1_000), at(96, 0)),
        (at(40, 0), at(40, 0)),
        (at(-48, 0), at(-24, 999_999_999)),
    ]
}

/// Every combination of source, stage and type, impossible ones included.
pub(super) fn filters() -> impl Iterator<Item = (i32, i32, i32)> {
    let types = 0..=i32::try_from(EventType::ALL.len()).unwrap();
    (0..=2).flat_map(move |source| {
        let types = types.clone();
        (0..=2).flat_map(move |stage| types.clone().map(move |event_type| (source, stage, event_type)))
    })
}

/// Inserts rows before the migration of rollups, as in a database that is older than rollups: the migration rolls them
/// up.
pub(super) async fn store(database: &Database, rows: &[Model]) -> DatabaseConnection {
    let store = database.connect().await;
    up(&store, Some(MIGRATIONS_BEFORE_ROLLUPS)).await.unwrap();
    insert(&store, rows).await;
    up(&store, None).await.unwrap();
    store
}

async fn insert(database: &DatabaseConnection, rows: &[Model]) {
    for rows in rows.chunks(ROWS_PER_INSERT) {
        // These columns are younger than the rollups.
        let rows = rows.iter().cloned().map(|row| ActiveModel {
            frame_number: NotSet,
            origin: NotSet,
            ..row.into_active_model()
        });
        // The view of the entity is younger still.
        let insert = Entity::insert_many(rows).into_query().into_table("events").take();
        database.execute(&insert).await.unwrap();
    }
}
