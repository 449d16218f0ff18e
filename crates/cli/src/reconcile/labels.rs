//! Labels of buckets and values, for tables and JSON.

use chrono::{DateTime, SecondsFormat};
use weir::contract::Money;
use weir_collectors::reconcile::{Evidence, Measure};
use weir_event::{EventType, FunnelStage};

/// RFC 3339 in UTC; the number of microseconds if the calendar does not reach that time.
pub(super) fn time(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros);
    time.map_or_else(|| micros.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The number if the contract has no such stage.
pub(super) fn funnel_stage(number: i16) -> String {
    let stage = FunnelStage::from_number(number.into());
    stage.map_or_else(|| number.to_string(), |stage| stage.name().to_owned())
}

/// The number if the contract has no such type.
pub(super) fn event_type(number: i16) -> String {
    let event_type = EventType::from_number(number.into());
    event_type.map_or_else(|| number.to_string(), |event_type| event_type.name().to_owned())
}

pub(super) fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Rows => "rows",
        Evidence::Campaigns => "campaigns",
        Evidence::Minutes => "minutes",
        Evidence::Contradicted => "contradicted",
    }
}

/// Money as in reports, every other value as a count.
pub(super) fn figure(figure: Measure, value: i128) -> String {
    match figure {
        Measure::Amount => Money(value).to_string(),
        Measure::Events
        | Measure::Measured
        | Measure::MeasureSum
        | Measure::Transactions
        | Measure::Users
        | Measure::Observations
        | Measure::Misplaced => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_its_sign_and_at_least_two_places() {
        for (value, shown) in [(0, "0.00"), (-1, "-0.0001"), (125_000, "12.50"), (-10_010, "-1.001")] {
            assert_eq!(figure(Measure::Amount, value), shown);
        }
    }

    #[test]
    fn a_value_unknown_to_the_contract_is_shown_by_its_number() {
        assert_eq!((funnel_stage(1).as_str(), funnel_stage(99).as_str()), ("top", "99"));
        assert_eq!(event_type(99), "99");
    }
}
