//! Where sealed records lie.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::Error;

/// A place that all replicas of a service reach: Redis, a directory, a database of yours.
///
/// Names and values are opaque; what is put is [sealed](crate::SealedStore) already, so that no store sees a token.
/// Whatever goes wrong, down to values that nobody put, costs requests for tokens and nothing else: a store needs
/// neither to be durable nor to be trusted.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
/// use client_credentials::{Store, StoreFuture};
///
/// /// For one process; a real one would be a table of a database.
/// #[derive(Debug, Default)]
/// struct Memory(Mutex<HashMap<String, (Vec<u8>, Instant)>>);
///
/// impl Memory {
///     fn step<T>(&self, step: impl FnOnce(&mut HashMap<String, (Vec<u8>, Instant)>) -> T) -> T {
///         let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
///         all.retain(|_, (_, end)| *end > Instant::now());
///         step(&mut all)
///     }
/// }
///
/// impl Store for Memory {
///     fn get<'a>(&'a self, name: &'a str, _: usize) -> StoreFuture<'a, Option<Vec<u8>>> {
///         Box::pin(async move { Ok(self.step(|all| Some(all.get(name)?.0.clone()))) })
///     }
///     fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
///         Box::pin(async move {
///             self.step(|all| all.insert(name.into(), (value.into(), Instant::now() + expiry)));
///             Ok(())
///         })
///     }
///     fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
///         Box::pin(async move { Ok(self.step(|all| all.retain(|n, (v, _)| n != name || v != value))) })
///     }
///     fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
///         let name = format!("lease {name}");
///         let entry = (owner.as_bytes().to_vec(), Instant::now() + time);
///         Box::pin(async move { Ok(self.step(|all| all.entry(name).or_insert(entry).0 == owner.as_bytes())) })
///     }
///     fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()> {
///         let name = format!("lease {name}");
///         Box::pin(async move { self.delete(&name, owner.as_bytes()).await })
///     }
/// }
/// ```
///
/// # Errors
///
/// Whatever an operation fails with ([`Error::other`]), takes too long over or panics with: the store is left alone for
/// a while, and told about once. What it prints is yours to keep free of secrets.
///
/// # Cancel safety
///
/// A future is dropped when its time is over; what it was about to do may happen or not.
pub trait Store: fmt::Debug + Send + Sync {
    /// The value of `name`, or nothing if there is none or its expiry has passed. Of a value longer than `most` bytes no
    /// more than that and one byte needs to be read.
    fn get<'a>(&'a self, name: &'a str, most: usize) -> StoreFuture<'a, Option<Vec<u8>>>;

    /// Sets the value of `name`, whatever it was, for the time of `expiry`.
    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()>;

    /// Deletes `name` if its value is still `value`, in one step.
    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()>;

    /// Gives `owner` the lease of `name` if nobody has it: at most one owner has it at a time, for `time` at most. Values
    /// and leases of one name have nothing to do with each other.
    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool>;

    /// Ends the lease of `name` if it is `owner`'s, in one step.
    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()>;
}

/// `dyn Store` must stay possible.
const _: Option<&dyn Store> = None;

/// What the operations of a [`Store`] return.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;
