//! There are no spans without the feature `tracing`.

use super::FetchCause;
use crate::error::Error;

/// Stands in for the span of a fetch.
#[derive(Clone, Debug, Default)]
pub(crate) struct FetchSpan(());

impl FetchSpan {
    pub(crate) fn awaited(&self) {}

    pub(super) fn around<F: Future>(
        &self,
        _: &str,
        _: FetchCause,
        fetch: F,
        _: fn(&F::Output) -> Option<&Error>,
    ) -> impl Future<Output = F::Output> + use<F> {
        fetch
    }
}

/// Stands in for the span of a token request.
pub(crate) struct AttemptSpan;

impl AttemptSpan {
    pub(super) fn new(_: &str, _: &str) -> Self {
        AttemptSpan
    }

    pub(crate) fn around<F: Future>(&self, request: F) -> impl Future<Output = F::Output> + use<F> {
        request
    }

    pub(crate) fn end(self, _: Option<u16>, _: Option<&Error>) {}
}
