//! The HTTP client: the user's builder, finished by this crate so that it cannot be weakened.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::client::Way;
use super::proxy::lists_proxies;
use super::public_only::PublicOnly;

/// Finishes the user's builder. Proxies, roots, DNS and identity are the user's; the settings here cannot be
/// overridden.
pub(super) fn hardened(builder: reqwest::ClientBuilder, way: &Way) -> reqwest::ClientBuilder {
    let Way { https, loopback, connect_timeout, attempt_timeout, .. } = *way;
    let mut builder = builder
        // A redirect would replay the secret to another server.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // This crate counts its own retries; those of reqwest would be hidden.
        .retry(reqwest::retry::never())
        // A fetch is rare, and a pooled connection belongs to a runtime that may be idle or gone.
        .pool_max_idle_per_host(0)
        // Decompression bombs.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        // It would log secrets.
        .connection_verbose(false)
        .connect_timeout(connect_timeout.min(LONGEST_TIMEOUT))
        // In case our own timeout fails, whose error is more precise.
        .read_timeout(attempt_timeout.saturating_mul(2).min(LONGEST_TIMEOUT))
        .timeout(attempt_timeout.saturating_mul(2).min(LONGEST_TIMEOUT))
        .https_only(https);
    // A proxy of the environment would see a plain request with its secret, and is never intended for loopback. A proxy
    // that the closure sets is used, except for plain http that is allowed only because it does not leave this machine.
    let is_meant = lists_proxies(&format!("{builder:?}")) && (https || !loopback);
    if !is_meant && (!https || loopback) {
        builder = builder.no_proxy();
    }
    // Whatever the resolver returns: requests without TLS stay on this machine.
    if !https {
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        builder = builder.resolve_to_addrs("localhost", &loopback.map(|address| SocketAddr::new(address, 0)));
    }
    // The user's overrides (`resolve`) take precedence: the user named these addresses.
    if let Some(host) = way.public_host.clone() {
        builder = builder.dns_resolver(PublicOnly { host });
    }
    #[cfg(feature = "rustls")]
    let builder = builder
        .tls_danger_accept_invalid_certs(false)
        .tls_danger_accept_invalid_hostnames(false)
        // With the session keys the secret could be read from a recording. rustls has no version below 1.2, and a stricter
        // choice of the user remains.
        .tls_sslkeylogfile(false);
    builder
}

/// A year: reqwest adds timeouts to an `Instant`, which panics on overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 86_400);

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::Reach;
    use super::*;

    fn shown(http_client: fn() -> reqwest::ClientBuilder) -> String {
        shown_for("https://auth.example.com/token", http_client)
    }

    fn shown_for(endpoint: &str, http_client: fn() -> reqwest::ClientBuilder) -> String {
        let endpoint = Url::parse(endpoint).unwrap();
        format!("{:?}", hardened(http_client(), &Way::to(&endpoint, &Reach::default())))
    }

    #[test]
    fn a_proxy_that_the_user_names_is_kept_where_the_secret_may_pass_it() {
        // FE5
        for (endpoint, kept) in [
            ("https://auth.example.com/token", true),
            ("http://keycloak/token", true),
            ("https://localhost/token", true),
            ("http://localhost/token", false),
            ("http://127.0.0.1/token", false),
        ] {
            let text = shown_for(endpoint, || {
                reqwest::Client::builder().proxy(reqwest::Proxy::all("http://proxy.corp:3128").unwrap())
            });
            assert_eq!(text.contains("proxy.corp"), kept, "{endpoint}");
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn a_stricter_tls_version_of_the_user_is_kept() {
        let text = shown(|| reqwest::Client::builder().tls_version_min(reqwest::tls::Version::TLS_1_3));
        assert!(!text.contains("Tls1_2") && !text.contains("TLS_1_2"), "{text}");
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn no_tls_keys_are_logged() {
        let text = shown(|| reqwest::Client::builder().tls_sslkeylogfile(true));
        assert!(!text.contains("tls_sslkeylogfile: true"), "{text}");
    }

    #[test]
    fn lenient_settings_of_the_user_are_kept() {
        // FE5
        let strict = shown(reqwest::Client::builder);
        for (name, lenient) in [
            ("spaces", shown(|| reqwest::Client::builder().http1_allow_spaces_after_header_name_in_responses(true))),
            ("folding", shown(|| reqwest::Client::builder().http1_allow_obsolete_multiline_headers_in_responses(true))),
            ("invalid headers", shown(|| reqwest::Client::builder().http1_ignore_invalid_headers_in_responses(true))),
        ] {
            assert_ne!(strict, lenient, "{name}");
        }
    }
}
