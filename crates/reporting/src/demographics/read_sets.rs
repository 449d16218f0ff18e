//! Who was seen in a range: sets of whole buckets, and sightings that are in no set yet or lie at ragged ends.

use sea_orm::{
    DbErr, FromQueryResult,
    sea_query::{Condition, Expr, ExprTrait as _, Query},
};
use weir::contract::event::v1::Source;
use weir_database::{
    entity::{events, people_deltas, people_sets},
    people::{Attributes, MINUTE, Malformed, Observations, PersonKey, Sets},
};

use super::parallel::at_once;
use crate::{
    plan::{self, Grain, Origin},
    rows,
    store::Snapshot,
    time_range::Span,
};

/// Days of a million people take some milliseconds each.
const SETS_WORTH_TWO: usize = 8;

/// A person at an event, with what the event tells.
pub(super) type Sighting<'a> = (PersonKey, Attributes<'a>);

/// Everybody of a source within a span.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sets: Sets,
    /// Events that the sets and the deltas count: whole minutes.
    pub(super) counted: i64,
    deltas: Vec<Vec<u8>>,
    /// Minutes since the Unix epoch that the deltas are asked about, half-open.
    minutes: (i64, i64),
    ragged: Vec<RaggedRow>,
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

/// A row of a part of a minute.
#[derive(Debug, FromQueryResult)]
struct RaggedRow {
    source: i16,
    user_id: String,
    age: Option<i16>,
    gender: Option<i16>,
    followers: Option<i64>,
    device: Option<i16>,
    country: Option<String>,
    city: Option<String>,
}

impl Seen {
    pub(super) async fn read(snapshot: &Snapshot, source: Source, span: Span) -> Result<Self, DbErr> {
        let mut seen = Self::default();
        let mut sets = Vec::new();
        let (mut first, mut end) = (None, None);
        for piece in plan::pieces(span, Grain::Day) {
            match piece.origin {
                Origin::Rows => seen.ragged.extend(ragged(snapshot, source, &piece.span).await?),
                Origin::Buckets(grain) => {
                    sets.extend(read_sets(snapshot, source, grain, &piece.span).await?);
                    first = first.or(Some(piece.span.from));
                    end = Some(piece.span.to);
                }
            }
        }
        seen.counted = sets.iter().map(|set| set.sightings).sum();
        seen.sets = united(sets).await?;
        if let Some((first, end)) = first.zip(end) {
            let minute = |time: i64| time.div_euclid(MINUTE);
            seen.minutes = (first.map_or(i64::MIN, minute), end.map_or(i64::MAX, minute));
            seen.read_deltas(snapshot, source).await?;
        }
        Ok(seen)
    }

    /// How many rows of somebody lie at the ragged ends.
    pub(super) fn ragged_rows(&self) -> i64 {
        self.ragged.iter().filter(|row| row.age.is_some() || row.followers.is_some()).count() as i64
    }

    /// Who is in no set, in no order; some of them more than once.
    pub(super) fn sightings(&self) -> Result<Vec<Sighting<'_>>, DbErr> {
        let mut sightings: Vec<Sighting<'_>> = self.ragged.iter().map(RaggedRow::sighting).collect();
        for delta in &self.deltas {
            let within = Observations::read(delta).map_err(malformed)?.into_iter();
            let within = within.filter(|seen| (self.minutes.0..self.minutes.1).contains(&seen.minute));
            sightings.extend(within.map(|seen| (seen.key, seen.traits)));
        }
        Ok(sightings)
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
            self.counted += minutes.filter(|minute| (first..end).contains(minute)).count() as i64;
        }
        Ok(())
    }
}

async fn read_sets(
    snapshot: &Snapshot,
    source: Source,
    grain: Grain,
    span: &Span,
) -> Result<Vec<SetRow>, DbErr> {
    use people_sets::Column;
    let query = Query::select()
        .columns([Column::Sightings, Column::Data])
        .from(people_sets::Entity)
        .and_where(Expr::col(Column::Source).eq(i32::from(source)))
        .and_where(Expr::col(Column::Grain).eq(grain.number()))
        .cond_where(rows::between(Expr::col(Column::Bucket), span))
        .take();
    snapshot.all(&query).await
}

/// Everybody of all the sets.
async fn united(sets: Vec<SetRow>) -> Result<Sets, DbErr> {
    let parts = at_once(sets, SETS_WORTH_TWO, |sets| {
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

async fn ragged(snapshot: &Snapshot, source: Source, span: &Span) -> Result<Vec<RaggedRow>, DbErr> {
    use events::Column;
    let of_somebody: Condition =
        rows::within(span).add(rows::of_source(source)).add(Expr::col(Column::UserId).ne(""));
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
    snapshot.all(rows::select(of_somebody).columns(columns)).await
}

impl RaggedRow {
    fn sighting(&self) -> Sighting<'_> {
        let Self { source, age, gender, followers, device, .. } = self;
        let (country, city) = (self.country.as_deref(), self.city.as_deref());
        let traits = Attributes::of_row(*source, *age, *gender, *followers, *device, country, city);
        (PersonKey::of(&self.user_id), traits)
    }
}

/// What a build of the same version did not write is the store's trouble.
pub(super) fn malformed(error: Malformed) -> DbErr {
    DbErr::Custom(error.to_string())
}
