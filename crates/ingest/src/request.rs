//! The rules of a request as a whole. A violation of one item is that item's own result instead.

use prost::{DecodeError, Message as _};
use tonic::Status;
use weir::contract::ingest::v1::{Item, PublishEventsRequest, item::Content};
use weir_event::Source;
use weir_process::{Reason, refuse};

/// The most items of a call.
const MAX_ITEMS: usize = 10_000;
/// The most bytes of a call: 16 MiB.
const MAX_BYTES: usize = 16 << 20;
/// The most bytes of a publish id: enough for a UUID, or a key of the client's own.
const MAX_PUBLISH_ID_BYTES: usize = 128;
/// The most bytes that the transport decodes. It is above the limit of a call, so that a call just over the limit gets
/// the rule as its error; the transport refuses a larger one.
pub(crate) const MAX_DECODED_BYTES: usize = 2 * MAX_BYTES;

/// Checks a request before the gate sees its items.
///
/// # Errors
/// INVALID_ARGUMENT that names the field and the rule.
pub(crate) fn check(request: &PublishEventsRequest) -> Result<(), Status> {
    if request.items.len() > MAX_ITEMS {
        return Err(invalid(
            "items",
            &format!("has {} items, over the limit of {MAX_ITEMS}", request.items.len()),
        ));
    }
    let bytes = request.encoded_len();
    if bytes > MAX_BYTES {
        return Err(invalid("items", &format!("has {bytes} bytes, over the limit of {MAX_BYTES}")));
    }
    if request.publish_id.len() > MAX_PUBLISH_ID_BYTES {
        return Err(invalid("publish_id", &format!("has over {MAX_PUBLISH_ID_BYTES} bytes")));
    }
    let broken = request.items.iter().enumerate().find_map(|(index, item)| Some((index, broken_rule(item)?)));
    match broken {
        None => Ok(()),
        Some((index, (field, rule))) => Err(invalid(&format!("items[{index}].{field}"), rule)),
    }
}

/// The field and the rule that an item breaks, if any.
fn broken_rule(item: &Item) -> Option<(&'static str, &'static str)> {
    match &item.content {
        None => Some(("content", "must be an event or a rejected item")),
        Some(Content::Rejected(rejected)) if rejected.violations.is_empty() => {
            Some(("rejected.violations", "must name at least one violation"))
        }
        Some(Content::Rejected(rejected)) if !matches!(rejected.sha256.len(), 0 | 32) => {
            Some(("rejected.sha256", "must have 32 bytes or none"))
        }
        Some(Content::Event(_) | Content::Rejected(_)) => None,
    }
}

/// The source of a request about one source.
///
/// # Errors
/// INVALID_ARGUMENT that names the field and the rule.
pub(crate) fn source(number: i32) -> Result<Source, Status> {
    Source::from_number(number).ok_or_else(|| invalid("source", "must be named"))
}

/// INVALID_ARGUMENT for an item whose event can't be decoded.
pub(crate) fn undecodable_event(index: usize, error: &DecodeError) -> Status {
    invalid(&format!("items[{index}].event"), &format!("is no weir.event.v1.Event: {error}"))
}

/// INVALID_ARGUMENT that names the field and the rule.
pub(crate) fn invalid(field: &str, rule: &str) -> Status {
    refuse(Reason::InvalidRequest, format!("{field} {rule}"), &[(field, rule)])
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;
    use weir::contract::ingest::v1::RejectedItem;

    use super::*;

    fn request(items: Vec<Item>) -> PublishEventsRequest {
        PublishEventsRequest { items, ..PublishEventsRequest::default() }
    }

    #[test]
    fn a_malformed_request_gets_an_error_with_the_item_and_the_rule() {
        let rejected = Item { content: Some(Content::Rejected(RejectedItem::default())), ..Item::default() };
        let status = check(&request(vec![rejected])).unwrap_err();
        let fields = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(fields[0].field, "items[0].rejected.violations");
        assert_eq!(Reason::of(&status), Some(Reason::InvalidRequest));
        assert!(check(&request(vec![Item::default()])).is_err());
    }

    #[test]
    fn a_request_over_a_limit_is_refused() {
        let good = Item { content: Some(Content::Event(Default::default())), ..Item::default() };
        assert!(check(&request(vec![good.clone(); MAX_ITEMS])).is_ok());
        assert!(check(&request(vec![good; MAX_ITEMS + 1])).is_err());
        let publish_id = "x".repeat(MAX_PUBLISH_ID_BYTES + 1);
        assert!(check(&PublishEventsRequest { publish_id, ..request(Vec::new()) }).is_err());
        let large = RejectedItem { raw: vec![0; MAX_BYTES], ..RejectedItem::default() };
        let large = Item { content: Some(Content::Rejected(large)), ..Item::default() };
        assert!(check(&request(vec![large])).unwrap_err().message().contains("16777216"));
    }
}
