//! A token endpoint and an API of RFC 9449: tokens are bound to a key, and each request has to prove that it has the key.

#![allow(clippy::indexing_slicing, reason = "a member of JSON that is not there is null")]

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What the API gives out, and what a proof has to have in it.
const NONCE: &str = "a-nonce-of-the-api";

/// Starts both, on a thread of their own; their origin.
pub(crate) fn start() -> io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let origin = format!("http://{}", listener.local_addr()?);
    let router = router(&origin);
    thread::spawn(move || -> io::Result<()> {
        runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await })
    });
    Ok(origin)
}

fn router(origin: &str) -> Router {
    let bound: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
    let (issuer, url) = (Arc::clone(&bound), format!("{origin}/token"));
    let token = move |headers: HeaderMap| async move {
        let Some((key, _)) = proved(&headers, "POST", &url) else {
            let error = Json(json!({ "error": "invalid_dpop_proof" }));
            return (StatusCode::BAD_REQUEST, error).into_response();
        };
        let token = format!("{:032x}", fastrand::u128(..));
        let mut issued = issuer.lock().unwrap_or_else(PoisonError::into_inner);
        issued.insert(token.clone(), key);
        Json(json!({ "access_token": token, "token_type": "DPoP", "expires_in": 3600 })).into_response()
    };
    let (seen, origin) = (Mutex::new(HashSet::new()), origin.to_owned());
    let greet = move |headers: HeaderMap, uri: Uri| {
        let authorization = headers.get("authorization").and_then(|v| v.to_str().ok());
        let token = authorization.and_then(|v| v.strip_prefix("DPoP "));
        let url = format!("{origin}{}", uri.path());
        let (Some(token), Some((key, claims))) = (token, proved(&headers, "GET", &url)) else {
            return refused("invalid_dpop_proof");
        };
        let owner = bound.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        if owner.get(token) != Some(&key) || claims["ath"] != hash {
            return refused("invalid_token");
        }
        if claims["nonce"] != NONCE {
            return refused("use_dpop_nonce");
        }
        let jti = claims["jti"].to_string();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.insert(jti) {
            true => "Hello, owner of this token!".into_response(),
            false => refused("invalid_dpop_proof"),
        }
    };
    let greet = Arc::new(greet);
    let greeting = move |headers: HeaderMap, uri: Uri| async move { greet(headers, uri) };
    Router::new().route("/token", post(token)).route("/greeting", get(greeting))
}

/// The key and the claims of a proof that is good for this request (RFC 9449 section 4.3).
fn proved(headers: &HeaderMap, method: &str, url: &str) -> Option<(Value, Value)> {
    let proof = headers.get("dpop")?.to_str().ok()?;
    let (message, signature) = proof.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let json = |part| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let (mut header, claims) = (json(header)?, json(claims)?);
    let key = header["jwk"].take();
    let mut point = vec![4];
    for coordinate in ["x", "y"] {
        point.extend(URL_SAFE_NO_PAD.decode(key[coordinate].as_str()?).ok()?);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    public.verify(message.as_bytes(), &signature).ok()?;
    (claims["htm"] == method && claims["htu"] == url).then_some((key, claims))
}

fn refused(error: &str) -> Response {
    let challenge = format!("DPoP error=\"{error}\", algs=\"ES256\"");
    let headers = [("www-authenticate", challenge.as_str()), ("dpop-nonce", NONCE)];
    (StatusCode::UNAUTHORIZED, headers, format!("refused: {error}")).into_response()
}
