//! Names and shapes of secrets, and of what is none.

use super::*;

#[test]
fn a_name_is_judged_by_its_words() {
    for (name, named) in [
        ("message", Named::Other),
        ("monkey", Named::Other),
        ("keycloak_error", Named::Other),
        ("turkey", Named::Other),
        ("valid", Named::Other),
        ("errorInvalid", Named::Other),
        ("", Named::Other),
        ("session_id", Named::Other),
        ("sid", Named::Other),
        ("id", Named::Id),
        ("clientId", Named::Id),
        ("request_id", Named::Trace),
        ("X-Request-ID", Named::Trace),
        ("correlationid", Named::Trace),
        ("fbtrace_id", Named::Trace),
        ("errorId", Named::Trace),
        ("timestamp", Named::Trace),
        ("token_error", Named::About),
        ("tokenType", Named::About),
        ("errorKey", Named::About),
        ("message_key", Named::About),
        ("APIKeyStatus", Named::About),
        ("error_token", Named::Secret),
        ("token", Named::Secret),
        ("authorization_code", Named::Secret),
        ("APIKey", Named::Secret),
        ("x-api-key", Named::Secret),
        ("publicKeys", Named::Secret),
        ("JWT", Named::Secret),
        ("client_secret_2", Named::Secret),
        ("passwordHash", Named::Secret),
    ] {
        assert_eq!(Named::of(name), named, "{name}");
    }
    assert_eq!(words("anAPIKey-of_v2.3"), ["an", "api", "key", "of", "v2", "3"]);
}

#[test]
fn words_and_times_are_no_tokens_and_the_rest_is_from_a_length_on() {
    for text in [
        "oauth.v2.InvalidClientIdentifier",
        "https://errors.example.com/probs/tenant-suspended",
        "2026-11-23T10:00:00.000+0000",
        "2027-01-15T08:00:00.123456789+00:00",
        "NotAuthorizedException",
        "SAMLResponseInvalid",
        "two words1234567890",
        "",
    ] {
        assert!(!may_be_token(text, true), "{text}");
    }
    for text in [
        "6f1c9a8e2b7d4f0a6",
        "tenant-7-of-12345",
        "1234567890:123456",
        "abcd12345678901234",
        "eyJhbGciOiJIUzI1NiJ9.e.a",
    ] {
        assert!(may_be_token(text, false), "{text}");
    }
    for (text, strict, lenient) in [
        ("6f1c9a8e", false, false),
        ("6f1c9a8e2", true, false),
        ("6f1c9a8e2b7d4f0a", true, false),
        ("aaaaaaaaaaaaaaaaaaaaa", true, false),
        ("aaaaaaaaaaaaaaaaaaaa", false, false),
        ("abc-1234-5678-9012", true, true),
        ("abcdefgh-1234-5678", false, false),
        ("abc-abcdefghi-12345", true, true),
        ("abcdefghijklmn1234", true, true),
        ("abcdefghijklmnop123", false, false),
    ] {
        assert_eq!((may_be_token(text, true), may_be_token(text, false)), (strict, lenient), "{text}");
    }
}

#[test]
fn what_is_not_shown_does_not_divide_a_token() {
    // L14
    for between in ["\u{200b}", "\u{301}", "\u{94d}", "\u{0}", "\\", "\"", "\u{ad}\u{feff}", "\u{e4}"] {
        let token: String =
            "6f1c9a8e2b7d4f0a6f1c9a8e".chars().flat_map(|c| [c.to_string(), between.to_owned()]).collect();
        for text in [token.clone(), format!("it is {token}"), format!("it is {token}, so")] {
            let shown = redacted(&text, true, true);
            assert!(!shown.contains('6') && shown.contains(MASK), "{text:?}: {shown:?}");
        }
        assert!(may_be_token(&token, false), "{token:?}");
        if !between.is_ascii() && between != "\u{e4}" {
            assert_eq!(redacted(&format!("to{between}ken=6f"), false, false).split_once('=').unwrap().1, MASK);
        }
    }
}

#[test]
fn an_id_for_support_has_at_most_64_characters_and_is_no_jwt() {
    let id = |length: usize| "a1".repeat(length / 2);
    for (text, of_success, is_shown) in [
        (id(64), false, true),
        (id(66), false, false),
        (id(64), true, true),
        (format!("{}x", id(32)), true, false),
        (format!("{}x", id(32)), false, true),
        ("eyJhbGciOiJIUzI1NiJ9.e.a".to_owned(), false, false),
    ] {
        assert_eq!(!is_hidden(&text, Named::Trace, of_success), is_shown, "{text}");
    }
    let uuid = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    assert!(
        !is_hidden(uuid, Named::Id, false) && is_hidden(uuid, Named::Id, true) && is_hidden(uuid, Named::Other, false)
    );
    assert!(is_hidden(&uuid.replace('d', "x"), Named::Id, false));
}

#[test]
fn a_value_ends_where_its_format_ends_it() {
    for (text, shown) in [
        ("password=ab,cd&ef so", "password=*** so"),
        ("password: ab, so", "password: *** so"),
        ("password: 'ab cd1', so", "password: ***, so"),
        ("password: 'ab cd1, so", "password: ***"),
        ("password: [1, 2], so", "password: ***"),
        ("password = Bearer ab cd; so", "password = ***; so"),
        ("password=Bearer ab; so", "password=***; so"),
        ("'password' => \"ab1\" so", "'password' => *** so"),
        ("password: must not be empty, so", "password: must not be empty, so"),
        ("password:", "password:"),
        ("password is wrong: so", "password is wrong: so"),
        ("token: expired", "token: expired"),
        ("'token': expired", "'token': ***"),
        ("token: Bearer", "token: ***"),
        ("token: 12345", "token: ***"),
        ("tokens: expired; token: x1; key: y1", "tokens: *** token: *** key: ***"),
        ("die Schlüssel-key: ä1 ö", "die Schlüssel-key: ***"),
    ] {
        assert_eq!(without_assigned(text), shown, "{text}");
    }
    let long = format!("{}token=x", "a".repeat(200));
    assert_eq!(without_assigned(&long), long, "no name");
}
