//! How often an identity stands in a frame, and what of that makes it a duplicate.

use std::collections::{BTreeMap, HashMap};

use super::{keys::Identity, row::Row};

/// What goes before the rows of duplicates, and [`ADD`] after them.
pub(super) const INSERT: &str = "INSERT INTO duplicates (source, event_id, times) ";
pub(super) const ADD: &str =
    " ON CONFLICT (source, event_id) DO UPDATE SET times = duplicates.times + excluded.times";

/// One identity in one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting<'a> {
    pub(super) identity: Identity<'a>,
    pub(super) frame_id: &'a str,
    /// How often it stands there.
    pub(super) times: i64,
}

/// An identity that came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duplicate<'a> {
    pub(super) identity: Identity<'a>,
    pub(super) times: i64,
}

/// Every sighting counts but the one that became one of the `new` rows. In the order of their keys, so that two
/// collectors with the same duplicates wait for each other and never in a circle.
pub(super) fn duplicates<'a>(
    sightings: impl Iterator<Item = Sighting<'a>>,
    new: &[Row<'a>],
) -> Vec<Duplicate<'a>> {
    let mut sightings = sightings.filter(|sighting| sighting.times > 0).peekable();
    // Most batches have nothing that came again.
    if sightings.peek().is_none() {
        return Vec::new();
    }
    let mut brought: HashMap<Identity<'a>, &str> =
        new.iter().map(|row| (row.identity(), row.frame_id)).collect();
    let mut again: BTreeMap<Identity<'a>, i64> = BTreeMap::new();
    for Sighting { identity, frame_id, times } in sightings {
        let is_first = brought.get(&identity) == Some(&frame_id);
        if is_first {
            brought.remove(&identity);
        }
        *again.entry(identity).or_default() += times - i64::from(is_first);
    }
    let duplicate = |(identity, times)| Duplicate { identity, times };
    again.into_iter().filter(|(_, times)| *times > 0).map(duplicate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(event_id: &'static str, frame_id: &'static str, times: i64) -> Sighting<'static> {
        Sighting { identity: (1, event_id), frame_id, times }
    }

    fn row(event_id: &'static str, frame_id: &'static str) -> Row<'static> {
        Row { source: 1, event_id, frame_id, ..Row::default() }
    }

    #[test]
    fn all_but_the_sighting_that_became_the_row_is_again() {
        let seen = [
            sighting("old", "f", 1),
            sighting("new", "f", 1),
            sighting("new", "e", 1),
            sighting("repeated", "f", 3),
            sighting("elsewhere", "f", 1),
            sighting("once", "f", 1),
            sighting("parked", "f", 0),
        ];
        let new = [row("new", "e"), row("repeated", "f"), row("once", "f"), row("elsewhere", "e")];
        let duplicate = |event_id, times| Duplicate { identity: (1, event_id), times };
        let expected =
            [duplicate("elsewhere", 1), duplicate("new", 1), duplicate("old", 1), duplicate("repeated", 2)];
        assert_eq!(duplicates(seen.into_iter(), &new), expected);
    }

    #[test]
    fn an_identity_that_stands_twice_in_the_frame_of_its_row_came_again_once() {
        let seen = [sighting("a", "f", 1), sighting("a", "f", 1)];
        let expected = [Duplicate { identity: (1, "a"), times: 1 }];
        assert_eq!(duplicates(seen.into_iter(), &[row("a", "f")]), expected);
    }
}
