//! One call's items, sorted by the gate into frames and dead letters, with a result for each.

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

use crate::{request, sends::Sends};

/// A call's items after the gate.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) frames: Vec<SealedFrame>,
    pub(crate) letters: Vec<DeadLetter>,
    /// One per item, in the order of the request.
    pub(crate) results: Vec<ItemResult>,
    /// Under way until this is dropped.
    pub(crate) sends: Sends,
}

/// An admitted event, until it is known whether a later item repeats its identity.
struct Admitted {
    event: EncodedEvent,
    /// Index into the call's origins.
    origin: usize,
    repeats: u32,
}

impl Batch {
    /// Runs the gate over every item of a checked request. `clock_is_behind` says that `now` is known to be too early.
    /// Frames are within `limit`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names an item whose event is none.
    pub(crate) fn sort(
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
            let origin = origins.of(origin);
            let mut letter = match content {
                Some(Content::Event(encoded)) => {
                    let judged = admit_encoded(&encoded, origins.list[origin].arrived_at);
                    match judged.map_err(|error| request::no_event(index, &error))? {
                        Ok(event) => {
                            admitted.push(Admitted { event, origin, repeats });
                            batch.results.push(ItemResult {
                                outcome: Outcome::Accepted.into(),
                                violations: Vec::new(),
                            });
                            continue;
                        }
                        Err(refusal) => refused(encoded, refusal, origins.list[origin].clone()),
                    }
                }
                Some(Content::Rejected(rejected)) => laid_down(rejected, origins.list[origin].clone()),
                // Requests with such an item are refused before they come here.
                None => continue,
            };
            if clock_is_behind {
                letter.violations.iter_mut().for_each(blame_the_clock);
            }
            let violations = letter.violations.iter().cloned().map(v1::Violation::from).collect();
            batch.results.push(ItemResult { outcome: Outcome::Rejected.into(), violations });
            batch.letters.push(letter);
        }
        let publish_id = Some(request.publish_id).filter(|id| !id.is_empty());
        let used = admitted.iter().map(|admitted| (admitted.event.source(), admitted.origin));
        batch.sends = Sends::begin(spans, &origins.list, used);
        batch.frames =
            frames(admitted, &origins.list, &batch.sends, Framer::new(publish_id).with_limit(limit));
        batch.sends.framed(&batch.frames);
        Ok(batch)
    }

    /// Accepted events by source, with their repeats.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (Source, u64)> {
        self.frames.iter().map(|frame| (frame.source(), frame.accepted()))
    }
}

/// The call's own origin, and those that items name besides.
struct Origins {
    list: Vec<Origin>,
}

impl Origins {
    fn new(named: Option<v1::Origin>, call: CallContext, now: DateTime<Utc>) -> Self {
        let origin = Origin::of_call(call, now);
        let origin = match named {
            Some(named) => origin.named(named),
            None => origin,
        };
        Self { list: vec![origin] }
    }

    /// The index of an item's origin.
    fn of(&mut self, named: Option<v1::Origin>) -> usize {
        let Some(named) = named else { return 0 };
        let origin = self.list[0].named(named);
        // Items of one origin follow each other.
        if self.list.last() != Some(&origin) {
            self.list.push(origin);
        }
        self.list.len() - 1
    }
}

/// Frames the events; of an identity that stands twice the first stays, the others become its repeats.
fn frames(
    admitted: Vec<Admitted>,
    origins: &[Origin],
    sends: &Sends,
    mut framer: Framer,
) -> Vec<SealedFrame> {
    let repeats = repeats(&admitted);
    for (Admitted { event, origin, .. }, repeats) in admitted.into_iter().zip(repeats) {
        if let Some(repeats) = repeats {
            let origin = sends.origin(event.source(), origin, origins);
            framer.push(event, origin, repeats);
        }
    }
    framer.finish()
}

/// For each event how often its identity stands here besides; `None` where an earlier event stands for it.
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

/// The dead letter of an event that this gate refused.
fn refused(encoded: Bytes, refusal: Refusal, origin: Origin) -> DeadLetter {
    let Refusal { violations, source, event_id } = refusal;
    DeadLetter::new(encoded, MediaType::Protobuf, violations, source, event_id, origin)
}

/// The dead letter of an item that the caller refused and perhaps cut.
fn laid_down(rejected: RejectedItem, origin: Origin) -> DeadLetter {
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

/// A timestamp that is too far ahead may be right. Without a figure, so that the item is the same letter when it comes again.
fn blame_the_clock(violation: &mut Violation) {
    if violation.pointer == "/timestamp" && violation.message == TOO_FAR_AHEAD {
        let message = &violation.message;
        violation.message =
            format!("{message}; the clock of ingest is behind the journal's, so it may be at fault");
    }
}

/// Whether an item was refused for its size alone.
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

    fn sort(items: Vec<Item>) -> Batch {
        let call = CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
        let request = PublishEventsRequest { items, ..PublishEventsRequest::default() };
        Batch::sort(request, call, Utc::now(), true, FrameLimit::default(), &MessagingSpans::embedded())
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
            sort(vec![item(event("a"), 0), item(bad, 0), rejected(b"{}".to_vec()), item(event("c"), 0)]);
        let outcomes: Vec<Outcome> = batch.results.iter().map(ItemResult::outcome).collect();
        use Outcome::{Accepted, Rejected};
        assert_eq!(outcomes, [Accepted, Rejected, Rejected, Accepted]);
        assert_eq!(batch.results[1].violations[0].pointer, "/eventId");
        assert_eq!((batch.frames.len(), batch.letters.len()), (1, 2));
        assert_eq!(v1::Event::decode(&*batch.letters[0].raw).unwrap().timestamp, event("b").timestamp);
    }

    #[test]
    fn an_identity_that_stands_twice_is_carried_once_and_counted_twice() {
        let admitted = |id: &str, repeats| {
            let event = weir_event::admit_message(&event(id), Utc::now()).unwrap();
            Admitted { event: event.into(), origin: 0, repeats }
        };
        let shares = repeats(&[admitted("a", 2), admitted("b", 0), admitted("a", 1)]);
        assert_eq!(shares, [Some(4), Some(0), None]);
        let batch = sort(vec![item(event("a"), 2), item(event("a"), 1), item(event("b"), 0)]);
        assert_eq!(batch.accepted().collect::<Vec<_>>(), [(Source::Tiktok, 6)]);
    }

    #[test]
    fn a_timestamp_that_is_too_far_ahead_of_a_clock_that_is_behind_may_be_right() {
        let mut early = event("a");
        early.timestamp =
            Some(prost_types::Timestamp { seconds: Utc::now().timestamp() + 2 * 86_400, nanos: 0 });
        let mut nameless = event("b");
        nameless.event_id.clear();
        let batch = sort(vec![item(early, 0), item(nameless, 0)]);
        let message = |index: usize| &batch.results[index].violations[0].message;
        assert!(message(0).contains("the clock of ingest is behind"), "{}", message(0));
        assert!(!message(1).contains("clock"));
    }

    #[test]
    fn a_long_item_is_cut_and_its_hash_tells_of_the_whole() {
        let batch = sort(vec![rejected(vec![b'x'; MAX_RAW_BYTES + 1])]);
        let letter = &batch.letters[0];
        assert_eq!((letter.raw.len(), letter.size), (MAX_RAW_BYTES, MAX_RAW_BYTES as u64 + 1));
        assert_eq!(letter.sha256, Some(Sha256::digest(vec![b'x'; MAX_RAW_BYTES + 1]).into()));
    }
}
