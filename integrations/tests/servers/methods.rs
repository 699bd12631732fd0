//! Every method of client authentication: what the client holds, and how it becomes a [`ClientAuth`].
//!
//! A method is one entry of [`METHODS`]. What its credentials look like, at the client and at the server, follows
//! from its [`Proof`]; the stories and the table do the rest.

use std::path::{Path, PathBuf};

use client_credentials::{ClientAuth, Credential};
use serde_json::{Value, json};

use crate::Result;
use crate::certificates::{self, Authority};

/// The rows of the table: the IANA registry "OAuth Token Endpoint Authentication Methods", and what this crate has
/// besides. A row without an entry in [`METHODS`] needs a reason in [`REASONS`].
pub(crate) const ROWS: [&str; 8] = [
    "client_secret_basic",
    "client_secret_basic_raw",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
];

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "client_secret_basic",
        registered: "client_secret_basic",
        proof: Proof::Secret(|id, secret| ClientAuth::client_secret_basic(id, secret)),
    },
    Method {
        name: "client_secret_basic_raw",
        registered: "client_secret_basic",
        proof: Proof::Secret(|id, secret| ClientAuth::client_secret_basic_raw(id, secret)),
    },
    Method {
        name: "client_secret_post",
        registered: "client_secret_post",
        proof: Proof::Secret(|id, secret| ClientAuth::client_secret_post(id, secret)),
    },
    Method {
        name: "client_secret_jwt",
        registered: "client_secret_jwt",
        proof: Proof::Secret(|id, secret| ClientAuth::client_secret_jwt(id, secret).into()),
    },
    Method {
        name: "private_key_jwt",
        registered: "private_key_jwt",
        proof: Proof::Key(|id, key| ClientAuth::private_key_jwt(id, key).into()),
    },
    Method {
        name: "tls_client_auth",
        registered: "tls_client_auth",
        proof: Proof::Certificate(|id, certificate, key| ClientAuth::mutual_tls(id, certificate, key)),
    },
    Method {
        name: "self_signed_tls_client_auth",
        registered: "self_signed_tls_client_auth",
        proof: Proof::SelfSigned(|id, certificate, key| ClientAuth::mutual_tls(id, certificate, key)),
    },
    Method { name: "none", registered: "none", proof: Proof::Nothing(|id| ClientAuth::none(id)) },
];

/// Cells that stay empty, and why: (row, column, reason).
pub(crate) const REASONS: &[(&str, &str, &str)] =
    &[("tls_client_auth", AUTHLIB, NO_MUTUAL_TLS), ("self_signed_tls_client_auth", AUTHLIB, NO_MUTUAL_TLS)];

const NO_MUTUAL_TLS: &str = "Authlib has no RFC 8705";

/// The columns.
pub(crate) const OIDC_PROVIDER: &str = "oidc-provider";
pub(crate) const AUTHLIB: &str = "Authlib";

/// Why this cell stays empty.
pub(crate) fn reason(row: &str, column: &str) -> Option<&'static str> {
    REASONS.iter().find(|(r, c, _)| *r == row && *c == column).map(|(.., reason)| *reason)
}

pub(crate) struct Method {
    /// Its row.
    pub(crate) name: &'static str,
    /// `token_endpoint_auth_method` at the server (RFC 7591 section 2).
    pub(crate) registered: &'static str,
    pub(crate) proof: Proof,
}

/// What the client holds, and how it becomes a [`ClientAuth`] with the client's id.
pub(crate) enum Proof {
    Nothing(fn(&str) -> ClientAuth),
    Secret(ByOne),
    /// A private key, PKCS#8 in PEM, on P-256. The server gets its JWK.
    Key(ByOne),
    /// A certificate of the tests' CA, and its key. The server gets its DNS name.
    Certificate(ByTwo),
    /// A certificate signed by itself, and its key. The server gets the certificate.
    SelfSigned(ByTwo),
}

/// A constructor of [`ClientAuth`] that takes the id and one credential.
pub(crate) type ByOne = fn(&str, Credential) -> ClientAuth;
/// The same with two, a certificate and its key.
pub(crate) type ByTwo = fn(&str, Credential, Credential) -> ClientAuth;

/// What authenticates a client: both sides of it.
pub(crate) struct Credentials {
    /// The client's side: file name and content.
    files: Vec<(&'static str, String)>,
    /// The server's side: client metadata (RFC 7591).
    pub(crate) registration: Value,
}

const SECRET: &str = "client-secret";
const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";

impl Method {
    /// New ones, valid for no other client. `client` is its id.
    pub(crate) fn credentials(&self, client: &str, authority: &Authority) -> Result<Credentials> {
        let (files, registration) = match self.proof {
            Proof::Nothing(_) => (Vec::new(), json!({})),
            Proof::Secret(_) => return Ok(self.secret(&random(64))),
            Proof::Key(_) => {
                let (key, mut jwk) = certificates::signing_key()?;
                jwk["kid"] = json!(random(8));
                (vec![(KEY, key)], json!({ "jwks": { "keys": [jwk] } }))
            }
            Proof::Certificate(_) => {
                // The name authenticates the client, so a wrong certificate has another name.
                let name = format!("{}.{client}.example.com", random(8));
                let identity = authority.client(&name)?;
                let files = vec![(CERTIFICATE, identity.certificate), (KEY, identity.key)];
                (files, json!({ "tls_client_auth_san_dns": name }))
            }
            Proof::SelfSigned(_) => {
                let identity = certificates::self_signed(client)?;
                let files = vec![(CERTIFICATE, identity.certificate), (KEY, identity.key)];
                (files, json!({ "jwks": { "keys": [identity.jwk] } }))
            }
        };
        Ok(self.registered(files, registration))
    }

    /// A secret of one's choice.
    pub(crate) fn secret(&self, secret: &str) -> Credentials {
        let files = vec![(SECRET, secret.to_owned())];
        self.registered(files, json!({ "client_secret": secret }))
    }

    fn registered(&self, files: Vec<(&'static str, String)>, mut registration: Value) -> Credentials {
        registration["token_endpoint_auth_method"] = json!(self.registered);
        Credentials { files, registration }
    }

    /// The authentication of a client that holds what is in `folder`.
    pub(crate) fn auth(&self, client: &str, folder: &Path) -> ClientAuth {
        let file = |name| Credential::file(folder.join(name));
        match self.proof {
            Proof::Nothing(auth) => auth(client),
            Proof::Secret(auth) => auth(client, file(SECRET)),
            Proof::Key(auth) => auth(client, file(KEY)),
            Proof::Certificate(auth) | Proof::SelfSigned(auth) => auth(client, file(CERTIFICATE), file(KEY)),
        }
    }

    /// Whether a client of this method connects to the listener that asks for certificates.
    pub(crate) fn is_mutual_tls(&self) -> bool {
        matches!(self.proof, Proof::Certificate(_) | Proof::SelfSigned(_))
    }

    /// Whether the client has a credential.
    pub(crate) fn has_credentials(&self) -> bool {
        !matches!(self.proof, Proof::Nothing(_))
    }
}

impl Credentials {
    /// Gives them to the client, as a rotation does: each file is replaced atomically.
    pub(crate) fn put(&self, folder: &Path) -> Result {
        std::fs::create_dir_all(folder)?;
        for (name, content) in &self.files {
            let (new, file): (PathBuf, _) = (folder.join(format!("{name}.new")), folder.join(name));
            std::fs::write(&new, content)?;
            std::fs::rename(&new, file)?;
        }
        Ok(())
    }

    /// All files in one.
    pub(crate) fn pem(&self) -> String {
        self.files.iter().map(|(_, content)| content.as_str()).collect()
    }
}

/// Letters and digits: an ordinary secret.
pub(crate) fn random(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_method_or_a_reason_and_every_method_has_a_row() {
        for row in ROWS {
            for column in [OIDC_PROVIDER, AUTHLIB] {
                let known = METHODS.iter().any(|method| method.name == row);
                assert!(known || reason(row, column).is_some(), "{row} at {column}");
            }
        }
        for method in METHODS {
            assert!(ROWS.contains(&method.name), "{}", method.name);
        }
    }
}
