//! Verdicts that no test server can cause.

use std::time::Duration;

use http::StatusCode;

use super::super::network::EnvProxy;
use super::*;
use crate::client_auth::ClientAuth;
use crate::client_credentials::ClientCredentials;
use crate::credential::Shape;
use crate::error::OAuthError;
use crate::x509::Facts;

fn findings(endpoint: &str, auth: ClientAuth) -> Findings {
    let mut findings = Findings::new(ClientCredentials::builder(endpoint, auth).draft());
    findings.token_requests = 1;
    findings
}

fn post() -> ClientAuth {
    ClientAuth::client_secret_post("billing", "x")
}

fn refused(findings: &mut Findings, code: &str, description: &str) -> Diagnosis {
    let oauth = OAuthError::new(code.to_owned(), Some(description.to_owned()), None);
    failed(findings, Error::of(ErrorKind::Denied, "refused").with_oauth(oauth))
}

fn failed(findings: &mut Findings, error: Error) -> Diagnosis {
    findings.token = Some(Err(error));
    judge(findings, Vec::new())
}

#[test]
fn a_uuid_is_the_id_of_a_secret_at_entra_id_only() {
    let uuid = "5d1a3c5e-4b0f-4a53-a7c0-30b1f6ae9ed0";
    for (endpoint, cause) in [
        ("https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token", Cause::SecretId),
        ("https://auth.example.com/token", Cause::ClientRefused),
    ] {
        let mut findings = findings(endpoint, post());
        findings.shapes.push(Shape::of(uuid));
        assert_eq!(refused(&mut findings, "invalid_client", "").cause, cause, "{endpoint}");
    }
}

#[test]
fn a_certificate_is_refused_for_its_date_its_name_or_its_issuer() {
    let day = Duration::from_secs(86_400);
    let leaf = |not_before, not_after| Facts {
        issuer: "Inspector".into(),
        subject: "other.example".into(),
        not_before,
        not_after,
    };
    let tls = |text: &'static str| Error::of(ErrorKind::Tls, text);
    let now = findings("https://a.example/t", post()).draft.now.wall();
    for (text, facts, advice) in [
        ("Expired", leaf(day, now - day), "the certificate of other.example has expired"),
        ("NotYetValid", leaf(now + day, now + day + day), "the clock of this machine is behind"),
        ("NotValidForName", leaf(day, now + day), "the certificate is of other.example, not of this host"),
        (
            "UnknownIssuer",
            leaf(day, now + day),
            "the certificate was issued by Inspector: if that is the CA of your company",
        ),
    ] {
        let mut findings = findings("https://a.example/t", post());
        findings.leaf = Some(facts);
        let diagnosis = failed(&mut findings, tls(text));
        assert_eq!(diagnosis.cause, Cause::Tls);
        assert!(diagnosis.advice.iter().any(|one| one.contains(advice)), "{advice}: {diagnosis}");
    }
}

#[cfg(feature = "mtls")]
#[test]
fn an_expired_client_certificate_is_distinguished_from_an_untrusted_server() {
    let pem = include_str!("../testing/certificates/client.pem");
    let key = include_str!("../testing/certificates/client.key.pem");
    let mut findings = findings("https://a.example/t", ClientAuth::mutual_tls("billing", pem, key));
    findings.expired = Some("the certificate of file x expired".into());
    assert_eq!(failed(&mut findings, Error::of(ErrorKind::Tls, "alert")).cause, Cause::CredentialExpired);
}

#[test]
fn a_proxy_is_suspected_where_one_is_used() {
    let mut findings = findings("https://a.example/t", post());
    let broken = || Error::of(ErrorKind::Transport, "could not be reached");
    assert_eq!(failed(&mut findings, broken()).cause, Cause::Outage);
    findings.proxy = Some(EnvProxy { variable: "HTTPS_PROXY", shown: "proxy:3128".into() });
    let diagnosis = failed(&mut findings, broken());
    assert!(diagnosis.cause == Cause::Proxy && diagnosis.advice[0].contains("HTTPS_PROXY names the proxy proxy:3128"));
}

#[test]
fn answers_without_an_oauth_error_are_judged_by_their_status() {
    let answer =
        |status: u16| Error::of(ErrorKind::Response, "answered").with_status(StatusCode::from_u16(status).unwrap());
    for (status, cause) in [
        (301, Cause::NotATokenEndpoint),
        (404, Cause::NotATokenEndpoint),
        (405, Cause::NotATokenEndpoint),
        // Glewlwyd: a wrong secret.
        (403, Cause::ClientRefused),
        (401, Cause::ClientRefused),
        (500, Cause::Outage),
        (503, Cause::Outage),
        (402, Cause::Other),
    ] {
        assert_eq!(failed(&mut findings("https://a.example/t", post()), answer(status)).cause, cause, "{status}");
    }
}

#[test]
fn real_descriptions_lead_to_their_causes() {
    for (code, description, cause) in [
        (
            "invalid_client",
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID",
            Cause::SecretId,
        ),
        (
            "invalid_scope",
            "AADSTS1002012: The provided value for scope read is not valid. Client credential flows must have a scope value with /.default suffixed",
            Cause::Scope,
        ),
        (
            "invalid_resource",
            "AADSTS50001: The resource principal named '' was not found in the tenant.",
            Cause::AudienceOrResource,
        ),
        (
            "access_denied",
            "Client is not authorized to access \u{27}https://api\u{27}. You need to create a client-grant associated to this API.",
            Cause::AudienceOrResource,
        ),
        ("access_denied", "Service not enabled within domain: https://api", Cause::Other),
        (
            "unauthorized_client",
            "Grant type \u{27}client_credentials\u{27} not allowed for the client.",
            Cause::GrantNotAllowed,
        ),
        ("unauthorized_client", "Invalid client secret", Cause::ClientRefused),
        ("invalid_request", "The request is missing a required parameter: scope", Cause::Scope),
        ("invalid_request", "unsupported authentication method", Cause::MethodNotSupported),
        ("temporarily_unavailable", "", Cause::Outage),
        ("something_new", "", Cause::Other),
    ] {
        assert_eq!(
            refused(&mut findings("https://a.example/t", post()), code, description).cause,
            cause,
            "{code} {description}"
        );
    }
}

#[test]
fn a_token_works_if_it_has_every_scope_that_was_requested() {
    for (asked, granted, summary) in [
        ("read write", "read", "A token was issued, but without the scope write."),
        ("read write", "write read", "It works: a token was issued."),
        // Entra ID grants what the application has.
        ("api://x/.default", "read", "It works: a token was issued."),
    ] {
        let draft = ClientCredentials::builder("https://a.example/t", post()).scope(asked).draft();
        let mut findings = Findings::new(draft);
        findings.token = Some(Ok(AccessToken::builder("abc").scope(granted).build().unwrap()));
        let diagnosis = judge(&findings, Vec::new());
        assert!(diagnosis.to_string().contains(summary), "{asked}, {granted}: {diagnosis}");
    }
}
