//! The token endpoint (RFC 6749 section 4.4, RFC 7523 section 2.1, RFC 8693).

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Quirk;
use super::authentication::Claim;
use super::message::{Form, Incoming, Reply, merged};
use super::register::{Holder, Issued};
use super::world::{ServerState, World};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(super) fn respond(world: &World, state: &mut ServerState, request: &Incoming) -> Reply {
    let reply = issue(world, state, request).unwrap_or_else(|refusal| refusal);
    let Some(quirk) = state.quirk else { return reply };
    let accepts_json = request.header("accept").is_some_and(|accept| accept.contains("application/json"));
    let note = reply.note.clone();
    let mut reply = quirk.rewrite(reply, accepts_json);
    if reply.note.is_empty() {
        reply.note = note;
    }
    reply
}

fn issue(world: &World, state: &mut ServerState, request: &Incoming) -> Result<Reply, Reply> {
    if request.head.method != http::Method::POST {
        let reply = Reply::new(405, "text/plain", "use POST\n".to_owned()).noted("only POST is allowed");
        return Err(reply.header("allow", "POST"));
    }
    let form = Form::read(request).map_err(|flaw| Reply::oauth(400, "invalid_request", flaw))?;
    if form.repeats() {
        return Err(Reply::oauth(400, "invalid_request", "a parameter was sent twice"));
    }
    let claim = Claim::of(request, &form, state)?;
    let quirk = state.quirk;
    if quirk == Some(Quirk::Okta) && claim.method == Some("client_secret_basic") && form.value("client_id").is_some() {
        let description = "Cannot supply multiple client credentials. Use one of the following: credentials in the \
                           Authorization header, credentials in the post body, or a client_assertion in the post body.";
        return Err(Reply::oauth(400, "invalid_request", description));
    }
    if let Some(flaw) = claim.flaw(world, state) {
        let mut reply = Reply::oauth(401, "invalid_client", flaw);
        if request.header("authorization").is_some() {
            // Required in this case (RFC 6749 section 5.2).
            reply = reply.header("www-authenticate", "Basic realm=\"authorization server\"");
        }
        return Err(reply);
    }
    let wanted = quirk.map_or("client_credentials", Quirk::grant_type);
    check_grant(&form, wanted)?;
    if let Some(reply) = quirk.and_then(|quirk| quirk.refusal(&form, request.header("user-agent").unwrap_or_default()))
    {
        return Err(reply);
    }
    let scope = granted_scope(state, &form)?;
    let holder = holder(world, state, request)?;
    let audience = form.values("audience").into_iter().chain(form.values("resource")).map(str::to_owned).collect();
    Ok(grant(world, state, &form, Issued { client: claim.id, scope, audience, holder, ..Issued::default() }))
}

fn check_grant(form: &Form, wanted: &str) -> Result<(), Reply> {
    let missing = |name: &str| {
        let description = format!("{name} is missing");
        form.value(name).is_none().then(|| Reply::oauth(400, "invalid_request", &description))
    };
    let flaw = match form.value("grant_type") {
        None => missing("grant_type"),
        Some(TOKEN_EXCHANGE) => missing("subject_token").or_else(|| missing("subject_token_type")),
        Some(JWT_BEARER) => missing("assertion"),
        Some(given) if given == wanted => None,
        Some(_) => {
            let description = format!("the grant is called {wanted} here");
            Some(Reply::oauth(400, "unsupported_grant_type", &description))
        }
    };
    flaw.map_or(Ok(()), Err)
}

/// RFC 6749 section 3.3.
fn granted_scope(state: &ServerState, form: &Form) -> Result<String, Reply> {
    match (&state.scopes, form.value("scope")) {
        (Some(allowed), Some(asked)) if !asked.split(' ').all(|one| allowed.iter().any(|scope| scope == one)) => {
            Err(Reply::oauth(400, "invalid_scope", "the client may not have all of these scopes"))
        }
        (_, Some(asked)) => Ok(asked.to_owned()),
        (Some(allowed), None) => Ok(allowed.join(" ")),
        (None, None) => Ok(String::new()),
    }
}

/// What the token is bound to: the key of the proof, or the certificate of the connection.
#[cfg_attr(not(feature = "dpop"), expect(clippy::unnecessary_wraps, unused_variables, reason = "without proofs"))]
fn holder(world: &World, state: &mut ServerState, request: &Incoming) -> Result<Holder, Reply> {
    #[cfg(feature = "dpop")]
    let key = super::dpop::key(request, &world.token_url, state)
        .map_err(|refusal| Reply::oauth(400, refusal.code, refusal.why).with_nonce(refusal.nonce))?;
    #[cfg(not(feature = "dpop"))]
    let key = None;
    Ok(Holder { key, certificate: request.certificate.clone() })
}

fn grant(world: &World, state: &mut ServerState, form: &Form, mut issued: Issued) -> Reply {
    let now = state.clock.now();
    let (lifetime, quirk) = (state.lifetime, state.quirk);
    issued.expires = lifetime.map(|lifetime| now.plus(lifetime));
    let current = state.register.current(&issued, now).filter(|_| quirk == Some(Quirk::Wso2));
    let (value, left) = match current {
        Some(current) => (current.value.clone(), current.expires.map(|end| end.since(now))),
        None => (new_value(world, state, &issued), lifetime),
    };
    let is_exchange = form.value("grant_type") == Some(TOKEN_EXCHANGE);
    let members = json!({
        "access_token": value,
        "token_type": issued.scheme(),
        "expires_in": left.map(|left| left.as_secs()),
        "scope": Some(&issued.scope).filter(|scope| !scope.is_empty()),
        // RFC 8693 section 2.2.1.
        "issued_token_type": is_exchange.then(|| form.value("requested_token_type").unwrap_or(ACCESS_TOKEN)),
    });
    let mut members = merged(Map::new(), members);
    if let Some(quirk) = quirk {
        let changes = quirk.dress(&members, now.wall().as_secs());
        members = merged(members, changes);
    }
    let number = match state.register.find(&value) {
        Some((number, _)) => number,
        None => {
            issued.value = value;
            state.register.add(issued, now)
        }
    };
    let note = match left {
        Some(left) => format!("token {number} for {} s", left.as_secs()),
        None => format!("token {number} without an end"),
    };
    let reply = Reply { token: Some(number), ..Reply::json(200, &Value::Object(members)).noted(note) };
    #[cfg(feature = "dpop")]
    let reply = reply.with_nonce(state.nonce.clone());
    reply
}

/// The value of a new token.
#[cfg_attr(not(feature = "jwt"), expect(unused_variables, reason = "for signed tokens"))]
fn new_value(world: &World, state: &ServerState, issued: &Issued) -> String {
    #[cfg(feature = "jwt")]
    if let Some(signed) =
        state.token_key.as_ref().and_then(|key| super::jwt::access_token(key, &world.issuer, issued, state))
    {
        return signed;
    }
    // Sufficient for a test. A real server uses a cryptographic generator (RFC 6749 section 10.10).
    let suffix = state.quirk.map_or("", Quirk::token_suffix);
    format!("{:032x}{suffix}", fastrand::u128(..))
}

/// The default of `expires_in`.
pub(super) const LIFETIME: Duration = Duration::from_secs(3600);
