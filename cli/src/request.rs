//! One request to the API.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use client_credentials::reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use client_credentials::reqwest::{Certificate, Client, Method, Url, redirect};
use client_credentials::{BearerAuth, ClientCredentials, SameCertificate, Status, TokenState};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

use crate::args::Asked;
use crate::exit::Failure;

pub(crate) async fn send(tokens: &ClientCredentials, asked: &Asked, ca_file: Option<&str>) -> Result<(), Failure> {
    let url = url(&asked.url)?;
    let headers = headers(&asked.headers)?;
    let body = asked.data.as_deref().map(body).transpose()?;
    let default = if body.is_some() { Method::POST } else { Method::GET };
    let method = match &asked.http_method {
        Some(method) => method.parse().map_err(|_| Failure::usage("--request is not an HTTP method"))?,
        None => default,
    };
    let mut request = client(tokens, &url, asked, ca_file)?.request(method, url).headers(headers);
    if let Some(body) = body {
        request = request.body(body);
    }
    let mut response = request.send().await?;
    // The API rejected the token, and there is no new one.
    if let Status { state: TokenState::Empty, last_error: Some(error), .. } = tokens.status() {
        return Err(error.into());
    }
    let status = response.status();
    while let Some(chunk) = response.chunk().await.map_err(|_| Failure::api("the API broke off its response"))? {
        std::io::stdout().write_all(&chunk).map_err(Failure::output)?;
    }
    std::io::stdout().flush().map_err(Failure::output)?;
    match status.as_u16() {
        200..=399 => Ok(()),
        code => Err(Failure::api(format!(
            "the API answered with status {code} (client-credentials diagnose --api URL says more)"
        ))),
    }
}

fn client(
    tokens: &ClientCredentials,
    url: &Url,
    asked: &Asked,
    ca_file: Option<&str>,
) -> Result<ClientWithMiddleware, Failure> {
    let roots = ca_file.map(roots).transpose()?.unwrap_or_default();
    let is_plain = url.scheme() == "http";
    let builder = move || {
        // A redirect could take the token elsewhere.
        let builder = Client::builder().redirect(redirect::Policy::none()).tls_certs_merge(roots.clone());
        // A token that is not encrypted stays on this machine.
        if is_plain { builder.no_proxy() } else { builder }
    };
    let client = builder().build().map_err(|_| Failure::other("the HTTP client cannot be made"))?;
    let bearer = BearerAuth::builder(tokens.clone())
        .origin(origin(&asked.url))
        // The fetch has a limit of its own, and nobody else waits.
        .replacement_timeout(Duration::MAX)
        .build()
        .map_err(|error| match is_plain && !is_local(url) {
            true => Failure::usage("the URL is not https, or http on this machine: the token is not sent there"),
            false => Failure::usage(error.to_string()),
        })?;
    Ok(ClientBuilder::new(client).with(bearer).with(SameCertificate::new(builder)).build())
}

fn roots(path: &str) -> Result<Vec<Certificate>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::usage(format!("http.ca_file cannot be read: {error}")))?;
    Certificate::from_pem_bundle(&bytes).map_err(|_| Failure::usage("http.ca_file has no certificate in PEM"))
}

fn url(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|_| Failure::usage("the URL is not one: give https://host/path"))?;
    match url.username().is_empty() && url.password().is_none() {
        true => Ok(url),
        false => Err(Failure::usage("the URL has user information: the token is the authorization")),
    }
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The origin as it is written: a URL that a parser would repair may be of another host than intended.
fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(authority..).and_then(|rest| rest.find(['/', '?', '#']));
    path.and_then(|path| url.get(..authority + path)).unwrap_or(url)
}

fn headers(all: &[String]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for header in all {
        let flaw = || Failure::usage("--header wants \"name: value\"");
        let (name, value) = header.split_once(':').ok_or_else(flaw)?;
        let name: HeaderName = name.trim().parse().map_err(|_| flaw())?;
        if name == "authorization" || name == "dpop" {
            return Err(Failure::usage("the authorization is the token: leave that header out"));
        }
        if name == "content-length" || name == "transfer-encoding" {
            return Err(Failure::usage("the length is that of the body: leave that header out"));
        }
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| flaw())?);
    }
    Ok(headers)
}

fn body(data: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("the body cannot be read: {error}"));
    match data.strip_prefix('@') {
        None => Ok(data.as_bytes().to_vec()),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(failed)?;
            Ok(bytes)
        }
        Some(path) => std::fs::read(path).map_err(failed),
    }
}
