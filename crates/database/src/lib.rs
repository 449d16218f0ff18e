//! The database as code: where it is, how to reach it, its tables (migrations) and their mirror (entities).
//!
//! Everything that reads or writes the database goes through this crate; it knows no event and no role.

pub mod clock;
pub mod entity;
pub mod people;

mod applied;
mod connect;
mod fault;
mod lock;
mod migrate;
mod pools;
mod probe;
mod schema;
mod url;
mod writer;

pub use connect::{Access, connect};
pub use fault::{Outlook, StoreFault};
pub use migrate::{MigrateError, Step, down, status, up};
pub use pools::register_pools;
pub use schema::{Rights, SchemaWatch, check};
pub use url::{DatabaseUrl, UrlError};
pub use writer::{OLDEST_WRITER, OutdatedWriter, check_writer, oldest_writer, oldest_writer_if_named};
