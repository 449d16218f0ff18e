//! The users that were seen in a range: sets of whole buckets, deltas that are not folded into sets yet, and rows of
//! partial minutes at the ends.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::{events, people_deltas, people_sets},
    people::{Attributes, Observations, PersonKey, Sets},
    time_bucket::{Grain, MINUTE},
};

use super::parallel::in_parallel;
use crate::{
    plan::{self, Granularity},
    rollups::{occurred_in, select_events, source_is},
    store::{Snapshot, malformed},
    time_range::TimeRange,
};

/// Sets that are worth two threads: the sets of days with a million people take some milliseconds each.
const MIN_PARALLEL_SETS: usize = 8;

/// The person of an event, with the attributes in the event.
pub(super) type SeenUser<'a> = (PersonKey, Attributes<'a>);

/// The users of a source in a range.
#[derive(Debug, Default)]
pub(super) struct SeenUsers {
    pub(super) sets: Sets,
    /// Events of whole minutes that the sets and the deltas count.
    pub(super) events: i64,
    deltas: Vec<Vec<u8>>,
    /// The whole minutes of the range, since the Unix epoch, half-open. A delta may have others too.
    minutes: (i64, i64),
    partial_minutes: Vec<UserRow>,
}

#[derive(FromQueryResult)]
struct SetRow {
    sightings: i64,
    data: Vec<u8>,
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

impl SeenUsers {
    pub(super) async fn read(snapshot: &Snapshot, source: Source, range: TimeRange) -> Result<Self, DbErr> {
        let mut seen = Self::default();
        let mut sets = Vec::new();
        let (mut first, mut end) = (None, None);
        for piece in plan::pieces(range, Grain::Day) {
            match piece.granularity {
                Granularity::Rows => {
                    seen.partial_minutes.extend(read_rows(snapshot, source, &piece.range).await?);
                }
                Granularity::Buckets(grain) => {
                    sets.extend(read_sets(snapshot, source, grain, &piece.range).await?);
                    first = first.or(Some(piece.range.from));
                    end = Some(piece.range.to);
                }
            }
        }
        seen.events = sets.iter().map(|set| set.sightings).sum();
        seen.sets = unite(sets).await?;
        if let Some((first, end)) = first.zip(end) {
            let minute = |time: i64| time.div_euclid(MINUTE);
            seen.minutes = (first.map_or(i64::MIN, minute), end.map_or(i64::MAX, minute));
            seen.read_deltas(snapshot, source).await?;
        }
        Ok(seen)
    }

    /// Events with an age or followers in the partial minutes.
    pub(super) fn partial_minute_events(&self) -> i64 {
        self.partial_minutes.iter().filter(|row| row.age.is_some() || row.followers.is_some()).count() as i64
    }

    /// The users of events that are in no set, in no order, with repeats.
    pub(super) fn unfolded(&self) -> Result<Vec<SeenUser<'_>>, DbErr> {
        let mut users: Vec<SeenUser<'_>> = self.partial_minutes.iter().map(UserRow::user).collect();
        for delta in &self.deltas {
            let observations = Observations::read(delta).map_err(malformed)?.into_iter();
            let within = observations.filter(|seen| (self.minutes.0..self.minutes.1).contains(&seen.minute));
            users.extend(within.map(|seen| (seen.key, seen.attributes)));
        }
        Ok(users)
    }

    async fn read_deltas(&mut self, snapshot: &Snapshot, source: Source) -> Result<(), DbErr> {
        use people_deltas::Column;
        let (first, end) = self.minutes;
        let query = Query::select()
            .column(Column::Data)
            .from(people_deltas::Entity)
            .and_where(Expr::col(Column::Source).eq(i32::from(source)))
            .and_where(Expr::col(Column::ErasureId).is_null())
            .and_where(Expr::col(Column::LastMinute).gte(first))
            .and_where(Expr::col(Column::FirstMinute).lt(end))
            .take();
        let deltas: Vec<DeltaRow> = snapshot.all(&query).await?;
        self.deltas = deltas.into_iter().map(|row| row.data).collect();
        for delta in &self.deltas {
            let minutes = Observations::read(delta).map_err(malformed)?.into_iter().map(|seen| seen.minute);
            self.events += minutes.filter(|minute| (first..end).contains(minute)).count() as i64;
        }
        Ok(())
    }
}

async fn read_sets(
    snapshot: &Snapshot,
    source: Source,
    grain: Grain,
    range: &TimeRange,
) -> Result<Vec<SetRow>, DbErr> {
    use people_sets::Column;
    let query = Query::select()
        .columns([Column::Sightings, Column::Data])
        .from(people_sets::Entity)
        .and_where(Expr::col(Column::Source).eq(i32::from(source)))
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .cond_where(range.contains(Expr::col(Column::Bucket)))
        .take();
    snapshot.all(&query).await
}

/// The union of the sets.
async fn unite(sets: Vec<SetRow>) -> Result<Sets, DbErr> {
    let parts = in_parallel(sets, MIN_PARALLEL_SETS, |sets| {
        let mut united = Sets::default();
        for SetRow { data, .. } in sets {
            united.unite(&Sets::read(&data)?);
        }
        Ok(united)
    });
    let mut united = Sets::default();
    for part in parts.await? {
        united.unite(&part.map_err(malformed)?);
    }
    Ok(united)
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
