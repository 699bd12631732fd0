//! The server cannot be reached: name, connection, proxy, TLS.

use std::io::ErrorKind;

use url::Url;

use super::super::diagnosis::{Cause, Diagnosis};
use super::super::findings::Findings;
use super::sentence;
use crate::error;

/// `None`: the name was resolved and a connection was accepted, as far as that was tried.
pub(super) fn unreached(findings: &Findings) -> Option<Diagnosis> {
    let url = findings.url();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let unused = findings.unused_proxy.as_deref();
    if let Some(flaw) = &findings.dns {
        let verdict = Diagnosis::of(Cause::Dns, format!("The name {host} cannot be resolved: {flaw}."))
            .advise_all(unused)
            .advise("check the name for a typing mistake")
            .advise("is the name known in this network only by a VPN, or by another DNS server (in a container: its search domains)?");
        return Some(verdict);
    }
    let flaw = findings.connect.as_ref()?;
    if flaw.kind() == ErrorKind::TimedOut {
        let verdict = Diagnosis::of(Cause::Timeout, format!("No connection to {host} in time: {flaw}."))
            .advise_all(unused)
            .advise("a firewall drops the packets: allow connections to this host and port")
            .advise_all(unused.is_none().then_some("or a proxy is needed: set HTTPS_PROXY"));
        return Some(verdict);
    }
    let (cause, what) = match flaw.kind() {
        ErrorKind::ConnectionRefused => (Cause::ConnectionRefused, "accepts no connection"),
        _ => (Cause::Outage, "cannot be reached"),
    };
    let verdict = Diagnosis::of(cause, format!("{host} {what}: {flaw}."))
        .advise_all(unused)
        .advise("check host and port, and whether the server is up")
        .advise("inside a container localhost is the container itself");
    Some(verdict)
}

/// A request failed without a response.
pub(super) fn failed(findings: &Findings, error: &error::Error) -> Diagnosis {
    let text = sentence(error);
    if error.kind() == error::ErrorKind::Tls {
        return not_trusted(findings, text);
    }
    if let Some(verdict) = unreached(findings) {
        return verdict;
    }
    // Of the server, whether by way of a proxy or not.
    if text.contains("does not speak TLS: is the port") {
        return Diagnosis::of(Cause::Tls, text)
            .advise("check scheme and port: is this port one for http://, and https:// at another?");
    }
    if let Some(proxy) = &findings.proxy {
        return of_proxy(text, proxy);
    }
    if text.contains("no complete response within") || text.contains("timed out") {
        return Diagnosis::of(Cause::Timeout, text)
            .advise("the server accepts the connection but does not respond: is it overloaded, or is something else listening there?")
            .advise("raise Limits::attempt_timeout if it is known to be slow");
    }
    if let Some(flaw) = &findings.handshake {
        let summary = format!("The TLS handshake fails: {flaw}.");
        return Diagnosis::of(Cause::Tls, summary).advise("check the port, and the server's log");
    }
    let is_plain = findings.url().is_some_and(|url| url.scheme() == "http");
    Diagnosis::of(Cause::Outage, text)
        .advise_all(is_plain.then_some("the server may expect TLS on this port: then the URL begins with https://"))
        .advise_all(findings.unused_proxy.as_deref())
        .advise("the connection broke: check the server's log and any proxies or firewalls in between")
}

/// `proxy`: which one, and where it is configured. `text` says what failed in the words of `exchange::proxy`.
fn of_proxy(text: String, proxy: &str) -> Diagnosis {
    let says = |words: &str| text.contains(words);
    let advice = if says("(407)") {
        "put user and password before its host, with special characters percent-encoded: http://USER:PASSWORD@HOST:PORT"
    } else if says("the proxy itself could not be reached") {
        "check its host and port, and whether it runs"
    } else if says("refused to connect") || says("did not connect") {
        "have the proxy let this host and port through"
    } else if says("the scheme of the proxy is not supported") {
        "give a proxy of http://, or enable the feature socks of reqwest"
    } else if says("does not speak TLS") {
        "write http:// before its host: the request to the server is encrypted in any case"
    } else {
        "does it run, and does it let this host through?"
    };
    let has_variable = proxy.contains("environment variable");
    Diagnosis::of(Cause::Proxy, text)
        .advise(format!("the proxy {proxy}: {advice}"))
        .advise_all(has_variable.then_some("add the host to NO_PROXY if it is reached directly"))
}

fn not_trusted(findings: &Findings, text: String) -> Diagnosis {
    if let Some(expired) = findings.expired.as_ref().filter(|_| findings.draft.builder.auth.is_mutual_tls()) {
        let summary = format!("The server refuses the client's certificate: {expired}.");
        return Diagnosis::of(Cause::CredentialExpired, summary).advise("renew the certificate");
    }
    let now = findings.draft.now.wall();
    let is_other_name = text.contains("NotValidForName") || text.contains("not valid for name");
    let verdict = Diagnosis::of(Cause::Tls, text);
    match &findings.leaf {
        Some(leaf) if leaf.not_after <= now => verdict
            .advise(format!("the certificate of {} has expired: have it renewed", leaf.subject))
            .advise("or the clock of this machine is wrong"),
        Some(leaf) if leaf.not_before > now => {
            verdict.advise("the certificate is not valid yet: the clock of this machine is behind")
        }
        Some(leaf) if is_other_name => verdict
            .advise(format!("the certificate is of {}, not of this host: use the name that it has", leaf.subject)),
        leaf => {
            let issuer = match leaf {
                Some(leaf) => format!("the certificate was issued by {}", leaf.issuer),
                None => "the issuer is not among the roots of this system".to_owned(),
            };
            verdict
                .advise(format!("{issuer}: if that is the CA of your company, or of a proxy that inspects TLS, add it: http.ca_file, or HttpClient with tls_certs_merge"))
                .advise("in a container: install the package ca-certificates")
        }
    }
}
