//! Applied migrations: those that the database records, beside those that this build knows.

use sea_orm::{DatabaseConnection, DbErr, EntityTrait as _, QueryOrder as _};
use sea_orm_migration::{MigratorTrait, seaql_migrations};
use weir_migration::Migrator;

use super::error::MigrateError;
use crate::dialect::has_table;

/// Names of migrations, each in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Known to this build.
    pub(crate) known: Vec<String>,
    /// Known to this build, and not applied.
    pub(crate) missing: Vec<String>,
    /// Applied by another build.
    pub(crate) unknown: Vec<String>,
}

impl Applied {
    /// Reads the database and changes nothing. The table of migrations may be missing.
    pub(crate) async fn read(database: &DatabaseConnection) -> Result<Self, DbErr> {
        let known: Vec<String> =
            Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let applied = names(database).await?;
        let missing = known.iter().filter(|name| !applied.contains(name)).cloned().collect();
        let unknown = applied.into_iter().filter(|name| !known.contains(name)).collect();
        Ok(Self { known, missing, unknown })
    }

    /// The missing migrations as text for an operator.
    pub(crate) fn lacking(&self) -> String {
        match self.missing.as_slice() {
            [] => "no migration".to_owned(),
            [one] => format!("the migration {one}"),
            [first, .., last] => format!("{} migrations, {first} to {last}", self.missing.len()),
        }
    }

    /// Whether a later build migrated the database.
    ///
    /// # Errors
    /// [`MigrateError::Diverged`] where the other build does not come after this one. Its migrations were then written
    /// without knowledge of those that are missing here.
    pub(crate) fn is_newer(&self) -> Result<bool, MigrateError> {
        let Some(first) = self.unknown.first() else { return Ok(false) };
        // Names ascend in the order of releases.
        if self.missing.is_empty() && Some(first) > self.known.last() {
            return Ok(true);
        }
        Err(MigrateError::Diverged {
            unknown: self.unknown.join(", "),
            missing: if self.missing.is_empty() { "none".to_owned() } else { self.missing.join(", ") },
        })
    }
}

/// The names of the applied migrations, in order.
async fn names(database: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if !has_table(database, "seaql_migrations").await? {
        return Ok(Vec::new());
    }
    let by_name = seaql_migrations::Entity::find().order_by_asc(seaql_migrations::Column::Version);
    let mut names: Vec<String> = by_name.all(database).await?.into_iter().map(|row| row.version).collect();
    // The database may sort by the rules of a language.
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(missing: &[&str], unknown: &[&str]) -> Applied {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Applied { known: owned(&["m1", "m3"]), missing: owned(missing), unknown: owned(unknown) }
    }

    #[test]
    fn a_schema_is_newer_where_a_later_build_added_migrations() {
        assert!(!applied(&[], &[]).is_newer().unwrap());
        assert!(!applied(&["m1", "m3"], &[]).is_newer().unwrap());
        assert!(applied(&[], &["m4", "m5"]).is_newer().unwrap());
    }

    #[test]
    fn a_schema_of_a_build_that_does_not_follow_this_one_is_refused_by_name() {
        let refusal = applied(&["m3"], &["m4"]).is_newer().unwrap_err().to_string();
        assert!(refusal.contains("m4") && refusal.contains("m3"), "{refusal}");
        applied(&[], &["m2", "m4"]).is_newer().unwrap_err();
    }
}
