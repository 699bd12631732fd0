//! Verdicts that no test server can cause.

use std::time::Duration;

use http::StatusCode;

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
        findings.api = Some(super::super::findings::Answer { status: Some(status), ..Default::default() });
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

/// There is this advice, in this order, and no other.
fn assert_advice(diagnosis: &Diagnosis, cause: Cause, words: &[&str]) {
    assert_eq!((diagnosis.cause, diagnosis.advice.len()), (cause, words.len()), "{words:?}: {diagnosis}");
    for (one, words) in diagnosis.advice.iter().zip(words) {
        assert!(one.contains(words), "{words}: {diagnosis}");
    }
}

/// What was found, the text of the error, the cause and the advice.
type Unreached<'a> = (fn(&mut Findings), &'static str, Cause, &'a [&'a str]);

#[test]
fn a_server_that_is_not_reached_gets_all_advice_of_its_cause() {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, TimedOut};
    let up = &["check host and port, and whether the server is up", "inside a container localhost"][..];
    let slow = &["is it overloaded", "raise Limits::attempt_timeout"][..];
    let cases: [Unreached; 10] = [
        (|it| it.dns = Some("no".into()), "no", Cause::Dns, &["typing mistake", "only by a VPN"]),
        (
            |it| it.connect = Some(TimedOut.into()),
            "no",
            Cause::Timeout,
            &["a firewall drops the packets", "or a proxy is needed"],
        ),
        (|it| it.connect = Some(ConnectionRefused.into()), "no", Cause::ConnectionRefused, up),
        (|it| it.connect = Some(HostUnreachable.into()), "no", Cause::Outage, up),
        (|_| (), "gave no complete response within 5s", Cause::Timeout, slow),
        (|_| (), "operation timed out", Cause::Timeout, slow),
        (|it| it.handshake = Some("no".into()), "no", Cause::Tls, &["check the port, and the server's log"]),
        (|_| (), "no", Cause::Outage, &["the connection broke"]),
        (|_| (), "it does not speak TLS: is the port one for plain http?", Cause::Tls, &["one for http://"]),
        (
            |it| it.proxy = Some("p from the environment variable HTTPS_PROXY".into()),
            "no",
            Cause::Proxy,
            &["the proxy p from the environment variable HTTPS_PROXY: does it run", "add the host to NO_PROXY"],
        ),
    ];
    for (change, text, cause, advice) in cases {
        let mut findings = findings("https://a.example/t", post());
        change(&mut findings);
        assert_advice(&failed(&mut findings, Error::of(ErrorKind::Transport, text)), cause, advice);
    }
}

#[test]
fn a_certificate_that_is_not_trusted_gets_all_advice_of_its_flaw() {
    let facts = |not_before, not_after| Facts {
        issuer: "Inspector".into(),
        subject: "other.example".into(),
        not_before,
        not_after,
    };
    let fine = || facts(Duration::ZERO, Duration::MAX);
    let of_another_name = &["the certificate is of other.example, not of this host"][..];
    for (text, leaf, advice) in [
        (
            "no",
            Some(facts(Duration::ZERO, Duration::ZERO)),
            &["the certificate of other.example has expired", "or the clock of this machine is wrong"][..],
        ),
        ("no", Some(facts(Duration::MAX, Duration::MAX)), &["the certificate is not valid yet"]),
        ("NotValidForName", Some(fine()), of_another_name),
        ("certificate not valid for name \"a.example\"", Some(fine()), of_another_name),
        ("no", Some(fine()), &["the certificate was issued by Inspector: if that is", "ca-certificates"]),
        ("no", None, &["the issuer is not among the roots of this system: if that is", "ca-certificates"]),
    ] {
        let mut findings = findings("https://a.example/t", post());
        findings.leaf = leaf;
        // Of a credential that is not the certificate.
        findings.expired = Some("the assertion expired".into());
        assert_advice(&failed(&mut findings, Error::of(ErrorKind::Tls, text)), Cause::Tls, advice);
    }
}

#[test]
fn an_answer_without_an_oauth_error_gets_all_advice_of_its_status() {
    let compare = &["compare client id and secret with the registration", "a proxy or firewall in front"][..];
    let outage = &["the server cannot answer now", "some servers answer a malformed request"][..];
    let (another, page) = ("look for token_endpoint in", "captive portal");
    for (status, text, cause, advice) in [
        (300, "no", Cause::NotATokenEndpoint, &[another][..]),
        (399, "no", Cause::NotATokenEndpoint, &[another]),
        (404, "no", Cause::NotATokenEndpoint, &[another]),
        (405, "no", Cause::NotATokenEndpoint, &[another]),
        (410, "no", Cause::NotATokenEndpoint, &[another]),
        (415, "no", Cause::NotATokenEndpoint, &[another]),
        (501, "no", Cause::NotATokenEndpoint, &[another]),
        (200, "no", Cause::NotATokenEndpoint, &[another, page]),
        (299, "no", Cause::NotATokenEndpoint, &[another, page]),
        (407, "no", Cause::Proxy, &["http://USER:PASSWORD@HOST:PORT in HTTPS_PROXY", "or add the host to NO_PROXY"]),
        (401, "no", Cause::ClientRefused, compare),
        (403, "no", Cause::ClientRefused, compare),
        (500, "no", Cause::Outage, outage),
        (599, "no", Cause::Outage, outage),
        (499, "no", Cause::Other, &["compare the request with the server's documentation"]),
        (400, "sent to an HTTPS server", Cause::Other, &["compare the request"]),
    ] {
        let error = || Error::of(ErrorKind::Response, text).with_status(StatusCode::from_u16(status).unwrap());
        assert_advice(&failed(&mut findings("https://a.example/t", post()), error()), cause, advice);
        if status != 400 {
            assert_advice(&failed(&mut findings("http://127.0.0.1/t", post()), error()), cause, advice);
        }
    }
    for (text, cause, advice) in [
        ("its body is not JSON", Cause::NotATokenEndpoint, &[another, page][..]),
        ("no", Cause::Other, &["compare the request"]),
    ] {
        let without_status = Error::of(ErrorKind::Response, text);
        assert_advice(&failed(&mut findings("https://a.example/t", post()), without_status), cause, advice);
    }
    let mut elsewhere = findings("https://a.example/t", post());
    elsewhere.seen.document.token_endpoint = Some("https://a.example/token".to_owned());
    elsewhere.redirect = Some("https://b.example/t".to_owned());
    let moved = Error::of(ErrorKind::Response, "moved").with_status(StatusCode::FOUND);
    let advice = ["names this token endpoint: https://a.example/token", "it redirects to https://b.example/t", another];
    assert_advice(&failed(&mut elsewhere, moved), Cause::NotATokenEndpoint, &advice);
    let mut flawed = findings("https://a.example/t", post());
    flawed.shapes.push(Shape::of("secret "));
    let unauthorized = Error::of(ErrorKind::Response, "no").with_status(StatusCode::UNAUTHORIZED);
    assert_eq!(failed(&mut flawed, unauthorized).cause, Cause::CredentialEdges);
}

#[test]
fn a_port_that_expects_tls_says_so_in_the_words_of_its_server() {
    for (server, words) in [
        ("nginx", "400 The plain HTTP request was sent to HTTPS port"),
        ("Go", "Client sent an HTTP request to an HTTPS server."),
        ("Apache", "You're speaking plain HTTP to an SSL-enabled server port."),
        ("Tomcat", "This combination of host and port requires TLS."),
    ] {
        let error = || Error::of(ErrorKind::Response, words).with_status(StatusCode::BAD_REQUEST);
        let diagnosis = failed(&mut findings("http://127.0.0.1/t", post()), error());
        assert_advice(&diagnosis, Cause::NotATokenEndpoint, &["the port expects TLS: write https://"]);
        assert_eq!(failed(&mut findings("https://a.example/t", post()), error()).cause, Cause::Other, "{server}");
    }
    let other = Error::of(ErrorKind::Response, "no").with_status(StatusCode::BAD_REQUEST);
    assert_eq!(failed(&mut findings("http://127.0.0.1/t", post()), other).cause, Cause::Other);
}

#[test]
fn metadata_that_does_not_lead_to_an_endpoint_gets_advice_about_the_issuer_or_the_api() {
    use crate::client_credentials::{Issuer, ProtectedResource, Server};
    let not_found = |server: Server, change: fn(&mut Findings)| {
        let mut findings = Findings::new(ClientCredentials::builder(server, post()).draft());
        change(&mut findings);
        failed(&mut findings, Error::of(ErrorKind::Response, "no"))
    };
    let issuer = |url: &str| Server::from(Issuer::new(url));
    let (known, itself) = ("Keycloak: https://HOST/realms/REALM", "or configure the token endpoint itself");
    for (url, change, advice) in [
        ("https://a.example", (|_| ()) as fn(&mut Findings), &[known, itself][..]),
        ("https://a.example", |it| it.seen.document.issuer = Some("https://a.example".into()), &[known, itself]),
        (
            "https://a.example",
            |it| it.seen.document.issuer = Some("https://b.example".into()),
            &["the server calls itself https://b.example: use exactly that", known, itself],
        ),
        ("https://a.example/token/", |_| (), &["this looks like the token endpoint", known, itself]),
    ] {
        assert_advice(&not_found(issuer(url), change), Cause::Metadata, advice);
    }
    let api =
        || Server::from(ProtectedResource::new("https://mcp.example", ["https://a.example", "https://b.example"]));
    assert_advice(&not_found(api(), |_| ()), Cause::Metadata, &[itself]);
    let named = not_found(api(), |it| it.seen.api_names = Some(vec!["https://c.example".into()]));
    let names = "the API names https://c.example; allowed are https://a.example, https://b.example";
    assert_advice(&named, Cause::Metadata, &[names, itself]);
}

#[test]
fn each_word_of_a_description_leads_to_its_cause() {
    for (code, descriptions, cause) in [
        (
            "something_new",
            &[
                "Audience x is unknown",
                "the resource principal is unknown",
                "no client-grant",
                "unknown resource server",
            ][..],
            Cause::AudienceOrResource,
        ),
        ("something_new", &["no such grant type", "grant_type x", "no service account"], Cause::GrantNotAllowed),
        ("something_new", &["no such scope", "it ends with .default"], Cause::Scope),
        ("something_new", &["wrong authentication method", "client_assertion is missing"], Cause::MethodNotSupported),
        (
            "invalid_client",
            &[
                "wrong authentication method",
                "wrong auth method",
                "unknown authentication scheme",
                "it is not supported by the server",
            ],
            Cause::MethodNotSupported,
        ),
        ("invalid_client", &["AADSTS7000215"], Cause::SecretId),
        ("invalid_client", &["no", "the clock is wrong", "no such scope"], Cause::ClientRefused),
        ("unauthorized_client", &["bad credentials", "wrong secret", "invalid client"], Cause::ClientRefused),
        (
            "unauthorized_client",
            &["no", "this grant is not for clients with a secret", "no service account for invalid client"],
            Cause::GrantNotAllowed,
        ),
        ("unsupported_grant_type", &["no"], Cause::GrantNotAllowed),
        ("invalid_scope", &["no", "no such audience"], Cause::Scope),
        ("invalid_target", &["no", "no such scope"], Cause::AudienceOrResource),
        ("invalid_resource", &["no", "no such scope"], Cause::AudienceOrResource),
        ("access_denied", &["no such scope for the grant type"], Cause::Scope),
        ("access_denied", &["no such grant type"], Cause::GrantNotAllowed),
        ("invalid_dpop_proof", &["no"], Cause::DpopRequired),
        ("use_dpop_nonce", &["no"], Cause::DpopRequired),
        ("temporarily_unavailable", &["no"], Cause::Outage),
        ("server_error", &["no"], Cause::Outage),
        ("invalid_grant", &["no"], Cause::Other),
    ] {
        for description in descriptions {
            let diagnosis = refused(&mut findings("https://a.example/t", post()), code, description);
            assert_eq!(diagnosis.cause, cause, "{code}, {description}: {diagnosis}");
        }
    }
    for words in
        ["expired", "wrong iat", "wrong nbf", "wrong exp claim", "not yet valid", "too old", "in the future", "clock"]
    {
        let mut findings = findings("https://a.example/t", post());
        findings.expired = Some("the assertion expired".into());
        let diagnosis = refused(&mut findings, "something_new", words);
        assert_eq!(diagnosis.cause, Cause::CredentialExpired, "{words}");
    }
    for (code, cause) in [("invalid_client", Cause::CredentialExpired), ("something_new", Cause::Other)] {
        let mut findings = findings("https://a.example/t", post());
        findings.expired = Some("the assertion expired".into());
        assert_eq!(refused(&mut findings, code, "no").cause, cause, "{code}");
    }
}

/// The method, the code, what was found, the cause and the advice.
type Refused<'a> = (ClientAuth, &'a str, fn(&mut Findings), Cause, &'a [&'a str]);

#[test]
fn a_refusal_gets_all_advice_of_its_cause() {
    let basic = |id: &str| ClientAuth::client_secret_basic(id, "x");
    let (registration, new) = ("compare client id and secret with the registration", "a new secret may take");
    let (grant, products) = ("allow the client the grant client_credentials", "Keycloak: switch on");
    let raw = "try client_secret_basic_raw";
    let none = |_: &mut Findings| ();
    let cases: [Refused; 18] = [
        (post(), "use_dpop_nonce", none, Cause::DpopRequired, &["add .dpop(..)", "or switch the requirement off"]),
        (post(), "server_error", none, Cause::Outage, &["the server cannot answer now: try again"]),
        (post(), "something_new", none, Cause::Other, &["look up the error and its ids"]),
        (
            post(),
            "something_new",
            |it| it.seen.document.grants = Some(vec!["password".into()]),
            Cause::MethodNotSupported,
            &["the grant client_credentials is not among those listed"],
        ),
        (
            post(),
            "invalid_client",
            |it| it.seen.document.grants = Some(vec!["password".into()]),
            Cause::ClientRefused,
            &[registration, "the client may be registered for client_secret_basic", new],
        ),
        (
            basic("billing"),
            "invalid_client",
            |it| it.shapes.push(Shape::of("a+b")),
            Cause::BasicEncoding,
            &[raw, "if that fails as well, compare id and secret"],
        ),
        (basic("a+b"), "invalid_client", none, Cause::BasicEncoding, &[raw, "if that fails as well"]),
        (
            ClientAuth::client_secret_post("a+b", "x"),
            "invalid_client",
            none,
            Cause::ClientRefused,
            &[registration, "may be registered for client_secret_basic", new],
        ),
        (
            ClientAuth::client_secret_basic_raw("a+b", "x"),
            "invalid_client",
            none,
            Cause::ClientRefused,
            &[registration, "may be registered for client_secret_post", new],
        ),
        (
            ClientAuth::none("billing"),
            "invalid_client",
            none,
            Cause::ClientRefused,
            &[registration, "the client must authenticate", new],
        ),
        (
            post(),
            "invalid_client",
            |it| it.seen.document.methods = Some(vec!["tls_client_auth".into(), "private_key_jwt".into()]),
            Cause::MethodNotSupported,
            &[
                "the server lists tls_client_auth, private_key_jwt; the client uses client_secret_post",
                "use the method that the client is registered for",
            ],
        ),
        (
            basic("bill\u{a0}"),
            "invalid_client",
            none,
            Cause::CredentialEdges,
            &["write it without: some programs read quotes"],
        ),
        (post(), "unsupported_grant_type", none, Cause::GrantNotAllowed, &[grant, products]),
        (
            post(),
            "unsupported_grant_type",
            |it| it.seen.document.grants = Some(vec!["password".into(), "implicit".into()]),
            Cause::GrantNotAllowed,
            &[grant, products, "the server lists password, implicit"],
        ),
        (post(), "invalid_scope", none, Cause::Scope, &["no scope was requested: this server requires one"]),
        (
            post(),
            "invalid_scope",
            |it| it.seen.document.scopes = Some(vec!["read".into(), "write".into()]),
            Cause::Scope,
            &["no scope was requested", "the server lists read write"],
        ),
        (
            post(),
            "invalid_target",
            none,
            Cause::AudienceOrResource,
            &["name the API: .audience(..) at Auth0, Ory Hydra and Kinde; .resource(..) at AD FS"],
        ),
        (
            post(),
            "invalid_client",
            |it| it.seen.dates = Some((Duration::from_secs(0), Duration::from_secs(600))),
            Cause::ClientRefused,
            &[registration, "may be registered for", new, "also: the clock differs by 10 min"],
        ),
    ];
    for (auth, code, change, cause, advice) in cases {
        let mut findings = findings("https://a.example/t", auth);
        change(&mut findings);
        assert_advice(&refused(&mut findings, code, ""), cause, advice);
    }
}

#[test]
fn the_audience_or_the_resource_that_was_asked_for_is_explained() {
    let endpoint = || ClientCredentials::builder("https://a.example/t", post());
    for (builder, advice) in [
        (endpoint().audience("x"), "the audience is unknown, or the client is not authorized for it"),
        (endpoint().resource("https://x"), "the resource is unknown or refused"),
        (endpoint().audience("x").resource("https://x"), "the audience is unknown"),
    ] {
        let mut findings = Findings { token_requests: 1, ..Findings::new(builder.draft()) };
        assert_advice(&refused(&mut findings, "invalid_target", ""), Cause::AudienceOrResource, &[advice]);
    }
}

#[test]
fn an_assertion_of_others_that_is_refused_is_explained_by_its_claims() {
    let refused = |code: &str, description: &str, change: fn(&mut Findings)| {
        let mut findings = findings("https://a.example/t", ClientAuth::client_assertion("a.b.c").into());
        change(&mut findings);
        refused(&mut findings, code, description)
    };
    for code in ["invalid_client", "invalid_grant"] {
        assert_advice(&refused(code, "", |_| ()), Cause::Assertion, &[]);
    }
    let diagnosis = refused("invalid_client", "", |it| {
        let audience = vec!["x".to_owned(), "y".to_owned()];
        it.credential_claims = Some(super::super::claims::Claims { audience, ..Default::default() });
    });
    assert_advice(&diagnosis, Cause::Assertion, &["its audience is x, y: it must be what the server expects"]);
    let diagnosis = refused("invalid_client", "", |it| {
        let issuer = Some("https://k8s".to_owned());
        it.credential_claims = Some(super::super::claims::Claims { issuer, ..Default::default() });
    });
    assert_advice(&diagnosis, Cause::Assertion, &["its audience is", "the server must trust its issuer https://k8s"]);
    // The words are those of the assertion, not of the API.
    assert_eq!(refused("something_new", "wrong audience", |_| ()).cause, Cause::Other);
}

#[cfg(feature = "jwt")]
#[test]
fn a_signed_assertion_that_is_refused_is_explained_by_its_claims() {
    use super::super::claims::Claims;
    let refused = |claims: Option<Claims>, change: fn(&mut Findings)| {
        let auth = ClientAuth::client_secret_jwt("billing", "x".repeat(32)).audience("https://a.example");
        let mut findings = findings("https://a.example/t", auth.into());
        findings.assertion = claims;
        change(&mut findings);
        refused(&mut findings, "invalid_client", "")
    };
    let text = |text: &str| Some(text.to_owned());
    let claims =
        || Claims { algorithm: text("HS256"), audience: vec!["https://a.example".into()], ..Default::default() };
    let (key, kid) = ("is the public key, or the secret, that of this client?", "there is no kid");
    let audience = "aud is https://a.example: some servers (Entra ID, Okta) require the token endpoint";
    assert_advice(&refused(None, |_| ()), Cause::Assertion, &[key]);
    assert_advice(&refused(Some(claims()), |_| ()), Cause::Assertion, &[audience, kid, key]);
    let same: fn(&mut Findings) = |it| {
        it.seen.document.algorithms = Some(vec!["RS256".into(), "HS256".into()]);
        it.seen.document.issuer = Some("https://a.example".into());
    };
    assert_advice(&refused(Some(claims()), same), Cause::Assertion, &[audience, kid, key]);
    let other: fn(&mut Findings) = |it| {
        it.seen.document.algorithms = Some(vec!["RS256".into(), "ES256".into()]);
        it.seen.document.issuer = Some("https://b.example".into());
    };
    let of_the_server = [
        "alg is HS256, and the server lists RS256 ES256",
        "aud is https://a.example, and the issuer is https://b.example: .audience(..)",
        kid,
        key,
    ];
    assert_advice(&refused(Some(claims()), other), Cause::Assertion, &of_the_server);
    let named = Claims { key_id: text("k1"), typ: text("client-authentication+jwt"), ..claims() };
    let of_the_header =
        [audience, "kid is k1: is the public key registered", "older servers require .typ(\"JWT\")", key];
    assert_advice(&refused(Some(named), |_| ()), Cause::Assertion, &of_the_header);
    assert_advice(
        &refused(Some(Claims { typ: text("JWT"), ..claims() }), |_| ()),
        Cause::Assertion,
        &[audience, kid, key],
    );
}

#[cfg(feature = "dpop")]
#[test]
fn a_refused_proof_is_no_sign_of_a_missing_key_but_may_be_one_of_the_clock() {
    let refused = |code: &str, seconds: u64| {
        let builder = ClientCredentials::builder("https://a.example/t", post()).dpop(crate::dpop::DpopKey::generate());
        let mut findings = Findings { token_requests: 1, ..Findings::new(builder.draft()) };
        findings.seen.dates = Some((Duration::from_secs(1_000), Duration::from_secs(1_000 + seconds)));
        refused(&mut findings, code, "")
    };
    assert_eq!(refused("use_dpop_nonce", 0).cause, Cause::Other);
    assert_eq!(refused("invalid_dpop_proof", 59).cause, Cause::Other);
    assert_advice(&refused("invalid_dpop_proof", 60), Cause::Clock, &["set the clock (NTP)", "server_time(true)"]);
}
