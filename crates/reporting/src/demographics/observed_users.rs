//! The users of events that a structure does not have yet: observations of deltas, and rows of partial minutes at the
//! ends of a range.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::{events, people_deltas::Column, people_deltas::Entity},
    people::{Attributes, Observations, PersonKey, Removals},
    time_bucket::{Grain, MINUTE},
};

use crate::{
    plan::{self, Granularity},
    rollups::{occurred_in, select_events, source_is},
    store::{Snapshot, malformed},
    time_range::TimeRange,
};

/// The deltas that a structure lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// Sets lack every delta: folding one deletes it.
    Sets,
    /// Sketches lack those that are not marked.
    Sketches,
}

/// The person of an event, with the attributes in the event.
pub(super) type SeenUser<'a> = (PersonKey, Attributes<'a>);

/// The observations of a source in a range that a structure lacks.
#[derive(Debug, Default)]
pub(super) struct ObservedUsers {
    deltas: Vec<Vec<u8>>,
    /// The whole minutes of the range, since the Unix epoch, half-open. A delta may have others too.
    minutes: Option<(i64, i64)>,
    partial_minutes: Vec<UserRow>,
    /// Events of the whole minutes in the deltas, and rows with a user in the partial minutes.
    pub(super) events: i64,
}

#[derive(FromQueryResult)]
struct DeltaRow {
    data: Vec<u8>,
}

/// A row of `events` with a user.
#[derive(Debug, FromQueryResult)]
struct UserRow {
    source: i16,
    user_id: String,
    age: Option<i16>,
    gender: Option<i16>,
    followers: Option<i64>,
    device: Option<i16>,
    country: Option<String>,
    city: Option<String>,
}

impl ObservedUsers {
    pub(super) async fn read(
        snapshot: &Snapshot,
        source: Source,
        range: TimeRange,
        lacking: Lacking,
    ) -> Result<Self, DbErr> {
        let mut observed = Self::default();
        let (mut first, mut end) = (None, None);
        for piece in plan::pieces(range, Grain::Day) {
            match piece.granularity {
                Granularity::Rows => {
                    observed.partial_minutes.extend(read_rows(snapshot, source, &piece.range).await?);
                }
                Granularity::Buckets(_) => {
                    first = first.or(Some(piece.range.from));
                    end = Some(piece.range.to);
                }
            }
        }
        let minute = |time: i64| time.div_euclid(MINUTE);
        let whole = |(first, end): (Option<i64>, Option<i64>)| {
            (first.map_or(i64::MIN, minute), end.map_or(i64::MAX, minute))
        };
        observed.minutes = first.zip(end).map(whole);
        observed.deltas = observed.read_deltas(snapshot, source, of_observations(lacking)).await?;
        observed.events = observed.count()?;
        Ok(observed)
    }

    /// The users, in no order, with repeats.
    pub(super) fn users(&self) -> Result<Vec<SeenUser<'_>>, DbErr> {
        let mut users: Vec<SeenUser<'_>> = self.partial_minutes.iter().map(UserRow::user).collect();
        for delta in &self.deltas {
            let observations = Observations::read(delta).map_err(malformed)?.into_iter();
            let within = observations.filter(|seen| self.is_within(seen.minute));
            users.extend(within.map(|seen| (seen.key, seen.attributes)));
        }
        Ok(users)
    }

    /// The rows of the whole minutes that an erasure has made anonymous and that sketches still count.
    pub(super) async fn erased(&self, snapshot: &Snapshot, source: Source) -> Result<i64, DbErr> {
        let mut erased = 0_u64;
        for delta in self.read_deltas(snapshot, source, Expr::col(Column::ErasureId).is_not_null()).await? {
            let rows = Removals::read(&delta).map_err(malformed)?.0;
            erased +=
                rows.iter().filter(|(minute, _)| self.is_within(**minute)).map(|(_, rows)| rows).sum::<u64>();
        }
        Ok(erased.cast_signed())
    }

    fn count(&self) -> Result<i64, DbErr> {
        let is_measured = |row: &&UserRow| row.age.is_some() || row.followers.is_some();
        let mut events = self.partial_minutes.iter().filter(is_measured).count();
        for delta in &self.deltas {
            let observations = Observations::read(delta).map_err(malformed)?;
            events += observations.iter().filter(|seen| self.is_within(seen.minute)).count();
        }
        Ok(events as i64)
    }

    fn is_within(&self, minute: i64) -> bool {
        self.minutes.is_some_and(|(first, end)| (first..end).contains(&minute))
    }

    async fn read_deltas(
        &self,
        snapshot: &Snapshot,
        source: Source,
        which: Expr,
    ) -> Result<Vec<Vec<u8>>, DbErr> {
        let Some((first, end)) = self.minutes else { return Ok(Vec::new()) };
        let query = Query::select()
            .column(Column::Data)
            .from(Entity)
            .and_where(Expr::col(Column::Source).eq(i32::from(source)))
            .and_where(which)
            .and_where(Expr::col(Column::LastMinute).gte(first))
            .and_where(Expr::col(Column::FirstMinute).lt(end))
            .take();
        let deltas: Vec<DeltaRow> = snapshot.all(&query).await?;
        Ok(deltas.into_iter().map(|row| row.data).collect())
    }
}

fn of_observations(lacking: Lacking) -> Expr {
    let of_observations = Expr::col(Column::ErasureId).is_null();
    match lacking {
        Lacking::Sets => of_observations,
        Lacking::Sketches => of_observations.and(Expr::col(Column::Sketched).eq(false)),
    }
}

async fn read_rows(snapshot: &Snapshot, source: Source, range: &TimeRange) -> Result<Vec<UserRow>, DbErr> {
    use events::Column;
    let with_user: Condition =
        occurred_in(range).add(source_is(source)).add(Expr::col(Column::UserId).ne(""));
    let columns = [
        Column::Source,
        Column::UserId,
        Column::Age,
        Column::Gender,
        Column::Followers,
        Column::Device,
        Column::Country,
        Column::City,
    ];
    snapshot.all(select_events(with_user).columns(columns)).await
}

impl UserRow {
    fn user(&self) -> SeenUser<'_> {
        let Self { source, age, gender, followers, device, .. } = self;
        let (country, city) = (self.country.as_deref(), self.city.as_deref());
        let attributes = Attributes::of_row(*source, *age, *gender, *followers, *device, country, city);
        (PersonKey::of(&self.user_id), attributes)
    }
}
