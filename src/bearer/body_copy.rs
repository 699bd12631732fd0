//! Copies of request bodies, from which a request is repeated.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Empty, Full};

use super::buffered::Buffering;

/// Tries the user's functions, then the body types that are cheap to clone. A body that is buffered is read for the
/// copy.
pub(super) fn copy_of<B: 'static>(body: &mut B, copies: &[Arc<dyn Any + Send + Sync>]) -> Option<B> {
    for copy in copies {
        if let Some(copy) = copy.downcast_ref::<fn(&B) -> Option<B>>() {
            return copy(body);
        }
        if let Some(buffering) = copy.downcast_ref::<Buffering<B>>() {
            return buffering.copy(body);
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
