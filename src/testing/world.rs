//! The state of the scripted server, and how it chooses a response.

#[cfg(feature = "jwt")]
use std::collections::HashSet;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;

use super::authentication::{Claim, Client, Known};
use super::message::{Form, Incoming, Reply};
use super::recorded::{Field, RecordedRequest, hidden};
use super::register::Register;
use super::{Answer, Endpoint, Quirk, api, documents, token_endpoint};
use crate::clock::{Clock, Moment};
use crate::lock::{Guard, Lock};
use crate::once::Once;

pub(super) struct World {
    pub(super) issuer: String,
    /// Scheme, host and port of the API.
    pub(super) api: String,
    state: Lock<State>,
    pub(super) counts: watch::Sender<Counts>,
}

/// The number of requests at each endpoint.
#[derive(Default)]
pub(super) struct Counts {
    /// Requests that were read.
    received: HashMap<Endpoint, usize>,
    /// Those that were answered or reset.
    answered: HashMap<Endpoint, usize>,
}

impl Counts {
    pub(super) fn received(&self, endpoint: Endpoint) -> usize {
        self.received.get(&endpoint).copied().unwrap_or_default()
    }

    pub(super) fn answered(&self, endpoint: Endpoint) -> usize {
        self.answered.get(&endpoint).copied().unwrap_or_default()
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) clients: Vec<Client>,
    /// `None`: any.
    pub(super) scopes: Option<Vec<String>>,
    /// `None`: tokens do not expire.
    pub(super) lifetime: Option<Duration>,
    pub(super) quirk: Option<Quirk>,
    /// The audience that the API requires.
    pub(super) audience: Option<String>,
    pub(super) api_scope: Option<String>,
    /// The path and the body of each resource of the API.
    pub(super) resources: Vec<(String, String)>,
    pub(super) register: Register,
    pub(super) clock: Clock,
    started: Moment,
    #[cfg(feature = "jwt")]
    pub(super) token_key: Option<super::jwt::TokenKey>,
    /// The accepted audiences of assertions.
    #[cfg(feature = "jwt")]
    pub(super) audiences: [String; 2],
    /// The assertions that were used: client and `jti`.
    #[cfg(feature = "jwt")]
    pub(super) assertions: HashSet<String>,
    /// `jti` of the proofs that were used.
    #[cfg(feature = "dpop")]
    pub(super) proofs: HashSet<String>,
    #[cfg(feature = "dpop")]
    pub(super) nonce: Option<String>,
    scripts: HashMap<Endpoint, Script>,
    recorded: VecDeque<RecordedRequest>,
    /// How many of the first requests were dropped.
    pub(super) forgotten: usize,
    /// Whether the story was printed.
    pub(super) told: Once,
}

/// The responses of an endpoint.
#[derive(Default)]
struct Script {
    next: VecDeque<Answer>,
    standing: Standing,
}

/// The response when none is queued.
#[derive(Clone)]
pub(super) enum Standing {
    Answer(Answer),
    By(Arc<dyn Fn(&RecordedRequest) -> Answer + Send + Sync>),
}

impl Default for Standing {
    fn default() -> Self {
        Standing::Answer(Answer::Token)
    }
}

/// What to do with a request.
pub(super) enum Outcome {
    Reply(Reply),
    /// Truncate the body.
    Torn(Reply),
    Reset,
}

/// The origin of a connection.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Issuer,
    Api,
}

impl World {
    pub(super) fn new(issuer: String, api: String) -> Arc<Self> {
        let state = State {
            lifetime: Some(token_endpoint::LIFETIME),
            started: Clock::System.now(),
            #[cfg(feature = "jwt")]
            audiences: [issuer.clone(), format!("{issuer}/token")],
            ..State::default()
        };
        Arc::new(World { issuer, api, state: Lock::new(state), counts: watch::Sender::default() })
    }

    pub(super) fn state(&self) -> Guard<'_, State> {
        self.state.lock()
    }

    pub(super) async fn respond(&self, origin: Origin, request: &Incoming) -> Outcome {
        let path = request.head.uri.path();
        let endpoint = match origin {
            _ if documents::SERVER_PATHS.contains(&path) || path.starts_with(documents::API_PATH) => Endpoint::Metadata,
            Origin::Api => Endpoint::Api,
            Origin::Issuer if path == "/jwks" => Endpoint::Keys,
            Origin::Issuer => Endpoint::Token,
        };
        let (index, answer) = self.state().record(endpoint, request);
        let answer = match answer {
            Standing::Answer(answer) => answer,
            // Not under the lock: the closure may call the server.
            Standing::By(decide) => {
                let recorded = self.state().recorded_at(index).cloned();
                recorded.map_or(Answer::Token, |recorded| decide(&recorded))
            }
        };
        self.counts.send_modify(|counts| *counts.received.entry(endpoint).or_default() += 1);
        match &answer {
            Answer::Delay(wait) => tokio::time::sleep(*wait).await,
            Answer::Held(gate) => gate.passed().await,
            Answer::Hang => std::future::pending().await,
            _ => {}
        }
        let outcome = self.conclude(endpoint, index, request, answer);
        self.counts.send_modify(|counts| *counts.answered.entry(endpoint).or_default() += 1);
        outcome
    }

    fn conclude(&self, endpoint: Endpoint, index: usize, request: &Incoming, answer: Answer) -> Outcome {
        let mut state = self.state();
        let torn = matches!(answer, Answer::Torn);
        let (mut reply, token) = match answer {
            Answer::Reset => {
                state.conclude(index, None, None, "the connection was reset");
                return Outcome::Reset;
            }
            Answer::Token | Answer::Delay(_) | Answer::Held(_) | Answer::Hang | Answer::Torn => {
                self.ordinary(endpoint, &mut state, request)
            }
            Answer::Refuse(code) => (refusal(endpoint, request, code), None),
            Answer::Status(status) => {
                let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
                (Reply::new(status, "text/plain", format!("{}\n", reason.unwrap_or("scripted"))), None)
            }
            Answer::RetryAfter(wait) => {
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                let reply = Reply::new(429, "text/plain", "Too Many Requests\n".to_owned());
                (reply.header("retry-after", seconds.to_string()).noted(format!("retry after {seconds} s")), None)
            }
            Answer::Html => {
                let page = "<!DOCTYPE html>\n<html><body><h1>Sign in to the network</h1></body></html>\n";
                (Reply::new(200, "text/html", page.to_owned()).noted("a page"), None)
            }
            Answer::Body(body) => (Reply::new(200, "application/json", body).noted("a scripted body"), None),
            Answer::Response(response) => (scripted(response), None),
        };
        if let Clock::Manual(_) = &state.clock {
            // Otherwise hyper would set it, from the system clock.
            let now = std::time::SystemTime::UNIX_EPOCH + state.clock.now().wall();
            if !reply.own_headers.as_ref().is_some_and(|headers| headers.contains_key("date")) {
                // The clock ends in the year 2554, so the year has four digits.
                reply = reply.header("date", httpdate::fmt_http_date(now));
            }
        }
        let note = if torn { format!("{}, torn", reply.note) } else { reply.note.clone() };
        state.conclude(index, Some(reply.status), token, note.trim_start_matches(", "));
        if torn { Outcome::Torn(reply) } else { Outcome::Reply(reply) }
    }

    fn ordinary(&self, endpoint: Endpoint, state: &mut State, request: &Incoming) -> (Reply, Option<u32>) {
        let path = request.head.uri.path();
        match endpoint {
            Endpoint::Token if path != "/token" => {
                let reply = Reply::new(404, "text/plain", "no such page\n".to_owned());
                (reply.noted("the token endpoint is /token"), None)
            }
            Endpoint::Token => token_endpoint::respond(self, state, request),
            Endpoint::Metadata if path.starts_with(documents::API_PATH) => (documents::api(self, state, path), None),
            Endpoint::Metadata => (documents::server(self, state), None),
            Endpoint::Keys => (documents::keys(state), None),
            Endpoint::Api => api::respond(self, state, request),
        }
    }
}

fn refusal(endpoint: Endpoint, request: &Incoming, code: &str) -> Reply {
    if endpoint != Endpoint::Api {
        let status = if code == "invalid_client" { 401 } else { 400 };
        return Reply::oauth(status, code, "the test wants it so");
    }
    let status = if code == "insufficient_scope" { 403 } else { 401 };
    let scheme = if request.credentials("DPoP").is_some() { "DPoP" } else { "Bearer" };
    Reply::challenge(status, scheme, &[("error", code)])
}

fn scripted(response: http::Response<String>) -> Reply {
    let (head, body) = response.into_parts();
    let mut reply = Reply::new(head.status.as_u16(), "", body).noted("a scripted response");
    reply.own_headers = Some(Box::new(head.headers));
    reply
}

/// 10 000: more than a test inspects; a soak test sends millions.
const MOST_RECORDED: usize = 10_000;

const MASK: &str = "***";

impl State {
    fn recorded_at(&self, index: usize) -> Option<&RecordedRequest> {
        self.recorded.get(index.checked_sub(self.forgotten)?)
    }

    pub(super) fn recorded(&self) -> impl ExactSizeIterator<Item = &RecordedRequest> {
        self.recorded.iter()
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.started = clock.now();
        self.clock = clock;
    }

    pub(super) fn next(&mut self, endpoint: Endpoint, answer: Answer) {
        self.scripts.entry(endpoint).or_default().next.push_back(answer);
    }

    pub(super) fn until_changed(&mut self, endpoint: Endpoint, standing: Standing) {
        self.scripts.entry(endpoint).or_default().standing = standing;
    }

    /// The index of the request, and what to do with it.
    pub(super) fn record(&mut self, endpoint: Endpoint, request: &Incoming) -> (usize, Standing) {
        let script = self.scripts.entry(endpoint).or_default();
        let answer = script.next.pop_front().map_or_else(|| script.standing.clone(), Standing::Answer);
        let form = match endpoint {
            Endpoint::Token => Form::read(request).unwrap_or_default(),
            _ => Form::default(),
        };
        let claim = Claim::of(request, &form, self).ok().filter(|_| endpoint == Endpoint::Token);
        let shown_id = |id: &str| match self.clients.is_empty() || self.client(id).is_some() {
            true => id.to_owned(),
            // It may be a misplaced secret.
            false => hidden(id),
        };
        let param = |(name, value): &(String, String)| {
            let shown = if name == "client_id" { shown_id(value) } else { self.masked(value) };
            Field::param(name, value, &shown)
        };
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            Field::header(name.as_str(), &value, &self.masked(&value))
        };
        let recorded = RecordedRequest {
            endpoint,
            method: request.head.method.to_string(),
            path: self.masked(request.head.uri.path()),
            at: self.clock.now().since(self.started),
            client: claim.as_ref().and_then(|claim| claim.id.as_deref()).map(shown_id),
            auth_method: claim.and_then(|claim| claim.method),
            params: form.0.iter().map(param).collect(),
            headers: request.head.headers.iter().map(header).collect(),
            token: None,
            status: None,
            outcome: "no answer yet".to_owned(),
        };
        if self.recorded.len() == MOST_RECORDED {
            self.recorded.pop_front();
            self.forgotten += 1;
        }
        self.recorded.push_back(recorded);
        (self.forgotten + self.recorded.len() - 1, answer)
    }

    pub(super) fn conclude(&mut self, index: usize, status: Option<u16>, token: Option<u32>, note: &str) {
        let note = self.masked(note);
        let place = index.checked_sub(self.forgotten);
        if let Some(recorded) = place.and_then(|place| self.recorded.get_mut(place)) {
            (recorded.status, recorded.token, recorded.outcome) = (status, token, note);
        }
    }

    /// The text without the secrets and tokens that the server knows.
    fn masked(&self, text: &str) -> String {
        let secrets = self.clients.iter().filter_map(|client| match &client.credential {
            Known::Secret(secret) => Some(secret.as_str()),
            _ => None,
        });
        let secrets = secrets.filter(|secret| !secret.is_empty());
        let text = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, MASK));
        // No token contains one of these characters.
        let pieces = text.split_inclusive(['/', ' ', '=', '&', ',', ';', '"']);
        pieces
            .map(|piece| {
                let end = piece.trim_end_matches(['/', ' ', '=', '&', ',', ';', '"']);
                if self.register.find(end).is_some() { piece.replace(end, MASK) } else { piece.to_owned() }
            })
            .collect()
    }
}
