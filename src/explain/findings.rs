//! What the steps of a diagnosis have found, and facts derived from it (pure).

use url::Url;

use super::claims::Claims;
use super::metadata::Seen;
use crate::client_credentials::Draft;
use crate::credential::Shape;
use crate::error::{Error, ErrorKind};
use crate::grant::response::not_granted;
use crate::token::AccessToken;
use crate::x509::Facts;

/// Whether it is a host of Entra ID, in any of its clouds.
pub(super) fn is_entra(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.starts_with("login.microsoftonline.") || host == "sts.windows.net" || host.ends_with(".ciamlogin.com")
}

/// The findings of all steps.
pub(super) struct Findings {
    pub(super) draft: Draft,
    pub(super) shapes: Vec<Shape>,
    pub(super) unreadable: Vec<String>,
    pub(super) no_credential: bool,
    pub(super) expired: Option<String>,
    pub(super) credential_claims: Option<Claims>,
    /// The proxy, and where it is configured.
    pub(super) proxy: Option<String>,
    /// Why a proxy that the environment names is not used.
    pub(super) unused_proxy: Option<String>,
    pub(super) dns: Option<String>,
    pub(super) connect: Option<std::io::Error>,
    pub(super) handshake: Option<String>,
    pub(super) leaf: Option<Facts>,
    pub(super) seen: Seen,
    pub(super) assertion: Option<Claims>,
    pub(super) token: Option<Result<AccessToken, Error>>,
    pub(super) token_requests: u64,
    pub(super) claims: Option<Claims>,
    pub(super) redirect: Option<String>,
    pub(super) api: Option<Answer>,
}

/// The response of the API.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) flaw: Option<String>,
    pub(super) wants_dpop: bool,
    pub(super) error: Option<String>,
    pub(super) description: Option<String>,
    pub(super) scope: Option<String>,
}

impl Answer {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.status.map(|status| format!("status {status}")).into_iter().collect();
        lines.extend(self.flaw.clone());
        lines.extend(self.error.as_ref().map(|error| format!("error {error}")));
        lines.extend(self.description.clone());
        lines.extend(self.scope.as_ref().map(|scope| format!("it requires the scope {scope}")));
        lines
    }
}

impl Findings {
    pub(super) fn new(draft: Draft) -> Self {
        Findings {
            draft,
            shapes: Vec::new(),
            unreadable: Vec::new(),
            no_credential: false,
            expired: None,
            credential_claims: None,
            proxy: None,
            unused_proxy: None,
            dns: None,
            connect: None,
            handshake: None,
            leaf: None,
            seen: Seen::default(),
            assertion: None,
            token: None,
            token_requests: 0,
            claims: None,
            redirect: None,
            api: None,
        }
    }

    /// Where the first request goes.
    pub(super) fn url(&self) -> Option<Url> {
        self.draft.url.clone()
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.dns.is_none() && self.connect.is_none() && self.handshake.is_none()
    }

    /// Seconds that our clock is ahead.
    pub(super) fn skew(&self) -> Option<i64> {
        let (theirs, ours) = self.seen.dates?;
        Some(i64::try_from(ours.as_secs()).ok()?.saturating_sub(i64::try_from(theirs.as_secs()).ok()?))
    }

    pub(super) fn not_granted(&self, token: &AccessToken) -> Vec<String> {
        let (Some(asked), Some(granted)) = (self.draft.params.scope(), token.scope()) else { return Vec::new() };
        let missing = not_granted(asked, granted);
        // Entra ID grants the names of roles for it.
        missing.into_iter().filter(|one| !one.ends_with("/.default")).map(Into::into).collect()
    }

    /// What the client needs and the metadata does not list.
    pub(super) fn lacks(&self) -> Vec<String> {
        let document = &self.seen.document;
        let mut lacks = Vec::new();
        let methods = self.draft.builder.auth.registered_names();
        let lists = |list: &Option<Vec<String>>, of: &[&str]| {
            list.as_ref().is_none_or(|all| all.iter().any(|listed| of.contains(&listed.as_str())))
        };
        if !methods.is_empty() && !lists(&document.methods, &methods) {
            lacks.push(format!("the method {} is not among those listed", methods.join(" or ")));
        }
        let grant = self.grant_type();
        if !lists(&document.grants, &[grant]) {
            lacks.push(format!("the grant {grant} is not among those listed"));
        }
        lacks
    }

    pub(super) fn grant_type(&self) -> &str {
        self.draft.params.0.first().map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    pub(super) fn asks_for(&self, name: &str) -> bool {
        self.draft.sends_resource && name == "resource" || self.draft.params.0.iter().any(|(one, _)| one == name)
    }

    pub(super) fn is_entra(&self) -> bool {
        self.url().as_ref().is_some_and(is_entra)
    }

    /// Whether the URL may not be that of a token endpoint.
    pub(super) fn seems_misplaced(&self) -> bool {
        match &self.token {
            Some(Err(error)) => {
                error.kind() == ErrorKind::Response && error.oauth().is_none() && self.token_requests > 0
            }
            _ => false,
        }
    }
}
