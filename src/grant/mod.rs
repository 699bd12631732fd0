//! One token request and its token (RFC 6749 section 4.4).

mod advice;
pub(crate) mod code;
mod hidden;
mod lifetime;
mod page;
mod quota;
mod quoting;
mod refusal;
pub(crate) mod request;
pub(crate) mod response;
mod said;
mod secret_params;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use secrecy::ExposeSecret;
use url::Url;

use crate::address::Shown;
use crate::client_auth::{ClientAuth, Evidence, Recipient};
use crate::clock::Clock;
use crate::credential;
#[cfg(feature = "dpop")]
use crate::dpop::DpopKey;
use crate::error::{Error, ErrorKind, Look};
use crate::event::event;
use crate::exchange::{Exchange, Peer, Received};
use crate::future::TokenFuture;
use crate::metadata::{Endpoint, Found};
use crate::observer::{CredentialKind, Event, Observers};
use crate::once::Once;
use crate::possession::{Possession, Proving, Role};
use crate::server_text::Masks;
use crate::source::TokenSource;
use crate::token::{AccessToken, Holder};
use advice::{Known, advice};
pub(crate) use quota::Ledger;
pub use quota::Quota;
use refusal::{is_of_the_credential, says};
use request::Params;
use response::{Reading, Rules};
pub(crate) use secret_params::SecretParams;
use secret_params::{Secrets, same};

/// One attempt at the client credentials grant.
pub(crate) struct Grant {
    pub(crate) exchange: Exchange,
    pub(crate) endpoint: Endpoint,
    pub(crate) auth: ClientAuth,
    pub(crate) params: Params,
    pub(crate) secrets: SecretParams,
    /// Whether the body is JSON instead of a form.
    pub(crate) json_body: bool,
    pub(crate) rules: Rules,
    /// The key that tokens are bound to.
    #[cfg(feature = "dpop")]
    pub(crate) dpop: Option<DpopKey>,
    /// Whether tokens are bound to a key, or to the client's certificate.
    pub(crate) is_bound: bool,
    pub(crate) clock: Clock,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) observers: Observers,
    /// Whether a narrower scope was reported.
    pub(crate) narrower: Once,
    /// Whether it was reported that the metadata does not list the client's method.
    pub(crate) unlisted: Once,
}

/// One request: its endpoint, its parameters, the credentials, and the key to bind the token to.
#[derive(Clone, Copy)]
struct Asking<'a> {
    found: &'a Found,
    params: &'a Params,
    evidence: &'a Evidence,
    secrets: &'a Secrets,
    key: Option<&'a Arc<dyn Possession>>,
}

impl Grant {
    /// Also requests the scopes that the API requires, and leaves out those that the server refuses, so that the client
    /// keeps what was granted before.
    async fn attempt(&self) -> Result<AccessToken, Error> {
        let found = self.endpoint.find(&self.exchange, &self.clock).await?;
        // Not an error: real lists may be wrong, and a forged list must not cause a weaker method.
        if found.lacks(&self.auth.registered_names()) && self.unlisted.first() {
            event!(
                warn,
                source = self.observers.name(),
                issuer = found.issuer.as_deref().map(tracing::field::display),
                method = self.auth.name(),
                "the authorization server's metadata does not list the client's authentication method: it is used anyway"
            );
        }
        let Some(demands) = &self.rules.demands else {
            return self.attempt_for(&found, &self.params_for(&found, &[])).await;
        };
        let additions = demands.additions();
        let mut rest = additions.list.iter().peekable();
        let mut at_once = true;
        while let Some(added) = rest.next() {
            match (self.attempt_for(&found, &self.params_for(&found, added)).await, rest.peek()) {
                (Ok(token), _) => {
                    demands.accepted(added, at_once);
                    return Ok(token);
                }
                (Err(error), Some(left)) if self.may_be_of_the_scope(&error) => {
                    let _scope = demands.refused(added, left);
                    at_once = false;
                    event!(warn, source = self.observers.name(), scope = %_scope, %error, "the authorization server refuses the scope that the API requires: tokens are requested without it");
                }
                // Some servers use the code of the assertion for a scope, too. The assertion is not sent again at once.
                (Err(error), Some(left)) if self.is_of_the_assertion(&error) => {
                    demands.given_up(added, left);
                    return Err(error);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Err(Error::other("there is nothing to ask for"))
    }

    /// The parameters of this attempt: the configured scope, or that of the API's metadata, and the scopes that the API
    /// has required since.
    fn params_for(&self, found: &Found, added: &[String]) -> Cow<'_, Params> {
        let base = self.params.scope().or(found.scope.as_deref());
        if added.is_empty() && base == self.params.scope() {
            return Cow::Borrowed(&self.params);
        }
        let scope = base.into_iter().chain(added.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        Cow::Owned(self.params.with_scope(&scope))
    }

    /// Tries the credentials in order while the client is refused, none of them twice: a credential may have been
    /// rotated, and one of two may not be active yet, or not any more.
    async fn attempt_for(&self, found: &Found, params: &Params) -> Result<AccessToken, Error> {
        let mut tried: Vec<Evidence> = Vec::new();
        let (mut unread, mut refused) = (None, None);
        let places = self.auth.places();
        for (n, place) in places.iter().enumerate() {
            // No credential was refused, so it is not read again.
            if n > 0 && n + 1 == places.len() && tried.is_empty() {
                break;
            }
            let evidence = match self.auth.read(*place, self.clock.now()).await {
                Ok(evidence) => evidence,
                Err(error) => {
                    unread.get_or_insert(error.at(&self.context(&found.token_endpoint)));
                    continue;
                }
            };
            if tried.iter().any(|one| one.is(&evidence)) {
                continue;
            }
            if let Some((credential, expiry)) = self.auth.expiry(&evidence) {
                self.report_expiry(credential, expiry);
            }
            let result = self.ask(found, params, &evidence).await;
            match result.map_err(|error| self.explained(error, found, params, &evidence)) {
                Ok(token) => {
                    self.auth.accept(*place, &evidence);
                    self.report_narrower_scope(params, &token);
                    return Ok(token);
                }
                Err(error) if self.is_refused(&error) => {
                    self.auth.refuse(*place, &evidence);
                    refused = Some(error);
                }
                Err(error) => {
                    self.endpoint.failed(&error, self.clock.now());
                    // A refusal takes precedence: it must not be repeated with every attempt of this fetch.
                    return Err(refused.unwrap_or(error));
                }
            }
            tried.push(evidence);
        }
        let error = refused.or(unread).unwrap_or_else(|| Error::of(ErrorKind::Credential, "there is no credential"));
        self.endpoint.failed(&error, self.clock.now());
        Err(error)
    }

    /// Tries the assertions in order while they are refused, none of them twice: the platform may have renewed one
    /// meanwhile, and one of two may not be active yet, or not any more.
    async fn ask(&self, found: &Found, params: &Params, evidence: &Evidence) -> Result<AccessToken, Error> {
        let mut tried: Vec<Secrets> = Vec::new();
        let mut refused = None;
        for turn in self.secrets.turns() {
            let (secrets, places) = match self.secrets.read(turn, self.clock.now()).await {
                Ok(read) => read,
                // The refusal is more useful than the read error.
                Err(error) => return Err(refused.unwrap_or(error)),
            };
            if tried.iter().any(|one| same(one, &secrets)) {
                continue;
            }
            let expiries = secrets.iter().filter_map(|(_, secret)| credential::expiry(secret.expose_secret()));
            if let Some(expiry) = expiries.min() {
                self.report_expiry(CredentialKind::Assertion, expiry);
            }
            let key = self.key().await?;
            match self.ask_with(Asking { found, params, evidence, secrets: &secrets, key: key.as_ref() }).await {
                Err(error) if self.is_of_the_assertion(&error) => refused = Some(error),
                Err(error) => return Err(error),
                Ok(token) => {
                    self.secrets.accept(&places);
                    return Ok(token);
                }
            }
            tried.push(secrets);
        }
        Err(refused.unwrap_or_else(|| Error::of(ErrorKind::Credential, "there is no assertion")))
    }

    async fn ask_with(&self, asking: Asking<'_>) -> Result<AccessToken, Error> {
        let mut nonce = None;
        match self.ask_once(asking, &mut nonce).await {
            // RFC 9449 section 8: repeated once, with the nonce of that response, a new assertion and a new proof.
            Err(error) if nonce.is_some() && says(&error, "use_dpop_nonce") => {
                self.observers.emit(&Event::NonceRetry);
                self.ask_once(asking, &mut nonce).await
            }
            other => other,
        }
    }

    /// The key to bind the token to.
    #[cfg_attr(not(feature = "dpop"), expect(clippy::unused_async, reason = "for DPoP"))]
    async fn key(&self) -> Result<Option<Arc<dyn Possession>>, Error> {
        #[cfg(feature = "dpop")]
        if let Some(key) = &self.dpop {
            return Ok(Some(key.binding().await?));
        }
        Ok(None)
    }

    async fn ask_once(&self, asking: Asking<'_>, nonce: &mut Option<String>) -> Result<AccessToken, Error> {
        let start = std::time::Instant::now();
        let mut status = None;
        let server = asking.found.token_endpoint.host_str().unwrap_or_default();
        let attempt = self.observers.attempt(server);
        let result = attempt.around(self.request(asking, nonce, &mut status)).await;
        let (error, duration) = (result.as_ref().err(), start.elapsed());
        attempt.end(status, error);
        let cause = self.observers.cause();
        self.observers.emit(&Event::TokenRequest { cause, server, status, error, duration });
        result
    }

    /// `nonce`: the required one, and on return that of the response.
    async fn request(
        &self,
        asking: Asking<'_>,
        nonce: &mut Option<String>,
        status: &mut Option<u16>,
    ) -> Result<AccessToken, Error> {
        let Asking { found, params, evidence, secrets, key } = asking;
        let endpoint = &found.token_endpoint;
        let to = Recipient { issuer: found.issuer.as_deref(), token_endpoint: endpoint.as_str() };
        let mut proof = self.auth.prove(evidence, to, self.clock.now()).await?;
        for (name, secret) in secrets {
            proof.add_secret(name, secret);
        }
        let masks = Masks::new(std::mem::take(&mut proof.echoes));
        let asked_scope = params.scope();
        let params = params.with_resource(found.resource.as_deref());
        let endpoint = &*request::without_repetition(endpoint, &params, &proof);
        let mut request = match self.json_body {
            true => request::encode_json(&params, proof),
            false => request::encode(&params, proof),
        };
        if let Some(key) = key {
            let (role, now, nonce) = (Role::Authorization, self.clock.now(), nonce.as_deref());
            let proving = Proving { role, method: "POST", url: endpoint, token: None, now, nonce, sent_as: None };
            request.headers.extend([key.prove(proving).await?]);
        }
        // The lifetime counts from before the request is sent, which is earlier than the server's count.
        let sent = self.clock.now();
        let identity = evidence.tls_identity();
        let peer = Peer { name: "the token endpoint", url: endpoint, identity, masks: Some(&masks) };
        self.ledger.asks();
        let Received { response, flaw } = self.exchange.send(peer, request).await?;
        *status = Some(response.status.as_u16());
        self.ledger.hears(&response.headers, &masks);
        let heard = key.and_then(|key| key.hear(Role::Authorization, endpoint, &response.headers));
        *nonce = heard.map(Into::into);
        #[cfg(feature = "jwt")]
        if let Some(server_clock) = self.auth.server_clock() {
            server_clock.hear(&response.headers, self.clock.now());
        }
        let holder = Holder { key: key.cloned(), certificate: evidence.tls_identity().cloned() };
        let reading = Reading { rules: &self.rules, masks: &masks, asked_scope };
        response::decode(response, reading, holder, sent, self.clock.now(), &self.clock).map_err(|error| match flaw {
            // It decides by its code (RFC 6749 section 5.2), which is lost.
            Some(flaw) if error.status() == Some(StatusCode::BAD_REQUEST) && error.oauth().is_none() => {
                error.transient().advised(&flaw)
            }
            flaw => error.advised(&flaw.unwrap_or_default()),
        })
    }

    /// Adds advice, server and client to the error, since a program may have several servers and clients.
    fn explained(&self, error: Error, found: &Found, params: &Params, evidence: &Evidence) -> Error {
        let known = Known {
            method: self.auth.name(),
            is_encoded: self.auth.encodes(evidence),
            slips: self.auth.slips(evidence),
            grant_type: self.params.get("grant_type").unwrap_or_default(),
            scope: params.scope(),
            is_bound: self.is_bound,
        };
        let advice = advice(&error, &known);
        let context = self.context(&found.token_endpoint);
        // Transport errors begin with the server.
        let place = Shown(&found.token_endpoint).to_string();
        let context = match error.to_string().contains(&place) {
            true => context.strip_prefix(&place).map_or("", |rest| rest.trim_start_matches(", ")),
            false => &context,
        };
        error.advised(&advice).at(context)
    }

    /// The server, the client, the method and the origin of the credential.
    fn context(&self, endpoint: &Url) -> String {
        let client = match self.auth.id() {
            "" => String::new(),
            id => format!(", client {id:?}"),
        };
        let credential = self.auth.credential_shown();
        let joint = if credential.is_empty() { "" } else { ", " };
        format!("{}{client}, {}{joint}{credential}", Shown(endpoint), self.auth.name())
    }

    /// `expiry` since the epoch.
    fn report_expiry(&self, credential: CredentialKind, expiry: Duration) {
        let expires_in = expiry.saturating_sub(self.clock.now().wall());
        self.observers.emit(&Event::CredentialRead { credential, expires_in });
    }

    /// Without this report, a mistake in the registration would only appear as a 403 of the API.
    fn report_narrower_scope(&self, params: &Params, token: &AccessToken) {
        let (Some(asked), Some(granted)) = (params.scope(), token.scope()) else {
            return;
        };
        let missing = response::not_granted(asked, granted);
        if !missing.is_empty() && self.narrower.first() {
            event!(warn, source = self.observers.name(), missing = %missing.join(" "), "the authorization server granted a narrower scope than requested");
        }
    }

    /// Checks whether the files of the client's credentials have changed since they were read.
    fn look(&self) -> Option<Look> {
        credential::look(self.auth.credentials().into_iter().chain(self.secrets.credentials()))
    }

    /// Whether the server refuses the assertion (RFC 7523 section 3.1), or one of the tokens to exchange (RFC 8693 section
    /// 2.2.2, though most servers use the other code).
    fn is_of_the_assertion(&self, error: &Error) -> bool {
        let is_exchange = self.rules.exchange.is_some();
        let is_said = says(error, "invalid_grant") || (is_exchange && says(error, "invalid_request"));
        is_said && !self.secrets.0.is_empty()
    }

    /// Whether the request may succeed with less scope. Servers use various codes for that.
    fn may_be_of_the_scope(&self, error: &Error) -> bool {
        let is_answer = matches!(error.kind(), ErrorKind::Denied | ErrorKind::Response | ErrorKind::Other);
        is_answer && !error.is_transient() && !self.is_refused(error) && !self.is_of_the_assertion(error)
    }

    /// Whether the credential was refused, or the handshake failed because of a certificate, which may be the client's.
    fn is_refused(&self, error: &Error) -> bool {
        is_of_the_credential(error) || (self.auth.is_mutual_tls() && error.kind() == ErrorKind::Tls)
    }
}

#[deny(clippy::missing_trait_methods)]
impl TokenSource for Grant {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            self.attempt().await.map_err(|error| match error.kind() {
                ErrorKind::Denied | ErrorKind::Credential => error.until(self.look()),
                _ => error,
            })
        })
    }

    /// A grant keeps no token, but the endpoint may have to be found again.
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
