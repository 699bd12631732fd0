//! Hosts that only a document names are resolved to public addresses (RFC 9728 section 7.7).

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::public;

/// Resolves `host` to its public addresses. The connection is made to exactly these; a name that resolves differently
/// the next time (DNS rebinding) is checked again then.
pub(super) struct PublicOnly {
    pub(super) host: String,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        // Any other name is that of a proxy, which the user has set.
        let is_judged = name.as_str().eq_ignore_ascii_case(&self.host);
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let kept = match is_judged {
                true => public(found)?,
                false => found,
            };
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::NotPublic;

    #[tokio::test]
    async fn the_servers_name_resolves_to_no_private_address_but_that_of_a_proxy_may() {
        let resolver = PublicOnly { host: "localhost".to_owned() };
        let error = resolver.resolve("LOCALHOST".parse().unwrap()).await.err().unwrap();
        assert!(NotPublic::find(&*error).is_some(), "{error}");
        let resolver = PublicOnly { host: "evil.example".to_owned() };
        let found = resolver.resolve("localhost".parse().unwrap()).await.ok().unwrap();
        assert!(found.map(|one| one.ip()).all(|ip| ip.is_loopback()));
    }
}
