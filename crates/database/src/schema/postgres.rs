//! Tables and rights on PostgreSQL. Only catalogs are read, which every role may do, on a standby too.

use sea_orm::{DatabaseConnection, DbErr};
use sqlx::postgres::PgPool;

use super::{Rights, lacking};
use crate::fault::{Cause, Outlook, RIGHTS};

/// `$1`: names of tables; `$2`: whether their rows are changed.
const LOOK: &str = "SELECT current_user::text, current_setting('transaction_read_only') = 'on', \
        current_schema() IS NULL, \
        ARRAY(SELECT name FROM UNNEST($1::text[]) AS name WHERE to_regclass(name) IS NULL), \
        ARRAY(SELECT name FROM UNNEST($1::text[], $2::boolean[]) AS asked (name, changed) \
            WHERE NOT (has_table_privilege(to_regclass(name), 'SELECT') AND (NOT changed OR ( \
                has_table_privilege(to_regclass(name), 'INSERT') AND \
                has_table_privilege(to_regclass(name), 'UPDATE') AND \
                has_table_privilege(to_regclass(name), 'DELETE')))))";

type Seen = (String, bool, bool, Vec<String>, Vec<String>);

/// What is missing.
pub(super) async fn find(database: &DatabaseConnection, rights: Rights) -> Result<Option<Cause>, DbErr> {
    let seen = look(database.get_postgres_connection_pool(), rights).await;
    let (role, reads_only, no_schema, missing, denied) =
        seen.map_err(|error| DbErr::Query(sea_orm::RuntimeErr::SqlxError(error.into())))?;
    let schema = |what, remedy: &str| Some(Cause::new(Outlook::Schema, what, remedy));
    if rights == Rights::Write && reads_only {
        let what = format!(
            "sessions of the role {role} may not write (a standby, or default_transaction_read_only)"
        );
        return Ok(schema(what, "name the primary in DATABASE_URL, or let the role write"));
    }
    if no_schema {
        return Ok(schema(format!("the role {role} may use no schema of its search_path"), RIGHTS));
    }
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        return Ok(Some(lacking(&missing, rights)));
    }
    if denied.is_empty() {
        return Ok(None);
    }
    let needed = if rights == Rights::Read { "SELECT" } else { "its rights" };
    Ok(schema(format!("permission denied: the role {role} lacks {needed} on {}", denied.join(", ")), RIGHTS))
}

async fn look(pool: &PgPool, rights: Rights) -> Result<Seen, sqlx::Error> {
    let (names, changed): (Vec<&str>, Vec<bool>) = rights.tables().into_iter().unzip();
    sqlx::query_as(LOOK).bind(names).bind(changed).persistent(false).fetch_one(pool).await
}
