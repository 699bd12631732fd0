//! Properties that hold for any body.

use proptest::prelude::*;

use super::*;
use crate::server_text::is_of_a_script;

#[test]
fn a_truncated_body_is_never_a_token() {
    // B02: at every byte
    let body = having(r#""expires_in":3600,"scope":"a""#);
    for end in 0..body.len() {
        assert!(refused(&body[..end]).is_transient(), "cut at {end}");
    }
    assert!(read(&body).is_ok());
}

#[test]
fn no_error_about_a_response_shows_a_secret() {
    // L06: an echo of our secret in each text of the server that is shown
    let echo = "our-secret";
    let error_of = |error: Error| format!("{error} {error:?}");
    let texts = [
        error_of(
            with(
                400,
                &[],
                format!(r#"{{"error":"{echo}","error_description":"{echo}","error_uri":"{echo}"}}"#),
                &rules(),
            )
            .unwrap_err(),
        ),
        error_of(with(200, &[("content-encoding", echo)], "", &rules()).unwrap_err()),
        error_of(with(200, &[("content-type", echo)], "", &rules()).unwrap_err()),
        error_of(read(format!(r#"{{"access_token":"abc","token_type":"{echo}"}}"#)).unwrap_err()),
    ];
    for text in texts {
        assert!(text.contains("***") && !text.contains(echo), "{text}");
    }
}

proptest! {
    #[test]
    fn no_response_makes_the_decoder_panic(
        status in 100..1000_u16, body in proptest::collection::vec(any::<u8>(), 0..200), label in "[ -~]{0,40}",
        encoding in "[ -~]{0,10}", wait in "[ -~]{0,40}", strict in any::<bool>(),
    ) {
        let headers = [("content-type", &*label), ("content-encoding", &*encoding), ("retry-after", &*wait)];
        let rules = Rules { strict, ..rules() };
        let result = with(status, &headers, body, &rules);
        prop_assert!(result.is_err(), "noise is no token");
    }

    #[test]
    fn no_token_has_a_character_that_a_header_cannot_carry(
        head in "[!-~]{0,40}", tail in "[!-~]{1,40}", odd in odd_characters(), members in good_members(), any in json_members(),
    ) {
        let read_with = |token: &str, members: &str| {
            let token = serde_json::to_string(token).unwrap();
            read(format!(r#"{{"access_token":{token}{members}}}"#))
        };
        let good = format!("{head}{tail}");
        let token = read_with(&good, &members);
        prop_assert!(token.is_ok(), "{good:?} {members}: {:?}", token.err());
        let token = token.unwrap();
        prop_assert_eq!(token.expose_secret(), &good);
        prop_assert!(token.authorization().is_sensitive());
        for bad in [format!("{head}{odd}{tail}"), format!("{odd}{tail}"), format!("{tail}{odd}"), odd] {
            prop_assert!(read_with(&bad, &members).is_err(), "{bad:?}");
            prop_assert!(read_with(&bad, &any).is_err(), "{bad:?}");
        }
        // Whatever else the body has, the result is this token or an error.
        if let Ok(token) = read_with(&good, &any) {
            prop_assert_eq!(token.expose_secret(), &good);
        }
    }

    #[test]
    fn no_truncated_body_is_a_token(token in "[!-~&&[^\"\\\\]]{1,40}", expires in any::<u64>(), members in json_members(), at: prop::sample::Index) {
        let body = format!(r#"{{"access_token":"{token}","expires_in":{expires}{members}}}"#);
        let end = (0..body.len()).filter(|end| body.is_char_boundary(*end)).collect::<Vec<_>>();
        prop_assert!(read(&body[..*at.get(&end)]).is_err());
    }

    #[test]
    fn an_error_code_of_a_server_is_short_and_printable(
        status in 400..600_u16, code: String, more in "\\PC{0,300}", description: String, most in 0..300_usize,
    ) {
        // S13, S20
        let code = format!("{code}{more}");
        let body = serde_json::json!({"error": code, "error_description": description, "error_uri": description});
        let rules = Rules { limits: Limits::new().max_error_text(most), ..rules() };
        let error = with(status, &[], body.to_string(), &rules).unwrap_err();
        let fit = |text: &str, most| text.chars().count() <= most && text.bytes().all(|b| matches!(b, b' '..=b'~'));
        let shown = |text: &str, most| {
            text.chars().count() <= most && text.chars().all(|c| matches!(c, ' '..='~') || is_of_a_script(c))
        };
        if let Some(oauth) = error.oauth() {
            prop_assert!(fit(oauth.code(), LONGEST_CODE));
            prop_assert!(oauth.description().is_none_or(|text| shown(text, most)));
            prop_assert!(oauth.uri().is_none_or(|text| fit(text, most)));
        }
        prop_assert!(shown(&error.to_string(), 1000));
    }
}

/// One or two characters that are not visible ASCII: a space, a control character, or a non-ASCII one.
fn odd_characters() -> impl Strategy<Value = String> {
    let ascii = prop::sample::select((0..=0x20_u8).chain([0x7f]).map(char::from).collect::<Vec<_>>());
    let beyond = any::<char>().prop_filter("not ASCII", |c| !c.is_ascii());
    proptest::collection::vec(prop_oneof![ascii, beyond], 1..3).prop_map(String::from_iter)
}

/// Some members of a valid response.
fn good_members() -> impl Strategy<Value = String> {
    let members = [
        r#","token_type":"Bearer""#,
        r#","expires_in":3600"#,
        r#","scope":"a b""#,
        r#","refresh_token":"r""#,
        r#","x":[null,{"y":1}]"#,
    ];
    prop::sample::subsequence(members.to_vec(), 0..=members.len()).prop_map(|members| members.concat())
}

/// `,"name":value`, several or none.
fn json_members() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "token_type",
        "expires_in",
        "expires_on",
        "refresh_in",
        "scope",
        "refresh_token",
        "error",
        "x",
    ]);
    let value = prop::sample::select(vec![
        "null",
        "0",
        "-1",
        "3600",
        "1e30",
        "\"Bearer\"",
        "\"3600\"",
        "\"a b\"",
        "\"\\u0000\"",
        "[]",
        "[\"a\"]",
        "{}",
        "true",
    ]);
    proptest::collection::vec((name, value), 0..6)
        .prop_map(|members| members.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect())
}
