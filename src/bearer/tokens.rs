//! The source of a request's token: the only one, or that of the key in the request's extensions.

use std::fmt;
use std::sync::Arc;

use http::Extensions;

use crate::error::Error;
use crate::source::TokenSource;

/// One source, or a pool with any key.
pub(super) trait Tokens: fmt::Debug + Send + Sync {
    /// `extensions`: those of the request; `None` if this HTTP stack has none.
    fn of(&self, extensions: Option<&Extensions>) -> Result<Arc<dyn TokenSource>, Error>;
}

impl Tokens for Arc<dyn TokenSource> {
    #[inline]
    fn of(&self, _: Option<&Extensions>) -> Result<Arc<dyn TokenSource>, Error> {
        Ok(Arc::clone(self))
    }
}

#[cfg(feature = "pool")]
impl<K, S> Tokens for crate::pool::TokenPool<K, S>
where
    K: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    S: crate::pool::Pooled + 'static,
{
    fn of(&self, extensions: Option<&Extensions>) -> Result<Arc<dyn TokenSource>, Error> {
        match extensions.and_then(Extensions::get::<K>) {
            Some(key) => Ok(Arc::new(self.source(key))),
            None => {
                let text = format!(
                    "the request has no key for the token pool: add an extension of the type {}",
                    std::any::type_name::<K>()
                );
                Err(Error::of(crate::error::ErrorKind::Configuration, text))
            }
        }
    }
}
