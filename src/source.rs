//! The trait of token sources.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::future::TokenFuture;
use crate::step_up::covers;
use crate::token::AccessToken;

/// A source of access tokens.
///
/// Implemented by [`ClientCredentials`](crate::ClientCredentials), by [`Cached`](crate::Cached) around a custom source, by
/// closures ([`source_fn`]) and by [`AccessToken`], which always returns itself.
///
/// # Contract
///
/// - [`token`](Self::token) may be called from any number of tasks and threads at once. It does no work before its future is
///   polled.
/// - [`reject`](Self::reject) reports that the API rejected this token. It compares identities: rejecting a token other than
///   the current one has no effect, so that a late rejection never evicts a newer token. It is idempotent and cheap, and does
///   no I/O.
/// - A wrapper must forward both methods. Neither has a default implementation, so that none is forgotten.
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
    /// Returns a usable token.
    ///
    /// # Cancel safety
    ///
    /// The returned future may be dropped at any time. In the sources of this crate, that only abandons the wait.
    fn token(&self) -> TokenFuture<'_>;

    /// Reports that the API rejected `token`: the source must not return it again if it can obtain another.
    fn reject(&self, token: &AccessToken);
}

/// `TokenSource` must stay dyn-compatible.
const _: Option<&dyn TokenSource> = None;

/// Makes a type a source by another one, or by its own methods of these names: `[generics] type: this => source`.
macro_rules! forward {
    ([$($generics:tt)*] $type:ty $(where [$($bounds:tt)*])?: $this:ident => $source:expr) => {
        #[deny(clippy::missing_trait_methods)]
        impl<$($generics)*> $crate::source::TokenSource for $type $(where $($bounds)*)? {
            #[inline]
            fn token(&self) -> $crate::future::TokenFuture<'_> {
                let $this = self;
                $source.token()
            }
            fn reject(&self, token: &$crate::token::AccessToken) {
                let $this = self;
                $source.reject(token);
            }
        }
    };
}
pub(crate) use forward;

forward!([S: TokenSource + ?Sized] &S: this => (**this));
forward!([S: TokenSource + ?Sized] Box<S>: this => (**this));
forward!([S: TokenSource + ?Sized] Arc<S>: this => (**this));

/// Another token of `source`, requested with the scope that an API [requires](AccessToken::demanded); `None` if the
/// server refuses it or is unavailable.
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

/// A constant source: always returns this token, even if it is expired or rejected.
#[deny(clippy::missing_trait_methods)]
impl TokenSource for AccessToken {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::ready(Ok(self.clone()))
    }
    fn reject(&self, _: &AccessToken) {}
}

/// Creates a source from a closure. Wrap it in [`Cached`](crate::Cached) unless it caches tokens itself.
///
/// ```
/// use client_credentials::{AccessToken, Cached, source_fn};
/// use std::time::Duration;
///
/// let tokens = Cached::new(source_fn(|| async {
///     let secret = "from wherever your tokens come from";
///     AccessToken::builder(secret.replace(' ', "-"))
///         .lifetime(Duration::from_secs(300))
///         .build()
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

/// The source returned by [`source_fn`].
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
