//! Proofs of possession (RFC 9449 section 4.3).

use serde_json::Value;
use url::Url;

use super::jwt::Jwt;
use super::message::Incoming;
use super::world::ServerState;
use crate::signing::{PublicJwk, jws};

/// `algs` of a challenge (RFC 9449 section 7.1).
pub(super) const ALGORITHMS: &str = "ES256 ES384 ES512 EdDSA Ed25519";

/// Why a proof is refused.
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) why: &'static str,
    /// The nonce that the next proof must have.
    pub(super) nonce: Option<String>,
}

impl Refusal {
    fn invalid(why: &'static str) -> Self {
        Refusal { code: "invalid_dpop_proof", why, nonce: None }
    }
}

/// The thumbprint of the key of a token request for this URL; `None`: there is no proof.
pub(super) fn key(request: &Incoming, url: &str, state: &mut ServerState) -> Result<Option<String>, Refusal> {
    if !request.head.headers.contains_key("dpop") {
        return Ok(None);
    }
    let proof = Proof::of(request)?;
    proof.is_for(request, url)?;
    proof.is_fresh(state)?;
    Ok(Some(proof.thumbprint))
}

/// Whether a request to the API has a valid proof for its token. Without `origin`, method and URL are not checked.
pub(super) fn check(
    request: &Incoming,
    origin: Option<&str>,
    token: &str,
    owner: &str,
    state: &mut ServerState,
) -> Result<(), Refusal> {
    let proof = Proof::of(request)?;
    if let Some(origin) = origin {
        proof.is_for(request, &format!("{origin}{}", request.head.uri.path()))?;
    }
    if proof.jwt.text("ath") != Some(jws::hash(token.as_bytes()).as_str()) {
        return Err(Refusal::invalid("ath is not of this token"));
    }
    if proof.thumbprint != owner {
        return Err(Refusal { code: "invalid_token", why: "the token belongs to another key", nonce: None });
    }
    proof.is_fresh(state)
}

struct Proof<'a> {
    jwt: Jwt<'a>,
    thumbprint: String,
}

impl<'a> Proof<'a> {
    fn of(request: &'a Incoming) -> Result<Self, Refusal> {
        let mut all = request.head.headers.get_all("dpop").iter();
        let proof = all.next().ok_or(Refusal::invalid("the request has no proof"))?;
        if all.next().is_some() {
            return Err(Refusal::invalid("the request has more than one proof"));
        }
        let jwt = proof.to_str().ok().and_then(Jwt::of).ok_or(Refusal::invalid("the proof is not a JWT"))?;
        if jwt.header.get("typ").and_then(Value::as_str) != Some("dpop+jwt") {
            return Err(Refusal::invalid("typ is not dpop+jwt"));
        }
        let key = jwt.header.get("jwk").and_then(|jwk| PublicJwk::parse(&jwk.to_string()).ok());
        let key = key.ok_or(Refusal::invalid("jwk is not a public key"))?;
        if !jwt.is_by_key(&key) {
            return Err(Refusal::invalid("the signature is not of the key in jwk"));
        }
        Ok(Proof { jwt, thumbprint: key.thumbprint() })
    }

    fn is_for(&self, request: &Incoming, url: &str) -> Result<(), Refusal> {
        // Compared after normalisation (RFC 9449 section 4.3).
        let same = |given: &str| Url::parse(given).ok() == Url::parse(url).ok();
        if self.jwt.text("htm") != Some(request.head.method.as_str()) || !self.jwt.text("htu").is_some_and(same) {
            return Err(Refusal::invalid("htm or htu is not of this request"));
        }
        Ok(())
    }

    fn is_fresh(&self, state: &mut ServerState) -> Result<(), Refusal> {
        if let Some(nonce) = &state.nonce {
            if self.jwt.text("nonce") != Some(nonce) {
                let why = "the proof needs a nonce";
                return Err(Refusal { code: "use_dpop_nonce", why, nonce: Some(nonce.clone()) });
            }
        }
        let dated = self.jwt.claims.get("iat").is_some_and(Value::is_u64);
        let first = self.jwt.text("jti").is_some_and(|jti| state.used.first(format!("proof {jti}")));
        if dated && first { Ok(()) } else { Err(Refusal::invalid("the proof was used before, or has no jti or iat")) }
    }
}
