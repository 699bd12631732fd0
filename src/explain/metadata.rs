//! The metadata of the server, for the diagnosis: a hint, never a place to send a secret to.

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use crate::address::Shown;
use crate::client_credentials::{Draft, Known};
use crate::error::Error;
use crate::exchange::{Exchange, Peer, Received, server_time};
use crate::metadata::document::well_known;
use crate::metadata::well_known_of_resource;
use crate::server_text::shown;

/// What was found while the document was searched.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) document: Document,
    /// A line for each URL that was requested.
    pub(super) lines: Vec<String>,
    /// The `Date` of a response and our clock at that time, since the epoch.
    pub(super) dates: Option<(Duration, Duration)>,
    /// The servers that the API names.
    pub(super) api_names: Option<Vec<String>>,
    pub(super) error: Option<Error>,
}

/// The members that a diagnosis uses, sanitised; none if no document was found.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) issuer: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) methods: Option<Vec<String>>,
    pub(super) grants: Option<Vec<String>>,
    pub(super) algorithms: Option<Vec<String>>,
    pub(super) scopes: Option<Vec<String>>,
}

impl Document {
    fn of(body: &[u8]) -> Document {
        let members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(shown);
        let list = |name: &str| {
            let list = members.get(name)?.as_array()?;
            Some(list.iter().take(MOST).filter_map(Value::as_str).map(shown).collect())
        };
        Document {
            issuer: text("issuer"),
            token_endpoint: text("token_endpoint"),
            methods: list("token_endpoint_auth_methods_supported"),
            grants: list("grant_types_supported"),
            algorithms: list("token_endpoint_auth_signing_alg_values_supported"),
            scopes: list("scopes_supported"),
        }
    }

    /// Other objects have no token endpoint.
    pub(super) fn is_found(&self) -> bool {
        self.token_endpoint.is_some()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let list =
            |name: &str, list: &Option<Vec<String>>| list.as_ref().map(|all| format!("{name}: {}", all.join(" ")));
        let one = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}: {value}"));
        [
            one("issuer", &self.issuer),
            one("token_endpoint", &self.token_endpoint),
            list("methods", &self.methods),
            list("grants", &self.grants),
            list("algorithms of assertions", &self.algorithms),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Real lists are shorter.
const MOST: usize = 64;

pub(super) async fn look(exchange: &Exchange, draft: &Draft, now: impl Fn() -> Duration) -> Seen {
    let mut seen = Seen::default();
    match (draft.server(), &draft.url) {
        (Known::TokenEndpoint(_), Some(url)) => {
            let mut places = Vec::new();
            // The path of an issuer is a prefix of that of its endpoints: /realms/demo, /oauth2/default, /tenant/v2.0.
            for place in likely_issuers(url).iter().flat_map(well_known) {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            seen.ask(exchange, &places, &now).await;
        }
        (Known::Issuer(_), Some(url)) => seen.ask(exchange, &well_known(url), &now).await,
        (Known::Resource(api), Some(url)) => {
            for place in well_known_of_resource(url, false) {
                let Some(body) = seen.get(exchange, &place, &now).await else { continue };
                let members: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
                let servers =
                    members.as_ref().and_then(|all| all.get("authorization_servers")).and_then(Value::as_array);
                let servers: Vec<_> = servers.into_iter().flatten().take(MOST).filter_map(Value::as_str).collect();
                seen.api_names = Some(servers.iter().map(|server| shown(server)).collect());
                // Requests go only to servers that the user named.
                let known =
                    api.allowed.iter().find(|one| servers.contains(&one.as_str())).and_then(|one| Url::parse(one).ok());
                if let Some(issuer) = known {
                    seen.ask(exchange, &well_known(&issuer), &now).await;
                    return seen;
                }
            }
        }
        _ => {}
    }
    seen
}

fn likely_issuers(endpoint: &Url) -> Vec<Url> {
    let segments: Vec<_> = endpoint.path_segments().into_iter().flatten().filter(|one| !one.is_empty()).collect();
    let mut issuers = Vec::new();
    for length in [2, 1, 0] {
        let Some(beginning) = segments.get(..length).filter(|_| length < segments.len().max(1)) else { continue };
        let mut issuer = endpoint.clone();
        issuer.set_query(None);
        issuer.set_path(&beginning.join("/"));
        issuers.push(issuer);
    }
    issuers
}

impl Seen {
    async fn ask(&mut self, exchange: &Exchange, places: &[Url], now: &impl Fn() -> Duration) {
        for place in places {
            let document = self.get(exchange, place, now).await.map(|body| Document::of(&body)).unwrap_or_default();
            if document.is_found() {
                self.document = document;
                return;
            }
            // A server that cannot be reached is not tried at another path.
            if self.error.is_some() {
                return;
            }
        }
    }

    /// The body of a 200.
    async fn get(&mut self, exchange: &Exchange, url: &Url, now: &impl Fn() -> Duration) -> Option<Vec<u8>> {
        let peer = Peer { name: "the metadata", url, identity: None, masks: None };
        match exchange.fetch(peer).await {
            Ok(Received { response, flaw }) => {
                let flaw = flaw.map_or(String::new(), |flaw| format!("; {flaw}"));
                self.lines.push(format!("{}: status {}{flaw}", Shown(url), response.status.as_u16()));
                self.dates = server_time(&response.headers).map(|date| (date, now())).or(self.dates);
                (response.status == http::StatusCode::OK).then(|| response.body.to_vec())
            }
            Err(error) => {
                self.lines.push(format!("{error:#}"));
                self.error = Some(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_guessed_from_the_path_of_the_endpoint() {
        let issuers =
            |url: &str| likely_issuers(&Url::parse(url).unwrap()).iter().map(Url::to_string).collect::<Vec<_>>();
        let keycloak = issuers("https://a.example/realms/demo/protocol/openid-connect/token?x");
        assert_eq!(keycloak, ["https://a.example/realms/demo", "https://a.example/realms", "https://a.example/"]);
        assert_eq!(issuers("https://a.example/token"), ["https://a.example/"]);
        assert_eq!(issuers("https://a.example"), ["https://a.example/"]);
    }
}
