//! The database as code: where it is, how to reach it, its tables (migrations) and their mirror (entities).
//!
//! Everything that reads or writes the database goes through this crate; it knows no event and no role.

pub mod clock;
pub mod entity;
pub mod people;

mod applied;
mod connect;
mod lock;
mod migrate;
mod migrations;
mod pools;
mod url;

pub use connect::{Access, ConnectError, connect};
pub use migrate::{MigrateError, Step, down, status, up};
pub use pools::register_pools;
pub use url::{DatabaseUrl, UrlError};
