//! The event: one thing that one person did on one platform, made only by the gate.
//!
//! [`admit_json`] and [`admit_message`] turn what a sender wrote into an [`Event`], or into a [`Refusal`] that
//! names every rule it breaks. Past them, holding an `Event` is the proof that it keeps the rules.

mod amount;
mod candidate;
mod encode;
mod enums;
mod gate;
mod item_identity;
mod message;
mod metrics;
mod model;
mod origin;
mod violation;

pub use amount::Amount;
pub use encode::EncodedEvent;
pub use enums::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
};
pub use gate::{
    MAX_ITEM_BYTES, TOO_FAR_AHEAD, admit_bytes, admit_encoded, admit_json, admit_message, check_bytes,
    check_json, keep_text_rules,
};
pub use item_identity::Claim;
pub use message::{Malformed, instant, timestamp};
pub use metrics::{ErrorType, Metrics, Service};
pub use model::{
    Details, Event, FacebookBottom, FacebookEngagement, FacebookTop, FacebookUser, TiktokBottom,
    TiktokEngagement, TiktokTop, TiktokUser,
};
pub use origin::Origin;
pub use violation::{Refusal, Violation, tellable};
