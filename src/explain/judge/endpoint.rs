//! No token endpoint was found, or the URL is not one.

use super::super::diagnosis::{Cause, Diagnosis};
use super::super::findings::Findings;
use super::{edges, sentence};
use crate::client_credentials::Known;
use crate::error::Error;

/// The metadata does not lead to a token endpoint.
pub(super) fn not_found(findings: &Findings, text: String) -> Diagnosis {
    let mut verdict = Diagnosis::of(Cause::Metadata, text);
    if let Known::Issuer(issuer) = findings.draft.server() {
        let is_endpoint = issuer.issuer.trim_end_matches('/').ends_with("/token");
        let found = findings.seen.document.issuer.as_ref();
        verdict = verdict
            .advise_all(
                found
                    .filter(|found| **found != issuer.issuer)
                    .map(|found| format!("the server calls itself {found}: use exactly that as the issuer")),
            )
            .advise_all(is_endpoint.then_some("this looks like the token endpoint: give it as that, and not as the issuer"))
            .advise("Keycloak: https://HOST/realms/REALM; Entra ID: https://login.microsoftonline.com/TENANT/v2.0; Okta: https://HOST/oauth2/default");
    }
    if let (Known::Resource(api), Some(names)) = (findings.draft.server(), &findings.seen.api_names) {
        verdict = verdict.advise(format!("the API names {}; allowed are {}", names.join(", "), api.allowed.join(", ")));
    }
    verdict.advise("or configure the token endpoint itself")
}

/// A response without an OAuth error.
pub(super) fn answered(findings: &Findings, error: &Error) -> Diagnosis {
    let text = sentence(error);
    let status = error.status().map_or(0, |status| status.as_u16());
    let body_is_foreign = (200..300).contains(&status) || text.contains("JSON");
    if matches!(status, 300..=399 | 404 | 405 | 410 | 415 | 501) || body_is_foreign && status < 400 {
        let named = findings.seen.document.token_endpoint.as_ref();
        let redirect = findings.redirect.as_ref();
        let page = "a page instead of JSON may also come from a proxy or a captive portal";
        return Diagnosis::of(Cause::NotATokenEndpoint, text)
            .advise_all(named.map(|url| format!("the server's metadata names this token endpoint: {url}")))
            .advise_all(redirect.map(|to| format!("it redirects to {to}: if that is the server, give that URL")))
            .advise("look for token_endpoint in the server's /.well-known/openid-configuration")
            .advise_all((body_is_foreign && status < 300).then_some(page));
    }
    let is_plain = findings.url().is_some_and(|url| url.scheme() == "http");
    match status {
        407 => Diagnosis::of(Cause::Proxy, text)
            .advise("a proxy answers in place of the server and requires user and password: http://USER:PASSWORD@HOST:PORT in HTTPS_PROXY")
            .advise("or add the host to NO_PROXY if it is reached directly"),
        400 if is_plain && EXPECTS_TLS.iter().any(|words| text.contains(words)) => {
            Diagnosis::of(Cause::NotATokenEndpoint, text).advise("the port expects TLS: write https:// instead of http://")
        }
        401 | 403 => edges(findings).unwrap_or_else(|| {
            Diagnosis::of(Cause::ClientRefused, text)
                .advise("compare client id and secret with the registration")
                .advise("a proxy or firewall in front of the server may also respond like this")
        }),
        500.. => Diagnosis::of(Cause::Outage, text)
            .advise("the server cannot answer now: try again, and look at its log")
            .advise("some servers answer a malformed request this way: check the parameters"),
        _ => Diagnosis::of(Cause::Other, text).advise("compare the request with the server's documentation"),
    }
}

/// nginx, Go, Apache, Tomcat.
const EXPECTS_TLS: [&str; 4] = ["HTTPS port", "HTTPS server", "SSL-enabled", "requires TLS"];
