//! Scopes that are requested once the API requires them: `step_up` and `scopes_from_api`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, Gate};
use client_credentials::{
    AccessToken, BearerAuth, CachePolicy, ClientAuth, ClientCredentials, ClientCredentialsBuilder, DpopKey, Error,
    ErrorKind, Issuer, JwtBearer, ManualClock, ProtectedResource, RetryPolicy, TokenFuture, TokenSource,
};
use reqwest_middleware::ClientWithMiddleware as Client;

use crate::builder;

const READ: &str = "files:read";
const BOTH: &str = "files:read files:write";

/// A server whose API requires `files:write`.
fn demanding() -> AuthorizationServer {
    AuthorizationServer::start().public_client("me").api_scope("files:write")
}

/// Of a client that begins with `files:read`, and may have `files:write`.
fn reading(server: &AuthorizationServer) -> ClientCredentialsBuilder {
    builder(server, ClientAuth::none("me")).scope(READ).step_up(["files:write"])
}

fn client(server: &AuthorizationServer, tokens: impl TokenSource + 'static) -> Client {
    with(BearerAuth::for_origin(server.api_origin(), tokens).unwrap())
}

fn with(bearer: BearerAuth) -> Client {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    reqwest_middleware::ClientBuilder::new(http).with(bearer).build()
}

async fn get(client: &Client, server: &AuthorizationServer) -> u16 {
    client.get(format!("{}/files", server.api_origin())).send().await.unwrap().status().as_u16()
}

/// The scope of each token request.
fn asked(server: &AuthorizationServer) -> Vec<String> {
    let requests = server.requests();
    let asked = requests.iter().filter(|request| request.endpoint() == Endpoint::Token);
    asked.map(|request| request.param("scope").unwrap_or("none").to_owned()).collect()
}

fn refuses_the_union(server: &AuthorizationServer) {
    server.answer_by(Endpoint::Token, |request| match request.param("scope") {
        Some(READ) => Answer::Token,
        _ => Answer::Refuse("invalid_scope"),
    });
}

fn challenge(status: u16, challenge: &str) -> Answer {
    let response = http::Response::builder().status(status);
    let response = if challenge.is_empty() { response } else { response.header("www-authenticate", challenge) };
    Answer::Response(response.body(String::new()).unwrap())
}

#[tokio::test]
async fn a_demanded_scope_is_requested_once_with_the_first_and_is_part_of_later_requests() {
    let (server, clock) = (demanding(), ManualClock::new());
    let server = server.clock(&clock);
    let tokens = reading(&server).clock(&clock).build().unwrap();
    let client = client(&server, tokens.clone());
    for _ in 0..3 {
        assert_eq!(get(&client, &server).await, 200);
    }
    assert_eq!(asked(&server), [READ, BOTH]);
    assert_eq!(server.api_requests(), 4, "later calls begin with the wide token");
    assert_eq!(tokens.token().await.unwrap().scope(), Some(BOTH));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(get(&client, &server).await, 200);
    assert_eq!(asked(&server), [READ, BOTH, BOTH]);
}

#[tokio::test]
async fn twenty_callers_cost_one_token_request() {
    let server = demanding();
    let tokens = reading(&server).build().unwrap();
    tokens.token().await.unwrap();
    let client = client(&server, tokens);
    let gate = Gate::new();
    server.next(Answer::Held(gate.clone()));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (client, url) = (client.clone(), format!("{}/files", server.api_origin()));
            tokio::spawn(async move { client.get(url).send().await.unwrap().status().as_u16() })
        })
        .collect();
    while server.api_requests() < 20 {
        tokio::task::yield_now().await;
    }
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(asked(&server), [READ, BOTH]);
}

#[tokio::test]
async fn a_server_that_refuses_the_union_costs_no_token_and_is_not_called_again_before_the_next_refresh() {
    let clock = ManualClock::new();
    let server = demanding().clock(&clock);
    refuses_the_union(&server);
    let tokens = reading(&server).clock(&clock).build().unwrap();
    let client = client(&server, tokens.clone());
    for _ in 0..5 {
        assert_eq!(get(&client, &server).await, 403);
        assert_eq!(tokens.token().await.unwrap().scope(), Some(READ));
    }
    assert_eq!(asked(&server), [READ, BOTH, READ]);
    assert_eq!(server.api_requests(), 5, "no request is repeated");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(get(&client, &server).await, 403);
    assert_eq!(get(&client, &server).await, 403);
    assert_eq!(asked(&server)[3..], [READ, BOTH, READ], "once more for the new token");
}

#[tokio::test]
async fn a_scope_that_is_refused_later_is_left_out_again() {
    let clock = ManualClock::new();
    let server = demanding().clock(&clock);
    let tokens = reading(&server).clock(&clock).build().unwrap();
    let client = client(&server, tokens.clone());
    assert_eq!(get(&client, &server).await, 200);
    refuses_the_union(&server);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(get(&client, &server).await, 403);
    assert_eq!(get(&client, &server).await, 403);
    assert_eq!(asked(&server), [READ, BOTH, BOTH, READ]);
}

#[tokio::test]
async fn a_server_that_is_down_costs_no_token_that_is_still_valid() {
    let server = demanding();
    let tokens = reading(&server).retry(RetryPolicy::new().attempts(1)).build().unwrap();
    let client = client(&server, tokens.clone());
    let first = tokens.token().await.unwrap();
    server.until_changed(Answer::Status(503));
    for _ in 0..5 {
        assert_eq!(get(&client, &server).await, 403);
        assert_eq!(tokens.token().await.unwrap().expose_secret(), first.expose_secret());
    }
    assert_eq!(asked(&server), [READ, BOTH], "the backoff holds");
}

#[tokio::test]
async fn an_assertion_that_is_refused_is_not_sent_again_without_the_scope() {
    let server = demanding();
    let grant = JwtBearer::new("the.pods.token");
    let tokens = reading(&server).grant(grant).build().unwrap();
    server.next(Answer::Body(format!(
        r#"{{"access_token":"token-1","token_type":"Bearer","expires_in":3600,"scope":"{READ}"}}"#
    )));
    tokens.token().await.unwrap();
    server.until_changed(Answer::Refuse("invalid_grant"));
    let demand = r#"Bearer error="insufficient_scope", scope="files:write""#;
    server.until_changed_at(Endpoint::Api, challenge(403, demand));
    assert_eq!(get(&client(&server, tokens), &server).await, 403);
    assert_eq!(asked(&server), [READ, BOTH], "the server would refuse the same assertion again");
}

#[tokio::test]
async fn a_scope_that_is_refused_with_the_code_of_the_assertion_is_left_out_of_the_next_request() {
    let (server, clock) = (demanding(), ManualClock::new());
    let tokens = reading(&server).clock(&clock).grant(JwtBearer::new("the.pods.token")).build().unwrap();
    assert_eq!(get(&client(&server, tokens.clone()), &server).await, 200);
    // Consent to the scope is withdrawn.
    server.next(Answer::Refuse("invalid_grant"));
    clock.advance(Duration::from_secs(3_600));
    tokens.token().await.unwrap_err();
    clock.advance(Duration::from_secs(60));
    tokens.token().await.unwrap();
    assert_eq!(asked(&server), [READ, BOTH, BOTH, READ]);
}

#[tokio::test]
async fn a_blip_during_a_step_up_ends_in_a_token_of_the_scope_before() {
    let server = demanding();
    let tokens = reading(&server).build().unwrap();
    tokens.token().await.unwrap();
    server.next(Answer::Status(503));
    let client = client(&server, tokens);
    assert_eq!(get(&client, &server).await, 403);
    assert_eq!(get(&client, &server).await, 200);
    assert_eq!(asked(&server), [READ, BOTH, READ, BOTH], "the scope is asked for once per demand");
}

#[tokio::test]
async fn an_outage_does_not_cost_a_scope_that_was_granted() {
    let (server, clock) = (demanding(), ManualClock::new());
    let server = server.clock(&clock);
    let tokens = reading(&server).clock(&clock).retry(RetryPolicy::new().attempts(1)).build().unwrap();
    assert_eq!(get(&client(&server, tokens.clone()), &server).await, 200);
    clock.advance(Duration::from_secs(3600));
    server.next(Answer::Status(503));
    tokens.token().await.unwrap_err();
    clock.advance(Duration::from_secs(60));
    assert_eq!(tokens.token().await.unwrap().scope(), Some(BOTH));
    assert_eq!(asked(&server), [READ, BOTH, BOTH, BOTH]);
}

#[tokio::test]
async fn a_refusal_that_is_not_about_a_listed_scope_is_returned() {
    for (status, text) in [
        (403, ""),
        (403, "Bearer"),
        (403, r#"Bearer error="invalid_token", scope="files:write""#),
        (403, r#"Bearer error="insufficient_scope""#),
        (403, r#"Bearer error="insufficient_scope", scope="""#),
        (403, r#"Bearer error="insufficient_scope", scope="files:read""#),
        (403, r#"Bearer error="insufficient_scope", scope="admin""#),
        (403, r#"Bearer error="insufficient_scope", scope="files:write admin""#),
        (403, r#"Bearer error="insufficient_scope", scope="files:wri\"te""#),
        (403, r#"DPoP error="insufficient_scope", scope="files:write""#),
        (403, r#"Basic error="insufficient_scope", scope="files:write""#),
        (400, r#"Bearer error="insufficient_scope", scope="files:write""#),
        (429, r#"Bearer error="insufficient_scope", scope="files:write""#),
        (200, r#"Bearer error="insufficient_scope", scope="files:write""#),
    ] {
        let server = demanding();
        server.until_changed_at(Endpoint::Api, challenge(status, text));
        let client = client(&server, reading(&server).build().unwrap());
        assert_eq!(get(&client, &server).await, status, "{text}");
        assert_eq!((server.token_requests(), server.api_requests()), (1, 1), "{text}");
    }
    // RFC 6750 section 3.1 requires 403; some APIs send 401.
    for (status, text) in [
        (403, r#"Bearer realm="x", error="insufficient_scope", scope="files:read  files:write""#),
        (401, r#"Basic realm="x", Bearer error="insufficient_scope", scope="files:write""#),
    ] {
        let server = demanding();
        server.next_at(Endpoint::Api, challenge(status, text));
        let client = client(&server, reading(&server).build().unwrap());
        assert_eq!(get(&client, &server).await, 200, "{text}");
        assert_eq!(asked(&server), [READ, BOTH], "{text}");
    }
}

#[tokio::test]
async fn an_api_that_is_never_satisfied_is_called_twice_and_then_once() {
    let server = demanding();
    let text = r#"Bearer error="insufficient_scope", scope="files:write""#;
    server.until_changed_at(Endpoint::Api, challenge(403, text));
    let client = client(&server, reading(&server).build().unwrap());
    for calls in 2..5 {
        assert_eq!(get(&client, &server).await, 403);
        assert_eq!((server.token_requests(), server.api_requests()), (2, calls));
    }
}

#[tokio::test]
async fn ever_new_demands_are_bounded_like_rejections_and_do_not_use_up_their_allowance() {
    let server = AuthorizationServer::start().public_client("me");
    let demands = AtomicUsize::new(0);
    server.answer_by(Endpoint::Api, move |_| {
        let n = demands.fetch_add(1, Ordering::SeqCst);
        challenge(403, &format!(r#"Bearer error="insufficient_scope", scope="scope-{n}""#))
    });
    let api = ProtectedResource::new(server.api_origin(), [server.issuer()]).scopes_from_api(true);
    let tokens = ClientCredentials::builder(api, ClientAuth::none("me"))
        .cache(CachePolicy::new().forced_refreshes(4))
        .build()
        .unwrap();
    let client = client(&server, tokens.clone());
    for _ in 0..10 {
        assert_eq!(get(&client, &server).await, 403);
    }
    assert_eq!(asked(&server).len(), 1 + 4);
    server.until_changed_at(Endpoint::Api, Answer::Token);
    server.revoke_all();
    assert_eq!(get(&client, &server).await, 200);
    assert_eq!(asked(&server).len(), 1 + 4 + 1);
}

#[tokio::test]
async fn without_step_up_or_with_a_source_of_the_users_the_response_is_returned() {
    let server = demanding();
    let tokens = builder(&server, ClientAuth::none("me")).scope(READ).build().unwrap();
    assert_eq!(get(&client(&server, tokens.clone()), &server).await, 403);
    let constant = AccessToken::builder(tokens.token().await.unwrap().expose_secret()).build().unwrap();
    assert_eq!(get(&client(&server, constant), &server).await, 403);
    assert_eq!((server.token_requests(), server.api_requests()), (1, 2));
}

/// A decorator without any code for scopes.
#[derive(Debug)]
struct Counted(ClientCredentials, AtomicUsize);

impl TokenSource for Counted {
    fn token(&self) -> TokenFuture<'_> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.token()
    }
    fn reject(&self, token: &AccessToken) {
        self.0.reject(token);
    }
}

#[tokio::test]
async fn a_decorator_around_the_source_does_not_prevent_a_step_up() {
    let server = demanding();
    let client = client(&server, Counted(reading(&server).build().unwrap(), AtomicUsize::new(0)));
    assert_eq!(get(&client, &server).await, 200);
    assert_eq!(asked(&server), [READ, BOTH]);
}

#[tokio::test]
async fn a_request_that_cannot_be_repeated_helps_those_that_follow() {
    let server = demanding();
    let tokens = reading(&server).build().unwrap();
    let bearer = BearerAuth::builder(tokens.clone()).origin(server.api_origin()).repeat(false).build().unwrap();
    let client = with(bearer);
    assert_eq!(get(&client, &server).await, 403);
    assert_eq!(asked(&server), [READ]);
    // This call starts the refresh.
    assert_eq!(get(&client, &server).await, 403);
    tokens.settled().await;
    assert_eq!(get(&client, &server).await, 200);
    assert_eq!(asked(&server), [READ, BOTH]);
}

#[tokio::test]
async fn requests_without_an_integration_step_up_by_the_source() {
    let server = demanding();
    let tokens = reading(&server).build().unwrap();
    let token = tokens.token().await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let call =
        |token: &AccessToken| http.get(server.api_origin()).header("authorization", token.authorization()).send();
    let response = call(&token).await.unwrap();
    assert_eq!(response.status(), 403);
    let more = tokens.step_up(&token, response.headers()).await.unwrap();
    let response = call(&more).await.unwrap();
    assert_eq!((response.status().as_u16(), more.scope()), (200, Some(BOTH)));
    assert!(tokens.step_up(&more, response.headers()).await.is_none(), "nothing is demanded");
    assert_eq!(asked(&server), [READ, BOTH]);
}

/// The first token's scope, of a client of `api` with this scope of its own.
async fn first(server: &AuthorizationServer, api: ProtectedResource, own: Option<&str>) -> Result<String, Error> {
    let builder = ClientCredentials::builder(api, ClientAuth::none("me"));
    let builder = match own {
        Some(scope) => builder.scope(scope),
        None => builder,
    };
    builder.build()?.token().await?;
    Ok(asked(server).pop().unwrap())
}

#[tokio::test]
async fn the_scopes_of_the_api_are_those_of_its_challenge_or_if_configured_of_its_metadata() {
    let server = demanding();
    let api = || ProtectedResource::new(server.api_origin(), [server.issuer()]);
    let mut headers = http::HeaderMap::new();
    let challenge = b"Bearer realm=\"\xe9\", scope=\"files:read a\\\"b c\xe9\""; // FD8: in Latin-1
    headers.insert("www-authenticate", http::HeaderValue::from_bytes(challenge).unwrap());
    assert_eq!(first(&server, api(), None).await.unwrap(), "none");
    assert_eq!(first(&server, api().challenge(&headers), None).await.unwrap(), "none");
    assert_eq!(first(&server, api().scopes_from_api(true), None).await.unwrap(), "files:write");
    assert_eq!(first(&server, api().scopes_from_api(true), Some("own")).await.unwrap(), "own");
    let challenged = api().scopes_from_api(true).challenge(&headers);
    assert_eq!(first(&server, challenged.clone(), None).await.unwrap(), READ, "what is no scope is left out");
    assert_eq!(first(&server, challenged.clone(), Some("own")).await.unwrap(), "own");
    let as_it_is = ClientCredentials::builder(challenged, ClientAuth::none("me")).param("scope", "own");
    as_it_is.build().unwrap().token().await.unwrap();
    assert_eq!(asked(&server).pop().unwrap(), "own");
    let silent = AuthorizationServer::start().public_client("me");
    let api = ProtectedResource::new(silent.api_origin(), [silent.issuer()]).scopes_from_api(true);
    assert_eq!(first(&silent, api, None).await.unwrap(), "none", "it names none");
}

#[tokio::test]
async fn an_api_may_name_its_scopes_step_by_step() {
    let server = demanding();
    let api = ProtectedResource::new(server.api_origin(), [server.issuer()]).scopes_from_api(true);
    let tokens = ClientCredentials::builder(api, ClientAuth::none("me")).scope(READ).build().unwrap();
    assert_eq!(get(&client(&server, tokens), &server).await, 200);
    assert_eq!(asked(&server), [READ, BOTH]);
}

#[test]
fn invalid_settings_are_refused() {
    let api = || ProtectedResource::new("https://api.example.com", ["https://auth.example.com"]).scopes_from_api(true);
    let me = || ClientAuth::none("me");
    for (builder, part) in [
        (ClientCredentials::builder(Issuer::new("https://a.example"), me()).step_up(["a b"]), "step_up"),
        (ClientCredentials::builder(Issuer::new("https://a.example"), me()).step_up([""]), "step_up"),
        (ClientCredentials::builder(api().omit_resource(true), me()), "scopes_from_api"),
        (ClientCredentials::builder(api(), me()).resource("https://other.example"), "scopes_from_api"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    #[cfg(feature = "shared")]
    {
        use client_credentials::{FileStore, SealedStore};
        let store = SealedStore::new(FileStore::new("/nowhere"), "0123456789abcdef0123456789abcdef");
        let builder = ClientCredentials::builder("https://a.example/token", me()).step_up(["a"]).shared(store);
        assert!(builder.build().unwrap_err().to_string().contains("step_up"));
    }
}

#[tokio::test]
async fn the_demand_of_another_server_after_a_redirect_is_not_followed() {
    let (server, elsewhere) = (demanding(), AuthorizationServer::start());
    let redirect = http::Response::builder().status(302).header("location", elsewhere.api_origin());
    server.until_changed_at(Endpoint::Api, Answer::Response(redirect.body(String::new()).unwrap()));
    let demand = r#"Bearer error="insufficient_scope", scope="files:write""#;
    elsewhere.until_changed_at(Endpoint::Api, challenge(403, demand));
    let client = client(&server, reading(&server).build().unwrap());
    assert_eq!(get(&client, &server).await, 403);
    assert_eq!((asked(&server), elsewhere.api_requests()), (vec![READ.to_owned()], 1));
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_steps_up_too() {
    let server = demanding().dpop_nonces();
    let tokens = reading(&server).dpop(DpopKey::generate()).build().unwrap();
    assert_eq!(get(&client(&server, tokens), &server).await, 200);
    let mut asked = asked(&server);
    // The first request had no nonce yet.
    asked.dedup();
    assert_eq!(asked, [READ, BOTH]);
}

#[tokio::test]
async fn a_request_with_a_proof_steps_up_once_too() {
    let server = AuthorizationServer::start().public_client("me");
    let tokens = builder(&server, ClientAuth::none("me")).scope(READ).step_up(["files:write", "files:delete"]);
    let tokens = tokens.dpop(DpopKey::generate()).build().unwrap();
    for scope in ["files:write", "files:delete"] {
        let demand = format!(r#"DPoP error="insufficient_scope", scope="{scope}""#);
        server.next_at(Endpoint::Api, challenge(403, &demand));
    }
    assert_eq!(get(&client(&server, tokens), &server).await, 403);
    assert_eq!((server.api_requests(), asked(&server)), (2, vec![READ.to_owned(), BOTH.to_owned()]));
}

#[tokio::test]
async fn a_layer_of_tower_steps_up_too() {
    use tower::{Layer, Service, ServiceExt};
    let server = demanding();
    let tokens = reading(&server).build().unwrap();
    let narrow = tokens.token().await.unwrap().authorization();
    let api = tower::service_fn(move |request: http::Request<String>| {
        let is_narrow = request.headers()["authorization"] == narrow;
        let response = http::Response::builder().status(if is_narrow { 403 } else { 200 });
        let demand = r#"Bearer error="insufficient_scope", scope="files:write""#;
        let response = response.header("www-authenticate", demand).body(request.into_body()).unwrap();
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let mut service = BearerAuth::for_origin("https://api.example.com", tokens).unwrap().layer(api);
    let request = http::Request::post("https://api.example.com/files").body("content".to_owned()).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().as_str()), (200, "content"));
    assert_eq!(asked(&server), [READ, BOTH]);
}

#[tokio::test]
async fn a_server_that_grants_less_than_the_union_is_called_once() {
    for (refuse, scopes, calls) in [(false, vec![READ, BOTH], 6), (true, vec![READ, BOTH, READ], 5)] {
        let server = demanding();
        let issued = AtomicUsize::new(0);
        server.answer_by(Endpoint::Token, move |_| {
            let n = issued.fetch_add(1, Ordering::SeqCst);
            Answer::Body(format!(
                r#"{{"access_token":"t{n}","token_type":"Bearer","expires_in":3600,"scope":"files:read"}}"#
            ))
        });
        let demand = r#"Bearer error="insufficient_scope", scope="files:write""#;
        server.until_changed_at(Endpoint::Api, challenge(403, demand));
        let tokens = reading(&server).refuse_narrower_scope(refuse).build().unwrap();
        let client = client(&server, tokens);
        for _ in 0..5 {
            assert_eq!(get(&client, &server).await, 403);
        }
        assert_eq!(asked(&server), scopes, "refuse_narrower_scope({refuse})");
        assert_eq!(server.api_requests(), calls);
    }
}
