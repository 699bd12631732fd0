//! What the server checks, counts and prints, one detail at a time: each failed with a mutant of the kit.

use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, FakeStep, FakeTokens, Gate, Quirk};
use client_credentials::{Cached, ClientAuth, ClientCredentials, ErrorKind, ManualClock, RetryPolicy};
use futures_util::FutureExt;

use crate::post_form;

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

async fn ask(server: &AuthorizationServer, form: &[(&str, &str)]) -> reqwest::Response {
    post_form(server.token_url(), form).header("user-agent", "kit/1").send().await.unwrap()
}

/// The lines of the story after the first one, without the times.
fn lines(server: &AuthorizationServer) -> Vec<String> {
    let story = server.story();
    story.lines().skip(1).map(|line| line.split_once(" s  ").map_or(line, |(_, rest)| rest).to_owned()).collect()
}

#[tokio::test]
async fn a_wait_ends_with_the_request_that_it_is_for_and_not_before() {
    let server = AuthorizationServer::start();
    let gate = Gate::new();
    assert_eq!(format!("{gate:?}"), "Gate(\"closed\")");
    server.next(Answer::Held(gate.clone()));
    assert!(server.received(Endpoint::Token, 1).now_or_never().is_none());
    let url = server.token_url().to_owned();
    let asked = tokio::spawn(async move { post_form(&url, &[GRANT]).send().await.unwrap().status() });
    server.received(Endpoint::Token, 1).await;
    assert_eq!(server.token_requests(), 1);
    assert!(server.received(Endpoint::Token, 1).now_or_never().is_some(), "without a wait");
    assert!(server.answered(Endpoint::Token, 1).now_or_never().is_none());
    assert!(server.received(Endpoint::Token, 2).now_or_never().is_none());
    gate.open();
    assert_eq!(format!("{gate:?}"), "Gate(\"open\")");
    server.answered(Endpoint::Token, 1).await;
    assert_eq!(asked.await.unwrap(), 200);
    ask(&server, &[GRANT]).await;
    server.answered(Endpoint::Token, 2).await;
    assert!(server.answered(Endpoint::Token, 3).now_or_never().is_none());
}

#[tokio::test]
async fn a_secret_that_begins_like_another_is_masked_whole() {
    let server = AuthorizationServer::start().client("a", "long-secret").client("b", "long-secret-extra");
    let url = format!("{}/x/long-secret-extra", server.api_origin());
    reqwest::get(url).await.unwrap();
    let path = server.requests()[0].path().to_owned();
    assert_eq!(path, "/x/***");
}

#[tokio::test]
async fn the_story_has_a_line_for_each_request_and_no_other() {
    let server = AuthorizationServer::start().client("billing", "a secret").scopes(["read"]);
    let foreign = AuthorizationServer::start();
    let http = reqwest::Client::new();
    let token = async |server: &AuthorizationServer| {
        let auth = ClientAuth::client_secret_basic("billing", "a secret");
        ClientCredentials::builder(server.token_url(), auth).build().unwrap().token().await.unwrap()
    };
    let get = async |token: Option<&client_credentials::AccessToken>| {
        let request = http.get(format!("{}/a", server.api_origin()));
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token.expose_secret()));
        request.send().await.unwrap()
    };
    let (first, second) = (token(&server).await, token(&server).await);
    get(Some(&second)).await;
    get(Some(&token(&foreign).await)).await;
    get(None).await;
    ask(&server, &[GRANT]).await;
    ask(&server, &[GRANT, ("client_id", "another")]).await;
    server.next(Answer::Reset).next(Answer::Status(503));
    let reset = post_form(server.token_url(), &[GRANT, ("client_id", "billing")]).send().await;
    assert!(reset.is_err());
    ask(&server, &[GRANT, ("client_id", "billing"), ("scope", "read")]).await;
    assert_eq!(
        lines(&server),
        [
            "POST /token  client \"billing\" by client_secret_basic  ->  200, token 1 for 3600 s",
            "POST /token  client \"billing\" by client_secret_basic  ->  200, token 2 for 3600 s",
            "GET /a  with token 2  ->  200",
            "GET /a  with a token of another server  ->  401, the token is unknown",
            "GET /a  without a token  ->  401, no token",
            "POST /token  ->  401, invalid_client: the request names no client",
            "POST /token  client \"[7 characters]\" by none  ->  401, invalid_client: the client is unknown",
            "POST /token  client \"billing\" by none  ->  the connection was reset",
            "POST /token  client \"billing\" by none, scope \"read\"  ->  503",
        ],
        "{}",
        server.story()
    );
    let requests = server.requests();
    let tokens: Vec<_> = requests.iter().map(|request| request.token()).collect();
    assert_eq!(tokens, [Some(1), Some(2), Some(2), None, None, None, None, None, None]);
    assert_eq!((requests[0].client_id(), requests[2].client_id()), (Some("billing"), None));
    assert_eq!((server.number_of(&first), server.tokens_issued(), server.api_requests()), (Some(1), 2, 3));
    let (known, value) = (&requests[2], format!("Bearer {}", second.expose_secret()));
    assert!(known.sent_header("authorization", &value) && !known.sent_header("authorization", "Bearer"));
    assert!(!known.sent_header("accept", &value) && !known.sent_header("x-key", "k"));
    let shown = format!("{server:?}");
    assert!(shown.contains(server.issuer()) && shown.contains("token_requests: 6"), "{shown}");
}

#[tokio::test]
async fn a_401_has_a_challenge_if_the_request_had_the_header() {
    let server = AuthorizationServer::start().client("billing", "a secret");
    let refused = async |in_header: bool| {
        let request = post_form(server.token_url(), &[GRANT, ("client_id", "billing")]);
        let request = if in_header { request.basic_auth("billing", Some("wrong")) } else { request };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key("content-length"));
        response.headers().contains_key("www-authenticate")
    };
    assert!(refused(true).await && !refused(false).await);
}

#[tokio::test]
async fn what_differs_between_quirks_differs_at_no_other_server() {
    let refuse = |quirk| AuthorizationServer::start().client("billing", "a secret").quirk(quirk);
    // The story has the text of the response, or that of the ordinary one if the response has none.
    for (quirk, told) in [
        (Quirk::Cognito, "400, invalid_client: the client is unknown"),
        (Quirk::Keycloak, "401, unauthorized_client: Invalid client or Invalid client credentials"),
    ] {
        let server = refuse(quirk);
        ask(&server, &[GRANT, ("client_id", "x")]).await;
        assert!(lines(&server)[0].ends_with(told), "{}", server.story());
    }
    // GitHub: any error has status 200, and tokens are of the type "bearer".
    let server = AuthorizationServer::start().quirk(Quirk::GitHub);
    let other = ask(&server, &[("grant_type", "password")]).await;
    assert_eq!((other.status().as_u16(), other.text().await.unwrap().contains("unsupported_grant_type")), (200, true));
    assert!(ask(&server, &[GRANT]).await.text().await.unwrap().contains("token_type=bearer"));
    // And so has any of Slack.
    let server = AuthorizationServer::start().quirk(Quirk::Slack);
    let other = ask(&server, &[("grant_type", "password")]).await;
    assert_eq!((other.status().as_u16(), other.text().await.unwrap().contains(r#""ok":false"#)), (200, true));
    let server = AuthorizationServer::start().quirk(Quirk::Auth0);
    let granted = ask(&server, &[GRANT, ("audience", "https://api.example.com")]).await;
    assert_eq!(granted.headers()["auth0-client-quota-limit"], "b=per_day;q=1000;r=999;t=86000");
    let server = AuthorizationServer::start().quirk(Quirk::Zoom);
    let refused = ask(&server, &[("grant_type", "account_credentials")]).await;
    assert!(refused.status() == 400 && refused.text().await.unwrap().contains("account_id is missing"));
    // Only WSO2 issues a token twice.
    for quirk in [Quirk::Apigee, Quirk::Wso2] {
        let server = AuthorizationServer::start().quirk(quirk);
        let token = async || ask(&server, &[GRANT]).await.json::<serde_json::Value>().await.unwrap();
        let (one, other) = (token().await, token().await);
        assert_eq!(one["access_token"] == other["access_token"], quirk == Quirk::Wso2, "{quirk:?}");
    }
    // The API of Salesforce has its own 401, but no other error, and no other API has it.
    let server = AuthorizationServer::start().quirk(Quirk::Salesforce).api_scope("write");
    let token = ask(&server, &[GRANT]).await.json::<serde_json::Value>().await.unwrap();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let http = reqwest::Client::new();
    assert_eq!(http.get(server.api_origin()).bearer_auth(token).send().await.unwrap().status(), 403);
    let server = AuthorizationServer::start().quirk(Quirk::Apigee);
    let refused = http.get(server.api_origin()).bearer_auth("unknown").send().await.unwrap();
    assert!(refused.status() == 401 && refused.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn an_error_of_github_is_a_form_with_the_headers_of_a_form_only() {
    let server = AuthorizationServer::start().client("billing", "a secret").quirk(Quirk::GitHub);
    let request = post_form(server.token_url(), &[GRANT]).basic_auth("billing", Some("wrong"));
    let refused = request.header("accept", "*/*").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["content-type"].to_str().unwrap()), (200, FORM));
    for of_json in ["www-authenticate", "cache-control"] {
        assert!(!refused.headers().contains_key(of_json), "{of_json}");
    }
    assert!(refused.text().await.unwrap().starts_with("error=invalid_client&error_description="));
    assert!(lines(&server)[0].contains("200, invalid_client: "), "{}", server.story());
    let granted = post_form(server.token_url(), &[GRANT]).basic_auth("billing", Some("a secret"));
    assert_eq!(granted.send().await.unwrap().headers()["content-type"], FORM);
    assert!(lines(&server)[1].contains("200, token 1 "), "{}", server.story());
}

#[tokio::test]
async fn a_fake_tells_a_hundred_events_and_counts_all() {
    let fake = FakeTokens::lasting(Duration::from_secs(60)).clock(&ManualClock::new());
    for _ in 0..101 {
        fake.token().await.unwrap();
    }
    let story = fake.story();
    assert!(story.starts_with("The fake source was asked 101 times: ") && story.ends_with(", token 100\n"), "{story}");
    let shown = format!("{fake:?}");
    assert!(shown.starts_with("FakeTokens { calls: 101, issued: 101, rejected: []"), "{shown}");
}

#[tokio::test]
async fn metadata_that_is_throttled_at_every_place_is_throttled() {
    let server = AuthorizationServer::start();
    server.until_changed_at(Endpoint::Metadata, Answer::RetryAfter(Duration::from_secs(30)));
    let issuer = client_credentials::Issuer::new(server.issuer());
    let builder = ClientCredentials::builder(issuer, ClientAuth::none("billing"));
    let error = builder.retry(RetryPolicy::default().attempts(1)).build().unwrap().token().await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::Throttled, 2), "{error:#}");
}

#[tokio::test]
async fn what_waits_for_tokens_is_shown_with_its_source() {
    let tokens = Cached::new(FakeTokens::lasting(Duration::from_secs(60)));
    let shown = format!("{:?}", tokens.changes());
    assert!(shown.starts_with("Changes { tokens: ") && shown.contains("FakeTokens"), "{shown}");
    let source = client_credentials::source_fn(|| async { Err(client_credentials::Error::other("none")) });
    assert_eq!(format!("{source:?}"), "SourceFn");
    #[cfg(feature = "blocking")]
    {
        let shown = format!("{:?}", client_credentials::blocking::Tokens::new(FakeTokens::script([])));
        assert!(shown.starts_with("Tokens(") && shown.contains("FakeTokens"), "{shown}");
    }
}

/// Set in the child: whether the test below is to fail.
const CHILD: &str = "KIT_STORY_CHILD";

#[test]
fn only_a_test_that_fails_prints_stories_and_each_once() {
    for fails in [true, false] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "details::two_stories_in_a_child", "--nocapture"])
            .env(CHILD, fails.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), !fails, "{text}");
        for begin in ["The authorization server http", "The fake source was asked 0 times"] {
            assert_eq!(text.matches(begin).count(), usize::from(fails), "{text}");
        }
    }
}

#[test]
fn two_stories_in_a_child() {
    let Ok(fails) = std::env::var(CHILD) else { return };
    let (server, fake) = (AuthorizationServer::start(), FakeTokens::script([FakeStep::Hang]));
    let _clones = (server.clone(), fake.clone());
    assert_ne!(fails, "true", "as it shall");
}

#[cfg(feature = "dpop")]
#[tokio::test]
async fn a_nonce_is_required_from_the_start_and_after_each_change() {
    use client_credentials::DpopKey;
    for (server, first, second) in
        [(AuthorizationServer::start(), 1, 2), (AuthorizationServer::start().dpop_nonces(), 2, 3)]
    {
        let auth = ClientAuth::none("billing");
        let builder = ClientCredentials::builder(server.token_url(), auth).dpop(DpopKey::generate());
        let tokens = builder.build().unwrap();
        let token = tokens.token().await.unwrap();
        assert_eq!(server.token_requests(), first, "{}", server.story());
        // With the nonce that it knows.
        tokens.reject(&token);
        let token = tokens.token().await.unwrap();
        assert_eq!(server.token_requests(), second, "{}", server.story());
        server.change_dpop_nonce();
        tokens.reject(&token);
        tokens.token().await.unwrap();
        assert_eq!(server.token_requests(), second + 2, "{}", server.story());
    }
}

#[cfg(feature = "dpop")]
#[tokio::test]
async fn a_bound_token_keeps_its_scheme_where_the_api_has_another() {
    use client_credentials::{BearerAuth, DpopKey};
    for (bound, scheme) in [(true, "DPoP "), (false, "Zoho-oauthtoken ")] {
        let server = AuthorizationServer::start();
        let builder = ClientCredentials::builder(server.token_url(), ClientAuth::none("billing"));
        let builder = if bound { builder.dpop(DpopKey::generate()) } else { builder };
        let bearer = BearerAuth::builder(builder.build().unwrap()).origin(server.api_origin());
        let bearer = bearer.header("authorization", "Zoho-oauthtoken").build().unwrap();
        let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
        let response = client.get(server.api_origin()).send().await.unwrap();
        assert_eq!(response.status() == 200, bound, "{}", server.story());
        let requests = server.requests();
        let sent = requests.iter().find(|request| request.endpoint() == Endpoint::Api).unwrap();
        assert!(sent.expose_headers("authorization").all(|value| value.starts_with(scheme)));
    }
}

#[cfg(feature = "jwt")]
mod assertions {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::hmac;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use client_credentials::SigningAlgorithm::{self, *};

    use super::*;

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
    }

    fn jwk(kind: &str, members: &[(&str, &[u8])]) -> String {
        let members = members.iter().map(|(name, value)| format!(r#","{name}":"{}""#, URL_SAFE_NO_PAD.encode(value)));
        format!("{{{kind}{}}}", members.collect::<String>())
    }

    #[tokio::test]
    async fn every_algorithm_is_verified() {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (p384, p521) = (&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P521_SHA512_FIXED_SIGNING);
        let [p384, p521] = [p384, p521].map(|curve| EcdsaKeyPair::generate(curve).unwrap());
        let edwards = Ed25519KeyPair::generate().unwrap();
        // RFC 8017 appendix A.1.1: two headers, a zero, the modulus, a header, the exponent.
        let public = rsa.public_key().as_ref();
        let (n, e) = (&public[9..265], &public[267..]);
        let on_curve = |pair: &EcdsaKeyPair, name: &str| {
            let (_, point) = pair.public_key().as_ref().split_first().unwrap();
            let (x, y) = point.split_at(point.len() / 2);
            jwk(&format!(r#""kty":"EC","crv":"{name}""#), &[("x", x), ("y", y)])
        };
        let keys: [(String, String, &[SigningAlgorithm]); 4] = [
            (
                pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap().as_ref()),
                jwk(r#""kty":"RSA""#, &[("n", n), ("e", e)]),
                &[RS256, RS384, RS512, PS256, PS384, PS512],
            ),
            (pem(p384.to_pkcs8v1().unwrap().as_ref()), on_curve(&p384, "P-384"), &[ES384]),
            (pem(p521.to_pkcs8v1().unwrap().as_ref()), on_curve(&p521, "P-521"), &[ES512]),
            (
                pem(edwards.to_pkcs8v1().unwrap().as_ref()),
                jwk(r#""kty":"OKP","crv":"Ed25519""#, &[("x", edwards.public_key().as_ref())]),
                &[EdDSA],
            ),
        ];
        let secret = "a secret that is long enough for every HMAC that there is, up to SHA-512";
        let mut server = AuthorizationServer::start().client("hmac", secret);
        for (n, (_, public, _)) in keys.iter().enumerate() {
            server = server.client_with_key(n.to_string(), public);
        }
        let granted = async |auth: ClientAuth, method: &str| {
            let builder = ClientCredentials::builder(server.token_url(), auth);
            builder.build().unwrap().token().await.unwrap_or_else(|e| panic!("{e:#}\n{}", server.story()));
            assert_eq!(server.requests().last().unwrap().auth_method(), Some(method));
        };
        for algorithm in [HS256, HS384, HS512] {
            let auth = ClientAuth::client_secret_jwt("hmac", secret).audience(server.issuer()).algorithm(algorithm);
            granted(auth.into(), "client_secret_jwt").await;
        }
        for (n, (private, _, algorithms)) in keys.iter().enumerate() {
            for algorithm in *algorithms {
                let auth = ClientAuth::private_key_jwt(n.to_string(), private.as_str()).audience(server.issuer());
                granted(auth.algorithm(*algorithm).into(), "private_key_jwt").await;
            }
        }
    }

    #[tokio::test]
    async fn issuer_and_subject_are_both_the_client() {
        const SECRET: &str = "a secret that is 32 characters long";
        let server = AuthorizationServer::start().client("billing", SECRET);
        for (issuer, subject, status) in
            [("billing", "billing", 200), ("billing", "other", 401), ("other", "billing", 401)]
        {
            let claims = serde_json::json!({
                "iss": issuer, "sub": subject, "aud": server.issuer(), "jti": issuer, "exp": 4_000_000_000_u64,
            });
            let [header, claims] =
                [r#"{"alg":"HS256"}"#.to_owned(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
            let message = format!("{header}.{claims}");
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
            let assertion = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let form =
                [GRANT, ("client_id", "billing"), ("client_assertion_type", kind), ("client_assertion", &assertion)];
            assert_eq!(ask(&server, &form).await.status(), status, "{issuer} {subject}: {}", server.story());
        }
    }
}
