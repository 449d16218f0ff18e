//! What is derived from rows, described: its table, its keys, its figures, and which rows count.

use std::sync::LazyLock;

use weir_event::{EventType, Source};

use super::{difference::Subject, measures::Figure};
use crate::store::rollups::{LOW_BITS, LOW_MASK};

/// Something that is derived from rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    /// `rollups`.
    Kinds,
    /// `campaign_rollups`, of Facebook alone.
    Campaigns,
}

/// SQL: whether a row is a transaction.
static IS_TRANSACTION: LazyLock<String> = LazyLock::new(|| {
    let kinds = [(Source::Facebook, EventType::CheckoutComplete), (Source::Tiktok, EventType::Purchase)]
        .map(|(source, kind)| format!("(source = {} AND event_type = {})", source.number(), kind.number()));
    format!("(purchase_amount IS NOT NULL AND ({}))", kinds.join(" OR "))
});

impl Structure {
    /// Those that know of a source.
    pub(super) fn of(source: Source) -> &'static [Self] {
        match source {
            Source::Facebook => &[Self::Kinds, Self::Campaigns],
            Source::Tiktok => &[Self::Kinds],
        }
    }

    /// The one that a difference is of; sets are added up from nothing.
    pub(super) fn of_subject(subject: &Subject) -> Option<Self> {
        match subject {
            Subject::Kind { .. } => Some(Self::Kinds),
            Subject::Campaign(_) => Some(Self::Campaigns),
            Subject::People => None,
        }
    }

    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Kinds => "rollups",
            Self::Campaigns => "campaign_rollups",
        }
    }

    /// What parts a bucket of a source, by columns that rollups and rows name alike.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Kinds => &["funnel_stage", "event_type"],
            Self::Campaigns => &["campaign_id"],
        }
    }

    pub(super) fn figures(self) -> &'static [Figure] {
        match self {
            Self::Kinds => {
                &[Figure::Events, Figure::Measured, Figure::Measure, Figure::Transactions, Figure::Amount]
            }
            Self::Campaigns => &[Figure::Transactions, Figure::Amount],
        }
    }

    /// Which of the table's rows are of a source.
    pub(super) fn written_of(self, source: Source) -> String {
        match self {
            Self::Kinds => format!("source = {}", source.number()),
            Self::Campaigns => "true".to_owned(),
        }
    }

    /// Which rows of events of a source count.
    pub(super) fn rows_of(self, source: Source) -> String {
        let of_source = format!("source = {}", source.number());
        match self {
            Self::Kinds => of_source,
            Self::Campaigns => format!("{of_source} AND campaign_id IS NOT NULL AND {}", *IS_TRANSACTION),
        }
    }
}

/// What rows of events add up to, for each column of a figure.
pub(super) fn of_rows(figure: Figure) -> Vec<String> {
    const MEASURE: &str = "COALESCE(age, followers)";
    let amount = |of: &str| format!("SUM(CASE WHEN {} THEN {of} ELSE 0 END)", *IS_TRANSACTION);
    match figure {
        Figure::Events => vec!["COUNT(*)".to_owned()],
        Figure::Measured => vec![format!("COUNT({MEASURE})")],
        Figure::Measure => [format!("{MEASURE} >> {LOW_BITS}"), format!("{MEASURE} & {LOW_MASK}")]
            .map(|half| format!("COALESCE(SUM({half}), 0)"))
            .into(),
        Figure::Transactions => vec![amount("1")],
        Figure::Amount => {
            vec![
                amount(&format!("(purchase_amount >> {LOW_BITS})")),
                amount(&format!("(purchase_amount & {LOW_MASK})")),
            ]
        }
        Figure::Users | Figure::Observations | Figure::Misplaced => Vec::new(),
    }
}
