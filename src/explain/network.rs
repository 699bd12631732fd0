//! The connection to the server, one step at a time: proxy, name, connection, certificate.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use tokio::net::TcpStream;
use url::Url;

use super::diagnosis::Outcome;
use super::findings::Findings;
use super::steps::Steps;
use crate::address::is_loopback;
use crate::server_text::shown;

/// The steps proxy, name, connection and certificate.
pub(super) async fn reach(findings: &mut Findings, steps: &mut Steps<'_>, url: &Url, limit: Duration) {
    findings.proxy = env_proxy(url, |name| std::env::var(name).ok());
    if let Some(proxy) = &findings.proxy {
        let line = format!("{} names {}: the proxy resolves and connects", proxy.variable, proxy.shown);
        steps.add("proxy", Outcome::Fine, vec![line]);
        return;
    }
    steps.add("proxy", Outcome::Fine, vec!["none in the environment".to_owned()]);
    let addresses = match resolve(url, limit).await {
        Ok(addresses) => addresses,
        Err(flaw) => {
            steps.add("name", Outcome::Failed, vec![format!("{}: {flaw}", url.host_str().unwrap_or_default())]);
            findings.dns = Some(flaw);
            return;
        }
    };
    let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    steps.add("name", Outcome::Fine, vec![format!("{}: {}", url.host_str().unwrap_or_default(), list.join(", "))]);
    let stream = match connect(&addresses, limit).await {
        Ok(stream) => stream,
        Err(flaw) => {
            steps.add("connection", Outcome::Failed, vec![flaw.to_string()]);
            findings.connect = Some(flaw);
            return;
        }
    };
    let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    steps.add("connection", Outcome::Fine, vec![peer]);
    certificate(findings, steps, url, stream, limit).await;
}

#[cfg(feature = "rustls")]
async fn certificate(findings: &mut Findings, steps: &mut Steps<'_>, url: &Url, stream: TcpStream, limit: Duration) {
    if url.scheme() != "https" {
        steps.add("TLS", Outcome::Skipped, vec!["plain http".to_owned()]);
        return;
    }
    let now = findings.draft.now.wall();
    match super::tls::handshake(url, stream, limit).await {
        Err(flaw) => {
            steps.add("TLS", Outcome::Failed, vec![flaw.clone()]);
            findings.handshake = Some(flaw);
        }
        Ok(shown) => {
            let mut lines = vec![format!("{}, {} certificate(s)", shown.protocol, shown.chain)];
            let mut outcome = Outcome::Fine;
            if let Some(leaf) = &shown.leaf {
                lines.push(format!("of {}, issued by {}", leaf.subject, leaf.issuer));
                lines.push(format!("valid until {}", super::claims::relative(leaf.not_after, now)));
                if leaf.not_after <= now || leaf.not_before > now {
                    outcome = Outcome::Suspicious;
                }
            }
            steps.add("TLS", outcome, lines);
            findings.leaf = shown.leaf;
        }
    }
}

#[cfg(not(feature = "rustls"))]
#[expect(clippy::unused_async, reason = "for rustls")]
async fn certificate(_: &mut Findings, steps: &mut Steps<'_>, _: &Url, _: TcpStream, _: Duration) {
    steps.add("TLS", Outcome::Skipped, vec!["needs the feature rustls".to_owned()]);
}

/// A proxy of the environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EnvProxy {
    pub(super) variable: &'static str,
    /// Without user information.
    pub(super) shown: String,
}

/// The proxy that the environment names for this URL, by the rules of reqwest. A proxy that the program configures is
/// not found here.
fn env_proxy(url: &Url, var: impl Fn(&'static str) -> Option<String>) -> Option<EnvProxy> {
    // This crate uses none for plain http and loopback.
    if url.scheme() != "https" || is_loopback(url) {
        return None;
    }
    let set = |name| var(name).filter(|value: &String| !value.trim().is_empty()).map(|value| (name, value));
    let first = |names: [&'static str; 2]| names.into_iter().find_map(set);
    let (variable, value) = first(["HTTPS_PROXY", "https_proxy"]).or_else(|| first(["ALL_PROXY", "all_proxy"]))?;
    let except = first(["NO_PROXY", "no_proxy"]).map(|(_, list)| list).unwrap_or_default();
    let matcher = Matcher::builder().https(value.as_str()).no(except).build();
    matcher.intercept(&url.as_str().parse().ok()?)?;
    Some(EnvProxy { variable, shown: shown(value.rsplit_once('@').map_or(&*value, |(_, host)| host)) })
}

async fn resolve(url: &Url, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = (bare_host(url), url.port_or_known_default().unwrap_or(443));
    match tokio::time::timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses.take(MOST).collect();
            if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => Err(shown(&error.to_string())),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

/// Connects to the first address that accepts.
async fn connect(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let all = async {
        let mut result = Err(io::Error::other("there is no address"));
        for address in addresses {
            let connected = TcpStream::connect(address).await;
            result = connected.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")));
            if result.is_ok() {
                break;
            }
        }
        result
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"));
    tokio::time::timeout(limit, all).await.unwrap_or_else(|_| Err(late()))
}

/// An IPv6 address without its brackets.
pub(super) fn bare_host(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// More addresses are not tried.
const MOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, vars: &'static [(&'static str, &'static str)]) -> Option<(&'static str, String)> {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        env_proxy(&Url::parse(url).unwrap(), var).map(|proxy| (proxy.variable, proxy.shown))
    }

    #[test]
    fn the_variable_that_decides_is_named_and_no_password_is_shown() {
        let both = &[("HTTPS_PROXY", "http://user:hush@proxy:3128"), ("ALL_PROXY", "socks5://other")];
        assert_eq!(proxy("https://a.example/t", both), Some(("HTTPS_PROXY", "proxy:3128".into())));
        assert_eq!(proxy("https://a.example/t", &[("all_proxy", "http://p")]), Some(("all_proxy", "http://p".into())));
        for (url, except) in [
            ("https://a.example/t", &[("https_proxy", "p"), ("no_proxy", "x, .example")]),
            ("https://a.example/t", &[("https_proxy", "p"), ("NO_PROXY", "*")]),
            ("https://a.example/t", &[("https_proxy", "p"), ("NO_PROXY", "a.example")]),
            ("http://a.example/t", &[("https_proxy", "p"), ("NO_PROXY", "")]),
            ("https://127.0.0.1/t", &[("https_proxy", "p"), ("NO_PROXY", "")]),
        ] {
            assert_eq!(proxy(url, except), None, "{url} {except:?}");
        }
        assert!(proxy("https://ba.example", &[("https_proxy", "p"), ("no_proxy", "a.example")]).is_some());
    }

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let flaw = connect(&[address], Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(flaw.kind(), io::ErrorKind::ConnectionRefused);
    }
}
