//! How long a token request may take, and how large its response may be.

use std::time::Duration;

/// How long one token request may take, and how much of a response is read.
///
/// For [`ClientCredentialsBuilder::limits`](crate::ClientCredentialsBuilder::limits). [`CachePolicy`](crate::CachePolicy) and
/// [`RetryPolicy`](crate::RetryPolicy) limit a whole fetch with its retries.
///
/// ```
/// use client_credentials::Limits;
/// use std::time::Duration;
///
/// let limits = Limits::new().attempt_timeout(Duration::from_secs(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "limits do nothing before they are given to a builder"]
pub struct Limits {
    /// 5 s: a TCP handshake that loses its first two packets (1 s, 2 s) still succeeds.
    pub(crate) connect_timeout: Duration,
    /// 10 s for the whole attempt: name resolution, connection, TLS, request, response to its last byte.
    pub(crate) attempt_timeout: Duration,
    /// 256 KiB: several times the largest token with the rest of its response.
    pub(crate) max_response_bytes: usize,
    /// 64 KiB: four times the longest token seen; a longer one exceeds the header limits of servers.
    pub(crate) max_token_bytes: usize,
    /// 1024 characters: Entra's descriptions have up to 457, with the ids that its support asks for at their end.
    pub(crate) max_error_text: usize,
}

impl Limits {
    /// Returns the default limits.
    pub const fn new() -> Self {
        Limits {
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(10),
            max_response_bytes: 256 * 1024,
            max_token_bytes: 64 * 1024,
            max_error_text: 1024,
        }
    }

    /// Sets how long connecting may take, including TLS. Default: 5 s.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long one attempt may take, including name resolution, connection, TLS, request and response. Default: 10 s.
    ///
    /// If the server has several addresses, the next one is tried when a connection cannot be established. An address that
    /// accepts the connection but does not respond uses up the attempt, and the next attempt starts with the first address
    /// again.
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// Sets the largest response that is read. Default: 256 KiB.
    pub const fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// Sets the longest access token that is accepted. Default: 64 KiB.
    pub const fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// Sets how many characters of a server's error text are kept. Default: 1024.
    pub const fn max_error_text(mut self, characters: usize) -> Self {
        self.max_error_text = characters;
        self
    }

    /// The invalid values: (setter, flaw).
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let zero = |setter, is_zero: bool| is_zero.then(|| (setter, "is zero: give a value above it".to_owned()));
        let faults = [
            zero("connect_timeout", self.connect_timeout.is_zero()),
            zero("attempt_timeout", self.attempt_timeout.is_zero()),
            zero("max_response_bytes", self.max_response_bytes == 0),
            zero("max_token_bytes", self.max_token_bytes == 0),
        ];
        faults.into_iter().flatten().collect()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::new()
    }
}
