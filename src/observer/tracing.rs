//! Events as `tracing` events. Target, level and fields are part of the public interface, documented in
//! `docs::operating`.

use super::Event;

const TARGET: &str = "client_credentials";

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
            tracing::debug!(
                target: TARGET, source, cause, ?duration, ?kind, error = %format_args!("{error:#}"), consecutive,
                "a fetch failed"
            );
        }
        Event::Failing { error, token_usable: true, failing_for } => {
            let kind = error.kind();
            tracing::warn!(
                target: TARGET, source, ?kind, error = %format_args!("{error:#}"), ?failing_for,
                "the access token cannot be refreshed; the current one is still used"
            );
        }
        Event::Failing { error, token_usable: false, failing_for } => {
            let kind = error.kind();
            tracing::error!(
                target: TARGET, source, ?kind, error = %format_args!("{error:#}"), ?failing_for,
                "there is no access token: none can be fetched, and the last one, if any, has expired"
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
                "an API refused the access token, and nothing changes: it is not the current one, the server issues the same one again, or \
                 refusals come too often"
            );
        }
        Event::ApiRefuses { api, status, error: error @ Some("insufficient_scope"), description, scope } => {
            tracing::warn!(
                target: TARGET, source, api, status, error, description, scope,
                "the API requires a scope that the access token does not have: check that it is requested and that the client may have it"
            );
        }
        Event::ApiRefuses { api, status, error, description, scope } => {
            tracing::warn!(
                target: TARGET, source, api, status, error, description, scope,
                "the API keeps refusing access tokens: check that it accepts their audience, scope and authorization server"
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
            tracing::debug!(target: TARGET, source, "the token request is repeated with the nonce that the server requires");
        }
        Event::UnusualLifetime { assumed: Some(assumed) } => {
            tracing::warn!(target: TARGET, source, ?assumed, "the authorization server states no lifetime for its tokens");
        }
        Event::UnusualLifetime { assumed: None } => {
            tracing::warn!(
                target: TARGET, source,
                "the authorization server issues tokens that are expired on arrival: they are not cached"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;
    use std::sync::Arc;

    use tracing::field::{Field, Visit};
    use tracing::{Level, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::super::samples;
    use super::*;
    use crate::lock::Lock;

    #[derive(Clone, Default)]
    struct Lines(Arc<Lock<Vec<Line>>>);

    #[derive(Debug)]
    struct Line {
        level: Level,
        message: String,
        fields: BTreeSet<String>,
    }

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            match field.name() {
                "message" => self.message = format!("{value:?}"),
                name => _ = self.fields.insert(name.to_owned()),
            }
        }
    }

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            assert_eq!(event.metadata().target(), TARGET);
            let mut line = Line { level: *event.metadata().level(), message: String::new(), fields: BTreeSet::new() };
            event.record(&mut line);
            self.0.lock().push(line);
        }
    }

    #[test]
    fn each_event_is_in_the_table_of_the_guide_with_its_level_and_fields() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        tracing::subscriber::with_default(subscriber, || samples::each(|event| emit(Some("billing"), event)));
        let guide = include_str!("../docs/operating.md");
        let rows: Vec<Vec<_>> = guide.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        let mut levels = BTreeSet::new();
        for line in lines.0.lock().iter() {
            levels.insert(line.level);
            assert!(line.fields.contains("source"), "{line:?}");
            let level = line.level.to_string();
            let is_its = |row: &&Vec<&str>| {
                row.len() == 6 && row[1] == level && row[2].split("; ").any(|start| line.message.starts_with(start))
            };
            let row = rows.iter().find(is_its).unwrap_or_else(|| panic!("not in the guide: {line:?}"));
            let told: BTreeSet<_> = row[3].split('`').skip(1).step_by(2).collect();
            let built: BTreeSet<_> =
                line.fields.iter().map(String::as_str).filter(|field| *field != "source").collect();
            // Without an error there is no field.
            let less: Vec<_> = told.difference(&built).filter(|field| **field != "error").collect();
            assert!(built.is_subset(&told) && less.is_empty(), "{line:?}: the guide has {told:?}");
        }
        assert_eq!(levels.len(), 5, "{levels:?}");
    }
}
