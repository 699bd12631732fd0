//! Grants by a token of the platform at real servers, and FAPI.
//!
//! | grant | server | what is the server's | what is ours |
//! |---|---|---|---|
//! | JWT bearer (RFC 7523 section 2.1) | Authlib | all of it: `JWTBearerGrant` verifies signature, `iss`, `aud` and `exp` | where it finds the client's key |
//! | JWT bearer | oidc-provider | client, scope, token, errors; jose verifies the JWT | a handler of `registerGrantType` that calls jose |
//! | token exchange (RFC 8693) | oidc-provider | the same | the same, which checks the token types and answers with `issued_token_type` |
//!
//! The platform is the test: it signs the JWTs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client_credentials::{
    AssertedGrant, ClientAuth, ClientCredentialsBuilder, Credential, DpopKey, Error, ErrorKind, JwtBearer, ManualClock,
    RetryPolicy, TokenExchange,
};
use serde_json::{Value, json};

use crate::Result;
use crate::certificates::public_jwk;
use crate::methods::{METHODS, OIDC_PROVIDER, random};
use crate::server::{Listener, SCOPE, Server};
use crate::stories::{check, full};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Grant {
    JwtBearer,
    Exchange,
}

/// What runs the workload.
struct Platform {
    key: EcdsaKeyPair,
    jwk: Value,
}

impl Platform {
    fn new() -> Result<Self> {
        let pair = rcgen::KeyPair::generate()?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der())?;
        let mut jwk = public_jwk(&pair);
        (jwk["alg"], jwk["use"], jwk["kid"]) = (json!("ES256"), json!("sig"), json!("platform"));
        Ok(Platform { key, jwk })
    }

    /// A token of this workload for this audience, which expires so long from now, or has expired.
    fn jwt(&self, workload: &str, audience: &str, ends: Ends) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let exp = match ends {
            Ends::In(left) => now + left,
            Ends::Before(past) => now - past,
        };
        let claims = json!({"iss": workload, "sub": workload, "aud": audience, "exp": exp.as_secs(), "jti": random(8)});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(json!({"alg": "ES256", "kid": "platform"})), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[derive(Clone, Copy)]
enum Ends {
    In(Duration),
    Before(Duration),
}

/// A workload on its platform, known to a server.
struct Workload<'a> {
    server: &'a Server,
    grant: Grant,
    platform: Platform,
    id: String,
    issuer: String,
}

impl<'a> Workload<'a> {
    async fn at(server: &'a Server, grant: Grant) -> Result<Workload<'a>> {
        let (platform, id) = (Platform::new()?, format!("workload-{}", random(6)));
        let method = METHODS.iter().find(|method| method.name == "none").ok_or("no method none")?;
        let credentials = method.credentials(&id, &server.authority)?;
        let grant_type = match grant {
            Grant::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Grant::Exchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        };
        let more = json!({"grant_types": [grant_type], "jwks": {"keys": [platform.jwk]}});
        server.register_with(&id, &credentials, more).await?;
        let issuer = server.issuer(Listener::Http)?;
        Ok(Workload { server, grant, platform, id, issuer })
    }

    /// For this server.
    fn jwt(&self, ends: Ends) -> Result<String> {
        self.platform.jwt(&self.id, &self.issuer, ends)
    }

    fn grant(&self, jwt: impl Into<Credential>) -> AssertedGrant {
        match self.grant {
            Grant::JwtBearer => JwtBearer::new(jwt).into(),
            Grant::Exchange => TokenExchange::new(jwt).requested_token_type(ACCESS_TOKEN).into(),
        }
    }

    fn tokens(&self, jwt: impl Into<Credential>) -> Result<ClientCredentialsBuilder> {
        // Authlib reads the client from the assertion alone.
        let auth = match self.server.name {
            OIDC_PROVIDER => ClientAuth::none(&self.id),
            _ => ClientAuth::anonymous(),
        };
        let builder = self.server.builder(Listener::Http, auth)?;
        Ok(builder.grant(self.grant(jwt)).retry(RetryPolicy::new().attempts(1)))
    }

    fn refused(&self, error: &Error) -> Result {
        let code = error.oauth().map(|oauth| oauth.code());
        check(error.kind() == ErrorKind::Denied && code == Some("invalid_grant"), || {
            format!("{} {:?}: not refused as invalid_grant: {error:?}", self.server.name, self.grant)
        })
    }
}

/// Each of the three rows.
async fn everywhere(story: impl AsyncFn(Workload<'_>) -> Result) -> Result {
    let (oidc_provider, authlib) = (Server::oidc_provider()?, Server::authlib()?);
    for (server, grant) in
        [(&authlib, Grant::JwtBearer), (&oidc_provider, Grant::JwtBearer), (&oidc_provider, Grant::Exchange)]
    {
        let told = story(Workload::at(server, grant).await?).await;
        told.map_err(|error| format!("{} {grant:?}: {}", server.name, error.0))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn a_token_of_the_platform_becomes_one_of_the_server() -> Result {
    everywhere(async |workload| {
        let tokens = workload.tokens(workload.jwt(Ends::In(HOUR))?)?.build()?;
        let token = tokens.token().await?;
        check(token.scope() == Some(SCOPE), || format!("scope: {:?}", token.scope()))?;
        workload.server.vouches_for(&token, &workload.id).await?;
        let again = tokens.token().await?;
        check(again.expose_secret() == token.expose_secret(), || "a fresh token was not kept".into())?;
        if workload.grant == Grant::Exchange {
            let issued = token.extra("issued_token_type");
            check(issued == Some(&json!(ACCESS_TOKEN)), || format!("{issued:?}"))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn a_token_for_another_audience_or_of_another_platform_is_refused_and_not_sent_again() -> Result {
    everywhere(async |workload| {
        let elsewhere = workload.platform.jwt(&workload.id, "https://elsewhere.example.com", Ends::In(HOUR))?;
        let forged = Platform::new()?.jwt(&workload.id, &workload.issuer, Ends::In(HOUR))?;
        for jwt in [elsewhere, forged] {
            let tokens = workload.tokens(jwt)?.build()?;
            let error = tokens.token().await.err().ok_or("a token came")?;
            workload.refused(&error)?;
            check(tokens.token_requests() == 1, || format!("{} requests", tokens.token_requests()))?;
        }
        Ok(())
    })
    .await
}

/// A clock that is behind that of the server: what has expired there has not expired here, and is sent.
fn behind() -> Result<ManualClock> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let clock = ManualClock::new();
    clock.set_wall(|_| now - HOUR);
    Ok(clock)
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn an_expired_token_is_refused_read_again_and_the_new_one_is_sent_within_the_same_fetch() -> Result {
    everywhere(async |workload| {
        // Authlib allows a minute.
        let expired = workload.jwt(Ends::Before(Duration::from_secs(120)))?;
        let path = workload.server.folder_of(&workload.id);
        std::fs::write(&path, &expired)?;
        let (read, new) = (path.clone(), workload.jwt(Ends::In(HOUR))?);
        // The platform replaces it as soon as it has been read.
        let rotates = Credential::from_fn(move || {
            let jwt = std::fs::read_to_string(&read).and_then(|jwt| std::fs::write(&read, &new).map(|()| jwt));
            async move { jwt }
        });
        let tokens = workload.tokens(rotates)?.clock(&behind()?).build()?;
        let token = tokens.token().await?;
        let told = workload.server.introspect(token.expose_secret()).await?;
        check(told["active"] == true && told["client_id"] == json!(workload.id), || told.to_string())?;
        check(tokens.token_requests() == 2, || format!("{} requests", tokens.token_requests()))
    })
    .await
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn an_expired_token_in_a_file_is_refused_and_the_fetch_after_its_replacement_succeeds() -> Result {
    everywhere(async |workload| {
        let path = workload.server.folder_of(&workload.id);
        std::fs::write(&path, workload.jwt(Ends::Before(Duration::from_secs(120)))?)?;
        let clock = behind()?;
        let tokens = workload.tokens(Credential::file(&path))?.clock(&clock).build()?;
        workload.refused(&tokens.token().await.err().ok_or("a token came")?)?;
        check(tokens.token_requests() == 1, || "an unchanged token was sent again".into())?;
        std::fs::write(&path, workload.jwt(Ends::In(HOUR))?)?;
        // Past the backoff of a refusal.
        clock.advance(Duration::from_secs(1));
        tokens.token().await?;
        check(tokens.token_requests() == 2, || format!("{} requests", tokens.token_requests()))
    })
    .await
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn an_expired_token_by_our_own_clock_is_not_sent() -> Result {
    everywhere(async |workload| {
        let tokens = workload.tokens(workload.jwt(Ends::Before(Duration::from_secs(1)))?)?.build()?;
        let error = tokens.token().await.err().ok_or("a token came")?;
        let is_told = error.to_string().contains("expired");
        check(error.kind() == ErrorKind::Credential && is_told && tokens.token_requests() == 0, || full(error))
    })
    .await
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn a_token_is_refreshed_with_the_token_that_the_platform_has_then() -> Result {
    everywhere(async |workload| {
        let path = workload.server.folder_of(&workload.id);
        std::fs::write(&path, workload.jwt(Ends::In(HOUR))?)?;
        let clock = ManualClock::new();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        clock.set_wall(|_| now);
        let tokens = workload.tokens(Credential::file(&path))?.clock(&clock).build()?;
        let first = tokens.token().await?;
        // The server's tokens last 600 s; the platform's first token has expired by then.
        std::fs::write(&path, workload.jwt(Ends::In(2 * HOUR))?)?;
        clock.advance(Duration::from_secs(550));
        let current = tokens.token().await?;
        check(current.expose_secret() == first.expose_secret(), || "a usable token was not used".into())?;
        tokens.settled().await;
        let second = tokens.token().await?;
        check(second.expose_secret() != first.expose_secret(), || "it was not refreshed".into())?;
        workload.server.introspect(second.expose_secret()).await?;
        check(tokens.token_requests() == 2, || format!("{} requests", tokens.token_requests()))?;
        clock.advance(HOUR);
        let third = tokens.token().await?;
        check(third.expose_secret() != second.expose_secret(), || "an expired token was used".into())?;
        check(tokens.token_requests() == 3, || format!("{} requests", tokens.token_requests()))
    })
    .await
}

/// RFC 7515 appendix A.2.1.
const RSA: &str = include_str!("rsa.jwk");

#[tokio::test]
#[ignore = "needs node: npm ci in integrations/tests/servers/oidc-provider"]
async fn with_fapi_an_rsa_key_serves_at_a_server_that_takes_ps256_alone() -> Result {
    let server = Server::oidc_provider()?;
    let client = format!("fapi-{}", random(6));
    let jwk: Value = serde_json::from_str(RSA)?;
    let public = json!({"kty": "RSA", "n": jwk["n"], "e": jwk["e"], "use": "sig"});
    let method = METHODS.iter().find(|method| method.name == "private_key_jwt").ok_or("no private_key_jwt")?;
    let credentials = method.credentials(&client, &server.authority)?;
    let more = json!({
        "jwks": {"keys": [public]},
        "token_endpoint_auth_signing_alg": "PS256",
        "dpop_bound_access_tokens": true,
    });
    server.register_with(&client, &credentials, more).await?;
    let auth = || ClientAuth::private_key_jwt(&client, RSA);
    let tokens = server.by_name(Listener::Https, auth().into())?.dpop(DpopKey::generate());
    let token = tokens.clone().fapi(true).build()?.token().await?;
    let told = server.introspect(token.expose_secret()).await?;
    check(told["active"] == true && told["token_type"] == "DPoP", || told.to_string())?;
    // RS256, which follows from the key otherwise.
    let error = tokens.build()?.token().await.err().ok_or("a token came")?;
    crate::stories::denied(&error)
}
