//! The times that a server states: lifetimes and waits.

use super::*;

#[test]
fn lifetimes_come_in_many_shapes() {
    // B07, B08, B09, B10. The last column: whether strict accepts it.
    let max = Some(Duration::MAX);
    for (value, lifetime, passes_strict) in [
        ("3600", HOUR, true),
        (r#""3600""#, HOUR, false),
        (r#"" 3600 ""#, HOUR, false),
        ("3600.0", HOUR, false),
        ("3.6e3", HOUR, false),
        ("3600.7", HOUR, false),
        (r#""3600.7""#, HOUR, false),
        ("0", ZERO, true),
        ("-0", ZERO, false),
        ("-0.0", ZERO, false),
        ("-1", ZERO, false),
        ("-9223372036854775808", ZERO, false),
        (r#""-5""#, ZERO, false),
        ("0.9", ZERO, false),
        ("null", None, true),
        (r#""""#, None, false),
        (r#""soon""#, None, false),
        (r#""NaN""#, None, false),
        (r#""Infinity""#, None, false),
        ("true", None, false),
        ("[3600]", None, false),
        (r#"{"seconds":3600}"#, None, false),
        ("18446744073709551615", Some(Duration::from_secs(u64::MAX)), true),
        ("1e300", max, false),
        (r#""1e300""#, max, false),
        ("1e400", max, false),
        (r#""1e400""#, max, false),
        ("-1e400", ZERO, false),
        (r#""1e""#, None, false),
        (r#""inf""#, None, false),
        (r#""-inf""#, None, false),
        (r#"".5""#, None, false),
    ] {
        let body = having(&format!(r#""expires_in":{value}"#));
        assert_eq!(read(&body).unwrap().lifetime(), lifetime, "{value}");
        let refused = read_strictly(&body).err().map(|error| error.to_string());
        assert_eq!(refused.is_none(), passes_strict, "{value}, strict");
        assert!(refused.is_none_or(|error| error.contains("expires_in is not a whole number (strict)")), "{value}");
    }
    assert_eq!(read(r#"{"access_token":"abc"}"#).unwrap().lifetime(), None, "absent");
}

#[test]
fn absolute_times_count_only_where_no_lifetime_is_stated() {
    // B26
    for (members, lifetime) in [
        (r#""expires_on":1800003600"#, HOUR),
        (r#""expires_on":"1800003600""#, HOUR),
        (r#""expires_at":1800003600"#, HOUR),
        (r#""expires_in":null,"expires_on":"1800003600""#, HOUR),
        (r#""expires_in":"","expires_on":"1800003600""#, HOUR),
        (r#""expires_in":false,"expires_at":1800003600"#, HOUR),
        (r#""expires_in":"soon","expires_on":"later","expires_at":1800003600"#, HOUR),
        (r#""expires_in":0,"expires_on":"1800003600""#, ZERO),
        (r#""expires_in":"60","expires_on":"1800003600""#, Some(Duration::from_secs(60))),
        (r#""expires_in":60,"expires_at":1800003600"#, Some(Duration::from_secs(60))),
        (r#""expires_on":1700000000"#, ZERO),
        (r#""expires_on":"2027-01-15T09:00:00Z""#, HOUR),
        (r#""expires_at":"2027-01-15 10:00:00 +01:00""#, HOUR),
        (r#""expires_at":"2026-11-23T10:00:00Z""#, ZERO),
        (r#""expires_on":"2027-01-15T09:00:00""#, None),
        (r#""ext_expires_in":7200"#, None),
        (r#"".expires":"Mon, 23 Nov 2026 10:00:00 GMT""#, None),
    ] {
        assert_eq!(read(having(members)).unwrap().lifetime(), lifetime, "{members}");
    }
    let entra = having(r#""expires_in":"3599","ext_expires_in":"7200","expires_on":"1800003599","refresh_in":"1800""#);
    let token = read(entra).unwrap();
    assert_eq!(token.lifetime(), Some(Duration::from_secs(3599)));
    assert_eq!(token.refresh_in(), Some(Duration::from_secs(1800)));
    assert_eq!(token.extra("ext_expires_in"), Some(&Value::from("7200")), "readable, and nothing else");
    assert_eq!(token.extra("expires_on"), Some(&Value::from("1800003599")));
}

#[test]
fn an_absolute_time_counts_from_the_servers_clock_and_its_unit_follows_from_its_size() {
    // B27. `sent()` is 2027-01-15T08:00:00Z, second 1 800 000 000.
    let [same, behind, ahead] = ["08", "07", "09"].map(|hour| format!("Fri, 15 Jan 2027 {hour}:00:00 GMT"));
    let minutes = |n: u64| Some(Duration::from_secs(n * 60));
    for (date, age, end, lifetime) in [
        (None, None, "1800000600", minutes(10)),
        (Some(&same), None, "1800000600", minutes(10)),
        (Some(&behind), None, "1799997000", minutes(10)),
        (Some(&ahead), None, "1800004200", minutes(10)),
        // It has expired by our clock, and by the server's.
        (None, None, "1799997000", ZERO),
        (Some(&behind), None, "1799996400", ZERO),
        // By its clock a new token has expired, so that is wrong.
        (Some(&ahead), None, "1800003600", HOUR),
        (Some(&ahead), Some("60"), "1800003600", HOUR),
        (Some(&same), Some("7200"), "1800003600", HOUR),
        // The `Date` is older than any token.
        (Some(&"Thu, 14 Jan 2027 07:59:00 GMT".to_owned()), None, "1800000030", Some(Duration::from_secs(30))),
        (Some(&"Thu, 01 Jan 1970 00:00:00 GMT".to_owned()), None, "1800000030", Some(Duration::from_secs(30))),
        // "Never", as .NET writes it: the end of the year 9999.
        (None, None, "253402300799", Some(Duration::from_secs(251_602_300_799))),
        (None, None, "253402300799000", Some(Duration::from_secs(251_602_300_799))),
        // By our clock it lasts another hour, by the server's two.
        (Some(&behind), None, "1800003600", HOUR),
        // The rest by our clock is too short for a new token, so our clock is ahead.
        (Some(&behind), None, "1800000059", Some(Duration::from_secs(3_659))),
        (Some(&behind), None, "1800000060", minutes(1)),
        // Out of a cache (RFC 9111 section 5.1).
        (Some(&behind), Some("3600"), "1800000030", Some(Duration::from_secs(30))),
        (Some(&behind), Some("-1"), "1799997000", minutes(10)),
        (Some(&same), Some("18446744073709551616"), "1800000600", minutes(10)),
        (None, Some("3600"), "1800000600", minutes(10)),
        // Milliseconds, microseconds, nanoseconds.
        (None, None, "1800000600000", minutes(10)),
        (Some(&ahead), None, "1800004200000", minutes(10)),
        (None, None, "1800000600000000", minutes(10)),
        (None, None, "1800000600000000000", minutes(10)),
        // A duration by mistake.
        (None, None, "600", minutes(10)),
        (Some(&ahead), None, "600", minutes(10)),
        (None, None, "0", ZERO),
        (None, None, "-1", ZERO),
    ] {
        for member in ["expires_on", "expires_at"] {
            for value in [end.to_owned(), format!("{end:?}")] {
                let headers = [("date", date.map(String::as_str)), ("age", age)];
                let headers: Vec<_> = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let token = with(200, &headers, having(&format!("{member:?}:{value}")), &rules()).unwrap();
                assert_eq!(token.lifetime(), lifetime, "{headers:?}: {member}: {value}");
            }
        }
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    // S02, S04. `sent()` is 2027-01-15T08:00:00Z.
    let date = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    for (headers, wait) in [
        (vec![("retry-after", "120")], Some(120)),
        (vec![("retry-after", " 120 ")], Some(120)),
        (vec![("retry-after", "0")], Some(0)),
        (vec![("retry-after", "Fri, 15 Jan 2027 08:02:00 GMT")], Some(120)),
        (vec![("retry-after", "Fri, 15 Jan 2027 07:00:00 GMT")], Some(0)),
        (vec![date[0], ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")], Some(120)),
        (vec![("retry-after", "Fri, 15 Jan 2027 09:02:00 +0100")], Some(120)),
        (vec![("retry-after", "2027-01-15T08:02:00Z")], Some(120)),
        (vec![date[0], ("retry-after", "1994-11-06T08:51:37+00:00")], Some(120)),
        (vec![("retry-after", "2027-01-15T07:00:00Z")], Some(0)),
        (vec![("retry-after", "2028-01-15T08:02:00Z")], Some(86_400)),
        (vec![("x-ratelimit-reset", "2027-01-15T08:02:00Z")], Some(120)),
        (vec![("retry-after", "Fri, 31 Dec 1969 23:59:59 GMT")], None),
        (vec![("retry-after", "99999999999999999999999")], Some(86_400)),
        (vec![("retry-after", "86401")], Some(86_400)),
        (vec![("retry-after", "+5")], None),
        (vec![("retry-after", "")], None),
        (vec![("retry-after", "tomorrow")], None),
        (vec![("retry-after", "-1")], None),
        (vec![], None),
        (vec![("x-ratelimit-reset", "1800000120")], Some(120)),
        (vec![("x-rate-limit-reset", "1700000000")], Some(0)),
        (vec![("x-ratelimit-reset", "soon")], None),
    ] {
        let error = with(429, &headers, "", &rules()).unwrap_err();
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs), "{headers:?}");
    }
    let error = with(503, &[("x-ratelimit-reset", "1800000120")], "", &rules()).unwrap_err();
    assert_eq!(error.retry_after(), None, "a window's end is no wish to wait, but with 429");
}

#[test]
fn a_429_waits_for_the_end_of_the_window_that_is_exhausted() {
    // FC5
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (headers, wait) in [
        (&[("ratelimit", "\"default\";r=0;t=9")][..], Some(9)),
        (&[("ratelimit", "\"default\"; r=0; t=9, \"day\";r=7;t=600")], Some(9)),
        (&[("ratelimit", "\"default\";r=0;t=9, \"day\";r=0;t=600")], Some(600)),
        (&[("ratelimit", "\"default\";t=9")], Some(9)),
        (&[("ratelimit", "\"default\";r=1;t=9")], None),
        (&[("ratelimit", "\"default\";r=0.5;t=9")], Some(9)),
        (&[("ratelimit", "\"default\"; r = 0 ; t = 9 ")], Some(9)),
        (&[("x-rate-limit", "\"default\";r=0;t=9")], Some(9)),
        (&[("ratelimit", "\"default\";r=0")], None),
        (&[("ratelimit", "\"default\";r=0;t=soon")], None),
        (&[("ratelimit", "limit=1, remaining=0, reset=9")], Some(9)),
        (&[("ratelimit", "limit=9, remaining=1, reset=9")], None),
        (&[("x-ratelimit", "Limit=1;Remaining=0;Reset=9")], Some(9)),
        (&[date, ("ratelimit", "limit=1, remaining=0, reset=784111807")], Some(30)),
        (&[("auth0-client-quota-limit", "b=per_hour;q=10;r=0;t=3540,b=per_day;q=50;r=47;t=43200")], Some(3_540)),
        (&[("auth0-organization-quota-limit", "b=per_hour;q=10;r=0;t=9")], Some(9)),
        (
            &[("auth0-client-quota-limit", "b=h;q=9;r=0;t=9"), ("auth0-organization-quota-limit", "b=h;q=9;r=0;t=60")],
            Some(60),
        ),
        (&[("ratelimit", "\"a\";r=0;t=4"), ("ratelimit", "\"b\";r=0;t=5")], Some(5)),
        (&[("ratelimit", "\"default\";r=0;t=99999999")], Some(86_400)),
        // What the server asks for comes first, then the plain header.
        (&[("retry-after", "4"), ("ratelimit", "\"default\";r=0;t=9")], Some(4)),
        (&[("x-ratelimit-reset", "4"), ("ratelimit", "\"default\";r=0;t=9")], Some(4)),
        (&[("x-ratelimit-remaining", "42"), ("x-ratelimit-reset", "3600")], None),
        (&[("ratelimit-remaining", "1"), ("ratelimit-reset", "3600"), ("ratelimit", "\"default\";r=0;t=9")], Some(9)),
        (&[("x-rate-limit-remaining", "1"), ("x-rate-limit-reset-after", "3600")], None),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3600")], Some(3600)),
        (&[("ratelimit-policy", "\"default\";q=1;w=9;r=0;t=9")], None),
    ] {
        let error = with(429, headers, "", &rules()).unwrap_err();
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs), "{headers:?}");
        let error = with(503, headers, "", &rules()).unwrap_err();
        let asked = headers.iter().find(|(name, _)| *name == "retry-after").and(wait);
        assert_eq!(error.retry_after(), asked.map(Duration::from_secs), "503: {headers:?}");
    }
}

#[test]
fn durations_and_instants_are_distinguished_by_their_size_in_each_header() {
    // FC2. `sent()` is second 1 800 000 000.
    let second = Duration::from_secs(1);
    for (value, wait) in [
        ("4", second * 4),
        ("4.5", Duration::from_millis(4_500)),
        ("0.25", Duration::from_millis(250)),
        ("1800000004", second * 4),
        ("1800000004.5", Duration::from_millis(4_500)),
        ("1800000004000", second * 4),
        ("1800000004500", Duration::from_millis(4_500)),
        ("1800000004000000", second * 4),
        ("1800000004000000000", second * 4),
        ("1799999999", Duration::ZERO),
        ("1700000000000", Duration::ZERO),
        ("999999999", second * 86_400),
        // The first instant of each unit.
        ("1000000000", Duration::ZERO),
        ("260000000000", Duration::ZERO),
        ("260000000000000", Duration::ZERO),
        ("260000000000000000", Duration::ZERO),
        // The last second of the year 9999.
        ("253402300799", second * 86_400),
        ("100000000000000000000", second * 86_400),
        ("1900000000", second * 86_400),
        ("Fri, 15 Jan 2027 08:00:04 GMT", second * 4),
    ] {
        for header in [
            "retry-after",
            "x-ratelimit-reset",
            "x-rate-limit-reset",
            "ratelimit-reset",
            "x-ratelimit-reset-after",
            "x-rate-limit-reset-after",
        ] {
            let error = with(429, &[(header, value)], "", &rules()).unwrap_err();
            let got = error.retry_after().unwrap();
            assert!(got.abs_diff(wait) < Duration::from_millis(1), "{header}: {value}: {got:?}");
        }
    }
    for (headers, wait) in [
        (&[("retry-after-ms", "1500")][..], Some(Duration::from_millis(1_500))),
        (&[("x-ms-retry-after-ms", "1500")], Some(Duration::from_millis(1_500))),
        (&[("retry-after", "soon"), ("x-ratelimit-reset", "4")], Some(second * 4)),
        (&[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("x-ratelimit-reset", "784111807")], Some(second * 30)),
        (&[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("x-ratelimit-reset", "750000000")], Some(Duration::ZERO)),
        // By the server's clock, which is a day behind.
        (&[("date", "Thu, 14 Jan 2027 08:00:00 GMT"), ("retry-after", "1799913604")], Some(second * 4)),
        (&[("retry-after", ".5")], None),
        (&[("retry-after", "1e3")], None),
        (&[("retry-after", "-4")], None),
    ] {
        assert_eq!(with(429, headers, "", &rules()).unwrap_err().retry_after(), wait, "{headers:?}");
    }
}
