//! The batch of one call: the gate turns its items into frames and dead letters, with one result per item.

use std::collections::{HashMap, hash_map::Entry};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tonic::Status;
use weir::contract::{
    event::v1,
    ingest::v1::{Item, ItemResult, Outcome, PublishEventsRequest, RejectedItem, item::Content},
};
use weir_event::{
    EncodedEvent, MAX_ITEM_BYTES, Origin, Refusal, Source, TOO_FAR_AHEAD, Violation, admit_encoded,
};
use weir_journal::{DeadLetter, FrameLimit, Framer, MediaType, MessagingSpans, SealedFrame};
use weir_process::CallContext;

use crate::{producer_spans::ProducerSpans, request};

/// A call's items after the gate.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) frames: Vec<SealedFrame>,
    pub(crate) letters: Vec<DeadLetter>,
    /// One per item, in the order of the request.
    pub(crate) results: Vec<ItemResult>,
    /// The spans end when the batch is dropped.
    pub(crate) spans: ProducerSpans,
}

/// An admitted event before the search for repeats: a later item may have the same identity.
struct Admitted {
    event: EncodedEvent,
    /// Index into the call's origins.
    origin: usize,
    repeats: u32,
}

impl Batch {
    /// Runs the gate over every item of a checked request. `clock_is_behind` means that `now` is too early by the
    /// journal's clock. No frame exceeds `limit`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with the index of an item whose event can't be decoded.
    pub(crate) fn admit(
        request: PublishEventsRequest,
        call: CallContext,
        now: DateTime<Utc>,
        clock_is_behind: bool,
        limit: FrameLimit,
        spans: &MessagingSpans,
    ) -> Result<Self, Status> {
        let mut origins = Origins::new(request.origin, call, now);
        let mut batch = Self { results: Vec::with_capacity(request.items.len()), ..Self::default() };
        let mut admitted = Vec::with_capacity(request.items.len());
        for (index, Item { content, origin, repeats }) in request.items.into_iter().enumerate() {
            let origin = origins.index_of(origin);
            let mut letter = match content {
                Some(Content::Event(encoded)) => {
                    let outcome = admit_encoded(&encoded, origins.list[origin].arrived_at);
                    match outcome.map_err(|error| request::undecodable_event(index, &error))? {
                        Ok(event) => {
                            admitted.push(Admitted { event, origin, repeats });
                            batch.results.push(ItemResult {
                                outcome: Outcome::Accepted.into(),
                                violations: Vec::new(),
                            });
                            continue;
                        }
                        Err(refusal) => gate_rejected(encoded, refusal, origins.list[origin].clone()),
                    }
                }
                Some(Content::Rejected(rejected)) => client_rejected(rejected, origins.list[origin].clone()),
                // `request::check` has refused requests with such an item.
                None => continue,
            };
            if clock_is_behind {
                letter.violations.iter_mut().for_each(add_clock_hint);
            }
            let violations = letter.violations.iter().cloned().map(v1::Violation::from).collect();
            batch.results.push(ItemResult { outcome: Outcome::Rejected.into(), violations });
            batch.letters.push(letter);
        }
        let publish_id = Some(request.publish_id).filter(|id| !id.is_empty());
        let used = admitted.iter().map(|admitted| (admitted.event.source(), admitted.origin));
        batch.spans = ProducerSpans::begin(spans, &origins.list, used);
        batch.frames =
            frames(admitted, &origins.list, &batch.spans, Framer::new(publish_id).with_limit(limit));
        batch.spans.record_frames(&batch.frames);
        Ok(batch)
    }

    /// The accepted events of each frame, with their repeats, and the frame's source.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (Source, u64)> {
        self.frames.iter().map(|frame| (frame.source(), frame.accepted()))
    }
}

/// The origin of the call at index 0, then the origins that items name.
struct Origins {
    list: Vec<Origin>,
}

impl Origins {
    fn new(message: Option<v1::Origin>, call: CallContext, now: DateTime<Utc>) -> Self {
        let origin = Origin::of_call(call, now);
        let origin = match message {
            Some(message) => origin.overridden_by(message),
            None => origin,
        };
        Self { list: vec![origin] }
    }

    /// The index of an item's origin.
    fn index_of(&mut self, message: Option<v1::Origin>) -> usize {
        let Some(message) = message else { return 0 };
        let origin = self.list[0].overridden_by(message);
        // Clients send the items of one origin together, so only the last origin is compared.
        if self.list.last() != Some(&origin) {
            self.list.push(origin);
        }
        self.list.len() - 1
    }
}

/// Frames the events. Of several events with the same identity the first is framed, and the others are its repeats.
fn frames(
    admitted: Vec<Admitted>,
    origins: &[Origin],
    spans: &ProducerSpans,
    mut framer: Framer,
) -> Vec<SealedFrame> {
    let repeats = repeats(&admitted);
    for (Admitted { event, origin, .. }, repeats) in admitted.into_iter().zip(repeats) {
        if let Some(repeats) = repeats {
            let origin = spans.origin(event.source(), origin, origins);
            framer.push(event, origin, repeats);
        }
    }
    framer.finish()
}

/// The repeats of each event: the later events with its identity, and their own repeats. `None` for such a later event.
fn repeats(admitted: &[Admitted]) -> Vec<Option<u32>> {
    let mut first: HashMap<(Source, &[u8]), usize> = HashMap::with_capacity(admitted.len());
    let mut repeats: Vec<Option<u32>> = Vec::with_capacity(admitted.len());
    for (index, Admitted { event, repeats: own, .. }) in admitted.iter().enumerate() {
        match first.entry((event.source(), event.id())) {
            Entry::Vacant(entry) => {
                entry.insert(index);
                repeats.push(Some(*own));
            }
            Entry::Occupied(entry) => {
                repeats.push(None);
                if let Some(total) = &mut repeats[*entry.get()] {
                    *total = total.saturating_add(own.saturating_add(1));
                }
            }
        }
    }
    repeats
}

/// The dead letter of an event that the gate of this ingest refused.
fn gate_rejected(encoded: Bytes, refusal: Refusal, origin: Origin) -> DeadLetter {
    let Refusal { violations, source, event_id } = refusal;
    DeadLetter::new(encoded, MediaType::Protobuf, violations, source, event_id, origin)
}

/// The dead letter of an item that the client refused. The client may have cut its bytes.
fn client_rejected(rejected: RejectedItem, origin: Origin) -> DeadLetter {
    let violations = rejected.violations.into_iter().map(Into::into).collect();
    let source = Source::from_number(rejected.source);
    let event_id = Some(rejected.event_id).filter(|id| !id.is_empty());
    let letter = DeadLetter::new(rejected.raw.into(), MediaType::Json, violations, source, event_id, origin);
    DeadLetter {
        size: rejected.size.max(letter.size),
        sha256: rejected.sha256.try_into().ok().or(letter.sha256),
        ..letter
    }
}

/// Adds a hint to the violation of a timestamp too far ahead: with a clock that is behind, the timestamp may be right.
/// The hint has no figure, so that the same item gets the same fingerprint when a client sends it again.
fn add_clock_hint(violation: &mut Violation) {
    if violation.pointer == "/timestamp" && violation.message == TOO_FAR_AHEAD {
        let message = &violation.message;
        violation.message =
            format!("{message}; the clock of ingest is behind the journal's, so it may be at fault");
    }
}

/// Whether the item of a dead letter is over the limit of an item.
pub(crate) fn is_too_large(letter: &DeadLetter) -> bool {
    letter.size > MAX_ITEM_BYTES as u64
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use sha2::{Digest as _, Sha256};
    use weir_journal::MAX_RAW_BYTES;
    use weir_process::{CorrelationId, TraceContext};

    use super::*;

    fn event(id: &str) -> v1::Event {
        use weir::contract::event::v1::tiktok_event::Engagement;
        use weir_event::admit_json;
        let json = format!(
            r#"{{"eventId":"{id}","timestamp":"2025-09-14T07:21:45Z","source":"tiktok","funnelStage":"bottom",
            "eventType":"follow","data":{{"user":{{"userId":"u","username":"n","followers":1}},"engagement":
            {{"actionTime":"2025-09-14T07:21:45Z","profileId":null,"purchasedItem":null,"purchaseAmount":null}}}}}}"#
        );
        let message = v1::Event::from(admit_json(&json, Utc::now()).unwrap());
        assert!(matches!(
            message.source,
            Some(v1::event::Source::Tiktok(v1::TiktokEvent { engagement: Some(Engagement::Bottom(_)), .. }))
        ));
        message
    }

    fn admit(items: Vec<Item>) -> Batch {
        let call = CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
        let request = PublishEventsRequest { items, ..PublishEventsRequest::default() };
        Batch::admit(request, call, Utc::now(), true, FrameLimit::default(), &MessagingSpans::embedded())
            .unwrap()
    }

    fn item(event: v1::Event, repeats: u32) -> Item {
        Item { content: Some(Content::Event(event.encode_to_vec().into())), origin: None, repeats }
    }

    fn rejected(raw: Vec<u8>) -> Item {
        let violations = vec![v1::Violation { pointer: "/source".into(), message: "is required".into() }];
        let rejected = RejectedItem { raw, violations, ..RejectedItem::default() };
        Item { content: Some(Content::Rejected(rejected)), ..Item::default() }
    }

    #[test]
    fn every_item_has_its_result_in_the_order_of_the_request() {
        let mut bad = event("b");
        bad.event_id.clear();
        let batch =
            admit(vec![item(event("a"), 0), item(bad, 0), rejected(b"{}".to_vec()), item(event("c"), 0)]);
        let outcomes: Vec<Outcome> = batch.results.iter().map(ItemResult::outcome).collect();
        use Outcome::{Accepted, Rejected};
        assert_eq!(outcomes, [Accepted, Rejected, Rejected, Accepted]);
        assert_eq!(batch.results[1].violations[0].pointer, "/eventId");
        assert_eq!((batch.frames.len(), batch.letters.len()), (1, 2));
        assert_eq!(v1::Event::decode(&*batch.letters[0].raw).unwrap().timestamp, event("b").timestamp);
    }

    #[test]
    fn an_identity_that_occurs_twice_is_framed_once_and_counted_twice() {
        let admitted = |id: &str, repeats| {
            let event = weir_event::admit_message(&event(id), Utc::now()).unwrap();
            Admitted { event: event.into(), origin: 0, repeats }
        };
        let repeats = repeats(&[admitted("a", 2), admitted("b", 0), admitted("a", 1)]);
        assert_eq!(repeats, [Some(4), Some(0), None]);
        let batch = admit(vec![item(event("a"), 2), item(event("a"), 1), item(event("b"), 0)]);
        assert_eq!(batch.accepted().collect::<Vec<_>>(), [(Source::Tiktok, 6)]);
    }

    #[test]
    fn a_timestamp_too_far_ahead_gets_a_hint_when_the_clock_is_behind() {
        let mut early = event("a");
        early.timestamp =
            Some(prost_types::Timestamp { seconds: Utc::now().timestamp() + 2 * 86_400, nanos: 0 });
        let mut nameless = event("b");
        nameless.event_id.clear();
        let batch = admit(vec![item(early, 0), item(nameless, 0)]);
        let message = |index: usize| &batch.results[index].violations[0].message;
        assert!(message(0).contains("the clock of ingest is behind"), "{}", message(0));
        assert!(!message(1).contains("clock"));
    }

    #[test]
    fn a_long_item_is_cut_and_keeps_the_hash_of_the_whole() {
        let batch = admit(vec![rejected(vec![b'x'; MAX_RAW_BYTES + 1])]);
        let letter = &batch.letters[0];
        assert_eq!((letter.raw.len(), letter.size), (MAX_RAW_BYTES, MAX_RAW_BYTES as u64 + 1));
        assert_eq!(letter.sha256, Some(Sha256::digest(vec![b'x'; MAX_RAW_BYTES + 1]).into()));
    }
}
