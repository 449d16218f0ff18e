//! Setting right in PostgreSQL: a page in two statements, whatever its size.

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, postgres::PgArguments, query::QueryAs,
};

use super::{Bucket, Difference, ReconcileError, Structure, campaigns, kinds, set_right};
use crate::{
    reconcile::sql::{columns, joined},
    store::{STORE_LOCK, postgres::rollups, row},
};

/// Whoever waits for a page waits no longer than this for the page to begin. The server gives up before its client's
/// connection could be thought dead.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// The place in the page, from 1, and what was written.
type Taken = (i64, String);

pub(super) async fn repair(
    pool: &PgPool,
    structure: Structure,
    page: &[&Difference],
) -> Result<(), ReconcileError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with(BEGIN).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(STORE_LOCK).execute(&mut *transaction).await?;
    let taken = take_out(&mut transaction, structure, page).await?;
    let buckets = page.iter().zip(1..).map(|(difference, place)| {
        let written = taken.iter().filter(|(of, _)| *of == place).map(|(_, text)| text.clone());
        set_right(structure, difference, written)
    });
    let buckets: Vec<Bucket<'_>> = buckets.collect::<Result<_, _>>()?;
    rollups::add_kinds(&mut transaction, &kinds(&buckets)?).await?;
    rollups::add_campaigns(&mut transaction, &campaigns(&buckets)?).await?;
    Ok(transaction.commit().await?)
}

async fn take_out(
    connection: &mut PgConnection,
    structure: Structure,
    page: &[&Difference],
) -> Result<Vec<Taken>, sqlx::Error> {
    let (arrays, keys) = match structure {
        Structure::Kinds => (
            "$1::smallint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::smallint[]",
            &["grain", "bucket", "source", "funnel_stage", "event_type"][..],
        ),
        Structure::Campaigns => {
            ("$1::smallint[], $2::bigint[], $3::text[]", &["grain", "bucket", "campaign_id"][..])
        }
    };
    let same: Vec<String> = keys.iter().map(|key| format!("written.{key} = given.{key}")).collect();
    let statement = format!(
        "DELETE FROM {} AS written USING UNNEST({arrays}) WITH ORDINALITY AS given ({}, place) WHERE {} \
         RETURNING given.place, {}",
        structure.table(),
        keys.join(", "),
        same.join(" AND "),
        joined(columns(structure).map(|column| format!("written.{column}"))),
    );
    let query = sqlx::query_as(AssertSqlSafe(statement)).persistent(false);
    bind(query, structure, page).fetch_all(connection).await
}

fn bind<'q>(
    query: QueryAs<'q, Postgres, Taken, PgArguments>,
    structure: Structure,
    page: &[&Difference],
) -> QueryAs<'q, Postgres, Taken, PgArguments> {
    let grains: Vec<i16> = page.iter().map(|difference| difference.grain.number()).collect();
    let buckets: Vec<i64> = page.iter().map(|difference| difference.bucket).collect();
    let query = query.bind(grains).bind(buckets);
    match structure {
        Structure::Kinds => {
            let sources: Vec<i16> =
                page.iter().map(|difference| row::small(difference.source.number())).collect();
            let (stages, types): (Vec<i16>, Vec<i16>) =
                page.iter().filter_map(|difference| difference.subject.kind()).unzip();
            query.bind(sources).bind(stages).bind(types)
        }
        Structure::Campaigns => {
            let campaigns = page.iter().filter_map(|difference| difference.subject.campaign());
            query.bind(campaigns.map(str::to_owned).collect::<Vec<_>>())
        }
    }
}
