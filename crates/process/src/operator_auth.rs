//! Access to services with people's data: callers on this machine, and operators that present the token.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::{Status, metadata::MetadataMap};

use super::args::OperatorToken;

const SCHEME: &str = "Bearer ";

/// The access rule of one listener.
#[derive(Clone, Debug)]
pub enum OperatorAccess {
    /// Only this machine reaches the listener.
    Open,
    /// Calls present the token.
    Token(OperatorToken),
    /// Other machines reach the listener, and no token is configured that tells operators from others.
    Closed,
}

impl OperatorAccess {
    /// The rule for a listener on `address` of a process with `token`.
    #[must_use]
    pub fn of_listener(address: SocketAddr, token: Option<OperatorToken>) -> Self {
        match token {
            _ if address.ip().is_loopback() => Self::Open,
            Some(token) => Self::Token(token),
            None => Self::Closed,
        }
    }

    /// # Errors
    /// PERMISSION_DENIED or UNAUTHENTICATED, with the remedy.
    pub fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        match self {
            Self::Open => Ok(()),
            Self::Token(token) if presented(metadata).is_some_and(|text| is_same(text, token.as_str())) => {
                Ok(())
            }
            Self::Token(_) => Err(Status::unauthenticated(
                "this carries people's data: present WEIR_OPERATOR_TOKEN as metadata 'authorization: Bearer TOKEN'",
            )),
            Self::Closed => Err(Status::permission_denied(
                "this carries people's data: start this service with WEIR_OPERATOR_TOKEN and present it, or have it \
                 listen on a loopback address",
            )),
        }
    }
}

fn presented(metadata: &MetadataMap) -> Option<&str> {
    metadata.get("authorization")?.to_str().ok()?.strip_prefix(SCHEME)
}

/// Compares digests in constant time, so that the time of an answer tells nothing about the token or its length.
fn is_same(presented: &str, token: &str) -> bool {
    let [presented, token] = [presented, token].map(Sha256::digest);
    presented.as_slice().ct_eq(token.as_slice()).into()
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn access(address: &str, token: Option<&str>) -> OperatorAccess {
        let token = token.map(|text| OperatorToken::parse(text).unwrap());
        OperatorAccess::of_listener(address.parse().unwrap(), token)
    }

    fn code(access: &OperatorAccess, authorization: Option<&str>) -> Option<Code> {
        let mut metadata = MetadataMap::new();
        if let Some(text) = authorization {
            metadata.insert("authorization", text.parse().unwrap());
        }
        access.check(&metadata).err().map(|status| status.code())
    }

    #[test]
    fn a_loopback_listener_needs_no_token() {
        for address in ["127.0.0.1:1", "[::1]:1"] {
            assert_eq!(code(&access(address, None), None), None);
            assert_eq!(code(&access(address, Some("secret")), None), None);
        }
    }

    #[test]
    fn another_listener_requires_the_token() {
        let open = access("0.0.0.0:1", Some("secret"));
        assert_eq!(code(&open, Some("Bearer secret")), None);
        for wrong in [None, Some("secret"), Some("Bearer secre"), Some("Bearer secrets"), Some("Bearer ")] {
            assert_eq!(code(&open, wrong), Some(Code::Unauthenticated), "{wrong:?}");
        }
    }

    #[test]
    fn another_listener_without_a_token_refuses_every_call() {
        let closed = access("192.0.2.1:1", None);
        assert_eq!(code(&closed, Some("Bearer secret")), Some(Code::PermissionDenied));
    }
}
