//! Which letters are meant.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use weir::contract::ingest::v1::{self, DeadLetterFilter};
use weir_event::Source;
use weir_journal::{DeadLetterStream, StoredDeadLetter};

use super::{field_errors::Faults, letter};

/// A checked filter; what is `None` or empty matches every letter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    graveyard: Option<DeadLetterStream>,
    source: Option<Source>,
    /// Only letters of items that named no source that exists.
    unknown_source: bool,
    reason: String,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    fingerprint: String,
}

impl Filter {
    pub(super) fn read(filter: Option<DeadLetterFilter>, faults: &mut Faults) -> Self {
        let filter = filter.unwrap_or_default();
        let graveyard = match v1::Graveyard::try_from(filter.graveyard) {
            Ok(v1::Graveyard::Unspecified) => None,
            Ok(v1::Graveyard::Rejected) => Some(DeadLetterStream::Rejected),
            Ok(v1::Graveyard::Parked) => Some(DeadLetterStream::Parked),
            Err(_) => faults.add("filter.graveyard", "is no graveyard"),
        };
        let source = match (filter.source, Source::from_number(filter.source)) {
            (0, _) => None,
            (_, Some(source)) => Some(source),
            (_, None) => faults.add("filter.source", "is no source"),
        };
        if filter.unknown_source && filter.source != 0 {
            faults.add::<()>("filter.unknown_source", "excludes filter.source");
        }
        let (from, to) =
            (instant("filter.from", filter.from, faults), instant("filter.to", filter.to, faults));
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            faults.add::<()>("filter.from", "is after filter.to");
        }
        let fingerprint = filter.fingerprint.to_ascii_lowercase();
        let (reason, unknown_source) = (filter.reason, filter.unknown_source);
        Self { graveyard, source, unknown_source, reason, from, to, fingerprint }
    }

    /// The graveyards that can hold a match, in the order in which they are browsed.
    pub(super) fn graveyards(&self) -> impl Iterator<Item = DeadLetterStream> + use<> {
        let only = self.graveyard;
        DeadLetterStream::ALL.into_iter().filter(move |graveyard| only.is_none_or(|only| only == *graveyard))
    }

    pub(super) fn matches(&self, graveyard: DeadLetterStream, stored: &StoredDeadLetter) -> bool {
        self.source.is_none_or(|source| stored.letter.source == Some(source))
            && !(self.unknown_source && stored.letter.source.is_some())
            && self.from.is_none_or(|from| stored.stored_at >= from)
            && self.to.is_none_or(|to| stored.stored_at < to)
            && (self.reason.is_empty() || letter::reason(&stored.letter).contains(&self.reason))
            && (self.fingerprint.is_empty() || self.names(graveyard, stored))
    }

    fn names(&self, graveyard: DeadLetterStream, stored: &StoredDeadLetter) -> bool {
        [letter::fingerprint(&stored.letter), letter::group_fingerprint(graveyard, &stored.letter)]
            .contains(&self.fingerprint)
    }
}

fn instant(field: &'static str, time: Option<Timestamp>, faults: &mut Faults) -> Option<DateTime<Utc>> {
    let time = time?;
    let nanos = u32::try_from(time.nanos).ok();
    let instant = nanos.and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos));
    instant.or_else(|| faults.add(field, "is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_a_source_or_none() {
        let filter = DeadLetterFilter { source: 1, unknown_source: true, ..DeadLetterFilter::default() };
        let mut faults = Faults::default();
        Filter::read(Some(filter), &mut faults);
        assert!(faults.into_result().is_err());
    }
}
