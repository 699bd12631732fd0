//! From the members to the HTTP client.

#[cfg(feature = "rustls")]
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::reader::Reader;
use crate::client_credentials::HttpClient;
#[cfg(feature = "rustls")]
use crate::credential::read_now;

pub(super) fn http(reader: &mut Reader<'_>) -> Option<HttpClient> {
    let (ca_file, proxy) = (reader.text("http.ca_file"), reader.text("http.proxy"));
    let mut url = None;
    if let Some(proxy) = proxy {
        match url::Url::parse(proxy) {
            Ok(proxy) if !proxy.username().is_empty() || proxy.password().is_some() => {
                reader.fault(
                    "http.proxy has a user or password, which would be a secret in plain text: set HTTPS_PROXY instead",
                );
            }
            Ok(proxy) if proxy.has_host() => url = Some(proxy),
            _ => reader.fault("http.proxy is not a URL: give http://host:port"),
        }
    }
    let ca_file = ca_file.and_then(|path| match certificates(path) {
        Ok(_) => Some(path.to_owned()),
        Err(flaw) => {
            reader.fault(match path {
                "" => "http.ca_file is empty".to_owned(),
                path => format!("http.ca_file {path} {flaw}"),
            });
            None
        }
    });
    (url.is_some() || ca_file.is_some()).then(|| {
        HttpClient::from_reqwest_0_13(move || {
            let mut builder = reqwest::Client::builder();
            if let Some(proxy) = url.as_ref().and_then(|url| reqwest::Proxy::all(url.as_str()).ok()) {
                builder = builder.proxy(proxy);
            }
            match &ca_file {
                Some(path) => trusting(builder, path),
                None => builder,
            }
        })
    })
}

/// The file is read for each new client, since it may have been replaced.
#[cfg(feature = "rustls")]
fn trusting(builder: reqwest::ClientBuilder, path: &str) -> reqwest::ClientBuilder {
    builder.tls_certs_merge(certificates(path).unwrap_or_default())
}

#[cfg(not(feature = "rustls"))]
fn trusting(builder: reqwest::ClientBuilder, _: &str) -> reqwest::ClientBuilder {
    builder
}

#[cfg(feature = "rustls")]
fn certificates(path: &str) -> Result<Vec<reqwest::Certificate>, String> {
    let bytes = read_now(path.as_ref())?;
    let none = || "has no certificate in PEM".to_owned();
    // reqwest does not look into them before the client is made, and then names no file.
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|_| none())?;
        roots.add(certificate).map_err(|flaw| format!("has a certificate that is not usable as a root ({flaw})"))?;
    }
    match reqwest::Certificate::from_pem_bundle(&bytes) {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(none()),
    }
}

#[cfg(not(feature = "rustls"))]
fn certificates(_: &str) -> Result<(), String> {
    Err("needs the feature rustls of client-credentials".to_owned())
}
