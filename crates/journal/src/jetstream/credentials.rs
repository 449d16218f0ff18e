//! Credentials for one server. They are read at each connection, so that an operator can replace files while a process
//! runs.

use std::path::Path;

use async_nats::Auth;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use nkeys::KeyPair;
use serde::Deserialize;

use crate::servers::{ClientIdentity, Login, Server, Servers};

/// The fields of a user's JWT that Weir reads.
#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970; absent or 0 means never.
    #[serde(default)]
    exp: i64,
}

/// A user's JWT and the key that signs for it.
struct Credentials {
    jwt: String,
    key: KeyPair,
}

/// Answers a server's `nonce` with the user's credentials.
///
/// # Errors
/// A file can't be read or has another content; the text names the setting and the path.
pub(super) async fn auth(servers: &Servers, server: Option<&Server>, nonce: &[u8]) -> Result<Auth, String> {
    let mut auth = Auth::new();
    match &servers.identity {
        ClientIdentity::Url => match server.and_then(|server| server.login.as_ref()) {
            Some(Login::User { name, password }) => {
                auth.username = Some(name.clone());
                auth.password = Some(password.clone());
            }
            Some(Login::Token(token)) => auth.token = Some(token.clone()),
            None => {}
        },
        ClientIdentity::Credentials(path) => {
            let Credentials { jwt, key } = credentials(path).await?;
            auth.signature = Some(sign(&key, nonce)?);
            auth.jwt = Some(jwt);
        }
        ClientIdentity::Nkey(path) => {
            let key = nkey(path).await?;
            auth.signature = Some(sign(&key, nonce)?);
            auth.nkey = Some(key.public_key());
        }
    }
    Ok(auth)
}

/// Checks every file that a connection needs.
///
/// # Errors
/// A file can't be read or has another content; the text names the setting and the path.
pub(super) async fn check_files(servers: &Servers) -> Result<(), String> {
    match &servers.identity {
        ClientIdentity::Url => {}
        ClientIdentity::Credentials(path) => credentials(path).await.map(drop)?,
        ClientIdentity::Nkey(path) => nkey(path).await.map(drop)?,
    }
    let certificate = servers.certificate.as_ref();
    for (variable, path, label) in [
        ("NATS_CA", servers.ca.as_ref(), "CERTIFICATE-----"),
        ("NATS_CERT", certificate.map(|(certificate, _)| certificate), "CERTIFICATE-----"),
        ("NATS_KEY", certificate.map(|(_, key)| key), "PRIVATE KEY-----"),
    ] {
        let Some(path) = path else { continue };
        if !read(variable, path).await?.contains(label) {
            let kind = if label.starts_with('C') { "certificate" } else { "private key" };
            return Err(format!("{variable}: the file {} holds no {kind} in PEM format", path.display()));
        }
    }
    Ok(())
}

/// When the JWT of NATS_CREDS expired; `None` if it is valid.
pub(super) async fn expired_at(servers: &Servers) -> Option<DateTime<Utc>> {
    let ClientIdentity::Credentials(path) = &servers.identity else { return None };
    let jwt = credentials(path).await.ok()?.jwt;
    expiry(&jwt).filter(|at| *at <= Utc::now())
}

fn expiry(jwt: &str) -> Option<DateTime<Utc>> {
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    if claims.exp == 0 { None } else { DateTime::from_timestamp(claims.exp, 0) }
}

async fn credentials(path: &Path) -> Result<Credentials, String> {
    let text = read("NATS_CREDS", path).await?;
    let jwt = block(&text, "NATS USER JWT");
    let key = block(&text, "USER NKEY SEED").and_then(|seed| KeyPair::from_seed(seed).ok());
    match jwt.zip(key) {
        Some((jwt, key)) => Ok(Credentials { jwt: jwt.to_owned(), key }),
        None => Err(format!("NATS_CREDS: the file {} holds no user JWT with its seed", path.display())),
    }
}

async fn nkey(path: &Path) -> Result<KeyPair, String> {
    let text = read("NATS_NKEY", path).await?;
    // The file has the seed alone, or among the lines of a credentials file.
    let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
    seed.and_then(|seed| KeyPair::from_seed(seed).ok())
        .ok_or_else(|| format!("NATS_NKEY: the file {} holds no seed of a user (SU...)", path.display()))
}

async fn read(variable: &str, path: &Path) -> Result<String, String> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|error| format!("{variable}: the file {} can't be read: {error}", path.display()))
}

/// The line between `-----BEGIN label-----` and `------END label------`.
fn block<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let begin = format!("BEGIN {label}");
    text.lines().skip_while(|line| !line.contains(&begin)).nth(1).map(str::trim)
}

fn sign(key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, String> {
    key.sign(nonce).map_err(|error| format!("the seed can't sign: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_of_a_jwt_is_read() {
        let jwt = |claims: &str| format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(expiry(&jwt(r#"{"exp":1700000000}"#)), DateTime::from_timestamp(1_700_000_000, 0));
        assert_eq!(expiry(&jwt(r#"{"sub":"U"}"#)), None);
        assert_eq!(expiry("no jwt"), None);
    }

    #[tokio::test]
    async fn a_credentials_file_has_a_jwt_and_its_seed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.creds");
        let key = KeyPair::new_user();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            key.seed().unwrap()
        );
        std::fs::write(&path, text).unwrap();
        let servers: Servers = "nats://n1".parse().unwrap();
        let found =
            auth(&servers.clone().with_identity(ClientIdentity::Credentials(path.clone())), None, b"nonce")
                .await;
        let found = found.unwrap();
        assert_eq!(found.jwt.as_deref(), Some("a.b.c"));
        key.verify(b"nonce", &found.signature.unwrap()).unwrap();
        let found = auth(&servers.clone().with_identity(ClientIdentity::Nkey(path.clone())), None, b"nonce")
            .await
            .unwrap();
        assert_eq!(found.nkey, Some(key.public_key()));

        std::fs::write(&path, "nothing of the kind").unwrap();
        for identity in [ClientIdentity::Credentials(path.clone()), ClientIdentity::Nkey(path)] {
            let refusal = auth(&servers.clone().with_identity(identity), None, b"nonce").await.err().unwrap();
            assert!(refusal.contains("user.creds"), "{refusal}");
        }
    }
}
