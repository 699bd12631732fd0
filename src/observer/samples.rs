//! A sample of each event, for tests of the adapters.

use std::time::Duration;

use super::{CredentialKind, Event, FetchCause};
use crate::error::{Error, ErrorKind};

/// Emits each event, in each form that an adapter distinguishes.
pub(super) fn each(mut hear: impl FnMut(&Event<'_>)) {
    with(0, &mut hear);
    with(1, &mut hear);
}

/// Emits each event, with values that depend on `number`.
pub(super) fn with(number: u16, mut hear: impl FnMut(&Event<'_>)) {
    let pick = |count: u16| usize::from(number % count);
    let flag = number % 2 == 0;
    let kinds = [
        ErrorKind::Configuration,
        ErrorKind::Credential,
        ErrorKind::Denied,
        ErrorKind::Throttled,
        ErrorKind::Transport,
        ErrorKind::Tls,
        ErrorKind::Response,
        ErrorKind::Other,
    ];
    let error = &Error::of(kinds[pick(8)], format!("what happened at {number}"));
    let cause = [FetchCause::Cold, FetchCause::Refresh, FetchCause::Rejection][pick(3)];
    let duration = Duration::from_millis(number.into());
    let text = format!("text {number}");
    let some_error = flag.then_some(error);
    let said = Some(text.as_str());
    let status = 100 + number;
    for event in [
        Event::FetchStarted { cause },
        Event::Fetched { cause, duration, expires_in: Some(duration), from_store: flag },
        Event::FetchFailed { cause, duration, error, consecutive: number.into() },
        Event::Failing { error, token_usable: flag, failing_for: duration },
        Event::Recovered { failing_for: duration, failed_fetches: number.into(), failed_calls: number.into() },
        Event::Rejected { honored: flag },
        Event::ApiRefuses { api: &text, status, error: said, description: said, scope: said },
        Event::ApiRefuses { api: &text, status, error: Some("insufficient_scope"), description: said, scope: said },
        Event::TokenRequest { cause, server: "auth.example.com", status: Some(status), error: some_error, duration },
        Event::CredentialRead {
            credential: [CredentialKind::Certificate, CredentialKind::Assertion][pick(2)],
            expires_in: duration,
        },
        Event::Waited { duration, error: some_error },
        Event::StoreOperation {
            operation: ["get", "put", "delete", "lease", "release", "key"][pick(6)],
            duration,
            error: some_error,
        },
        Event::NonceRetry,
        Event::UnusualLifetime { assumed: flag.then_some(duration) },
    ] {
        hear(&event);
    }
}
