//! Clients of tools for the servers of a deployment: their addresses, their channels, and causes of failures.

mod address;
mod grpc;
mod http;
mod operator;

pub(crate) use address::{ADMIN_LISTEN, EDGE_SETTING, edge_endpoint, http_url, reachable};
pub(crate) use grpc::Servers;
pub(crate) use http::{QUIET, ask, broken, client_of, explained};
pub(crate) use operator::{Service, ServiceArgs};
