//! One hardened round trip: the only place that sends requests to an authorization server.

mod certificate;
mod client;
mod date;
mod hardened;
mod limits;
mod message;
mod partial;
mod proxy;
mod public_only;
mod unpack;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use url::Url;
use zeroize::Zeroizing;

use crate::address::{NamedHosts, NotPublic, Shown};
use crate::clock::Clock;
use crate::error::{Cause, Error, ErrorKind};
use crate::server_text::Masks;
use crate::tls_identity::TlsIdentity;
use certificate::{is_no_tls, tls_failure};
pub(crate) use client::ClientFactory;
use client::Clients;
pub(crate) use date::date;
pub use limits::Limits;
pub(crate) use message::{
    Request, Response, foreign_encoding, is_labelled, is_page, is_reserved, retry_after, server_time, span,
};
pub(crate) use partial::Received;
pub(crate) use proxy::Route;
use proxy::Via;
use unpack::{append, unpacked};

/// Turns one request into one bounded response, or an error.
pub(crate) struct Exchange {
    clients: Clients,
    /// The user's headers. Not a map, which takes more memory even if it is empty.
    headers: Box<[(HeaderName, HeaderValue)]>,
    reach: Reach,
    clock: Clock,
}

/// The limits of an exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    pub(crate) limits: Limits,
    /// Hosts other than these must have public addresses. `None`: no restriction.
    pub(crate) named_hosts: Option<NamedHosts>,
}

/// The server of a request.
#[derive(Clone, Copy)]
pub(crate) struct Peer<'a> {
    /// Its name in errors.
    pub(crate) name: &'static str,
    pub(crate) url: &'a Url,
    /// The client certificate, if it authenticates the client.
    pub(crate) identity: Option<&'a Arc<TlsIdentity>>,
    /// The secrets of the request.
    pub(crate) masks: Option<&'a Masks>,
}

/// Some servers block the default `User-Agent` of a library (Reddit, firewalls).
pub(crate) const AGENT: &str = concat!("client-credentials/", env!("CARGO_PKG_VERSION"));

impl Exchange {
    /// Makes the client for `first`, so that a closure that fails is reported at once. `headers`: the user's, which
    /// replace ours.
    pub(crate) fn new(
        factory: ClientFactory,
        first: &Url,
        headers: &HeaderMap,
        reach: Reach,
        clock: Clock,
    ) -> Result<Self, Error> {
        let clients = Clients::new(factory);
        clients.client(first, None, &reach)?;
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Exchange { clients, headers, reach, clock })
    }

    /// Sends a form.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection. The server may have issued a token, which is lost.
    pub(crate) async fn send(&self, peer: Peer<'_>, request: Request) -> Result<Received, Error> {
        let mut outgoing = reqwest::Request::new(Method::POST, peer.url.clone());
        let headers = outgoing.headers_mut();
        // Without it, GitHub responds with a form.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Without a charset, which some servers refuse. `header()` can add it for servers that require it.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        headers.extend(request.headers);
        *outgoing.body_mut() = Some(Bytes::from_owner(request.body).into());
        self.within_time(peer, outgoing).await
    }

    /// Fetches a public document, without the headers of the token request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection, and nothing is lost.
    pub(crate) async fn fetch(&self, peer: Peer<'_>) -> Result<Received, Error> {
        self.fetch_with(peer, HeaderMap::new()).await
    }

    /// The same with the caller's headers.
    pub(crate) async fn fetch_with(&self, peer: Peer<'_>, extra: HeaderMap) -> Result<Received, Error> {
        let agent = self.headers.iter().find(|(name, _)| name == USER_AGENT);
        let agent = agent.map_or(HeaderValue::from_static(AGENT), |(_, value)| value.clone());
        let mut outgoing = reqwest::Request::new(Method::GET, peer.url.clone());
        let headers = outgoing.headers_mut();
        headers.insert(USER_AGENT, agent);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(extra);
        self.within_time(peer, outgoing).await
    }

    /// How requests to `url` go.
    pub(crate) fn route(&self, url: &Url) -> Result<Route, Error> {
        Ok(self.clients.client(url, None, &self.reach)?.proxies.route(url))
    }

    /// How long one attempt may take.
    pub(crate) fn attempt_timeout(&self) -> Duration {
        self.reach.limits.attempt_timeout
    }

    async fn within_time(&self, peer: Peer<'_>, outgoing: reqwest::Request) -> Result<Received, Error> {
        let named = self.reach.named_hosts.as_ref();
        if let Some(flaw) = named.and_then(|hosts| hosts.flaw(peer.url)) {
            return Err(peer.not_public(&flaw));
        }
        let client = self.clients.client(peer.url, peer.identity, &self.reach)?;
        let route = client.proxies.route(peer.url);
        let limit = self.reach.limits.attempt_timeout;
        let mut refusal = None;
        let round_trip = self.round_trip(peer, &client.http, &route, outgoing, &mut refusal);
        match (tokio::time::timeout(limit, round_trip).await, refusal) {
            (Ok(result), _) => result.inspect_err(|error| {
                if error.kind() == ErrorKind::Tls {
                    self.clients.renew(self.clock.now());
                }
            }),
            (Err(_), Some(response)) => Ok(Received::partial(response, &format!("was not complete within {limit:?}"))),
            (Err(_), None) => {
                let via = match &route {
                    Route::By(via) => format!(", by way of a proxy, {via}"),
                    Route::Direct { unused: Some(why) } => format!("; {why}"),
                    Route::Direct { unused: None } => String::new(),
                };
                Err(peer.transport(format_args!("gave no complete response within {limit:?}{via}")))
            }
        }
    }

    /// `refusal`: a response without a status of success, as far as it was read.
    async fn round_trip(
        &self,
        peer: Peer<'_>,
        client: &reqwest::Client,
        route: &Route,
        outgoing: reqwest::Request,
        refusal: &mut Option<Response>,
    ) -> Result<Received, Error> {
        let largest = self.reach.limits.max_response_bytes;
        let failed = |what: &str, e| peer.failed(what, route, e);
        let unanswered = |e: reqwest::Error| {
            let what = if e.is_connect() { "could not be reached" } else { "was reached, but gave no valid response" };
            failed(what, e)
        };
        let mut incoming = client.execute(outgoing).await.map_err(unanswered)?;
        let status = incoming.status();
        // A body without a length, whose completeness cannot be checked.
        if incoming.version() == Version::HTTP_09 {
            return Err(peer.transport("does not speak HTTP"));
        }
        if !status.is_success() {
            return Ok(Received::refusal(incoming, largest, peer.masks, refusal).await);
        }
        if is_ambiguous(incoming.headers()) {
            return Err(peer.transport(format_args!("sent {AMBIGUOUS}")));
        }
        // Refused before a byte of it is read.
        let announced = incoming.content_length().unwrap_or(0);
        let announced = usize::try_from(announced).ok().filter(|n| *n <= largest);
        let announced = announced.ok_or_else(|| peer.too_large(status, largest))?;
        let mut body = Zeroizing::new(Vec::with_capacity(announced));
        while let Some(chunk) = incoming.chunk().await.map_err(|e| failed("broke off its response", e))? {
            if chunk.len() > largest.saturating_sub(body.len()) {
                return Err(peer.too_large(status, largest));
            }
            append(&mut body, &chunk);
        }
        let mut headers = std::mem::take(incoming.headers_mut());
        match unpacked(&mut headers, body, largest) {
            Ok(body) => Ok(Received::complete(Response { status, headers, body })),
            Err(unpack::Flaw::TooLarge) => Err(peer.too_large(status, largest)),
            Err(unpack::Flaw::Broken) => {
                let text = format!("{} at {} encoded its response, which is damaged", peer.name, Shown(peer.url));
                Err(Error::of(ErrorKind::Response, text).transient().with_status(status))
            }
        }
    }
}

/// With both headers, the end of the body is ambiguous, and a proxy may see another one.
fn is_ambiguous(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING)
}

const AMBIGUOUS: &str = "both a length and a transfer encoding (RFC 9112 section 6.3)";

impl Peer<'_> {
    fn transport(&self, what: impl fmt::Display) -> Error {
        Error::of(ErrorKind::Transport, format!("{} at {} {what}", self.name, Shown(self.url))).transient()
    }

    /// Does not rely on reqwest's own classes of errors: every failure here is one of TLS or of the transport.
    fn failed(&self, what: &str, route: &Route, e: reqwest::Error) -> Error {
        if let Some(flaw) = NotPublic::find(&e) {
            return self.not_public(flaw);
        }
        let server = self.url.host_str().unwrap_or_default();
        let (proxy, via) = match route {
            Route::By(via) => {
                (Some(via).filter(|_| Via::has_failed_itself(&e)), format!(" ({})", via.blame(&e, server)))
            }
            Route::Direct { unused: Some(why) } => (None, format!("; {why}")),
            Route::Direct { unused: None } => (None, String::new()),
        };
        let here = format!("{} at {}", self.name, Shown(self.url));
        let peer = proxy.map_or_else(|| here.clone(), |proxy| format!("the proxy {proxy}"));
        let error = match (tls_failure(&e, &peer), proxy) {
            (Some(failure), Some(_)) => Error::of(ErrorKind::Tls, format!("{here} was not asked: {failure}")),
            (None, Some(proxy)) if is_no_tls(&e) => self
                .transport(format_args!("was not asked: the proxy {proxy} does not speak TLS, is it one of http://?")),
            (Some(failure), None) => Error::of(ErrorKind::Tls, format!("{failure}{via}")),
            (None, None) if is_no_tls(&e) => {
                self.transport(format_args!("does not speak TLS: is the port one for plain http?{via}"))
            }
            (None, None) if says(&e, LARGE_HEAD) => {
                self.transport(format_args!("was reached, but sent too many headers, or too large ones{via}"))
            }
            // The connection was accepted, and ended without a response: a server that expects TLS does so. An error of
            // the body is not an error of the request.
            (None, None)
                if self.url.scheme() == "http"
                    && e.is_request()
                    && !e.is_connect()
                    && !e.is_timeout()
                    && !BAD_HEADS.iter().any(|head| says(&e, head)) =>
            {
                self.transport(format_args!("{what}; is the port one for https?{via}"))
            }
            (None, _) => self.transport(format_args!("{what}{via}")),
        };
        error.because_of(cause(e, self.masks))
    }

    fn not_public(&self, flaw: &NotPublic) -> Error {
        let text = format!("{} at {} {flaw}", self.name, Shown(self.url));
        Error::of(ErrorKind::Response, text)
    }

    fn too_large(&self, status: StatusCode, largest: usize) -> Error {
        let text = format!("the response of {} is larger than {largest} bytes", self.name);
        Error::of(ErrorKind::Response, text).with_status(status)
    }
}

/// More than 100 headers, or about 400 kB, in the words of hyper, whose error type cannot be named here.
const LARGE_HEAD: &str = "message head is too large";

/// A head that begins as one of HTTP, in the words of hyper.
const BAD_HEADS: [&str; 4] =
    ["HTTP status-code parsed", "HTTP header parsed", "content-length parsed", "transfer-encoding parsed"];

/// Whether a cause of the error has these words.
fn says(e: &dyn std::error::Error, words: &str) -> bool {
    e.to_string().contains(words) || e.source().is_some_and(|e| says(e, words))
}

/// The chain of a reqwest error as text without URLs, whose query may be secret. It may quote the server (the debug data of
/// HTTP/2's GOAWAY).
fn cause(e: reqwest::Error, masks: Option<&Masks>) -> Cause {
    let e = e.without_url();
    Cause::of(&e, &|text| match masks.filter(|masks| masks.hide(text)) {
        Some(masks) => masks.clean(text, LONGEST_CAUSE),
        None => text.chars().filter(|c| !c.is_control()).take(LONGEST_CAUSE).collect(),
    })
}

/// 256: one long sentence, as HTTP and TLS libraries write them.
const LONGEST_CAUSE: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[tokio::test]
    async fn only_http_1_is_a_response() {
        // T20: a bare body, whose completeness cannot be checked.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(br#"{"access_token":"t","token_type":"Bearer"}"#);
            }
        });
        let url = Url::parse(&endpoint).unwrap();
        let factory = ClientFactory::new(|| reqwest::Client::builder().http09_responses());
        let exchange = Exchange::new(factory, &url, &HeaderMap::new(), Reach::default(), Clock::System).unwrap();
        let request = Request { headers: HeaderMap::new(), body: Zeroizing::new(b"a=b".to_vec()) };
        let peer = Peer { name: "the token endpoint", url: &url, identity: None, masks: None };
        assert!(exchange.send(peer, request).await.is_err());
    }

    #[cfg(feature = "rustls")]
    #[tokio::test]
    async fn what_a_cause_quotes_has_no_secret() {
        // L13: a resolver in place of a server, whose text hyper quotes as well.
        struct Quoting;
        impl reqwest::dns::Resolve for Quoting {
            fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
                let padding = "x".repeat(300);
                let text = format!("it says \"no\"\u{7}: you sent Zq8%2Dwk7_Lp3~x9Vt.R2m, which is wrong {padding}");
                Box::pin(async { Err(text.into()) })
            }
        }
        let url = Url::parse("https://auth.example/token").unwrap();
        let factory = ClientFactory::new(|| reqwest::Client::builder().no_proxy().dns_resolver(Quoting));
        let exchange = Exchange::new(factory, &url, &HeaderMap::new(), Reach::default(), Clock::System).unwrap();
        let masks = Masks::new(vec!["Zq8-wk7_Lp3~x9Vt.R2m".into()]);
        let others = Masks::new(vec!["another-secret-7".into()]);
        for (masks, shown) in [
            (Some(&masks), "it says no: you sent ***, which is wrong"),
            (Some(&others), "it says \"no\": you sent Zq8%2Dwk7_Lp3"),
            (None, "it says \"no\": you sent Zq8%2Dwk7_Lp3"),
        ] {
            let request = Request { headers: HeaderMap::new(), body: Zeroizing::new(b"a=b".to_vec()) };
            let peer = Peer { name: "the token endpoint", url: &url, identity: None, masks };
            let Err(error) = exchange.send(peer, request).await else { panic!("it has no address") };
            let debug = format!("{error:?}").replace("\\\"", "\"");
            for text in [format!("{error:#}"), debug] {
                assert!(text.contains(shown), "{text}");
                assert!(!text.contains(&"x".repeat(256)), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn a_private_address_that_the_user_did_not_name_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = Url::parse(&format!("http://{}/token", listener.local_addr().unwrap())).unwrap();
        let factory = ClientFactory::new(|| reqwest::Client::builder().no_proxy());
        let named_hosts = Some(NamedHosts::new(["auth.example".to_owned()]));
        let reach = Reach { named_hosts, ..Reach::default() };
        let exchange = Exchange::new(factory, &url, &HeaderMap::new(), reach, Clock::System).unwrap();
        let peer = Peer { name: "the token endpoint", url: &url, identity: None, masks: None };
        let Err(error) = exchange.fetch(peer).await else { panic!("it has a private address") };
        assert_eq!(error.kind(), ErrorKind::Response);
        assert!(error.to_string().contains("127.0.0.1, which is not a public address"), "{error}");
        assert!(listener.accept().is_err(), "no connection was made");
    }
}
