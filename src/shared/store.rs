//! The storage of sealed records.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::error::Error;

/// Storage that all replicas of a service can reach: Redis, a directory, or your own database.
///
/// Names and values are opaque. Values are already [sealed](crate::SealedStore), so no store sees a token. Any failure,
/// including forged values, only causes additional token requests: a store need not be durable or trusted.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
/// use client_credentials::{Store, StoreFuture};
///
/// /// For one process; a real store would use a database table.
/// #[derive(Debug, Default)]
/// struct Memory(Mutex<HashMap<String, (Vec<u8>, Instant)>>);
///
/// impl Memory {
///     fn step<T>(
///         &self,
///         step: impl FnOnce(&mut HashMap<String, (Vec<u8>, Instant)>) -> T,
///     ) -> T {
///         let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
///         all.retain(|_, (_, end)| *end > Instant::now());
///         step(&mut all)
///     }
/// }
///
/// impl Store for Memory {
///     fn get<'a>(
///         &'a self,
///         name: &'a str,
///         _: usize,
///     ) -> StoreFuture<'a, Option<Vec<u8>>> {
///         Box::pin(
///             async move { Ok(self.step(|all| Some(all.get(name)?.0.clone()))) },
///         )
///     }
///     fn put<'a>(
///         &'a self,
///         name: &'a str,
///         value: &'a [u8],
///         expiry: Duration,
///     ) -> StoreFuture<'a, ()> {
///         Box::pin(async move {
///             self.step(|all| {
///                 all.insert(name.into(), (value.into(), Instant::now() + expiry))
///             });
///             Ok(())
///         })
///     }
///     fn delete<'a>(
///         &'a self,
///         name: &'a str,
///         value: &'a [u8],
///     ) -> StoreFuture<'a, ()> {
///         Box::pin(async move {
///             Ok(
///                 self.step(|all| {
///                     all.retain(|n, (v, _)| n != name || v != value)
///                 }),
///             )
///         })
///     }
///     fn lease<'a>(
///         &'a self,
///         name: &'a str,
///         owner: &'a str,
///         time: Duration,
///     ) -> StoreFuture<'a, bool> {
///         let name = format!("lease {name}");
///         let entry = (owner.as_bytes().to_vec(), Instant::now() + time);
///         Box::pin(async move {
///             Ok(self.step(|all| {
///                 all.entry(name).or_insert(entry).0 == owner.as_bytes()
///             }))
///         })
///     }
///     fn release<'a>(
///         &'a self,
///         name: &'a str,
///         owner: &'a str,
///     ) -> StoreFuture<'a, ()> {
///         let name = format!("lease {name}");
///         Box::pin(async move { self.delete(&name, owner.as_bytes()).await })
///     }
/// }
/// ```
///
/// # Errors
///
/// If an operation fails ([`Error::other`]), takes too long or panics, the store is skipped for a while and the failure is
/// reported once. Keep secrets out of the store's `Debug` output and errors.
///
/// # Cancel safety
///
/// A future is dropped at its timeout; its operation may or may not take effect.
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns the value of `name`; `None` if it is missing or expired. For a value longer than `most` bytes, reading
    /// `most + 1` bytes is enough.
    fn get<'a>(&'a self, name: &'a str, most: usize) -> StoreFuture<'a, Option<Vec<u8>>>;

    /// Sets the value of `name`, replacing any previous one, for the duration `expiry`.
    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()>;

    /// Deletes `name` atomically if its value is still `value`.
    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()>;

    /// Gives `owner` the lease of `name` if it is free, and returns whether `owner` has it now. At most one owner has a lease
    /// at a time, for at most `time`. The value and the lease of a name are independent.
    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool>;

    /// Ends the lease of `name` atomically if `owner` has it.
    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()>;
}

/// `Store` must stay dyn-compatible.
const _: Option<&dyn Store> = None;

/// The future returned by the operations of a [`Store`].
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;
