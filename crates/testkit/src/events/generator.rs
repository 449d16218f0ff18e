//! Events like the reference publisher's, as JSON: of its sizes, its kinds and its shares.
//!
//! An event is a pure function of its number, the number of its run and its crowd.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use weir_event::{EventType, FunnelStage, Source};

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

/// Behind the part of an id that differs, so that it is as long as the reference publisher's UUIDs.
const TAIL: &str = "-9f1c-4e6b-8d20-77a1";
/// Of the part that differs, in hexadecimal digits.
pub const SERIAL_DIGITS: usize = 16;
/// Of a campaign's name behind `camp-`.
pub const CAMPAIGN_DIGITS: usize = 5;

/// Whose events they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// As the reference publisher's: every user is new, and so is nearly every campaign.
    EachNew,
    /// Of so many users and campaigns, each as likely.
    Of { users: u64, campaigns: u64 },
}

/// One event as a sender writes it.
#[derive(Clone, Debug)]
pub struct Written {
    pub source: Source,
    pub json: String,
}

/// Writes events by their number.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    /// Tells apart the events of two writers that count from the same number.
    pub run: u64,
    pub crowd: Crowd,
}

impl Writer {
    /// Its sources alternate.
    pub fn write(&self, number: u64, at: DateTime<Utc>) -> Written {
        let source = if number.is_multiple_of(2) { Source::Facebook } else { Source::Tiktok };
        let mut event = Event::new(*self, number, source);
        let json = event.json(&at.to_rfc3339_opts(SecondsFormat::Millis, true));
        Written { source, json }
    }
}

/// The part of an id that differs: unlike its neighbours', as that of a random UUID is, and never twice in a run.
pub fn serial(run: u64, number: u64) -> u64 {
    // SplitMix64's finaliser maps 64 bits to 64 bits one to one.
    let mut mixed = number.wrapping_add(run << 40);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

struct Event {
    writer: Writer,
    number: u64,
    source: Source,
    dice: Xoshiro256PlusPlus,
}

impl Event {
    fn new(writer: Writer, number: u64, source: Source) -> Self {
        let dice = Xoshiro256PlusPlus::seed_from_u64(serial(writer.run, number));
        Self { writer, number, source, dice }
    }

    fn json(&mut self, at: &str) -> String {
        let stage = self.one_of(FunnelStage::ALL);
        let event_type = self.one_of(EventType::of(self.source, stage));
        let prefix = match self.source {
            Source::Facebook => "fb",
            Source::Tiktok => "ttk",
        };
        let serial = serial(self.writer.run, self.number);
        let (user, engagement) = (self.user(), self.engagement(stage, event_type, at));
        // Long enough for either source.
        let mut json = String::with_capacity(640);
        write!(
            json,
            r#"{{"eventId":"{prefix}-{serial:016x}{TAIL}","timestamp":"{at}","source":"{}","funnelStage":"{}","#,
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

    /// What is told of a person is the same in every event of theirs.
    fn user(&mut self) -> String {
        let user = match self.writer.crowd {
            Crowd::EachNew => serial(self.writer.run, !self.number),
            Crowd::Of { users, .. } => serial(0, self.dice.random_range(0..users)),
        };
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
                    r#"{{"userId":"{user:016x}{TAIL}","name":"{name}","age":{age},"gender":"{gender}","location":{{"country":"{country}","city":"{city}"}}}}"#
                )
            }
            Source::Tiktok => {
                let digits = person.random_range(1..=7);
                let followers = person.random_range(0..10_u32.pow(digits));
                format!(r#"{{"userId":"{user:016x}{TAIL}","username":"{name}","followers":{followers}}}"#)
            }
        }
    }

    fn engagement(&mut self, stage: FunnelStage, event_type: EventType, at: &str) -> String {
        let serial = self.dice.random_range(0..100_000_000_u32);
        match (self.source, stage) {
            (Source::Facebook, FunnelStage::Top) => {
                let referrer = ["newsfeed", "marketplace", "groups"][self.dice.random_range(0..3)];
                let video = nullable(event_type == EventType::VideoView, || format!("vid-{serial:08}"));
                format!(r#"{{"actionTime":"{at}","referrer":"{referrer}","videoId":{video}}}"#)
            }
            (Source::Facebook, FunnelStage::Bottom) => self.facebook_bottom(event_type, serial),
            (Source::Tiktok, FunnelStage::Top) => {
                let device = ["Android", "iOS", "Desktop"][self.dice.random_range(0..3)];
                let (watched, share) = (self.dice.random_range(0..=180), self.dice.random_range(0..=100));
                let country = COUNTRIES[self.dice.random_range(0..COUNTRIES.len())];
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
        let campaign = match self.writer.crowd {
            Crowd::EachNew => u64::from(self.dice.random_range(0..1_u32 << (4 * CAMPAIGN_DIGITS))),
            Crowd::Of { campaigns, .. } => self.dice.random_range(0..campaigns),
        };
        let position = ["top_left", "bottom_right", "center"][self.dice.random_range(0..3)];
        let device = ["mobile", "desktop"][self.dice.random_range(0..2)];
        let browser = ["Chrome", "Firefox", "Safari"][self.dice.random_range(0..3)];
        let amount = self.amount(event_type == EventType::CheckoutComplete);
        format!(
            r#"{{"adId":"ad-{serial:08}","campaignId":"camp-{campaign:05x}","clickPosition":"{position}","device":"{device}","browser":"{browser}","purchaseAmount":{amount}}}"#
        )
    }

    /// 1.00 to 999.99, where there is one.
    fn amount(&mut self, is_there: bool) -> String {
        let (whole, hundredths) = (self.dice.random_range(1..1_000), self.dice.random_range(0..100));
        nullable(is_there, || format!("{whole}.{hundredths:02}"))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.dice.random_range(0..all.len())]
    }
}

fn nullable(is_there: bool, text: impl FnOnce() -> String) -> String {
    if is_there { format!("\"{}\"", text()) } else { "null".to_owned() }
}
