//! Rollups: the sums that new rows add to each bucket, and the statements that add them on either database.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::AddAssign, sync::LazyLock};

use sqlx::{PgConnection, QueryBuilder, Sqlite, SqliteConnection, query_builder::Separated};
use weir_database::{
    rankings::{CampaignSales, Sales, SalesDelta},
    split_sum::SplitSum,
    time_bucket::{Grain, MINUTE},
};
use weir_event::{EventType, Source};

use super::{
    limits::ROWS_PER_STATEMENT,
    row::{Row, table_row},
};

/// PostgreSQL: shards of a bucket. Writers of the newest bucket wait for each other only where their connections share
/// a shard. A reader adds up as many rows.
const SHARDS: u8 = 4;

/// Inserts one row of `campaign_deltas`: first and last minute, transactions, time, data.
pub(super) const INSERT_SALES: &str = "INSERT INTO campaign_deltas \
    (first_minute, last_minute, transactions, stored_at, data) VALUES ($1, $2, $3, $4, $5)";

static ADD_KINDS: LazyLock<String> = LazyLock::new(|| KIND_ROLLUPS.add_arrays());
static ADD_CAMPAIGNS: LazyLock<String> = LazyLock::new(|| CAMPAIGN_ROLLUPS.add_arrays());

table_row!(
    /// The sums that are added to one row of `rollups`: events of one kind in one bucket.
    /// `weir_database::entity::rollups` documents the columns.
    KindRollup {
        grain: i16 => "smallint[]",
        bucket: i64 => "bigint[]",
        source: i16 => "smallint[]",
        funnel_stage: i16 => "smallint[]",
        event_type: i16 => "smallint[]",
        events: i64 => "bigint[]",
        measured: i64 => "bigint[]",
        measure_high: i64 => "bigint[]",
        measure_low: i64 => "bigint[]",
        transactions: i64 => "bigint[]",
        amount_high: i64 => "bigint[]",
        amount_low: i64 => "bigint[]",
    }
);

table_row!(
    /// The sums that are added to one row of `campaign_rollups`: transactions of one campaign in one bucket.
    /// `weir_database::entity::campaign_rollups` documents the columns.
    CampaignRollup<'a> {
        grain: i16 => "smallint[]",
        bucket: i64 => "bigint[]",
        campaign_id: &'a str => "text[]",
        transactions: i64 => "bigint[]",
        amount_high: i64 => "bigint[]",
        amount_low: i64 => "bigint[]",
    }
);

const KIND_ROLLUPS: RollupColumns = RollupColumns { table: "rollups", columns: KindRollup::COLUMNS, keys: 5 };
const CAMPAIGN_ROLLUPS: RollupColumns =
    RollupColumns { table: "campaign_rollups", columns: CampaignRollup::COLUMNS, keys: 3 };

/// The columns of a table of rollups. The first ones and the shard are its key; sums are added to the others.
#[derive(Clone, Copy, Debug)]
struct RollupColumns {
    table: &'static str,
    /// All but the shard, each with the PostgreSQL type of an array of its values.
    columns: &'static [(&'static str, &'static str)],
    /// How many of them belong to the key.
    keys: usize,
}

impl RollupColumns {
    /// The statement before the rows; the shard is the last value of a row.
    fn insert(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(column, _)| *column).collect();
        format!("INSERT INTO {} ({}, shard)", self.table, columns.join(", "))
    }

    /// The statement after the rows.
    fn add(&self) -> String {
        let (keys, sums) = self.columns.split_at(self.keys);
        let keys: Vec<&str> = keys.iter().map(|(column, _)| *column).collect();
        let sum =
            |(column, _): &(&str, &str)| format!("{column} = {}.{column} + excluded.{column}", self.table);
        let sums: Vec<String> = sums.iter().map(sum).collect();
        format!("ON CONFLICT ({}, shard) DO UPDATE SET {}", keys.join(", "), sums.join(", "))
    }

    /// PostgreSQL: one statement for any number of rows, bound as one array for each column.
    fn add_arrays(&self) -> String {
        let array = |(index, (_, array)): (usize, &(&str, &str))| format!("${}::{array}", index + 1);
        let arrays: Vec<String> = self.columns.iter().enumerate().map(array).collect();
        format!(
            "{} SELECT *, (pg_backend_pid() % {SHARDS})::smallint FROM UNNEST({}) {}",
            self.insert(),
            arrays.join(", "),
            self.add(),
        )
    }
}

/// Notes the sales that are to be added to the rankings of campaigns, on either database.
macro_rules! insert_sales {
    ($connection:expr, $sales:expr, $now:expr) => {
        let sales: weir_database::rankings::SalesDelta = $sales;
        if let Some((first, last)) = sales.minutes() {
            sqlx::query($crate::store::rollups::INSERT_SALES)
                .bind(first)
                .bind(last)
                .bind(sales.transactions())
                .bind($now)
                .bind(sales.into_blob())
                .execute(&mut *$connection)
                .await?;
        }
    };
}
pub(super) use insert_sales;

/// Adds to both tables. This comes last in its transaction, so that others wait for a bucket only shortly.
pub(super) async fn add_in_postgres(
    connection: &mut PgConnection,
    kinds: &[KindRollup],
    campaigns: &[CampaignRollup<'_>],
) -> Result<(), sqlx::Error> {
    add_kinds_in_postgres(connection, kinds).await?;
    add_campaigns_in_postgres(connection, campaigns).await
}

pub(crate) async fn add_kinds_in_postgres(
    connection: &mut PgConnection,
    kinds: &[KindRollup],
) -> Result<(), sqlx::Error> {
    if !kinds.is_empty() {
        KindRollup::bind_arrays(sqlx::query(ADD_KINDS.as_str()), kinds).execute(connection).await?;
    }
    Ok(())
}

pub(crate) async fn add_campaigns_in_postgres(
    connection: &mut PgConnection,
    campaigns: &[CampaignRollup<'_>],
) -> Result<(), sqlx::Error> {
    if !campaigns.is_empty() {
        let query = sqlx::query(ADD_CAMPAIGNS.as_str());
        CampaignRollup::bind_arrays(query, campaigns).execute(connection).await?;
    }
    Ok(())
}

/// Adds to both tables, in one shard: there is one writer.
pub(super) async fn add_in_sqlite(
    connection: &mut SqliteConnection,
    rollups: &Rollups<'_>,
) -> Result<(), sqlx::Error> {
    add_kinds_in_sqlite(connection, &rollups.kinds()).await?;
    add_campaigns_in_sqlite(connection, &rollups.campaigns()).await
}

pub(crate) async fn add_kinds_in_sqlite(
    connection: &mut SqliteConnection,
    kinds: &[KindRollup],
) -> Result<(), sqlx::Error> {
    add_rows_in_sqlite(connection, &KIND_ROLLUPS, kinds, |tuple, kind| kind.bind_values(tuple)).await
}

pub(crate) async fn add_campaigns_in_sqlite(
    connection: &mut SqliteConnection,
    campaigns: &[CampaignRollup<'_>],
) -> Result<(), sqlx::Error> {
    let bind_values = |tuple: &mut Tuple<'_>, campaign: &CampaignRollup<'_>| campaign.bind_values(tuple);
    add_rows_in_sqlite(connection, &CAMPAIGN_ROLLUPS, campaigns, bind_values).await
}

type Tuple<'t> = Separated<'t, Sqlite, &'static str>;

async fn add_rows_in_sqlite<R>(
    connection: &mut SqliteConnection,
    table: &RollupColumns,
    rows: &[R],
    bind_values: impl Fn(&mut Tuple<'_>, &R),
) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(format!("{} ", table.insert()));
        statement.push_values(rows, |mut tuple, row| {
            bind_values(&mut tuple, row);
            tuple.push("0");
        });
        statement.push(format!(" {}", table.add()));
        let query = statement.build().persistent(rows.len() == ROWS_PER_STATEMENT);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Source, stage and type of an event.
pub(super) type EventKind = (i16, i16, i16);

/// The sums of new rows, by minute.
#[derive(Debug, Default)]
pub(super) struct Rollups<'a> {
    kinds: BTreeMap<(i64, EventKind), KindSums>,
    campaigns: BTreeMap<(i64, &'a str), TransactionSums>,
}

impl<'a> Rollups<'a> {
    pub(super) fn of(rows: &[Row<'a>]) -> Self {
        let mut rollups = Self::default();
        rows.iter().for_each(|row| rollups.add(row));
        rollups
    }

    pub(super) fn add(&mut self, row: &Row<'a>) {
        let minute = Grain::Minute.start_of(row.occurred_at);
        let kind = (row.source, row.funnel_stage, row.event_type);
        *self.kinds.entry((minute, kind)).or_default() += KindSums::of(row);
        if let (Some(campaign_id), Some(sums)) = (row.campaign_id, TransactionSums::of(row)) {
            *self.campaigns.entry((minute, campaign_id)).or_default() += sums;
        }
    }

    /// Takes off the age or the followers of an event whose row loses its person. The event itself stays counted.
    pub(super) fn remove_measure(&mut self, kind: EventKind, occurred_at: i64, measure: i64) {
        let minute = Grain::Minute.start_of(occurred_at);
        *self.kinds.entry((minute, kind)).or_default() += KindSums::without(measure);
    }

    /// The rows to add to `rollups`, in the order of its key.
    pub(super) fn kinds(&self) -> Vec<KindRollup> {
        let mut grains: BTreeMap<(i16, i64, EventKind), KindSums> = BTreeMap::new();
        for grain in Grain::ALL {
            for ((minute, kind), sums) in &self.kinds {
                *grains.entry((grain.number(), grain.start_of(*minute), *kind)).or_default() += *sums;
            }
        }
        let row = |((grain, bucket, (source, funnel_stage, event_type)), sums): (_, KindSums)| KindRollup {
            grain,
            bucket,
            source,
            funnel_stage,
            event_type,
            events: sums.events,
            measured: sums.measured,
            measure_high: sums.measure.high,
            measure_low: sums.measure.low,
            transactions: sums.transactions.transactions,
            amount_high: sums.transactions.amount.high,
            amount_low: sums.transactions.amount.low,
        };
        grains.into_iter().map(row).collect()
    }

    /// The sales to note in `campaign_deltas`.
    pub(super) fn sales(&self) -> SalesDelta {
        let mut delta = SalesDelta::default();
        for ((minute, campaign_id), sums) in &self.campaigns {
            let TransactionSums { transactions, amount } = *sums;
            let (minute, sales) = (minute.div_euclid(MINUTE), Sales { transactions, amount: amount.total() });
            delta.push(CampaignSales { minute, campaign_id, sales });
        }
        delta
    }

    /// The rows to add to `campaign_rollups`, in the order of its key.
    pub(super) fn campaigns(&self) -> Vec<CampaignRollup<'a>> {
        let mut grains: BTreeMap<(i16, i64, &'a str), TransactionSums> = BTreeMap::new();
        for grain in Grain::ALL {
            for ((minute, campaign_id), sums) in &self.campaigns {
                *grains.entry((grain.number(), grain.start_of(*minute), *campaign_id)).or_default() += *sums;
            }
        }
        let row = |((grain, bucket, campaign_id), sums): (_, TransactionSums)| CampaignRollup {
            grain,
            bucket,
            campaign_id,
            transactions: sums.transactions,
            amount_high: sums.amount.high,
            amount_low: sums.amount.low,
        };
        grains.into_iter().map(row).collect()
    }
}

/// The number of transactions and the sum of their amounts, in ten-thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TransactionSums {
    transactions: i64,
    amount: SplitSum,
}

/// The sums of any number of events of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct KindSums {
    events: i64,
    /// Events with a measure.
    measured: i64,
    /// Ages or followers.
    measure: SplitSum,
    transactions: TransactionSums,
}

impl KindSums {
    fn of(row: &Row<'_>) -> Self {
        // A row without its person has neither.
        let measure = row.age.map(i64::from).or(row.followers);
        Self {
            events: 1,
            measured: measure.is_some().into(),
            measure: measure.map(SplitSum::of).unwrap_or_default(),
            transactions: TransactionSums::of(row).unwrap_or_default(),
        }
    }

    /// The change when an event with this measure loses it.
    fn without(measure: i64) -> Self {
        Self { measured: -1, measure: -SplitSum::of(measure), ..Self::default() }
    }
}

impl TransactionSums {
    /// `None` where the event is no transaction: an amount on other types is no revenue.
    fn of(row: &Row<'_>) -> Option<Self> {
        let kind = (i32::from(row.source), i32::from(row.event_type));
        let transactions = [
            (Source::Facebook.number(), EventType::CheckoutComplete.number()),
            (Source::Tiktok.number(), EventType::Purchase.number()),
        ];
        let amount = row.purchase_amount.filter(|_| transactions.contains(&kind))?;
        Some(Self { transactions: 1, amount: SplitSum::of(amount) })
    }
}

impl AddAssign for KindSums {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.measured += other.measured;
        self.measure += other.measure;
        self.transactions += other.transactions;
    }
}

impl AddAssign for TransactionSums {
    fn add_assign(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.amount += other.amount;
    }
}
