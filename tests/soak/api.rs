//! An API that refuses expired and revoked tokens, revokes a token every half second, and is now and then unavailable,
//! slow, or tired of a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;

use super::book::{Book, Verdict};

/// Returns its origin.
pub(crate) async fn start(book: Arc<Book>) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let judge = Arc::clone(&book);
    let router = axum::Router::new().fallback(move |headers: HeaderMap| answer(Arc::clone(&judge), headers));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            book.revoke_one();
        }
    });
    url
}

async fn answer(book: Arc<Book>, headers: HeaderMap) -> impl IntoResponse {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let refusal = [("www-authenticate", r#"Bearer error="invalid_token""#)];
    match book.judge(token) {
        Verdict::Good => {}
        Verdict::Unknown => {
            book.complain(format!("an unknown token arrived: {token:?}"));
            return (StatusCode::UNAUTHORIZED, refusal).into_response();
        }
        Verdict::Expired => {
            book.late.fetch_add(1, Ordering::Relaxed);
            book.refuse(number(&headers), token);
            return (StatusCode::UNAUTHORIZED, refusal).into_response();
        }
        Verdict::Revoked => {
            book.refused.fetch_add(1, Ordering::Relaxed);
            book.refuse(number(&headers), token);
            return (StatusCode::UNAUTHORIZED, refusal).into_response();
        }
    }
    match fastrand::u16(..1000) {
        0..5 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        5..10 => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            StatusCode::OK.into_response()
        }
        10 => [("connection", "close")].into_response(),
        _ => StatusCode::OK.into_response(),
    }
}

/// The caller's number of the request: the same for its repetition.
fn number(headers: &HeaderMap) -> u64 {
    headers["x-request"].to_str().unwrap().parse().unwrap()
}
