//! The code that the migration guide replaces, and what replaces it, against the same server. The README and the guide
//! show the part between the two markers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::pin::Pin;
use std::time::{Duration, Instant};

use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use oauth2::basic::BasicClient;
use oauth2::{AsyncHttpClient, EndpointNotSet, EndpointSet, HttpClientError, HttpRequest, HttpResponse};
use oauth2::{ClientId, ClientSecret, Scope, TokenResponse, TokenUrl};
use reqwest::{Client, Response};
use tokio::sync::Mutex;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type ConfiguredClient = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

const HOUR: Duration = Duration::from_secs(3600);

/// What `oauth2` provides for other versions of reqwest.
struct HttpClient(Client);

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpClientError<reqwest::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Self::Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let response = self.0.execute(request.try_into().map_err(Box::new)?).await.map_err(Box::new)?;
            let mut answer = http::Response::builder().status(response.status());
            for (name, value) in response.headers() {
                answer = answer.header(name, value);
            }
            Ok(answer.body(response.bytes().await.map_err(Box::new)?.to_vec())?)
        })
    }
}

// begin
struct Tokens {
    client: ConfiguredClient,
    http: HttpClient,
    cache: Mutex<Option<(String, Instant)>>,
}

impl Tokens {
    async fn token(&self) -> Result<String, BoxError> {
        // While the server is down, all callers wait here in turn.
        let mut cache = self.cache.lock().await;
        if let Some((token, expiry)) = &*cache {
            // `Instant` does not advance while the machine is suspended.
            if Instant::now() < *expiry {
                return Ok(token.clone());
            }
        }
        // Dropped with its caller. Follows redirects, as the client does.
        let request = self.client.exchange_client_credentials();
        let request = request.add_scope(Scope::new("invoices:read".into()));
        let response = request.request_async(&self.http).await?;
        let token = response.access_token().secret().clone();
        let lifetime = response.expires_in();
        // From the end of the request, without a margin.
        let expiry = Instant::now() + lifetime.unwrap_or(HOUR);
        *cache = Some((token.clone(), expiry));
        Ok(token)
    }

    async fn get(&self, api: &Client, url: &str) -> Result<Response, BoxError> {
        // To any host that `url` names.
        let token = self.token().await?;
        let response = api.get(url).bearer_auth(token).send().await?;
        if response.status() == 401 {
            // Which token was rejected? Is there a newer one? Repeat this?
        }
        Ok(response)
    }
}
// end

#[tokio::test]
async fn a_revoked_token_fails_a_request_before_and_none_after() {
    let server = AuthorizationServer::start().client("billing", "a secret");
    let url = format!("{}/invoices", server.api_origin());
    let http = || Client::builder().no_proxy().build().unwrap();

    let before = Tokens {
        client: BasicClient::new(ClientId::new("billing".to_owned()))
            .set_client_secret(ClientSecret::new("a secret".to_owned()))
            .set_token_uri(TokenUrl::new(server.token_url().to_owned()).unwrap()),
        http: HttpClient(http()),
        cache: Mutex::default(),
    };
    assert_eq!(before.get(&http(), &url).await.unwrap().status(), 200);
    server.revoke_all();
    assert_eq!(before.get(&http(), &url).await.unwrap().status(), 401);

    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    let tokens = ClientCredentials::builder(server.token_url(), auth).scope("invoices:read").build().unwrap();
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens).unwrap();
    let after = reqwest_middleware::ClientBuilder::new(http()).with(bearer).build();
    assert_eq!(after.get(&url).send().await.unwrap().status(), 200);
    server.revoke_all();
    assert_eq!(after.get(&url).send().await.unwrap().status(), 200);

    let requests: Vec<_> =
        server.requests().into_iter().filter(|request| request.param("grant_type").is_some()).collect();
    assert_eq!(requests[0].param("scope"), requests[1].param("scope"));
    assert_eq!(requests[0].auth_method(), requests[1].auth_method());
}

#[test]
fn the_guide_and_the_readme_show_this_code() {
    let code = include_str!("migration.rs").split("// begin\n").nth(1).unwrap();
    let code = code.split("// end\n").next().unwrap();
    for page in [include_str!("../../src/docs/migration.md"), include_str!("../../README.md")] {
        assert!(page.contains(&format!("```rust,ignore\n{code}```\n")), "it should be:\n{code}");
    }
}
