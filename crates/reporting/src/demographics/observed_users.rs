//! The users of events that a structure does not have yet: observations of deltas, and rows of partial minutes at the
//! ends of a range.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query, SelectStatement},
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

/// Rows that are handed on at once, as many as a delta has observations at most.
const ROWS_AT_ONCE: usize = 4_096;

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

/// The parts of a range whose users are not in whole buckets, or not yet.
#[derive(Debug)]
pub(super) struct ObservedUsers {
    source: Source,
    /// The whole minutes of the range, since the Unix epoch, half-open. A delta may have others too.
    minutes: Option<(i64, i64)>,
    partial_minutes: Vec<TimeRange>,
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
    pub(super) fn of(source: Source, range: TimeRange) -> Self {
        let (mut first, mut end, mut partial_minutes) = (None, None, Vec::new());
        for piece in plan::pieces(range, Grain::Day) {
            match piece.granularity {
                Granularity::Rows => partial_minutes.push(piece.range),
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
        Self { source, minutes: first.zip(end).map(whole), partial_minutes }
    }

    /// Hands the users to `see`, some thousands at once, in no order and with repeats. Only so many are in memory, however
    /// many there are. Returns the events of the whole minutes, and the rows of the partial minutes that have a measure.
    ///
    /// # Errors
    /// The store can't be read, or `see` failed.
    pub(super) async fn visit<E: From<DbErr>>(
        &self,
        snapshot: &Snapshot,
        lacking: Lacking,
        mut see: impl FnMut(&[SeenUser<'_>]) -> Result<(), E>,
    ) -> Result<i64, E> {
        let mut events = 0;
        for range in &self.partial_minutes {
            events += visit_rows(snapshot, self.source, range, &mut see).await?;
        }
        if let Some(deltas) = self.deltas(of_observations(lacking)) {
            let visit_delta = |delta: DeltaRow| {
                let observations = Observations::read(&delta.data).map_err(malformed)?;
                let within = observations.iter().filter(|seen| self.is_within(seen.minute));
                let users: Vec<SeenUser<'_>> = within.map(|seen| (seen.key, seen.attributes)).collect();
                events += users.len();
                see(&users)
            };
            snapshot.for_each(&deltas, visit_delta).await?;
        }
        Ok(events as i64)
    }

    /// The rows of the whole minutes that an erasure has made anonymous and that sketches still count.
    pub(super) async fn erased(&self, snapshot: &Snapshot) -> Result<i64, DbErr> {
        let mut erased = 0_u64;
        if let Some(deltas) = self.deltas(Expr::col(Column::ErasureId).is_not_null()) {
            for DeltaRow { data } in snapshot.all(&deltas).await? {
                let rows = Removals::read(&data).map_err(malformed)?.0;
                let within = rows.iter().filter(|(minute, _)| self.is_within(**minute));
                erased += within.map(|(_, rows)| rows).sum::<u64>();
            }
        }
        Ok(erased.cast_signed())
    }

    fn is_within(&self, minute: i64) -> bool {
        self.minutes.is_some_and(|(first, end)| (first..end).contains(&minute))
    }

    fn deltas(&self, which: Expr) -> Option<SelectStatement> {
        let (first, end) = self.minutes?;
        let query = Query::select()
            .column(Column::Data)
            .from(Entity)
            .and_where(Expr::col(Column::Source).eq(i32::from(self.source)))
            .and_where(which)
            .and_where(Expr::col(Column::LastMinute).gte(first))
            .and_where(Expr::col(Column::FirstMinute).lt(end))
            .take();
        Some(query)
    }
}

fn of_observations(lacking: Lacking) -> Expr {
    let of_observations = Expr::col(Column::ErasureId).is_null();
    match lacking {
        Lacking::Sets => of_observations,
        Lacking::Sketches => of_observations.and(Expr::col(Column::Sketched).eq(false)),
    }
}

/// Hands the users of a partial minute to `see`. Returns the rows that have a measure.
async fn visit_rows<E: From<DbErr>>(
    snapshot: &Snapshot,
    source: Source,
    range: &TimeRange,
    see: &mut impl FnMut(&[SeenUser<'_>]) -> Result<(), E>,
) -> Result<usize, E> {
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
    let mut see_rows = |rows: &mut Vec<UserRow>| {
        see(&rows.iter().map(UserRow::user).collect::<Vec<_>>())?;
        rows.clear();
        Ok::<(), E>(())
    };
    let (mut rows, mut measured) = (Vec::new(), 0);
    let take = |row: UserRow| {
        measured += usize::from(row.age.is_some() || row.followers.is_some());
        rows.push(row);
        if rows.len() < ROWS_AT_ONCE { Ok(()) } else { see_rows(&mut rows) }
    };
    snapshot.for_each(select_events(with_user).columns(columns), take).await?;
    see_rows(&mut rows)?;
    Ok(measured)
}

impl UserRow {
    fn user(&self) -> SeenUser<'_> {
        let Self { source, age, gender, followers, device, .. } = self;
        let (country, city) = (self.country.as_deref(), self.city.as_deref());
        let attributes = Attributes::of_row(*source, *age, *gender, *followers, *device, country, city);
        (PersonKey::of(&self.user_id), attributes)
    }
}
