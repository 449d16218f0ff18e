//! Tables and rights on PostgreSQL. The statement reads only catalogs, which every role may do, on a standby too.

use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use sqlx::postgres::PgPool;

use super::tables::{Rights, missing_tables};
use crate::{
    dialect::Dialect,
    fault::{Cause, FaultKind, RIGHTS},
};

/// `$1`: names of tables; `$2`: whether the process changes their rows.
const TABLES_AND_RIGHTS: &str = "SELECT current_user::text, current_setting('transaction_read_only') = 'on', \
        current_schema() IS NULL, \
        ARRAY(SELECT name FROM UNNEST($1::text[]) AS name WHERE to_regclass(name) IS NULL), \
        ARRAY(SELECT name FROM UNNEST($1::text[], $2::boolean[]) AS asked (name, changed) \
            WHERE NOT (has_table_privilege(to_regclass(name), 'SELECT') AND (NOT changed OR ( \
                has_table_privilege(to_regclass(name), 'INSERT') AND \
                has_table_privilege(to_regclass(name), 'UPDATE') AND \
                has_table_privilege(to_regclass(name), 'DELETE')))))";

/// Role, whether its sessions only read, whether it has no schema, missing tables, tables without the needed rights.
type TablesAndRights = (String, bool, bool, Vec<String>, Vec<String>);

/// Finds a missing table or right.
pub(super) async fn find_cause(
    database: &DatabaseConnection,
    rights: Rights,
) -> Result<Option<Cause>, DbErr> {
    let found = read(database.get_postgres_connection_pool(), rights).await;
    let (role, reads_only, no_schema, missing, denied) =
        found.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))?;
    let schema = |text, remedy: &str| Some(Cause::new(FaultKind::Schema, text, remedy));
    if rights == Rights::Write && reads_only {
        let text = format!(
            "sessions of the role {role} may not write (a standby, or default_transaction_read_only)"
        );
        return Ok(schema(text, "name the primary in DATABASE_URL, or let the role write"));
    }
    if no_schema {
        return Ok(schema(format!("the role {role} may use no schema of its search_path"), RIGHTS));
    }
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        return Ok(Some(missing_tables(&missing, rights, Dialect::Postgres)));
    }
    if denied.is_empty() {
        return Ok(None);
    }
    let needed = if rights == Rights::Read { "SELECT" } else { "its rights" };
    Ok(schema(format!("permission denied: the role {role} lacks {needed} on {}", denied.join(", ")), RIGHTS))
}

async fn read(pool: &PgPool, rights: Rights) -> Result<TablesAndRights, sqlx::Error> {
    let (names, changed): (Vec<&str>, Vec<bool>) = rights.tables(Dialect::Postgres).into_iter().unzip();
    sqlx::query_as(TABLES_AND_RIGHTS).bind(names).bind(changed).persistent(false).fetch_one(pool).await
}
