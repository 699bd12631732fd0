//! Turns one exchange into one token (RFC 6749 section 4.4).

mod members;
mod quota;
mod refusal;
pub(crate) mod request;
pub(crate) mod response;
mod server_text;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cache::clock::Clock;
use crate::client_auth::{ClientAuth, Evidence};
#[cfg(feature = "dpop")]
use crate::dpop::{DPOP, DpopKey, Role};
use crate::event::event;
use crate::exchange::{Exchange, Peer, Shown};
use crate::metadata::{Endpoint, Found};
use crate::token::{Binding, Holder};
use crate::{AccessToken, Error, ErrorKind, TokenFuture, TokenSource};
#[cfg(any(feature = "jwt", feature = "shared"))]
pub(crate) use members::wipe;
pub(crate) use members::{Flaw, Members};
pub(crate) use quota::Ledger;
pub use quota::{Quota, TokenRequests};
use request::Params;
use response::Rules;
pub(crate) use response::{foreign_encoding, retry_after};
pub(crate) use server_text::Masks;

/// One attempt at the client credentials grant.
pub(crate) struct Grant {
    pub(crate) exchange: Exchange,
    pub(crate) endpoint: Endpoint,
    pub(crate) auth: ClientAuth,
    pub(crate) params: Params,
    pub(crate) rules: Rules,
    /// Tokens are to be bound to it.
    #[cfg(feature = "dpop")]
    pub(crate) dpop: Option<DpopKey>,
    pub(crate) clock: Clock,
    pub(crate) ledger: Arc<Ledger>,
    /// A narrower scope was told once.
    pub(crate) told_scope: AtomicBool,
}

impl Grant {
    /// Asks with one credential after the other while the client is refused, with none twice: a credential may have
    /// been rotated, and one of two may not be active yet, or not any more.
    async fn attempt(&self) -> Result<AccessToken, Error> {
        let found = self.endpoint.find(&self.exchange, &self.auth, &self.clock).await?;
        let mut tried: Vec<Evidence> = Vec::new();
        let (mut unread, mut refused) = (None, None);
        let places = self.auth.places();
        for (n, place) in places.iter().enumerate() {
            // Nothing was refused, so that reading again would only hurry a vault.
            if n > 0 && n + 1 == places.len() && tried.is_empty() {
                break;
            }
            let evidence = match self.auth.read(*place).await {
                Ok(evidence) => evidence,
                Err(error) => {
                    unread.get_or_insert(error);
                    continue;
                }
            };
            if tried.iter().any(|one| one.is(&evidence)) {
                continue;
            }
            match self.ask(&found, &evidence).await {
                Ok(token) => {
                    self.auth.accept(*place);
                    self.tell_narrower_scope(&token);
                    return Ok(token);
                }
                Err(error) if self.is_refused(&error) => refused = Some(error),
                Err(error) => {
                    self.endpoint.failed(&error, self.clock.now());
                    // A refusal weighs more: it is not to be repeated with every attempt of this flight.
                    return Err(refused.unwrap_or(error));
                }
            }
            tried.push(evidence);
        }
        Err(refused.or(unread).unwrap_or_else(|| Error::new(ErrorKind::Credential, "there is no credential")))
    }

    async fn ask(&self, found: &Found, evidence: &Evidence) -> Result<AccessToken, Error> {
        #[cfg(feature = "dpop")]
        if let Some(key) = &self.dpop {
            let binding = key.binding().await?;
            let mut nonce = None;
            return match self.ask_once(found, evidence, Some(&binding), &mut nonce).await {
                // RFC 9449 section 8: once more, with the nonce of that answer, a new assertion and a new proof.
                Err(error) if nonce.is_some() && error.is_oauth("use_dpop_nonce") => {
                    self.ask_once(found, evidence, Some(&binding), &mut nonce).await
                }
                other => other,
            };
        }
        self.ask_once(found, evidence, None, &mut None).await
    }

    /// `nonce` is the one that is demanded, and then that of the answer.
    #[cfg_attr(not(feature = "dpop"), expect(unused_variables, reason = "for DPoP"))]
    async fn ask_once(
        &self,
        found: &Found,
        evidence: &Evidence,
        binding: Option<&Arc<Binding>>,
        nonce: &mut Option<String>,
    ) -> Result<AccessToken, Error> {
        let endpoint = &found.token_endpoint;
        let issuer = found.issuer.as_deref();
        let mut proof = self.auth.prove(evidence, issuer, self.clock.now()).await?;
        let masks = Masks::new(std::mem::take(&mut proof.echoes));
        let params = self.params.with_resource(found.resource.as_deref());
        #[cfg_attr(not(feature = "dpop"), expect(unused_mut, reason = "for DPoP"))]
        let mut request = request::encode(&params, proof);
        #[cfg(feature = "dpop")]
        if let Some(binding) = binding {
            let (role, now) = (Role::Authorization, self.clock.now());
            let proof = binding.proof(role, "POST", endpoint, None, now, nonce.as_deref());
            let proof = proof.await?;
            request.headers.insert(DPOP, proof);
        }
        // The lifetime counts from before the request is sent: the server's count begins later.
        let sent = self.clock.now();
        let peer = Peer { name: "the token endpoint", url: endpoint, identity: evidence.tls_identity() };
        self.ledger.asks();
        let response = self.exchange.send(peer, request).await?;
        self.ledger.hears(&response.headers, &masks);
        #[cfg(feature = "dpop")]
        if let Some(binding) = binding {
            let heard = binding.hear(Role::Authorization, endpoint, &response.headers);
            *nonce = heard.map(Into::into);
        }
        #[cfg(feature = "jwt")]
        if let Some(server_clock) = self.auth.server_clock() {
            server_clock.hear(&response.headers, self.clock.now());
        }
        let holder = Holder { key: binding.cloned(), certificate: evidence.tls_identity().cloned() };
        let now = self.clock.now();
        let decoded = response::decode(response, &self.rules, &masks, holder, sent, now);
        // Which server, and as whom: there may be several.
        decoded.map_err(|error| match self.auth.id() {
            "" => error.at(format_args!("{}, {}", Shown(endpoint), self.auth.name())),
            id => error.at(format_args!("{}, client {id:?}, {}", Shown(endpoint), self.auth.name())),
        })
    }

    /// A mistake in the registration shows as a 403 of the API otherwise, a long way from here.
    fn tell_narrower_scope(&self, token: &AccessToken) {
        let (Some(asked), Some(granted)) = (self.params.scope(), token.scope()) else {
            return;
        };
        let missing = response::not_granted(asked, granted);
        if !missing.is_empty() && !self.told_scope.swap(true, Ordering::Relaxed) {
            event!(warn, missing = %missing.join(" "), "the authorization server granted a narrower scope than asked for");
        }
    }

    /// Whether it was the credential: `invalid_client` (RFC 6749 section 5.2), or a handshake that failed by a
    /// certificate, which may be ours.
    fn is_refused(&self, error: &Error) -> bool {
        let invalid = error.kind() == ErrorKind::Denied && error.is_oauth("invalid_client");
        invalid || (self.auth.is_mutual_tls() && error.kind() == ErrorKind::Tls)
    }
}

#[deny(clippy::missing_trait_methods)]
impl TokenSource for Grant {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.attempt())
    }

    /// It remembers no token, but where it came from.
    fn reject(&self, _: &AccessToken) {
        self.endpoint.refused_by_api(self.clock.now());
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("token_endpoint", &self.endpoint)
            .field("auth", &self.auth)
            .field("scope", &self.params.scope())
            .finish()
    }
}
