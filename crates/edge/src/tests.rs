//! The edge before a fake ingest.
