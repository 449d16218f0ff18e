//! gRPC servers and channels, with health, reflection, keep-alive, spans and a graceful end.

mod address;
mod call_deadline;
mod call_status;
mod channel;
mod client_spans;
mod reflection;
mod server;
mod server_spans;
mod spanned_body;

pub use self::{
    address::{addresses, urls},
    channel::{channel, endpoint},
    client_spans::{CallOrigins, TracedChannel},
    server::GrpcServer,
};
