//! The advice of each verdict, and the words that lead to it.

use super::*;
use crate::explain::claims::Claims;

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
        it.credential_claims = Some(Claims { audience, ..Default::default() });
    });
    assert_advice(&diagnosis, Cause::Assertion, &["its audience is x, y: it must be what the server expects"]);
    let diagnosis = refused("invalid_client", "", |it| {
        let issuer = Some("https://k8s".to_owned());
        it.credential_claims = Some(Claims { issuer, ..Default::default() });
    });
    assert_advice(&diagnosis, Cause::Assertion, &["its audience is", "the server must trust its issuer https://k8s"]);
    // The words are those of the assertion, not of the API.
    assert_eq!(refused("something_new", "wrong audience", |_| ()).cause, Cause::Other);
}

#[cfg(feature = "jwt")]
#[test]
fn a_signed_assertion_that_is_refused_is_explained_by_its_claims() {
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
