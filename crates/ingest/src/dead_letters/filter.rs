//! The filter of a request over dead letters.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use weir::contract::{
    self,
    ingest::v1::{self, DeadLetterFilter},
};
use weir_event::Source;
use weir_journal::{DeadLetterStream, StoredDeadLetter};

use super::{field_errors::FieldErrors, letter};

/// A checked filter. A field that is `None` or empty matches every letter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    stream: Option<DeadLetterStream>,
    source: Option<Source>,
    /// Matches only letters of items that named no source that exists.
    unknown_source: bool,
    reason: String,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    fingerprint: String,
}

impl Filter {
    /// Checks a filter. Adds each error to `errors`.
    pub(super) fn check(filter: Option<DeadLetterFilter>, errors: &mut FieldErrors) -> Self {
        let filter = filter.unwrap_or_default();
        let stream = match v1::Graveyard::try_from(filter.graveyard) {
            Ok(v1::Graveyard::Unspecified) => None,
            Ok(v1::Graveyard::Rejected) => Some(DeadLetterStream::Rejected),
            Ok(v1::Graveyard::Parked) => Some(DeadLetterStream::Parked),
            Err(_) => errors.add("filter.graveyard", "is no graveyard"),
        };
        let source = match (filter.source, Source::from_number(filter.source)) {
            (0, _) => None,
            (_, Some(source)) => Some(source),
            (_, None) => errors.add("filter.source", "is no source"),
        };
        if filter.unknown_source && filter.source != 0 {
            errors.add::<()>("filter.unknown_source", "excludes filter.source");
        }
        let (from, to) =
            (instant("filter.from", filter.from, errors), instant("filter.to", filter.to, errors));
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            errors.add::<()>("filter.from", "is after filter.to");
        }
        let fingerprint = filter.fingerprint.to_ascii_lowercase();
        let (reason, unknown_source) = (filter.reason, filter.unknown_source);
        Self { stream, source, unknown_source, reason, from, to, fingerprint }
    }

    /// The streams that can hold a match, in the order in which a scan reads them.
    pub(super) fn streams(&self) -> impl Iterator<Item = DeadLetterStream> + use<> {
        let only = self.stream;
        DeadLetterStream::ALL.into_iter().filter(move |stream| only.is_none_or(|only| only == *stream))
    }

    /// Whether a letter matches every field.
    pub(super) fn matches(&self, stream: DeadLetterStream, stored: &StoredDeadLetter) -> bool {
        self.source.is_none_or(|source| stored.letter.source == Some(source))
            && !(self.unknown_source && stored.letter.source.is_some())
            && self.from.is_none_or(|from| stored.stored_at >= from)
            && self.to.is_none_or(|to| stored.stored_at < to)
            && (self.reason.is_empty() || letter::reason(&stored.letter).contains(&self.reason))
            && (self.fingerprint.is_empty() || self.matches_fingerprint(stream, stored))
    }

    /// Whether the fingerprint is the letter's or its group's.
    fn matches_fingerprint(&self, stream: DeadLetterStream, stored: &StoredDeadLetter) -> bool {
        [letter::fingerprint(&stored.letter), letter::group_fingerprint(stream, &stored.letter)]
            .contains(&self.fingerprint)
    }
}

fn instant(field: &'static str, time: Option<Timestamp>, errors: &mut FieldErrors) -> Option<DateTime<Utc>> {
    contract::instant(time?).or_else(|| errors.add(field, "is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_by_source_excludes_a_filter_by_unknown_source() {
        let filter = DeadLetterFilter { source: 1, unknown_source: true, ..DeadLetterFilter::default() };
        let mut errors = FieldErrors::default();
        Filter::check(Some(filter), &mut errors);
        assert!(errors.into_result().is_err());
    }
}
