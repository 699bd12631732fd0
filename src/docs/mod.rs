//! Guides. They exist in the documentation only; their code is compiled with the tests.
//!
//! | guide | what it answers |
//! |---|---|
//! | [`performance`] | what a token costs, how that was measured |
//! | [`authentication`] | which authentication method, how it is rotated, and how it is done at Keycloak, Entra ID, Auth0, Okta, Amazon Cognito, Salesforce, Zoom, with Kubernetes and with SPIFFE |

// Without `jwt` its code does not compile: the page is shown all the same, with links to where the methods are.
#[cfg_attr(
    any(not(doctest), feature = "jwt"),
    doc = include_str!("authentication.md")
)]
#[cfg_attr(
    feature = "jwt",
    doc = "
[`client_secret_jwt`]: crate::ClientAuth::client_secret_jwt
[`private_key_jwt`]: crate::ClientAuth::private_key_jwt
[`Signer`]: crate::Signer"
)]
#[cfg_attr(
    not(feature = "jwt"),
    doc = "
[`client_secret_jwt`]: https://docs.rs/client-credentials/latest/client_credentials/struct.ClientAuth.html#method.client_secret_jwt
[`private_key_jwt`]: https://docs.rs/client-credentials/latest/client_credentials/struct.ClientAuth.html#method.private_key_jwt
[`Signer`]: https://docs.rs/client-credentials/latest/client_credentials/trait.Signer.html"
)]
pub mod authentication {}

#[doc = include_str!("performance.md")]
pub mod performance {}
