//! The store beside a running Weir, for a story to look into and to change.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use weir_database::{Access, DatabaseUrl, connect};

use super::{Ground, Weir};

impl Weir {
    /// A pool of the story's own.
    pub async fn store(&self) -> DatabaseConnection {
        let url: DatabaseUrl = match &self.ground {
            Ground::Files => DatabaseUrl::file(&self.store_file()),
            Ground::Servers { database_url, .. } => {
                database_url.parse().expect("a story's database has a valid URL")
            }
        };
        connect(&url, Access::Write, Duration::ZERO).await.expect("the store is there")
    }
}
