//! The generated code of `proto/`, the descriptor set for gRPC reflection, and the values that the roles share.

#![expect(
    clippy::allow_attributes_without_reason,
    reason = "generated code carries attributes without a reason"
)]

pub mod enums;
mod mean;
mod money;
mod time;

pub use self::{
    mean::Mean,
    money::Money,
    time::{instant, instant_micros, timestamp},
};

/// Every file of `proto/` and its imports, encoded as a `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weir.descriptors.bin"));

/// The most bytes of an item that a dead letter keeps: 64 KiB. The edge cuts to it before a call, the journal before
/// an append, so that size and hash of a cut item agree.
pub const MAX_RAW_BYTES: usize = 64 * 1024;

/// The most bytes of one response that a client of ingest or reporting decodes: 16 MiB. The largest responses
/// are smaller:
/// - the results of 1,000 items that each break every rule;
/// - a report with 1,000 rows of 256 characters;
/// - a dead letter with as many violations as fit into one call.
pub const MAX_RESPONSE_BYTES: usize = 16 << 20;

/// Events and their parts, frames, dead letters and origins.
pub mod event {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("weir.event.v1");
    }
}

/// The services of ingest: events, dead letters and erasures.
pub mod ingest {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("weir.ingest.v1");
    }
}

/// The service of reporting.
pub mod reporting {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("weir.reporting.v1");
    }
}
