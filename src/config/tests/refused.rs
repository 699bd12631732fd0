//! What a configuration is refused for, and the path that each fault has.

use super::*;

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
        "auth.key_file is not a member of the method client_secret_post",
        "auth.audience is not a member of the method client_secret_post",
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
        (
            faults(json!({"auth": {"method": "anonymous"}, "protected_resource": {"url": "http://b.example",
                "allowed_issuers": "https://a.example"}})),
            "protected_resource.url ",
        ),
        (
            faults(json!({"auth": {"method": "anonymous"}, "resources": ["b"]})),
            "resources \"b\" is not an absolute URI",
        ),
        (faults(json!({"auth": {"method": "anonymous"}, "token_types": [""]})), "token_types is empty"),
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
    if cfg!(feature = "dpop") {
        let dpop = json!({"key_env": missing});
        rows.push((faults(json!({"auth": {"method": "anonymous"}, "dpop": dpop})), "dpop.key cannot be read"));
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
    assert!(error.contains("auth.key_id is not a member of the method client_secret_jwt"), "{error}");
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
        (json!({"subject_token_file": "/x", "subject_token_type": ""}), "grant.subject_token_type is empty"),
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
