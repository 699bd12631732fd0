//! ureq 3, as a middleware of an agent that is for one API.

use client_credentials::blocking::Tokens;
use ureq::http::{Request, Response};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Body, Error, SendBody};

pub struct Bearer(pub Tokens);

impl Middleware for Bearer {
    fn handle(&self, mut request: Request<SendBody>, next: MiddlewareNext) -> Result<Response<Body>, Error> {
        let token = self.0.token().map_err(|error| Error::Other(Box::new(error)))?;
        request.headers_mut().insert("authorization", token.authorization());
        let response = next.handle(request)?;
        if token.is_rejected_by(response.status(), response.headers()) {
            self.0.reject(&token); // the next request gets another one
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::start;

    #[test]
    fn the_request_after_a_401_has_another_token() {
        let (server, tokens) = start();
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent = config.middleware(Bearer(Tokens::new(tokens))).build().new_agent();
        let get = || agent.get(server.api_origin()).call().unwrap().status().as_u16();
        assert_eq!(get(), 200);
        server.revoke_all();
        assert_eq!((get(), get()), (401, 200));
        assert_eq!(server.token_requests(), 2);
    }
}
