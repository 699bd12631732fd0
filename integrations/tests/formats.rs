//! One configuration in three formats gives the same source, and its faults are found in each.

#![allow(clippy::unwrap_used, reason = "tests")]

use client_credentials::{ClientCredentials, Config};

const TOML: &str = r#"
issuer = "https://auth.example.com/realms/demo"
scopes = ["invoices:read", "invoices:write"]
strict = true

[auth]
method = "client_secret_basic"
client_id = "billing"
secret_file = "/run/secrets/client-secret"

[cache]
max_age = "8h"

[retry]
attempts = 5
"#;

const YAML: &str = "
issuer: https://auth.example.com/realms/demo
scopes: [invoices:read, 'invoices:write']
strict: true
auth:
  method: client_secret_basic
  client_id: billing
  secret_file: /run/secrets/client-secret
cache:
  max_age: 8h
retry:
  attempts: 5
";

const JSON: &str = r#"{
  "issuer": "https://auth.example.com/realms/demo",
  "scopes": ["invoices:read", "invoices:write"],
  "strict": true,
  "auth": {
    "method": "client_secret_basic",
    "client_id": "billing",
    "secret_file": "/run/secrets/client-secret"
  },
  "cache": { "max_age": "8h" },
  "retry": { "attempts": 5 }
}"#;

type Read = Result<Config, String>;

fn all(change: impl Fn(&str) -> String) -> [Read; 3] {
    [
        toml::from_str(&change(TOML)).map_err(|e| e.to_string()),
        serde_saphyr::from_str(&change(YAML)).map_err(|e| e.to_string()),
        serde_json::from_str(&change(JSON)).map_err(|e| e.to_string()),
    ]
}

#[test]
fn a_source_is_the_same_from_toml_yaml_and_json() {
    let explained = |config: Read| ClientCredentials::builder_from(config.unwrap()).unwrap().explain().to_string();
    let [toml, yaml, json] = all(str::to_owned).map(explained);
    assert!(toml.contains("file /run/secrets/client-secret") && toml.contains("max_age: 28800s"), "{toml}");
    assert_eq!(toml, yaml);
    assert_eq!(toml, json);
}

#[test]
fn every_fault_is_found_in_each_format_with_its_path() {
    let spoiled = |text: &str| text.replace("secret_file", "secret").replace("max_age", "max_agee").replace('5', "-1");
    for config in all(spoiled) {
        let text = config.unwrap_err();
        for expected in
            ["auth.secret would be a secret in plain text", "cache.max_agee does not exist", "retry.attempts"]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("/run/secrets"), "the value is shown: {text}");
    }
}
