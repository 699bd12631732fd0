use std::ffi::OsString;

use serde_json::{Value, json};

use super::members::{MEMBERS, MemberKind};
use super::{Config, env};
use crate::client_credentials::{ClientCredentials, ClientCredentialsBuilder};
use crate::error::{Error, ErrorKind};

fn read(json: &Value) -> Result<ClientCredentialsBuilder, String> {
    let config: Config = serde_json::from_value(json.clone()).map_err(|e| e.to_string())?;
    ClientCredentials::builder_from(config).map_err(|e: Error| e.to_string())
}

fn vars(all: &[(&str, &str)]) -> Config {
    env::read("BILLING_", all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

#[test]
fn a_file_becomes_a_builder() {
    let builder = read(&json!({
        "issuer": "https://auth.example.com", "scopes": ["a", "b c"], "audience": "api", "resources": "https://x https://y",
        "auth": {"method": "client_secret_basic", "client_id": "billing", "secret_file": "/run/secret"},
        "params": {"account_id": "7"}, "headers": {"user-agent": "billing/1"},
        "cache": {"max_age": "8h", "due_backoff_first": "20ms"}, "retry": {"attempts": 5}, "limits": {"attempt_timeout": 2.5},
    }));
    let text = builder.unwrap().explain().to_string();
    for expected in [
        "metadata of \"https://auth.example.com\"",
        "scope: a b c",
        "audience: api",
        "resource: https://x ",
        "resource: https://y ",
        "account_id: 1 characters",
        "user-agent: 9 bytes",
        "file /run/secret",
        "max_age: 28800s",
        "attempts: 5",
        "attempt_timeout: 2.5s",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn every_fault_is_reported_at_once_with_its_path() {
    let error = read(&json!({
        "isuer": "https://a", "strict": "yes", "auth": {"method": "basic", "client_id": 7, "secret": "canary", "sercet_file": "x", "key_file": "x"},
        "cache": {"max_age": "long"}, "retry": {"attempts": -1}, "params": {"a": 1}, "limits": 7,
    }));
    let error = error.unwrap_err();
    for expected in [
        "isuer does not exist: is issuer meant?",
        "strict is neither true nor false",
        "auth.method is not one of client_secret_basic,",
        "auth.client_id is not a text",
        "auth.secret would be a secret in plain text, where it is copied, committed and logged: give auth.secret_file or auth.secret_env",
        "auth.sercet_file does not exist: is auth.secret_file meant?",
        "cache.max_age is not a duration",
        "retry.attempts is not a whole number",
        "params is not a table of texts",
        "limits is not a table",
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(!error.contains("canary"), "{error}");
    assert!(!error.contains("auth.key_file"), "a method that does not exist has no members: {error}");

    let error = read(&json!({
        "token_endpoint": "http://a.example/token", "issuer": "https://a.example",
        "auth": {"method": "client_secret_post", "client_id": "", "key_file": "x", "audience": "x"},
        "scopes": ["\""], "cache": {"max_age": 0}, "limits": {"attempt_timeout": 0}, "dpop": {"key_file": "x", "key_env": "y"},
        "store": {"directory": "/x"}, "http": {"proxy": "http://user:canary@proxy", "ca_file": "/nowhere"},
    }));
    let error = error.unwrap_err();
    for expected in [
        "of token_endpoint, issuer and protected_resource only one can be given",
        "auth.secret_file or auth.secret_env is missing",
        "auth.key_file is no member of the method client_secret_post",
        "auth.audience is no member of the method client_secret_post",
        "scopes \"\\\"\" has a character",
        "cache.max_age is zero",
        "limits.attempt_timeout is zero",
        "of dpop.key_file and dpop.key_env only one can be given",
        "store.seal_key_file or store.seal_key_env is missing",
        "http.proxy has a user or password",
        "http.ca_file cannot be read",
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(!error.contains("canary"), "{error}");
    assert_eq!(error.matches("max_age").count(), 1, "{error}");
    let empty = read(&json!({})).unwrap_err();
    assert!(empty.contains("token_endpoint, issuer or protected_resource is missing"), "{empty}");
    assert!(empty.contains("auth.method is missing"), "{empty}");
}

#[cfg(unix)]
#[test]
fn a_file_of_certificates_must_be_a_regular_file() {
    // FA3
    let place = tempfile::tempdir().unwrap();
    let fifo = place.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let large = place.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    for (path, told) in [
        (fifo.to_str().unwrap(), "a FIFO"),
        (large.to_str().unwrap(), "larger than 1 MiB"),
        ("/dev/zero", "a device"),
        ("/", "a directory"),
    ] {
        let error = read(&json!({
            "token_endpoint": "https://a.example/token", "auth": {"method": "none", "client_id": "x"},
            "http": {"ca_file": path},
        }));
        let error = error.unwrap_err();
        assert!(error.contains("http.ca_file") && error.contains(told), "{path}: {error}");
    }
}

#[test]
fn every_method_is_built_from_its_own_members() {
    let key = include_str!("../testing/certificates/client.key.pem");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, key).unwrap();
    for (method, members) in [
        ("client_secret_basic", json!({"secret_file": "x"})),
        ("client_secret_basic_raw", json!({"secret_file": "x"})),
        ("client_secret_post", json!({"secret_file": "x"})),
        (
            "client_secret_jwt",
            json!({"secret_file": "x", "algorithm": "HS512", "audience": "https://a", "lifetime": "30s"}),
        ),
        (
            "private_key_jwt",
            json!({"key_file": path, "audience": "https://a", "key_id": "1", "typ": "JWT", "not_before": true}),
        ),
        ("client_assertion", json!({"assertion_file": "x", "assertion_type": "urn:x"})),
        ("mutual_tls", json!({"key_file": path, "certificate_file": "x"})),
        ("none", json!({})),
    ] {
        let missing = match method {
            "client_secret_jwt" | "private_key_jwt" if !cfg!(feature = "jwt") => Some("needs the feature jwt"),
            "mutual_tls" if !cfg!(feature = "mtls") => Some("needs the feature mtls"),
            _ => None,
        };
        let mut auth = members;
        auth["method"] = method.into();
        auth["client_id"] = "billing".into();
        let config = json!({"token_endpoint": "https://a.example/token", "auth": auth});
        match read(&config).and_then(|builder| builder.build().map_err(|e| e.to_string())) {
            Ok(_) => assert_eq!(missing, None, "{method}"),
            Err(error) => assert!(missing.is_some_and(|missing| error.contains(missing)), "{method}: {error}"),
        }
    }
    let anonymous = json!({"token_endpoint": "https://a.example/token", "auth": {"method": "anonymous"}, "dpop": {"generate": true}});
    assert_eq!(read(&anonymous).is_ok(), cfg!(feature = "dpop"));
    let api = json!({"protected_resource": {"url": "https://api.example", "allowed_issuers": ["https://a.example"]}, "auth": {"method": "anonymous"}});
    assert!(read(&api).is_ok());
}

#[test]
fn variables_have_the_names_of_the_members() {
    let config = vars(&[
        ("BILLING_TOKEN_ENDPOINT", "https://a.example/token"),
        ("BILLING_AUTH_METHOD", "client_secret_post"),
        ("BILLING_AUTH_CLIENT_ID", "billing"),
        ("BILLING_AUTH_SECRET", "canary"),
        ("BILLING_SCOPES", "a b"),
        ("BILLING_STRICT", "true"),
        ("BILLING_RETRY_ATTEMPTS", "7"),
        ("BILLING_PARAMS_ACCOUNT_ID", "1"),
        ("BILLING_HEADERS_USER_AGENT", "x"),
        ("BILLING_PORT", "8080"),
        ("OTHER_ISSUER", "x"),
    ]);
    let shown = format!("{config:?}");
    assert!(shown.contains("auth.secret_env") && !shown.contains("canary"), "{shown}");
    assert_eq!(config.members["auth"]["secret_env"], "BILLING_AUTH_SECRET");
    assert_eq!(config.members["params"], json!({"account_id": "1"}));
    assert_eq!(config.members["headers"], json!({"user-agent": "x"}));
    assert_eq!((&config.members["strict"], &config.members["retry"]["attempts"]), (&json!(true), &json!(7)));
    assert_eq!(config.members["scopes"], json!(["a", "b"]));

    let error = ClientCredentials::builder_from(vars(&[("BILLING_AUTH_SERCET", "canary"), ("BILLING_STRICT", "yes")]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    for expected in ["unknown variable: BILLING_AUTH_SERCET", "strict is neither", "auth.method is missing"] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(!error.to_string().contains("canary"), "{error}");
    assert!(
        error.to_string().ends_with("(variables are named like BILLING_AUTH_CLIENT_ID for auth.client_id)"),
        "{error}"
    );
    assert!(ClientCredentials::builder_from(Config::from_env("")).unwrap_err().to_string().contains("prefix"));
}

#[test]
fn flags_override_a_file_and_replace_what_they_exclude() {
    let file: Config = serde_json::from_value(json!({
        "issuer": "https://a.example", "auth": {"method": "none", "client_id": "a", "secret_env": "X"}, "scopes": ["a"],
    }))
    .unwrap();
    let flags =
        Config::new().set("token_endpoint", "https://b.example/t").set("auth.secret_file", "y").set("strict", "true");
    let both = file.overridden_by(flags);
    assert_eq!(
        Value::Object(both.members),
        json!({"token_endpoint": "https://b.example/t", "auth": {"method": "none", "client_id": "a", "secret_file": "y"},
            "scopes": ["a"], "strict": true})
    );
}

#[test]
fn a_proxy_is_the_url_of_a_host_without_a_password() {
    for (proxy, flaw) in [
        ("http://proxy.example:3128", None),
        ("https://proxy.example", None),
        ("http://user@proxy.example", Some("http.proxy has a user or password")),
        ("http://:pass@proxy.example", Some("http.proxy has a user or password")),
        ("proxy.example:3128", Some("http.proxy is not a URL")),
        ("", Some("http.proxy is not a URL")),
    ] {
        let built = read(
            &json!({"token_endpoint": "https://a.example/t", "auth": {"method": "anonymous"}, "http": {"proxy": proxy}}),
        );
        match flaw {
            None => assert!(built.is_ok(), "{proxy}: {built:?}"),
            Some(flaw) => assert!(built.unwrap_err().contains(flaw), "{proxy}"),
        }
    }
}

#[test]
fn members_that_exclude_each_other_are_refused_in_a_layered_configuration_too() {
    let file = || {
        let members = json!({"issuer": "https://a.example", "token_endpoint": "https://a.example/t",
            "auth": {"method": "client_secret_post", "client_id": "a", "secret_file": "x", "secret_env": "X"}});
        serde_json::from_value::<Config>(members).unwrap()
    };
    let below = Config::new().set("protected_resource.url", "https://b.example").set("auth.secret_env", "Y");
    for config in [file(), Config::new().overridden_by(file()), below.overridden_by(file())] {
        let error = ClientCredentials::builder_from(config).unwrap_err().to_string();
        assert!(error.contains("of token_endpoint, issuer and protected_resource only one"), "{error}");
        assert!(error.contains("of auth.secret_file and auth.secret_env only one"), "{error}");
    }
}

/// The schema that the repository must have.
fn schema() -> Value {
    let duration = json!({"oneOf": [{"type": "string", "pattern": "^[0-9]+ ?(ms|s|m|min|h|d)?$"}, {"type": "number", "minimum": 0}]});
    let mut root = serde_json::Map::new();
    for member in MEMBERS {
        let mut schema = match member.kind {
            MemberKind::Text => json!({"type": "string"}),
            MemberKind::OneOf(all) => json!({"enum": all}),
            MemberKind::List => json!({"oneOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
            MemberKind::Table => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            MemberKind::Flag => json!({"type": "boolean"}),
            MemberKind::Number => json!({"type": "integer", "minimum": 0}),
            MemberKind::Duration => duration.clone(),
            MemberKind::Json => json!({}),
        };
        schema["description"] = member.about.into();
        match member.path.split_once('.') {
            None => root.insert(member.path.to_owned(), schema),
            Some((table, name)) => {
                let empty = || json!({"type": "object", "additionalProperties": false, "properties": {}});
                root.entry(table).or_insert_with(empty)["properties"]
                    .as_object_mut()
                    .unwrap()
                    .insert(name.to_owned(), schema)
            }
        };
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of client-credentials",
        "type": "object",
        "additionalProperties": false,
        "required": ["auth"],
        "oneOf": [{"required": ["token_endpoint"]}, {"required": ["issuer"]}, {"required": ["protected_resource"]}],
        "properties": root,
    })
}

#[test]
fn the_schema_in_the_repository_has_the_members_of_the_struct() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected, "write it with BLESS=1");
}

#[test]
fn debug_shows_no_value() {
    let config = Config::new().set("auth.secret_env", "canary").set("name", "canary");
    assert_eq!(format!("{config:?}"), r#"Config {"auth.secret_env", "name"}"#);
}
