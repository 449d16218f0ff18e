//! What a comparison finds.

use weir_event::Source;

use super::{grain::Grain, measures::Figures};

/// One bucket that says something else than what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub source: Source,
    pub grain: Grain,
    /// The bucket's start, µs since the Unix epoch.
    pub bucket: i64,
    pub subject: Subject,
    /// What is written; all zero where nothing is.
    pub written: Figures,
    /// What it should be; all zero where nothing should be.
    pub expected: Figures,
    pub evidence: Evidence,
}

/// What a bucket is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Numbers of `weir.event.v1`; they may be none of it where the store is damaged.
    Kind {
        funnel_stage: i16,
        event_type: i16,
    },
    Campaign(String),
    /// The sets of its users and groups.
    People,
}

/// What is known of what a bucket should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// All of its rows are there.
    Rows,
    /// Some of its rows were removed after their time: the minutes within it are left, and the rows of those that are
    /// complete. Of people: what the bucket is made of.
    Minutes,
    /// The same, but hours contradict the minutes and the day does too: the minutes are as likely wrong as they are.
    /// Nothing is set right by them.
    Contradicted,
}

impl Subject {
    /// Stage and type.
    pub(super) fn kind(&self) -> Option<(i16, i16)> {
        match self {
            Self::Kind { funnel_stage, event_type } => Some((*funnel_stage, *event_type)),
            Self::Campaign(_) | Self::People => None,
        }
    }

    pub(super) fn campaign(&self) -> Option<&str> {
        match self {
            Self::Campaign(campaign_id) => Some(campaign_id),
            Self::Kind { .. } | Self::People => None,
        }
    }
}

impl Difference {
    /// Whether it can be set right.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self.evidence {
            Evidence::Rows | Evidence::Minutes => true,
            Evidence::Contradicted => false,
        }
    }

    /// What is to be added to what is written.
    pub(super) fn missing(&self) -> Figures {
        self.expected.minus(&self.written)
    }
}
