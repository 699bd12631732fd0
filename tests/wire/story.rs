//! The two cases of most rows of the catalogue: a fault that ends after one connection, and a lasting one.

use std::time::Duration;

use client_credentials::{
    AccessToken, Backoff, CachePolicy, ClientAuth, ClientCredentials, ClientCredentialsBuilder, Error, ErrorKind,
    HttpClient, RetryPolicy, TokenSource,
};

use crate::harness::canary::{SECRET, TOKEN, assert_no_canary, render_all};
use crate::harness::server::{HANG_TIMEOUT, Script, Server, ok};

/// `client_secret_basic` with the canary.
pub(crate) fn basic() -> ClientAuth {
    ClientAuth::client_secret_basic("wire", SECRET)
}

/// `client_secret_post` with the canary.
pub(crate) fn post() -> ClientAuth {
    ClientAuth::client_secret_post("wire", SECRET)
}

/// For this server, with waits as short as they can be.
pub(crate) fn builder(server: &Server) -> ClientCredentialsBuilder {
    builder_with(&server.url("/token"), basic())
}

pub(crate) fn builder_with(endpoint: &str, auth: ClientAuth) -> ClientCredentialsBuilder {
    hasty(ClientCredentials::builder(endpoint, auth))
}

/// A source without pauses, whose tokens may be rejected any number of times.
pub(crate) fn hasty(builder: ClientCredentialsBuilder) -> ClientCredentialsBuilder {
    builder
        .http_client(HttpClient::from_reqwest_0_13(bare))
        .retry(RetryPolicy::new().backoff(Backoff::new(MOMENT, MOMENT)))
        .cache(
            CachePolicy::new()
                .expired_backoff(Backoff::new(MOMENT, MOMENT))
                .denied_backoff(Backoff::new(MOMENT, MOMENT))
                .due_backoff(Backoff::new(MOMENT, MOMENT))
                .forced_refreshes(100)
                .forced_refresh_interval(MOMENT),
        )
}

/// A client builder without roots, since loading them takes a while and no server here has a public certificate.
pub(crate) fn bare() -> reqwest::ClientBuilder {
    #[cfg(feature = "rustls")]
    return reqwest::Client::builder().tls_certs_only([]);
    #[cfg(not(feature = "rustls"))]
    reqwest::Client::builder()
}

pub(crate) const MOMENT: Duration = Duration::from_millis(1);

/// For servers that hang: short, but long enough for some attempts on a slow machine.
pub(crate) const SOON: Duration = Duration::from_millis(300);

pub(crate) fn as_it_is(builder: ClientCredentialsBuilder) -> ClientCredentialsBuilder {
    builder
}

/// The first attempt meets `fault`, the second a healthy server: the first call succeeds.
pub(crate) async fn mended(
    row: &str,
    fault: Script,
    configure: fn(ClientCredentialsBuilder) -> ClientCredentialsBuilder,
) {
    let server = Server::start([fault, ok(TOKEN)]);
    let tokens = configure(builder(&server)).build().unwrap();
    match tokens.token().await {
        Ok(token) => assert_eq!(token.expose_secret(), TOKEN, "{row}"),
        Err(error) => panic!("{row}: {}", render_all(&error)),
    }
    assert_eq!(server.connections(), 2, "{row}: one attempt for each");
}

/// The expected error of a call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) transient: bool,
    /// `None`: there was none.
    pub(crate) status: Option<u16>,
    /// The number of attempts, each with its own connection.
    pub(crate) attempts: usize,
}

/// Every attempt meets `fault`, and the call fails in this way. Then the server is healthy again, and the same source
/// returns a token without being rebuilt (I5).
pub(crate) async fn fails(
    row: &str,
    fault: Script,
    failure: Failure,
    configure: fn(ClientCredentialsBuilder) -> ClientCredentialsBuilder,
) -> Error {
    let server = Server::start([fault]);
    let tokens = configure(builder(&server)).build().unwrap();
    let error = expect_failure(row, &tokens, &failure).await;
    // The server may be slower than the client.
    server.connected(failure.attempts).await;
    assert_eq!(server.connections(), failure.attempts, "{row}: attempts in the fetch");
    server.now([ok(TOKEN)]);
    recovers(row, &tokens).await;
    error
}

pub(crate) async fn expect_failure(row: &str, tokens: &ClientCredentials, failure: &Failure) -> Error {
    // In a task: after a pause of the whole machine the fetch's heartbeat, which is due earlier, is polled first. A
    // caller that is the runtime's main future would be polled before it, and take over the fetch.
    let own = tokens.clone();
    let caller = tokio::spawn(async move { own.token().await });
    let error = match tokio::time::timeout(HANG_TIMEOUT, caller).await {
        Ok(result) => match result.unwrap() {
            Err(error) => error,
            Ok(token) => panic!("{row}: {token:?} instead of {failure:?}"),
        },
        Err(_) => panic!("{row}: it does not end (I3)"),
    };
    let text = render_all(&error);
    assert_eq!(error.kind(), failure.kind, "{row}: {text}");
    assert_eq!(error.is_transient(), failure.transient, "{row}: {text}");
    assert_eq!(error.status().map(|status| status.as_u16()), failure.status, "{row}: {text}");
    assert_no_canary([text]);
    error
}

/// The fault has ended, and the source recovers.
pub(crate) async fn recovers(row: &str, tokens: &impl TokenSource) -> AccessToken {
    let again = async {
        loop {
            match tokens.token().await {
                Ok(token) => return token,
                // The negative cache answers at once until its millisecond is over.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    match tokio::time::timeout(HANG_TIMEOUT, again).await {
        Ok(token) => {
            assert_eq!(token.expose_secret(), TOKEN, "{row}");
            token
        }
        Err(_) => panic!("{row}: the source does not recover"),
    }
}
