//! The journal on NATS JetStream, looked at and not set up.

use std::time::Duration;

use super::{
    api,
    connection::{self, Connection},
    graveyard,
};
use crate::{
    event::Source,
    journal::{Backlog, Buried, Graveyard, JournalError, StoredDeadLetter, subject},
};

/// A connection that asks and never changes anything.
#[derive(Debug)]
pub struct Watched {
    connection: Connection,
}

impl Watched {
    pub(in crate::journal) async fn connect(url: &str, patience: Duration) -> Result<Self, JournalError> {
        let connection = connection::patiently(patience, || Connection::open(url)).await?;
        Ok(Self { connection })
    }

    pub(in crate::journal) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        let info = api::consumer_info(self.connection.context(), &subject::consumer(source)).await?;
        Ok(Backlog { waiting: info.num_pending, in_flight: info.num_ack_pending as u64 })
    }

    pub(in crate::journal) async fn dead_letters(
        &self,
        graveyard: Graveyard,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        graveyard::read(self.connection.context(), graveyard, after, limit).await
    }

    pub(in crate::journal) async fn buried(&self, graveyard: Graveyard) -> Result<Buried, JournalError> {
        graveyard::buried(self.connection.context(), graveyard).await
    }
}
