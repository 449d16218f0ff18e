//! A generator of events like the reference publisher's, as JSON: its sizes, its event types and its shares.
//! An event is a pure function of its number, the number of its run and its population.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use weir_event::{EventType, FunnelStage, Source, admit_json};

const NAMES: [&str; 8] = [
    "Orla O'Dell",
    "Zoë N'Diaye",
    "Jean-Luc Saint-Exupéry, Jr.",
    "Marisol García Márquez",
    "Mrs. Guðrún Þórsdóttir",
    "Chidi Okonkwo III",
    "Dr. Siobhán van der Berg",
    "Mei-Ling Tremblay",
];
const COUNTRIES: [&str; 16] = [
    "Côte d'Ivoire",
    "Trinidad and Tobago",
    "Guinea-Bissau",
    "São Tomé and Príncipe",
    "Virgin Islands, U.S.",
    "Türkiye",
    "Lao People's Democratic Republic",
    "Moldova, Republic of",
    "Germany",
    "Japan",
    "Brazil",
    "Canada",
    "United States of America",
    "Kenya",
    "Poland",
    "India",
];
const CITIES: [&str; 12] = [
    "East Ottoline",
    "Fort St. Wendell",
    "Port Amélie",
    "Saint-Denis",
    "Lake Rosalía",
    "New Piotrburgh",
    "North Lucía",
    "Thelmaville",
    "West Yağmur",
    "Ica",
    "Marshstad",
    "Chidi-sur-Mer",
];

/// The end of every UUID in an id: its last two parts.
const TAIL: &str = "-9f1c-4e6b8d2077a1";
/// The length of the serial number in an id: the first three parts of a UUID, with the dashes between.
pub const SERIAL_LENGTH: usize = 18;
/// The length of a campaign's number behind `camp-`, in hexadecimal digits.
pub const CAMPAIGN_DIGITS: usize = 5;

/// The users and campaigns that the events belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Every user is new, and so is nearly every campaign, as with the reference publisher.
    AllNew,
    /// A fixed number of users and campaigns, each equally likely.
    Fixed { users: u64, campaigns: u64 },
}

/// One event as a sender posts it.
#[derive(Clone, Debug)]
pub struct GeneratedEvent {
    pub source: Source,
    pub json: String,
}

/// Makes events by their number.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    /// Distinguishes the ids of two generators that count from the same number.
    pub run: u64,
    pub population: Population,
}

impl Generator {
    /// A generator whose every user is new.
    pub fn all_new(run: u64) -> Self {
        Self { run, population: Population::AllNew }
    }

    /// The event of a number, with the timestamp `at`. Even numbers are Facebook's, odd ones TikTok's.
    pub fn event(&self, number: u64, at: DateTime<Utc>) -> GeneratedEvent {
        let source = if number.is_multiple_of(2) { Source::Facebook } else { Source::Tiktok };
        let mut draft = Draft::new(*self, number, source);
        let json = draft.json(&at.to_rfc3339_opts(SecondsFormat::Millis, true));
        GeneratedEvent { source, json }
    }
}

impl GeneratedEvent {
    /// Passes the event through the gate; fails if the gate refuses it.
    pub fn admit(&self, arrived_at: DateTime<Utc>) -> weir_event::Event {
        let admitted = admit_json(&self.json, arrived_at);
        admitted.unwrap_or_else(|violations| panic!("{} is refused: {violations:?}", self.json))
    }
}

/// The serial number in an id: scattered like a random UUID, and unique within a run.
pub fn serial_number(run: u64, number: u64) -> u64 {
    // SplitMix64's finaliser maps 64 bits to 64 bits one to one.
    let mut mixed = number.wrapping_add(run << 40);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The event in the making.
struct Draft {
    generator: Generator,
    number: u64,
    source: Source,
    random: Xoshiro256PlusPlus,
}

impl Draft {
    fn new(generator: Generator, number: u64, source: Source) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(serial_number(generator.run, number));
        Self { generator, number, source, random }
    }

    fn json(&mut self, at: &str) -> String {
        let stage = self.one_of(FunnelStage::ALL);
        let event_type = self.one_of(EventType::of(self.source, stage));
        let prefix = match self.source {
            Source::Facebook => "fb",
            Source::Tiktok => "ttk",
        };
        let serial = parts(serial_number(self.generator.run, self.number));
        let (user, engagement) = (self.user(), self.engagement(stage, event_type, at));
        // Long enough for either source.
        let mut json = String::with_capacity(640);
        write!(
            json,
            r#"{{"eventId":"{prefix}-{serial}{TAIL}","timestamp":"{at}","source":"{}","funnelStage":"{}","#,
            self.source.name(),
            stage.name(),
        )
        .and_then(|()| {
            let name = event_type.name();
            write!(json, r#""eventType":"{name}","data":{{"user":{user},"engagement":{engagement}}}}}"#)
        })
        .expect("a string takes everything");
        json
    }

    /// The user object. A user has the same attributes in every event.
    fn user(&mut self) -> String {
        let user = match self.generator.population {
            Population::AllNew => serial_number(self.generator.run, !self.number),
            Population::Fixed { users, .. } => serial_number(0, self.random.random_range(0..users)),
        };
        let user_id = parts(user);
        let mut person = Xoshiro256PlusPlus::seed_from_u64(user);
        let name = NAMES[person.random_range(0..NAMES.len())];
        match self.source {
            Source::Facebook => {
                let gender = ["male", "female", "non-binary"][person.random_range(0..3)];
                let (age, country, city) = (
                    person.random_range(13..80),
                    COUNTRIES[person.random_range(0..COUNTRIES.len())],
                    CITIES[person.random_range(0..CITIES.len())],
                );
                format!(
                    r#"{{"userId":"{user_id}{TAIL}","name":"{name}","age":{age},"gender":"{gender}","location":{{"country":"{country}","city":"{city}"}}}}"#
                )
            }
            Source::Tiktok => {
                let digits = person.random_range(1..=7);
                let followers = person.random_range(0..10_u32.pow(digits));
                format!(r#"{{"userId":"{user_id}{TAIL}","username":"{name}","followers":{followers}}}"#)
            }
        }
    }

    fn engagement(&mut self, stage: FunnelStage, event_type: EventType, at: &str) -> String {
        let serial = self.random.random_range(0..100_000_000_u32);
        match (self.source, stage) {
            (Source::Facebook, FunnelStage::Top) => {
                let referrer = ["newsfeed", "marketplace", "groups"][self.random.random_range(0..3)];
                let video = nullable(event_type == EventType::VideoView, || format!("vid-{serial:08}"));
                format!(r#"{{"actionTime":"{at}","referrer":"{referrer}","videoId":{video}}}"#)
            }
            (Source::Facebook, FunnelStage::Bottom) => self.facebook_bottom(event_type, serial),
            (Source::Tiktok, FunnelStage::Top) => {
                let device = ["Android", "iOS", "Desktop"][self.random.random_range(0..3)];
                let (watched, share) = (self.random.random_range(0..=180), self.random.random_range(0..=100));
                let country = COUNTRIES[self.random.random_range(0..COUNTRIES.len())];
                format!(
                    r#"{{"watchTime":{watched},"percentageWatched":{share},"device":"{device}","country":"{country}","videoId":"vid-{serial:08}"}}"#
                )
            }
            (Source::Tiktok, FunnelStage::Bottom) => {
                let profile =
                    nullable(event_type == EventType::ProfileVisit, || format!("profile-{serial:06}"));
                let purchase = event_type == EventType::Purchase;
                let item = nullable(purchase, || "Handmade Granite Lamp".to_owned());
                let amount = self.amount(purchase);
                format!(
                    r#"{{"actionTime":"{at}","profileId":{profile},"purchasedItem":{item},"purchaseAmount":{amount}}}"#
                )
            }
        }
    }

    fn facebook_bottom(&mut self, event_type: EventType, serial: u32) -> String {
        let campaign = match self.generator.population {
            Population::AllNew => u64::from(self.random.random_range(0..1_u32 << (4 * CAMPAIGN_DIGITS))),
            Population::Fixed { campaigns, .. } => self.random.random_range(0..campaigns),
        };
        let position = ["top_left", "bottom_right", "center"][self.random.random_range(0..3)];
        let device = ["mobile", "desktop"][self.random.random_range(0..2)];
        let browser = ["Chrome", "Firefox", "Safari"][self.random.random_range(0..3)];
        let amount = self.amount(event_type == EventType::CheckoutComplete);
        format!(
            r#"{{"adId":"ad-{serial:08}","campaignId":"camp-{campaign:05x}","clickPosition":"{position}","device":"{device}","browser":"{browser}","purchaseAmount":{amount}}}"#
        )
    }

    /// An amount from 1.00 to 999.99, or null.
    fn amount(&mut self, is_there: bool) -> String {
        let (whole, hundredths) = (self.random.random_range(1..1_000), self.random.random_range(0..100));
        nullable(is_there, || format!("{whole}.{hundredths:02}"))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.random_range(0..all.len())]
    }
}

/// A serial number as the first three parts of a UUID.
fn parts(serial: u64) -> String {
    let digits = format!("{serial:016x}");
    [&digits[..8], &digits[8..12], &digits[12..]].join("-")
}

fn nullable(is_there: bool, text: impl FnOnce() -> String) -> String {
    if is_there { format!("\"{}\"", text()) } else { "null".to_owned() }
}
