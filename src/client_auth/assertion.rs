//! Assertions that another program issues (RFC 7521 section 4.2).

use super::{ClientAuth, JWT_BEARER, Method};
use crate::credential::Credential;

/// An assertion that another program issues, from [`ClientAuth::client_assertion`].
#[derive(Clone, Debug)]
#[must_use = "a method does nothing before it is given to a builder"]
pub struct ClientAssertion {
    client_id: Option<String>,
    assertion: Credential,
    kind: String,
}

impl ClientAuth {
    /// Uses an assertion that another program issues (RFC 7521 section 4.2): the token of a Kubernetes service account, a
    /// JWT-SVID, or the ID token of a CI system. It is read again for each attempt, because it is replaced regularly.
    ///
    /// No `client_id` is sent unless [`client_id`](ClientAssertion::client_id) is set (Entra ID requires it). The default
    /// `client_assertion_type` is [`jwt-bearer`](https://www.rfc-editor.org/rfc/rfc7523#section-2.2);
    /// [`assertion_type`](ClientAssertion::assertion_type) sets another.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    ///
    /// let token = "/var/run/secrets/azure/tokens/azure-identity-token";
    /// let auth = ClientAuth::client_assertion(Credential::file(token))
    ///     .client_id("5d1a3c5e-4b0f-4a53-a7c0-30b1f6ae9ed0");
    /// let endpoint =
    ///     "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    /// ClientCredentials::builder(endpoint, auth)
    ///     .scope("https://graph.microsoft.com/.default")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn client_assertion(assertion: impl Into<Credential>) -> ClientAssertion {
        ClientAssertion { client_id: None, assertion: assertion.into(), kind: JWT_BEARER.to_owned() }
    }
}

impl ClientAssertion {
    /// Sends `client_id` with the assertion.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets `client_assertion_type` (RFC 7521 section 4.2).
    ///
    /// ```
    /// use client_credentials::{ClientAuth, Credential};
    ///
    /// // draft-ietf-oauth-spiffe-client-auth
    /// let jwt_spiffe = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
    /// let svid = Credential::file("/run/spiffe/jwt-svid");
    /// let auth = ClientAuth::client_assertion(svid)
    ///     .assertion_type(jwt_spiffe);
    /// ```
    pub fn assertion_type(mut self, uri: impl Into<String>) -> Self {
        self.kind = uri.into();
        self
    }
}

impl From<ClientAssertion> for ClientAuth {
    fn from(assertion: ClientAssertion) -> Self {
        let ClientAssertion { client_id, assertion, kind } = assertion;
        ClientAuth { client_id, method: Method::Assertion { assertion, kind }, at_one_place: false }
    }
}
