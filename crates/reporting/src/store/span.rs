//! The span of a query, as OpenTelemetry's conventions for databases name it. No value is in it.

use sea_orm::{ConnectionTrait, DatabaseBackend, sea_query::SelectStatement};
use tracing::{Span, field::Empty, info_span};
use weir_process::trace;

/// One query of a report.
pub(super) fn of(connection: &impl ConnectionTrait, query: &SelectStatement) -> Span {
    if !trace::is_exported() {
        return Span::none();
    }
    let backend = connection.get_database_backend();
    // With places for values, and not the values themselves.
    let tables = tables(&backend.build(query).sql);
    let summary = format!("SELECT {}", tables.join(" "));
    info_span!(
        target: trace::TARGET,
        "query",
        otel.name = summary,
        otel.kind = "client",
        db.system.name = if backend == DatabaseBackend::Postgres { "postgresql" } else { "sqlite" },
        db.operation.name = "SELECT",
        db.collection.name = if let [only] = tables.as_slice() { Some(only.as_str()) } else { None },
        db.query.summary = summary,
        "error.type" = Empty,
    )
}

/// What a statement reads, each table once, in the order in which they stand there.
fn tables(sql: &str) -> Vec<String> {
    let mut tables = Vec::new();
    let mut words = sql.split_whitespace();
    while let Some(word) = words.next() {
        if !["FROM", "JOIN"].contains(&word) {
            continue;
        }
        let name = words.clone().next().unwrap_or_default();
        let name: String = name.chars().filter(|letter| !['"', ',', ')'].contains(letter)).collect();
        // A query in brackets names its own tables.
        if !name.is_empty() && !name.starts_with('(') && !tables.contains(&name) {
            tables.push(name);
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_named_once() {
        let sql = r#"SELECT COUNT(*) FROM "events" WHERE "a" = $1 AND "b" IN (SELECT "b" FROM "frames") "#;
        assert_eq!(tables(sql), ["events", "frames"]);
        assert_eq!(
            tables(r#"SELECT * FROM (SELECT 1 FROM "events") AS "x" JOIN "events" ON TRUE"#),
            ["events"]
        );
    }
}
