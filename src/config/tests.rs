mod layers;
mod refused;
mod schema;

use std::ffi::OsString;

use serde_json::{Value, json};

use super::members::{MEMBERS, MemberKind};
use super::reader::nearest;
use super::{Config, env};
use crate::client_credentials::{ClientCredentials, ClientCredentialsBuilder};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind};

fn read(json: &Value) -> Result<ClientCredentialsBuilder, String> {
    let config: Config = serde_json::from_value(json.clone()).map_err(|e| e.to_string())?;
    ClientCredentials::builder_from(config).map_err(|e: Error| e.to_string())
}

fn vars(all: &[(&str, &str)]) -> Config {
    env::read("BILLING_", all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

/// What is reported for these members, beside a token endpoint if they name no server.
fn faults(mut members: Value) -> String {
    if members.get("issuer").is_none() && members.get("protected_resource").is_none() {
        members["token_endpoint"] = "https://a.example/token".into();
    }
    read(&members).err().unwrap_or_default()
}

fn faults_of(auth: Value) -> String {
    faults(json!({"auth": auth}))
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
    let mut built = vec!["anonymous"];
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
        built.push(method);
        let missing = match method {
            "client_secret_jwt" | "private_key_jwt" if !cfg!(feature = "jwt") => Some("needs the feature jwt"),
            "mutual_tls" if !cfg!(feature = "mtls") => Some("needs the feature mtls"),
            _ => None,
        };
        let mut auth = members;
        auth["method"] = method.into();
        auth["client_id"] = "billing".into();
        let config = json!({"token_endpoint": "https://a.example/token", "auth": auth});
        let result = read(&config)
            .and_then(|builder| Ok((builder.draft().builder.auth, builder.build().map_err(|e| e.to_string())?)));
        match result {
            Ok((auth, _)) => {
                let name = match method {
                    "client_secret_basic_raw" => "client_secret_basic",
                    "mutual_tls" => "mutual TLS",
                    other => other,
                };
                assert_eq!((auth.name(), auth.id(), missing), (name, "billing", None), "{method}");
            }
            Err(error) => assert!(missing.is_some_and(|missing| error.contains(missing)), "{method}: {error}"),
        }
    }
    let anonymous = json!({"token_endpoint": "https://a.example/token", "auth": {"method": "anonymous"}, "dpop": {"generate": true}});
    assert_eq!(read(&anonymous).is_ok(), cfg!(feature = "dpop"));
    let api = json!({"protected_resource": {"url": "https://api.example", "allowed_issuers": ["https://a.example"]}, "auth": {"method": "anonymous"}});
    assert!(read(&api).is_ok());
    let is_built = |method: &&str| built.contains(method);
    assert!(super::members::METHODS.iter().all(is_built), "not all methods are among {built:?}");
}

#[test]
fn flags_and_durations_arrive_in_the_builder() {
    let draft = |members: Value| read(&members).unwrap();
    let auth = json!({"method": "client_secret_basic", "client_id": "a", "secret_file": "/x"});
    let set = draft(json!({"issuer": "https://a.example", "metadata_lifetime": "1h", "auth": auth, "strict": true,
        "json_body": true, "refuse_narrower_scope": true, "cache": {"max_age": "2d", "fetch_timeout": "3m",
        "safety_margin": "4 min", "default_lifetime": 1.5, "refresh_window": "250ms"}}));
    assert!(set.rules.strict && set.json_body && set.rules.refuse_narrower_scope);
    let seconds = std::time::Duration::from_secs;
    assert_eq!((set.cache.max_age, set.cache.fetch_timeout), (seconds(2 * 86_400), seconds(180)));
    assert_eq!((set.cache.safety_margin, set.cache.default_lifetime.as_millis()), (seconds(240), 1500));
    assert_eq!(set.cache.refresh_window.unwrap().as_millis(), 250);
    let unset = draft(json!({"token_endpoint": "https://a.example/t", "auth": auth, "strict": false}));
    assert!(!unset.rules.strict && !unset.json_body && !unset.rules.refuse_narrower_scope);
}

#[cfg(feature = "shared")]
#[test]
fn a_store_has_a_directory_and_a_key_and_no_scopes_on_demand() {
    let with = |directory: &str, step_up: &[&str]| {
        read(&json!({"token_endpoint": "https://a.example/t", "auth": {"method": "none", "client_id": "a"},
            "store": {"directory": directory, "seal_key_file": "/x"}, "step_up": step_up}))
    };
    assert!(with("/tokens", &[]).unwrap().explain().to_string().contains("shared: true"));
    assert!(with("", &[]).unwrap_err().contains("store.directory is missing"));
    let timeout = |timeout: &str| {
        let store = json!({"directory": "/tokens", "seal_key_file": "/x", "timeout": timeout});
        faults(json!({"auth": {"method": "none", "client_id": "a"}, "store": store}))
    };
    assert_eq!(timeout("5s"), "");
    assert!(timeout("0").contains("store.timeout is zero") && timeout("soon").contains("store.timeout"));
    assert!(with("/tokens", &["a"]).unwrap_err().contains("cannot be combined with step_up"));
}

#[test]
fn an_http_client_is_made_for_a_proxy_or_a_file_of_authorities() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/authority.crt");
    for (members, is_made) in [
        (json!({}), false),
        (json!({"http": {"proxy": "http://proxy.example:3128"}}), true),
        (json!({"http": {"ca_file": file}}), cfg!(feature = "rustls")),
    ] {
        let members = members.as_object().unwrap();
        let made = super::http::http(&mut super::reader::Reader::new(members, &Default::default()));
        assert_eq!(made.is_some(), is_made, "{members:?}");
    }
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn requests_go_by_way_of_the_proxy_of_the_configuration() {
    let unbound = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let builder = read(
        &json!({"token_endpoint": "https://auth.example.invalid/token", "auth": {"method": "none", "client_id": "x"},
        "retry": {"attempts": 1}, "http": {"proxy": format!("http://{unbound}")}}),
    );
    let error = builder.unwrap().build().unwrap().token().await.unwrap_err().to_string();
    assert!(error.contains(&format!("{unbound} from the HTTP client's own settings")), "{error}");
}

#[cfg(feature = "rustls")]
#[test]
fn the_file_of_authorities_has_a_certificate() {
    let with = |file: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/").to_owned() + file;
        faults(json!({"auth": {"method": "anonymous"}, "http": {"ca_file": path}}))
    };
    assert_eq!(with("authority.crt"), "");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key");
    assert!(with("client_1.key").contains(&format!("http.ca_file {path} has no certificate in PEM")));
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in
        ["-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n?"]
    {
        std::fs::write(file.path(), content).unwrap();
        let config = json!({"auth": {"method": "anonymous"}, "http": {"ca_file": file.path()}});
        assert!(faults(config).contains(&format!("http.ca_file {} has ", file.path().display())), "{content}");
    }
}

#[test]
fn the_token_that_is_presented_decides_which_grant_it_is() {
    let sent = |builder: &ClientCredentialsBuilder| {
        let params = builder.draft().params;
        let secrets: Vec<_> = builder.secrets.0.iter().map(|(name, _)| name.clone()).collect();
        let given = ["grant_type", "subject_token_type", "requested_token_type", "actor_token_type"]
            .map(|name| params.get(name).map(str::to_owned).unwrap_or_default());
        (given.map(|urn| urn.rsplit(':').next().unwrap().to_owned()), secrets.join(" "))
    };
    let of = |grant: Value| {
        let auth = json!({"method": "anonymous"});
        read(&json!({"token_endpoint": "https://a.example/token", "auth": auth, "grant": grant})).unwrap()
    };
    let texts = |[a, b, c, d]: [&str; 4], secrets: &str| ([a, b, c, d].map(str::to_owned), secrets.to_owned());
    assert_eq!(
        sent(&of(json!({"subject_token_file": "/x"}))),
        texts(["token-exchange", "jwt", "", ""], "subject_token")
    );
    assert_eq!(
        sent(&of(json!({"subject_token_file": "/x", "subject_token_type": "urn:a", "requested_token_type": "urn:b",
            "actor_token_file": "/y", "actor_token_type": "urn:c"}))),
        texts(["token-exchange", "a", "b", "c"], "subject_token actor_token")
    );
    assert_eq!(sent(&of(json!({"assertion_file": "/x"}))), texts(["jwt-bearer", "", "", ""], "assertion"));
    let server = Config::new().set("token_endpoint", "https://a.example/token").set("auth.method", "anonymous");
    let program = server.clone().credential("grant.assertion", Credential::from("x"));
    let program = ClientCredentials::builder_from(program).unwrap();
    assert_eq!(sent(&program), texts(["jwt-bearer", "", "", ""], "assertion"));
    let variables = server.overridden_by(vars(&[("BILLING_GRANT_SUBJECT_TOKEN", "x")]));
    assert_eq!(variables.get("grant.subject_token_env"), Some(&"BILLING_GRANT_SUBJECT_TOKEN".into()));

    let other = Config::new().set("grant.assertion_file", "/x");
    let other = variables.overridden_by(other);
    assert_eq!(other.get("grant.subject_token_env"), None, "replaced");
}

#[test]
fn debug_shows_no_value() {
    let config = Config::new().set("auth.secret_env", "canary").set("name", "canary");
    assert_eq!(format!("{config:?}"), r#"Config {"auth.secret_env", "name"}"#);
}
