//! An operator's connection to JetStream, which reads streams and consumers and changes them beside Weir.

use async_nats::jetstream::{self, consumer, stream};

/// A connection that is none of Weir's.
#[derive(Clone, Debug)]
pub struct Operator {
    pub context: jetstream::Context,
}

impl Operator {
    /// Connects to servers, listed as in NATS_URL.
    pub async fn connect(urls: &str) -> Self {
        let servers: Vec<&str> = urls.split(',').collect();
        let client = async_nats::connect(servers).await.expect("the journal's server is there");
        Self { context: jetstream::new(client) }
    }

    /// The current state of a stream.
    ///
    /// # Errors
    /// It does not exist, or the server does not answer.
    pub async fn stream(&self, name: &str) -> Result<stream::Info, String> {
        let stream = self.context.get_stream(name).await;
        stream.map(|stream| stream.cached_info().clone()).map_err(|error| format!("{name}: {error}"))
    }

    /// The configuration of a stream.
    pub async fn settings(&self, name: &str) -> stream::Config {
        self.stream(name).await.expect("the stream is there").config
    }

    /// The current state of a consumer of `EVENTS`.
    ///
    /// # Errors
    /// It does not exist, or the server does not answer.
    pub async fn consumer(&self, name: &str) -> Result<consumer::Info, String> {
        let consumer = async {
            let events =
                self.context.get_stream_no_info("EVENTS").await.map_err(|error| error.to_string())?;
            events.consumer_info(name).await.map_err(|error| error.to_string())
        };
        consumer.await.map_err(|error| format!("{name}: {error}"))
    }

    /// The number of frames of a source that no collector has acknowledged.
    pub async fn waiting(&self, source: &str) -> u64 {
        let consumer = self.consumer(&format!("collector-{source}")).await.expect("the consumer is there");
        consumer.num_pending + consumer.num_ack_pending as u64
    }
}
