//! Users from rows of `events`: the count where the sets of people are incomplete, and the reference of tests.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{CaseStatement, Condition, Expr, ExprTrait as _, Order, Query, SelectStatement},
};
use weir::contract::{
    event::v1::{FunnelStage, Source},
    reporting::v1::{CityUsers, CountryUsers},
};
use weir_database::{
    entity::events::Column,
    split_sum::{SplitSum, halves, sum_or_zero},
};

use super::result::{AGES, FOLLOWERS, Groups, SumAndCount, Users};
use crate::{
    rollups::{column_is, occurred_in, select_events, source_is},
    store::Snapshot,
    time_range::TimeRange,
};

/// The users of a source in a range, and the mean of their events' ages or followers.
///
/// # Errors
/// The store can't be read.
pub(super) async fn count(
    snapshot: &Snapshot,
    source: Source,
    range: TimeRange,
    limit: u64,
) -> Result<(Users, SumAndCount), DbErr> {
    let rows = UserRows::new(snapshot, source, &range);
    match source {
        Source::Tiktok => rows.tiktok(limit).await,
        Source::Facebook | Source::Unspecified => rows.facebook(limit).await,
    }
}

/// The rows with a user of one source in a range. The rows of an erased person name no user.
struct UserRows<'a> {
    snapshot: &'a Snapshot,
    events: Condition,
}

#[derive(FromQueryResult)]
struct UsersRow {
    users: i64,
}

/// The number of a closed set, or the index of a group.
#[derive(FromQueryResult)]
struct NumberRow {
    number: i32,
    users: i64,
}

#[derive(FromQueryResult)]
struct CountryRow {
    country: String,
    users: i64,
}

#[derive(FromQueryResult)]
struct CityRow {
    country: String,
    city: String,
    users: i64,
}

#[derive(FromQueryResult)]
struct MeanRow {
    events: i64,
    #[sea_orm(nested)]
    sum: SplitSum,
}

impl<'a> UserRows<'a> {
    fn new(snapshot: &'a Snapshot, source: Source, range: &TimeRange) -> Self {
        let has_user = Expr::col(Column::UserId).ne("");
        Self { snapshot, events: occurred_in(range).add(source_is(source)).add(has_user) }
    }

    /// Facebook's users, and the mean of their events' ages.
    async fn facebook(&self, limit: u64) -> Result<(Users, SumAndCount), DbErr> {
        let users = Users {
            users: self.users().await?,
            groups: self.by_group(group_index(Column::Age, &AGES)).await?,
            genders_or_devices: self.by_number(self.events.clone(), Expr::col(Column::Gender)).await?,
            countries: self.top_countries(limit).await?,
            cities: self.top_cities(limit).await?,
            relative_error: None,
        };
        Ok((users, self.mean(Column::Age).await?))
    }

    /// TikTok's users, and the mean of their events' followers.
    async fn tiktok(&self, limit: u64) -> Result<(Users, SumAndCount), DbErr> {
        let top = column_is(Column::FunnelStage, FunnelStage::Top.into());
        let users = Users {
            users: self.users().await?,
            groups: self.by_group(group_index(Column::Followers, &FOLLOWERS)).await?,
            genders_or_devices: self
                .by_number(self.events.clone().add(top), Expr::col(Column::Device))
                .await?,
            countries: self.top_countries(limit).await?,
            cities: Vec::new(),
            relative_error: None,
        };
        Ok((users, self.mean(Column::Followers).await?))
    }

    async fn users(&self) -> Result<u64, DbErr> {
        let row: UsersRow = self.snapshot.one(&users_by(self.events.clone(), [])).await?;
        Ok(row.users.unsigned_abs())
    }

    /// By users descending, then by name. TikTok's bottom events name no country.
    async fn top_countries(&self, limit: u64) -> Result<Vec<CountryUsers>, DbErr> {
        let has_country = self.events.clone().add(Expr::col(Column::Country).is_not_null());
        let query = users_by(has_country, [("country", Expr::col(Column::Country))])
            .order_by("users", Order::Desc)
            .order_by("country", Order::Asc)
            .limit(limit)
            .take();
        let countries: Vec<CountryRow> = self.snapshot.all(&query).await?;
        Ok(countries.into_iter().map(CountryUsers::from).collect())
    }

    /// By users descending, then by names.
    async fn top_cities(&self, limit: u64) -> Result<Vec<CityUsers>, DbErr> {
        let keys = [("country", Expr::col(Column::Country)), ("city", Expr::col(Column::City))];
        let query = users_by(self.events.clone(), keys)
            .order_by("users", Order::Desc)
            .order_by("country", Order::Asc)
            .order_by("city", Order::Asc)
            .limit(limit)
            .take();
        let cities: Vec<CityRow> = self.snapshot.all(&query).await?;
        Ok(cities.into_iter().map(CityUsers::from).collect())
    }

    async fn mean(&self, column: Column) -> Result<SumAndCount, DbErr> {
        let mut query = select_events(self.events.clone());
        let [high, low] = halves(Expr::col(column)).map(sum_or_zero);
        query.expr_as(count_rows(), "events").expr_as(high, "high").expr_as(low, "low");
        let row: MeanRow = self.snapshot.one(&query).await?;
        Ok(SumAndCount { sum: row.sum.total(), events: row.events.unsigned_abs() })
    }

    async fn by_group(&self, index: Expr) -> Result<Vec<(usize, u64)>, DbErr> {
        let users = self.by_number(self.events.clone(), index).await?;
        let index = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(users.into_iter().map(|(number, users)| (index(number), users)).collect())
    }

    async fn by_number(&self, events: Condition, number: Expr) -> Result<Vec<(i32, u64)>, DbErr> {
        let query = users_by(events, [("number", number.cast_as("INTEGER"))]);
        let users: Vec<NumberRow> = self.snapshot.all(&query).await?;
        Ok(users.into_iter().map(|row| (row.number, row.users.unsigned_abs())).collect())
    }
}

/// `SELECT <keys>, COUNT(*) AS users FROM (SELECT <keys> FROM events WHERE … GROUP BY <keys>, user_id) GROUP BY
/// <keys>`.
///
/// The result is that of `COUNT(DISTINCT user_id)`. PostgreSQL can't hash that one, and SQLite keeps a tree of every
/// text for it, while it sorts groups in runs.
fn users_by<const KEYS: usize>(events: Condition, keys: [(&'static str, Expr); KEYS]) -> SelectStatement {
    let names: Vec<&'static str> = keys.iter().map(|(name, _)| *name).collect();
    let mut people = select_events(events);
    people.column(Column::UserId).group_by_columns(names.clone()).group_by_col(Column::UserId);
    for (name, key) in keys {
        people.expr_as(key, name);
    }
    Query::select()
        .columns(names.clone())
        .expr_as(count_rows(), "users")
        .from_subquery(people, "people")
        .group_by_columns(names)
        .take()
}

fn count_rows() -> Expr {
    Expr::cust("COUNT(*)")
}

/// The index of the group that a number falls into.
fn group_index(column: Column, groups: &Groups) -> Expr {
    let mut index = 0;
    let mut case = CaseStatement::new();
    for end in groups.ends() {
        case = case.case(Expr::col(column).lt(end), index);
        index += 1;
    }
    case.finally(index).into()
}

impl From<CountryRow> for CountryUsers {
    fn from(row: CountryRow) -> Self {
        Self { country: row.country, users: row.users.unsigned_abs(), relative_error: None }
    }
}

impl From<CityRow> for CityUsers {
    fn from(row: CityRow) -> Self {
        Self { country: row.country, city: row.city, users: row.users.unsigned_abs(), relative_error: None }
    }
}
