//! The gate: every rule of wire.md section 1, once, for webhooks and gRPC alike.

use chrono::{DateTime, Utc};

use super::{Event, Refusal};
use crate::contract::event::v1;

/// The most bytes of JSON that one item may have (wire.md section 1).
pub const MAX_ITEM_BYTES: usize = 256 * 1024;

/// Checks one webhook item, `raw` being well-formed JSON.
///
/// # Errors
/// Every rule that the item breaks.
pub fn admit_json(raw: &str, arrived_at: DateTime<Utc>) -> Result<Event, Refusal> {
    let _ = (raw, arrived_at);
    unimplemented!()
}

/// Checks one event of a gRPC client by the same rules; pointers are those of the webhook's JSON.
///
/// # Errors
/// Every rule that the event breaks.
pub fn admit_message(message: v1::Event, arrived_at: DateTime<Utc>) -> Result<Event, Refusal> {
    let _ = (message, arrived_at);
    unimplemented!()
}
