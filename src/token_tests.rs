use super::*;

fn token(secret: &str) -> Result<AccessToken, Error> {
    AccessToken::builder(secret).build()
}

#[test]
fn an_access_token_is_one_pointer_in_size() {
    assert_eq!(size_of::<AccessToken>(), size_of::<usize>());
}

#[test]
fn every_byte_that_no_header_may_carry_is_refused() {
    // B13, B14, B15
    for byte in 0..=255_u8 {
        let secret = format!("ab{}cd", char::from(byte));
        let accepted = token(&secret).is_ok();
        assert_eq!(accepted, (0x21..=0x7e).contains(&byte), "byte {byte:#x}");
    }
    assert!(token("").is_err());
    assert!(token(" ").is_err());
}

#[test]
fn clones_are_one_token() {
    let one = token("abc").unwrap();
    let copy = one.copy();
    assert_eq!(copy.id(), one.id());
    assert_eq!(copy.expose_secret(), "abc");
    assert_eq!(copy.authorization(), "Bearer abc");
    assert!(copy.authorization().is_sensitive());
    assert_ne!(copy.0.authorization.as_bytes().as_ptr(), one.0.authorization.as_bytes().as_ptr());
    assert_ne!(token("abc").unwrap().id(), one.id());
}

#[test]
fn the_debug_form_is_bounded_and_clean_whatever_the_server_names() {
    // FA6
    let mut builder = AccessToken::builder("the-token-itself").scope("s ".repeat(100_000));
    for name in ["the-token-itself", "\u{1b}[31m", "\u{202e}x", &"n".repeat(200_000)] {
        builder = builder.extra(name, 1);
    }
    builder = (0..1000).fold(builder, |builder, n| builder.extra(format!("x{n}"), "value"));
    let text = format!("{:?}", builder.build().unwrap());
    assert!(text.len() < 2_000 && text.is_ascii(), "{} bytes", text.len());
    assert!(!text.contains("the-token-itself") && !text.contains("value") && !text.contains("u{"), "{text}");
}

#[test]
fn what_is_left_of_a_lifetime_follows_the_clock_and_ends_at_zero() {
    let clock = crate::clock::ManualClock::new();
    let token = AccessToken::builder("abc").lifetime(Duration::from_secs(60)).clock(&clock);
    let token = token.extra("instance_url", "https://eu1.example.com").build().unwrap();
    assert_eq!(token.extra("instance_url"), Some(&Value::from("https://eu1.example.com")));
    for left in [60, 20, 0, 0] {
        assert_eq!(token.expires_in(), Some(Duration::from_secs(left)));
        clock.advance(Duration::from_secs(40));
    }
    assert_eq!(AccessToken::builder("abc").build().unwrap().expires_in(), None);
}

#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
#[test]
fn a_header_of_an_api_has_its_own_scheme_or_none() {
    let token = token("abc").unwrap();
    for (scheme, value) in [("Bearer", "Bearer abc"), ("Zoho-oauthtoken", "Zoho-oauthtoken abc"), ("", "abc")] {
        let header = token.presented_as(scheme);
        assert!(header == value && header.is_sensitive(), "{scheme}");
    }
}

#[test]
fn an_endless_lifetime_does_not_overflow() {
    let token = AccessToken::builder("abc").lifetime(Duration::MAX).build().unwrap();
    assert_eq!(token.expires_at(), None);
    let token = AccessToken::builder("abc").lifetime(Duration::from_secs(60)).build().unwrap();
    assert!(token.expires_at().is_some());
}

#[test]
fn a_token_is_shown_without_its_secret_and_with_its_names() {
    let builder = AccessToken::builder("hush").scope("read").extra("instance", "value");
    let shown = format!("{builder:?}");
    assert_eq!(shown, "AccessTokenBuilder { lifetime: None, .. }");
    let shown = format!("{:?}", builder.build().unwrap());
    let expected =
        r#"AccessToken { secret: "[redacted]", expires_at: None, scope: Some("read"), extra: ["instance"] }"#;
    assert_eq!(shown, expected);
}
