//! Shared tokens: a store in memory, hosts with clocks of their own, tokio's time paused.

mod defects;
#[cfg(model)]
mod fleet;
mod leases;
mod outages;
mod records;
mod rejections;
mod seeds;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::cache::Cached;
use crate::clock::manual::{ManualClock, clock};
use crate::token::Terms;

/// An output of `openssl rand -base64 32`.
const SEAL_KEY: &str = "q4m2cH8q0yq3l8cT1d9m1tq2ZxM6m2t0v8uJp3b7XyA=";
const OTHER_SEAL_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A store in memory, which fails on demand.
#[derive(Debug, Default)]
struct Memory {
    values: Mutex<HashMap<String, (Vec<u8>, Instant)>>,
    leases: Mutex<HashMap<String, (String, Instant)>>,
    fault: Mutex<Fault>,
    operations: AtomicUsize,
    /// When the lease was requested.
    asked: Mutex<Vec<Instant>>,
    puts: AtomicUsize,
    /// The number of deletions.
    deletes: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    Down,
    Hanging,
    Panicking,
    /// Writing fails.
    ReadOnly,
    /// Each operation takes this many milliseconds.
    Slow(u64),
}

impl Memory {
    async fn pass(&self, writes: bool) -> Result<(), Error> {
        self.operations.fetch_add(1, Ordering::SeqCst);
        let fault = *self.fault.lock().unwrap();
        match fault {
            Fault::None => Ok(()),
            Fault::ReadOnly if !writes => Ok(()),
            Fault::Down | Fault::ReadOnly => Err(Error::other("connection refused")),
            Fault::Hanging => std::future::pending().await,
            Fault::Panicking => panic!("the store panics"),
            Fault::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(())
            }
        }
    }

    fn fail(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }

    fn operations(&self) -> usize {
        Memory::count(&self.operations)
    }

    /// The only value in the store.
    fn value(&self) -> (String, Vec<u8>) {
        let values = self.values.lock().unwrap();
        assert_eq!(values.len(), 1);
        let (name, (value, _)) = values.iter().next().unwrap();
        (name.clone(), value.clone())
    }

    /// Changes every value in the store.
    fn tamper(&self, change: impl Fn(&mut Vec<u8>)) {
        let mut values = self.values.lock().unwrap();
        values.values_mut().for_each(|(value, _)| change(value));
    }
}

impl Store for Arc<Memory> {
    fn get<'a>(&'a self, name: &'a str, _: usize) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            // The value at the time of the request: the response takes time.
            let value = {
                let values = self.values.lock().unwrap();
                let value = values.get(name).filter(|(_, end)| *end > Instant::now());
                value.map(|(value, _)| value.clone())
            };
            self.pass(false).await?;
            Ok(value)
        })
    }

    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.pass(true).await?;
            self.puts.fetch_add(1, Ordering::SeqCst);
            let end = Instant::now() + expiry;
            let mut values = self.values.lock().unwrap();
            values.insert(name.to_owned(), (value.to_vec(), end));
            Ok(())
        })
    }

    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.pass(true).await?;
            let mut values = self.values.lock().unwrap();
            if values.get(name).is_some_and(|(there, _)| there == value) {
                values.remove(name);
                self.deletes.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
    }

    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.pass(true).await?;
            self.asked.lock().unwrap().push(Instant::now());
            let mut leases = self.leases.lock().unwrap();
            leases.retain(|_, (_, end)| *end > Instant::now());
            let lease = (owner.to_owned(), Instant::now() + time);
            Ok(leases.entry(name.to_owned()).or_insert(lease).0 == owner)
        })
    }

    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.pass(true).await?;
            let mut leases = self.leases.lock().unwrap();
            leases.retain(|one, (by, _)| one != name || by != owner);
            Ok(())
        })
    }
}

/// An authorization server with tokens `t1`, `t2`, .. of this lifetime in seconds.
#[derive(Debug)]
struct Server {
    hits: AtomicUsize,
    lifetime: Mutex<Option<u64>>,
    error: Mutex<Option<Error>>,
    /// It insists on this value.
    insists: Mutex<Option<&'static str>>,
    /// It binds tokens to a key that the host does not have.
    bind: AtomicBool,
    /// How long a response takes, in milliseconds of tokio's time.
    takes: AtomicUsize,
}

impl Server {
    fn new() -> Arc<Self> {
        Arc::new(Server {
            hits: AtomicUsize::new(0),
            lifetime: Mutex::new(Some(3600)),
            error: Mutex::default(),
            insists: Mutex::default(),
            bind: AtomicBool::new(false),
            takes: AtomicUsize::new(0),
        })
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn takes(&self, millis: usize) {
        self.takes.store(millis, Ordering::SeqCst);
    }

    fn fail(&self, error: Option<Error>) {
        *self.error.lock().unwrap() = error;
    }

    async fn answer(&self, client: &Client) -> Result<AccessToken, Error> {
        let clock = &client.clock;
        let received = clock.now();
        let hit = self.hits.fetch_add(1, Ordering::SeqCst) + 1;
        let takes = self.takes.load(Ordering::SeqCst) as u64;
        tokio::time::sleep(Duration::from_millis(takes)).await;
        if let Some(error) = self.error.lock().unwrap().clone() {
            return Err(error);
        }
        let value = match *self.insists.lock().unwrap() {
            Some(value) => value.to_owned(),
            None => format!("t{hit}"),
        };
        let holder = match self.bind.load(Ordering::SeqCst) {
            false => client.possession.holder().await.unwrap_or_default(),
            true => foreign(),
        };
        let terms =
            Terms { lifetime: self.lifetime.lock().unwrap().map(Duration::from_secs), holder, ..Terms::default() };
        AccessToken::issued(&value.as_str().into(), terms, received, &Clock::System)
    }
}

/// Another replica's key.
#[cfg(feature = "dpop")]
fn foreign() -> Holder {
    let key = crate::dpop::DpopKey::generate();
    let key = futures_util::FutureExt::now_or_never(key.binding());
    Holder { key: key.and_then(Result::ok).map(|key| key as _), ..Holder::default() }
}

#[cfg(not(feature = "dpop"))]
fn foreign() -> Holder {
    Holder::default()
}

fn down() -> Error {
    Error::of(ErrorKind::Transport, "connection refused").transient()
}

/// The token requests of one replica.
#[derive(Debug)]
struct Client {
    server: Arc<Server>,
    clock: Clock,
    possession: BoundTo,
}

impl TokenSource for Client {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.server.answer(self))
    }
    fn reject(&self, _: &AccessToken) {}
}

/// A store, a server, and the default clock of all hosts.
struct Fleet {
    store: Arc<Memory>,
    server: Arc<Server>,
    clock: Clock,
    hands: ManualClock,
}

type Host = Shared<Client>;

impl Fleet {
    fn new() -> Self {
        let (clock, hands) = clock();
        Fleet { store: Arc::default(), server: Server::new(), clock, hands }
    }

    /// A replica: a process of its own, which shares only the store.
    fn host(&self) -> Host {
        self.host_with(SEAL_KEY, "name", BoundTo::default(), self.clock.clone())
    }

    fn host_with(
        &self,
        key: impl Into<crate::credential::Credential>,
        name: &str,
        possession: BoundTo,
        clock: Clock,
    ) -> Host {
        let source = Client { server: Arc::clone(&self.server), clock: clock.clone(), possession: possession.clone() };
        let store = SealedStore::new(Arc::clone(&self.store), key);
        let settings = CachePolicy::new();
        Shared::assemble(source, store, Key::named(name), possession, settings, clock, Observers::unnamed("test"))
    }

    /// A replica with a cache.
    fn cached(&self) -> Cached<Host> {
        self.cached_with(CachePolicy::new())
    }

    fn cached_with(&self, policy: CachePolicy) -> Cached<Host> {
        let random = fastrand::Rng::new();
        Cached::assemble(Arc::new(self.host()), policy, self.clock.clone(), random)
    }

    fn advance(&self, seconds: u64) {
        self.hands.advance(Duration::from_secs(seconds));
    }
}

async fn value(source: &impl TokenSource) -> String {
    source.token().await.unwrap().expose_secret().to_owned()
}
