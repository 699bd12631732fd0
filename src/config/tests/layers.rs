//! Which layer wins: files, variables, flags and the credentials of the program.

use super::*;

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
    assert!(error.contains("\"auth.sercet\" is not a credential") && !error.contains("canary"), "{error}");
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
}

#[test]
fn what_is_not_a_map_is_refused_and_not_quoted() {
    // L15
    for json in ["[]", "7", "\"canary\"", "[\"canary\"]", "true"] {
        let told = serde_json::from_str::<Config>(json).unwrap_err().to_string();
        assert!(told.contains("expected a map") && !told.contains("canary"), "{json}: {told}");
    }
    // As an empty document of YAML.
    assert!(serde_json::from_str::<Config>("null").unwrap().is_empty());
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
