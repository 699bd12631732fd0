//! Copies of request bodies, from which a request is repeated.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Empty, Full};

/// How bodies of type `B` are copied. A body that is buffered is read for that.
pub(super) type Copying<B> = Box<dyn Fn(&mut B) -> Option<B> + Send + Sync>;

/// Tries the user's functions, then the body types that are cheap to clone.
pub(super) fn copy_of<B: 'static>(body: &mut B, copies: &[Arc<dyn Any + Send + Sync>]) -> Option<B> {
    for copy in copies {
        if let Some(copying) = copy.downcast_ref::<Copying<B>>() {
            return copying(body);
        }
    }
    /// `body` cloned, if `B` is `T`.
    fn cloned<B: 'static, T: Clone + 'static>(body: &B) -> Option<B> {
        let mut copy: Option<B> = None;
        let known = (body as &dyn Any).downcast_ref::<T>()?;
        *(&mut copy as &mut dyn Any).downcast_mut::<Option<T>>()? = Some(known.clone());
        copy
    }
    cloned::<B, ()>(body)
        .or_else(|| cloned::<B, Bytes>(body))
        .or_else(|| cloned::<B, Full<Bytes>>(body))
        .or_else(|| cloned::<B, Empty<Bytes>>(body))
        .or_else(|| cloned::<B, String>(body))
}
