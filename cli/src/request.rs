//! One request to the API.

use std::io::{Read, Write};

use client_credentials::reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use client_credentials::reqwest::{Certificate, Client, Method, Response, Url, redirect};
use client_credentials::{AccessToken, ClientCredentials, Retry};

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
    // A redirect could take the token elsewhere.
    let mut client = Client::builder().redirect(redirect::Policy::none());
    if let Some(path) = ca_file {
        let bytes =
            std::fs::read(path).map_err(|error| Failure::usage(format!("http.ca_file cannot be read: {error}")))?;
        let all = Certificate::from_pem_bundle(&bytes)
            .map_err(|_| Failure::usage("http.ca_file has no certificate in PEM"))?;
        client = client.tls_certs_merge(all);
    }
    let client = client.build().map_err(|_| Failure::other("the HTTP client cannot be made"))?;
    let mut token = tokens.token().await?;
    let once = async |token: &AccessToken| -> Result<Response, Failure> {
        let ours = token.request_headers(&method, url.as_str()).await?;
        let mut request = client.request(method.clone(), url.clone()).headers(headers.clone()).headers(ours);
        if let Some(body) = &body {
            request = request.body(body.clone());
        }
        request
            .send()
            .await
            .map_err(|error| Failure::api(format!("the API cannot be reached: {}", chain(&error.without_url()))))
    };
    let mut response = once(&token).await?;
    if token.observe(url.as_str(), response.headers()) == Retry::WithNonce {
        response = once(&token).await?;
    } else if response.status() == 401 {
        // A token that was kept may have been revoked.
        tokens.reject(&token);
        token = tokens.token().await?;
        response = once(&token).await?;
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

fn url(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|_| Failure::usage("the URL is not one: give https://host/path"))?;
    let host = url.host_str().unwrap_or_default();
    let is_here =
        matches!(host, "localhost" | "[::1]") || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("the URL has user information: the token is the authorization"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err(Failure::usage("the URL is not https: the token would be readable on the way")),
    }
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
