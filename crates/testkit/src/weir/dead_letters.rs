//! Reading the dead letters of a Weir, as an operator would: from the journal itself.

use std::time::Duration;

use weir_journal::{DeadLetterStream, Journal, Settings, StoredDeadLetter};

use super::{Ground, Weir};

/// More than any story rejects.
const MOST: usize = 1000;

impl Weir {
    /// What lies in `REJECTED`, oldest first. On files it ends this Weir first: the journal has one owner.
    pub async fn rejected(&mut self) -> Vec<StoredDeadLetter> {
        let journal = match &self.ground {
            Ground::Servers { nats, .. } => {
                Journal::connect(&nats.servers(), Settings::default(), Duration::from_secs(10)).await
            }
            Ground::Files => {
                self.stop().await;
                Journal::open(&self.data_folder(), Settings::default()).await
            }
        };
        let journal = journal.expect("the journal can be opened");
        let letters = journal
            .dead_letters(DeadLetterStream::Rejected, 0, MOST)
            .await
            .expect("dead letters can be read");
        journal.close(Duration::from_secs(5)).await;
        letters
    }
}
