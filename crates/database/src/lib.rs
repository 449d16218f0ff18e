//! The database as code: where it is, how to reach it, its tables (migrations) and their mirror (entities).
//!
//! Everything that reads or writes the database goes through this crate; it knows no event and no role.

pub mod clock;
pub mod entity;
pub mod people;

mod connect;
mod fault;
mod migrate;
mod oldest_writer;
mod pool_metrics;
mod probe;
mod schema;
mod schema_watch;
mod url;

pub use connect::{Access, connect};
pub use fault::{Outlook, StoreFault};
pub use migrate::{MigrateError, Step, down, status, up};
pub use oldest_writer::{OLDEST_WRITER, OutdatedWriter, check_writer, oldest_writer, oldest_writer_if_named};
pub use pool_metrics::register_pools;
pub use schema::{Rights, check};
pub use schema_watch::SchemaWatch;
pub use url::{DatabaseUrl, UrlError};
