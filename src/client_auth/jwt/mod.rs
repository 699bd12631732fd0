//! The client signs an assertion about itself (RFC 7521, RFC 7523, draft-ietf-oauth-rfc7523bis).

mod assertion;
mod identity;
mod server_clock;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use assertion::Assertions;
use assertion::{Audience, Key};
use identity::Identities;
pub(crate) use identity::Identity;
use server_clock::ServerClock;

use serde_json::Value;

use super::{ClientAuth, Method};
use crate::credential::Credential;
use crate::signing::{Signer, SigningAlgorithm};

/// What [`ClientAuth::client_secret_jwt`] returns.
#[derive(Clone)]
#[must_use = "a method does nothing before it is given to a builder"]
pub struct ClientSecretJwt(Signed);

/// What [`ClientAuth::private_key_jwt`] returns.
#[derive(Clone)]
#[must_use = "a method does nothing before it is given to a builder"]
pub struct PrivateKeyJwt(Signed);

/// What [`ClientAuth::private_key_jwt_with_signer`] returns. The signer decides algorithm and key id.
#[derive(Clone)]
#[must_use = "a method does nothing before it is given to a builder"]
pub struct SignerJwt(Signed);

#[derive(Clone)]
struct Signed {
    client_id: String,
    assertions: Assertions,
}

/// # Signed assertions (feature `jwt`)
///
/// What is sent instead of a secret is a JSON Web Token that says who the client is and to whom it is addressed, and is good for
/// one attempt: `iss` and `sub` are the client id, `aud` is the issuer (as a string), `jti` is random, `iat` is now, `exp` a
/// minute later. With a token endpoint instead of an [`Issuer`](crate::Issuer), `build()` needs the audience from the method.
impl ClientAuth {
    /// `private_key_jwt` (OpenID Connect Core 1.0 section 9): signed with a private key that is available as text.
    ///
    /// The key is PEM (PKCS#8, PKCS#1 or SEC1; certificates may be in the same text) or a JWK: RSA of 2048 to 8192 bits, P-256,
    /// P-384, P-521 or Ed25519. The algorithm follows from it (RS256, ES256, ES384, ES512, EdDSA) unless the JWK has `alg`, or
    /// [`algorithm`](PrivateKeyJwt::algorithm) says otherwise; the `kid` of a JWK is sent. A rotated key is used from the next
    /// attempt on. While the new text is not a usable key, the previous key stays in use.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential, Issuer};
    ///
    /// let key = Credential::file("/run/secrets/key.pem");
    /// let auth = ClientAuth::private_key_jwt("billing", key).key_id("2026-11");
    /// let issuer = Issuer::new("https://auth.example.com");
    /// let tokens = ClientCredentials::builder(issuer, auth).build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A value or variable that is no key, or a key that does not fit the algorithm, is a fault that `build()` reports. In a file
    /// it is an error of kind [`Credential`](crate::ErrorKind::Credential) when it is read.
    pub fn private_key_jwt(client_id: impl Into<String>, key: impl Into<Credential>) -> PrivateKeyJwt {
        PrivateKeyJwt(Signed::new(client_id, Key::Private(key.into(), Identities::default())))
    }

    /// `private_key_jwt` with a key that stays in a KMS or an HSM.
    pub fn private_key_jwt_with_signer(client_id: impl Into<String>, signer: impl Signer + 'static) -> SignerJwt {
        SignerJwt(Signed::new(client_id, Key::Elsewhere(Arc::new(signer))))
    }

    /// `client_secret_jwt` (OpenID Connect Core 1.0 section 9): signed with the client's secret, which is not sent. HS256 unless
    /// [`algorithm`](ClientSecretJwt::algorithm) says otherwise; the secret should be as long as the hash, 32 bytes for HS256
    /// (RFC 7518 section 3.2).
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    ///
    /// let secret = Credential::file("/run/secrets/client-secret");
    /// let auth = ClientAuth::client_secret_jwt("billing", secret)
    ///     .audience("https://auth.example.com");
    /// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth).build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn client_secret_jwt(client_id: impl Into<String>, secret: impl Into<Credential>) -> ClientSecretJwt {
        ClientSecretJwt(Signed::new(client_id, Key::Shared(secret.into())))
    }
}

impl Signed {
    fn new(client_id: impl Into<String>, key: Key) -> Self {
        Signed { client_id: client_id.into(), assertions: Assertions::new(key) }
    }
}

/// Setters that all three have.
macro_rules! common_setters {
    ($($method:ident),*) => {$(
        impl $method {
            /// `aud`, instead of the issuer: the token endpoint for Entra ID and older servers; the issuer where the builder was
            /// given a token endpoint.
            pub fn audience(mut self, audience: impl Into<String>) -> Self {
                self.0.assertions.audience = Audience::Given(audience.into());
                self
            }

            /// `aud` is the token endpoint that the request goes to, as the server's metadata name it: for servers that compare it
            /// with that (Glewlwyd, older versions of others). Default: false, the issuer.
            pub fn token_endpoint_as_audience(mut self, yes: bool) -> Self {
                self.0.assertions.audience = if yes { Audience::TokenEndpoint } else { Audience::Issuer };
                self
            }

            /// A further claim. Those that RFC 7523 section 3 defines have setters of their own, and are refused here.
            pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                self.0.assertions.claims.insert(name.into(), value.into());
                self
            }

            /// A further member of the header: `jku`, `x5u`, `x5t`, .. (RFC 7515 section 4.1). `alg`, `kid`, `typ` and `x5t#S256`
            /// follow from the key or have setters of their own, and are refused here.
            pub fn header_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                self.0.assertions.header.insert(name.into(), value.into());
                self
            }

            /// How long an assertion is valid, in whole seconds up to 1 h. Default: 60 s.
            pub fn lifetime(mut self, lifetime: Duration) -> Self {
                self.0.assertions.lifetime = lifetime;
                self
            }

            /// `typ` of the header. Default: `client-authentication+jwt` (draft-ietf-oauth-rfc7523bis); Entra ID wants `JWT`.
            /// Empty: none.
            pub fn typ(mut self, typ: impl Into<String>) -> Self {
                self.0.assertions.typ = typ.into();
                self
            }

            /// Adds `nbf`, the same instant as `iat`. Default: false, since a server whose clock is a second behind would refuse
            /// it.
            pub fn not_before(mut self, add: bool) -> Self {
                self.0.assertions.not_before = add;
                self
            }

            /// Corrects `iat` and `exp` by the `Date` of the server's last response, for machines whose clock is wrong. Default:
            /// false, since a proxy or cache on the way may send an old date.
            ///
            /// The first assertion knows no date yet: if it is refused, the next fetch has the right time. A clock before the
            /// year 2000 is not corrected from nothing: it is an error until it is set. The proofs of DPoP are not corrected:
            /// they are also checked by APIs, whose clocks are unknown.
            pub fn server_time(mut self, correct: bool) -> Self {
                self.0.assertions.server_clock = correct.then(Arc::<ServerClock>::default);
                self
            }
        }

        impl From<$method> for ClientAuth {
            fn from(method: $method) -> Self {
                let Signed { client_id, assertions } = method.0;
                ClientAuth::new(client_id, Method::Jwt(Box::new(assertions)))
            }
        }

        impl fmt::Debug for $method {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_struct(stringify!($method));
                out.field("client_id", &self.0.client_id);
                self.0.assertions.describe(&mut out);
                out.finish()
            }
        }
    )*};
}
common_setters!(ClientSecretJwt, PrivateKeyJwt, SignerJwt);

impl ClientSecretJwt {
    /// Signs with this algorithm instead of HS256.
    pub fn algorithm(mut self, algorithm: SigningAlgorithm) -> Self {
        self.0.assertions.choice.wanted = Some(algorithm);
        self
    }
}

impl PrivateKeyJwt {
    /// Signs with this algorithm instead of the one that follows from the key.
    pub fn algorithm(mut self, algorithm: SigningAlgorithm) -> Self {
        self.0.assertions.choice.wanted = Some(algorithm);
        self.forget()
    }

    /// `kid`: which of the client's registered keys it is. Takes precedence over a JWK's `kid`.
    ///
    /// A key that is rotated together with its `kid` should be a JWK, which has both.
    pub fn key_id(mut self, key_id: impl Into<String>) -> Self {
        self.0.assertions.key_id = Some(key_id.into());
        self
    }

    /// `x5t#S256` (RFC 7515 section 4.1.8): the thumbprint of this certificate (PEM), by which Entra ID finds the key.
    ///
    /// It is read again together with the key, and must belong to it: of several in the text, the one that does is taken. The
    /// text may be the same that has the key.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    ///
    /// let endpoint = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    /// let pem = Credential::file("/run/secrets/entra.pem"); // key and certificate
    /// let id = "5d1a3c5e-4b0f-4a53-a7c0-30b1f6ae9ed0";
    /// let auth = ClientAuth::private_key_jwt(id, pem.clone())
    ///     .certificate(pem)
    ///     .audience(endpoint)
    ///     .typ("JWT");
    /// ClientCredentials::builder(endpoint, auth)
    ///     .client_id_in_body(true)
    ///     .scope("https://graph.microsoft.com/.default")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn certificate(mut self, certificate: impl Into<Credential>) -> Self {
        self.0.assertions.certificate = Some(certificate.into());
        self.forget()
    }

    /// Sends the [`certificate`](Self::certificate) itself as `x5c` (RFC 7515 section 4.1.6), with those that follow it in its text:
    /// for servers that know the CA instead of the key. Default: false.
    pub fn x5c(mut self, send: bool) -> Self {
        self.0.assertions.x5c = send;
        self
    }

    fn forget(mut self) -> Self {
        self.0.assertions.forget();
        self
    }
}

impl SignerJwt {
    /// Sends the [`certificate`](Self::certificate) itself as `x5c` (RFC 7515 section 4.1.6), with those that follow it in its text:
    /// for servers that know the CA instead of the key. Default: false.
    pub fn x5c(mut self, send: bool) -> Self {
        self.0.assertions.x5c = send;
        self
    }

    /// `x5t#S256` (RFC 7515 section 4.1.8): the thumbprint of this certificate (PEM).
    pub fn certificate(mut self, certificate: impl Into<Credential>) -> Self {
        self.0.assertions.certificate = Some(certificate.into());
        self
    }
}

impl ClientAuth {
    /// What FAPI 2.0 has against the assertions; section 5.4.1 of the Security Profile names the algorithms.
    pub(crate) fn fapi_flaw(&self) -> Option<String> {
        let Method::Jwt(all) = &self.method else { return None };
        all.fapi_flaw()
    }

    /// Keys sign with the algorithms of FAPI 2.0, or not at all.
    pub(crate) fn with_fapi(mut self, fapi: bool) -> Self {
        if let Method::Jwt(all) = &mut self.method {
            all.choice.fapi = fapi;
            all.forget();
        }
        self
    }

    /// The server answered: its `Date` is heard by those who asked for it.
    pub(crate) fn server_clock(&self) -> Option<&ServerClock> {
        match &self.method {
            Method::Jwt(all) => all.server_clock.as_deref(),
            _ => None,
        }
    }
}
