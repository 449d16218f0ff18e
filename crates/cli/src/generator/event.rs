//! Generated events, like those of the reference publisher: sources, stages and types uniform, every user
//! new, campaigns nearly unique, money on one event in six.

use chrono::{DateTime, SecondsFormat, Utc};
use rand::{Rng as _, RngExt as _, distr::Alphanumeric};
use serde::Serialize;
use uuid::Uuid;
use weir_event::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
};

use super::{
    dice::{Dice, one_of},
    person,
};

const ADJECTIVES: [&str; 8] =
    ["Modern", "Refined", "Handmade", "Intelligent", "Rustic", "Small", "Licensed", "Gorgeous"];
const MATERIALS: [&str; 8] =
    ["Linen", "Rubber", "Granite", "Cotton", "Wooden", "Steel", "Bronze", "Concrete"];
const GOODS: [&str; 8] = ["Lamp", "Bacon", "Chair", "Keyboard", "Towels", "Ball", "Shoes", "Car"];

/// An event as a sender writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    event_id: String,
    timestamp: String,
    source: &'static str,
    funnel_stage: &'static str,
    event_type: &'static str,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    user: User,
    engagement: Engagement,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum User {
    Facebook { user_id: Uuid, name: String, age: u8, gender: &'static str, location: Location },
    Tiktok { user_id: Uuid, username: String, followers: u32 },
}

#[derive(Serialize)]
struct Location {
    country: &'static str,
    city: String,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Engagement {
    FacebookTop {
        action_time: String,
        referrer: &'static str,
        video_id: Option<String>,
    },
    FacebookBottom {
        ad_id: String,
        campaign_id: String,
        click_position: &'static str,
        device: &'static str,
        browser: &'static str,
        purchase_amount: Option<String>,
    },
    TiktokTop {
        watch_time: u16,
        percentage_watched: u8,
        device: &'static str,
        country: &'static str,
        video_id: String,
    },
    TiktokBottom {
        action_time: String,
        profile_id: Option<String>,
        purchased_item: Option<String>,
        purchase_amount: Option<String>,
    },
}

impl Event {
    /// Generates an event with this id that happens at `at`.
    pub(super) fn generate(dice: &mut Dice, id: Uuid, at: DateTime<Utc>) -> Self {
        let source = Self::source(dice);
        let stage = one_of(dice, FunnelStage::ALL);
        let event_type = one_of(dice, EventType::of(source, stage));
        let timestamp = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Self {
            event_id: format!("{}-{id}", prefix(source)),
            source: source.name(),
            funnel_stage: stage.name(),
            event_type: event_type.name(),
            data: Data {
                user: user(dice, source),
                engagement: engagement(dice, source, stage, event_type, &timestamp),
            },
            timestamp,
        }
    }

    /// The source of the next event of these dice, which is drawn first.
    pub(super) fn source(dice: &mut Dice) -> Source {
        one_of(dice, Source::ALL)
    }
}

/// The prefix of the ids of a source's events, as the reference publisher uses it.
pub(super) fn prefix(source: Source) -> &'static str {
    match source {
        Source::Facebook => "fb",
        Source::Tiktok => "ttk",
    }
}

fn user(dice: &mut Dice, source: Source) -> User {
    match source {
        Source::Facebook => User::Facebook {
            user_id: uuid(dice),
            name: person::name(dice),
            age: dice.random_range(13..80),
            gender: one_of(dice, Gender::ALL).name(),
            location: Location { country: person::country(dice), city: person::city(dice) },
        },
        Source::Tiktok => {
            User::Tiktok { user_id: uuid(dice), username: person::username(dice), followers: followers(dice) }
        }
    }
}

/// Up to seven digits, each length equally likely, because most people have few followers.
fn followers(dice: &mut Dice) -> u32 {
    let digits = dice.random_range(1..=7);
    dice.random_range(0..10_u32.pow(digits))
}

fn engagement(
    dice: &mut Dice,
    source: Source,
    stage: FunnelStage,
    event_type: EventType,
    at: &str,
) -> Engagement {
    match (source, stage) {
        (Source::Facebook, FunnelStage::Top) => Engagement::FacebookTop {
            action_time: at.to_owned(),
            referrer: one_of(dice, Referrer::ALL).name(),
            video_id: (event_type == EventType::VideoView).then(|| identifier(dice, "vid-", 8)),
        },
        (Source::Facebook, FunnelStage::Bottom) => Engagement::FacebookBottom {
            ad_id: identifier(dice, "ad-", 8),
            campaign_id: identifier(dice, "camp-", 5),
            click_position: one_of(dice, ClickPosition::ALL).name(),
            device: one_of(dice, FacebookDevice::ALL).name(),
            browser: one_of(dice, Browser::ALL).name(),
            purchase_amount: (event_type == EventType::CheckoutComplete).then(|| amount(dice)),
        },
        (Source::Tiktok, FunnelStage::Top) => Engagement::TiktokTop {
            watch_time: dice.random_range(0..=180),
            percentage_watched: dice.random_range(0..=100),
            device: one_of(dice, TiktokDevice::ALL).name(),
            country: person::country(dice),
            video_id: identifier(dice, "vid-", 8),
        },
        (Source::Tiktok, FunnelStage::Bottom) => Engagement::TiktokBottom {
            action_time: at.to_owned(),
            profile_id: (event_type == EventType::ProfileVisit).then(|| identifier(dice, "profile-", 6)),
            purchased_item: (event_type == EventType::Purchase).then(|| purchased_item(dice)),
            purchase_amount: (event_type == EventType::Purchase).then(|| amount(dice)),
        },
    }
}

fn uuid(dice: &mut Dice) -> Uuid {
    let mut bytes = [0; 16];
    dice.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn identifier(dice: &mut Dice, prefix: &str, length: usize) -> String {
    let mut identifier = String::with_capacity(prefix.len() + length);
    identifier.push_str(prefix);
    identifier.extend(dice.sample_iter(Alphanumeric).take(length).map(char::from));
    identifier
}

/// Draws an amount from 1.00 to 999.99.
fn amount(dice: &mut Dice) -> String {
    let (whole, hundredths): (u16, u8) = (dice.random_range(1..1000), dice.random_range(0..100));
    format!("{whole}.{hundredths:02}")
}

fn purchased_item(dice: &mut Dice) -> String {
    [&ADJECTIVES, &MATERIALS, &GOODS].map(|words| one_of(dice, words)).join(" ")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use weir_event::admit_json;

    use super::*;

    fn generated(count: usize) -> impl Iterator<Item = String> {
        let mut dice = Dice::seed_from_u64(7);
        std::iter::repeat_with(move || {
            serde_json::to_string(&Event::generate(&mut dice, Uuid::nil(), Utc::now()))
                .expect("an event is plain JSON")
        })
        .take(count)
    }

    #[test]
    fn every_generated_event_passes_the_gate() {
        for event in generated(5_000) {
            if let Err(refusal) = admit_json(&event, Utc::now()) {
                panic!("{event} was refused: {refusal:?}");
            }
        }
    }

    #[test]
    fn events_are_as_large_as_the_reference_publisher_s() {
        for (source, expected) in [("\"facebook\"", 460), ("\"tiktok\"", 390)] {
            let sizes: Vec<usize> =
                generated(5_000).filter(|event| event.contains(source)).map(|event| event.len()).collect();
            let mean = sizes.iter().sum::<usize>() / sizes.len();
            assert!(mean.abs_diff(expected) < expected / 10, "{source} events have {mean} bytes");
        }
    }

    #[test]
    fn sources_are_half_and_half_and_one_event_in_six_carries_money() {
        let events: Vec<String> = generated(12_000).collect();
        let counted = |text: &str| events.iter().filter(|event| event.contains(text)).count();
        assert!(counted("\"source\":\"facebook\"").abs_diff(6_000) < 300);
        assert!(counted("\"purchaseAmount\":\"").abs_diff(2_000) < 200);
    }
}
