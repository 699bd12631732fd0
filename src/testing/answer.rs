//! The responses of the server, by endpoint and time.

use std::fmt;
use std::time::Duration;

use http::Response;
use tokio::sync::watch;

/// A response of an endpoint of [`AuthorizationServer`](super::AuthorizationServer).
///
/// For [`next`](super::AuthorizationServer::next) and [`until_changed`](super::AuthorizationServer::until_changed).
///
/// ```
/// use client_credentials::testing::{Answer, AuthorizationServer};
/// use std::time::Duration;
///
/// let server = AuthorizationServer::start();
/// server
///     .next(Answer::Status(503))
///     .next(Answer::RetryAfter(Duration::from_secs(30)));
/// server.until_changed(Answer::Refuse("invalid_client"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The ordinary response: a token if the request is valid, otherwise an error. At the API, the token of the request is
    /// checked.
    Token,
    /// An error response with this code (RFC 6749 section 5.2): status 401 for `invalid_client`, otherwise 400. At the API, a
    /// challenge (RFC 6750 section 3.1): status 403 for `insufficient_scope`, otherwise 401.
    Refuse(&'static str),
    /// This status, with a line of plain text as the body. A status that is not valid in HTTP ends the connection.
    Status(u16),
    /// Status 429 with `Retry-After` in whole seconds, rounded up.
    RetryAfter(Duration),
    /// The ordinary response after this real time: a [`ManualClock`](crate::ManualClock) does not shorten it.
    Delay(Duration),
    /// The ordinary response once the gate is open: a slow server without a timer.
    Held(Gate),
    /// Reads the request and never responds. The client's timeout, which uses tokio's clock, ends it.
    Hang,
    /// Reads the request and resets the connection.
    Reset,
    /// The ordinary response with a truncated body.
    Torn,
    /// An HTML page with status 200, as from a proxy or a captive portal.
    Html,
    /// Status 200, `application/json` and this body, for any request.
    Body(String),
    /// This response, unchanged.
    Response(Response<String>),
}

/// An endpoint of an [`AuthorizationServer`](super::AuthorizationServer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The token endpoint.
    Token,
    /// The metadata of the server (RFC 8414, OpenID Connect discovery) and of the API (RFC 9728).
    Metadata,
    /// The public keys of signed access tokens (RFC 7517).
    Keys,
    /// The protected API.
    Api,
}

/// A gate for [`Answer::Held`], closed until the test opens it. Clones share the gate.
///
/// ```
/// use client_credentials::testing::{Answer, AuthorizationServer, Gate};
///
/// let server = AuthorizationServer::start();
/// let gate = Gate::new();
/// server.next(Answer::Held(gate.clone()));
/// // .. the program under test starts, and waits for its first token ..
/// gate.open();
/// ```
#[derive(Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// Creates a closed gate.
    #[expect(clippy::new_without_default, reason = "whether a default gate is open is not obvious")]
    #[must_use]
    pub fn new() -> Self {
        Gate(watch::Sender::new(false))
    }

    /// Opens the gate permanently.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        // An error is impossible: the sender is `self`.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&if *self.0.borrow() { "open" } else { "closed" }).finish()
    }
}
