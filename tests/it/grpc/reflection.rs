//! A reflection client with the requests of grpcurl's `list` and `describe`.

use prost::Message as _;
use prost_types::FileDescriptorProto;
use tokio_stream::once;
use tonic::{Status, transport::Channel};
use tonic_reflection::pb::{v1, v1alpha};

/// The two versions of the protocol. Older clients have only the second.
#[derive(Clone, Copy)]
pub(super) enum Reflection {
    V1,
    V1Alpha,
}

/// Sends one request in one version and returns the answer's content, or the status of a refusal. The types of the two
/// versions differ only by name.
macro_rules! ask {
    ($version:ident, $channel:expr, $request:ident($argument:expr), $answer:ident) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let message_request = Some(MessageRequest::$request($argument));
        let request = once(ServerReflectionRequest { host: String::new(), message_request });
        let mut client = ServerReflectionClient::new($channel);
        let mut answers =
            client.server_reflection_info(request).await.expect("reflection is served").into_inner();
        let answer = answers.message().await;
        answer.map(|answer| match answer.and_then(|answer| answer.message_response) {
            Some(MessageResponse::$answer(answer)) => answer,
            other => panic!("reflection answered {other:?}"),
        })
    }};
}

impl Reflection {
    /// The names of the services at `channel`.
    pub(super) async fn services(self, channel: Channel) -> Vec<String> {
        let listed = "reflection lists services";
        match self {
            Self::V1 => {
                let answer = ask!(v1, channel, ListServices(String::new()), ListServicesResponse);
                answer.expect(listed).service.into_iter().map(|service| service.name).collect()
            }
            Self::V1Alpha => {
                let answer = ask!(v1alpha, channel, ListServices(String::new()), ListServicesResponse);
                answer.expect(listed).service.into_iter().map(|service| service.name).collect()
            }
        }
    }

    /// The names of a service's methods, in the order of their declaration.
    pub(super) async fn methods(self, channel: Channel, service: &str) -> Vec<String> {
        let files = self.files(channel, service).await.expect("the service is described");
        let files =
            files.iter().map(|file| FileDescriptorProto::decode(file.as_slice()).expect("a file descriptor"));
        let services = files.flat_map(|file| file.service);
        let described = services.filter(|described| service.ends_with(described.name()));
        described.flat_map(|described| described.method).map(|method| method.name().to_owned()).collect()
    }

    /// The encoded file that declares `symbol`, a service or a message.
    pub(super) async fn files(self, channel: Channel, symbol: &str) -> Result<Vec<Vec<u8>>, Status> {
        match self {
            Self::V1 => ask!(v1, channel, FileContainingSymbol(symbol.into()), FileDescriptorResponse)
                .map(|answer| answer.file_descriptor_proto),
            Self::V1Alpha => {
                ask!(v1alpha, channel, FileContainingSymbol(symbol.into()), FileDescriptorResponse)
                    .map(|answer| answer.file_descriptor_proto)
            }
        }
    }
}
