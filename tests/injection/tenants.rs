//! Requests on behalf of different tenants, through one `BearerAuth`.

use std::sync::Mutex;

use client_credentials::{BearerAuth, ErrorKind, TokenPool};
use reqwest_middleware::ClientBuilder;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use super::api::{Api, Body, Seen, status};
use super::*;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Tenant(&'static str);

/// Issues `red-1`, `red-2`, .. for the tenant `red`.
#[derive(Debug)]
struct Client(&'static str, AtomicU64);

impl TokenSource for Client {
    fn token(&self) -> TokenFuture<'_> {
        let number = self.1.fetch_add(1, Ordering::SeqCst) + 1;
        let _lifetime = Some(Duration::from_secs(3600));
        TokenFuture::ready(AccessToken::builder(format!("{}-{number}", self.0)).build())
    }
    fn reject(&self, _: &AccessToken) {}
}

fn pool() -> TokenPool<Tenant, Cached<Client>> {
    TokenPool::new(|Tenant(name): &Tenant| Ok(Cached::new(Client(name, AtomicU64::new(0)))))
}

fn refuses_the_first_red_one(seen: &Seen) -> http::Response<Body> {
    status(if seen.token() == "red-1" { 401 } else { 200 })
}

/// What the API has to receive: a 401 rejects the token of its own tenant only.
const REQUESTS: [&str; 5] = ["blue", "red", "blue", "red", "green"];
const TOKENS: [&str; 6] = ["blue-1", "red-1", "red-2", "blue-1", "red-2", "green-1"];

#[tokio::test]
async fn the_middleware_takes_the_token_of_the_tenant_that_the_request_names() {
    let api = Api::start(refuses_the_first_red_one).await;
    let bearer = BearerAuth::for_pool(&api.url, &pool()).unwrap();
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    for tenant in REQUESTS {
        let request = client.get(&api.url).with_extension(Tenant(tenant));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    assert_eq!(api.tokens(), TOKENS);
}

#[tokio::test]
async fn the_layer_takes_the_token_of_the_tenant_that_the_request_names() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&seen);
    let api = service_fn(move |request: http::Request<()>| {
        let token = request.headers()["authorization"].to_str().unwrap();
        let token = token.trim_start_matches("Bearer ").to_owned();
        let code = if token == "red-1" { 401 } else { 200 };
        record.lock().unwrap().push(token);
        async move { Ok::<_, Error>(http::Response::builder().status(code).body(()).unwrap()) }
    });
    let bearer = BearerAuth::for_pool("https://api.example", &pool()).unwrap();
    let mut service = ServiceBuilder::new().layer(bearer).service(api);
    for tenant in REQUESTS {
        let mut request = http::Request::get("https://api.example/").body(()).unwrap();
        request.extensions_mut().insert(Tenant(tenant));
        let ready = service.ready().await.unwrap();
        assert_eq!(ready.call(request).await.unwrap().status(), 200);
    }
    assert_eq!(*seen.lock().unwrap(), TOKENS);
}

#[tokio::test]
async fn a_request_that_names_no_tenant_is_not_sent() {
    let api = Api::start(|_| status(200)).await;
    let bearer = BearerAuth::for_pool(&api.url, &pool()).unwrap();
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer.clone()).build();
    client.get(&api.url).with_extension(Tenant("red")).send().await.unwrap();
    let of_another_type = client.get(&api.url).with_extension("red");
    for nameless in [client.get(&api.url), of_another_type] {
        let error = nameless.send().await.unwrap_err();
        let ours = Error::find(&error).expect("ours");
        assert_eq!(ours.kind(), ErrorKind::Configuration);
        assert!(ours.to_string().contains("Tenant"), "{ours}");
    }
    // A `reqwest::Request` has no extensions.
    let mut service = ServiceBuilder::new().layer(bearer).service(reqwest::Client::new());
    let request = reqwest::Client::new().get(&api.url).build().unwrap();
    let ready = ServiceExt::<reqwest::Request>::ready(&mut service).await;
    let error = ready.unwrap().call(request).await.unwrap_err();
    assert_eq!(Error::find(&*error).map(Error::kind), Some(ErrorKind::Configuration));
    assert_eq!(api.tokens(), ["red-1"]);
}
