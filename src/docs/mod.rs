//! Guides. This module exists only in the documentation; its code is compiled with the tests.
//!
//! | guide | topic |
//! |---|---|
//! | [`getting_started`] | a first token in five minutes, and what to do when it fails |
//! | [`migration`] | migrating from the `oauth2` crate with a mutex |
//! | [`authentication`] | choosing a client authentication method, rotating credentials, APIs that name their authorization server; setup at Keycloak, Entra ID, Auth0, Okta, Amazon Cognito, Salesforce and Zoom, with Kubernetes and SPIFFE |
//! | [`providers`] | recipes: Entra ID, GitHub Actions, Google Cloud, OpenAI, Anthropic, OpenRouter, Keycloak, Buildkite, Cognito, Auth0, Okta, Salesforce, DocuSign, Box |
//! | [`workload`] | platform identities instead of secrets: Kubernetes, AWS, Azure, SPIFFE, GitLab, Buildkite, GitHub Actions, Google Cloud |
//! | [`quirks`] | deviations of real authorization servers, and how this crate handles them |
//! | [`sharing`] | sharing one token across a fleet, through Redis or files: when to use it, what is stored and how it is protected, operation |
//! | [`tenants`] | thousands of tenants in one process, quotas, a fleet over a day |
//! | [`possession`] | sender-constrained tokens, which cannot be used by a thief: DPoP, certificate-bound tokens |
//! | [`operating`] | health checks, logs, events, metrics, alerts with instructions |
//! | [`testing_your_code`] | a scripted authorization server, fake sources and a manual clock for tests of your code; eight example tests |
//! | [`cookbook`] | passing the token to twenty-three client libraries, from async-nats to ureq |
//! | [`performance`] | what a token costs, and how it was measured |

// Its code needs `jwt`. Without that feature the page is shown all the same, with links to docs.rs.
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

#[doc = include_str!("possession.md")]
#[cfg_attr(
    feature = "dpop",
    doc = "
[`DpopKey::generate`]: crate::DpopKey::generate
[`DpopKey::from_signer`]: crate::DpopKey::from_signer
[`AccessToken::request_headers`]: crate::AccessToken::request_headers
[`AccessToken::observe`]: crate::AccessToken::observe"
)]
#[cfg_attr(
    not(feature = "dpop"),
    doc = "
[`DpopKey::generate`]: https://docs.rs/client-credentials/latest/client_credentials/struct.DpopKey.html
[`DpopKey::from_signer`]: https://docs.rs/client-credentials/latest/client_credentials/struct.DpopKey.html
[`AccessToken::request_headers`]: https://docs.rs/client-credentials/latest/client_credentials/struct.AccessToken.html
[`AccessToken::observe`]: https://docs.rs/client-credentials/latest/client_credentials/struct.AccessToken.html"
)]
#[cfg_attr(
    feature = "mtls",
    doc = "
[`ClientAuth::mutual_tls`]: crate::ClientAuth::mutual_tls
[`AccessToken::client_certificate`]: crate::AccessToken::client_certificate"
)]
#[cfg_attr(
    not(feature = "mtls"),
    doc = "
[`ClientAuth::mutual_tls`]: https://docs.rs/client-credentials/latest/client_credentials/struct.ClientAuth.html
[`AccessToken::client_certificate`]: https://docs.rs/client-credentials/latest/client_credentials/struct.AccessToken.html"
)]
#[cfg_attr(
    all(feature = "mtls", feature = "reqwest-middleware"),
    doc = "
[`SameCertificate`]: crate::SameCertificate"
)]
#[cfg_attr(
    not(all(feature = "mtls", feature = "reqwest-middleware")),
    doc = "
[`SameCertificate`]: https://docs.rs/client-credentials/latest/client_credentials/struct.SameCertificate.html"
)]
pub mod possession {}

// Its code needs `pool`.
#[cfg_attr(any(not(doctest), feature = "pool"), doc = include_str!("tenants.md"))]
#[cfg_attr(
    feature = "pool",
    doc = "
[`TokenPool`]: crate::TokenPool
[`TokenPool::new_async`]: crate::TokenPool::new_async
[`BearerAuth`]: crate::BearerAuth"
)]
#[cfg_attr(
    not(feature = "pool"),
    doc = "
[`TokenPool`]: https://docs.rs/client-credentials/latest/client_credentials/struct.TokenPool.html
[`TokenPool::new_async`]: https://docs.rs/client-credentials/latest/client_credentials/struct.TokenPool.html
[`BearerAuth`]: https://docs.rs/client-credentials/latest/client_credentials/struct.BearerAuth.html"
)]
pub mod tenants {}

// Its code needs `serde`.
#[cfg_attr(any(not(doctest), feature = "serde"), doc = include_str!("getting_started.md"))]
pub mod getting_started {}

#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("workload.md")]
pub mod workload {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("providers.md")]
pub mod providers {}

#[doc = include_str!("quirks.md")]
pub mod quirks {}

#[doc = include_str!("cookbook.md")]
#[cfg_attr(
    feature = "blocking",
    doc = "

[`blocking::Tokens`]: crate::blocking::Tokens"
)]
#[cfg_attr(
    not(feature = "blocking"),
    doc = "

[`blocking::Tokens`]: https://docs.rs/client-credentials/latest/client_credentials/blocking/struct.Tokens.html"
)]
pub mod cookbook {}

// Its code needs `redis`.
#[cfg_attr(any(not(doctest), feature = "redis"), doc = include_str!("sharing.md"))]
#[cfg_attr(
    feature = "redis",
    doc = "
[`FileStore`]: crate::FileStore
[`RedisStore`]: crate::RedisStore
[`RedisStore::root_certificates`]: crate::RedisStore::root_certificates
[`RedisStore::password`]: crate::RedisStore::password
[`RedisStore::client_certificate`]: crate::RedisStore::client_certificate
[`RedisStore::sentinels`]: crate::RedisStore::sentinels
[`SealedStore::invalid_records`]: crate::SealedStore::invalid_records
[`SealedStore::timeout`]: crate::SealedStore::timeout
[`Shared`]: crate::Shared
[`Store`]: crate::Store"
)]
#[cfg_attr(
    not(feature = "redis"),
    doc = "
[`FileStore`]: https://docs.rs/client-credentials/latest/client_credentials/struct.FileStore.html
[`RedisStore`]: https://docs.rs/client-credentials/latest/client_credentials/struct.RedisStore.html
[`RedisStore::root_certificates`]: https://docs.rs/client-credentials/latest/client_credentials/struct.RedisStore.html#method.root_certificates
[`RedisStore::password`]: https://docs.rs/client-credentials/latest/client_credentials/struct.RedisStore.html#method.password
[`RedisStore::client_certificate`]: https://docs.rs/client-credentials/latest/client_credentials/struct.RedisStore.html#method.client_certificate
[`RedisStore::sentinels`]: https://docs.rs/client-credentials/latest/client_credentials/struct.RedisStore.html#method.sentinels
[`SealedStore::invalid_records`]: https://docs.rs/client-credentials/latest/client_credentials/struct.SealedStore.html#method.invalid_records
[`SealedStore::timeout`]: https://docs.rs/client-credentials/latest/client_credentials/struct.SealedStore.html#method.timeout
[`Shared`]: https://docs.rs/client-credentials/latest/client_credentials/struct.Shared.html
[`Store`]: https://docs.rs/client-credentials/latest/client_credentials/trait.Store.html"
)]
pub mod sharing {}

// Its code needs `test-util`, `reqwest-middleware` and `shared`.
#[cfg_attr(
    any(not(doctest), all(feature = "test-util", feature = "reqwest-middleware", feature = "shared")),
    doc = include_str!("testing_your_code/introduction.md"),
    doc = "```rust",
    doc = include_str!("testing_your_code/functions.rs"),
    doc = "# fn main() { let (server, clock) = start(); client(&server, tokens(&server, &clock)); }",
    doc = "```",
    doc = include_str!("testing_your_code/tests.md")
)]
#[cfg_attr(
    feature = "test-util",
    doc = "

[`ManualClock`]: crate::ManualClock
[`testing`]: crate::testing
[`FakeTokens`]: crate::testing::FakeTokens
[`Quirk::ALL`]: crate::testing::Quirk::ALL"
)]
#[cfg_attr(
    not(feature = "test-util"),
    doc = "

[`ManualClock`]: https://docs.rs/client-credentials/latest/client_credentials/struct.ManualClock.html
[`testing`]: https://docs.rs/client-credentials/latest/client_credentials/testing/index.html
[`FakeTokens`]: https://docs.rs/client-credentials/latest/client_credentials/testing/struct.FakeTokens.html
[`Quirk::ALL`]: https://docs.rs/client-credentials/latest/client_credentials/testing/enum.Quirk.html"
)]
pub mod testing_your_code {}

/// The code of the page on security runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../SECURITY.md")]
struct Security;
