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
        "auth.client_id": "x", "cache": {"max_age": "long"}, "retry": {"attempts": -1}, "params": {"a": 1}, "limits": 7,
    }));
    let error = error.unwrap_err();
    for expected in [
        "isuer does not exist: is issuer meant?",
        "strict is neither true nor false",
        "auth.method is not one of client_secret_basic,",
        "auth.client_id is not a text",
        "auth.client_id is one name with a dot: give a table, and the member in it",
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
        "http.ca_file /nowhere cannot be read",
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
fn what_build_would_refuse_is_reported_with_the_path_of_its_member() {
    let missing = "NO_SUCH_VARIABLE_OF_CONFIG";
    let auth = |method: &str, member: &str, value: &str| {
        let mut auth = json!({"method": method, "client_id": "a"});
        auth[member] = value.into();
        for (credential, methods) in [
            ("secret", &["client_secret_basic", "client_secret_basic_raw", "client_secret_jwt"][..]),
            ("key", &["private_key_jwt"]),
            ("assertion", &["client_assertion"]),
        ] {
            if methods.contains(&method) && member != format!("{credential}_env") {
                auth[format!("{credential}_file")] = "/x".into();
            }
        }
        if method.ends_with("jwt") && member != "audience" {
            auth["audience"] = "https://a.example".into();
        }
        faults_of(auth)
    };
    let mut rows = vec![
        (auth("none", "client_id", ""), "auth.client_id is empty"),
        (auth("client_secret_basic", "secret_env", missing), "auth.secret cannot be read"),
        (auth("client_secret_basic_raw", "client_id", "a:b"), "auth.client_id has a colon"),
        (auth("client_assertion", "assertion_env", missing), "auth.assertion cannot be read"),
        (auth("client_assertion", "assertion_type", ""), "auth.assertion_type is empty"),
        (faults(json!({"auth": {"method": "anonymous"}, "scopes": ["\""]})), "scopes \"\\\"\" has a character"),
        (faults(json!({"auth": {"method": "anonymous"}, "params": {"": "x"}})), "params has an empty name"),
        (faults(json!({"auth": {"method": "anonymous"}, "headers": {"host": "x"}})), "headers host cannot be set"),
        (
            faults(json!({"auth": {"method": "anonymous"}, "protected_resource": {"url": "https://b.example"}})),
            "protected_resource.allowed_issuers is empty",
        ),
        (
            faults(json!({"auth": {"method": "anonymous"}, "protected_resource": {"url": "https://b.example",
                "allowed_issuers": "https://a.example", "scopes_from_api": true, "omit_resource": true}})),
            "protected_resource.scopes_from_api lets the API choose",
        ),
        (faults(json!({"auth": {"method": "anonymous"}, "retry": {"attempts": 0}})), "retry.attempts "),
        (
            faults(json!({"auth": {"method": "anonymous"}, "retry": {"backoff_first": "9s", "backoff_max": "1s"}})),
            "retry.backoff_first ",
        ),
        (
            faults(
                json!({"auth": {"method": "anonymous"}, "cache": {"due_backoff_first": "9s", "due_backoff_max": "1s"}}),
            ),
            "cache.due_backoff_first ",
        ),
    ];
    if cfg!(feature = "jwt") {
        rows.extend([
            (auth("private_key_jwt", "key_env", missing), "auth.key cannot be read"),
            (auth("private_key_jwt", "certificate_env", missing), "auth.certificate cannot be read"),
            (auth("private_key_jwt", "audience", ""), "auth.audience is empty"),
            (auth("private_key_jwt", "key_id", ""), "auth.key_id is empty"),
            (auth("private_key_jwt", "algorithm", "HS256"), "auth.algorithm HS256 needs a shared secret"),
            (auth("client_secret_jwt", "algorithm", "RS384"), "auth.algorithm RS384 needs a private key"),
            (auth("client_secret_jwt", "lifetime", "2h"), "auth.lifetime is not between"),
        ]);
    }
    if cfg!(feature = "shared") {
        let store = json!({"directory": "/x", "seal_key_env": missing});
        let auth = json!({"method": "none", "client_id": "a"});
        rows.push((faults(json!({"auth": auth, "store": store})), "store the seal key cannot be read"));
    }
    for (error, expected) in rows {
        assert!(error.contains(&format!("the configuration is not usable: {expected}")), "{expected}: {error}");
        assert!(!error.contains("; "), "one fault: {error}");
    }
}

#[test]
fn a_shared_secret_has_no_key_id() {
    let auth = json!({"method": "client_secret_jwt", "client_id": "a", "secret_env": "X", "key_id": "1"});
    let error = read(&json!({"token_endpoint": "https://a.example/token", "auth": auth})).unwrap_err();
    assert!(error.contains("auth.key_id is no member of the method client_secret_jwt"), "{error}");
}

#[test]
fn a_name_is_a_misspelling_of_another_if_few_letters_differ() {
    for (name, is_near) in [("abcdefgh", true), ("abcdef", true), ("abcde", true), ("abcd", false), ("ab", false)] {
        assert_eq!(nearest(name, ["abcdefgh"].into_iter()).is_some(), is_near, "{name}");
    }
}

#[test]
fn a_fault_of_the_members_is_reported_once_and_no_other() {
    for (members, expected, others) in [
        (json!({"auth": {"method": 7}}), "auth.method is not one of", "is missing"),
        (json!({"auth": {"method": "none"}}), "auth.client_id is missing", "is empty"),
        (
            json!({"auth": {"method": "client_secret_pots", "client_id": "a", "secret_file": "x"}}),
            "auth.method",
            "no member of",
        ),
        (json!({"auth": {"method": "none", "client_id": "a", "foo": "x"}}), "auth.foo does not exist", "no member of"),
        (
            json!({"auth": {"method": "anonymous"}, "protected_resource": {}}),
            "protected_resource.url is missing",
            "resource \"\"",
        ),
        (
            json!({"auth": {"method": "anonymous"}, "protected_resource": {"url": 7}}),
            "protected_resource.url is not a text",
            "is missing",
        ),
        (
            json!({"auth": {"method": "anonymous"}, "metadata_lifetime": "1h"}),
            "metadata_lifetime does nothing with token_endpoint",
            "pin_",
        ),
        (
            json!({"auth": {"method": "anonymous"}, "scopes": ["a", 7]}),
            "scopes is not a list of texts",
            "has a character",
        ),
        (
            json!({"auth": {"method": "anonymous"}, "retry": {"attempts": 4_294_967_296_u64}}),
            "retry.attempts is too large",
            "zero",
        ),
        (json!({"auth": {"method": "anonymous"}, "qqqqqqqqqqqqqqqq": 1}), "qqqqqqqqqqqqqqqq does not exist", "meant?"),
        (
            json!({"auth": {"method": "anonymous"}, "secret": "x"}),
            "auth.secret would be a secret in plain text",
            "does not exist",
        ),
        (json!({"auth": {"method": "anonymous"}, "strcit": true}), "strcit does not exist: is strict meant?", "auth."),
        (
            json!({"auth": {"method": "anonymous"}, "issuer": "https://a.example", "cache": {"max_aeg": 1}}),
            "is cache.max_age meant?",
            "; ",
        ),
    ] {
        let error = faults(members);
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains(others), "{others}: {error}");
    }
    let error = faults(json!({"auth": {"method": "anonymous"}, "store": {"seal_key": "x"}}));
    assert!(
        error.contains("store.seal_key would be a secret") && error.contains("give store.seal_key_file"),
        "{error}"
    );
    let unknown = Config::new().set("auth.method", "client_secret_pots").set("auth.secret_file", "x");
    let error = ClientCredentials::builder_from(unknown).unwrap_err().to_string();
    assert!(error.contains("auth.method is not one of") && !error.contains("no member of"), "{error}");
    let unknown = Config::new().set("auth.method", "none").set("auth.foo", "x");
    let error = ClientCredentials::builder_from(unknown).unwrap_err().to_string();
    assert!(error.contains("auth.foo does not exist") && !error.contains("no member of"), "{error}");
    let error = faults(json!({"auth": {"method": "anonymous"}, "issuer": "https://a.example", "metadata_lifetime": 0,
        "cache": {"max_age": 0, "fetch_timeout": 0}}));
    for member in ["metadata_lifetime", "cache.max_age", "cache.fetch_timeout"] {
        assert_eq!(
            error.matches(&format!("{member} is zero: give a duration above it")).count(),
            1,
            "{member}: {error}"
        );
    }
    assert_eq!(error.matches("is zero").count(), 3, "{error}");
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
    assert!(with("/tokens", &["a"]).unwrap_err().contains("does not go with step_up"));
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
fn what_is_missing_in_a_grant_or_excludes_another_member_is_reported() {
    let missing = "NO_SUCH_VARIABLE_OF_CONFIG";
    for (grant, expected) in [
        (json!({}), "grant.subject_token_file or grant.assertion_file is missing"),
        (json!({"actor_token_file": "/x"}), "grant.subject_token_file or grant.assertion_file is missing"),
        (
            json!({"subject_token_file": "/x", "assertion_env": "X"}),
            "of grant.subject_token and grant.assertion only one",
        ),
        (
            json!({"assertion_file": "/x", "assertion_env": "X"}),
            "of grant.assertion_file and grant.assertion_env only one",
        ),
        (
            json!({"assertion_file": "/x", "subject_token_type": "a"}),
            "grant.subject_token_type needs grant.subject_token",
        ),
        (json!({"assertion_file": "/x", "actor_token_file": "/y"}), "grant.actor_token needs grant.subject_token"),
        (json!({"subject_token_file": "/x", "actor_token_file": "/y"}), "grant.actor_token_type is missing"),
        (
            json!({"subject_token_file": "/x", "actor_token_type": "a"}),
            "grant.actor_token_file or grant.actor_token_env is",
        ),
        (json!({"subject_token_file": ""}), "grant.subject_token_file is empty"),
        (json!({"subject_token_file": 7}), "grant.subject_token_file is not a text"),
        (json!({"subject_token": "x"}), "grant.subject_token would be a secret in plain text"),
        (json!({"subject_token_env": missing}), "grant.subject_token cannot be read"),
        (json!({"assertion_env": missing}), "grant.assertion cannot be read"),
        (
            json!({"subject_token_file": "/x", "actor_token_env": missing, "actor_token_type": "a"}),
            "grant.actor_token cannot be read",
        ),
        (json!({"type": "token_exchange", "assertion_file": "/x"}), "grant.type does not exist"),
        (json!("x"), "grant is not a table"),
    ] {
        let error = faults(json!({"auth": {"method": "anonymous"}, "grant": grant}));
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let both = json!({"auth": {"method": "anonymous"}, "grant_type": "x", "grant": {"assertion_file": "/x"}});
    assert!(faults(both).contains("grant_type does nothing with grant"));
}

#[test]
fn a_credential_of_the_program_replaces_those_of_the_members() {
    let members = json!({"token_endpoint": "https://a.example/t",
        "auth": {"method": "client_secret_post", "client_id": "a", "secret_file": "/x"}});
    let file = || serde_json::from_value::<Config>(members.clone()).unwrap();
    let shown =
        |config: Config| ClientCredentials::builder_from(config).unwrap().draft().builder.auth.credential_shown();
    assert_eq!(shown(file()), "Credential(file /x)");
    let set = |value: Credential| Config::new().credential("auth.secret", value);
    assert_eq!(shown(file().overridden_by(set("a".into()))), "Credential(value)");
    assert_eq!(
        shown(file().credential("auth.secret", "a").credential("auth.secret", Credential::env("HOME"))),
        "Credential(env HOME)"
    );
    assert_eq!(
        shown(set("a".into()).overridden_by(file()).overridden_by(set(Credential::env("HOME")))),
        "Credential(env HOME)"
    );
    let both = file().credential("dpop.key", "k").overridden_by(set("a".into()));
    assert_eq!(both.credentials.len(), 2, "each has its own path");
    let error = ClientCredentials::builder_from(file().credential("auth.sercet", "canary")).unwrap_err().to_string();
    assert!(error.contains("\"auth.sercet\" is no credential") && !error.contains("canary"), "{error}");
    let error = ClientCredentials::builder_from(file().credential("auth.secret", "a"));
    assert!(error.is_ok(), "a path that exists");

    assert!(Config::new().is_empty() && !file().is_empty() && !set("a".into()).is_empty());
    assert!(!Config::new().credential("x", "y").is_empty() && !Config::from_env("").is_empty());
    assert_eq!(file().get("auth.client_id"), Some(&json!("a")));
    assert_eq!(file().get("auth.secret_env"), None);
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
    assert_eq!(config.faults, [""; 0], "BILLING_PORT is of the application");
    let config = vars(&[("BILLING_STRICT", "0"), ("BILLING_FAPI", "false"), ("BILLING_AUTHORIZATION_DETAILS", "[1]")]);
    assert_eq!((&config.members["strict"], &config.members["fapi"]), (&json!(false), &json!(false)));
    assert_eq!(config.members["authorization_details"], json!([1]));
    for (name, fault) in [
        ("BILLING_AUTH_METHDO", "unknown variable: BILLING_AUTH_METHDO: is BILLING_AUTH_METHOD meant?"),
        ("BILLING_AUTH_METXXX", "unknown variable: BILLING_AUTH_METXXX: is BILLING_AUTH_METHOD meant?"),
        ("BILLING_AUTH_QQQQQQQQQQQQ", "unknown variable: BILLING_AUTH_QQQQQQQQQQQQ"),
    ] {
        assert_eq!(vars(&[(name, "canary")]).faults, [fault]);
    }

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
fn each_credential_is_replaced_whether_it_is_in_a_file_or_a_variable() {
    for env in Config::MEMBERS.iter().map(|member| member.path).filter(|path| path.ends_with("_env")) {
        let file = env.replace("_env", "_file");
        for (below, above) in [(env, &*file), (&*file, env)] {
            let both = Config::new().set(below, "x").overridden_by(Config::new().set(above, "y"));
            assert_eq!((both.get(below), both.get(above)), (None, Some(&"y".into())), "{below} {above}");
        }
    }
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

#[test]
fn a_member_that_occurs_twice_is_refused() {
    // F18
    for (json, path) in [
        (r#"{"issuer":"https://a.example","issuer":"https://b.example"}"#, "issuer"),
        (r#"{"auth":{"method":"none"},"auth":{"client_id":"x"}}"#, "auth"),
        (r#"{"auth":{"client_id":"x","client_id":"x"}}"#, "auth.client_id"),
        (r#"{"auth":{"client_id":"x","client\u005fid":"x"}}"#, "auth.client_id"),
        (r#"{"params":{"a":"1","b":"2","a":"3"}}"#, "params.a"),
        (r#"{"authorization_details":[{"type":"a","type":"b"}]}"#, "authorization_details.type"),
    ] {
        let error = serde_json::from_str::<Config>(json).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path} occurs twice")), "{json}: {error}");
    }
    let json = r#"{"strict":true,"limits":{"max_token_bytes":9},"retry":{"backoff_max":1.5},"authorization_details":[null,-1,{"a":[]}]}"#;
    let config: Config = serde_json::from_str(json).unwrap();
    let whole: Value = serde_json::from_str(json).unwrap();
    assert!(whole.as_object().unwrap().iter().all(|(name, value)| config.get(name) == Some(value)));
    for json in ["[]", "7", "null", "\"auth\""] {
        assert!(serde_json::from_str::<Config>(json).unwrap_err().to_string().contains("expected a map"), "{json}");
    }
}

#[test]
fn numbers_are_read_in_each_form_in_which_formats_return_them() {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, MapDeserializer, StrDeserializer, UnitDeserializer};
    fn config<V: IntoDeserializer<'static, Error>>(path: (&'static str, &'static str), value: V) -> Value {
        let table = BTreeMap::from([(path.1, value)]);
        let config = Config::deserialize(MapDeserializer::new([(path.0, table)].into_iter())).unwrap();
        config.get(&format!("{}.{}", path.0, path.1)).unwrap().clone()
    }
    let path = ("limits", "max_token_bytes");
    assert_eq!([config(path, 9_i64), config(path, 9_u64), config(path, 9_i128), config(path, 9_u128)], [9, 9, 9, 9]);
    // With `arbitrary_precision` of serde_json, which any crate of a program may enable.
    let number = |digits| BTreeMap::from([("$serde_json::private::Number", digits)]);
    assert_eq!([config(path, number("9")), config(("retry", "backoff_max"), number("1.5"))], [json!(9), json!(1.5)]);
    // Of several members none is a number.
    let json = r#"{"params":{"$serde_json::private::Number":"9","a":"1"}}"#;
    let members = json!({"$serde_json::private::Number": "9", "a": "1"});
    assert_eq!(serde_json::from_str::<Config>(json).unwrap().get("params"), Some(&members));
    // An empty document of YAML.
    let empty: UnitDeserializer<Error> = ().into_deserializer();
    assert_eq!(format!("{:?}", Config::deserialize(empty).unwrap()), "Config {}");
    // What no member can be.
    let bytes = MapDeserializer::new([("name", &b"billing"[..])].into_iter());
    let flaw: Error = Config::deserialize(bytes).unwrap_err();
    assert!(flaw.to_string().ends_with("expected a value"), "{flaw}");
    // What has no map where one is required, as TOML returns it.
    let text: StrDeserializer<'_, Error> = "billing".into_deserializer();
    assert!(Config::deserialize(text).unwrap_err().to_string().contains("expected a map"));
}
