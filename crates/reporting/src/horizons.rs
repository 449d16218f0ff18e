//! Since when the rows of each source are complete: older ones were removed after their time. What is not rolled up
//! can only be answered from there on.

use sea_orm::{DbErr, FromQueryResult, sea_query::Query};
use weir::contract::event::v1::Source;
use weir_database::entity::horizons::{Column, Entity};

use crate::{store::Snapshot, time_range::Bounds};

/// Of both sources, as one snapshot has them.
#[derive(Debug)]
pub(crate) struct Horizons(Vec<Row>);

#[derive(Debug, FromQueryResult)]
struct Row {
    source: i16,
    complete_from: i64,
}

impl Horizons {
    /// What matters of them for a question of `bounds`: nothing where those are whole minutes, which rollups answer.
    ///
    /// # Errors
    /// The database is away or too slow.
    pub(crate) async fn of_ends(snapshot: &Snapshot, bounds: &Bounds) -> Result<Self, DbErr> {
        if bounds.span().is_of_whole_minutes() { Ok(Self(Vec::new())) } else { Self::read(snapshot).await }
    }

    /// # Errors
    /// The database is away or too slow.
    pub(crate) async fn read(snapshot: &Snapshot) -> Result<Self, DbErr> {
        let query = Query::select().columns([Column::Source, Column::CompleteFrom]).from(Entity).take();
        Ok(Self(snapshot.all(&query).await?))
    }

    /// Where every event of `source` (of any, where it is `None`) still has its row, in microseconds since the Unix
    /// epoch, a whole minute; `None` where none was removed.
    pub(crate) fn of(&self, source: Option<Source>) -> Option<i64> {
        let asked = |row: &&Row| source.is_none_or(|source| i32::from(source) == i32::from(row.source));
        self.0.iter().filter(asked).map(|row| row.complete_from).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_of_the_asked_sources_counts() {
        let horizons = |rows: &[(i16, i64)]| {
            Horizons(
                rows.iter()
                    .map(|(source, complete_from)| Row { source: *source, complete_from: *complete_from })
                    .collect(),
            )
        };
        let both = horizons(&[(1, 60), (2, 120)]);
        let of = |horizons: &Horizons| {
            [None, Some(Source::Facebook), Some(Source::Tiktok)].map(|source| horizons.of(source))
        };
        assert_eq!(of(&both), [Some(120), Some(60), Some(120)]);
        assert_eq!(of(&horizons(&[(1, 60)])), [Some(60), Some(60), None]);
        assert_eq!(of(&horizons(&[])), [None; 3]);
    }
}
