//! The store of a fleet, and its failures.

use super::*;

/// A store that fails now and then, in every way in which a store can.
#[derive(Debug)]
pub(super) struct FaultyStore {
    pub(super) memory: Arc<Memory>,
    random: Mutex<fastrand::Rng>,
    /// How many operations in a hundred fail.
    pub(super) failing: AtomicUsize,
    /// All records so far, and those that are not stored yet.
    history: Mutex<Vec<(String, Vec<u8>)>>,
    late: Mutex<Vec<(String, Vec<u8>, Duration)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    RequestLost,
    AnswerLost,
    Hangs,
    Late,
    Twice,
    Forgets,
    PlaysBack,
    Exchanges,
}

impl FaultyStore {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        FaultyStore {
            memory: Arc::default(),
            random: Mutex::new(random),
            failing: AtomicUsize::new(0),
            history: Mutex::default(),
            late: Mutex::default(),
        }
    }

    fn failure(&self) -> Option<Failure> {
        let mut random = self.random.lock().unwrap();
        if random.usize(0..100) >= self.failing.load(Ordering::SeqCst) {
            return None;
        }
        let failures = [
            Failure::RequestLost,
            Failure::AnswerLost,
            Failure::Hangs,
            Failure::Late,
            Failure::Twice,
            Failure::Forgets,
            Failure::PlaysBack,
            Failure::Exchanges,
        ];
        random.choice(failures)
    }

    fn draw(&self, most: usize) -> usize {
        self.random.lock().unwrap().usize(0..most.max(1))
    }

    /// Carries out one operation, with a failure if one is drawn.
    async fn pass<T>(&self, operation: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let failure = self.failure();
        let lost = || Err(Error::other("connection reset"));
        match failure {
            Some(Failure::RequestLost | Failure::Late) => return lost(),
            Some(Failure::Hangs) => std::future::pending().await,
            Some(Failure::Forgets) => {
                self.memory.values.lock().unwrap().clear();
                self.memory.leases.lock().unwrap().clear();
            }
            Some(Failure::PlaysBack) => self.play_back(),
            Some(Failure::Exchanges) => self.exchange(),
            _ => {}
        }
        self.catch_up().await;
        let answer = operation.await;
        if failure == Some(Failure::AnswerLost) { lost() } else { answer }
    }

    fn play_back(&self) {
        let history = self.history.lock().unwrap();
        if let Some((name, value)) = history.get(self.draw(history.len())) {
            let end = Instant::now() + Duration::from_secs(600);
            self.memory.values.lock().unwrap().insert(name.clone(), (value.clone(), end));
        }
    }

    fn exchange(&self) {
        let mut values = self.memory.values.lock().unwrap();
        let mut names: Vec<_> = values.keys().cloned().collect();
        names.sort();
        for pair in names.windows(2) {
            let (Some(one), Some(other)) = (values.remove(&pair[0]), values.remove(&pair[1])) else {
                return;
            };
            values.insert(pair[0].clone(), other);
            values.insert(pair[1].clone(), one);
        }
    }

    /// A record whose operation was abandoned earlier arrives.
    async fn catch_up(&self) {
        let put = {
            let mut late = self.late.lock().unwrap();
            let n = self.draw(4 * late.len());
            (n < late.len()).then(|| late.remove(n))
        };
        if let Some((name, value, expiry)) = put {
            let _ = self.memory.put(&name, &value, expiry).await;
        }
    }
}

impl Store for Arc<FaultyStore> {
    fn get<'a>(&'a self, name: &'a str, most: usize) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(self.pass(self.memory.get(name, most)))
    }

    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.history.lock().unwrap().push((name.to_owned(), value.to_owned()));
            // Whether this operation fails as well, or is done twice, does not matter.
            if self.failing.load(Ordering::SeqCst) > self.draw(100) {
                self.late.lock().unwrap().push((name.to_owned(), value.to_owned(), expiry));
            }
            self.pass(self.memory.put(name, value, expiry)).await
        })
    }

    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
        Box::pin(self.pass(self.memory.delete(name, value)))
    }

    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
        Box::pin(self.pass(self.memory.lease(name, owner, time)))
    }

    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(self.pass(self.memory.release(name, owner)))
    }
}
