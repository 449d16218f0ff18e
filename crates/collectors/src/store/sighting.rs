//! How often an identity stands in a frame, and what of that makes it a duplicate.

/// One identity in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting<'a> {
    pub(super) source: i16,
    pub(super) event_id: &'a str,
    pub(super) frame_id: &'a str,
    /// How often it stands there.
    pub(super) times: i64,
}

/// What goes before the rows of sightings, and [`COUNT_DUPLICATES`] after them.
pub(super) const SEEN_AS: &str = "WITH sighting (source, event_id, frame_id, times) AS (";

/// Every sighting counts but the one that became the row: a frame is stored once, so the row names the frame only
/// where the frame brought it. Rows are taken in the order of their keys, so that two collectors with the same
/// duplicates wait for each other and never in a circle.
pub(super) const COUNT_DUPLICATES: &str = ") \
    INSERT INTO duplicates (source, event_id, times) \
    SELECT sighting.source, sighting.event_id, \
        SUM(sighting.times - CASE WHEN events.frame_id = sighting.frame_id THEN 1 ELSE 0 END) \
    FROM sighting LEFT JOIN events \
        ON events.source = sighting.source AND events.event_id = sighting.event_id \
    GROUP BY sighting.source, sighting.event_id \
    HAVING SUM(sighting.times - CASE WHEN events.frame_id = sighting.frame_id THEN 1 ELSE 0 END) > 0 \
    ORDER BY sighting.source, sighting.event_id \
    ON CONFLICT (source, event_id) DO UPDATE SET times = duplicates.times + excluded.times";

/// One sighting of each identity in each frame, in the order of their keys.
pub(super) fn merged<'a>(sightings: impl Iterator<Item = Sighting<'a>>) -> Vec<Sighting<'a>> {
    let mut merged: Vec<Sighting<'a>> = sightings.filter(|sighting| sighting.times > 0).collect();
    merged.sort_unstable();
    merged.dedup_by(|next, kept| {
        let same = (next.source, next.event_id, next.frame_id) == (kept.source, kept.event_id, kept.frame_id);
        if same {
            kept.times += next.times;
        }
        same
    });
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_stands_twice_in_a_frame_is_one_sighting() {
        let sighting = |event_id, frame_id, times| Sighting { source: 1, event_id, frame_id, times };
        let seen = [
            sighting("b", "f", 1),
            sighting("a", "f", 3),
            sighting("c", "f", 0),
            sighting("a", "e", 1),
            sighting("a", "f", 1),
        ];
        let expected = [sighting("a", "e", 1), sighting("a", "f", 4), sighting("b", "f", 1)];
        assert_eq!(merged(seen.into_iter()), expected);
    }
}
