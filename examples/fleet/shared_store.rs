//! A simulated store, which does not respond for a while.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_credentials::{Store, StoreFuture};
use tokio::time::{Instant, sleep};

/// The network, in both directions.
const RESPONSE: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(crate) struct SharedStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    outage: Range<Duration>,
    values: Mutex<HashMap<String, (Vec<u8>, Instant)>>,
}

impl SharedStore {
    pub(crate) fn start(outage: Range<Duration>) -> Self {
        SharedStore(Arc::new(Inner { start: Instant::now(), outage, values: Mutex::default() }))
    }

    /// One atomic operation.
    fn step<'a, T: Send + 'a>(
        &'a self,
        step: impl FnOnce(&mut HashMap<String, (Vec<u8>, Instant)>) -> T + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            if self.0.outage.contains(&self.0.start.elapsed()) {
                std::future::pending::<()>().await;
            }
            sleep(RESPONSE).await;
            let mut values = self.0.values.lock().unwrap();
            values.retain(|_, (_, end)| *end > Instant::now());
            Ok(step(&mut values))
        })
    }
}

fn lease(name: &str) -> String {
    format!("lease {name}")
}

impl Store for SharedStore {
    fn get<'a>(&'a self, name: &'a str, _: usize) -> StoreFuture<'a, Option<Vec<u8>>> {
        self.step(|values| values.get(name).map(|(value, _)| value.clone()))
    }

    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
        self.step(move |values| {
            values.insert(name.into(), (value.into(), Instant::now() + expiry));
        })
    }

    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
        self.step(move |values| values.retain(|n, (v, _)| n != name || v != value))
    }

    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
        self.step(move |values| {
            let ours = (owner.as_bytes().to_vec(), Instant::now() + time);
            values.entry(lease(name)).or_insert(ours).0 == owner.as_bytes()
        })
    }

    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()> {
        self.step(move |values| {
            values.retain(|n, (v, _)| *n != lease(name) || v != owner.as_bytes());
        })
    }
}
