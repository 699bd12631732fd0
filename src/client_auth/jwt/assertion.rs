//! The assertion: a JSON Web Token that the client signs (RFC 7523 sections 2.2 and 3, RFC 10070).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::identity::{self, Certificate, Identity};
use super::server_clock::ServerClock;
use crate::client_auth::{Evidence, Recipient};
use crate::clock::Moment;
use crate::credential::{Credential, LastGood};
use crate::error::Error;
use crate::signing::{Choice, Signer, SigningAlgorithm, SigningKey, jws, signature};

/// The settings of assertions.
#[derive(Clone)]
pub(crate) struct Assertions {
    pub(super) key: AssertionKey,
    pub(super) choice: Choice,
    pub(super) key_id: Option<String>,
    pub(super) certificate: Option<Credential>,
    pub(super) audience: Audience,
    /// 60 s: long enough for a slow attempt, and not too long for servers that follow FAPI.
    pub(super) lifetime: Duration,
    /// RFC 10070 section 4: distinguishes assertions from other JWTs.
    pub(super) typ: String,
    pub(super) not_before: bool,
    /// Additional claims.
    pub(super) claims: Map<String, Value>,
    pub(super) header: Map<String, Value>,
    /// Whether the certificate itself is sent, with its chain.
    pub(super) x5c: bool,
    pub(super) server_clock: Option<Arc<ServerClock>>,
}

/// `aud`.
#[derive(Clone, Debug)]
pub(super) enum Audience {
    Issuer,
    TokenEndpoint,
    Given(String),
}

#[derive(Clone)]
pub(super) enum AssertionKey {
    Shared(Credential),
    Private(Credential, Arc<LastGood<Identity>>),
    Elsewhere(Arc<dyn Signer>),
}

/// Okta's limit. Entra ID accepts 10 min, others 5.
const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);

impl Assertions {
    pub(super) fn new(key: AssertionKey) -> Self {
        Assertions {
            key,
            choice: Choice::default(),
            key_id: None,
            certificate: None,
            audience: Audience::Issuer,
            lifetime: Duration::from_secs(60),
            typ: "client-authentication+jwt".to_owned(),
            not_before: false,
            claims: Map::new(),
            header: Map::new(),
            x5c: false,
            server_clock: None,
        }
    }

    /// Forgets parsed keys: clones have parsed them for their own settings.
    pub(super) fn forget(&mut self) {
        if let AssertionKey::Private(_, identities) = &mut self.key {
            *identities = Arc::default();
        }
    }

    /// The name in the IANA registry.
    pub(crate) fn name(&self) -> &'static str {
        match self.key {
            AssertionKey::Shared(_) => "client_secret_jwt",
            AssertionKey::Private(..) | AssertionKey::Elsewhere(_) => "private_key_jwt",
        }
    }

    /// All credentials that are read.
    pub(crate) fn credentials(&self) -> Vec<&Credential> {
        let key = match &self.key {
            AssertionKey::Shared(credential) | AssertionKey::Private(credential, _) => Some(credential),
            AssertionKey::Elsewhere(_) => None,
        };
        key.into_iter().chain(&self.certificate).collect()
    }

    pub(crate) fn faults(&self, names_issuer: bool) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        match &self.audience {
            Audience::Given(audience) if audience.is_empty() => faults.push(("audience", "is empty".to_owned())),
            Audience::Issuer if !names_issuer => faults.push((
                "audience",
                "is missing: the assertion is addressed to the authorization server; give its issuer (or, for Entra ID and older \
                 servers, its token endpoint) by .audience(..) on the method, or Issuer::new(..) instead of the token endpoint"
                    .to_owned(),
            )),
            _ => {}
        }
        match (&self.key, self.choice.wanted) {
            (AssertionKey::Shared(_), Some(algorithm)) if !algorithm.is_symmetric() => faults.push((
                "algorithm",
                format!("{algorithm} needs a private key, and client_secret_jwt has a shared secret: HS256, HS384 or HS512"),
            )),
            (AssertionKey::Private(..), Some(algorithm)) if algorithm.is_symmetric() => faults.push((
                "algorithm",
                format!("{algorithm} needs a shared secret, and private_key_jwt has a private key: client_secret_jwt is the method for it"),
            )),
            (AssertionKey::Shared(secret), _) => {
                faults.extend(secret.fault_or_empty().map(|flaw| ("client_secret", flaw)));
            }
            (AssertionKey::Private(key, _), _) => {
                let flaw = key.fault_by(|text| SigningKey::parse(text, self.choice).err());
                faults.extend(flaw.map(|flaw| ("key", flaw)));
            }
            (AssertionKey::Elsewhere(signer), _) if signer.algorithm().is_symmetric() => faults.push((
                "signer",
                format!("has the algorithm {}, which needs a shared secret", signer.algorithm()),
            )),
            (AssertionKey::Elsewhere(_), _) => {}
        }
        if let Some(certificate) = &self.certificate {
            let flaw = certificate.fault_by(identity::certificate_flaw);
            faults.extend(flaw.map(|flaw| ("certificate", flaw)));
        }
        if self.x5c && self.certificate.is_none() {
            faults.push(("x5c", "has no certificate to send: set one with .certificate(..)".to_owned()));
        }
        // Members that the crate sets itself.
        for (setter, members, ours) in [
            ("claim", &self.claims, ["iss", "sub", "aud", "jti", "iat", "exp", "nbf"].as_slice()),
            ("header_member", &self.header, ["alg", "kid", "typ", "x5t#S256", "b64", "crit"].as_slice()),
        ] {
            for name in members.keys().filter(|name| ours.contains(&name.as_str())) {
                faults.push((
                    setter,
                    format!("cannot set {name:?}, which has a setter of its own or follows from the client"),
                ));
            }
        }
        if self.x5c && self.header.contains_key("x5c") {
            faults.push(("header_member", "sets \"x5c\", and .x5c(true) does too".to_owned()));
        }
        if self.key_id.as_ref().is_some_and(String::is_empty) {
            faults.push(("key_id", "is empty".to_owned()));
        }
        if self.lifetime < Duration::from_secs(1) || self.lifetime > LONGEST_LIFETIME {
            let flaw = "is not between 1 s and 1 h (Entra ID takes up to 10 min, others 5)";
            faults.push(("lifetime", flaw.to_owned()));
        }
        faults
    }

    pub(crate) fn fapi_flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        if !matches!(self.audience, Audience::Issuer) {
            let flaw = "requires the issuer as the audience of assertions: leave .audience(..) out, and use Issuer";
            flaws.push(flaw.to_owned());
        }
        // For a key that is read later, parsing reports it.
        let algorithm = match &self.key {
            AssertionKey::Elsewhere(signer) => Some(signer.algorithm()),
            AssertionKey::Private(..) => self.choice.wanted,
            AssertionKey::Shared(_) => None,
        };
        let other = algorithm.filter(|algorithm| !algorithm.is_of_fapi());
        flaws.extend(other.map(|other| format!("requires PS256, ES256 or EdDSA instead of {other}")));
        flaws
    }

    pub(crate) async fn read(&self, place: usize) -> Result<Evidence, Error> {
        let certificate = self.certificate.as_ref();
        match &self.key {
            AssertionKey::Shared(secret) => secret.read(place).await.map(Evidence::Secret),
            AssertionKey::Private(key, known) => {
                Identity::read(key, known, place, certificate, self.choice).await.map(Evidence::Identity)
            }
            AssertionKey::Elsewhere(signer) => Identity::of(signer, place, certificate).await.map(Evidence::Identity),
        }
    }

    /// A new assertion with its own `jti` (RFC 7523 section 3, item 7).
    pub(crate) async fn make(
        &self,
        client_id: &str,
        evidence: &Evidence,
        to: Recipient<'_>,
        now: Moment,
    ) -> Result<SecretString, Error> {
        let claims = self.claims(client_id, to, now)?;
        let (message, signature) = match evidence {
            Evidence::Secret(secret) => {
                let algorithm = self.choice.wanted.unwrap_or(SigningAlgorithm::HS256);
                let message = self.message(algorithm, None, None, &claims);
                let key = hmac::Key::new(hmac(algorithm), secret.expose_secret().as_bytes());
                let tag = hmac::sign(&key, message.as_bytes());
                (message, tag.as_ref().to_vec())
            }
            Evidence::Identity(identity) => {
                let (key, certificate) = (&*identity.key, identity.certificate.as_ref());
                let message = self.message(key.algorithm(), key.key_id(), certificate, &claims);
                let signature = signature(key, message.as_bytes()).await?;
                (message, signature)
            }
            _ => return Err(Error::of_credential("the assertion could not be signed")),
        };
        Ok(jws::compact(message, &signature).as_str().into())
    }

    pub(crate) fn describe(&self, out: &mut fmt::DebugStruct<'_, '_>) {
        match &self.key {
            AssertionKey::Shared(secret) => out.field("client_secret", secret),
            AssertionKey::Private(key, _) => out.field("key", key),
            AssertionKey::Elsewhere(signer) => out.field("signer", signer),
        };
        if let Some(certificate) = &self.certificate {
            out.field("certificate", certificate);
        }
        out.field("audience", &self.audience);
    }

    /// RFC 7523 section 3.
    fn claims(&self, client_id: &str, to: Recipient<'_>, now: Moment) -> Result<Value, Error> {
        let now = match &self.server_clock {
            Some(server) => server.time(now),
            None => now.wall(),
        };
        let issued = jws::issued_at(now)?;
        let audience = match &self.audience {
            Audience::Issuer => to.issuer,
            Audience::TokenEndpoint => Some(to.token_endpoint),
            Audience::Given(audience) => Some(audience.as_str()),
        };
        let mut claims = json!({
            "iss": client_id,
            "sub": client_id,
            // A string: many servers refuse arrays.
            "aud": audience,
            "jti": jws::jti()?,
            "iat": issued,
            "exp": issued.saturating_add(self.lifetime.as_secs()),
        });
        if let Some(claims) = claims.as_object_mut() {
            if self.not_before {
                claims.insert("nbf".to_owned(), issued.into());
            }
            claims.extend(self.claims.clone());
        }
        Ok(claims)
    }

    fn message(
        &self,
        algorithm: SigningAlgorithm,
        key_id: Option<String>,
        certificate: Option<&Certificate>,
        claims: &Value,
    ) -> Zeroizing<String> {
        let mut header = Map::new();
        let mut add = |name: &str, value: Option<&str>| {
            header.extend(value.map(|value| (name.to_owned(), value.into())));
        };
        add("alg", Some(algorithm.name()));
        add("kid", self.key_id.as_deref().or(key_id.as_deref()));
        add("typ", Some(&self.typ).filter(|typ| !typ.is_empty()).map(String::as_str));
        add("x5t#S256", certificate.map(|certificate| certificate.thumbprint.as_str()));
        if let Some(certificate) = certificate.filter(|_| self.x5c) {
            header.insert("x5c".to_owned(), certificate.chain.clone().into());
        }
        header.extend(self.header.clone());
        jws::signing_input(&jws::header(header), claims)
    }
}

fn hmac(algorithm: SigningAlgorithm) -> hmac::Algorithm {
    match algorithm {
        SigningAlgorithm::HS384 => hmac::HMAC_SHA384,
        SigningAlgorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
