//! JWT users of a nats-server: an operator key, one account with JetStream, and credentials files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// The keys of an operator and its accounts, which issue credentials.
pub struct Users {
    operator: KeyPair,
    /// The account of the server itself.
    system: KeyPair,
    account: KeyPair,
}

impl Users {
    /// Makes new keys.
    pub fn generate() -> Self {
        let [system, account] = [(); 2].map(|()| KeyPair::new_account());
        Self { operator: KeyPair::new_operator(), system, account }
    }

    /// The lines of configuration that make a server trust these users.
    pub fn configuration(&self) -> String {
        let operator =
            token(&self.operator, &self.operator, None, &json!({ "type": "operator", "version": 2 }));
        // The server's own account may not use JetStream.
        let accounts = [(&self.system, 0), (&self.account, -1)].map(|(key, storage)| {
            let limits = json!({
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
                "leaf": -1, "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
            });
            let account = json!({ "limits": limits, "type": "account", "version": 2 });
            format!("{}: {}", key.public_key(), token(&self.operator, key, None, &account))
        });
        format!(
            "operator: {operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n{}\n}}",
            self.system.public_key(),
            accounts.join("\n")
        )
    }

    /// Writes a credentials file of a new user, which expires at `expires_at`.
    pub fn credentials(&self, folder: &Path, expires_at: Option<DateTime<Utc>>) -> PathBuf {
        let user = KeyPair::new_user();
        let rights = json!({ "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
        let jwt = token(&self.account, &user, expires_at, &rights);
        let seed = user.seed().expect("a new key has a seed");
        let path = folder.join("weir.creds");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        fs::write(&path, text).expect("the folder is writable");
        path
    }
}

/// A JWT of `issuer` about `subject`.
fn token(issuer: &KeyPair, subject: &KeyPair, expires_at: Option<DateTime<Utc>>, nats: &Value) -> String {
    let mut claims = json!({
        "jti": subject.public_key(), "iat": Utc::now().timestamp(), "iss": issuer.public_key(), "name": "weir",
        "sub": subject.public_key(), "nats": nats,
    });
    if let Some(at) = expires_at {
        claims["exp"] = at.timestamp().into();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).expect("a new key signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
