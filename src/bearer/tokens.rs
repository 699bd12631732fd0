//! The source of a request's token: the only one, or that of the key in the request's extensions.

use std::fmt;
use std::sync::Arc;

use http::Extensions;

use crate::error::Error;
use crate::source::TokenSource;

#[derive(Clone)]
pub(super) enum Tokens {
    One(Arc<dyn TokenSource>),
    #[cfg(feature = "pool")]
    ByKey(Arc<dyn ByKey>),
}

impl Tokens {
    /// `None`: this HTTP stack has no extensions.
    #[inline]
    pub(super) fn of(
        &self,
        #[cfg_attr(not(feature = "pool"), expect(unused_variables, reason = "for pools"))] extensions: Option<
            &Extensions,
        >,
    ) -> Result<Arc<dyn TokenSource>, Error> {
        match self {
            Tokens::One(source) => Ok(Arc::clone(source)),
            #[cfg(feature = "pool")]
            Tokens::ByKey(pool) => pool.source_of(extensions),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tokens::One(source) => source.fmt(f),
            #[cfg(feature = "pool")]
            Tokens::ByKey(pool) => pool.fmt(f),
        }
    }
}

/// A pool with any key.
#[cfg(feature = "pool")]
pub(super) trait ByKey: fmt::Debug + Send + Sync {
    fn source_of(&self, extensions: Option<&Extensions>) -> Result<Arc<dyn TokenSource>, Error>;
}

#[cfg(feature = "pool")]
impl<K, S> ByKey for crate::pool::TokenPool<K, S>
where
    K: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    S: crate::pool::Pooled + 'static,
{
    fn source_of(&self, extensions: Option<&Extensions>) -> Result<Arc<dyn TokenSource>, Error> {
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
