//! The span of a storing transaction, as OpenTelemetry's conventions for databases name it. No value is in it.

use tracing::{Span, field::Empty, info_span};
use weir_process::trace;

use super::{Pool, Store};

/// What the transaction does to the table that it is about.
const SUMMARY: &str = "BATCH INSERT events";

impl Store {
    /// One transaction that stores `events`, as part of `parent`.
    pub(crate) fn insert_span(&self, parent: &Span, events: u64) -> Span {
        let (system, address, namespace) = match &self.pool {
            Pool::Postgres(pool) => {
                let options = pool.connect_options();
                let port = options.get_port();
                let namespace = options.get_database().map(str::to_owned);
                ("postgresql", Some((options.get_host().to_owned(), port)), namespace)
            }
            Pool::Sqlite(_) => ("sqlite", None, None),
        };
        info_span!(
            target: trace::TARGET,
            parent: parent,
            "transaction",
            otel.name = SUMMARY,
            otel.kind = "client",
            db.system.name = system,
            db.namespace = namespace,
            db.operation.name = "BATCH INSERT",
            db.collection.name = "events",
            db.query.summary = SUMMARY,
            db.operation.batch.size = events,
            server.address = address.as_ref().map(|(host, _)| host.as_str()),
            server.port = address.as_ref().map(|(_, port)| *port),
            "error.type" = Empty,
        )
    }
}
