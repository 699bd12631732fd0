//! Client authentication by every method of the crate, and bound tokens.

use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientAuth, ClientCredentials, ErrorKind, Issuer, ProtectedResource};

async fn denied(server: &AuthorizationServer, auth: ClientAuth) {
    let error = ClientCredentials::builder(server.token_url(), auth).build().unwrap().token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:#}");
}

async fn served(server: &AuthorizationServer, auth: ClientAuth) {
    ClientCredentials::builder(server.token_url(), auth).build().unwrap().token().await.unwrap();
}

#[tokio::test]
async fn secrets_are_read_as_servers_read_them_and_compared() {
    for secret in ["plain", "with space", "plus+slash/equals=", "per%cent", "per%20cent", "c:olon", "schlüssel", "a&b"]
    {
        let server = AuthorizationServer::start().client("billing", secret);
        served(&server, ClientAuth::client_secret_basic("billing", secret)).await;
        served(&server, ClientAuth::client_secret_post("billing", secret)).await;
        denied(&server, ClientAuth::client_secret_basic("billing", format!("{secret}x"))).await;
        denied(&server, ClientAuth::client_secret_post("billing", format!("{secret}x"))).await;
        denied(&server, ClientAuth::client_secret_basic("other", secret)).await;
        denied(&server, ClientAuth::none("billing")).await;
    }
    let server = AuthorizationServer::start().client("billing", "raw+secret");
    served(&server, ClientAuth::client_secret_basic_raw("billing", "raw+secret")).await;
    let server = AuthorizationServer::start().public_client("billing");
    served(&server, ClientAuth::none("billing")).await;
    denied(&server, ClientAuth::client_secret_basic("billing", "any")).await;
}

#[tokio::test]
async fn a_rotated_secret_replaces_the_old_one() {
    let server = AuthorizationServer::start().client("billing", "old");
    served(&server, ClientAuth::client_secret_basic("billing", "old")).await;
    server.rotate_secret("billing", "new");
    denied(&server, ClientAuth::client_secret_basic("billing", "old")).await;
    served(&server, ClientAuth::client_secret_basic("billing", "new")).await;
}

#[tokio::test]
async fn a_token_request_that_rfc_6749_forbids_is_refused() {
    let server = AuthorizationServer::start().client("billing", "a secret").scopes(["read", "write"]);
    let http = reqwest::Client::new();
    let post = async |form: &str, basic: bool| {
        let mut request = http.post(server.token_url()).body(form.to_owned());
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if basic {
            request = request.basic_auth("billing", Some("a secret"));
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: serde_json::Value = response.json().await.unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (status, text("error"), text("scope"))
    };
    for (form, basic, status, error, scope) in [
        ("grant_type=client_credentials", true, 200, "", "read write"),
        ("grant_type=client_credentials&scope=write", true, 200, "", "write"),
        ("grant_type=client_credentials&scope=", true, 200, "", "read write"),
        ("grant_type=client_credentials&client_id=billing", true, 200, "", "read write"),
        ("grant_type=client_credentials&scope=admin", true, 400, "invalid_scope", ""),
        ("grant_type=client_credentials&client_id=other", true, 400, "invalid_request", ""),
        ("grant_type=client_credentials&grant_type=client_credentials", true, 400, "invalid_request", ""),
        ("grant_type=client_credentials&client_id=billing&client_secret=a+secret", true, 400, "invalid_request", ""),
        ("grant_type=client_credentials&client_id=billing&client_secret=a+secret", false, 200, "", "read write"),
        ("grant_type=password", true, 400, "unsupported_grant_type", ""),
        ("scope=read", true, 400, "invalid_request", ""),
        ("", true, 400, "invalid_request", ""),
        ("grant_type=client_credentials", false, 401, "invalid_client", ""),
        ("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer", true, 400, "invalid_request", ""),
        ("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c", true, 200, "", "read write"),
        (
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=a",
            true,
            400,
            "invalid_request",
            "",
        ),
    ] {
        let expected = (status, error.to_owned(), scope.to_owned());
        assert_eq!(post(form, basic).await, expected, "{form}");
    }
    assert_eq!(http.get(server.token_url()).send().await.unwrap().status(), 405);
    assert_eq!(http.post(format!("{}/other", server.issuer())).send().await.unwrap().status(), 404);
    let json = r#"{"grant_type":"urn:ietf:params:oauth:grant-type:token-exchange","subject_token":"a","subject_token_type":"b"}"#;
    let request = http.post(server.token_url()).basic_auth("billing", Some("a secret")).body(json);
    let exchanged: serde_json::Value =
        request.header("content-type", "application/json").send().await.unwrap().json().await.unwrap();
    assert_eq!(exchanged["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
}

#[tokio::test]
async fn the_api_requires_its_audience_and_its_scope() {
    let server = AuthorizationServer::start().api_audience("https://api.example.com").api_scope("invoices:read");
    let auth = || ClientAuth::client_secret_basic("billing", "a secret");
    let builder = || ClientCredentials::builder(server.token_url(), auth());
    let http = reqwest::Client::new();
    let mut told = Vec::new();
    for builder in [
        builder().audience("https://other.example.com").scope("invoices:read"),
        builder().audience("https://api.example.com").scope("invoices:write"),
        builder().audience("https://api.example.com").scope("invoices:read"),
        builder().resource("https://api.example.com").scope("a invoices:read"),
    ] {
        let token = builder.build().unwrap().token().await.unwrap();
        let request = http.get(server.api_origin()).header("authorization", token.authorization());
        let headers = [("authorization".parse().unwrap(), token.authorization())].into_iter().collect();
        let response = request.send().await.unwrap();
        assert_eq!(server.accepts(&headers), response.status() == 200);
        let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        told.push((response.status().as_u16(), challenge.unwrap_or_default()));
    }
    assert_eq!((told[0].0, told[1].0, told[2].0, told[3].0), (401, 403, 200, 200));
    assert!(told[0].1.contains("another audience"), "{told:?}");
    let token = builder().scope("invoices:read").audience("https://api.example.com").build().unwrap().token().await;
    let other_scheme = format!("DPoP {}", token.unwrap().expose_secret());
    let refused = http.get(server.api_origin()).header("authorization", other_scheme).send().await.unwrap();
    assert_eq!(refused.status(), 401, "a bearer token is no DPoP token");
    assert!(told[1].1.contains("error=\"insufficient_scope\", scope=\"invoices:read\""), "{told:?}");
}

#[cfg(feature = "serde")]
#[tokio::test]
async fn the_metadata_lists_every_method_that_a_configuration_can_name() {
    use client_credentials::{Config, MemberKind};
    let server = AuthorizationServer::start();
    let url = format!("{}/.well-known/oauth-authorization-server", server.issuer());
    let metadata: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let listed = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    let member = Config::MEMBERS.iter().find(|member| member.path == "auth.method").unwrap();
    let MemberKind::OneOf(methods) = member.kind else { panic!("{member:?}") };
    for method in methods {
        let registered = match *method {
            "client_secret_basic_raw" => "client_secret_basic",
            "mutual_tls" => "tls_client_auth",
            // The registry has no name for these.
            "client_assertion" | "anonymous" => continue,
            name => name,
        };
        assert!(listed.iter().any(|name| name == registered), "{method}");
    }
}

#[tokio::test]
async fn issuer_and_api_are_found_by_their_metadata() {
    let server = AuthorizationServer::start().client("billing", "a secret").scopes(["read", "write"]);
    let auth = || ClientAuth::client_secret_basic("billing", "a secret");
    ClientCredentials::builder(Issuer::new(server.issuer()), auth()).build().unwrap().token().await.unwrap();
    let resource = format!("{}/mcp", server.api_origin());
    let tokens =
        ClientCredentials::builder(ProtectedResource::new(&resource, [server.issuer()]), auth()).build().unwrap();
    tokens.token().await.unwrap();
    let asked = server.requests().into_iter().rfind(|request| request.path() == "/token").unwrap();
    assert_eq!(asked.param("resource"), Some(resource.as_str()));
    for path in ["openid-configuration", "oauth-authorization-server"] {
        let url = format!("{}/.well-known/{path}", server.issuer());
        let document: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        assert_eq!(document["issuer"], server.issuer());
        assert_eq!(document["token_endpoint"], server.token_url());
        assert_eq!(document["scopes_supported"], serde_json::json!(["read", "write"]));
    }
}

#[cfg(feature = "jwt")]
mod signed {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING};
    use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair, UnparsedPublicKey};
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::Value;

    use super::*;

    /// A private key in PEM and its public half as a JWK.
    fn key() -> (String, String) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let text = STANDARD.encode(pair.to_pkcs8v1().unwrap().as_ref());
        let public = pair.public_key().as_ref();
        let [x, y] = [&public[1..33], &public[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
        (format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"), jwk)
    }

    #[tokio::test]
    async fn assertions_are_verified() {
        const SECRET: &str = "a secret that is 32 characters long";
        let ((private, public), (other, _)) = (key(), key());
        let server = AuthorizationServer::start().client("hmac", SECRET).client_with_key("ecdsa", &public);
        let by = async |auth: ClientAuth| {
            let builder = ClientCredentials::builder(server.token_url(), auth);
            builder.build().unwrap().token().await.map_err(|error| error.kind())
        };
        for audience in [server.issuer(), server.token_url()] {
            by(ClientAuth::client_secret_jwt("hmac", SECRET).audience(audience).into()).await.unwrap();
            by(ClientAuth::private_key_jwt("ecdsa", private.as_str()).audience(audience).into()).await.unwrap();
        }
        let other_secret = SECRET.to_uppercase();
        let issuer = server.issuer();
        for auth in [
            ClientAuth::client_secret_jwt("hmac", other_secret).audience(issuer).into(),
            ClientAuth::client_secret_jwt("hmac", SECRET).audience("https://other.example.com").into(),
            ClientAuth::client_secret_jwt("ecdsa", SECRET).audience(issuer).into(),
            ClientAuth::private_key_jwt("ecdsa", other).audience(issuer).into(),
            ClientAuth::private_key_jwt("hmac", private).audience(issuer).into(),
        ] {
            assert_eq!(by(auth).await.unwrap_err(), ErrorKind::Denied, "{}", server.story());
        }
    }

    #[tokio::test]
    async fn an_assertion_is_accepted_once_and_until_it_expires() {
        use aws_lc_rs::hmac;
        const SECRET: &str = "a secret that is 32 characters long";
        let clock = client_credentials::ManualClock::new();
        let server = AuthorizationServer::start().client("billing", SECRET).clock(&clock);
        let assertion = |jti: Option<&str>, lifetime: u64| {
            let claims = serde_json::json!({
                "iss": "billing", "sub": "billing", "aud": server.issuer(), "jti": jti, "exp": 1_790_000_000 + lifetime,
            });
            let [header, claims] =
                [r#"{"alg":"HS256"}"#.to_owned(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
            let message = format!("{header}.{claims}");
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        for (jti, lifetime, passed, status) in [
            (Some("a"), 60, 0, 200),
            (Some("a"), 60, 0, 401),
            (Some("b"), 60, 59, 200),
            (Some("c"), 60, 1, 401),
            (None, 600, 0, 401),
        ] {
            clock.advance(std::time::Duration::from_secs(passed));
            let assertion = assertion(jti, lifetime);
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let form = [
                ("client_assertion_type", kind),
                ("client_assertion", &assertion),
                ("grant_type", "client_credentials"),
            ];
            let answer = crate::post_form(server.token_url(), &form).send().await.unwrap();
            assert_eq!(answer.status(), status, "{}", server.story());
        }
    }

    #[tokio::test]
    async fn access_tokens_are_jwts_that_the_published_key_has_signed() {
        let clock = client_credentials::ManualClock::new();
        let server = AuthorizationServer::start().jwt_tokens().clock(&clock);
        let auth = ClientAuth::client_secret_basic("billing", "a secret");
        let builder =
            ClientCredentials::builder(server.token_url(), auth).scope("read").audience("https://api.example.com");
        let token = builder.clock(&clock).build().unwrap().token().await.unwrap();
        let keys: Value = reqwest::get(format!("{}/jwks", server.issuer())).await.unwrap().json().await.unwrap();
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(keys["keys"][0][name].as_str().unwrap()).unwrap();
        let public = [&[4], &*coordinate("x"), &*coordinate("y")].concat();
        let (message, signature) = token.expose_secret().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
        key.verify(message.as_bytes(), &signature).unwrap();
        let part = |index| -> Value {
            let part = message.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let (header, claims) = (part(0), part(1));
        assert_eq!((&header["typ"], &header["kid"]), (&"at+jwt".into(), &keys["keys"][0]["kid"]));
        assert_eq!(
            (&claims["iss"], &claims["client_id"], &claims["scope"]),
            (&server.issuer().into(), &"billing".into(), &"read".into())
        );
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
        let until = token.expires_at().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(claims["exp"], until.as_secs(), "one clock");
    }
}

#[cfg(feature = "dpop")]
mod bound {
    use client_credentials::testing::{Answer, Endpoint};
    use client_credentials::{BearerAuth, DpopKey};
    use reqwest_middleware::ClientBuilder;

    use super::*;

    #[tokio::test]
    async fn a_token_that_is_bound_to_a_key_is_of_no_use_without_it() {
        let server = AuthorizationServer::start().dpop_nonces();
        let auth = ClientAuth::client_secret_basic("billing", "a secret");
        let tokens = ClientCredentials::builder(server.token_url(), auth).dpop(DpopKey::generate()).build().unwrap();
        let http = reqwest::Client::new();
        let bearer = BearerAuth::for_origin(server.api_origin(), tokens.clone()).unwrap();
        let client = ClientBuilder::new(http.clone()).with(bearer).build();
        let get = async || client.get(format!("{}/a?b=c", server.api_origin())).send().await.unwrap();
        assert_eq!(get().await.status(), 200, "{}", server.story());
        server.change_dpop_nonce();
        assert_eq!(get().await.status(), 200, "{}", server.story());
        server.next_at(Endpoint::Api, Answer::Refuse("invalid_token"));
        assert_eq!(get().await.status(), 200, "{}", server.story());

        let stolen = tokens.token().await.unwrap();
        let request = http.get(server.api_origin()).header("authorization", stolen.authorization());
        assert_eq!(request.send().await.unwrap().status(), 401);
        let as_bearer = http.get(server.api_origin()).bearer_auth(stolen.expose_secret());
        assert_eq!(as_bearer.send().await.unwrap().status(), 401);
        let method = http::Method::GET;
        let proved = stolen.request_headers(&method, &format!("{}/other", server.api_origin())).await.unwrap();
        let elsewhere = http.get(format!("{}/a", server.api_origin())).headers(proved.clone()).send().await.unwrap();
        assert_eq!(elsewhere.status(), 401, "a proof for another URL");
        let there =
            async || http.get(format!("{}/other", server.api_origin())).headers(proved.clone()).send().await.unwrap();
        assert_eq!(there().await.status(), 200, "{}", server.story());
        assert_eq!(there().await.status(), 401, "a proof is good once");
    }

    /// A proof by a new key, for GET of this URL with this token.
    fn forged(url: &str, token: &str) -> String {
        use aws_lc_rs::digest::{SHA256, digest};
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = pair.public_key().as_ref();
        let jwk = serde_json::json!({
            "kty": "EC", "crv": "P-256", "x": B64.encode(&public[1..33]), "y": B64.encode(&public[33..]),
        });
        let header = serde_json::json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        let hash = B64.encode(digest(&SHA256, token.as_bytes()));
        let claims = serde_json::json!({"htm": "GET", "htu": url, "ath": hash, "jti": "forged", "iat": 1});
        let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", B64.encode(signature))
    }

    #[tokio::test]
    async fn a_proof_is_for_one_method_and_by_one_key() {
        let server = AuthorizationServer::start();
        let auth = ClientAuth::client_secret_basic("billing", "a secret");
        let tokens = ClientCredentials::builder(server.token_url(), auth).dpop(DpopKey::generate()).build().unwrap();
        let token = tokens.token().await.unwrap();
        let (http, url) = (reqwest::Client::new(), format!("{}/a", server.api_origin()));
        let headers = token.request_headers(&http::Method::GET, &url).await.unwrap();
        assert_eq!(http.post(&url).headers(headers.clone()).send().await.unwrap().status(), 401, "another method");
        assert_eq!(http.get(&url).headers(headers).send().await.unwrap().status(), 200);
        let more = ClientCredentials::builder(server.token_url(), ClientAuth::none("billing"));
        let more = |key: &DpopKey| more.clone().dpop(key.clone()).build().unwrap();
        let key = DpopKey::generate();
        let (one, other) = (more(&key).token().await.unwrap(), more(&key).token().await.unwrap());
        let mut headers = one.request_headers(&http::Method::GET, &url).await.unwrap();
        headers.insert("authorization", other.authorization());
        assert_eq!(
            http.get(&url).headers(headers).send().await.unwrap().status(),
            401,
            "another token of the same key"
        );
        let forged = http
            .get(&url)
            .header("authorization", token.authorization())
            .header("dpop", forged(&url, token.expose_secret()));
        let refused = forged.send().await.unwrap();
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        assert!(refused.status() == 401 && challenge.contains("another key"), "{challenge}");
    }
}

#[cfg(feature = "mtls")]
mod over_tls {
    use client_credentials::testing::{CA_PEM, CLIENT_CERTIFICATES};
    use client_credentials::{HttpClient, RetryPolicy};

    use super::*;

    fn roots() -> reqwest::ClientBuilder {
        let ca = reqwest::Certificate::from_pem(CA_PEM.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([ca])
    }

    #[tokio::test]
    async fn https_is_served_to_those_who_trust_the_ca_and_to_nobody_else() {
        let server = AuthorizationServer::start_https();
        let auth = || ClientAuth::client_secret_basic("billing", "a secret");
        let builder = || ClientCredentials::builder(server.token_url(), auth()).retry(RetryPolicy::new().attempts(1));
        let error = builder().build().unwrap().token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        builder().http_client(HttpClient::from_reqwest_0_13(roots)).build().unwrap().token().await.unwrap();
        for host in ["localhost", "127.0.0.1"] {
            let url = server.token_url().replace("127.0.0.1", host);
            let status = roots().build().unwrap().get(url).send().await.unwrap().status();
            assert_eq!(status, 405, "{host}");
        }
    }

    #[tokio::test]
    async fn a_token_that_was_asked_for_with_a_certificate_is_bound_to_it() {
        let server = AuthorizationServer::start_https().public_client("billing");
        let [present, refreshed] = CLIENT_CERTIFICATES;
        let auth = ClientAuth::mutual_tls("billing", present.certificate, present.key);
        let tokens =
            ClientCredentials::builder(server.token_url(), auth).http_client(HttpClient::from_reqwest_0_13(roots));
        let token = tokens.build().unwrap().token().await.unwrap();
        assert_eq!(server.requests()[0].auth_method(), Some("tls_client_auth"));
        let identity = |pem: client_credentials::testing::ClientCertificatePem| {
            let pem = format!("{}{}", pem.certificate, pem.key);
            roots().identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        };
        for (client, status) in [(identity(present), 200), (identity(refreshed), 401), (roots(), 401)] {
            let request = client.build().unwrap().get(server.api_origin());
            let response = request.header("authorization", token.authorization()).send().await.unwrap();
            assert_eq!(response.status(), status, "{}", server.story());
        }
    }
}
