//! `reqwest::blocking`.

use client_credentials::AccessToken;
use client_credentials::blocking::Tokens;
use reqwest::blocking::{Client, Response};

pub fn get(http: &Client, tokens: &Tokens, url: &str) -> Result<Response, Box<dyn std::error::Error>> {
    let send = |token: &AccessToken| http.get(url).header("authorization", token.authorization()).send();
    let token = tokens.token()?;
    let response = send(&token)?;
    if !token.is_rejected_by(response.status(), response.headers()) {
        return Ok(response);
    }
    tokens.reject(&token);
    Ok(send(&tokens.token()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::start;

    #[test]
    fn a_request_whose_token_was_revoked_is_repeated() {
        let (server, tokens) = start();
        let (http, tokens) = (Client::new(), Tokens::new(tokens));
        for _ in 0..2 {
            assert_eq!(get(&http, &tokens, server.api_origin()).unwrap().status(), 200);
            server.revoke_all();
        }
        assert_eq!((server.token_requests(), server.api_requests()), (2, 3));
    }
}
