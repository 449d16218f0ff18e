//! The database as code: its location, its connections, its tables and the formats in them.
#![doc = include_str!("../README.md")]

pub mod advisory_lock;
pub mod clock;
pub mod dialect;
pub mod entity;
pub mod error_class;
pub mod event_key;
pub mod id_code;
pub mod people;
pub mod rankings;
pub mod segment_filter;
pub mod split_sum;
pub mod time_bucket;

mod blob;
mod connect;
mod fault;
mod migrate;
mod oldest_writer;
mod pool_metrics;
mod probe;
mod schema;
mod schema_watch;
mod url;

pub use blob::MalformedBlob;
pub use connect::{Access, connect};
pub use fault::{FaultKind, StoreFault};
pub use migrate::{MigrateError, MigrationState, down, status, up};
pub use oldest_writer::{OLDEST_WRITER, OutdatedWriter, check_writer, oldest_writer, oldest_writer_if_named};
pub use pool_metrics::register_pools;
pub use schema::{Rights, check};
pub use schema_watch::SchemaWatch;
pub use url::{DatabaseUrl, UrlError};
