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
        (format!("{}a", id(64)), false, false),
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

#[test]
fn each_word_for_a_secret_and_behind_one_counts() {
    for name in [
        "pwd",
        "passphrase",
        "authorisation",
        "accesskey",
        "privatekey",
        "authkey",
        "signingkey",
        "error_apikey",
        "token_error_secret",
    ] {
        assert_eq!(Named::of(name), Named::Secret, "{name}");
    }
    let about = "error errors message messages msg status reason description type types details hint policy problem failure \
         endpoint expires expired expiry method";
    for word in about.split(' ') {
        assert_eq!(Named::of(&format!("token_{word}")), Named::About, "{word}");
    }
    for (name, named) in [("messageKeys", Named::About), ("id_", Named::Id), ("client-id-", Named::Id)] {
        assert_eq!(Named::of(name), named, "{name}");
    }
    let names = |words: &'static str, end: &'static str| words.split(' ').map(move |word| word.to_owned() + end);
    let texts = names("error message msg text translation i18n", "_key").map(|name| (name, Named::About));
    let ids = names("id ids uuid guid number", "").map(|end| ("client_".to_owned() + &end, Named::Id));
    let traced = "trace correlation request support incident activity error log event span transaction operation ray";
    let traces = "traceparent logref requestref cf-ray timestamp time date x-amzn-trace-id";
    let traces = names(traced, "_id").chain(names(traces, "")).map(|name| (name, Named::Trace));
    for (name, named) in texts.chain(ids).chain(traces) {
        assert_eq!(Named::of(&name), named, "{name}");
    }
    for name in "token Token secret key jwt credential credentials authorization assertion".split(' ') {
        let text = format!("{name}: expired");
        assert_eq!(without_assigned(&text), text);
    }
    assert!(is_hidden("6f1c9a8e2", Named::About, false) && !is_hidden("6f1c9a8e2", Named::Other, false));
    assert!(!is_hidden(" 0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d\n", Named::Id, false));
}

#[test]
fn a_word_has_at_most_twenty_letters_behind_its_capitals() {
    let letters = |first: &str, more: usize| first.to_owned() + &"a".repeat(more);
    for (first, most) in [("", 20), ("A", 19), ("SAMLR", 19)] {
        assert!(is_word(&letters(first, most)) && !is_word(&letters(first, most + 1)), "{first}");
    }
    // Letters and lines are the name of an error, however long.
    let long = letters("", 21) + "_a";
    assert!(may_be_token(&long, true) && !may_be_token(&long, false));
}

#[test]
fn a_time_has_the_digits_and_separators_of_a_date() {
    let longest = "2026-11-23T10:00:00.0000000000000";
    for (text, expected) in [
        ("2026-11:11".to_owned(), true),
        ("2026-1:11".to_owned(), false),
        (longest.to_owned(), true),
        (format!("{longest}0"), false),
        (format!("{longest}+:"), true),
        (format!("{longest}+::"), false),
        ("2026-11-23T10:00:00,5".to_owned(), true),
        ("2026-11-23a10:00".to_owned(), false),
    ] {
        assert_eq!(is_time(&text), expected, "{text}");
    }
}

#[test]
fn words_of_a_sentence_have_punctuation_and_few_letters() {
    for scheme in ["Bearer", "basic", "DPoP", "Digest", "Negotiate", "MAC"] {
        assert!(is_scheme(scheme), "{scheme}");
    }
    let between = "'_-/.,:;()".chars().map(|c| (format!("a{c}b"), true));
    let others = [
        ("\"word\"!".to_owned(), true),
        ("a\"b".to_owned(), false),
        ("1234".to_owned(), true),
        ("12345".to_owned(), false),
        ("a".repeat(20), true),
        ("a".repeat(21), false),
        ("\u{e4}".repeat(25), true),
    ];
    for (word, expected) in between.chain(others) {
        assert_eq!(is_plain(&word), expected, "{word}");
    }
}

#[test]
fn a_value_begins_and_ends_with_each_mark_of_a_format() {
    for end in [',', ';', '&', '<', '>', '{', '}', '[', ']', '|', '"', '\n'] {
        assert_eq!(without_assigned(&format!("password: ab1 cd{end}ef gh")), format!("password: ***{end}ef gh"));
    }
    for (text, shown) in [
        ("password: {1, 2}, so", "password: ***"),
        ("password: (1, 2), so", "password: ***"),
        ("password: <1, 2>, so", "password: ***"),
        ("password)=x1 so", "password)=*** so"),
        ("password\t=x1 so", "password\t=*** so"),
        ("password:\tab1", "password:\t***"),
        ("password:\r\nab1", "password:\r\n***"),
        (r"password: 'ab\' cd1', so", "password: ***"),
        ("error-key=x1", "error-key=x1"),
    ] {
        assert_eq!(without_assigned(text), shown, "{text}");
    }
    let name = |length: usize| format!("{}token=", "a".repeat(length - "token".len()));
    assert_eq!(without_assigned(&format!("{}x", name(LONGEST_CODE))), format!("{}***", name(LONGEST_CODE)));
    let longer = format!("{}x", name(LONGEST_CODE + 1));
    assert_eq!(without_assigned(&longer), longer);
    let sentence = format!("password: {}", "abc ".repeat(LONGEST_SENTENCE / 4));
    assert_eq!(without_assigned(&sentence), sentence);
    assert_eq!(without_assigned(&format!("{sentence}a")), "password: ***");
}

#[test]
fn a_single_value_is_judged_by_its_characters_and_by_the_name_before_it() {
    for c in "-._~+/=!@$%:\"\\".chars() {
        assert_eq!(without_values(&format!("it is 6f1c{c}9a8e2, so"), true), "it is ***, so", "{c}");
    }
    for end in ['.', ':', '"'] {
        assert_eq!(without_values(&format!("it is 6f1c9a8e2b{end}"), true), format!("it is ***{end}"));
    }
    let far = |name: &str, distance: usize| format!("{name}{}", "#".repeat(distance));
    for (before, is_shown) in [
        ("request id: ".to_owned(), true),
        ("request id : ".to_owned(), true),
        ("request id = ".to_owned(), true),
        ("request id # ".to_owned(), true),
        ("token request id: ".to_owned(), true),
        ("client id: ".to_owned(), false),
        ("key traceid: ".to_owned(), false),
        (far("timestamp", LONGEST_ID - 9), true),
        (far("xtimestamp", LONGEST_ID - 9), true),
        (far("timestamp", LONGEST_ID - 8), false),
    ] {
        let id = "6f1c9a8e2b7d4f0a6";
        let shown = if is_shown { id } else { MASK };
        assert_eq!(without_values(&format!("{before}{id}"), false), format!("{before}{shown}"));
    }
    assert_eq!(without_values("the token expired", false), "the token expired", "a word, whatever is before it");
}
