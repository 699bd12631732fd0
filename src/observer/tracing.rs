//! Events as `tracing` has them. Target, level and fields are an interface, documented in `docs::operating`.

use tracing::Instrument;
use tracing::instrument::Instrumented;

use super::{Event, FetchCause};

const TARGET: &str = "client_credentials";

/// What the HTTP client opens meanwhile are its children.
pub(super) fn in_span<F: Future>(source: &str, cause: FetchCause, fetch: F) -> Instrumented<F> {
    fetch.instrument(tracing::info_span!(target: TARGET, parent: None, "fetch", source, cause = cause.as_str()))
}

pub(super) fn emit(source: Option<&str>, event: &Event<'_>) {
    match event {
        Event::FetchStarted { cause } => {
            tracing::debug!(target: TARGET, source, cause = cause.as_str(), "fetching an access token");
        }
        Event::Fetched { cause, duration, expires_in, from_store } => {
            let (cause, expires_in) = (cause.as_str(), expires_in.map(|left| left.as_secs()));
            tracing::debug!(target: TARGET, source, cause, ?duration, expires_in, from_store, "fetched an access token");
        }
        Event::FetchFailed { cause, duration, error, consecutive } => {
            let (cause, kind) = (cause.as_str(), error.kind());
            let error = format_args!("{error:#}");
            tracing::debug!(target: TARGET, source, cause, ?duration, ?kind, %error, consecutive, "a fetch failed");
        }
        Event::Failing { error, token_usable: true, failing_for } => {
            let (kind, error) = (error.kind(), format_args!("{error:#}"));
            tracing::warn!(
                target: TARGET, source, ?kind, %error, ?failing_for,
                "the access token cannot be refreshed; the current one is still used"
            );
        }
        Event::Failing { error, token_usable: false, failing_for } => {
            let (kind, error) = (error.kind(), format_args!("{error:#}"));
            tracing::error!(
                target: TARGET, source, ?kind, %error, ?failing_for,
                "there is no access token: none can be fetched, and the last one has expired or never was"
            );
        }
        Event::Recovered { failing_for, failed_fetches, failed_calls } => {
            tracing::info!(
                target: TARGET, source, ?failing_for, failed_fetches, failed_calls,
                "access tokens can be fetched again"
            );
        }
        Event::Rejected { honored: true } => {
            tracing::debug!(target: TARGET, source, "an API refused the access token: another one is fetched");
        }
        Event::Rejected { honored: false } => {
            tracing::debug!(
                target: TARGET, source,
                "an API refused the access token, which stays in use: refusals came too often, or of an older token"
            );
        }
        Event::ApiRefuses { api, status, error: error @ Some("insufficient_scope"), description, scope } => {
            tracing::warn!(
                target: TARGET, source, api, status, error, description, scope,
                "the API demands a scope that the access token does not have: is it asked for, and may the client have it?"
            );
        }
        Event::ApiRefuses { api, status, error, description, scope } => {
            tracing::warn!(
                target: TARGET, source, api, status, error, description, scope,
                "the API goes on refusing access tokens: are their audience, scope and authorization server what this API wants?"
            );
        }
        Event::TokenRequest { cause, server, status, error, duration } => {
            let (cause, error) = (cause.as_str(), error.map(|error| error.kind()));
            tracing::trace!(target: TARGET, source, cause, server, status, ?error, ?duration, "token request");
        }
        Event::CredentialRead { credential, expires_in } => {
            let (credential, expires_in) = (credential.as_str(), expires_in.as_secs());
            tracing::trace!(target: TARGET, source, credential, expires_in, "a credential was read");
        }
        Event::Waited { duration, error } => {
            let error = error.map(|error| error.kind());
            tracing::trace!(target: TARGET, source, ?duration, ?error, "a call waited for a fetch");
        }
        Event::StoreOperation { operation, duration, error } => {
            let error = error.map(|error| format!("{error:#}"));
            tracing::trace!(target: TARGET, source, operation, ?duration, error, "an operation of the shared store");
        }
        Event::NonceRetry => {
            tracing::debug!(target: TARGET, source, "the token request is repeated with the nonce that the server demands");
        }
        Event::UnusualLifetime { assumed: Some(assumed) } => {
            tracing::warn!(target: TARGET, source, ?assumed, "the authorization server states no lifetime of its tokens");
        }
        Event::UnusualLifetime { assumed: None } => {
            tracing::warn!(
                target: TARGET, source,
                "the authorization server issues tokens that are expired on arrival: they are not cached"
            );
        }
    }
}
