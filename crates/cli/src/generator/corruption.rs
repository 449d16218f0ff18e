//! The eight ways in which the reference publisher corrupts an event.
//!
//! Two of them are chosen without a look at the source. Half the time they only touch a key that the source
//! does not have, so such an event is valid.

use rand::RngExt as _;
use serde_json::{Value, json};
use weir_event::{FunnelStage, Source};

use super::{
    dice::{Dice, one_of},
    event::Event,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Corruption {
    InvalidTimestamp,
    NoEventId,
    NoName,
    NoUser,
    InvalidStage,
    SeveralTypes,
    /// Corrupts an engagement of this source, whichever source the event has.
    Engagement(Source),
    /// Corrupts a user of this source, whichever source the event has.
    User(Source),
}

impl Corruption {
    fn draw(dice: &mut Dice) -> Self {
        match dice.random_range(0..8) {
            0 => Self::InvalidTimestamp,
            1 => Self::NoEventId,
            2 => Self::NoName,
            3 => Self::NoUser,
            4 => Self::InvalidStage,
            5 => Self::SeveralTypes,
            6 => Self::Engagement(one_of(dice, Source::ALL)),
            _ => Self::User(one_of(dice, Source::ALL)),
        }
    }

    fn apply(self, event: &mut Value) {
        match self {
            Self::InvalidTimestamp => event["timestamp"] = json!("invalid-timestamp"),
            Self::NoEventId => remove(event, "eventId"),
            Self::NoName => {
                ["name", "username"].iter().for_each(|key| remove(&mut event["data"]["user"], key))
            }
            Self::NoUser => remove(&mut event["data"], "user"),
            Self::InvalidStage => event["funnelStage"] = json!("invalid-stage"),
            Self::SeveralTypes => event["eventType"] = json!(["unknown", "event"]),
            Self::Engagement(source) => corrupt_engagement(event, source),
            Self::User(Source::Facebook) => event["data"]["user"]["gender"] = json!("alien"),
            Self::User(Source::Tiktok) => event["data"]["user"]["followers"] = json!("not-a-number"),
        }
    }
}

fn corrupt_engagement(event: &mut Value, source: Source) {
    let top = event["funnelStage"] == FunnelStage::Top.name();
    let engagement = &mut event["data"]["engagement"];
    match (source, top) {
        (Source::Facebook, true) => engagement["actionTime"] = json!(-1),
        (Source::Tiktok, true) => engagement["watchTime"] = json!(-1),
        (Source::Facebook, false) => remove(engagement, "adId"),
        (Source::Tiktok, false) => remove(engagement, "purchasedItem"),
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(key);
    }
}

/// Corrupts the event in one of the eight ways, and returns its JSON.
pub(super) fn corrupt(event: &Event, dice: &mut Dice) -> Value {
    let mut event = serde_json::to_value(event).expect("an event is plain JSON");
    Corruption::draw(dice).apply(&mut event);
    event
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use rand::SeedableRng as _;
    use uuid::Uuid;
    use weir_event::admit_json;

    use super::*;

    /// The pointers that the gate reports for an event of `source` and `stage` with `corruption`.
    fn pointers(corruption: Corruption, source: Source, stage: FunnelStage) -> Vec<String> {
        let mut dice = Dice::seed_from_u64(7);
        let mut event = std::iter::repeat_with(|| Event::generate(&mut dice, Uuid::nil(), Utc::now()))
            .map(|event| serde_json::to_value(event).expect("an event is plain JSON"))
            .find(|event| event["source"] == source.name() && event["funnelStage"] == stage.name())
            .expect("there is always another event");
        corruption.apply(&mut event);
        let admitted = admit_json(&event.to_string(), Utc::now());
        admitted.err().map_or_else(Vec::new, |refusal| {
            refusal.violations.iter().map(|violation| violation.pointer.to_string()).collect()
        })
    }

    #[test]
    fn six_corruptions_spoil_every_event() {
        for (corruption, pointer) in [
            (Corruption::InvalidTimestamp, "/timestamp"),
            (Corruption::NoEventId, "/eventId"),
            (Corruption::NoUser, "/data/user"),
            (Corruption::InvalidStage, "/funnelStage"),
            (Corruption::SeveralTypes, "/eventType"),
        ] {
            assert_eq!(pointers(corruption, Source::Facebook, FunnelStage::Top), [pointer], "{corruption:?}");
            assert_eq!(
                pointers(corruption, Source::Tiktok, FunnelStage::Bottom),
                [pointer],
                "{corruption:?}"
            );
        }
        let name = |source| pointers(Corruption::NoName, source, FunnelStage::Top);
        assert_eq!(name(Source::Facebook), ["/data/user/name"]);
        assert_eq!(name(Source::Tiktok), ["/data/user/username"]);
    }

    #[test]
    fn two_corruptions_spoil_only_events_of_their_source() {
        for (source, stage, engagement, user) in [
            (Source::Facebook, FunnelStage::Top, "actionTime", "gender"),
            (Source::Facebook, FunnelStage::Bottom, "adId", "gender"),
            (Source::Tiktok, FunnelStage::Top, "watchTime", "followers"),
            (Source::Tiktok, FunnelStage::Bottom, "purchasedItem", "followers"),
        ] {
            let engagement = format!("/data/engagement/{engagement}");
            assert_eq!(pointers(Corruption::Engagement(source), source, stage), [engagement]);
            assert_eq!(pointers(Corruption::User(source), source, stage), [format!("/data/user/{user}")]);
            let other = if source == Source::Facebook { Source::Tiktok } else { Source::Facebook };
            assert!(pointers(Corruption::Engagement(other), source, stage).is_empty());
            assert!(pointers(Corruption::User(other), source, stage).is_empty());
        }
    }
}
