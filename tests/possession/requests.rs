//! At an API (RFC 9449 sections 7 and 9), through each integration.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use client_credentials::{BearerAuth, ClientCredentials, DpopKey, Retry, SigningAlgorithm};
use futures_util::stream;
use http::Method;
use http_body_util::Full;
use reqwest_middleware::ClientBuilder;
use tower::{Layer, ServiceExt, service_fn};

use crate::api::{Api, State};
use crate::keys::Kms;
use crate::proof::{Proof, hash};
use crate::server::{Server, nth, token};
use crate::tokens;

/// Both clients of reqwest, with one interface.
#[derive(Clone, Copy, Debug)]
enum Integration {
    Middleware,
    Layer,
}

const INTEGRATIONS: [Integration; 2] = [Integration::Middleware, Integration::Layer];

impl Integration {
    async fn send(self, bearer: &BearerAuth, request: reqwest::Request) -> (u16, String) {
        let client = reqwest::Client::builder();
        let client = client.redirect(reqwest::redirect::Policy::none());
        let client = client.build().unwrap();
        let response = match self {
            Integration::Middleware => {
                let client = ClientBuilder::new(client).with(bearer.clone()).build();
                client.execute(request).await.unwrap()
            }
            Integration::Layer => bearer.layer(client).oneshot(request).await.unwrap(),
        };
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

fn get(url: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}

/// A new authorization server, API and source for each integration.
async fn all(configure: fn(&mut State)) -> (Server, Api, BearerAuth) {
    let (server, api) = (Server::that_binds(), Api::start(configure).await);
    let tokens = tokens(&server, DpopKey::generate());
    let bearer = BearerAuth::for_origin(&api.url, tokens).unwrap();
    (server, api, bearer)
}

#[tokio::test]
async fn every_request_has_a_proof_of_its_own() {
    for integration in INTEGRATIONS {
        let (server, api, bearer) = all(|_| {}).await;
        for path in ["/a", "/a", "/b?query=1#fragment"] {
            let (status, _) = integration.send(&bearer, get(&format!("{}{path}", api.url))).await;
            assert_eq!(status, 200, "{integration:?}");
        }
        assert_eq!(api.statuses(), [200, 200, 200]);
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_nonce_costs_one_repetition_on_first_contact_and_none_later() {
    for integration in INTEGRATIONS {
        let (server, api, bearer) = all(|api| api.nonce = Some("n".into())).await;
        for _ in 0..3 {
            let request = reqwest::Client::new().post(&api.url).body("order").build();
            assert_eq!(integration.send(&bearer, request.unwrap()).await.0, 200, "{integration:?}");
        }
        assert_eq!(api.statuses(), [401, 200, 200, 200]);
        assert_eq!(api.state().bodies, ["order"; 4]);
        assert_eq!(server.asked().len(), 1, "nothing is wrong with the token");
    }
}

#[tokio::test]
async fn the_newest_nonce_is_used_whatever_answer_it_came_with() {
    for integration in INTEGRATIONS {
        let (_server, api, bearer) = all(|api| api.nonce_by_request = true).await;
        for _ in 0..3 {
            assert_eq!(integration.send(&bearer, get(&api.url)).await.0, 200);
        }
        let nonces: Vec<_> = api.state().seen.iter().map(|(.., n)| n.clone()).collect();
        assert_eq!(nonces, ["", "n1", "n2"]);
    }
}

/// A body that runs a closure when it is copied.
struct Meanwhile(Arc<dyn Fn() + Send + Sync>);

#[tokio::test]
async fn a_repetition_has_the_nonce_of_its_own_answer_whatever_others_bring_meanwhile() {
    let server = Server::that_binds();
    let tokens = tokens(&server, DpopKey::generate());
    let token = tokens.token().await.unwrap();
    let url = "https://api.example.com/";
    let others = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("dpop-nonce"),
        http::HeaderValue::from_static("others"),
    )]);
    let body = Meanwhile(Arc::new(move || {
        token.observe(url, &others);
    }));
    let bearer = BearerAuth::builder(tokens).origin(url).clone_body(|Meanwhile(happens): &Meanwhile| {
        happens();
        Some(Meanwhile(Arc::clone(happens)))
    });
    let bearer = bearer.build().unwrap();
    let service = bearer.layer(service_fn(|request: http::Request<Meanwhile>| async move {
        let proof = Proof::of(request.headers()).unwrap();
        let response = match proof.claim("nonce") {
            "own" => http::Response::builder(),
            _ => http::Response::builder()
                .status(401)
                .header("dpop-nonce", "own")
                .header("www-authenticate", r#"DPoP error="use_dpop_nonce""#),
        };
        Ok::<_, std::convert::Infallible>(response.body(()).unwrap())
    }));
    let request = http::Request::get(url).body(body).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_second_demand_for_a_nonce_is_returned_and_costs_no_token() {
    for integration in INTEGRATIONS {
        let (server, api, bearer) = all(|api| {
            api.nonce = Some("n".into());
            api.never_satisfied = true;
        })
        .await;
        let answer = integration.send(&bearer, get(&api.url)).await;
        assert_eq!(answer, (401, "refused".to_owned()));
        assert_eq!(api.statuses(), [401, 401]);
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_even_after_a_nonce() {
    for integration in INTEGRATIONS {
        let (server, api, bearer) = all(|api| {
            api.nonce = Some("n".into());
            api.revoked.insert(nth(0));
        })
        .await;
        assert_eq!(integration.send(&bearer, get(&api.url)).await.0, 200, "{integration:?}");
        let tokens: Vec<_> = api.state().seen.iter().map(|(_, t, _)| t.clone()).collect();
        assert_eq!(tokens, [nth(0), nth(0), nth(1)], "nonce, token, service");
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn a_second_refusal_is_returned() {
    for integration in INTEGRATIONS {
        let (server, api, bearer) = all(|api| {
            api.revoked = (0..3).map(nth).collect();
        })
        .await;
        assert_eq!(integration.send(&bearer, get(&api.url)).await.0, 401);
        assert_eq!(api.statuses(), [401, 401]);
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_repeated_still_yields_the_nonce_for_the_next() {
    for integration in INTEGRATIONS {
        let (_server, api, bearer) = all(|api| api.nonce = Some("n".into())).await;
        let parts = stream::iter([Ok::<_, std::io::Error>("part")]);
        let streaming = reqwest::Client::new().post(&api.url).body(reqwest::Body::wrap_stream(parts));
        let answer = integration.send(&bearer, streaming.build().unwrap()).await;
        assert_eq!(answer, (401, "refused".to_owned()));
        assert_eq!(integration.send(&bearer, get(&api.url)).await.0, 200);
        assert_eq!(api.statuses(), [401, 200]);
    }
}

#[tokio::test]
async fn each_api_has_nonces_of_its_own() {
    // M16
    let server = Server::that_binds();
    let [one, other] = ["one", "other"].map(|nonce| move |api: &mut State| api.nonce = Some(nonce.to_owned()));
    let (one, other) = (Api::start(one).await, Api::start(other).await);
    let bearer =
        BearerAuth::builder(tokens(&server, DpopKey::generate())).origin(&one.url).origin(&other.url).build().unwrap();
    for integration in INTEGRATIONS {
        for api in [&one, &other] {
            assert_eq!(integration.send(&bearer, get(&api.url)).await.0, 200);
        }
    }
    assert_eq!(one.statuses(), [401, 200, 200]);
    assert_eq!(other.statuses(), [401, 200, 200]);
}

#[tokio::test]
async fn a_request_with_the_callers_own_header_gets_no_proof() {
    for integration in INTEGRATIONS {
        let (server, api, bearer) = all(|_| {}).await;
        let mut request = get(&api.url);
        let own = "Basic own".parse().unwrap();
        request.headers_mut().insert("authorization", own);
        assert_eq!(integration.send(&bearer, request).await.0, 401);
        assert_eq!(api.state().seen, [(401, "Basic own".into(), String::new())]);
        assert_eq!(server.asked().len(), 0);
    }
}

#[tokio::test]
async fn a_kms_signs_each_proof() {
    for integration in INTEGRATIONS {
        let (server, api) = (Server::that_binds(), Api::start(|_| {}).await);
        let kms = Kms::new(SigningAlgorithm::ES256);
        let public = kms.public();
        let tokens = tokens(&server, DpopKey::from_signer(kms, &public));
        let bearer = BearerAuth::for_origin(&api.url, tokens).unwrap();
        assert_eq!(integration.send(&bearer, get(&api.url)).await.0, 200);
    }
}

#[tokio::test]
async fn a_thousand_requests_have_a_thousand_proofs() {
    let (server, api, bearer) = all(|api| api.nonce = Some("n".into())).await;
    assert_eq!(Integration::Middleware.send(&bearer, get(&api.url)).await.0, 200);
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    let requests = (0..1000).map(|_| client.get(&api.url).send());
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|one| one.as_ref().unwrap().status() == 200));
    let refused = api.statuses().iter().filter(|one| **one != 200).count();
    assert_eq!(refused, 1, "first contact");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_layer_over_any_client_writes_the_url_as_servers_read_it() {
    let server = Server::that_binds();
    let origin = "https://api.example.com";
    let bearer = BearerAuth::for_origin(origin, tokens(&server, DpopKey::generate())).unwrap();
    let seen: Arc<Mutex<Vec<Proof>>> = Arc::default();
    let record = Arc::clone(&seen);
    let service = bearer.layer(service_fn(move |request: http::Request<Full<Bytes>>| {
        assert_eq!(request.headers()["authorization"], format!("DPoP {}", nth(0)));
        let proof = Proof::of(request.headers()).unwrap();
        record.lock().unwrap().push(proof);
        async { Ok::<_, std::convert::Infallible>(http::Response::new(())) }
    }));
    let request = http::Request::put("https://API.example.com:443/a%20b?query=1");
    let request = request.body(Full::new(Bytes::new())).unwrap();
    service.oneshot(request).await.unwrap();
    let proof = seen.lock().unwrap().pop().unwrap();
    assert_eq!(proof.claim("htm"), "PUT");
    assert_eq!(proof.claim("htu"), "https://api.example.com/a%20b");
    assert_eq!(proof.claim("ath"), hash(&nth(0)));
}

#[tokio::test]
async fn without_an_integration_the_token_has_the_headers_of_one_request() {
    let server = Server::that_binds();
    let api = Api::start(|api| api.nonce = Some("n".into())).await;
    let token = tokens(&server, DpopKey::generate()).token().await.unwrap();
    let http = reqwest::Client::new();
    let send = async || {
        let headers = token.request_headers(&Method::GET, &api.url).await.unwrap();
        http.get(&api.url).headers(headers).send().await.unwrap()
    };
    let first = send().await;
    assert_eq!(first.status(), 401);
    assert_eq!(token.observe(&api.url, first.headers()), Retry::WithNonce);
    let second = send().await;
    assert_eq!(second.status(), 200);
    assert_eq!(token.observe(&api.url, second.headers()), Retry::No, "served");
    for nowhere in ["no url", "mailto:api@example.com"] {
        let headers = token.request_headers(&Method::GET, nowhere).await;
        assert!(headers.is_err(), "{nowhere}");
    }
}

#[tokio::test]
async fn a_bearer_token_has_no_proof() {
    let server = Server::start(|_| token("t", "Bearer"));
    let auth = client_credentials::ClientAuth::none("me");
    let tokens = ClientCredentials::builder(&server.url, auth);
    let token = tokens.build().unwrap().token().await.unwrap();
    let url = "https://api.example.com/";
    let headers = token.request_headers(&Method::GET, url).await.unwrap();
    assert_eq!(headers.len(), 1);
    assert_eq!(headers["authorization"], "Bearer t");
    let mut answer = http::HeaderMap::new();
    answer.insert("dpop-nonce", "n".parse().unwrap());
    answer.insert("www-authenticate", r#"DPoP error="use_dpop_nonce""#.parse().unwrap());
    assert_eq!(token.observe(url, &answer), Retry::No);
}
