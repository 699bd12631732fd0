//! [`BearerAuthBuilder`]: the settings of a [`BearerAuth`], checked together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderName, StatusCode};

#[cfg(feature = "tower")]
use super::body_copy::Copying;
#[cfg(feature = "tower")]
use super::buffered::BufferedBody;
use super::origin::Origin;
use super::policy::{Carrier, Policy};
use super::tokens::Tokens;
use super::{BearerAuth, Parts};
use crate::address::host_flaw;
use crate::challenge::is_token;
use crate::error::Error;
use crate::exchange::is_reserved;
use crate::faults::Faults;

/// Builds a [`BearerAuth`].
///
/// ```
/// # use client_credentials::{AccessToken, BearerAuth};
/// # let tokens = AccessToken::builder("abc").build()?;
/// let bearer = BearerAuth::builder(tokens)
///     .origin("https://api.example.com")
///     .domain("blob.example.com")
///     .pass_through(true)
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
#[must_use = "a builder does nothing before `build()`"]
pub struct BearerAuthBuilder {
    tokens: Box<dyn Tokens>,
    origins: Vec<String>,
    domains: Vec<String>,
    plain_hosts: Vec<String>,
    header: Option<(String, String)>,
    /// Without origins and carrier, which `build()` reads.
    policy: Policy,
}

/// 10 s: the default timeout of one attempt at the token endpoint.
const REPLACEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// 1 MiB: each request in progress may buffer this much.
const LONGEST_BODY: usize = 1024 * 1024;

impl BearerAuthBuilder {
    pub(super) fn new(tokens: Box<dyn Tokens>) -> Self {
        BearerAuthBuilder {
            tokens,
            origins: Vec::new(),
            domains: Vec::new(),
            plain_hosts: Vec::new(),
            header: None,
            policy: Policy { repeat: true, replacement_timeout: REPLACEMENT_TIMEOUT, ..Policy::default() },
        }
    }

    /// Adds an origin (scheme, host and port) that the tokens are sent to. The path of a base URL is ignored. May be called
    /// several times.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Adds a domain: the tokens are sent to its subdomains of any depth, over `https`. May be called several times.
    ///
    /// `"blob.example.com"` matches `https://red.blob.example.com`, but not `https://blob.example.com` itself, and only port
    /// 443 unless a port is given (`"blob.example.com:8443"`). A single label such as `"com"` is refused. Add only domains
    /// whose subdomains all belong to the API: the owner of any of them can receive the token.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domains.push(domain.into());
        self
    }

    /// Sends the token in this header, after `scheme` and a space, or alone if `scheme` is empty. Default: `Authorization`,
    /// with the scheme of the token.
    ///
    /// ```
    /// # use client_credentials::{AccessToken, BearerAuth};
    /// # let tokens = AccessToken::builder("abc").build()?;
    /// let bearer = BearerAuth::builder(tokens)
    ///     .origin("https://advertising.example.com")
    ///     .header("x-amz-access-token", "")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// Origins and the handling of a 401 stay the same; challenges for this scheme and for `Bearer` both count. A request that
    /// already has a header of this name is not changed. In `Proxy-Authorization`, a 407 also rejects the token. A DPoP token
    /// keeps the scheme `DPoP`, which tells the API its type.
    ///
    /// On a redirect to another host, reqwest removes only `Authorization` and `Proxy-Authorization`. For a header of another
    /// name, configure the client with `redirect(Policy::none())`.
    pub fn header(mut self, name: impl Into<String>, scheme: impl Into<String>) -> Self {
        self.header = Some((name.into(), scheme.into()));
        self
    }

    /// Sets whether a request whose token was rejected is repeated once, with a new token. Default: `true`.
    ///
    /// With `false`, requests are not cloned. A rejected token is still replaced for later requests.
    pub fn repeat(mut self, repeat: bool) -> Self {
        self.policy.repeat = repeat;
        self
    }

    /// Sets whether requests to other origins are sent without a token. Default: `false` (they fail).
    ///
    /// For a client that also calls other APIs, or has one [`BearerAuth`] for each of several APIs.
    pub fn pass_through(mut self, pass_through: bool) -> Self {
        self.policy.pass_through = pass_through;
        self
    }

    /// Sets how long a request whose token was rejected waits for a new token. Default: 10 s.
    ///
    /// After that the response is returned unchanged, and the fetch continues. Without this limit, a hanging authorization
    /// server would delay an API's 401 by the whole [`fetch_timeout`](crate::CachePolicy::fetch_timeout).
    pub fn replacement_timeout(mut self, timeout: Duration) -> Self {
        self.policy.replacement_timeout = timeout;
        self
    }

    /// Sets which other responses reject the token, besides a 401: some APIs return 403 or 419 for an expired token.
    ///
    /// ```
    /// # use client_credentials::{AccessToken, BearerAuth};
    /// # let tokens = AccessToken::builder("abc").build()?;
    /// let bearer = BearerAuth::builder(tokens)
    ///     .origin("https://api.example.com")
    ///     .rejected_when(|status, _headers| status.as_u16() == 419)
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// If the client follows redirects, the closure receives the final response, so it sees a 302 to a login page only if the
    /// client does not follow redirects. A response from another origin never rejects the token. A panic counts as `false`.
    pub fn rejected_when(mut self, says: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        self.policy.rejected_when = Some(Arc::new(says));
        self
    }

    /// Sets which response bodies reject the token. `says` receives complete bodies of at most `limit` bytes.
    ///
    /// ```
    /// # use client_credentials::{AccessToken, BearerAuth};
    /// # let tokens = AccessToken::builder("abc").build()?;
    /// let bearer = BearerAuth::builder(tokens)
    ///     .origin("https://api.example.com")
    ///     .rejected_when_body(4096, |status, _headers, body| {
    ///         let json = serde_json::from_slice::<serde_json::Value>(body);
    ///         status.is_success()
    ///             && json.is_ok_and(|json| json["error"]["code"] == 498)
    ///     })
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// Each response is then returned only after its body has ended or has exceeded `limit`, which is at most 1 MiB. A longer
    /// body is streamed from there on and does not reject the token. Bodies of event streams and gRPC calls are not read. If
    /// reading the body fails, the request fails with that error.
    ///
    /// Supported for reqwest requests, with reqwest-middleware or tower. In a tower service of `http::Request`, whose body
    /// types are arbitrary, each request fails with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration).
    pub fn rejected_when_body(
        mut self,
        limit: usize,
        says: impl Fn(StatusCode, &HeaderMap, &[u8]) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.policy.rejected_when_body = Some((limit, Arc::new(says)));
        self
    }

    /// Clones bodies of type `B` with `copy` before they are sent (tower), so that requests can be repeated. May be called for
    /// several types.
    #[cfg(feature = "tower")]
    pub fn clone_body<B: 'static>(mut self, copy: fn(&B) -> Option<B>) -> Self {
        let copying: Copying<B> = Box::new(move |body| copy(body));
        self.policy.copies.push(Arc::new(copying));
        self
    }

    /// Buffers bodies of type `B` before they are sent (tower), so that requests can be repeated: for gRPC, whose bodies are
    /// streams that cannot be cloned.
    ///
    /// Reads at most `limit` bytes, and only data that is available without waiting: the message of a unary call, up to that
    /// size. The body of a streaming call, which waits for its next message, is streamed, and the call is not repeated. `wrap`
    /// converts the buffered body back to type `B`.
    ///
    /// ```ignore
    /// let bearer = BearerAuth::builder(tokens)
    ///     .origin("https://grpc.example.com")
    ///     .buffer_body(64 * 1024, tonic::body::Body::new)
    ///     .build()?;
    /// let client = GreeterClient::new(bearer.layer(channel));
    /// ```
    #[cfg(feature = "tower")]
    pub fn buffer_body<B>(mut self, limit: usize, wrap: fn(BufferedBody<B>) -> B) -> Self
    where
        B: http_body::Body<Data = bytes::Bytes> + Unpin + 'static,
    {
        self.policy.copies.push(Arc::new(BufferedBody::copying(limit, wrap)));
        self
    }

    /// Accepts plain `http` for this host, for example a service name in a compose file, or a host behind a service mesh that
    /// encrypts the traffic.
    ///
    /// Anyone on the network path can read the tokens.
    pub fn dangerously_allow_http(mut self, host: impl Into<String>) -> Self {
        self.plain_hosts.push(host.into());
        self
    }

    /// Checks the settings and builds the [`BearerAuth`]. Does no I/O and works outside a runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration). The text lists all faults.
    pub fn build(self) -> Result<BearerAuth, Error> {
        let mut policy = self.policy;
        let mut faults = Faults::default();
        if self.origins.is_empty() && self.domains.is_empty() {
            faults.add("origin", "is missing: name by origin(..) or domain(..) where the tokens may be sent");
        }
        let named = self.origins.iter().map(|text| ("origin", Origin::parse(text, &self.plain_hosts)));
        for (setter, parsed) in named.chain(self.domains.iter().map(|text| ("domain", Origin::domain(text)))) {
            policy.origins.extend(faults.take(setter, parsed));
        }
        faults.extend(self.plain_hosts.iter().filter_map(|host| Some(("dangerously_allow_http", host_flaw(host)?))));
        policy.carrier = self.header.as_ref().and_then(|(name, scheme)| faults.take("header", carrier(name, scheme)));
        if policy.replacement_timeout.is_zero() {
            faults.add("replacement_timeout", "is zero: no new token could arrive in time; use repeat(false)");
        }
        if let Some((limit, _)) = policy.rejected_when_body {
            if !(1..=LONGEST_BODY).contains(&limit) {
                let flaw = format!("has a limit of {limit} bytes: give 1 to {LONGEST_BODY}");
                faults.add("rejected_when_body", flaw);
            }
        }
        let bearer = BearerAuth(Arc::new(Parts { policy, tokens: self.tokens }));
        faults.none_in("the configuration of BearerAuth", Some(bearer))
    }
}

fn carrier(name: &str, scheme: &str) -> Result<Carrier, String> {
    let Ok(header) = name.parse::<HeaderName>() else {
        return Err(format!("{name:?} is not the name of a header"));
    };
    if is_reserved(&header) || [CONTENT_TYPE, RANGE].contains(&header) {
        return Err(format!("{name:?} has another meaning: no token can go in it"));
    }
    // RFC 9110 section 11.1: a scheme is a token.
    if !scheme.chars().all(is_token) {
        return Err(format!(
            "has the scheme {scheme:?}: give letters, digits and hyphens, without the space before the token"
        ));
    }
    Ok(Carrier { header, scheme: scheme.to_owned() })
}

impl fmt::Debug for BearerAuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthBuilder")
            .field("origins", &self.origins)
            .field("domains", &self.domains)
            .field("source", &self.tokens)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::token::AccessToken;

    fn builder() -> BearerAuthBuilder {
        BearerAuth::builder(AccessToken::builder("abc").build().unwrap())
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let error = builder()
            .origin("https:///x")
            .origin("http://api.internal")
            .domain("com")
            .header("x y", "Bearer")
            .dangerously_allow_http("http://y")
            .replacement_timeout(Duration::ZERO)
            .rejected_when_body(0, |_, _, _| true)
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = error.to_string();
        for part in [
            "no host",
            "dangerously_allow_http(\"api.internal\")", // FD5
            "single label",
            "\"x y\"",
            "dangerously_allow_http \"http://y\"",
            "replacement_timeout",
            "rejected_when_body",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(builder().build().unwrap_err().to_string().contains("origin is missing"));
    }

    #[test]
    fn a_plain_origin_is_found_before_any_request() {
        // FD5, R15
        assert!(builder().origin("http://api.internal").build().is_err());
        assert!(builder().origin("http://api.internal").dangerously_allow_http("API.internal").build().is_ok());
        assert!(builder().origin("http://127.0.0.1:8080/v1").build().is_ok());
    }

    #[test]
    fn a_header_that_means_something_else_is_refused() {
        // FD2
        for (name, scheme) in [
            ("host", "Bearer"),
            ("Content-Length", ""),
            ("transfer-encoding", ""),
            ("Content-Encoding", ""),
            ("range", ""),
            ("expect", ""),
            ("DPoP", ""),
            ("", "Bearer"),
            ("x\n", ""),
            ("x-token", "Bearer "),
            ("x-token", "a b"),
            ("x-token", "a\r\nb: c"),
            ("x-token", "\u{e9}"),
        ] {
            assert!(builder().origin("https://a.example").header(name, scheme).build().is_err(), "{name:?} {scheme:?}");
        }
        for (name, scheme) in [("X-Token", ""), ("authorization", ""), ("Proxy-Authorization", "Bearer")] {
            assert!(builder().origin("https://a.example").header(name, scheme).build().is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_builder_is_shown_with_its_origins_and_its_source() {
        let shown = format!("{:?}", builder().origin("https://api.example.com").domain("blob.example.com"));
        for part in ["BearerAuthBuilder {", "https://api.example.com", "blob.example.com", "source: AccessToken {"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        #[cfg(feature = "mtls")]
        assert_eq!(format!("{:?}", crate::bearer::SameCertificate::new(reqwest::Client::builder)), "SameCertificate");
    }
}
