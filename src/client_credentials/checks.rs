//! The checks of the settings, besides those of the server, the parameters and the headers.

use super::builder::ClientCredentialsBuilder;
use crate::address::host_flaw;
#[cfg(feature = "dpop")]
use crate::dpop::DpopKey;
use crate::faults::Faults;
use crate::grant::response::not_bearer;
use crate::step_up::is_scope;

impl ClientCredentialsBuilder {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.extend(self.auth.faults(self.server.names_issuer()));
        if self.fapi {
            self.check_fapi(faults);
        }
        #[cfg(feature = "dpop")]
        if let Some(flaw) = self.dpop.as_ref().and_then(DpopKey::fault) {
            faults.add("dpop", flaw);
        }
        faults.extend(self.plain_hosts.iter().filter_map(|host| Some(("dangerously_allow_http", host_flaw(host)?))));
        for scope in self.step_up.iter().flatten().filter(|scope| !is_scope(scope)) {
            faults.add("step_up", format!("{scope:?} is not one scope of RFC 6749 section 3.3"));
        }
        for name in &self.rules.token_types {
            if name.trim().is_empty() {
                faults.add("token_type", "is empty");
            } else if let Some(why) = not_bearer(name) {
                faults.add("token_type", format!("{name:?} is not sent as Bearer: {why}"));
            }
        }
        faults.extend(self.rules.limits.faults());
        faults.extend(self.cache.faults());
        faults.extend(self.retry.faults());
        #[cfg(feature = "shared")]
        if let Some(store) = &self.shared {
            if self.demands().is_some() {
                faults.add(
                    "shared",
                    "cannot be combined with step_up or scopes_from_api: each process would have scopes of its own",
                );
            }
            faults.extend(store.fault().map(|flaw| ("shared", format!("the seal key {flaw}"))));
            // Two clients that differ only in their assertions would receive each other's tokens.
            if self.auth.id().is_empty() {
                let flaw = match self.auth.name() {
                    "anonymous" => "is for clients with an id: nothing else in the request says whose token it is",
                    _ => "needs to know whose token it is: give ClientAssertion::client_id",
                };
                faults.add("shared", flaw);
            }
        }
    }

    /// FAPI 2.0 Security Profile, sections 5.3.3.1 and 5.3.2.1.
    fn check_fapi(&self, faults: &mut Faults) {
        let (is_mutual_tls, name) = (self.auth.is_mutual_tls(), self.auth.name());
        if !is_mutual_tls && name != "private_key_jwt" {
            faults.add("fapi", format!("requires private_key_jwt or mutual_tls instead of {name}"));
        }
        #[cfg(feature = "jwt")]
        faults.extend(self.auth.fapi_flaws().into_iter().map(|flaw| ("fapi", flaw)));
        if !is_mutual_tls && !self.is_bound() {
            faults.add("fapi", "requires sender-constrained tokens: .dpop(..) or mutual_tls");
        }
    }
}
