//! The people, from the rows: what is counted where the sets of people are not complete, and what they are tested by.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{CaseStatement, Condition, Expr, ExprTrait as _, Order, Query, SelectStatement},
};
use weir::contract::{
    event::v1::{FunnelStage, Source},
    reporting::v1::{CityUsers, CountryUsers},
};
use weir_database::entity::events::Column;

use super::{
    Mean,
    groups::{self, Groups},
    result::Counted,
};
use crate::{
    rows::{self, SplitSum},
    store::Snapshot,
    time_range::Span,
};

/// The people of one source within a span. An erased one is nobody: the rows that are left name no user.
pub(super) struct People<'a> {
    snapshot: &'a Snapshot,
    events: Condition,
}

#[derive(FromQueryResult)]
struct UsersRow {
    users: i64,
}

/// A closed set's number, or a group's place.
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

impl<'a> People<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, source: Source, span: &Span) -> Self {
        let of_somebody = Expr::col(Column::UserId).ne("");
        Self { snapshot, events: rows::within(span).add(rows::of_source(source)).add(of_somebody) }
    }

    /// Facebook's people, and the mean of their events' ages.
    pub(super) async fn of_facebook(&self, limit: u64) -> Result<(Counted, Mean), DbErr> {
        let counted = Counted {
            users: self.users().await?,
            groups: self.by_place(place(Column::Age, &groups::AGE)).await?,
            kinds: self.by_number(self.events.clone(), Expr::col(Column::Gender)).await?,
            countries: self.top_countries(limit).await?,
            cities: self.top_cities(limit).await?,
            relative_error: None,
        };
        Ok((counted, self.mean(Column::Age).await?))
    }

    /// TikTok's people, and the mean of their events' followers.
    pub(super) async fn of_tiktok(&self, limit: u64) -> Result<(Counted, Mean), DbErr> {
        let top = rows::is(Column::FunnelStage, FunnelStage::Top.into());
        let counted = Counted {
            users: self.users().await?,
            groups: self.by_place(place(Column::Followers, &groups::FOLLOWERS)).await?,
            kinds: self.by_number(self.events.clone().add(top), Expr::col(Column::Device)).await?,
            countries: self.top_countries(limit).await?,
            cities: Vec::new(),
            relative_error: None,
        };
        Ok((counted, self.mean(Column::Followers).await?))
    }

    async fn users(&self) -> Result<u64, DbErr> {
        let row: UsersRow = self.snapshot.one(&users_by(self.events.clone(), [])).await?;
        Ok(row.users.unsigned_abs())
    }

    /// By users descending, then by name. TikTok's bottom events name no country.
    async fn top_countries(&self, limit: u64) -> Result<Vec<CountryUsers>, DbErr> {
        let named = self.events.clone().add(Expr::col(Column::Country).is_not_null());
        let query = users_by(named, [("country", Expr::col(Column::Country))])
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

    async fn mean(&self, column: Column) -> Result<Mean, DbErr> {
        let mut query = rows::select(self.events.clone());
        query.expr_as(rows::count(), "events");
        SplitSum::add_to(&mut query, column);
        let row: MeanRow = self.snapshot.one(&query).await?;
        Ok(Mean { sum: row.sum.total(), events: row.events.unsigned_abs() })
    }

    async fn by_place(&self, place: Expr) -> Result<Vec<(usize, u64)>, DbErr> {
        let users = self.by_number(self.events.clone(), place).await?;
        let place = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(users.into_iter().map(|(number, users)| (place(number), users)).collect())
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
/// The same as `COUNT(DISTINCT user_id)`, which PostgreSQL can not hash, and for which SQLite keeps a tree of every
/// text where it sorts groups in runs.
fn users_by<const KEYS: usize>(events: Condition, keys: [(&'static str, Expr); KEYS]) -> SelectStatement {
    let names: Vec<&'static str> = keys.iter().map(|(name, _)| *name).collect();
    let mut people = rows::select(events);
    people.column(Column::UserId).group_by_columns(names.clone()).group_by_col(Column::UserId);
    for (name, key) in keys {
        people.expr_as(key, name);
    }
    Query::select()
        .columns(names.clone())
        .expr_as(rows::count(), "users")
        .from_subquery(people, "people")
        .group_by_columns(names)
        .take()
}

/// The place of the group that a number falls into.
fn place(column: Column, groups: &Groups) -> Expr {
    let mut place = 0;
    let mut case = CaseStatement::new();
    for end in groups.ends() {
        case = case.case(Expr::col(column).lt(end), place);
        place += 1;
    }
    case.finally(place).into()
}

impl From<CountryRow> for CountryUsers {
    fn from(row: CountryRow) -> Self {
        Self { country: row.country, users: row.users.unsigned_abs() }
    }
}

impl From<CityRow> for CityUsers {
    fn from(row: CityRow) -> Self {
        Self { country: row.country, city: row.city, users: row.users.unsigned_abs() }
    }
}
