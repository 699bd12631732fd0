//! The authorization server of an API: family M, as far as APIs name servers.

use client_credentials::{
    ClientCredentials, ClientCredentialsBuilder, Error, ErrorKind, HttpClient, Issuer, Limits, ProtectedResource,
    RetryPolicy,
};
use http::HeaderMap;

use crate::harness::canary::{SECRET, TOKEN, assert_no_canary, render_all};
use crate::harness::server::{HANG_TIMEOUT, Script, Server, Step, answer, head, json, json_ok, ok};
use crate::refreshed::refreshed;
use crate::story::{MOMENT, SOON, bare, basic, hasty, recovers};

/// An API and its authorization server, without scripts, since the scripts need their addresses.
struct Pair {
    api: Server,
    auth: Server,
}

fn pair() -> Pair {
    Pair { api: Server::start([]), auth: Server::start([]) }
}

impl Pair {
    fn resource(&self) -> String {
        self.api.url("/v1/mcp")
    }

    fn issuer(&self) -> String {
        issuer(&self.auth)
    }

    fn api(&self) -> ProtectedResource {
        ProtectedResource::new(self.resource(), [self.issuer()])
    }

    fn builder(&self) -> ClientCredentialsBuilder {
        of(self.api())
    }

    /// The API's metadata.
    fn own(&self) -> Script {
        of_api(&self.resource(), &[&self.issuer()])
    }
}

fn of(api: ProtectedResource) -> ClientCredentialsBuilder {
    hasty(ClientCredentials::builder(api, basic()))
}

fn issuer(server: &Server) -> String {
    server.url("/realms/demo")
}

fn of_api(resource: &str, servers: &[&str]) -> Script {
    let body = serde_json::json!({ "resource": resource, "authorization_servers": servers });
    json(200, body.to_string())
}

/// The metadata of a server with this token endpoint.
fn of_server(server: &Server, token_endpoint: &str) -> Script {
    let issuer = issuer(server);
    json(200, format!(r#"{{"issuer":"{issuer}","token_endpoint":"{token_endpoint}"}}"#))
}

fn at_home(server: &Server) -> Script {
    of_server(server, &server.url("/token"))
}

fn lines(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let lines = requests.iter().map(|request| request.line());
    lines.map(|line| line.replace(" HTTP/1.1", "")).collect()
}

const OF_API: &str = "GET /.well-known/oauth-protected-resource/v1/mcp";
const OF_SERVER: &str = "GET /.well-known/oauth-authorization-server/realms/demo";

/// The negative cache answers at once until its millisecond is over.
async fn recovered(tokens: &ClientCredentials) -> String {
    let again = async {
        loop {
            match tokens.token().await {
                Ok(token) => return token.expose_secret().to_owned(),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(HANG_TIMEOUT, again).await.unwrap()
}

async fn failed(tokens: &ClientCredentials) -> Error {
    let error = tokens.token().await.unwrap_err();
    assert_no_canary([render_all(&error)]);
    error
}

fn form(server: &Server, request: usize) -> Vec<(String, String)> {
    let body = server.requests()[request].body().to_owned();
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

fn challenge(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append("www-authenticate", "Basic realm=\"x\"".parse().unwrap());
    headers.append("www-authenticate", text.parse().unwrap());
    headers
}

#[tokio::test]
async fn from_the_apis_url_to_a_token_in_one_fetch() {
    let pair = pair();
    pair.api.now([pair.own()]);
    pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
    let tokens = pair.builder().header("x-api-key", SECRET).scope("read").build().unwrap();
    assert_eq!(pair.api.connections(), 0, "not by build()");
    for one in futures_util::future::join_all((0..10).map(|_| tokens.token())).await {
        assert_eq!(one.unwrap().expose_secret(), TOKEN);
    }
    assert_eq!(lines(&pair.api), [OF_API]);
    assert_eq!(lines(&pair.auth), [OF_SERVER, "POST /token"]);
    let expected = [("grant_type", "client_credentials"), ("scope", "read"), ("resource", &pair.resource())];
    assert_eq!(form(&pair.auth, 1), expected.map(|(name, value)| (name.into(), value.into())));
    let get = &pair.api.requests()[0];
    assert_no_canary([get.head()]);
    assert!(get.body().is_empty() && get.header("authorization").is_empty());
}

#[tokio::test]
async fn another_resource_or_none_is_sent_if_configured() {
    let another = |pair: &Pair| pair.builder().resource("urn:api");
    let as_it_is = |pair: &Pair| pair.builder().param("resource", "api");
    let none = |pair: &Pair| of(pair.api().omit_resource(true));
    for (change, sent) in [(another as fn(&Pair) -> _, &["urn:api"][..]), (as_it_is, &["api"]), (none, &[])] {
        let pair = pair();
        pair.api.now([pair.own()]);
        pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
        let tokens = change(&pair).build().unwrap();
        tokens.token().await.unwrap();
        let form = form(&pair.auth, 1).into_iter();
        let resources = form.filter(|(name, _)| name == "resource");
        let resources: Vec<_> = resources.map(|(_, value)| value).collect();
        assert_eq!(resources, sent);
    }
}

#[tokio::test]
async fn only_allowed_servers_are_contacted() {
    let (pair, evil) = (pair(), Server::start([ok(TOKEN)]));
    pair.api.now([of_api(&pair.resource(), &[&issuer(&evil), "https://evil.example/?canary"])]);
    let tokens = pair.builder().build().unwrap();
    let error = failed(&tokens).await;
    assert_eq!(error.kind(), ErrorKind::Response);
    assert!(!error.is_transient());
    let text = error.to_string();
    let lists = format!(
        "none of its authorization_servers ({}, https://evil.example/) is an allowed issuer ({})",
        issuer(&evil),
        pair.issuer()
    );
    assert!(text.contains(&lists) && !text.contains("canary"), "{text}");
    assert_eq!((evil.connections(), pair.auth.connections()), (0, 0));

    // The first allowed one is used.
    pair.api.now([of_api(&pair.resource(), &[&issuer(&evil), &pair.issuer()])]);
    pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
    recovers("allowed", &tokens).await;
    assert_eq!(evil.connections(), 0);
}

#[tokio::test]
async fn metadata_of_another_resource_is_refused() {
    let pair = pair();
    for resource in [pair.api.url("/v1"), pair.api.url("/v1/mcp/"), "https://evil.example/v1/mcp".into()] {
        pair.api.now([of_api(&resource, &[&pair.issuer()])]);
        let error = failed(&pair.builder().build().unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::Response);
        let text = error.to_string();
        let at = format!(
            "at {}: it names the resource {resource}, which is not identical to {}",
            pair.api.url(OF_API.trim_start_matches("GET ")),
            pair.resource()
        );
        assert!(text.contains(&at), "{text}");
    }
    assert_eq!(pair.auth.connections(), 0);
}

#[tokio::test]
async fn an_enclosing_resource_is_accepted_if_configured() {
    let pair = pair();
    let whole = pair.api.url("");
    pair.api.now([json(404, "{}"), of_api(&whole, &[&pair.issuer()])]);
    pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
    let tokens = of(pair.api().accept_enclosing(true)).build().unwrap();
    tokens.token().await.unwrap();
    assert_eq!(lines(&pair.api), [OF_API, "GET /.well-known/oauth-protected-resource"]);
    let resource = ("resource".to_owned(), whole);
    assert!(form(&pair.auth, 1).contains(&resource), "its own name");

    // A similar path is another resource.
    let beside = pair.api.url("/v1/mc");
    pair.api.now([of_api(&beside, &[&pair.issuer()])]);
    let tokens = of(pair.api().accept_enclosing(true)).build().unwrap();
    assert!(failed(&tokens).await.to_string().contains("which does not enclose"));
}

#[tokio::test]
async fn the_metadata_url_of_a_challenge_is_used_only_when_the_challenge_is_passed_in() {
    let pair = pair();
    let there = pair.api.url("/metadata/mcp");
    let headers = challenge(&format!(r#"Bearer error="invalid_token", resource_metadata="{there}""#));
    pair.api.now([pair.own()]);
    pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
    let tokens = of(pair.api().challenge(&headers)).build();
    tokens.unwrap().token().await.unwrap();
    assert_eq!(lines(&pair.api), ["GET /metadata/mcp"]);

    // A challenge without the parameter: the well-known URL.
    pair.api.now([pair.own()]);
    pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
    let headers = challenge("Bearer");
    let tokens = of(pair.api().challenge(&headers)).build();
    tokens.unwrap().token().await.unwrap();
    assert_eq!(lines(&pair.api)[1..], [OF_API]);

    // It must still be for this resource.
    let headers = challenge(&format!(r#"DPoP resource_metadata="{there}""#));
    pair.api.now([of_api(&pair.api.url("/v1/other"), &[&pair.issuer()])]);
    let tokens = of(pair.api().challenge(&headers)).build();
    let error = failed(&tokens.unwrap()).await;
    assert!(error.to_string().contains("not identical"), "{error}");
}

#[test]
fn a_challenge_leads_to_no_private_address_and_over_no_plain_http() {
    // M05
    let good = || ProtectedResource::new("https://api.example.com/mcp", ["https://auth.example.com"]);
    for (url, flaw) in [
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://[::ffff:127.0.0.1]/x", "not a public address"),
        ("https://0x7f000001/x", "would be read as"),
        ("https://127.0.0.1/x", "is at 127.0.0.1"),
        ("http://127.0.0.1/x", "is not https"),
        ("http://api.example.com/x", "is not https"),
        ("https://me:canary@api.example.com/x", "user information"),
        ("/x", "is not an absolute URL"),
    ] {
        let headers = challenge(&format!(r#"Bearer resource_metadata="{url}""#));
        let text = of(good().challenge(&headers)).build().unwrap_err().to_string();
        assert!(
            text.contains("resource_metadata of the challenge") && text.contains(flaw) && !text.contains("canary"),
            "{text}"
        );
    }
    let headers = challenge(r#"Bearer resource_metadata="https://api.example.com/x""#);
    assert!(of(good().challenge(&headers)).build().is_ok());
}

#[test]
fn a_resource_must_be_https_and_its_servers_must_be_named() {
    let faults = |builder: ClientCredentialsBuilder| builder.build().unwrap_err().to_string();
    let of = |resource: &str| of(ProtectedResource::new(resource, ["https://auth.example.com"]));
    for (resource, flaw) in [
        ("http://api.example.com", "dangerously_allow_http(\"api.example.com\")"),
        ("https://api.example.com/#f", "fragment"),
        ("https://me:canary@api.example.com", "user information"),
        ("api.example.com", "not an absolute URL"),
    ] {
        let text = faults(of(resource));
        assert!(text.contains("resource ") && text.contains(flaw) && !text.contains("canary"), "{text}");
    }
    assert!(of("https://api.example.com?tenant=1").build().is_ok());

    let none: [&str; 0] = [];
    let api = "https://api.example.com";
    let text = faults(ClientCredentials::builder(ProtectedResource::new(api, none), basic()));
    assert!(text.contains("allowed_issuers is empty"), "{text}");
    let text = faults(ClientCredentials::builder(
        ProtectedResource::new(api, ["http://a.example", "https://b.example?x"]),
        basic(),
    ));
    assert!(
        text.contains("would send secrets to a.example unencrypted") && text.contains("allowed_issuers has a query"),
        "{text}"
    );
}

#[tokio::test]
async fn a_token_endpoint_at_a_private_address_gets_no_request() {
    // M05: the hosts that were named are 127.0.0.1 alone.
    let (pair, evil) = (pair(), Server::start([ok(TOKEN)]));
    let port = evil.address().port();
    for (host, flaw) in [
        ("169.254.169.254", "is at 169.254.169.254, which is not a public address"),
        ("10.0.0.1", "is at 10.0.0.1"),
        ("[::1]", "is at ::1"),
        ("[::ffff:127.0.0.1]", "is at ::ffff:127.0.0.1"),
        ("127.0.0.2", "is at 127.0.0.2"),
        ("0.0.0.0", "is at 0.0.0.0"),
        // A name that resolves to a private address, which shows when it is connected to.
        ("localhost", "is at 127.0.0.1"),
    ] {
        pair.api.now([pair.own()]);
        pair.auth.now([of_server(&pair.auth, &format!("https://{host}:{port}/token?canary"))]);
        let before = pair.auth.connections();
        let error = failed(&pair.builder().build().unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::Response, "{error:#}");
        assert!(!error.is_transient(), "not again in this fetch");
        let text = error.to_string();
        assert!(text.contains(flaw) && text.contains("pin_token_endpoint_origin"), "{text}");
        assert!(!text.contains("canary"), "{text}");
        // Its metadata only: at both places, where the address was seen in the document.
        assert!(pair.auth.requests()[before..].iter().all(|request| request.line().starts_with("GET ")));
    }
    assert_eq!(evil.connections(), 0);

    // With Issuer::new an internal address is allowed.
    pair.auth.now([of_server(&pair.auth, &evil.https("/token"))]);
    let tokens = hasty(ClientCredentials::builder(Issuer::new(pair.issuer()), basic()));
    let tokens = tokens.limits(Limits::new().connect_timeout(SOON)).retry(RetryPolicy::new().attempts(1));
    assert_ne!(failed(&tokens.build().unwrap()).await.kind(), ErrorKind::Response);
    evil.connected(1).await;
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_private_address_that_the_user_named_is_allowed() {
    // M05: pinned, or given by the user's own resolver.
    let ca = crate::harness::tls::Ca::new();
    let pair = pair();
    let inside = Server::start_tls(ca.server("localhost"), [ok(TOKEN)]);
    let address = inside.address();
    for pinned in [true, false] {
        pair.api.now([pair.own()]);
        pair.auth.now([of_server(&pair.auth, &inside.https("/token"))]);
        let root = ca.der();
        let http = move || {
            let root = reqwest::Certificate::from_der(&root).unwrap();
            let builder = reqwest::Client::builder().tls_certs_only([root]);
            match pinned {
                true => builder,
                false => builder.resolve("localhost", std::net::SocketAddr::new(address.ip(), 0)),
            }
        };
        let api = match pinned {
            true => pair.api().pin_token_endpoint_origin(inside.https("")),
            false => pair.api(),
        };
        let builder = of(api).http_client(HttpClient::from_reqwest_0_13(http));
        let token = builder.build().unwrap().token().await;
        assert_eq!(token.unwrap().expose_secret(), TOKEN, "{pinned}");
    }
}

#[tokio::test]
async fn a_proxy_of_the_users_is_reached_wherever_it_is_and_resolves_the_rest() {
    // M05: the proxy's own rules decide what it may reach; an address in the URL is refused before a request.
    let (pair, proxy) = (pair(), Server::start([answer(403, &[], "")]));
    let port = proxy.address().port();
    let builder = || {
        pair.builder().retry(RetryPolicy::new().attempts(1)).http_client(HttpClient::from_reqwest_0_13(move || {
            let proxy = reqwest::Proxy::https(format!("http://localhost:{port}"));
            bare().proxy(proxy.unwrap())
        }))
    };
    for (endpoint, kind) in
        [("https://auth.example/token", ErrorKind::Transport), ("https://10.0.0.1/token", ErrorKind::Response)]
    {
        pair.api.now([pair.own()]);
        pair.auth.now([of_server(&pair.auth, endpoint)]);
        let error = failed(&builder().build().unwrap()).await;
        assert_eq!(error.kind(), kind, "{error:#}");
    }
    assert_eq!(lines(&proxy), ["CONNECT auth.example:443"]);
}

#[tokio::test]
async fn metadata_of_an_api_is_bounded_and_redirects_are_not_followed() {
    // M03, M06
    let pair = pair();
    let target = Server::start([pair.own()]);
    pair.api.now([answer(302, &[("location", &target.url("/there"))], "")]);
    let error = failed(&pair.builder().build().unwrap()).await;
    assert!(error.to_string().contains("redirects are not followed"), "{error}");
    assert_eq!(target.connections(), 0);

    let gib = (1_u64 << 30).to_string();
    let announced = head(200, &[("content-length", &gib)]);
    pair.api.now([vec![Step::ReadReq, Step::Write(announced), Step::Hang]]);
    let error = failed(&pair.builder().build().unwrap()).await;
    assert!(error.to_string().contains("the response of the resource's metadata is larger than"), "{error}");

    pair.api.now([vec![Step::ReadReq, Step::Hang]]);
    let tokens = pair.builder().limits(Limits::new().attempt_timeout(SOON)).build().unwrap();
    let error = failed(&tokens).await;
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.is_transient());
    pair.api.now([pair.own()]);
    pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
    recovers("M06", &tokens).await;
}

#[tokio::test]
async fn the_last_good_metadata_of_an_api_is_used_while_no_other_can_be_fetched() {
    // M07
    let evil = Server::start([ok(TOKEN)]);
    for (row, fault) in [
        ("reset", vec![Step::ReadReq, Step::Rst]),
        ("down", json(503, "{}")),
        ("another resource", of_api("https://evil.example", &["https://evil.example"])),
        ("another server", of_api("x", &[&issuer(&evil)])),
    ] {
        let pair = pair();
        pair.api.now([pair.own(), fault, pair.own()]);
        pair.auth.now([at_home(&pair.auth), ok("t1"), at_home(&pair.auth), ok("t2"), at_home(&pair.auth), ok("t3")]);
        let tokens = of(pair.api().metadata_lifetime(MOMENT)).build().unwrap();
        for token in ["t1", "t2", "t3"] {
            assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), token, "{row}");
        }
        assert_eq!(pair.api.hits(), 3, "{row}");
    }
    assert_eq!(evil.connections(), 0);
}

#[tokio::test]
async fn a_refusal_by_the_api_causes_its_metadata_to_be_read_again() {
    // M08
    let (pair, next) = (pair(), Server::start([]));
    pair.api.now([pair.own(), of_api(&pair.resource(), &[&issuer(&next)])]);
    pair.auth.now([at_home(&pair.auth), ok("t1")]);
    next.now([at_home(&next), ok("t2"), ok("t3")]);
    let allowed = [pair.issuer(), issuer(&next)];
    let tokens = ClientCredentials::builder(ProtectedResource::new(pair.resource(), allowed), basic());
    let tokens = hasty(tokens).build().unwrap();
    for token in ["t1", "t2", "t3"] {
        assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), token);
    }
    assert_eq!(lines(&pair.auth), [OF_SERVER, "POST /token"]);
    assert_eq!(lines(&next), [OF_SERVER, "POST /token", "POST /token"]);
    assert_eq!(pair.api.hits(), 2, "out of turn at most once a minute");
    #[cfg(feature = "tracing")]
    assert_eq!(told(&pair, "has another authorization server"), 1);
}

#[tokio::test]
async fn a_token_endpoint_that_is_gone_causes_the_apis_metadata_to_be_read_again() {
    // M08
    // Also if what is there now refuses the client without an OAuth error, since it may be another service.
    for status in [404, 403, 401] {
        let (pair, next) = (pair(), Server::start([]));
        pair.api.now([pair.own(), of_api(&pair.resource(), &[&issuer(&next)])]);
        pair.auth.now([at_home(&pair.auth), json_ok("t1", 0), json(status, "{}")]);
        next.now([at_home(&next), ok("t2")]);
        let allowed = [pair.issuer(), issuer(&next)];
        let tokens = ClientCredentials::builder(ProtectedResource::new(pair.resource(), allowed), basic());
        let tokens = hasty(tokens).build().unwrap();
        let first = tokens.token().await.unwrap();
        assert_eq!(first.expose_secret(), "t1", "expired on arrival");
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.status().unwrap(), pair.api.hits()), (status.try_into().unwrap(), 1));
        assert_eq!(recovered(&tokens).await, "t2");
        assert_eq!(pair.api.hits(), 2);
    }
}

#[tokio::test]
async fn an_oauth_error_does_not_cause_metadata_to_be_read_again() {
    let pair = pair();
    pair.api.now([pair.own()]);
    let denied = json(400, r#"{"error":"invalid_scope"}"#);
    pair.auth.now([at_home(&pair.auth), denied, ok("t1")]);
    let tokens = pair.builder().build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(recovered(&tokens).await, "t1");
    assert_eq!(lines(&pair.api), [OF_API]);
    assert_eq!(lines(&pair.auth), [OF_SERVER, "POST /token", "POST /token"]);
}

#[tokio::test]
async fn a_server_is_adopted_only_with_good_metadata_of_its_own() {
    // M07, M08
    let (pair, next) = (pair(), Server::start([]));
    pair.api.now([pair.own(), of_api(&pair.resource(), &[&issuer(&next)])]);
    pair.auth.now([at_home(&pair.auth), ok("t1"), ok("t2"), ok("t3")]);
    next.now([json(503, "{}")]);
    let allowed = [pair.issuer(), issuer(&next)];
    let tokens = ClientCredentials::builder(ProtectedResource::new(pair.resource(), allowed), basic());
    let tokens = hasty(tokens).build().unwrap();
    for token in ["t1", "t2", "t3"] {
        assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), token);
    }
    assert_eq!(pair.api.hits(), 2);
    assert_eq!(next.hits(), 2, "its metadata, at both places, and no credential");
}

#[tokio::test]
async fn an_attempt_keeps_to_the_server_it_began_with() {
    // M08: during the token request, the API names another server.
    use crate::harness::server::Gate;
    let (pair, next, gate) = (pair(), Server::start([]), Gate::closed());
    pair.api.now([pair.own(), of_api(&pair.resource(), &[&issuer(&next)])]);
    let mut slow = ok("t1");
    slow.insert(1, Step::Pass(gate.clone()));
    pair.auth.now([at_home(&pair.auth), slow]);
    let allowed = [pair.issuer(), issuer(&next)];
    let tokens = of(ProtectedResource::new(pair.resource(), allowed).metadata_lifetime(MOMENT)).build().unwrap();
    let first = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    pair.auth.hit(2).await;
    assert_eq!((pair.api.hits(), next.connections()), (1, 0));
    gate.open();
    assert_eq!(first.await.unwrap().unwrap().expose_secret(), "t1");
    next.now([at_home(&next), ok("t2")]);
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t2");
}

#[cfg(feature = "jwt")]
#[tokio::test]
async fn an_assertion_is_for_the_server_that_was_chosen() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    // M12
    let pair = pair();
    pair.api.now([pair.own()]);
    pair.auth.now([at_home(&pair.auth), ok(TOKEN)]);
    let allowed = ["https://first.example".to_owned(), pair.issuer()];
    let auth = client_credentials::ClientAuth::client_secret_jwt("wire", SECRET);
    let tokens = hasty(ClientCredentials::builder(ProtectedResource::new(pair.resource(), allowed), auth));
    tokens.build().unwrap().token().await.unwrap();
    let form = form(&pair.auth, 1);
    let assertion = form.iter().find(|(name, _)| name == "client_assertion");
    let claims = assertion.unwrap().1.split('.').nth(1).unwrap().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], pair.issuer());
}

/// How often this was reported about the API.
#[cfg(feature = "tracing")]
fn told(pair: &Pair, what: &str) -> usize {
    let said = crate::harness::canary::said().into_iter();
    let resource = format!("resource={}", pair.resource());
    said.filter(|(_, text)| text.contains(&resource) && text.contains(what)).count()
}
