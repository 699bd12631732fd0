//! Family F: what `build()` refuses, and how what it accepts looks on the wire.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client_credentials::{
    Backoff, CachePolicy, ClientAuth, ClientCredentials, ClientCredentialsBuilder, ErrorKind, HttpClient, Limits,
    RetryPolicy, TokenExchange,
};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use crate::harness::canary::{OTHER, SECRET, TOKEN, assert_no_canary, render, render_all};
use crate::harness::server::{Server, Step, json_ok, ok};
use crate::story::{bare, basic, builder, builder_with, recovers};

/// The error of `build()`; `None`: there is none.
fn fault(builder: ClientCredentialsBuilder) -> Option<String> {
    match builder.build() {
        Ok(_) => None,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
            assert!(!error.is_transient());
            assert_no_canary([render_all(&error)]);
            Some(error.to_string())
        }
    }
}

fn at(endpoint: &str) -> ClientCredentialsBuilder {
    builder_with(endpoint, basic())
}

fn good() -> ClientCredentialsBuilder {
    at("https://auth.example/token")
}

#[track_caller]
fn names(builder: ClientCredentialsBuilder, words: &[&str]) {
    let text = fault(builder).unwrap_or_else(|| panic!("accepted; expected {words:?}"));
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[test]
fn plain_http_is_for_loopback_and_named_hosts_only() {
    // F01
    for endpoint in [
        "https://auth.example/token",
        "http://127.0.0.1:8080/token",
        "http://127.255.0.7/token",
        "http://[::1]/token",
        "http://localhost/token",
        "http://LOCALHOST:1/token",
    ] {
        assert_eq!(fault(at(endpoint)), None, "{endpoint}");
    }
    for endpoint in [
        "http://auth.example/token",
        "http://localhost.evil.example/token",
        "http://evil.localhost/token",
        "http://localhost./token",
        "http://127.0.0.1.evil.example/token",
        "http://128.0.0.1/token",
        "http://0.0.0.0/token",
        "http://[::]/token",
        "http://[::ffff:127.0.0.1]/token",
        "http://10.0.0.1/token",
        "http://keycloak:8080/token",
    ] {
        names(at(endpoint), &["token_endpoint", "unencrypted", "dangerously_allow_http"]);
    }
    assert_eq!(fault(at("http://keycloak:8080/token").dangerously_allow_http("KeyCloak")), None);
    names(at("http://keycloak.evil.example/token").dangerously_allow_http("keycloak"), &["token_endpoint"]);
    names(at("ftp://auth.example/token"), &["token_endpoint", "does not begin with https://"]);
    names(at("file:///etc/passwd"), &["token_endpoint"]);
    for nonsense in ["", "auth.example/token", "https://", "https:///", "/token", "https://a b/"] {
        names(at(nonsense), &["token_endpoint"]);
    }
}

#[test]
fn every_fault_is_named_at_once() {
    // F02
    let auth = ClientAuth::client_secret_basic("", "");
    let all = builder_with("http://auth.example/#x", auth)
        .scope("a\"b")
        .resource("relative")
        .param("scope", "x")
        .header("host", "x")
        .limits(Limits::new().attempt_timeout(Duration::ZERO));
    names(
        all,
        &[
            "client_id is empty",
            "client_secret is empty",
            "token_endpoint",
            "scope",
            "resource",
            "param",
            "header",
            "attempt_timeout",
        ],
    );
}

#[test]
fn an_empty_id_or_secret_is_refused() {
    // F02
    for (auth, field) in [
        (ClientAuth::client_secret_basic("", SECRET), "client_id"),
        (ClientAuth::client_secret_basic_raw("", SECRET), "client_id"),
        (ClientAuth::client_secret_post("", SECRET), "client_id"),
        (ClientAuth::none(""), "client_id"),
        (ClientAuth::client_secret_basic("wire", ""), "client_secret"),
        (ClientAuth::client_secret_basic_raw("wire", ""), "client_secret"),
        (ClientAuth::client_secret_post("wire", ""), "client_secret"),
        (ClientAuth::client_secret_basic_raw("wi:re", SECRET), "client_id"),
    ] {
        names(builder_with("https://auth.example/token", auth), &[field]);
    }
}

#[test]
fn control_characters_are_refused_in_id_secret_and_scope() {
    // F05: each of them in each field; and what is not ASCII is allowed in id and secret
    for control in (0..0x20_u8).chain([0x7f]).map(char::from) {
        let id = format!("wi{control}re");
        let secret = format!("{SECRET}{control}{SECRET}");
        for (auth, field) in [
            (ClientAuth::client_secret_basic(id.as_str(), SECRET), "client_id"),
            (ClientAuth::client_secret_post(id.as_str(), SECRET), "client_id"),
            (ClientAuth::none(id.as_str()), "client_id"),
            (ClientAuth::client_secret_basic("wire", secret.as_str()), "client_secret"),
            (ClientAuth::client_secret_post("wire", secret.as_str()), "client_secret"),
        ] {
            names(builder_with("https://auth.example/token", auth), &[field]);
        }
        names(good().scope(format!("a{control}b")), &["scope"]);
        // In a parameter it is encoded, in a header refused (a tab is allowed there).
        assert_eq!(fault(good().audience(format!("a{control}b"))), None);
        if control != '\t' {
            names(good().header("x-api-key", format!("{OTHER}{control}")), &["header", "x-api-key"]);
        }
    }
    let auth = ClientAuth::client_secret_basic("ünïcode", "sécret €");
    assert_eq!(fault(builder_with("https://auth.example/token", auth)), None);
    for scope in ["é", "a\"b", "a\\b"] {
        names(good().scope(scope), &["scope"]);
    }
}

#[test]
fn an_endpoint_has_no_user_and_no_fragment() {
    // F06
    names(at(&format!("https://wire:{SECRET}@auth.example/token")), &["token_endpoint", "user information"]);
    names(at(&format!("https://{SECRET}@auth.example/token")), &["token_endpoint", "user information"]);
    names(at(&format!("https://auth.example/token#{OTHER}")), &["token_endpoint", "fragment"]);
    names(at(&format!("https://auth.example:{SECRET}/token?x={OTHER}")), &["token_endpoint"]);
}

#[tokio::test]
async fn the_query_of_the_endpoint_is_kept() {
    // F06
    let server = Server::start([ok(TOKEN)]);
    let tokens = builder_with(&server.url("/t/token?p=B2C_1&x=a%20b"), basic()).build().unwrap();
    recovers("F06", &tokens).await;
    assert_eq!(server.requests()[0].line(), "POST /t/token?p=B2C_1&x=a%20b HTTP/1.1");
}

#[test]
fn a_parameter_with_a_setter_of_its_own_is_refused_as_an_extra_one() {
    // F09
    names(good().param("grant_type", OTHER), &["param", "grant_type"]);
    let set =
        good().scope("a").audience("b").resource("https://c.example").authorization_details(serde_json::json!([]));
    for name in ["scope", "audience", "resource", "authorization_details"] {
        names(set.clone().param(name, OTHER), &["param", name, "by its setter, too"]);
        names(good().param(name, "1").param(name, "2"), &["param", name, "given twice"]);
    }
    for name in ["client_id", "client_secret", "client_assertion", "client_assertion_type"] {
        names(good().param(name, OTHER), &["param", name, "ClientAuth"]);
    }
    names(good().param("x", OTHER).param("x", OTHER), &["param", "x is given twice"]);
    let queried = at("https://auth.example/token?subject_token=x");
    names(queried.clone().secret_param("subject_token", OTHER), &["token_endpoint", "has subject_token in its query"]);
    assert_eq!(fault(queried.secret_param("actor_token", OTHER)), None);
    names(good().param("", OTHER), &["param"]);
    for name in
        ["Authorization", "HOST", "content-length", "transfer-encoding", "connection", "accept-encoding", "cookie"]
    {
        names(good().header(name, OTHER), &["header", &name.to_ascii_lowercase()]);
    }
    for name in ["x y", "", "x\n"] {
        names(good().header(name, OTHER), &["header", "no header can have"]);
    }
    names(good().header("x-a", OTHER).header("X-A", OTHER), &["header", "x-a is given twice"]);
    assert_eq!(fault(good().param("x", "1").param("y", "2").header("x-a", "1").header("accept", "*/*")), None);
    names(good().grant_type(""), &["grant_type"]);
    names(good().token_type(" "), &["token_type", "is empty"]);
    let labelled = |json: bool| good().json_body(json).header("content-type", "text/plain");
    names(labelled(true), &["header", "text/plain", "JSON, under its own type"]);
    names(labelled(false), &["header", "text/plain", "a form"]);
}

#[test]
fn a_resource_is_an_absolute_uri_without_fragment() {
    // F15
    for resource in ["", "api", "/api", "//api.example", "https://api.example/#x"] {
        names(good().resource(resource), &["resource"]);
    }
    for resource in ["https://api.example/", "https://api.example/v1?x=y", "urn:example:api", "api://7f3c"] {
        assert_eq!(fault(good().resource(resource)), None, "{resource}");
    }
    names(good().authorization_details(serde_json::json!({"type": "x"})), &["authorization_details"]);
}

#[tokio::test]
async fn a_value_that_a_setter_refuses_can_be_sent_as_a_parameter() {
    // FE1: Databricks and SharePoint at Entra, and scopes, audiences and details that break the RFCs
    for (name, value, sent) in [
        ("resource", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d", "resource=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"),
        ("resource", "0001/host@tenant", "resource=0001%2Fhost%40tenant"),
        ("scope", "a\"b", "scope=a%22b"),
        ("authorization_details", "{}", "authorization_details=%7B%7D"),
    ] {
        let server = Server::start([ok(TOKEN)]);
        let tokens = builder(&server).param(name, value).build().unwrap();
        recovers("FE1", &tokens).await;
        let request = &server.requests()[0];
        let body = request.body();
        assert_eq!(body.matches(&format!("{name}=")).count(), 1, "{body}");
        assert!(body.split('&').any(|pair| pair == sent), "{body}");
    }
}

#[tokio::test]
async fn a_parameter_without_a_value_is_omitted_unless_it_is_given_by_its_name() {
    // F19: an empty variable, RFC 6749 section 3.2
    let exchange = || TokenExchange::new("subject").requested_token_type("");
    for (change, absent, sent) in [
        ((|it| it.audience("")) as fn(ClientCredentialsBuilder) -> ClientCredentialsBuilder, "audience", ""),
        (|it| it.audience("x").audience(""), "audience", ""),
        (|it| it.audience("").audience("x"), "", "audience=x"),
        (|it| it.audience("").param("audience", "y"), "", "audience=y"),
        (|it| it.scope(""), "scope", ""),
        (|it| it.scopes([" ", ""]).param("scope", "a"), "", "scope=a"),
        (|it| it.param("tenant", ""), "", "tenant="),
    ] {
        let server = Server::start([ok(TOKEN)]);
        let tokens = change(builder(&server)).build().unwrap();
        recovers("F19", &tokens).await;
        let body = server.requests()[0].body().to_owned();
        assert!(absent.is_empty() || !body.contains(absent), "{absent}: {body}");
        assert!(sent.is_empty() || body.split('&').any(|pair| pair == sent), "{sent}: {body}");
    }
    let server = Server::start([ok(TOKEN)]);
    let tokens = builder(&server).grant(exchange()).build().unwrap();
    recovers("F19", &tokens).await;
    let body = server.requests()[0].body().to_owned();
    assert!(body.contains("subject_token=subject") && !body.contains("requested_token_type"), "{body}");
    // Without these the request is no token exchange (RFC 8693 section 2.1).
    names(good().grant(exchange().subject_token_type("")), &["subject_token_type is empty"]);
    names(good().grant(exchange().actor_token("actor", "")), &["actor_token_type is empty"]);
}

#[tokio::test]
async fn a_request_is_byte_for_byte_what_the_rfcs_say() {
    // F04, R24: every setting at once
    let secret = " %&+£€:@Az09*-._~";
    let server = Server::start([json_ok(TOKEN, 0)]);
    let tokens = builder_with(&server.url("/token"), ClientAuth::client_secret_post("wi re", secret))
        .scope("read write")
        .scopes(["a:b", "https://api.example/.default"])
        .audience("https://api.example/")
        .resource("https://one.example/")
        .resource("https://two.example/?x=y")
        .authorization_details(serde_json::json!([{"type": "pay"}]))
        .param("account_id", "7 & 8")
        .header("x-api-key", "abc")
        .build()
        .unwrap();
    recovers("F04", &tokens).await;
    let body = "grant_type=client_credentials&scope=read+write+a%3Ab+https%3A%2F%2Fapi.example%2F.default\
        &audience=https%3A%2F%2Fapi.example%2F&resource=https%3A%2F%2Fone.example%2F\
        &resource=https%3A%2F%2Ftwo.example%2F%3Fx%3Dy&authorization_details=%5B%7B%22type%22%3A%22pay%22%7D%5D\
        &account_id=7+%26+8&client_id=wi+re&client_secret=+%25%26%2B%C2%A3%E2%82%AC%3A%40Az09*-._%7E";
    let request = &server.requests()[0];
    assert_eq!(request.body(), body);
    assert_eq!(request.line(), "POST /token HTTP/1.1");
    let mut headers = request.headers();
    headers.sort();
    let (host, length) = (server.address().to_string(), body.len().to_string());
    assert_eq!(
        headers,
        [
            ("accept", "application/json"),
            ("content-length", &length),
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", &host),
            ("user-agent", concat!("client-credentials/", env!("CARGO_PKG_VERSION"))),
            ("x-api-key", "abc"),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
        "and nothing else: no cookie, no referer, no authorization, no accept-encoding"
    );
}

#[tokio::test]
async fn each_method_puts_its_credential_where_it_belongs_and_nowhere_else() {
    // F03
    let secret = " %&+£€:@Az09*-._~";
    let encoded = "wi%20re:%20%25%26%2B%C2%A3%E2%82%AC%3A%40Az09*-._~";
    let (grant, id) = ("grant_type=client_credentials", "client_id=wi+re");
    for (auth, id_too, pair, body) in [
        (ClientAuth::client_secret_basic("wi re", secret), false, Some(encoded.to_owned()), grant.to_owned()),
        (ClientAuth::client_secret_basic("wi re", secret), true, Some(encoded.to_owned()), format!("{grant}&{id}")),
        (
            ClientAuth::client_secret_basic_raw("wi re", secret),
            false,
            Some(format!("wi re:{secret}")),
            grant.to_owned(),
        ),
        (ClientAuth::none("wi re"), false, None, format!("{grant}&{id}")),
        (ClientAuth::none("wi re"), true, None, format!("{grant}&{id}")),
    ] {
        let server = Server::start([ok(TOKEN)]);
        let mut builder = builder_with(&server.url("/token"), auth.clone());
        if id_too {
            builder = builder.client_id_in_body(true);
        }
        recovers("F03", &builder.build().unwrap()).await;
        let request = &server.requests()[0];
        assert_eq!(request.body(), body, "{auth:?}");
        let sent = request
            .header("authorization")
            .first()
            .map(|value| String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ").unwrap()).unwrap()).unwrap());
        assert_eq!(sent, pair, "{auth:?}");
        if let (Some((id, sent)), ClientAuth { .. }) = (sent.as_deref().and_then(|pair| pair.split_once(':')), &auth) {
            if pair.as_deref() == Some(encoded) {
                // By either way of decoding, the same.
                for (text, meant) in [(id, "wi re"), (sent, secret)] {
                    assert_eq!(percent_decode_str(text).decode_utf8().unwrap(), meant);
                    let form = format!("x={text}");
                    assert_eq!(form_urlencoded::parse(form.as_bytes()).next().unwrap().1, meant);
                }
            }
        }
    }
}

#[tokio::test]
async fn headers_of_ours_can_be_replaced() {
    let server = Server::start([ok(TOKEN)]);
    let tokens = builder(&server)
        .header("User-Agent", "billing/2.1")
        .header("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
        .grant_type("account_credentials")
        .build()
        .unwrap();
    recovers("headers", &tokens).await;
    let request = &server.requests()[0];
    assert_eq!(request.header("user-agent"), ["billing/2.1"]);
    assert_eq!(request.header("content-type"), ["application/x-www-form-urlencoded;charset=UTF-8"]);
    assert_eq!(request.body(), "grant_type=account_credentials");
}

#[test]
fn a_closure_that_returns_no_client_is_a_configuration_error() {
    // F11, F13
    type Client = fn() -> reqwest::ClientBuilder;
    let broken: [(&str, Client); 2] =
        [("panics", || std::panic::panic_any(SECRET)), ("cannot be built", || bare().user_agent("line\nbreak"))];
    for (row, client) in broken {
        let text = fault(good().http_client(HttpClient::from_reqwest_0_13(client)));
        assert!(text.is_some_and(|text| text.contains("HTTP client")), "{row}");
    }
}

fn durations() -> impl Strategy<Value = Duration> {
    let nanosecond = Duration::from_nanos(1);
    prop_oneof![Just(Duration::ZERO), Just(nanosecond), Just(Duration::MAX), any::<Duration>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_settings_make_build_panic(
        d in proptest::collection::vec(durations(), 17), attempts: u32, count: u32, bytes: usize, characters: usize,
    ) {
        // F11: an error that names the setter, or a source
        let limits = Limits::new().connect_timeout(d[0]).attempt_timeout(d[1]);
        let limits = limits.max_response_bytes(bytes).max_token_bytes(bytes).max_error_text(characters);
        let policy = CachePolicy::new()
            .fetch_timeout(d[2])
            .refresh_window(d[6])
            .max_age(d[7])
            .safety_margin(d[8])
            .default_lifetime(d[9])
            .due_backoff(Backoff::new(d[10], d[11]))
            .expired_backoff(Backoff::new(d[12], d[13]))
            .denied_backoff(Backoff::new(d[14], d[15]))
            .due_retry_after_limit(d[16])
            .expired_retry_after_limit(d[0])
            .forced_refreshes(count)
            .forced_refresh_interval(d[1]);
        let retry = RetryPolicy::new().attempts(attempts).backoff(Backoff::new(d[3], d[4])).retry_after_limit(d[5]);
        let built = good().limits(limits).cache(policy).retry(retry).build();
        let zero = [
            (0, "connect_timeout"), (1, "attempt_timeout"), (2, "fetch_timeout"), (6, "refresh_window"),
            (7, "max_age"), (9, "default_lifetime"), (1, "forced_refresh_interval"),
        ];
        let zero = zero.into_iter().filter(|(i, _)| d[*i].is_zero()).map(|(_, name)| name);
        let waits = [(3, "backoff"), (10, "due_backoff"), (12, "expired_backoff"), (14, "denied_backoff")];
        let hot = |first: usize| d[first] < Duration::from_millis(1) || d[first + 1] < d[first];
        let waits = waits.into_iter().filter(|(first, _)| hot(*first)).map(|(_, name)| name);
        let sizes = [(bytes, "max_response_bytes"), (bytes, "max_token_bytes"), (attempts as usize, "attempts")];
        let sizes = sizes.into_iter().filter(|(size, _)| *size == 0).map(|(_, name)| name);
        let zero: Vec<_> = zero.chain(waits).chain(sizes).collect();
        match built {
            Ok(tokens) => {
                prop_assert!(zero.is_empty(), "{zero:?}");
                assert_no_canary([render(&tokens)]);
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Configuration);
                prop_assert!(!zero.is_empty() && zero.iter().all(|name| error.to_string().contains(name)), "{}", error);
            }
        }
    }
}

#[tokio::test]
async fn the_longest_settings_do_not_overflow() {
    // F11
    let max = Duration::MAX;
    let server = Server::start([json_ok(TOKEN, u64::MAX)]);
    let tokens = builder(&server)
        .limits(
            Limits::new()
                .connect_timeout(max)
                .attempt_timeout(max)
                .max_response_bytes(usize::MAX)
                .max_token_bytes(usize::MAX)
                .max_error_text(usize::MAX),
        )
        .retry(RetryPolicy::new().attempts(u32::MAX).backoff(Backoff::new(max, max)).retry_after_limit(max))
        .cache(
            CachePolicy::new()
                .fetch_timeout(max)
                .refresh_window(max)
                .max_age(max)
                .safety_margin(max)
                .default_lifetime(max)
                .due_backoff(Backoff::new(max, max))
                .expired_backoff(Backoff::new(max, max))
                .denied_backoff(Backoff::new(max, max))
                .due_retry_after_limit(max)
                .expired_retry_after_limit(max)
                .forced_refreshes(u32::MAX)
                .forced_refresh_interval(max),
        )
        .build()
        .unwrap();
    let token = recovers("F11", &tokens).await;
    assert_eq!(token.expires_at(), None, "beyond what the clock can tell");
    tokens.reject(&token);
    recovers("F11", &tokens).await;
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn the_shortest_settings_are_an_error_and_not_a_panic() {
    // F11: a nanosecond for everything that may be so short; the others are refused by name
    let shortest = Duration::from_nanos(1);
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let server = Server::start([vec![Step::ReadReq, Step::Hang]]);
    let limits = Limits::new().connect_timeout(shortest).attempt_timeout(shortest);
    let tokens = builder(&server)
        .limits(limits.max_response_bytes(1).max_token_bytes(1).max_error_text(0))
        .retry(RetryPolicy::new().backoff(backoff))
        .cache(
            CachePolicy::new()
                .fetch_timeout(shortest)
                .refresh_window(shortest)
                .max_age(shortest)
                .default_lifetime(shortest)
                .due_backoff(backoff)
                .expired_backoff(backoff)
                .denied_backoff(backoff)
                .forced_refreshes(1)
                .forced_refresh_interval(shortest),
        )
        .build()
        .unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
}

#[test]
fn a_configuration_shows_no_secret() {
    // F14, L04
    let endpoint = format!("https://auth.example/token?key={OTHER}&sig={SECRET}");
    let builder = builder_with(&endpoint, basic())
        .param("api_secret", OTHER)
        .audience("https://api.example/")
        .header("x-api-key", OTHER);
    let tokens = builder.clone().build().unwrap();
    assert_no_canary([render(&builder), render(&tokens)]);
    let shown = render(&tokens);
    for word in ["https://auth.example/token", "client_secret_basic", "wire", "empty"] {
        assert!(shown.contains(word), "{word} is of use in: {shown}");
    }
}

#[tokio::test]
async fn a_hostile_client_builder_cannot_weaken_the_client() {
    // F13; redirects, decompression and certificates have tests of their own
    let server = Server::start([json_ok(TOKEN, 0)]);
    let tokens = builder(&server)
        .http_client(HttpClient::from_reqwest_0_13(|| {
            bare()
                .user_agent("hostile")
                .referer(true)
                .pool_max_idle_per_host(100)
                .https_only(true)
                .connection_verbose(true)
                .timeout(Duration::from_nanos(1))
                .connect_timeout(Duration::from_nanos(1))
                .read_timeout(Duration::from_nanos(1))
                .proxy(reqwest::Proxy::all("http://127.0.0.1:1").unwrap())
                .retry(reqwest::retry::for_host("127.0.0.1").max_retries_per_request(5))
        }))
        .build()
        .unwrap();
    recovers("F13", &tokens).await;
    recovers("F13", &tokens).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(request.header("user-agent")[0].starts_with("client-credentials/"));
        assert!(request.header("referer").is_empty());
    }
    assert_eq!(server.connections(), 2, "nothing is pooled");
}

#[test]
fn building_needs_no_runtime() {
    // C11: in a LazyLock; outside of a runtime a token is an error that says so
    static TOKENS: std::sync::LazyLock<ClientCredentials> =
        std::sync::LazyLock::new(|| at("http://127.0.0.1:1/token").build().unwrap());
    let error = TOKENS.token().now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.to_string().contains("runtime"), "{error}");
}
