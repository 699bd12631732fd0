//! Signed access tokens (RFC 9068), and assertions of clients (RFC 7523).

use std::collections::HashSet;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::authentication::{Known, json_of};
use super::message::merged;
use super::register::Issued;
use super::world::{MOST_RECORDED, ServerState, World};
use crate::signing::{PublicJwk, SigningKey, jws};

/// The JWK of the key that access tokens are signed with.
pub(super) fn public_members(key: &SigningKey) -> Option<Map<String, Value>> {
    let public = key.public_jwk()?;
    let mut members = public.members();
    for (name, value) in [("alg", "ES256"), ("use", "sig"), ("kid", &public.thumbprint())] {
        members.insert(name.to_owned(), value.into());
    }
    Some(members)
}

/// RFC 9068 section 2.
pub(super) fn access_token(key: &SigningKey, issuer: &str, issued: &Issued, state: &ServerState) -> Option<String> {
    let now = state.clock.now().wall();
    let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": key.public_jwk()?.thumbprint()});
    let mut claims = json!({
        "iss": issuer,
        "sub": issued.client,
        "client_id": issued.client,
        "aud": issued.audience,
        "iat": now.as_secs(),
        "jti": format!("{:032x}", fastrand::u128(..)),
    });
    let optional = json!({
        "exp": state.lifetime.map(|lifetime| now.saturating_add(lifetime).as_secs()),
        "scope": Some(&issued.scope).filter(|scope| !scope.is_empty()),
        // RFC 9449 section 6.1, RFC 8705 section 3.1.
        "cnf": match (&issued.holder.key, &issued.holder.certificate) {
            (Some(thumbprint), _) => json!({"jkt": thumbprint}),
            (None, Some(certificate)) => json!({"x5t#S256": jws::hash(certificate)}),
            (None, None) => Value::Null,
        },
    });
    claims.as_object_mut()?.extend(merged(Map::new(), optional));
    let message = jws::signing_input(&jws::header(header.as_object()?.clone()), &claims);
    let signature = key.signature(message.as_bytes())?;
    Some(jws::compact(message, &signature).to_string())
}

/// What is wrong with an assertion of the client `id` (RFC 7523 section 3).
pub(super) fn assertion_flaw(
    assertion: &str,
    id: &str,
    world: &World,
    state: &mut ServerState,
) -> Option<&'static str> {
    let Some(jwt) = Jwt::of(assertion) else { return Some("the assertion is not a JWT") };
    if jwt.text("iss") != Some(id) || jwt.text("sub") != Some(id) {
        return Some("iss and sub of the assertion are not the client");
    }
    let is_ours = |audience: &Value| *audience == world.issuer || *audience == world.token_url;
    let addressed = match jwt.claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !addressed {
        return Some("aud of the assertion is neither the issuer nor the token endpoint");
    }
    let now = state.clock.now().wall().as_secs();
    if jwt.claims.get("exp").and_then(Value::as_u64).is_none_or(|end| end <= now) {
        return Some("the assertion has expired (exp)");
    }
    let verified = match state.clients.get(id) {
        Some(Known::Secret(secret)) => jwt.is_by_secret(secret),
        Some(Known::Key(key)) => jwt.is_by_key(key),
        Some(Known::Public) | None => return Some("this client has neither a secret nor a key"),
    };
    if !verified {
        return Some("the signature of the assertion is not the client's");
    }
    let fresh = jwt.text("jti").is_some_and(|jti| state.used.first(format!("assertion {id} {jti}")));
    (!fresh).then_some("the assertion was used before, or has no jti")
}

/// What JWTs were used: at least the last 10 000, as many as requests are recorded.
#[derive(Default)]
pub(super) struct Used {
    latest: HashSet<String>,
    before: HashSet<String>,
}

impl Used {
    /// Whether `id` was not used before.
    pub(super) fn first(&mut self, id: String) -> bool {
        if self.latest.len() >= MOST_RECORDED {
            self.before = std::mem::take(&mut self.latest);
        }
        !self.before.contains(&id) && self.latest.insert(id)
    }
}

/// A JWT that is not verified yet.
pub(super) struct Jwt<'a> {
    pub(super) header: Value,
    pub(super) claims: Value,
    message: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    pub(super) fn of(jwt: &'a str) -> Option<Self> {
        let (message, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let (header, claims, signature) = (json_of(header)?, json_of(claims)?, URL_SAFE_NO_PAD.decode(signature).ok()?);
        header.get("alg")?.as_str()?;
        Some(Jwt { header, claims, message: message.as_bytes(), signature })
    }

    /// A claim.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    fn is_by_secret(&self, secret: &str) -> bool {
        let algorithm = match self.algorithm() {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => return false,
        };
        hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), self.message, &self.signature).is_ok()
    }

    /// Whether it was signed with this key.
    pub(super) fn is_by_key(&self, key: &PublicJwk) -> bool {
        let members = key.members();
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(members.get(name)?.as_str()?).ok();
        let verified = |algorithm: &'static dyn VerificationAlgorithm, public: &[u8]| {
            UnparsedPublicKey::new(algorithm, public).verify(self.message, &self.signature).is_ok()
        };
        let on_curve = |algorithm| match (bytes("x"), bytes("y")) {
            (Some(x), Some(y)) => verified(algorithm, &[&[4], x.as_slice(), &y].concat()),
            _ => false,
        };
        let rsa = |algorithm| match (bytes("n"), bytes("e")) {
            (Some(n), Some(e)) => {
                RsaPublicKeyComponents { n, e }.verify(algorithm, self.message, &self.signature).is_ok()
            }
            _ => false,
        };
        let curve = members.get("crv").and_then(Value::as_str);
        match (self.algorithm(), curve) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_refused_for_as_long_as_requests_are_recorded_and_takes_bounded_memory() {
        let mut used = Used::default();
        for number in 0..5 * MOST_RECORDED {
            assert!(used.first(number.to_string()));
            assert!(!used.first(number.to_string()));
            assert!(!used.first(number.saturating_sub(MOST_RECORDED - 1).to_string()), "{number}");
            assert!(used.latest.len() + used.before.len() <= 2 * MOST_RECORDED);
        }
        assert!(used.first("0".to_owned()), "forgotten");
    }
}
