//! The authorization server responds with an OAuth error.

use super::super::claims::span;
use super::super::diagnosis::{Cause, Diagnosis};
use super::super::findings::Findings;
use super::{edges, expired, joined, sentence};
use crate::credential::Shape;
use crate::error::Error;

pub(super) fn refused(findings: &Findings, error: &Error, code: &str, description: &str) -> Diagnosis {
    let text = sentence(error);
    let said = description.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let auth = &findings.draft.builder.auth;
    let signs = auth.signs();
    let is_assertion = signs || auth.name() == "client_assertion";

    // Keycloak calls a wrong secret unauthorized_client.
    let is_client = code == "invalid_client"
        || (code == "unauthorized_client"
            && says(&["credential", "secret", "invalid client"])
            && !says(&["grant", "service account"]))
        || (code == "invalid_grant" && auth.name() == "client_assertion");
    if matches!(code, "invalid_dpop_proof" | "use_dpop_nonce") && !findings.draft.builder.is_bound() {
        return Diagnosis::of(Cause::DpopRequired, text)
            .advise("add .dpop(..) to the builder (feature dpop), or dpop.key_file to the configuration")
            .advise("or switch the requirement off for this client");
    }
    let skew = findings.skew().unwrap_or_default();
    let is_timed = is_client && is_assertion || code == "invalid_dpop_proof";
    if is_timed && skew.unsigned_abs() >= 60 {
        let direction = if skew > 0 { "ahead of" } else { "behind" };
        let skew = span(skew.unsigned_abs());
        let summary = format!(
            "The clock of this machine is {skew} {direction} the server's, and signed assertions and proofs contain the time. {text}"
        );
        return Diagnosis::of(Cause::Clock, summary)
            .advise("set the clock (NTP)")
            .advise("or let assertions go by the server's Date: server_time(true)");
    }
    let says_time = says(&["expired", "iat", "nbf", "exp ", "not yet valid", "too old", "in the future", "clock"]);
    if let Some(verdict) = expired(findings, &text).filter(|_| is_client || says_time) {
        return verdict;
    }
    if is_client {
        return of_client(findings, text, &says, signs);
    }
    let lacks = findings.lacks();
    match code {
        "invalid_scope" => of_scope(findings, text),
        "invalid_target" | "invalid_resource" => of_audience(findings, text),
        "unauthorized_client" | "unsupported_grant_type" => of_grant(findings, text),
        _ if says(&["audience", "resource principal", "client-grant", "resource server"]) && !is_assertion => {
            of_audience(findings, text)
        }
        "access_denied" if says(&["scope"]) => of_scope(findings, text),
        _ if says(&["grant type", "grant_type", "service account"]) => of_grant(findings, text),
        _ if says(&["scope", ".default"]) => of_scope(findings, text),
        _ if says(&["authentication method", "client_assertion"]) => of_method(findings, text),
        "temporarily_unavailable" | "server_error" => {
            Diagnosis::of(Cause::Outage, text).advise("the server cannot answer now: try again")
        }
        _ if !lacks.is_empty() => Diagnosis::of(Cause::MethodNotSupported, text).advise_all(lacks),
        _ => Diagnosis::of(Cause::Other, text).advise("look up the error and its ids in the server's documentation"),
    }
}

fn of_client(findings: &Findings, text: String, says: &dyn Fn(&[&str]) -> bool, signs: bool) -> Diagnosis {
    let auth = &findings.draft.builder.auth;
    if let Some(verdict) = edges(findings) {
        return verdict;
    }
    let is_uuid = findings.shapes.iter().any(Shape::is_uuid);
    if says(&["aadsts7000215"]) || is_uuid && findings.is_entra() {
        let summary = format!("The secret looks like the id of a secret at Entra ID, not its value. {text}");
        return Diagnosis::of(Cause::SecretId, summary).advise(
            "copy the column \"Value\" of the secret, not \"Secret ID\"; the value is shown only once, so a new secret may be needed",
        );
    }
    let lacks = findings.lacks();
    if lacks.iter().any(|one| one.contains("method"))
        || says(&["authentication method", "auth method", "authentication scheme", "not supported by the server"])
    {
        return of_method(findings, text);
    }
    if signs {
        return of_signed_assertion(findings, text);
    }
    if auth.name() == "client_assertion" {
        return of_foreign_assertion(findings, text);
    }
    let is_encoded = findings.shapes.iter().any(|shape| shape.is_encoded) || Shape::of(auth.id()).is_encoded;
    if auth.is_encoded_basic() && is_encoded {
        return Diagnosis::of(Cause::BasicEncoding, text)
            .advise("secret or id have characters that are form-urlencoded under Basic (RFC 6749 section 2.3.1), which many servers do not decode: try client_secret_basic_raw, or client_secret_post")
            .advise("if that fails as well, compare id and secret with the registration");
    }
    let of_this_method = match auth.name() {
        used @ ("client_secret_basic" | "client_secret_post") => Some(another_method(findings, used)),
        "none" => Some("the client must authenticate: configure a secret or a key".to_owned()),
        _ => None,
    };
    Diagnosis::of(Cause::ClientRefused, text)
        .advise("compare client id and secret with the registration: of the same realm or tenant, not expired, not of another environment")
        .advise_all(of_this_method)
        .advise("a new secret may take up to a minute to become active")
}

/// A client that uses another method than the registered one is refused like one with a wrong secret.
fn another_method(findings: &Findings, used: &str) -> String {
    let listed = findings.seen.document.methods.as_ref();
    let others: Vec<_> = listed.into_iter().flatten().map(String::as_str).filter(|method| *method != used).collect();
    if others.is_empty() {
        let other = if used == "client_secret_post" { "client_secret_basic" } else { "client_secret_post" };
        return format!("the client may be registered for {other}");
    }
    format!("the client may be registered for another method; the server supports {}", others.join(", "))
}

fn of_method(findings: &Findings, text: String) -> Diagnosis {
    let methods = findings.seen.document.methods.as_ref();
    let used = findings.draft.builder.auth.name();
    Diagnosis::of(Cause::MethodNotSupported, text)
        .advise_all(methods.map(|all| format!("the server lists {}; the client uses {used}", all.join(", "))))
        .advise("use the method that the client is registered for")
}

fn of_signed_assertion(findings: &Findings, text: String) -> Diagnosis {
    let mut verdict = Diagnosis::of(Cause::Assertion, text);
    if let Some(claims) = &findings.assertion {
        let (document, algorithm) = (&findings.seen.document, claims.algorithm.as_deref().unwrap_or("none"));
        let others = document.algorithms.as_ref().filter(|all| all.iter().all(|listed| listed != algorithm));
        verdict = verdict.advise_all(others.map(|all| {
            let all = all.join(" ");
            format!("alg is {algorithm}, and the server lists {all}: set .algorithm(..), or use another key")
        }));
        let audience = claims.audience.join(", ");
        let issuer = document.issuer.as_ref();
        verdict = verdict.advise(match issuer.filter(|issuer| !claims.audience.contains(issuer)) {
            Some(issuer) => {
                format!("aud is {audience}, and the issuer is {issuer}: .audience(..) of the method sets it")
            }
            None => format!("aud is {audience}: some servers (Entra ID, Okta) require the token endpoint"),
        });
        verdict = verdict.advise(match &claims.key_id {
            None => "there is no kid: a client with several registered keys needs one, .key_id(..) or a JWK".to_owned(),
            Some(kid) => format!("kid is {kid}: is the public key registered under that id?"),
        });
        if claims.typ.as_deref() == Some("client-authentication+jwt") {
            verdict = verdict.advise("typ is client-authentication+jwt: older servers require .typ(\"JWT\")");
        }
    }
    verdict.advise("is the public key, or the secret, that of this client?")
}

fn of_foreign_assertion(findings: &Findings, text: String) -> Diagnosis {
    let verdict = Diagnosis::of(Cause::Assertion, text);
    let Some(claims) = &findings.credential_claims else { return verdict };
    let issuer = claims.issuer.as_ref();
    verdict
        .advise(format!("its audience is {}: it must be what the server expects, usually its issuer (Entra ID: api://AzureADTokenExchange)", claims.audience.join(", ")))
        .advise_all(issuer.map(|issuer| format!("the server must trust its issuer {issuer}, and its subject")))
}

fn of_grant(findings: &Findings, text: String) -> Diagnosis {
    let grants = findings.seen.document.grants.as_ref();
    Diagnosis::of(Cause::GrantNotAllowed, text)
        .advise(format!("allow the client the grant {}", findings.grant_type()))
        .advise("Keycloak: switch on \"Service accounts roles\"; Auth0: application type Machine to Machine, advanced settings, grant types; Okta: an API service app")
        .advise_all(grants.map(|grants| format!("the server lists {}", grants.join(", "))))
}

fn of_scope(findings: &Findings, text: String) -> Diagnosis {
    let requested = findings.draft.params.scope();
    let is_entra = findings.is_entra() || text.contains("AADSTS") || text.contains(".default");
    let is_default = requested.is_some_and(|scope| scope.ends_with("/.default"));
    let default =
        "Entra ID: request one scope, that of the API followed by /.default: https://graph.microsoft.com/.default";
    let listed = findings.seen.document.scopes.as_ref();
    Diagnosis::of(Cause::Scope, text)
        .advise_all((is_entra && !is_default).then_some(default))
        .advise_all(joined(requested))
        .advise(match requested {
            Some(scope) => {
                format!("the requested scope is {scope}: have it assigned to the client, or request another one")
            }
            None => "no scope was requested: this server requires one, .scope(..)".to_owned(),
        })
        .advise_all(listed.map(|scopes| format!("the server lists {}", scopes.join(" "))))
}

fn of_audience(findings: &Findings, text: String) -> Diagnosis {
    Diagnosis::of(Cause::AudienceOrResource, text).advise(match (findings.asks_for("audience"), findings.asks_for("resource")) {
        (false, false) => "name the API: .audience(..) at Auth0, Ory Hydra and Kinde; .resource(..) at AD FS, Entra ID version 1 and RFC 8707 servers",
        (true, _) => "the audience is unknown, or the client is not authorized for it: Auth0 requires the API's identifier, and a client grant for it",
        (false, true) => "the resource is unknown or refused; Entra ID version 2 requires the scope RESOURCE/.default instead",
    })
}
