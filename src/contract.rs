//! The generated code of `proto/`, and the descriptor set that gRPC reflection serves.

#![expect(
    clippy::allow_attributes_without_reason,
    reason = "generated code carries attributes without a reason"
)]

mod mean;

pub use mean::Mean;

/// Every file of `proto/` and what it imports, encoded as a `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weir.descriptors.bin"));

pub mod event {
    pub mod v1 {
        tonic::include_proto!("weir.event.v1");
    }
}

pub mod ingest {
    pub mod v1 {
        tonic::include_proto!("weir.ingest.v1");
    }
}

pub mod reporting {
    pub mod v1 {
        tonic::include_proto!("weir.reporting.v1");
    }
}
