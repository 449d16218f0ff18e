//! Rollups of random rows, compared with sums by brute force.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use weir_database::time_bucket::MINUTE;

use super::*;

/// 2025-09-14T00:00:00Z.
const MIDNIGHT: i64 = 1_757_808_000_000_000;
const LARGEST_FOLLOWERS: i64 = (1 << 53) - 1;
const LARGEST_AMOUNT: i64 = 9_999_999_999_999;

#[test]
fn rollups_of_kinds_equal_the_sums_of_their_rows_and_come_in_the_order_of_their_keys() {
    let rows = random_rows();
    let kinds = Rollups::of(&rows).kinds();
    let keys: Vec<_> = kinds
        .iter()
        .map(|rollup| (rollup.grain, rollup.bucket, rollup.source, rollup.funnel_stage, rollup.event_type))
        .collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");

    for rollup in &kinds {
        let width = Grain::from_number(rollup.grain.into()).unwrap().width();
        assert_eq!(rollup.bucket % width, 0);
        let within: Vec<&Row<'_>> = rows
            .iter()
            .filter(|row| (rollup.bucket..rollup.bucket + width).contains(&row.occurred_at))
            .filter(|row| (row.source, row.event_type) == (rollup.source, rollup.event_type))
            .filter(|row| row.funnel_stage == rollup.funnel_stage)
            .collect();
        let measures: Vec<i64> =
            within.iter().filter_map(|row| row.age.map(i64::from).or(row.followers)).collect();
        let amounts = amounts(&within);
        assert_eq!(rollup.events, within.len() as i64);
        assert_eq!(rollup.measured, measures.len() as i64);
        assert_eq!(whole(rollup.measure_high, rollup.measure_low), sum(&measures));
        assert_eq!(rollup.transactions, amounts.len() as i64);
        assert_eq!(whole(rollup.amount_high, rollup.amount_low), sum(&amounts));
    }
    for grain in Grain::ALL.map(Grain::number) {
        let events: i64 =
            kinds.iter().filter(|rollup| rollup.grain == grain).map(|rollup| rollup.events).sum();
        assert_eq!(events, rows.len() as i64, "grain {grain}");
    }
}

#[test]
fn removed_measures_leave_the_rollups_of_anonymous_rows() {
    let rows = random_rows();
    let mut rollups = Rollups::of(&rows);
    for row in &rows {
        let measure = row.age.map(i64::from).or(row.followers);
        let kind = (row.source, row.funnel_stage, row.event_type);
        measure.into_iter().for_each(|measure| rollups.remove_measure(kind, row.occurred_at, measure));
    }
    let anonymous: Vec<Row<'_>> = rows.iter().map(|row| row.without_person()).collect();
    assert_eq!(rollups.kinds(), Rollups::of(&anonymous).kinds());
}

#[test]
fn rollups_of_campaigns_equal_the_sums_of_their_transactions() {
    let rows = random_rows();
    let campaigns = Rollups::of(&rows).campaigns();
    let keys: Vec<_> =
        campaigns.iter().map(|rollup| (rollup.grain, rollup.bucket, rollup.campaign_id)).collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
    for (grain, width) in Grain::ALL.map(|grain| (grain.number(), grain.width())) {
        let of_grain = || campaigns.iter().filter(|rollup| rollup.grain == grain);
        for rollup in of_grain() {
            let within: Vec<&Row<'_>> = rows
                .iter()
                .filter(|row| (rollup.bucket..rollup.bucket + width).contains(&row.occurred_at))
                .filter(|row| row.campaign_id == Some(rollup.campaign_id))
                .collect();
            let amounts = amounts(&within);
            assert_eq!(rollup.transactions, amounts.len() as i64);
            assert_eq!(whole(rollup.amount_high, rollup.amount_low), sum(&amounts));
        }
        let all: Vec<&Row<'_>> = rows.iter().filter(|row| row.campaign_id.is_some()).collect();
        let counted: i64 = of_grain().map(|rollup| rollup.transactions).sum();
        assert_eq!(counted, amounts(&all).len() as i64, "grain {grain}");
    }
}

#[test]
fn the_conflict_clause_adds_every_sum_and_no_key() {
    let campaigns = "ON CONFLICT (grain, bucket, campaign_id, shard) DO UPDATE SET \
        transactions = campaign_rollups.transactions + excluded.transactions, \
        amount_high = campaign_rollups.amount_high + excluded.amount_high, \
        amount_low = campaign_rollups.amount_low + excluded.amount_low";
    assert_eq!(CAMPAIGN_ROLLUPS.add(), campaigns);
    assert!(KIND_ROLLUPS.add().starts_with(
        "ON CONFLICT (grain, bucket, source, funnel_stage, event_type, shard) DO UPDATE SET events = "
    ));
}

fn random_rows() -> Vec<Row<'static>> {
    let mut random = StdRng::seed_from_u64(14);
    (0..500).map(|_| random_row(&mut random)).collect()
}

/// A row around one midnight, sometimes on the edge of a bucket; one in eight has no person.
fn random_row(random: &mut StdRng) -> Row<'static> {
    let source = random.random_range(1..=2);
    let has_person = random.random_bool(0.875);
    let within_minute = *[0, 1, MINUTE - 1].choose(random).unwrap();
    Row {
        occurred_at: MIDNIGHT + random.random_range(-90..90) * MINUTE + within_minute,
        source,
        funnel_stage: 2,
        event_type: if source == 1 { random.random_range(6..=7) } else { random.random_range(10..=11) },
        age: (source == 1 && has_person).then(|| random.random_range(0..=150)),
        followers: (source == 2 && has_person).then(|| random.random_range(0..=LARGEST_FOLLOWERS)),
        campaign_id: (source == 1).then(|| *["a", "b", "Ü", "_"].choose(random).unwrap()),
        purchase_amount: random.random_bool(0.75).then(|| random.random_range(0..=LARGEST_AMOUNT)),
        ..Row::default()
    }
}

/// The amounts of transactions: type 7 is `checkout.complete`, type 11 is `purchase`.
fn amounts(rows: &[&Row<'_>]) -> Vec<i64> {
    let transactions = rows.iter().filter(|row| [(1, 7), (2, 11)].contains(&(row.source, row.event_type)));
    transactions.filter_map(|row| row.purchase_amount).collect()
}

fn sum(values: &[i64]) -> i128 {
    values.iter().copied().map(i128::from).sum()
}

fn whole(high: i64, low: i64) -> i128 {
    (i128::from(high) << 26) + i128::from(low)
}
