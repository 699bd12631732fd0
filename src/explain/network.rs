//! The connection to the server, one step at a time: proxy, name, connection, certificate.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use url::Url;

use super::diagnosis::Outcome;
use super::findings::Findings;
use super::steps::Steps;
use crate::exchange::Route;
use crate::server_text::shown;

/// The steps proxy, name, connection and certificate. `route`: how requests go to `url`.
pub(super) async fn reach(findings: &mut Findings, steps: &mut Steps<'_>, url: &Url, route: Route, limit: Duration) {
    match route {
        Route::By(via) => {
            steps.add("proxy", Outcome::Fine, vec![format!("{via}: the proxy resolves and connects")]);
            findings.proxy = Some(via.to_string());
            return;
        }
        Route::Direct { unused: Some(why) } => {
            steps.add("proxy", Outcome::Suspicious, vec![why.clone()]);
            findings.unused_proxy = Some(why);
        }
        Route::Direct { unused: None } => steps.add("proxy", Outcome::Fine, vec!["none for this host".to_owned()]),
    }
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

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let flaw = connect(&[address], Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(flaw.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn the_first_address_that_accepts_is_taken() {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, two, three) = (listen(), listen(), listen());
        let [open, other, closed] = [&one, &two, &three].map(|listener| listener.local_addr().unwrap());
        drop(three);
        for addresses in [[open, other, closed], [open, closed, closed], [closed, closed, open], [closed, open, other]]
        {
            let stream = connect(&addresses, Duration::from_secs(60)).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open, "{addresses:?}");
        }
        let flaw = connect(&[closed], Duration::from_secs(60)).await.unwrap_err().to_string();
        assert!(flaw.starts_with(&format!("{closed}: ")), "{flaw}");
        let flaw = connect(&[], Duration::from_secs(60)).await.unwrap_err().to_string();
        assert_eq!(flaw, "there is no address");
    }

    #[test]
    fn the_host_of_an_address_has_no_brackets() {
        for (url, host) in [("http://[::1]:80/t", "::1"), ("http://127.0.0.1/t", "127.0.0.1"), ("http://a/t", "a")] {
            assert_eq!(bare_host(&Url::parse(url).unwrap()), host);
        }
    }

    #[tokio::test]
    async fn a_proxy_that_is_not_used_is_a_suspicious_step() {
        use crate::client_auth::ClientAuth;
        use crate::client_credentials::ClientCredentials;
        for (unused, outcome, told) in [
            (Some("NO_PROXY has this host"), Outcome::Suspicious, "NO_PROXY has this host"),
            (None, Outcome::Fine, "none for this host"),
        ] {
            let builder = ClientCredentials::builder("http://127.0.0.1:9/token", ClientAuth::none("billing"));
            let (mut findings, mut steps) = (Findings::new(builder.draft()), Steps::new(None));
            let route = Route::Direct { unused: unused.map(str::to_owned) };
            let url = findings.url().unwrap();
            reach(&mut findings, &mut steps, &url, route, Duration::from_secs(60)).await;
            let step = &steps.all[0];
            assert_eq!((step.name, step.outcome, step.details.join("; ").as_str()), ("proxy", outcome, told));
            assert_eq!(findings.unused_proxy.as_deref(), unused);
        }
    }
}
