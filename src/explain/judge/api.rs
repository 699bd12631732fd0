//! The API refuses the new token.

use super::super::diagnosis::{Cause, Diagnosis};
use super::super::findings::{Answer, Findings};
use crate::grant::response::not_granted;
use crate::token::AccessToken;
use crate::verdict::is_insufficient_scope;

/// `None`: the API accepts the token.
pub(super) fn refused(findings: &Findings, token: &AccessToken, answer: &Answer) -> Option<Diagnosis> {
    let said = answer.lines().join(", ");
    let is_bound = token.scheme() != "Bearer";
    let code = answer.error.as_deref().unwrap_or_default();
    let verdict = match answer.status {
        Some(200..=399) => return None,
        Some(401 | 400) if answer.wants_dpop && !is_bound => {
            let summary = format!("The API requires tokens that are bound to a key ({said}).");
            Diagnosis::of(Cause::ApiDpop, summary)
                .advise("add .dpop(..) to the builder (feature dpop), or dpop.key_file to the configuration")
                .advise("register the client for DPoP at the authorization server")
        }
        Some(401 | 403) if is_insufficient_scope(code) => {
            let granted = token.scope().unwrap_or("nothing that is known");
            let summary = format!("The API requires another scope; the granted scope is {granted} ({said}).");
            let missing = answer.scope.as_ref().map(|scope| not_granted(scope, token.scope().unwrap_or_default()).join(" "));
            let verdict = Diagnosis::of(Cause::ApiScope, summary);
            match missing {
                Some(missing) if missing.is_empty() => verdict.advise(
                    "the token has it, as far as the authorization server says: compare the scope in the token with the form that \
                     the API reads (a claim of another name, commas in place of blanks)",
                ),
                missing => verdict
                    .advise_all(missing.map(|scope| format!("add the scope {scope}")))
                    .advise("have it granted to the client at the authorization server"),
            }
        }
        Some(401) => {
            let claims = findings.claims.as_ref();
            let issuer = claims.and_then(|claims| claims.issuer.as_ref());
            Diagnosis::of(Cause::ApiAudience, format!("The API refuses the new token ({said})."))
                .advise(match claims.map(|claims| claims.audience.join(", ")) {
                    None => "the token is opaque: an API that expects a JWT needs audience or resource in the request"
                        .to_owned(),
                    Some(audience) if audience.is_empty() => {
                        "the token has no audience: request one with audience or resource".to_owned()
                    }
                    Some(audience) => format!(
                        "the token is for {audience}: if the API is another one, change audience, resource or scope"
                    ),
                })
                .advise_all(issuer.map(|issuer| format!("the API must trust the issuer {issuer}")))
        }
        Some(403) => Diagnosis::of(Cause::ApiScope, format!("The API forbids the request ({said}).")).advise(
            "the token is accepted but does not allow this request: check scopes, roles and permissions of the client at the API",
        ),
        Some(429) => Diagnosis::of(Cause::Quota, format!("The API asks for fewer requests ({said})."))
            .advise("wait, or request a larger quota"),
        None => {
            let summary = format!("A token was issued, but the API could not be reached ({said}).");
            Diagnosis::of(Cause::Api, summary).advise("check host and port of the API's URL, and whether the API is up")
        }
        Some(_) => {
            let summary = format!("A token was issued, but the API returned an unexpected response ({said}).");
            Diagnosis::of(Cause::Api, summary).advise("check the URL of the API")
        }
    };
    Some(verdict)
}
