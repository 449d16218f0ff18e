//! The kinds of servers that a setting may name.

/// The server that a setting expects behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    Ingest,
    Reporting,
    /// Serves webhooks, reports and event lookups.
    Edge,
    /// Serves a role's health, metrics and log level.
    Admin,
}

impl ServerKind {
    pub(super) const GRPC: [Self; 2] = [Self::Ingest, Self::Reporting];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Reporting => "reporting",
            Self::Edge => "the edge",
            Self::Admin => "the role",
        }
    }

    /// The gRPC service whose health is checked.
    pub(super) fn service(self) -> Option<&'static str> {
        match self {
            Self::Ingest => Some("weir.ingest.v1.IngestService"),
            Self::Reporting => Some("weir.reporting.v1.ReportingService"),
            Self::Edge | Self::Admin => None,
        }
    }

    /// The address to use instead.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Ingest => "name the address where ingest serves gRPC, such as http://127.0.0.1:50051",
            Self::Reporting => "name the address where reporting serves gRPC, such as http://127.0.0.1:50052",
            Self::Edge => "name the URL where the edge takes events, such as http://127.0.0.1:3001/events",
            Self::Admin => "name the address that the role has as ADMIN_LISTEN, such as 127.0.0.1:9101",
        }
    }
}
