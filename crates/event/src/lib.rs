//! The event: one action of one person on one platform, admitted by the gate.
#![doc = include_str!("../README.md")]

mod amount;
mod candidate;
mod encode;
mod gate;
mod message;
mod metrics;
mod model;
mod origin;
mod violation;

pub use amount::Amount;
pub use candidate::{check_text, json::ItemIdentity};
pub use encode::EncodedEvent;
pub use gate::{
    MAX_ITEM_BYTES, TOO_FAR_AHEAD, admit_bytes, admit_encoded, admit_json, admit_message, check_bytes,
    check_json,
};
pub use message::MalformedEvent;
pub use metrics::{ErrorType, EventMetrics, Service};
pub use model::{
    Details, Event, FacebookBottom, FacebookEngagement, FacebookTop, FacebookUser, TiktokBottom,
    TiktokEngagement, TiktokTop, TiktokUser,
};
pub use origin::Origin;
pub use violation::{Refusal, Violation, cut_event_id};
pub use weir::contract::enums::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
};
