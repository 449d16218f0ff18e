//! Differences between derived data and the data that they are derived from.

use weir_event::Source;

use weir_database::time_bucket::Grain;

use super::measures::Measures;

/// One bucket whose values differ from those that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub source: Source,
    pub grain: Grain,
    /// The bucket's start, µs since the Unix epoch.
    pub bucket: i64,
    pub subject: Subject,
    /// The values in the database; all zero where there is no row.
    pub written: Measures,
    /// The values that it should have; all zero where there should be no row.
    pub expected: Measures,
    pub evidence: Evidence,
}

/// The subject of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Numbers of `weir.event.v1`. A damaged database may have other ones.
    EventKind {
        funnel_stage: i16,
        event_type: i16,
    },
    Campaign(String),
    /// The sets of users and groups.
    People,
    /// The ranking of campaigns.
    Ranking,
}

/// The evidence for the expected values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// All rows of the bucket.
    Rows,
    /// For rankings: the sums of all campaigns of the bucket.
    Campaigns,
    /// The minutes within the bucket, and the rows of complete minutes: retention has removed some rows of the
    /// bucket. For people: the narrower buckets that it consists of.
    Minutes,
    /// The same, but both an hour and the day contradict the minutes. The minutes may be as wrong as they are, so
    /// that the difference is not repaired.
    Contradicted,
}

impl Subject {
    /// Stage and type.
    pub(super) fn event_kind(&self) -> Option<(i16, i16)> {
        match self {
            Self::EventKind { funnel_stage, event_type } => Some((*funnel_stage, *event_type)),
            Self::Campaign(_) | Self::People | Self::Ranking => None,
        }
    }

    pub(super) fn campaign(&self) -> Option<&str> {
        match self {
            Self::Campaign(campaign_id) => Some(campaign_id),
            Self::EventKind { .. } | Self::People | Self::Ranking => None,
        }
    }
}

impl Difference {
    /// Whether the evidence suffices for a repair.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self.evidence {
            Evidence::Rows | Evidence::Campaigns | Evidence::Minutes => true,
            Evidence::Contradicted => false,
        }
    }

    /// The values to add to those in the database.
    pub(super) fn missing(&self) -> Measures {
        self.expected.minus(&self.written)
    }
}
