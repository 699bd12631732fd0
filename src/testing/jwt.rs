//! Signed access tokens (RFC 9068), and assertions of clients (RFC 7523).

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::authentication::{Known, json_of};
use super::register::Issued;
use super::world::State;
use crate::signing::{PublicJwk, SigningKey, jws};

/// The key that access tokens are signed with.
pub(super) struct TokenKey {
    key: SigningKey,
    public: PublicJwk,
}

impl TokenKey {
    /// `None`: the system has no random numbers.
    pub(super) fn generate() -> Option<Self> {
        let key = SigningKey::generate()?;
        let public = key.public_jwk()?;
        Some(TokenKey { key, public })
    }

    pub(super) fn public_members(&self) -> Map<String, Value> {
        let mut members = self.public.members();
        for (name, value) in [("alg", "ES256"), ("use", "sig"), ("kid", &self.public.thumbprint())] {
            members.insert(name.to_owned(), value.into());
        }
        members
    }

    /// RFC 9068 section 2. `now` is since the Unix epoch.
    pub(super) fn access_token(
        &self,
        issuer: &str,
        issued: &Issued,
        now: Duration,
        lifetime: Option<Duration>,
    ) -> Option<String> {
        let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": self.public.thumbprint()});
        let mut claims = json!({
            "iss": issuer,
            "sub": issued.client,
            "client_id": issued.client,
            "aud": issued.audience,
            "iat": now.as_secs(),
            "jti": format!("{:032x}", fastrand::u128(..)),
        });
        let members = claims.as_object_mut()?;
        let mut set = |name: &str, value: Value| {
            members.insert(name.to_owned(), value);
        };
        if let Some(lifetime) = lifetime {
            set("exp", now.saturating_add(lifetime).as_secs().into());
        }
        if !issued.scope.is_empty() {
            set("scope", issued.scope.clone().into());
        }
        // RFC 9449 section 6.1, RFC 8705 section 3.1.
        match (&issued.holder.key, &issued.holder.certificate) {
            (Some(thumbprint), _) => set("cnf", json!({"jkt": thumbprint})),
            (None, Some(certificate)) => set("cnf", json!({"x5t#S256": jws::hash(certificate)})),
            (None, None) => {}
        }
        let message = jws::signing_input(&jws::header(header.as_object()?.clone()), &claims);
        let signature = self.key.signature(message.as_bytes())?;
        Some(jws::compact(message, &signature).to_string())
    }
}

/// What is wrong with an assertion of the client `id` (RFC 7523 section 3).
pub(super) fn assertion_flaw(assertion: &str, id: &str, state: &mut State) -> Option<&'static str> {
    let Some((claims, algorithm, message, signature)) = parts(assertion) else {
        return Some("the assertion is not a JWT");
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(id) || text("sub") != Some(id) {
        return Some("iss and sub of the assertion are not the client");
    }
    let is_ours =
        |audience: &Value| audience.as_str().is_some_and(|audience| state.audiences.iter().any(|one| one == audience));
    let addressed = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !addressed {
        return Some("aud of the assertion is neither the issuer nor the token endpoint");
    }
    let now = state.clock.now().wall().as_secs();
    if claims.get("exp").and_then(Value::as_u64).is_none_or(|end| end <= now) {
        return Some("the assertion has expired (exp)");
    }
    let verified = match state.client(id).map(|client| &client.credential) {
        Some(Known::Secret(secret)) => by_secret(&algorithm, secret, message, &signature),
        Some(Known::Key(key)) => by_key(&algorithm, key, message, &signature),
        Some(Known::Public) | None => return Some("this client has neither a secret nor a key"),
    };
    if !verified {
        return Some("the signature of the assertion is not the client's");
    }
    let fresh = text("jti").is_some_and(|jti| state.assertions.insert(format!("{id} {jti}")));
    (!fresh).then_some("the assertion was used before, or has no jti")
}

/// Claims, algorithm, signing input and signature.
pub(super) fn parts(jwt: &str) -> Option<(Value, String, &str, Vec<u8>)> {
    let (message, signature) = jwt.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let algorithm = json_of(header)?.get("alg")?.as_str()?.to_owned();
    Some((json_of(claims)?, algorithm, message, URL_SAFE_NO_PAD.decode(signature).ok()?))
}

fn by_secret(algorithm: &str, secret: &str, message: &str, signature: &[u8]) -> bool {
    let algorithm = match algorithm {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => return false,
    };
    hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), message.as_bytes(), signature).is_ok()
}

/// Whether it was signed with this key.
pub(super) fn by_key(algorithm: &str, key: &PublicJwk, message: &str, signature: &[u8]) -> bool {
    let members = key.members();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(members.get(name)?.as_str()?).ok();
    let verified = |algorithm: &'static dyn VerificationAlgorithm, public: &[u8]| {
        UnparsedPublicKey::new(algorithm, public).verify(message.as_bytes(), signature).is_ok()
    };
    let on_curve = |algorithm| match (bytes("x"), bytes("y")) {
        (Some(x), Some(y)) => verified(algorithm, &[&[4], x.as_slice(), &y].concat()),
        _ => false,
    };
    let rsa = |algorithm| match (bytes("n"), bytes("e")) {
        (Some(n), Some(e)) => RsaPublicKeyComponents { n, e }.verify(algorithm, message.as_bytes(), signature).is_ok(),
        _ => false,
    };
    let curve = members.get("crv").and_then(Value::as_str);
    match (algorithm, curve) {
        ("ES256", Some("P-256")) => on_curve(&signature::ECDSA_P256_SHA256_FIXED),
        ("ES384", Some("P-384")) => on_curve(&signature::ECDSA_P384_SHA384_FIXED),
        ("ES512", Some("P-521")) => on_curve(&signature::ECDSA_P521_SHA512_FIXED),
        ("EdDSA" | "Ed25519", Some("Ed25519")) => bytes("x").is_some_and(|x| verified(&signature::ED25519, &x)),
        ("RS256", None) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        ("RS384", None) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        ("RS512", None) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        ("PS256", None) => rsa(&signature::RSA_PSS_2048_8192_SHA256),
        ("PS384", None) => rsa(&signature::RSA_PSS_2048_8192_SHA384),
        ("PS512", None) => rsa(&signature::RSA_PSS_2048_8192_SHA512),
        _ => false,
    }
}
