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
//! | [`cookbook`] | passing the token to twenty-six clients, from async-nats to ureq |
//! | [`performance`] | what a token costs, and how it was measured |

/// A guide with its links: to an item of this crate by its path, or to its page on docs.rs without its feature.
macro_rules! guide {
    ($(#[$attribute:meta])* $name:ident $(, if $feature:meta { $($text:literal: $path:literal, $page:literal;)* })*) => {
        $(#[$attribute])*
        $($(
            #[cfg_attr($feature, doc = concat!("\n\n[`", $text, "`]: crate::", $path))]
            #[cfg_attr(
                not($feature),
                doc = concat!("\n\n[`", $text, "`]: https://docs.rs/client-credentials/latest/client_credentials/", $page)
            )]
        )*)*
        pub mod $name {}
    };
}

guide! {
    // Its code needs `jwt`. Without that feature the page is shown all the same, with links to docs.rs.
    #[cfg_attr(
        any(not(doctest), feature = "jwt"),
        doc = include_str!("authentication.md")
    )]
    authentication, if feature = "jwt" {
        "client_secret_jwt": "ClientAuth::client_secret_jwt", "struct.ClientAuth.html#method.client_secret_jwt";
        "private_key_jwt": "ClientAuth::private_key_jwt", "struct.ClientAuth.html#method.private_key_jwt";
        "Signer": "Signer", "trait.Signer.html";
    }
}

guide! {
    #[doc = include_str!("possession.md")]
    possession, if feature = "dpop" {
        "DpopKey::generate": "DpopKey::generate", "struct.DpopKey.html";
        "DpopKey::from_signer": "DpopKey::from_signer", "struct.DpopKey.html";
        "AccessToken::request_headers": "AccessToken::request_headers", "struct.AccessToken.html";
        "AccessToken::observe": "AccessToken::observe", "struct.AccessToken.html";
    }, if feature = "mtls" {
        "ClientAuth::mutual_tls": "ClientAuth::mutual_tls", "struct.ClientAuth.html";
        "AccessToken::client_certificate": "AccessToken::client_certificate", "struct.AccessToken.html";
    }, if all(feature = "mtls", feature = "reqwest-middleware") {
        "SameCertificate": "SameCertificate", "struct.SameCertificate.html";
    }
}

guide! {
    // Its code needs `pool`.
    #[cfg_attr(any(not(doctest), feature = "pool"), doc = include_str!("tenants.md"))]
    tenants, if feature = "pool" {
        "TokenPool": "TokenPool", "struct.TokenPool.html";
        "TokenPool::new_async": "TokenPool::new_async", "struct.TokenPool.html";
        "BearerAuth": "BearerAuth", "struct.BearerAuth.html";
    }
}

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

guide! {
    #[doc = include_str!("cookbook.md")]
    cookbook, if feature = "blocking" {
        "blocking::Tokens": "blocking::Tokens", "blocking/struct.Tokens.html";
    }
}

guide! {
    // Its code needs `redis`.
    #[cfg_attr(any(not(doctest), feature = "redis"), doc = include_str!("sharing.md"))]
    sharing, if feature = "redis" {
        "FileStore": "FileStore", "struct.FileStore.html";
        "RedisStore": "RedisStore", "struct.RedisStore.html";
        "RedisStore::root_certificates": "RedisStore::root_certificates", "struct.RedisStore.html#method.root_certificates";
        "RedisStore::password": "RedisStore::password", "struct.RedisStore.html#method.password";
        "RedisStore::client_certificate": "RedisStore::client_certificate", "struct.RedisStore.html#method.client_certificate";
        "RedisStore::sentinels": "RedisStore::sentinels", "struct.RedisStore.html#method.sentinels";
        "SealedStore::invalid_records": "SealedStore::invalid_records", "struct.SealedStore.html#method.invalid_records";
        "SealedStore::timeout": "SealedStore::timeout", "struct.SealedStore.html#method.timeout";
        "Shared": "Shared", "struct.Shared.html";
        "Store": "Store", "trait.Store.html";
    }
}

guide! {
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
    testing_your_code, if feature = "test-util" {
        "ManualClock": "ManualClock", "struct.ManualClock.html";
        "testing": "testing", "testing/index.html";
        "FakeTokens": "testing::FakeTokens", "testing/struct.FakeTokens.html";
        "Quirk::ALL": "testing::Quirk::ALL", "testing/enum.Quirk.html";
    }
}

/// The code of the page on security runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../SECURITY.md")]
struct Security;
