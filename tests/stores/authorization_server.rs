//! An authorization server that remembers when it was asked.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;

/// Tokens are `t1`, `t2`, ..
pub(crate) struct AuthorizationServer {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl AuthorizationServer {
    /// Its tokens last that long; it takes its time over each.
    pub(crate) async fn start(lifetime: u64, takes: Duration) -> Self {
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let log = Arc::clone(&asked);
        let answer = move || {
            let number = {
                let mut log = log.lock().unwrap();
                log.push(Instant::now());
                log.len()
            };
            async move {
                tokio::time::sleep(takes).await;
                let body = format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":{lifetime}}}"#);
                ([("content-type", "application/json")], body)
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let router = Router::new().route("/token", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        AuthorizationServer { url, asked }
    }

    pub(crate) fn hits(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// How many requests came together, each time: what comes less than `apart` after the first of a group belongs to it.
    pub(crate) fn groups(&self, apart: Duration) -> Vec<usize> {
        let mut groups: Vec<(Instant, usize)> = Vec::new();
        for at in self.asked.lock().unwrap().iter() {
            match groups.last_mut() {
                Some((first, count)) if at.duration_since(*first) < apart => *count += 1,
                _ => groups.push((*at, 1)),
            }
        }
        groups.into_iter().map(|(_, count)| count).collect()
    }
}
