//! The tables of rollups: their keys, their measures, and the rows of events that count in them.

use std::sync::LazyLock;

use weir_database::split_sum::{LOW_BITS, LOW_MASK};
use weir_event::{EventType, Source};

use super::{difference::Subject, measures::Measure};

/// A table that is derived from rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DerivedTable {
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

impl DerivedTable {
    /// The tables with rollups of a source.
    pub(super) fn of(source: Source) -> &'static [Self] {
        match source {
            Source::Facebook => &[Self::Kinds, Self::Campaigns],
            Source::Tiktok => &[Self::Kinds],
        }
    }

    /// The table of a difference; `None` for people and rankings, which are no sums.
    pub(super) fn of_subject(subject: &Subject) -> Option<Self> {
        match subject {
            Subject::EventKind { .. } => Some(Self::Kinds),
            Subject::Campaign(_) => Some(Self::Campaigns),
            Subject::People | Subject::Ranking => None,
        }
    }

    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Kinds => "rollups",
            Self::Campaigns => "campaign_rollups",
        }
    }

    /// The columns that divide a bucket of a source. Rollups and rows have the same names for them.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Kinds => &["funnel_stage", "event_type"],
            Self::Campaigns => &["campaign_id"],
        }
    }

    pub(super) fn measures(self) -> &'static [Measure] {
        match self {
            Self::Kinds => &[
                Measure::Events,
                Measure::Measured,
                Measure::MeasureSum,
                Measure::Transactions,
                Measure::Amount,
            ],
            Self::Campaigns => &[Measure::Transactions, Measure::Amount],
        }
    }

    /// The condition for the table's rows of a source.
    pub(super) fn written_of(self, source: Source) -> String {
        match self {
            Self::Kinds => format!("source = {}", source.number()),
            Self::Campaigns => "true".to_owned(),
        }
    }

    /// The condition for rows of events of a source that count in the table.
    pub(super) fn rows_of(self, source: Source) -> String {
        let of_source = format!("source = {}", source.number());
        match self {
            Self::Kinds => of_source,
            Self::Campaigns => format!("{of_source} AND campaign_id IS NOT NULL AND {}", *IS_TRANSACTION),
        }
    }
}

/// The sums over rows of events, one for each column of a measure.
pub(super) fn of_rows(measure: Measure) -> Vec<String> {
    const MEASURE: &str = "COALESCE(age, followers)";
    let amount = |of: &str| format!("SUM(CASE WHEN {} THEN {of} ELSE 0 END)", *IS_TRANSACTION);
    match measure {
        Measure::Events => vec!["COUNT(*)".to_owned()],
        Measure::Measured => vec![format!("COUNT({MEASURE})")],
        Measure::MeasureSum => [format!("{MEASURE} >> {LOW_BITS}"), format!("{MEASURE} & {LOW_MASK}")]
            .map(|half| format!("COALESCE(SUM({half}), 0)"))
            .into(),
        Measure::Transactions => vec![amount("1")],
        Measure::Amount => {
            vec![
                amount(&format!("(purchase_amount >> {LOW_BITS})")),
                amount(&format!("(purchase_amount & {LOW_MASK})")),
            ]
        }
        Measure::Users | Measure::Observations | Measure::Misplaced => Vec::new(),
    }
}
