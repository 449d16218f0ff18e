//! A reflection client, which asks what grpcurl's `list` and `describe` ask.

use prost::Message as _;
use prost_types::FileDescriptorProto;
use tokio_stream::once;
use tonic::transport::Channel;
use tonic_reflection::pb::{v1, v1alpha};

/// The two versions of the protocol; older clients know the second alone.
#[derive(Clone, Copy)]
pub(super) enum Reflection {
    V1,
    V1Alpha,
}

/// Asks one question of one version and picks the answer out; the two versions' types differ by name alone.
macro_rules! ask {
    ($version:ident, $channel:expr, $question:ident($argument:expr), $answer:ident) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let message_request = Some(MessageRequest::$question($argument));
        let request = once(ServerReflectionRequest { host: String::new(), message_request });
        let mut client = ServerReflectionClient::new($channel);
        let mut answers =
            client.server_reflection_info(request).await.expect("reflection is served").into_inner();
        let answer =
            answers.message().await.expect("reflection answers").and_then(|answer| answer.message_response);
        match answer {
            Some(MessageResponse::$answer(answer)) => answer,
            other => panic!("reflection answered {other:?}"),
        }
    }};
}

impl Reflection {
    /// The names of the services at `channel`.
    pub(super) async fn services(self, channel: Channel) -> Vec<String> {
        match self {
            Self::V1 => {
                let listed = ask!(v1, channel, ListServices(String::new()), ListServicesResponse);
                listed.service.into_iter().map(|service| service.name).collect()
            }
            Self::V1Alpha => {
                let listed = ask!(v1alpha, channel, ListServices(String::new()), ListServicesResponse);
                listed.service.into_iter().map(|service| service.name).collect()
            }
        }
    }

    /// The names of a service's methods, as declared.
    pub(super) async fn methods(self, channel: Channel, service: &str) -> Vec<String> {
        let files = match self {
            Self::V1 => {
                ask!(v1, channel, FileContainingSymbol(service.into()), FileDescriptorResponse)
                    .file_descriptor_proto
            }
            Self::V1Alpha => {
                ask!(v1alpha, channel, FileContainingSymbol(service.into()), FileDescriptorResponse)
                    .file_descriptor_proto
            }
        };
        let files =
            files.iter().map(|file| FileDescriptorProto::decode(file.as_slice()).expect("a file descriptor"));
        let services = files.flat_map(|file| file.service);
        let described = services.filter(|described| service.ends_with(described.name()));
        described.flat_map(|described| described.method).map(|method| method.name().to_owned()).collect()
    }
}
