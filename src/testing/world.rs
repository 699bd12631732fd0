//! The state of the scripted server, and how it chooses a response.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;

use super::authentication::{Claim, Known};
use super::message::{Form, Incoming, Reply};
use super::recorded::{Field, PUBLIC_HEADERS, PUBLIC_PARAMS, RecordedRequest, hidden};
use super::register::Register;
use super::{Answer, Endpoint, Quirk, api, documents, token_endpoint};
use crate::clock::{Clock, Moment};
use crate::lock::{Guard, Lock};
use crate::once::Once;

pub(super) struct World {
    pub(super) issuer: String,
    pub(super) token_url: String,
    /// Scheme, host and port of the API.
    pub(super) api: String,
    state: Lock<ServerState>,
    pub(super) counts: watch::Sender<Counts>,
}

/// The number of requests that have come this far at an endpoint.
pub(super) type Counts = HashMap<(Endpoint, Stage), usize>;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// The request was read.
    Received,
    /// It was answered or reset.
    Answered,
}

pub(super) fn count(counts: &Counts, endpoint: Endpoint, stage: Stage) -> usize {
    counts.get(&(endpoint, stage)).copied().unwrap_or_default()
}

#[derive(Default)]
pub(super) struct ServerState {
    /// By id.
    pub(super) clients: BTreeMap<String, Known>,
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
    pub(super) token_key: Option<crate::signing::SigningKey>,
    /// The assertions and proofs that were used.
    #[cfg(feature = "jwt")]
    pub(super) used: super::jwt::Used,
    #[cfg(feature = "dpop")]
    pub(super) nonce: Option<String>,
    scripts: HashMap<Endpoint, Script>,
    /// The latest requests, numbered from 1.
    pub(super) recorded: BTreeMap<usize, RecordedRequest>,
    /// The number of the latest.
    pub(super) latest: usize,
    /// Whether the story was printed.
    pub(super) told: Once,
}

/// The responses of an endpoint.
#[derive(Default)]
pub(super) struct Script {
    pub(super) next: VecDeque<Answer>,
    /// The response when none is queued.
    pub(super) standing: Option<Decide>,
}

pub(super) type Decide = Arc<dyn Fn(&RecordedRequest) -> Answer + Send + Sync>;

impl World {
    pub(super) fn new(issuer: String, api: String) -> Arc<Self> {
        let state = ServerState {
            lifetime: Some(token_endpoint::LIFETIME),
            started: Clock::System.now(),
            ..ServerState::default()
        };
        let token_url = format!("{issuer}/token");
        Arc::new(World { issuer, token_url, api, state: Lock::new(state), counts: watch::Sender::default() })
    }

    pub(super) fn state(&self) -> Guard<'_, ServerState> {
        self.state.lock()
    }

    fn count(&self, endpoint: Endpoint, stage: Stage) {
        self.counts.send_modify(|counts| *counts.entry((endpoint, stage)).or_default() += 1);
    }

    /// The response at a listener, which is for the token endpoint or the API; `None`: reset the connection.
    pub(super) async fn respond(&self, listener: Endpoint, request: &Incoming) -> Option<Reply> {
        let path = request.head.uri.path();
        let endpoint = match listener {
            _ if documents::SERVER_PATHS.contains(&path) || path.starts_with(documents::API_PATH) => Endpoint::Metadata,
            Endpoint::Token if path == "/jwks" => Endpoint::Keys,
            other => other,
        };
        let (number, recorded, decide) = self.state().record(endpoint, request);
        // Not under the lock: the closure may call the server.
        let answer = decide(&recorded);
        self.count(endpoint, Stage::Received);
        match &answer {
            Answer::Delay(wait) => tokio::time::sleep(*wait).await,
            Answer::Held(gate) => gate.passed().await,
            Answer::Hang => std::future::pending().await,
            _ => {}
        }
        let reply = self.conclude(endpoint, number, request, answer);
        self.count(endpoint, Stage::Answered);
        reply
    }

    fn conclude(&self, endpoint: Endpoint, number: usize, request: &Incoming, answer: Answer) -> Option<Reply> {
        let mut state = self.state();
        let torn = matches!(answer, Answer::Torn);
        let mut reply = match answer {
            Answer::Reset => {
                state.conclude(number, None, None, "the connection was reset");
                return None;
            }
            Answer::Token | Answer::Delay(_) | Answer::Held(_) | Answer::Hang | Answer::Torn => {
                self.ordinary(endpoint, &mut state, request)
            }
            Answer::Refuse(code) => refusal(endpoint, request, code),
            Answer::Status(status) => {
                let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
                Reply::new(status, "text/plain", format!("{}\n", reason.unwrap_or("scripted")))
            }
            Answer::RetryAfter(wait) => {
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                let reply = Reply::new(429, "text/plain", "Too Many Requests\n".to_owned());
                reply.header("retry-after", &seconds.to_string()).noted(format!("retry after {seconds} s"))
            }
            Answer::Html => {
                let page = "<!DOCTYPE html>\n<html><body><h1>Sign in to the network</h1></body></html>\n";
                Reply::new(200, "text/html", page.to_owned()).noted("a page")
            }
            Answer::Body(body) => Reply::new(200, "application/json", body).noted("a scripted body"),
            Answer::Response(response) => {
                let (head, body) = response.into_parts();
                let reply = Reply::new(head.status.as_u16(), "", body).noted("a scripted response");
                Reply { headers: Box::new(head.headers), ..reply }
            }
        };
        if matches!(state.clock, Clock::Manual(_)) && !reply.headers.contains_key("date") {
            // Otherwise hyper would set it, from the system clock.
            let now = std::time::SystemTime::UNIX_EPOCH + state.clock.now().wall();
            // The clock ends in the year 2554, so the year has four digits.
            reply = reply.header("date", &httpdate::fmt_http_date(now));
        }
        reply.torn = torn;
        let note = if torn { format!("{}, torn", reply.note) } else { reply.note.clone() };
        state.conclude(number, Some(reply.status), reply.token, note.trim_start_matches(", "));
        Some(reply)
    }

    fn ordinary(&self, endpoint: Endpoint, state: &mut ServerState, request: &Incoming) -> Reply {
        let path = request.head.uri.path();
        match endpoint {
            Endpoint::Token if path != "/token" => {
                Reply::new(404, "text/plain", "no such page\n".to_owned()).noted("the token endpoint is /token")
            }
            Endpoint::Token => token_endpoint::respond(self, state, request),
            Endpoint::Metadata if path.starts_with(documents::API_PATH) => documents::api(self, state, path),
            Endpoint::Metadata => documents::server(self, state),
            Endpoint::Keys => documents::keys(state),
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

/// 10 000: more than a test inspects; a soak test sends millions.
pub(super) const MOST_RECORDED: usize = 10_000;

const MASK: &str = "***";

impl ServerState {
    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.started = clock.now();
        self.clock = clock;
    }

    pub(super) fn script(&mut self, endpoint: Endpoint) -> &mut Script {
        self.scripts.entry(endpoint).or_default()
    }

    /// The number of the request, what is recorded of it, and what chooses its answer.
    pub(super) fn record(&mut self, endpoint: Endpoint, request: &Incoming) -> (usize, RecordedRequest, Decide) {
        let script = self.script(endpoint);
        let decide: Decide = match (script.next.pop_front(), &script.standing) {
            (None, Some(standing)) => Arc::clone(standing),
            (next, _) => Arc::new(move |_| next.clone().unwrap_or(Answer::Token)),
        };
        let form = match endpoint {
            Endpoint::Token => Form::read(request).unwrap_or_default(),
            _ => Form::default(),
        };
        let claim = Claim::of(request, &form, self).ok().filter(|_| endpoint == Endpoint::Token);
        let shown_id = |id: &str| match self.clients.is_empty() || self.clients.contains_key(id) {
            true => id.to_owned(),
            // It may be a misplaced secret.
            false => hidden(id),
        };
        let param = |(name, value): &(String, String)| {
            let shown = if name == "client_id" { shown_id(value) } else { self.masked(value) };
            Field::new(name, value, &shown, PUBLIC_PARAMS)
        };
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            Field::new(name.as_str(), &value, &self.masked(&value), PUBLIC_HEADERS)
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
            self.recorded.pop_first();
        }
        self.latest += 1;
        self.recorded.insert(self.latest, recorded.clone());
        (self.latest, recorded, decide)
    }

    pub(super) fn conclude(&mut self, number: usize, status: Option<u16>, token: Option<u32>, note: &str) {
        let note = self.masked(note);
        if let Some(recorded) = self.recorded.get_mut(&number) {
            (recorded.status, recorded.token, recorded.outcome) = (status, token, note);
        }
    }

    /// The text without the secrets and tokens that the server knows.
    fn masked(&self, text: &str) -> String {
        let secrets = self.clients.values().filter_map(|known| match known {
            Known::Secret(secret) => Some(secret.as_str()),
            _ => None,
        });
        let mut secrets: Vec<_> = secrets.filter(|secret| !secret.is_empty()).collect();
        // One may be the beginning of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let text = secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK));
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
