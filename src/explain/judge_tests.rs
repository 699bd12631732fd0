//! Verdicts that no test server can cause.

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::client_auth::ClientAuth;
use crate::client_credentials::ClientCredentials;
use crate::credential::Shape;
use crate::error::OAuthError;
use crate::explain::findings::Answer;
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

/// There is this advice, in this order, and no other.
fn assert_advice(diagnosis: &Diagnosis, cause: Cause, words: &[&str]) {
    assert_eq!((diagnosis.cause, diagnosis.advice.len()), (cause, words.len()), "{words:?}: {diagnosis}");
    for (one, words) in diagnosis.advice.iter().zip(words) {
        assert!(one.contains(words), "{words}: {diagnosis}");
    }
}

#[test]
fn a_uuid_is_the_id_of_a_secret_at_entra_id_only() {
    let uuid = "5d1a3c5e-4b0f-4a53-a7c0-30b1f6ae9ed0";
    let entra = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    for (endpoint, secret, cause) in [
        (entra, uuid, Cause::SecretId),
        (entra, "abcde~fghij", Cause::ClientRefused),
        ("https://auth.example.com/token", uuid, Cause::ClientRefused),
    ] {
        let mut findings = findings(endpoint, post());
        // One of several credentials.
        findings.shapes.extend([Shape::of("another"), Shape::of(secret)]);
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
    let diagnosis = failed(&mut findings, Error::of(ErrorKind::Tls, "alert"));
    assert_advice(&diagnosis, Cause::CredentialExpired, &["renew the certificate"]);
}

#[test]
fn a_proxy_is_suspected_where_one_is_used() {
    let mut findings = findings("https://a.example/t", post());
    let broken = |text: &'static str| Error::of(ErrorKind::Transport, text);
    assert_eq!(failed(&mut findings, broken("could not be reached")).cause, Cause::Outage);
    findings.proxy = Some("proxy:3128 from the environment variable HTTPS_PROXY".into());
    for (text, advice) in [
        ("could not be reached", "does it run, and"),
        ("no token (the proxy requires credentials (407), p", "http://USER:PASSWORD@HOST:PORT"),
        ("no token (the proxy itself could not be reached, p", "check its host and port"),
        (
            "no token (the proxy was reached, but refused to connect to a or could not, p",
            "let this host and port through",
        ),
        ("no token (the proxy was reached, but did not connect to a, p", "let this host and port through"),
        ("no token (the scheme of the proxy is not supported, p", "the feature socks of reqwest"),
        ("was not asked: the proxy p does not speak TLS", "write http:// before its host"),
    ] {
        let diagnosis = failed(&mut findings, broken(text));
        assert_eq!(diagnosis.cause, Cause::Proxy, "{diagnosis}");
        assert!(diagnosis.advice[0].starts_with("the proxy proxy:3128 from the environment variable HTTPS_PROXY: "));
        assert!(diagnosis.advice[0].contains(advice), "{text}: {diagnosis}");
        assert!(diagnosis.advice[1].contains("NO_PROXY"), "{diagnosis}");
    }
    let of_the_server = "it does not speak TLS: is the port one for plain http? (by way of a proxy, p)";
    let diagnosis = failed(&mut findings, broken(of_the_server));
    assert!(diagnosis.cause == Cause::Tls && !diagnosis.advice[0].contains("proxy"), "{diagnosis}");
    findings.proxy = Some("proxy:3128 from the HTTP client's own settings".into());
    let diagnosis = failed(&mut findings, broken("could not be reached"));
    assert!(!diagnosis.to_string().contains("NO_PROXY"), "{diagnosis}");
}

#[test]
fn a_proxy_that_is_not_used_is_named_where_the_server_is_not_reached() {
    let broken = || Error::of(ErrorKind::Transport, "could not be reached");
    let refused = std::io::ErrorKind::ConnectionRefused;
    for (dns, connect) in
        [(Some("no such name"), None), (None, Some(std::io::ErrorKind::TimedOut)), (None, Some(refused)), (None, None)]
    {
        let mut findings = findings("https://a.example/t", post());
        findings.dns = dns.map(Into::into);
        findings.connect = connect.map(std::io::Error::from);
        let advice = failed(&mut findings, broken()).advice.join("; ");
        let needs_one = connect == Some(std::io::ErrorKind::TimedOut);
        assert_eq!(advice.contains("a proxy is needed: set HTTPS_PROXY"), needs_one, "{advice}");
        findings.unused_proxy = Some("NO_PROXY has this host".into());
        let advice = failed(&mut findings, broken()).advice.join("; ");
        assert!(advice.starts_with("NO_PROXY has this host") && !advice.contains("set HTTPS_PROXY"), "{advice}");
    }
}

#[test]
fn a_port_of_the_other_kind_is_suspected() {
    let broken = |text: &'static str| Error::of(ErrorKind::Transport, text);
    let mut tls = findings("https://a.example/t", post());
    tls.handshake = Some("received corrupt message".into());
    let diagnosis = failed(&mut tls, broken("it does not speak TLS: is the port one for plain http?"));
    assert!(diagnosis.cause == Cause::Tls && diagnosis.summary.contains("does not speak TLS"), "{diagnosis}");
    assert!(diagnosis.advice[0].contains("one for http://"), "{diagnosis}");
    let diagnosis = failed(&mut tls, broken("could not be reached"));
    assert!(diagnosis.summary.contains("received corrupt message"), "{diagnosis}");
    assert!(!diagnosis.to_string().contains("http://"), "a handshake may fail for other reasons: {diagnosis}");
    for (url, suspected) in [("http://127.0.0.1/t", true), ("https://a.example/t", false)] {
        let diagnosis = failed(&mut findings(url, post()), broken("could not be reached"));
        assert_eq!(diagnosis.to_string().contains("expect TLS on this port"), suspected, "{diagnosis}");
    }
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
        (200, Cause::NotATokenEndpoint),
    ] {
        let diagnosis = failed(&mut findings("https://a.example/t", post()), answer(status));
        assert_eq!(diagnosis.cause, cause, "{status}");
        let is_page = diagnosis.advice.iter().any(|one| one.contains("captive portal"));
        assert_eq!(is_page, status == 200, "{status}: {diagnosis}");
    }
    let no_json =
        |status: u16| Error::of(ErrorKind::Response, "no JSON").with_status(StatusCode::from_u16(status).unwrap());
    for (status, cause) in
        [(200, Cause::NotATokenEndpoint), (299, Cause::NotATokenEndpoint), (400, Cause::Other), (500, Cause::Outage)]
    {
        assert_eq!(failed(&mut findings("https://a.example/t", post()), no_json(status)).cause, cause, "{status}");
    }
    let redirected = failed(&mut findings("https://a.example/t", post()), no_json(300));
    assert!(!redirected.to_string().contains("captive portal"), "{redirected}");
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
        ("access_denied", "the grant type is fine, but the scope is not", Cause::Scope),
        ("access_denied", "the client is no service account", Cause::GrantNotAllowed),
        ("invalid_grant", "Invalid client secret", Cause::Other),
        ("unauthorized_client", "the service account has no secret", Cause::GrantNotAllowed),
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
        // As servers write it.
        ("read write", "read,write", "It works: a token was issued."),
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

#[test]
fn a_scope_that_the_api_requires_is_compared_with_what_was_granted() {
    for (granted, advice) in [
        (Some("read write"), "the token has it, as far as"),
        (Some("read"), "add the scope write known"),
        // Not with the words for it.
        (None, "add the scope write known"),
    ] {
        let mut findings = findings("https://a.example/t", post());
        let token = AccessToken::builder("abc");
        let token = match granted {
            Some(scope) => token.scope(scope),
            None => token,
        };
        findings.token = Some(Ok(token.build().unwrap()));
        let scope = if granted == Some("read write") { "write" } else { "write known" };
        let (error, scope) = (Some("insufficient_scope".to_owned()), Some(scope.to_owned()));
        findings.api = Some(Answer { status: Some(403), error, scope, ..Answer::default() });
        let diagnosis = judge(&findings, Vec::new());
        assert!(diagnosis.to_string().contains(advice), "{granted:?}: {diagnosis}");
    }
}

#[test]
fn a_clock_that_differs_by_a_minute_is_the_cause_or_is_named_beside_it() {
    let at = |skew: i64, auth: ClientAuth, code: &str| {
        let mut findings = findings("https://a.example/t", auth);
        let ours = Duration::from_secs(1_800_000_000);
        let theirs = Duration::from_secs(1_800_000_000_u64.saturating_add_signed(-skew));
        findings.seen.dates = Some((theirs, ours));
        refused(&mut findings, code, "")
    };
    let assertion = || ClientAuth::from(ClientAuth::client_assertion("a.b.c"));
    for (skew, words) in [(60, "is 60 s ahead of the server's"), (-60, "is 60 s behind the server's")] {
        let diagnosis = at(skew, assertion(), "invalid_client");
        assert_eq!(diagnosis.cause, Cause::Clock);
        assert!(diagnosis.summary.contains(words) && !diagnosis.to_string().contains("also"), "{diagnosis}");
    }
    for (skew, auth, code, also) in [
        (59, assertion(), "invalid_client", false),
        (60, assertion(), "invalid_scope", true),
        (60, post(), "invalid_client", true),
        (-60, post(), "invalid_client", true),
        (59, post(), "invalid_client", false),
    ] {
        let diagnosis = at(skew, auth, code);
        assert_ne!(diagnosis.cause, Cause::Clock, "{skew} {code}");
        assert_eq!(diagnosis.to_string().contains("also: the clock differs by 60 s"), also, "{diagnosis}");
    }
}

#[test]
fn a_flaw_of_the_credential_is_the_cause_or_is_named_beside_it() {
    let diagnosis = |secret: &str, code: &str| {
        let mut findings = findings("https://a.example/t", post());
        findings.shapes.push(Shape::of(secret));
        refused(&mut findings, code, "")
    };
    let also = "also: the credential ends with a line break";
    assert_eq!(diagnosis("secret\n", "invalid_client").cause, Cause::CredentialEdges);
    assert!(!diagnosis("secret\n", "invalid_client").to_string().contains("also"));
    assert!(diagnosis("secret\n", "invalid_scope").to_string().contains(also));
    assert!(!diagnosis("secret", "invalid_scope").to_string().contains("also"));
}

#[test]
fn a_credential_or_configuration_that_is_missing_is_named() {
    let mut nothing = findings("https://a.example/t", post());
    nothing.no_credential = true;
    let diagnosis = judge(&nothing, Vec::new());
    assert_eq!((diagnosis.cause, diagnosis.summary.as_str()), (Cause::CredentialUnreadable, "There is no credential."));
    let diagnosis = failed(&mut findings("https://a.example/t", post()), Error::of(ErrorKind::Configuration, "no TLS"));
    assert_eq!((diagnosis.cause, diagnosis.summary.as_str()), (Cause::Configuration, "No TLS."));
    assert!(!diagnosis.works());
    let diagnosis = failed(&mut findings("https://a.example/t", post()), Error::of(ErrorKind::Credential, "gone"));
    assert_eq!((diagnosis.cause, diagnosis.summary.as_str()), (Cause::CredentialUnreadable, "Gone."));
}

#[test]
fn a_token_without_audience_that_the_api_refuses_needs_one() {
    let answered = |status: u16, audience: &[&str]| {
        let mut findings = findings("https://a.example/t", post());
        findings.token = Some(Ok(AccessToken::builder("abc").build().unwrap()));
        let audience = audience.iter().map(|&one| one.to_owned()).collect();
        findings.claims = Some(super::super::claims::Claims { audience, ..Default::default() });
        findings.api = Some(Answer { status: Some(status), ..Default::default() });
        judge(&findings, Vec::new())
    };
    assert!(answered(401, &[]).advice[0].contains("the token has no audience"));
    assert!(answered(401, &["x"]).advice[0].contains("the token is for x"));
    let accepted = answered(200, &[]);
    assert!(accepted.works() && accepted.summary.contains("and the API accepts it"), "{accepted}");
}

#[test]
fn a_connection_that_is_dropped_or_refused_or_broken_is_told_apart() {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, TimedOut};
    for (flaw, cause) in
        [(TimedOut, Cause::Timeout), (ConnectionRefused, Cause::ConnectionRefused), (HostUnreachable, Cause::Outage)]
    {
        let mut findings = findings("https://a.example/t", post());
        findings.connect = Some(flaw.into());
        assert_eq!(failed(&mut findings, Error::of(ErrorKind::Transport, "no")).cause, cause);
    }
}

#[test]
fn the_other_method_is_suggested_that_the_server_supports() {
    let advice = |auth: ClientAuth, listed: Option<&[&str]>| {
        let mut findings = findings("https://a.example/t", auth);
        findings.seen.document.methods = listed.map(|all| all.iter().map(|&one| one.to_owned()).collect());
        refused(&mut findings, "invalid_client", "").to_string()
    };
    let basic = || ClientAuth::client_secret_basic("billing", "x");
    assert!(advice(post(), None).contains("may be registered for client_secret_basic"));
    assert!(advice(basic(), None).contains("may be registered for client_secret_post"));
    assert!(advice(basic(), Some(&["client_secret_basic"])).contains("may be registered for client_secret_post"));
    let several = advice(post(), Some(&["client_secret_post", "client_secret_basic", "private_key_jwt"]));
    assert!(several.contains("supports client_secret_basic, private_key_jwt"), "{several}");
    assert!(advice(ClientAuth::none("billing"), None).contains("the client must authenticate"));
}

#[test]
fn the_scope_of_entra_id_is_explained_where_the_server_or_its_words_are_of_entra_id() {
    let other = "https://a.example/t";
    for (endpoint, scope, description, explained) in [
        ("https://login.microsoftonline.com/contoso/oauth2/v2.0/token", "read", "no", true),
        (other, "read", "AADSTS70011: no", true),
        (other, "read", "it must end in .default", true),
        (other, "read", "no", false),
        (other, "api://x/.default", "AADSTS70011: no", false),
    ] {
        let draft = ClientCredentials::builder(endpoint, post()).scope(scope).draft();
        let mut findings = Findings { token_requests: 1, ..Findings::new(draft) };
        let oauth = OAuthError::new("invalid_scope".to_owned(), None, None);
        let error = Error::of(ErrorKind::Denied, description).with_oauth(oauth);
        let diagnosis = failed(&mut findings, error);
        assert_eq!(diagnosis.cause, Cause::Scope);
        assert_eq!(diagnosis.to_string().contains("Entra ID: request one scope"), explained, "{diagnosis}");
    }
}

#[test]
fn an_error_that_says_little_is_explained_by_what_was_found_before() {
    let refused_with = |change: fn(&mut Findings), description: &str| {
        let mut findings = findings("https://a.example/t", post());
        change(&mut findings);
        refused(&mut findings, "something_new", description).cause
    };
    let unlisted = |findings: &mut Findings| {
        findings.seen.document.methods = Some(vec!["private_key_jwt".to_owned()]);
    };
    let expired = |findings: &mut Findings| findings.expired = Some("the assertion expired".into());
    assert_eq!(refused_with(|_| (), "no"), Cause::Other);
    assert_eq!(refused_with(unlisted, "no"), Cause::MethodNotSupported);
    assert_eq!(refused_with(expired, "no"), Cause::Other);
    assert_eq!(refused_with(expired, "the token is expired"), Cause::CredentialExpired);
    assert_eq!(refused_with(|_| (), "the token is expired"), Cause::Other);
    assert_eq!(sentence(&Error::of(ErrorKind::Other, "")), "");
}

#[test]
fn the_encoding_of_basic_is_suspected_of_a_client_that_encodes() {
    for (auth, cause) in [
        (ClientAuth::client_secret_basic("billing", "x"), Cause::BasicEncoding),
        (ClientAuth::client_secret_basic_raw("billing", "x"), Cause::ClientRefused),
        (post(), Cause::ClientRefused),
    ] {
        let mut findings = findings("https://a.example/t", auth);
        findings.shapes.push(Shape::of("a+b"));
        assert_eq!(refused(&mut findings, "invalid_client", "").cause, cause);
    }
}

#[path = "judge_advice_tests.rs"]
mod advice;
