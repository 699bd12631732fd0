//! The one trait: something that hands out access tokens.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::error::Error;
use crate::future::TokenFuture;
use crate::step_up::covers;
use crate::token::AccessToken;

/// Hands out access tokens.
///
/// [`ClientCredentials`](crate::ClientCredentials) is one; so is [`Cached`](crate::Cached) around a source of your
/// own, a closure ([`source_fn`]) and an [`AccessToken`] itself (always the same one).
///
/// # Contract
///
/// - [`token`](Self::token) may be called from any number of tasks and threads at once. What costs something is done when
///   its future is polled, not before.
/// - [`reject`](Self::reject) says "the API refused this very token". It acts by identity: a rejection of any other
///   token than the current one does nothing, so that a late one never evicts a newer token. It is idempotent, cheap
///   and does no I/O.
/// - A decorator forwards both. Neither method is provided, so that none can be forgotten.
///
/// ```
/// use client_credentials::{AccessToken, Error, TokenFuture, TokenSource};
///
/// #[derive(Debug)]
/// struct Counted<S>(S, std::sync::atomic::AtomicU64);
///
/// impl<S: TokenSource> TokenSource for Counted<S> {
///     fn token(&self) -> TokenFuture<'_> {
///         self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         self.0.token()
///     }
///     fn reject(&self, token: &AccessToken) {
///         self.0.reject(token);
///     }
/// }
/// ```
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// A token that may be used now.
    ///
    /// # Cancel safety
    ///
    /// The returned future may be dropped at any time; in the sources of this crate that abandons the wait only.
    fn token(&self) -> TokenFuture<'_>;

    /// The API refused `token`: do not hand it out again if there is another.
    fn reject(&self, token: &AccessToken);
}

/// `dyn TokenSource` must stay possible.
const _: Option<&dyn TokenSource> = None;

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<S: TokenSource + ?Sized> TokenSource for $pointer {
            #[inline]
            fn token(&self) -> TokenFuture<'_> {
                (**self).token()
            }
            fn reject(&self, token: &AccessToken) {
                (**self).reject(token);
            }
        }
    )*};
}
forward!(&S, Box<S>, Arc<S>);

/// Another token of `source`, which was asked for with what an API [demands](AccessToken::demanded) of this one; `None` if the server
/// refuses it, or is not there.
pub(crate) async fn with_more_scope(
    source: &dyn TokenSource,
    token: &AccessToken,
    demanded: &str,
) -> Option<AccessToken> {
    let asked = token.on_demand()?;
    asked.demands.meet(token.id(), &asked.scope, demanded).await;
    let another = source.token().await.ok()?;
    let has_more = another.on_demand().is_some_and(|asked| covers(&asked.scope, demanded));
    (has_more && !another.same_value(token)).then_some(another)
}

/// A constant source: always this token, whatever becomes of it.
#[deny(clippy::missing_trait_methods)]
impl TokenSource for AccessToken {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::ready(Ok(self.clone()))
    }
    fn reject(&self, _: &AccessToken) {}
}

/// A closure as a source. Wrap it in [`Cached`](crate::Cached) unless it caches by itself.
///
/// ```
/// use client_credentials::{AccessToken, Cached, source_fn};
/// use std::time::Duration;
///
/// let tokens = Cached::new(source_fn(|| async {
///     let secret = "from wherever your tokens come from";
///     AccessToken::builder(secret.replace(' ', "-")).lifetime(Duration::from_secs(300)).build()
/// }));
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # use client_credentials::TokenSource;
/// assert!(runtime.block_on(tokens.token()).is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn source_fn<F, Fut>(f: F) -> SourceFn<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<AccessToken, Error>> + Send + 'static,
{
    SourceFn(f)
}

/// What [`source_fn`] returns.
#[derive(Clone)]
pub struct SourceFn<F>(F);

#[deny(clippy::missing_trait_methods)]
impl<F, Fut> TokenSource for SourceFn<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<AccessToken, Error>> + Send + 'static,
{
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async { (self.0)().await })
    }
    fn reject(&self, _: &AccessToken) {}
}

impl<F> fmt::Debug for SourceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceFn")
    }
}
