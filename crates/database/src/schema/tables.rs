//! The tables that a process needs, and the cause where some of them are missing.

use crate::{
    dialect::Dialect,
    fault::{Cause, FaultKind},
};

/// The tables that reports read.
const REPORTS_READ: [&str; 19] = [
    "seaql_migrations",
    "events",
    "stored_events",
    "frames",
    "frame_origins",
    "duplicates",
    "event_keys",
    "horizons",
    "erasures",
    "rollups",
    "campaign_rollups",
    "campaign_deltas",
    "campaign_rankings",
    "people",
    "people_aliases",
    "people_columns",
    "people_deltas",
    "people_sets",
    "people_sketches",
];
/// The tables that collectors read without changing them.
const COLLECTORS_ONLY_READ: [&str; 3] = ["seaql_migrations", "oldest_writer", "stored_events"];
/// The tables that collectors write besides those that reports read.
const COLLECTORS_WRITE: [&str; 6] =
    ["frame_totals", "erasure_keys", "settled_frames", "unaccounted_frames", "audits", "journal_states"];
/// The tables that collectors write besides on PostgreSQL.
const COLLECTORS_WRITE_ON_POSTGRES: [&str; 2] = ["event_segments", "segment_filters"];

/// The remedy where migrations are missing.
pub(super) const MIGRATE: &str = "`weir migrate up`, or a collector at its start, makes what is missing";

/// The rights that a process needs on the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The process reads the tables of reports.
    Read,
    /// The process stores and removes rows, as collectors do.
    Write,
}

impl Rights {
    /// Each table that is needed, and whether the process changes its rows.
    pub(super) fn tables(self, dialect: Dialect) -> Vec<(&'static str, bool)> {
        let only_read = |name: &str| self == Self::Read || COLLECTORS_ONLY_READ.contains(&name);
        let on_postgres: &[&str] = match dialect {
            Dialect::Postgres => &COLLECTORS_WRITE_ON_POSTGRES,
            Dialect::Sqlite => &[],
        };
        let others = COLLECTORS_WRITE.iter().chain(on_postgres).chain(&["oldest_writer"]);
        let others = others.filter(|_| self == Self::Write);
        REPORTS_READ.iter().chain(others).map(|name| (*name, !only_read(name))).collect()
    }
}

/// The cause where these tables are missing.
pub(super) fn missing_tables(missing: &[&str], rights: Rights, dialect: Dialect) -> Cause {
    let text = if missing.len() == rights.tables(dialect).len() {
        "it has no tables of Weir".to_owned()
    } else {
        format!("it lacks the tables {}", missing.join(", "))
    };
    // Where migrations are recorded as applied, no migration creates their tables again.
    let remedy = if missing.contains(&"seaql_migrations") {
        match rights {
            Rights::Read => MIGRATE,
            Rights::Write => "restore them from a backup, or run `weir migrate up` to begin anew",
        }
    } else {
        "restore them from a backup: the migrations that make them are recorded as applied"
    };
    Cause::new(FaultKind::Schema, text, remedy)
}
