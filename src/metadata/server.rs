//! An authorization server's metadata (RFC 8414, OpenID Connect Discovery 1.0), and the directory of those that are known.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::document::{Document, Rules, decode, well_known};
use super::fetch::first_usable;
use super::memory::{Memory, News};
#[cfg(feature = "tracing")]
use crate::address::Shown;
use crate::clock::{Clock, Moment};
use crate::error::Error;
use crate::event::event;
use crate::exchange::Exchange;
use crate::lock::Lock;

/// One server, shared by all sources with the same rules.
pub(crate) struct Server {
    pub(super) rules: Rules,
    document: Memory<Arc<Document>>,
}

impl Server {
    pub(super) fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    pub(super) async fn document(&self, exchange: &Exchange, clock: &Clock) -> Result<Arc<Document>, Error> {
        let limit = exchange.attempt_timeout().saturating_mul(2); // two addresses are tried
        let fetch = async {
            let whose = format!("the issuer {}", self.issuer());
            let places = well_known(&self.rules.url);
            let decode = |response: &_| decode(response, &self.rules);
            first_usable(exchange, clock, (whose, "the metadata"), &places, decode).await.map(Arc::new)
        };
        let (document, news) = self.document.get(clock, limit, fetch).await?;
        match &news {
            News::Same => {}
            News::Changed => {
                event!(warn, issuer = %self.issuer(), token_endpoint = %Shown(&document.token_endpoint), "the token endpoint has moved");
            }
            News::Previous(_error) => {
                event!(warn, issuer = %self.issuer(), error = %format_args!("{_error:#}"), "the authorization server's metadata cannot be fetched again: the previous metadata stays in use");
            }
        }
        Ok(document)
    }

    pub(super) fn fetch_early(&self, now: Moment) {
        self.document.fetch_early(now);
    }
}

/// The servers of all sources of one HTTP client.
#[derive(Default)]
pub(crate) struct Directory(Lock<HashMap<(Rules, Duration), Weak<Server>>>);

impl Directory {
    /// The server with these rules, which is shared while any source has it.
    pub(crate) fn server(&self, rules: Rules, lifetime: Duration) -> Arc<Server> {
        let mut known = self.0.lock();
        if known.len() == known.capacity() {
            known.retain(|_, server| server.strong_count() > 0);
        }
        let key = (rules, lifetime);
        if let Some(server) = known.get(&key).and_then(Weak::upgrade) {
            return server;
        }
        let server = Arc::new(Server { rules: key.0.clone(), document: Memory::new(lifetime) });
        known.insert(key, Arc::downgrade(&server));
        server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_shared_while_a_source_has_it_and_forgotten_after_that() {
        let rules = |n: usize| {
            let issuer = format!("https://auth{n}.example");
            let url = url::Url::parse(&issuer).unwrap();
            Rules { issuer, url, plain_hosts: Vec::new(), pinned: None, mutual_tls: false, named_hosts: None }
        };
        let (directory, hour) = (Directory::default(), Duration::from_secs(3600));
        let kept = directory.server(rules(0), hour);
        for n in 1..=1000 {
            directory.server(rules(n), hour);
        }
        assert!(Arc::ptr_eq(&kept, &directory.server(rules(0), hour)));
        assert!(!Arc::ptr_eq(&kept, &directory.server(rules(0), 2 * hour)));
        let known = directory.0.lock().len();
        assert!(known < 100, "{known}");
    }
}
