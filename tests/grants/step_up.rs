//! A token with the scope that an API demands (RFC 6750 section 3.1), as the documentation of `BearerAuth` shows it.

use std::collections::BTreeSet;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, RecordedRequest};
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, TokenPool};
use reqwest_middleware::ClientWithMiddleware as Client;

use crate::builder;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Scopes(BTreeSet<String>);

const ALLOWED: [&str; 2] = ["files:read", "files:write"];

async fn get(
    client: &Client,
    pool: &TokenPool<Scopes, ClientCredentials>,
    url: &str,
    scopes: &mut Scopes,
) -> Result<reqwest::Response, Box<dyn std::error::Error>> {
    let request = client.get(url).with_extension(scopes.clone());
    let response = request.send().await?;
    let token = pool.source(scopes).token().await?;
    let demand = token.insufficient_scope(response.headers());
    let demand = demand.and_then(|demand| demand.scope).unwrap_or_default();
    let known = scopes.0.len();
    let allowed = demand.split(' ').filter(|scope| ALLOWED.contains(scope));
    scopes.0.extend(allowed.map(str::to_owned));
    if scopes.0.len() == known {
        return Ok(response);
    }
    // Once, with what was granted before and what is demanded now.
    let request = client.get(url).with_extension(scopes.clone());
    Ok(request.send().await?)
}

/// A user of an API that demands this scope, and may ask for any.
fn user(demanded: &str) -> (AuthorizationServer, Client, TokenPool<Scopes, ClientCredentials>) {
    let server = AuthorizationServer::start().client("me", "secret").api_scope(demanded);
    let template = builder(&server, ClientAuth::client_secret_basic("me", "secret"));
    let pool = TokenPool::new(move |Scopes(scopes): &Scopes| template.clone().scopes(scopes).build());
    let bearer = BearerAuth::for_pool(server.api_origin(), &pool).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    (server, reqwest_middleware::ClientBuilder::new(http).with(bearer).build(), pool)
}

fn reading() -> Scopes {
    Scopes(BTreeSet::from(["files:read".to_owned()]))
}

fn of(requests: &[RecordedRequest], endpoint: Endpoint) -> Vec<&RecordedRequest> {
    requests.iter().filter(|request| request.endpoint() == endpoint).collect()
}

#[tokio::test]
async fn a_demanded_scope_is_requested_once_in_addition_and_the_token_is_kept() {
    let (server, client, pool) = user("files:write");
    let mut scopes = reading();
    let url = format!("{}/files", server.api_origin());
    for _ in 0..3 {
        assert_eq!(get(&client, &pool, &url, &mut scopes).await.unwrap().status(), 200);
    }
    let requests = server.requests();
    let asked: Vec<_> = of(&requests, Endpoint::Token).iter().map(|request| request.param("scope").unwrap()).collect();
    assert_eq!(asked, ["files:read", "files:read files:write"]);
    let calls: Vec<_> = of(&requests, Endpoint::Api).iter().map(|request| request.status().unwrap()).collect();
    assert_eq!(calls, [403, 200, 200, 200], "later calls begin with the wide token");
}

#[tokio::test]
async fn an_api_that_is_never_satisfied_is_called_twice() {
    let (server, client, pool) = user("files:write");
    server.until_changed_at(Endpoint::Api, Answer::Response(challenge("files:write")));
    let url = format!("{}/files", server.api_origin());
    let mut scopes = reading();
    assert_eq!(get(&client, &pool, &url, &mut scopes).await.unwrap().status(), 403);
    assert_eq!((server.token_requests(), server.api_requests()), (2, 2));
    assert_eq!(get(&client, &pool, &url, &mut scopes).await.unwrap().status(), 403);
    assert_eq!((server.token_requests(), server.api_requests()), (2, 3), "the scope is held already");
}

#[tokio::test]
async fn a_scope_that_the_program_may_not_have_is_not_requested() {
    let (server, client, pool) = user("admin");
    let url = format!("{}/files", server.api_origin());
    let response = get(&client, &pool, &url, &mut reading()).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!((server.token_requests(), server.api_requests()), (1, 1));
}

fn challenge(scope: &str) -> http::Response<String> {
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    http::Response::builder().status(403).header("www-authenticate", challenge).body(String::new()).unwrap()
}
