//! Clients of tools for the servers of a deployment: addresses, channels, and causes of failures.

mod address;
mod grpc;
mod http;
mod operator;

pub(crate) use address::{ADMIN_LISTEN, EDGE_SETTING, edge_endpoint, http_url, reachable};
pub(crate) use grpc::GrpcServers;
pub(crate) use http::{DIAGNOSE_AFTER, ask, broken, explanation, http_client};
pub(crate) use operator::{OperatorClient, OperatorClientArgs};
