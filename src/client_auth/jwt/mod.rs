//! The client signs an assertion about itself (RFC 7521, RFC 7523, RFC 10070).

mod assertion;
mod identity;
mod server_clock;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use assertion::Assertions;
use assertion::{AssertionKey, Audience};
pub(crate) use identity::Identity;
use server_clock::ServerClock;

use serde_json::Value;

use super::{ClientAuth, Method};
use crate::credential::Credential;
use crate::signing::{Signer, SigningAlgorithm};

/// The method `client_secret_jwt`, from [`ClientAuth::client_secret_jwt`].
#[derive(Clone)]
#[must_use = "a method does nothing before it is given to a builder"]
pub struct ClientSecretJwt(Signed);

/// The method `private_key_jwt`, from [`ClientAuth::private_key_jwt`].
#[derive(Clone)]
#[must_use = "a method does nothing before it is given to a builder"]
pub struct PrivateKeyJwt(Signed);

/// The method `private_key_jwt` with a [`Signer`], from [`ClientAuth::private_key_jwt_with_signer`]. The signer determines
/// algorithm and key id.
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
/// Instead of a secret, each attempt sends a new JSON Web Token that identifies the client and its audience: `iss` and `sub`
/// are the client id, `aud` is the issuer (as a string), `jti` is random, `iat` is the current time, and `exp` is a minute
/// later. If the builder is given a token endpoint instead of an [`Issuer`](crate::Issuer), the audience must be set on the
/// method.
impl ClientAuth {
    /// Uses `private_key_jwt` (OpenID Connect Core 1.0 section 9), signed with a private key in PEM or JWK format.
    ///
    /// The key is PEM (PKCS#8, PKCS#1 or SEC1; the text may also contain certificates, but no second key) or a JWK: RSA of
    /// 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519. The key determines the algorithm (RS256, ES256, ES384, ES512, EdDSA)
    /// unless the JWK has `alg` or [`algorithm`](PrivateKeyJwt::algorithm) is set. The `kid` of a JWK is sent. A rotated key is
    /// used from the next attempt on. While the new text is not a usable key, the previous key stays in use.
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
    /// `build()` reports a value or variable that is not a key, or whose key does not fit the algorithm. In a file, either is
    /// an error of kind [`Credential`](crate::ErrorKind::Credential) when it is read.
    pub fn private_key_jwt(client_id: impl Into<String>, key: impl Into<Credential>) -> PrivateKeyJwt {
        PrivateKeyJwt(Signed::new(client_id, AssertionKey::Private(key.into(), Arc::default())))
    }

    /// Uses `private_key_jwt` with a key that stays in a KMS or HSM.
    pub fn private_key_jwt_with_signer(client_id: impl Into<String>, signer: impl Signer + 'static) -> SignerJwt {
        SignerJwt(Signed::new(client_id, AssertionKey::Elsewhere(Arc::new(signer))))
    }

    /// Uses `client_secret_jwt` (OpenID Connect Core 1.0 section 9), signed with the client's secret, which is not sent.
    /// Default algorithm: HS256; [`algorithm`](ClientSecretJwt::algorithm) sets another. The secret should be as long as the
    /// hash, 32 bytes for HS256 (RFC 7518 section 3.2).
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    ///
    /// let secret = Credential::file("/run/secrets/client-secret");
    /// let auth = ClientAuth::client_secret_jwt("billing", secret)
    ///     .audience("https://auth.example.com");
    /// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth)
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn client_secret_jwt(client_id: impl Into<String>, secret: impl Into<Credential>) -> ClientSecretJwt {
        ClientSecretJwt(Signed::new(client_id, AssertionKey::Shared(secret.into())))
    }
}

impl Signed {
    fn new(client_id: impl Into<String>, key: AssertionKey) -> Self {
        Signed { client_id: client_id.into(), assertions: Assertions::new(key) }
    }
}

/// The setters of all three methods.
macro_rules! common_setters {
    ($($method:ident),*) => {$(
        impl $method {
            /// Sets `aud`. Default: the issuer. Entra ID and older servers require the token endpoint. If the builder is given
            /// a token endpoint, set the issuer here.
            pub fn audience(mut self, audience: impl Into<String>) -> Self {
                self.0.assertions.audience = Audience::Given(audience.into());
                self
            }

            /// Sets `aud` to the token endpoint as the server's metadata names it, for servers that require that (Glewlwyd,
            /// older versions of other servers). Default: false (the issuer).
            pub fn token_endpoint_as_audience(mut self, yes: bool) -> Self {
                self.0.assertions.audience = if yes { Audience::TokenEndpoint } else { Audience::Issuer };
                self
            }

            /// Adds a claim. Claims that RFC 7523 section 3 defines are refused here: they have their own setters or follow
            /// from the client.
            pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                self.0.assertions.claims.insert(name.into(), value.into());
                self
            }

            /// Adds a member to the header: `jku`, `x5u`, `x5t`, .. (RFC 7515 section 4.1). `alg`, `kid`, `typ` and `x5t#S256`
            /// are refused here: they follow from the key or have their own setters.
            pub fn header_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                self.0.assertions.header.insert(name.into(), value.into());
                self
            }

            /// Sets how long an assertion is valid, in whole seconds up to 1 h. Default: 60 s.
            pub fn lifetime(mut self, lifetime: Duration) -> Self {
                self.0.assertions.lifetime = lifetime;
                self
            }

            /// Sets `typ` in the header; an empty value omits it. Default: `client-authentication+jwt`
            /// (RFC 10070 section 4). Entra ID requires `JWT`.
            pub fn typ(mut self, typ: impl Into<String>) -> Self {
                self.0.assertions.typ = typ.into();
                self
            }

            /// Adds `nbf`, with the value of `iat`. Default: false, because a server whose clock is a second behind would
            /// refuse it.
            pub fn not_before(mut self, add: bool) -> Self {
                self.0.assertions.not_before = add;
                self
            }

            /// Corrects `iat` and `exp` by the `Date` of the server's last response, for machines whose clock is wrong.
            /// Default: false, because a proxy or cache may send an old date.
            ///
            /// The first assertion cannot be corrected yet; if it is refused, the next fetch uses the right time. A clock
            /// before the year 2000 is an error until it is set. DPoP proofs are not corrected: APIs check them, too, and
            /// their clocks are unknown.
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

    /// Sets `kid`, which identifies the key among the client's registered keys. Takes precedence over a JWK's `kid`.
    ///
    /// To rotate a key together with its `kid`, use a JWK, which contains both.
    pub fn key_id(mut self, key_id: impl Into<String>) -> Self {
        self.0.assertions.key_id = Some(key_id.into());
        self
    }

    /// Sends `x5t#S256` (RFC 7515 section 4.1.8), the thumbprint of this certificate (PEM), by which Entra ID finds the key.
    ///
    /// The certificate is read again together with the key and must belong to it; if the text has several, the matching one is
    /// used. The key may be in the same text.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    ///
    /// let endpoint =
    ///     "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
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

    /// Also sends the [`certificate`](Self::certificate) itself and those that follow it in its text as `x5c` (RFC 7515
    /// section 4.1.6), for servers that trust the CA instead of a registered key. Default: false.
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
    /// Also sends the [`certificate`](Self::certificate) itself and those that follow it in its text as `x5c` (RFC 7515
    /// section 4.1.6), for servers that trust the CA instead of a registered key. Default: false.
    pub fn x5c(mut self, send: bool) -> Self {
        self.0.assertions.x5c = send;
        self
    }

    /// Sends `x5t#S256` (RFC 7515 section 4.1.8), the thumbprint of this certificate (PEM).
    pub fn certificate(mut self, certificate: impl Into<Credential>) -> Self {
        self.0.assertions.certificate = Some(certificate.into());
        self
    }
}

impl ClientAuth {
    /// How the assertions violate FAPI 2.0; section 5.4.1 of the Security Profile lists the algorithms.
    pub(crate) fn fapi_flaws(&self) -> Vec<String> {
        match &self.method {
            Method::Jwt(all) => all.fapi_flaws(),
            _ => Vec::new(),
        }
    }

    /// Restricts keys to the algorithms of FAPI 2.0.
    pub(crate) fn with_fapi(mut self, fapi: bool) -> Self {
        if let Method::Jwt(all) = &mut self.method {
            all.choice.fapi = fapi;
            all.forget();
        }
        self
    }

    /// The clock of the server, if `server_time` is set.
    pub(crate) fn server_clock(&self) -> Option<&ServerClock> {
        match &self.method {
            Method::Jwt(all) => all.server_clock.as_deref(),
            _ => None,
        }
    }
}
