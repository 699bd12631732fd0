//! What the server answers, where, and when.

use std::fmt;
use std::time::Duration;

use http::Response;
use tokio::sync::watch;

/// What an endpoint of [`AuthorizationServer`](super::AuthorizationServer) answers.
///
/// Given to [`next`](super::AuthorizationServer::next) and [`until_changed`](super::AuthorizationServer::until_changed).
///
/// ```
/// use client_credentials::testing::{Answer, AuthorizationServer};
/// use std::time::Duration;
///
/// let server = AuthorizationServer::start();
/// server.next(Answer::Status(503)).next(Answer::RetryAfter(Duration::from_secs(30)));
/// server.until_changed(Answer::Refuse("invalid_client"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The ordinary answer: the request is checked, and then there is a token, or the error that it deserves. At the API, the
    /// token of the request is checked.
    Token,
    /// An error response with this code (RFC 6749 section 5.2): status 401 for `invalid_client`, otherwise 400. At the API it
    /// is a challenge (RFC 6750 section 3.1): status 403 for `insufficient_scope`, otherwise 401.
    Refuse(&'static str),
    /// This status, with a line of plain text as the body. One that HTTP has no response for ends the connection.
    Status(u16),
    /// Status 429 with `Retry-After` in whole seconds, rounded up.
    RetryAfter(Duration),
    /// The ordinary answer after this time, which passes for real: a [`ManualClock`](crate::ManualClock) does not shorten it.
    Delay(Duration),
    /// The ordinary answer once the gate is open: a slow server without a timer.
    Held(Gate),
    /// Reads the request and never answers. The client's timeout ends it, which runs on tokio's clock.
    Hang,
    /// Reads the request and resets the connection.
    Reset,
    /// The ordinary answer, whose body ends in the middle.
    Torn,
    /// A page with status 200, as a proxy or a captive portal sends it.
    Html,
    /// Status 200, `application/json`, and this body, whatever the request was.
    Body(String),
    /// This very response.
    Response(Response<String>),
}

/// Which endpoint of an [`AuthorizationServer`](super::AuthorizationServer) is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// Where tokens are requested.
    Token,
    /// The server's metadata (RFC 8414, OpenID Connect discovery), and those of the API (RFC 9728).
    Metadata,
    /// The public keys of signed access tokens (RFC 7517).
    Keys,
    /// The protected API.
    Api,
}

impl Endpoint {
    pub(super) const COUNT: usize = 4;
}

/// Closed until the test opens it; a clone is the same gate.
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
    /// A gate that is closed.
    #[expect(clippy::new_without_default, reason = "whether a default gate is open is not obvious")]
    #[must_use]
    pub fn new() -> Self {
        Gate(watch::Sender::new(false))
    }

    /// Lets everything pass, from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        // The sender is `self`: it is there while this waits.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&if *self.0.borrow() { "open" } else { "closed" }).finish()
    }
}
