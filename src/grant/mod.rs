//! Turns one exchange into one token (RFC 6749 section 4.4).

mod members;
pub(crate) mod request;
pub(crate) mod response;
mod server_text;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::cache::clock::Clock;
use crate::client_auth::ClientAuth;
use crate::exchange::Exchange;
use crate::{AccessToken, Error, TokenFuture, TokenSource};
use request::Params;
use response::Rules;
use server_text::Masks;

/// One attempt at the client credentials grant.
pub(crate) struct Grant {
    pub(crate) exchange: Exchange,
    pub(crate) auth: ClientAuth,
    pub(crate) params: Params,
    pub(crate) rules: Rules,
    pub(crate) clock: Clock,
}

impl Grant {
    async fn attempt(&self) -> Result<AccessToken, Error> {
        let secret = self.auth.secret().await?;
        let refused = match self.ask(secret.as_ref()).await {
            Err(error)
                if error
                    .oauth()
                    .is_some_and(|oauth| oauth.code() == "invalid_client") =>
            {
                error
            }
            other => return other,
        };
        // The secret may have been rotated between our reading it and the server's looking at it.
        match self.auth.secret().await {
            Ok(again) if !same(again.as_ref(), secret.as_ref()) => self.ask(again.as_ref()).await,
            _ => Err(refused),
        }
    }

    async fn ask(&self, secret: Option<&SecretString>) -> Result<AccessToken, Error> {
        let request = request::encode(&self.params, self.auth.prove(secret)?);
        // The lifetime counts from before the request is sent: the server's count begins later.
        let sent = self.clock.now();
        let response = self.exchange.send(request).await?;
        let masks = Masks::new(self.auth.echoes(secret));
        response::decode(response, &self.rules, &masks, sent, self.clock.now())
    }
}

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(ExposeSecret::expose_secret) == other.map(ExposeSecret::expose_secret)
}

#[deny(clippy::missing_trait_methods)]
impl TokenSource for Grant {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.attempt())
    }

    /// It remembers no token.
    fn reject(&self, _: &AccessToken) {}
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("token_endpoint", &self.exchange)
            .field("auth", &self.auth)
            .field("scope", &self.params.scope())
            .finish()
    }
}
