//! A protected API (RFC 6750 section 3, RFC 9449 section 7, RFC 8705 section 3).

use serde_json::json;

use super::message::{Incoming, Reply};
use super::world::{ServerState, World};

/// JSON for a request with a valid token, otherwise a challenge.
pub(super) fn respond(world: &World, state: &mut ServerState, request: &Incoming) -> Reply {
    let presented = presented(request).map(|(_, token)| token);
    let number = presented.and_then(|token| state.register.find(token)).map(|(number, _)| number);
    if let Err(refusal) = check(state, request, Some(&world.api)) {
        let note = refusal.note.clone();
        let own = state.quirk.and_then(|quirk| quirk.api_refusal(refusal.status));
        return Reply { token: number, note, ..own.unwrap_or(refusal) };
    }
    let path = request.head.uri.path();
    let reply = match state.resources.iter().find(|(served, _)| served == path) {
        Some((_, body)) => Reply::new(200, "application/json", body.clone()),
        None => {
            let issued = presented.and_then(|token| state.register.find(token)).map(|(_, issued)| issued);
            Reply::json(
                200,
                &json!({
                    "method": request.head.method.as_str(),
                    "path": path,
                    "body": String::from_utf8_lossy(&request.body),
                    "client_id": issued.and_then(|issued| issued.client.as_ref()),
                    "scope": issued.map(|issued| &issued.scope),
                    "token": number,
                }),
            )
        }
    };
    #[cfg(feature = "dpop")]
    let reply = reply.with_nonce(state.nonce.clone());
    Reply { token: number, ..reply }
}

/// Scheme and token of a request.
fn presented(request: &Incoming) -> Option<(&'static str, &str)> {
    ["Bearer", "DPoP"].into_iter().find_map(|scheme| Some((scheme, request.credentials(scheme)?)))
}

/// Whether the token of a request is valid for it. If `origin` is unknown, method and URL of a proof are not checked.
pub(super) fn check(state: &mut ServerState, request: &Incoming, origin: Option<&str>) -> Result<(), Reply> {
    // RFC 6750 section 3.1: no error code for a request without credentials.
    let (scheme, token) =
        presented(request).ok_or_else(|| Reply::challenge(401, "Bearer", &[("realm", "api")]).noted("no token"))?;
    let refused =
        |why: &str| Reply::challenge(401, scheme, &[("error", "invalid_token"), ("error_description", why)]).noted(why);
    let (_, issued) = state.register.find(token).ok_or_else(|| refused("the token is unknown"))?;
    if let Some(flaw) = issued.flaw(state.clock.now()) {
        return Err(refused(flaw));
    }
    if let Some(audience) = &state.audience {
        if !issued.audience.contains(audience) {
            return Err(refused("the token is for another audience"));
        }
    }
    if issued.holder.certificate.is_some() && issued.holder.certificate != request.certificate && origin.is_some() {
        return Err(refused("the token belongs to another certificate"));
    }
    if issued.scheme() != scheme {
        return Err(refused("the token has another scheme"));
    }
    #[cfg(feature = "dpop")]
    if let Some(owner) = issued.holder.key.clone() {
        super::dpop::check(request, origin, token, &owner, state).map_err(|refusal| {
            let params =
                [("error", refusal.code), ("error_description", refusal.why), ("algs", super::dpop::ALGORITHMS)];
            Reply::challenge(401, "DPoP", &params).noted(refusal.why).with_nonce(refusal.nonce)
        })?;
    }
    let has = |wanted: &String| {
        let found = state.register.find(token);
        found.is_some_and(|(_, issued)| issued.scope.split(' ').any(|one| one == wanted))
    };
    match &state.api_scope {
        Some(wanted) if !has(wanted) => {
            let params = [("error", "insufficient_scope"), ("scope", wanted.as_str())];
            Err(Reply::challenge(403, scheme, &params).noted("the scope of the token is too narrow"))
        }
        _ => Ok(()),
    }
}
