//! The client signs an assertion about itself (RFC 7521, RFC 7523, draft-ietf-oauth-rfc7523bis).

mod assertion;
mod identity;
mod server_clock;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use assertion::Assertions;
use assertion::Key;
use identity::Identities;
pub(crate) use identity::Identity;
use server_clock::ServerClock;

use super::{ClientAuth, Credential, Method};
use crate::signing::{Signer, SigningAlgorithm};

/// # Signed assertions (feature `jwt`)
///
/// What is sent instead of a secret is a JSON Web Token that says who the client is, to whom it is addressed, and is
/// good for one attempt: `iss` and `sub` are the client id, `aud` is the issuer (as a string), `jti` is random, `iat`
/// is now, `exp` a minute later. `build()` needs the audience: [`issuer`](crate::ClientCredentialsBuilder::issuer) on
/// the builder, or [`assertion_audience`](Self::assertion_audience) here.
///
/// The setters below apply to the constructors here; of other methods, or where a signer decides by itself, `build()`
/// refuses them.
impl ClientAuth {
    /// `private_key_jwt` (OpenID Connect Core 1.0 section 9): signed with a private key that is at hand as text.
    ///
    /// The key is PEM (PKCS#8, PKCS#1 or SEC1; certificates may stand beside it) or a JWK: RSA of 2048 to 8192 bits,
    /// P-256, P-384, P-521 or Ed25519. The algorithm follows from it (RS256, ES256, ES384, ES512, EdDSA) unless the JWK
    /// has `alg`, or [`algorithm`](Self::algorithm) says otherwise; the `kid` of a JWK is sent. A rotated key is picked
    /// up for the next attempt. While the new text is not a usable key, the previous key stays in use.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let auth = ClientAuth::private_key_jwt("billing", Credential::file("/run/secrets/key.pem")).key_id("2026-11");
    /// let tokens = ClientCredentials::builder("https://auth.example.com/oauth2/token", auth)
    ///     .issuer("https://auth.example.com")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A value or variable that is no key, or a key that does not fit the algorithm, is a fault that `build()`
    /// reports. In a file it is an error of kind [`Credential`](crate::ErrorKind::Credential) when it is read.
    pub fn private_key_jwt(client_id: impl Into<String>, key: impl Into<Credential>) -> Self {
        ClientAuth::assertions(client_id, Key::Private(key.into(), Identities::default()))
    }

    /// `private_key_jwt` with a key that stays in a KMS or an HSM.
    pub fn private_key_jwt_with_signer(client_id: impl Into<String>, signer: impl Signer + 'static) -> Self {
        ClientAuth::assertions(client_id, Key::Elsewhere(Arc::new(signer)))
    }

    /// `client_secret_jwt` (OpenID Connect Core 1.0 section 9): signed with the client's secret, which does not travel.
    /// HS256 unless [`algorithm`](Self::algorithm) says otherwise; the secret should be as long as the hash, 32 bytes
    /// for HS256 (RFC 7518 section 3.2).
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let auth = ClientAuth::client_secret_jwt("billing", Credential::file("/run/secrets/client-secret"));
    /// let tokens = ClientCredentials::builder("https://auth.example.com/oauth2/token", auth)
    ///     .issuer("https://auth.example.com")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn client_secret_jwt(client_id: impl Into<String>, secret: impl Into<Credential>) -> Self {
        ClientAuth::assertions(client_id, Key::Shared(secret.into()))
    }

    /// Signs with this algorithm instead of the one that follows from the key.
    #[must_use = "a setter returns what it was called on"]
    pub fn algorithm(self, algorithm: SigningAlgorithm) -> Self {
        self.set("algorithm", |all| {
            all.algorithm = Some(algorithm);
            !matches!(all.key, Key::Elsewhere(_))
        })
    }

    /// `kid`: which of the client's registered keys it is. Stronger than the `kid` of a JWK.
    ///
    /// A key that is rotated together with its `kid` should be a JWK, which has both.
    #[must_use = "a setter returns what it was called on"]
    pub fn key_id(self, key_id: impl Into<String>) -> Self {
        self.set("key_id", |all| {
            all.key_id = Some(key_id.into());
            !matches!(all.key, Key::Elsewhere(_))
        })
    }

    /// `x5t#S256` (RFC 7515 section 4.1.8): the thumbprint of this certificate (PEM), by which Entra ID finds the key.
    ///
    /// It is read anew together with the key, and has to belong to it: of several in the text, the one that does is
    /// taken. The text may be the same that has the key.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let endpoint = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    /// let pem = Credential::file("/run/secrets/entra.pem"); // key and certificate
    /// let auth = ClientAuth::private_key_jwt("5d1a3c5e-4b0f-4a53-a7c0-30b1f6ae9ed0", pem.clone())
    ///     .certificate(pem)
    ///     .assertion_audience(endpoint)
    ///     .assertion_typ("JWT");
    /// let builder = ClientCredentials::builder(endpoint, auth).client_id_in_body();
    /// builder.scope("https://graph.microsoft.com/.default").build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    #[must_use = "a setter returns what it was called on"]
    pub fn certificate(self, certificate: impl Into<Credential>) -> Self {
        self.set("certificate", |all| {
            all.certificate = Some(certificate.into());
            !matches!(all.key, Key::Shared(_))
        })
    }

    /// `aud`, instead of the issuer: the token endpoint for Entra ID and older servers.
    #[must_use = "a setter returns what it was called on"]
    pub fn assertion_audience(self, audience: impl Into<String>) -> Self {
        self.set("assertion_audience", |all| {
            all.audience = Some(audience.into());
            true
        })
    }

    /// How long an assertion is good, in whole seconds up to 1 h. Default: 60 s.
    #[must_use = "a setter returns what it was called on"]
    pub fn assertion_lifetime(self, lifetime: Duration) -> Self {
        self.set("assertion_lifetime", |all| {
            all.lifetime = lifetime;
            true
        })
    }

    /// `typ` of the header. Default: `client-authentication+jwt` (draft-ietf-oauth-rfc7523bis); Entra ID wants `JWT`.
    /// Empty: none.
    #[must_use = "a setter returns what it was called on"]
    pub fn assertion_typ(self, typ: impl Into<String>) -> Self {
        self.set("assertion_typ", |all| {
            all.typ = typ.into();
            true
        })
    }

    /// Adds `nbf`, the same instant as `iat`. Left out by default: a server whose clock is a second behind would
    /// refuse it.
    #[must_use = "a setter returns what it was called on"]
    pub fn assertion_not_before(self) -> Self {
        self.set("assertion_not_before", |all| {
            all.not_before = true;
            true
        })
    }

    /// Corrects `iat` and `exp` by the `Date` of the server's last response, for machines whose clock is wrong.
    ///
    /// The first assertion knows no date yet: if it is refused, the next flight has the right time. Off by default,
    /// since a proxy or cache in between may send an old date. A clock before the year 2000 is not corrected from
    /// nothing: it is an error until it is set. The proofs of DPoP are not corrected: they are read by APIs as well, whose
    /// time nobody told.
    #[must_use = "a setter returns what it was called on"]
    pub fn assertion_time_by_server(self) -> Self {
        self.set("assertion_time_by_server", |all| {
            all.server_clock = Some(Arc::<ServerClock>::default());
            true
        })
    }

    fn assertions(client_id: impl Into<String>, key: Key) -> Self {
        ClientAuth::new(client_id, Method::Jwt(Box::new(Assertions::new(key))))
    }

    /// `apply` tells whether the setting belongs to the key.
    fn set(mut self, setter: &'static str, apply: impl FnOnce(&mut Assertions) -> bool) -> Self {
        let applies = match &mut self.method {
            Method::Jwt(all) => {
                // What clones have parsed was parsed for their settings.
                if let Key::Private(_, identities) = &mut all.key {
                    *identities = Identities::default();
                }
                apply(all)
            }
            _ => false,
        };
        if !applies {
            self.misplaced.push(setter);
        }
        self
    }

    /// Whether it cannot do without the issuer's name: for the audience of assertions that have none of their own.
    pub(crate) fn needs_issuer(&self) -> bool {
        matches!(&self.method, Method::Jwt(all) if all.audience.is_none())
    }

    /// The server answered: its `Date` is heard by those who asked for it.
    pub(crate) fn server_clock(&self) -> Option<&ServerClock> {
        match &self.method {
            Method::Jwt(all) => all.server_clock.as_deref(),
            _ => None,
        }
    }
}
