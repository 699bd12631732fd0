//! The resource server: readings of a few cities, for those who bring a token with the scope `weather:read`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

use crate::issued_tokens::{IssuedTokens, Verdict};
use crate::news::News;

/// Sample data: city, degrees Celsius, conditions.
const READINGS: [(&str, f64, &str); 8] = [
    ("Amsterdam", 11.4, "light rain"),
    ("Cairo", 31.0, "clear sky"),
    ("Lima", 18.7, "fog"),
    ("Nairobi", 22.3, "broken clouds"),
    ("Oslo", -3.5, "snow"),
    ("Tokyo", 16.2, "overcast"),
    ("New York", 8.9, "windy"),
    ("São Paulo", 24.6, "thunderstorm"),
];

const SCOPE: &str = "weather:read";

#[derive(Clone)]
pub(crate) struct WeatherApi {
    tokens: IssuedTokens,
    revocation: Option<Revocation>,
    news: UnboundedSender<News>,
    requests: Arc<AtomicU32>,
}

/// When a token is revoked before its time: the one that this request brings. Counted, as the outage is.
#[derive(Clone, Copy)]
pub(crate) struct Revocation {
    pub(crate) at_request: u32,
}

impl WeatherApi {
    pub(crate) fn new(tokens: IssuedTokens, revocation: Option<Revocation>, news: UnboundedSender<News>) -> Self {
        let requests = Arc::default();
        WeatherApi { tokens, revocation, news, requests }
    }

    /// Serves on a free port of this machine until the process ends.
    pub(crate) async fn start(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/weather/{city}", get(weather));
        let service = router.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(address)
    }

    /// How many requests came in, refused ones included.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// `request` is its number, from 1.
    fn check(&self, request: u32, headers: &HeaderMap) -> Result<(), Challenge> {
        // RFC 9110 section 11.1: the name of the scheme is case-insensitive.
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map(|(_, token)| token.trim())
            .ok_or(Challenge::NoToken)?;
        if self.revocation.map(|revocation| revocation.at_request) == Some(request) {
            self.tokens.revoke(token);
            // Nobody has to listen.
            let _ = self.news.send(News::TokenRevoked);
        }
        match self.tokens.verdict(token) {
            Verdict::Unknown => Err(Challenge::InvalidToken("the token is unknown")),
            Verdict::Expired => Err(Challenge::InvalidToken("the token expired")),
            Verdict::Revoked => Err(Challenge::InvalidToken("the token was revoked")),
            Verdict::Valid(scope) if scope.split(' ').any(|one| one == SCOPE) => Ok(()),
            Verdict::Valid(_) => Err(Challenge::InsufficientScope),
        }
    }
}

async fn weather(State(api): State<WeatherApi>, Path(city): Path<String>, headers: HeaderMap) -> Response {
    let request = api.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if let Err(challenge) = api.check(request, &headers) {
        return challenge.into_response();
    }
    let asked = city.to_lowercase();
    let reading = READINGS.iter().find(|row| row.0.to_lowercase() == asked);
    match reading {
        Some((city, temperature, conditions)) => {
            let answer = json!({ "city": city, "temperature": temperature, "conditions": conditions });
            Json(answer).into_response()
        }
        None => {
            let known = READINGS.map(|(city, ..)| city).join(", ");
            let message = format!("no such city; known cities: {known}");
            let answer = json!({ "error": "unknown_city", "message": message });
            (StatusCode::NOT_FOUND, Json(answer)).into_response()
        }
    }
}

/// Why a request is refused (RFC 6750 section 3).
enum Challenge {
    NoToken,
    InvalidToken(&'static str),
    InsufficientScope,
}

impl IntoResponse for Challenge {
    fn into_response(self) -> Response {
        let (status, challenge) = match self {
            // Section 3.1: no error code for a request without credentials.
            Challenge::NoToken => (StatusCode::UNAUTHORIZED, "Bearer realm=\"weather\"".to_owned()),
            Challenge::InvalidToken(why) => (
                StatusCode::UNAUTHORIZED,
                format!("Bearer realm=\"weather\", error=\"invalid_token\", error_description=\"{why}\""),
            ),
            Challenge::InsufficientScope => (
                StatusCode::FORBIDDEN,
                format!("Bearer realm=\"weather\", error=\"insufficient_scope\", scope=\"{SCOPE}\""),
            ),
        };
        (status, [(WWW_AUTHENTICATE, challenge)]).into_response()
    }
}
