//! A sender of random valid events for the stories about reports. It draws from few users, places and campaigns, so
//! that reports have groups to count. The same seed gives the same events.

use chrono::{DateTime, Duration, SecondsFormat, TimeZone as _, Utc};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

const NAMES: [&str; 5] = ["Orla O'Dell", "Zoë Ångström", "Dr. Li, Wei", "Jean-Luc Sélim", "Ana María"];
const PLACES: [(&str, &str); 7] = [
    ("Trinidad and Tobago", "East Bramwell"),
    ("Côte d'Ivoire", "Man"),
    ("Bonaire, Sint Eustatius and Saba", "Rincon"),
    ("Åland", "Mariehamn"),
    ("Peru", "Man"),
    ("Peru", "Ica"),
    ("aruba", "Noord"),
];
const AMOUNTS: [&str; 8] = ["0.00", "57", "318.49", "0.0001", "12.5", "999999999.9999", "7.005", "20.1230"];
const ZONES: [&str; 4] = ["Z", "+05:30", "-08:00", "z"];

/// Draws random events. Two senders with different names never draw the same identity.
pub struct Sender {
    name: &'static str,
    drawn: u64,
    random: StdRng,
}

impl Sender {
    /// A sender whose event ids begin with `name`.
    pub fn new(name: &'static str, seed: u64) -> Self {
        Self { name, drawn: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// The next `count` events.
    pub fn events(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> Value {
        self.drawn += 1;
        match self.random.random_range(0..4) {
            0 => self.facebook_top(),
            1 => self.facebook_bottom(),
            2 => self.tiktok_top(),
            _ => self.tiktok_bottom(),
        }
    }

    fn facebook_top(&mut self) -> Value {
        let engagement = json!({
            "actionTime": self.time(),
            "referrer": self.one(&["newsfeed", "marketplace", "groups"]),
            "videoId": self.perhaps("video-1"),
        });
        let event_type = self.one(&["ad.view", "page.like", "comment", "video.view"]);
        self.facebook("top", event_type, engagement)
    }

    fn facebook_bottom(&mut self) -> Value {
        let engagement = json!({
            "adId": format!("ad-{}", self.random.random_range(0..9)),
            "campaignId": format!("campaign-{}", self.random.random_range(0..25)),
            "clickPosition": self.one(&["top_left", "bottom_right", "center"]),
            "device": self.one(&["mobile", "desktop"]),
            "browser": self.one(&["Chrome", "Firefox", "Safari"]),
            "purchaseAmount": self.amount(),
        });
        let event_type = self.one(&["ad.click", "form.submission", "checkout.complete"]);
        self.facebook("bottom", event_type, engagement)
    }

    fn tiktok_top(&mut self) -> Value {
        let engagement = json!({
            "watchTime": self.random.random_range(0..6000) as f64 / 10.0,
            "percentageWatched": self.random.random_range(0..=100),
            "device": self.one(&["Android", "iOS", "Desktop"]),
            "country": self.one(&PLACES).0,
            "videoId": "video-2",
        });
        let event_type = self.one(&["video.view", "like", "share", "comment"]);
        self.tiktok("top", event_type, engagement)
    }

    fn tiktok_bottom(&mut self) -> Value {
        let engagement = json!({
            "actionTime": self.time(),
            "profileId": self.perhaps("profile-1"),
            "purchasedItem": self.perhaps("a \"thing\", small"),
            "purchaseAmount": self.amount(),
        });
        let event_type = self.one(&["profile.visit", "purchase", "follow"]);
        self.tiktok("bottom", event_type, engagement)
    }

    fn facebook(&mut self, stage: &str, event_type: &str, engagement: Value) -> Value {
        let (country, city) = self.one(&PLACES);
        let user = json!({
            "userId": format!("user-{}", self.random.random_range(0..200)),
            "name": self.one(&NAMES),
            "age": self.random.random_range(0..=90),
            "gender": self.one(&["male", "female", "non-binary"]),
            "location": {"country": country, "city": city},
        });
        self.envelope("facebook", stage, event_type, user, engagement)
    }

    fn tiktok(&mut self, stage: &str, event_type: &str, engagement: Value) -> Value {
        let magnitude = self.random.random_range(1..7);
        let user = json!({
            "userId": format!("user-{}", self.random.random_range(0..200)),
            "username": "Ivo.Marsh_88",
            "followers": self.random.random_range(0..10_u64.pow(magnitude)),
        });
        self.envelope("tiktok", stage, event_type, user, engagement)
    }

    fn envelope(
        &mut self,
        source: &str,
        stage: &str,
        event_type: &str,
        user: Value,
        engagement: Value,
    ) -> Value {
        json!({
            "eventId": format!("{}-{}", self.name, self.drawn),
            "timestamp": self.time(),
            "source": source,
            "funnelStage": stage,
            "eventType": event_type,
            "data": {"user": user, "engagement": engagement},
        })
    }

    /// A moment within the four days from [`first_day`], in one of several offsets, sometimes on the edge of a bucket.
    fn time(&mut self) -> String {
        let seconds = self.random.random_range(0..4 * 86_400);
        let on_the_hour = self.random.random_bool(0.05);
        let moment = if on_the_hour {
            first_day() + Duration::hours(seconds / 3600)
        } else {
            first_day()
                + Duration::seconds(seconds)
                + Duration::microseconds(self.random.random_range(0..1_000_000))
        };
        in_zone(moment, self.one(&ZONES))
    }

    fn amount(&mut self) -> Value {
        if self.random.random_bool(0.5) { self.one(&AMOUNTS).into() } else { Value::Null }
    }

    fn perhaps(&mut self, text: &str) -> Value {
        if self.random.random_bool(0.5) { text.into() } else { Value::Null }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.random).expect("there is one to choose")
    }
}

/// The midnight at which the events of every sender begin.
pub fn first_day() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2025, 9, 13, 0, 0, 0).single().expect("a day that exists")
}

fn in_zone(moment: DateTime<Utc>, zone: &str) -> String {
    let utc = || moment.to_rfc3339_opts(SecondsFormat::Micros, true);
    match zone {
        "Z" => utc(),
        "z" => utc().to_lowercase(),
        offset => moment
            .with_timezone(&offset.parse::<chrono::FixedOffset>().expect("an offset"))
            .to_rfc3339_opts(SecondsFormat::Micros, false),
    }
}
