//! Client authentication at the scripted server: what a request claims, and whether it is true.

use serde_json::Value;

use super::message::{Form, Incoming, Reply, basic, readings};
use super::world::{ServerState, World};

/// How a registered client authenticates.
pub(super) enum Known {
    Secret(String),
    /// It has no credential (RFC 6749 section 2.1).
    Public,
    /// A public key, in PEM or as a JWK.
    #[cfg(feature = "jwt")]
    Key(crate::signing::PublicJwk),
}

/// What a token request claims about its client.
pub(super) struct Claim {
    /// `None`: it names no client.
    pub(super) id: Option<String>,
    pub(super) method: Option<&'static str>,
    proof: Proof,
}

enum Proof {
    Nothing,
    /// The secret in each form in which it can be decoded.
    Secret(Vec<String>),
    #[cfg_attr(not(feature = "jwt"), expect(dead_code, reason = "not verified without jwt"))]
    Assertion(String),
    Certificate,
}

impl Claim {
    /// The error is for requests that claim more than one thing (RFC 6749 section 2.3).
    pub(super) fn of(request: &Incoming, form: &Form, state: &ServerState) -> Result<Claim, Reply> {
        let header = basic(request);
        let secret = form.value("client_secret");
        let assertion = form.value("client_assertion");
        let methods = usize::from(header.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some());
        if methods > 1 {
            let description = "the request has more than one client authentication";
            return Err(Reply::oauth(400, "invalid_request", description));
        }
        let in_body = form.value("client_id").map(str::to_owned);
        if let Some((id, secret)) = header {
            let ids = readings(&id);
            let known = ids.iter().find(|id| state.clients.contains_key(*id)).or(ids.first()).cloned();
            if in_body.is_some() && in_body != known {
                return Err(Reply::oauth(400, "invalid_request", "client_id is not the one of the header"));
            }
            let proof = Proof::Secret(readings(&secret).into());
            return Ok(Claim { id: known, method: Some("client_secret_basic"), proof });
        }
        if let Some(secret) = secret {
            let proof = Proof::Secret(vec![secret.to_owned()]);
            return Ok(Claim { id: in_body, method: Some("client_secret_post"), proof });
        }
        if let Some(assertion) = assertion {
            let mut parts = assertion.split('.').map(|part| json_of(part).unwrap_or_default());
            let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let text = |members: &Value, name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
            // `client_id` is optional in addition to `sub` (RFC 7521 section 4.2).
            let id = in_body.or_else(|| text(&claims, "sub"));
            let is_symmetric = text(&header, "alg").is_some_and(|algorithm| algorithm.starts_with("HS"));
            let method = if is_symmetric { "client_secret_jwt" } else { "private_key_jwt" };
            return Ok(Claim { id, method: Some(method), proof: Proof::Assertion(assertion.to_owned()) });
        }
        match (&in_body, &request.certificate) {
            (Some(_), Some(_)) => Ok(Claim { id: in_body, method: Some("tls_client_auth"), proof: Proof::Certificate }),
            (Some(_), None) => Ok(Claim { id: in_body, method: Some("none"), proof: Proof::Nothing }),
            (None, _) => Ok(Claim { id: None, method: None, proof: Proof::Nothing }),
        }
    }

    /// What is wrong with the claim; nothing if no client was registered. The text is also for the story, so it has no
    /// secret.
    #[cfg_attr(not(feature = "jwt"), expect(unused_variables, reason = "for assertions"))]
    pub(super) fn flaw(&self, world: &World, state: &mut ServerState) -> Option<&'static str> {
        if state.clients.is_empty() {
            return None;
        }
        let Some(id) = &self.id else { return Some("the request names no client") };
        let Some(known) = state.clients.get(id) else { return Some("the client is unknown") };
        match (&self.proof, known) {
            (Proof::Secret(readings), Known::Secret(secret)) => {
                (!readings.contains(secret)).then_some("the secret is wrong")
            }
            (Proof::Nothing, Known::Public) => None,
            (Proof::Nothing, _) => Some("the request has no client authentication"),
            // The handshake has verified it.
            (Proof::Certificate, _) => None,
            #[cfg(feature = "jwt")]
            (Proof::Assertion(assertion), _) => super::jwt::assertion_flaw(assertion, id, world, state),
            #[cfg(not(feature = "jwt"))]
            (Proof::Assertion(_), _) => Some("signatures are verified with the feature jwt only"),
            #[cfg(feature = "jwt")]
            (Proof::Secret(_), Known::Key(_)) => Some("this client has a key, not a secret"),
            (Proof::Secret(_), Known::Public) => Some("this client has no secret"),
        }
    }
}

/// The JSON object in a part of a JWT.
pub(super) fn json_of(part: &str) -> Option<Value> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}
