//! How the client proves itself to the token endpoint (RFC 6749 section 2.3; names of the IANA registry "OAuth Token
//! Endpoint Authentication Methods").

mod credential;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

pub use credential::Credential;

use crate::{Error, ErrorKind};

/// How the client proves itself: exactly one method, as RFC 6749 section 2.3 demands.
///
/// ```
/// use client_credentials::{ClientAuth, Credential};
/// let auth = ClientAuth::client_secret_basic("billing", Credential::file("/run/secrets/client-secret"));
/// assert!(format!("{auth:?}").contains("client_secret_basic"));
/// ```
#[derive(Clone)]
pub struct ClientAuth {
    client_id: String,
    method: Method,
}

#[derive(Clone)]
enum Method {
    Basic { secret: Credential, encoded: bool },
    Post(Credential),
    None,
}

/// What a request carries to prove the client.
#[derive(Default)]
pub(crate) struct Proof {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) params: Vec<(&'static str, Zeroizing<String>)>,
}

impl ClientAuth {
    /// `client_secret_basic`: id and secret in the `Authorization` header. The method to prefer of those with a
    /// shared secret: every server must support it (RFC 6749 section 2.3.1).
    ///
    /// Both are percent-encoded first, as the RFC says in its way; the letters and digits and `*-._~` of an ordinary
    /// secret stay as they are. For a server that does not decode there is
    /// [`client_secret_basic_raw`](Self::client_secret_basic_raw).
    pub fn client_secret_basic(
        client_id: impl Into<String>,
        secret: impl Into<Credential>,
    ) -> Self {
        let method = Method::Basic {
            secret: secret.into(),
            encoded: true,
        };
        ClientAuth {
            client_id: client_id.into(),
            method,
        }
    }

    /// `client_secret_basic` without the encoding (RFC 7617 alone): for servers that take both as they come, when
    /// the secret has characters like `+`, `/` or `%` and the usual form is refused with `invalid_client`.
    pub fn client_secret_basic_raw(
        client_id: impl Into<String>,
        secret: impl Into<Credential>,
    ) -> Self {
        let method = Method::Basic {
            secret: secret.into(),
            encoded: false,
        };
        ClientAuth {
            client_id: client_id.into(),
            method,
        }
    }

    /// `client_secret_post`: id and secret in the request's form (RFC 6749 section 2.3.1).
    pub fn client_secret_post(client_id: impl Into<String>, secret: impl Into<Credential>) -> Self {
        ClientAuth {
            client_id: client_id.into(),
            method: Method::Post(secret.into()),
        }
    }

    /// `none`: the id alone (RFC 7591 section 2), for a server that knows the client by other means, such as a
    /// service mesh.
    pub fn none(client_id: impl Into<String>) -> Self {
        ClientAuth {
            client_id: client_id.into(),
            method: Method::None,
        }
    }

    /// The name in the IANA registry.
    pub(crate) fn name(&self) -> &'static str {
        match self.method {
            Method::Basic { .. } => "client_secret_basic",
            Method::Post(_) => "client_secret_post",
            Method::None => "none",
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether the form has a `client_id` by itself.
    pub(crate) fn posts_client_id(&self) -> bool {
        !matches!(self.method, Method::Basic { .. })
    }

    /// What is wrong with it, as far as can be told without I/O: (field, flaw).
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.client_id.is_empty() {
            faults.push(("client_id", "is empty".into()));
        } else if self.client_id.chars().any(char::is_control) {
            faults.push((
                "client_id",
                "has a control character (a line break?)".into(),
            ));
        } else if matches!(self.method, Method::Basic { encoded: false, .. })
            && self.client_id.contains(':')
        {
            // RFC 7617 section 2: the first colon ends the id.
            faults.push((
                "client_id",
                "has a colon, which the raw form of Basic cannot carry".into(),
            ));
        }
        if let Some(flaw) = self.credential().and_then(Credential::fault) {
            faults.push(("client_secret", flaw));
        }
        faults
    }

    /// Reads the secret, where the method has one.
    pub(crate) async fn secret(&self) -> Result<Option<SecretString>, Error> {
        match self.credential() {
            Some(credential) => credential.read().await.map(Some),
            None => Ok(None),
        }
    }

    /// Proves the client with a secret that was just read.
    pub(crate) fn prove(&self, secret: Option<&SecretString>) -> Result<Proof, Error> {
        let secret = secret.map(ExposeSecret::expose_secret).unwrap_or_default();
        let id = || ("client_id", Zeroizing::new(self.client_id.clone()));
        Ok(match &self.method {
            Method::Basic { encoded, .. } => Proof {
                authorization: Some(basic(&self.client_id, secret, *encoded)?),
                params: Vec::new(),
            },
            Method::Post(_) => {
                let params = vec![id(), ("client_secret", Zeroizing::new(secret.to_owned()))];
                Proof {
                    authorization: None,
                    params,
                }
            }
            Method::None => Proof {
                authorization: None,
                params: vec![id()],
            },
        })
    }

    /// The forms in which a server that echoes the request could send the secret back.
    pub(crate) fn echoes(&self, secret: Option<&SecretString>) -> Vec<SecretString> {
        let Some(secret) = secret else {
            return Vec::new();
        };
        let plain = secret.expose_secret();
        let mut echoes: Vec<SecretString> = vec![
            plain.into(),
            percent_encoded(plain).to_string().into(),
            form_urlencoded::byte_serialize(plain.as_bytes())
                .collect::<String>()
                .into(),
        ];
        if let Method::Basic { encoded, .. } = self.method {
            if let Ok(value) = basic(&self.client_id, plain, encoded) {
                echoes.extend(
                    value
                        .to_str()
                        .ok()
                        .and_then(|v| v.strip_prefix("Basic "))
                        .map(Into::into),
                );
            }
        }
        echoes
    }

    fn credential(&self) -> Option<&Credential> {
        match &self.method {
            Method::Basic { secret, .. } | Method::Post(secret) => Some(secret),
            Method::None => None,
        }
    }
}

/// What RFC 6749 section 2.3.1 asks for is form-encoding. Servers disagree on it: some form-decode, some only
/// percent-decode (to them `+` stays `+`), many do not decode at all. So a space is `%20`, which the first two
/// understand alike, and what an ordinary secret consists of stays as it is, for the third.
const BASIC: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn percent_encoded(text: &str) -> Zeroizing<String> {
    // Room for the worst case: growing would leave copies behind.
    let mut encoded = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
    encoded.extend(utf8_percent_encode(text, BASIC));
    encoded
}

/// RFC 7617 section 2.
fn basic(id: &str, secret: &str, encoded: bool) -> Result<HeaderValue, Error> {
    let mut pair = Zeroizing::new(String::with_capacity(
        (id.len() + secret.len())
            .saturating_mul(3)
            .saturating_add(1),
    ));
    if encoded {
        pair.extend([&**percent_encoded(id), ":", &**percent_encoded(secret)]);
    } else {
        pair.extend([id, ":", secret]);
    }
    let mut value = Zeroizing::new(String::with_capacity(
        "Basic ".len() + pair.len().saturating_mul(2),
    ));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    let bytes = Bytes::from_owner(Zeroizing::new(value.as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(bytes).map_err(|_| {
        Error::new(
            ErrorKind::Credential,
            "the client credentials do not fit into a header",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ClientAuth");
        out.field("method", &self.name())
            .field("client_id", &self.client_id);
        if let Some(credential) = self.credential() {
            out.field("client_secret", credential);
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(auth: &ClientAuth) -> String {
        let secret = auth.credential().and_then(|c| match futures_now(c.read()) {
            Some(Ok(secret)) => Some(secret),
            _ => None,
        });
        let proof = auth.prove(secret.as_ref()).unwrap();
        let header = proof.authorization.unwrap();
        assert!(header.is_sensitive());
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    }

    fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn basic_is_percent_encoded_with_spaces_as_percent_20() {
        // F03
        let auth = ClientAuth::client_secret_basic("a b:c", " %&+£€:@Az09*-._~");
        assert_eq!(
            decoded(&auth),
            "a%20b%3Ac:%20%25%26%2B%C2%A3%E2%82%AC%3A%40Az09*-._~"
        );
    }

    #[test]
    fn raw_basic_is_as_it_comes() {
        assert_eq!(
            decoded(&ClientAuth::client_secret_basic_raw("id", "s+/=%:€")),
            "id:s+/=%:€"
        );
    }

    #[test]
    fn an_ordinary_secret_is_the_same_in_both_forms() {
        let secret = "Az09*-._~";
        let both = [
            decoded(&ClientAuth::client_secret_basic("s6BhdRkqt3", secret)),
            decoded(&ClientAuth::client_secret_basic_raw("s6BhdRkqt3", secret)),
        ];
        assert_eq!(both[0], both[1]);
    }

    #[test]
    fn the_vector_of_rfc_6749() {
        // RFC 6749 section 2.3.1: czZCaGRSa3F0MzpnWDFmQmF0M2JW
        let auth = ClientAuth::client_secret_basic("s6BhdRkqt3", "gX1fBat3bV");
        let proof = auth.prove(Some(&"gX1fBat3bV".into())).unwrap();
        assert_eq!(
            proof.authorization.unwrap(),
            "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
        );
        assert!(
            proof.params.is_empty(),
            "nothing of the client in the body beside Basic"
        );
    }

    #[test]
    fn control_characters_are_refused_in_id_and_secret() {
        // F02, F05
        let fields = |auth: ClientAuth| {
            auth.faults()
                .into_iter()
                .map(|(field, _)| field)
                .collect::<Vec<_>>()
        };
        for control in (0..0x20_u8).chain([0x7f]).map(char::from) {
            let text = format!("a{control}b");
            assert_eq!(
                fields(ClientAuth::client_secret_post(text.clone(), "s")),
                ["client_id"],
                "{control:?}"
            );
            assert_eq!(
                fields(ClientAuth::client_secret_post("id", text)),
                ["client_secret"],
                "{control:?}"
            );
        }
        assert_eq!(
            fields(ClientAuth::client_secret_basic("", "")),
            ["client_id", "client_secret"]
        );
        assert_eq!(
            fields(ClientAuth::client_secret_basic_raw("a:b", "s")),
            ["client_id"]
        );
        assert!(fields(ClientAuth::client_secret_basic("ünïcödé", "sécret €")).is_empty());
    }
}
