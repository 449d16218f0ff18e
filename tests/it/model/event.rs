//! An accepted event, as the model reads it from JSON.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::Value;

use super::money::ten_thousandths;

/// The parts of an event that reports use.
pub(super) struct Event {
    pub(super) source: String,
    pub(super) stage: String,
    pub(super) event_type: String,
    pub(super) at: DateTime<Utc>,
    pub(super) data: Value,
}

impl Event {
    pub(super) fn read(item: &Value) -> Self {
        let at = text(&item["timestamp"]);
        Self {
            source: text(&item["source"]),
            stage: text(&item["funnelStage"]),
            event_type: text(&item["eventType"]),
            at: at.parse::<DateTime<Utc>>().expect("an accepted timestamp").trunc_subsecs(6),
            data: item["data"].clone(),
        }
    }

    /// The amount of a sale in ten-thousandths; `None` if the event is no sale.
    pub(super) fn transaction(&self) -> Option<i128> {
        let sells = matches!(
            (self.source.as_str(), self.event_type.as_str()),
            ("facebook", "checkout.complete") | ("tiktok", "purchase")
        );
        let amount = self.data["engagement"]["purchaseAmount"].as_str()?;
        sells.then(|| ten_thousandths(amount))
    }

    pub(super) fn campaign(&self) -> Option<&str> {
        self.data["engagement"]["campaignId"].as_str()
    }
}

/// A JSON string; fails at any other value.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
