//! FAULTS family K: two clocks; the one by which the token expires earlier decides.

use super::*;

/// A source whose first token, of one hour, was just fetched.
async fn with_an_hour() -> (Arc<Server>, Cached<Arc<Server>>) {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    (server, tokens)
}

#[tokio::test]
async fn a_machine_that_was_suspended_for_eight_hours_fetches_a_new_token() {
    // K01
    let (server, tokens) = with_an_hour().await;
    server.hands.set_wall(|hand| hand + seconds(8 * 3600));
    assert!(at_once(&tokens).is_none(), "the old one is not returned");
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
}

#[tokio::test]
async fn after_a_suspend_and_with_the_server_down_there_is_an_error_and_no_expired_token() {
    // K01
    let server = Server::new([Reply::New(3600)], down());
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.hands.set_wall(|hand| hand + seconds(3600));
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Transport);
}

#[tokio::test]
async fn a_wall_clock_stepped_back_does_not_prolong_a_token() {
    // K02
    let (server, tokens) = with_an_hour().await;
    server.hands.set_wall(|hand| hand - seconds(3600));
    assert_eq!(value(&tokens), "t1");
    server.advance(seconds(3590));
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
}

#[tokio::test]
async fn five_years_back_and_forth_cost_at_most_two_tokens() {
    // K04
    let (server, tokens) = with_an_hour().await;
    let years = seconds(5 * 365 * 86_400);
    server.hands.set_wall(|hand| hand - years);
    tokens.token().await.unwrap();
    server.hands.set_wall(|hand| hand + years);
    tokens.token().await.unwrap();
    tokens.token().await.unwrap();
    assert!(server.hits() <= 3);
}

#[tokio::test]
async fn a_response_slower_than_its_lifetime_serves_its_waiters_only() {
    // K07
    let server = Server::new([Reply::Slow(seconds(2), 1)], Reply::New(3600));
    let tokens = cached(&server);
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    settle().await;
    server.advance(seconds(2));
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "t1");
    assert!(at_once(&tokens).is_none());
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
}

#[tokio::test]
async fn a_token_of_one_second_causes_no_burst_of_requests() {
    // K09: at most 3 requests per lifetime under constant load, and no call fails.
    let server = Server::new([], Reply::Slow(millis(20), 1));
    let tokens = cached(&server);
    let mut waited = 0;
    for _ in 0..1000 {
        server.advance(millis(10));
        match at_once(&tokens) {
            Some(result) => drop(result.unwrap()),
            None => waited += 1,
        }
        settle().await;
    }
    assert!(server.hits() <= 30, "{} requests in 10 s", server.hits());
    assert!(waited <= 5, "{waited}");
}

#[tokio::test]
async fn a_token_is_expired_at_exactly_its_expiry() {
    // K10: expired 10 s before the end of its hour, by either clock alone and by both.
    type Advance = fn(&Server, Duration);
    let hands: [(&str, Advance); 3] = [
        ("monotonic", |server, by| server.hands.set_mono(|hand| hand + by)),
        ("wall", |server, by| server.hands.set_wall(|hand| hand + by)),
        ("both", |server, by| server.advance(by)),
    ];
    for (which, advance) in hands {
        for (nanos, usable) in [(-1_i64, true), (0, false), (1, false)] {
            let (server, tokens) = with_an_hour().await;
            server.close();
            let instant = u64::try_from(3_590_000_000_000_i64 + nanos).unwrap();
            advance(&server, Duration::from_nanos(instant));
            assert_eq!(at_once(&tokens).is_some(), usable, "{which}, {nanos} ns");
        }
    }
}

#[tokio::test]
async fn a_thousand_sources_spread_their_refreshes() {
    // K11: spread over the first half of the refresh window (2880 s to 3240 s), each stable.
    let mut instants = Vec::new();
    for seed in 0..1000 {
        let server = Server::new([], Reply::New(3600));
        let tokens = seeded(&server, seed);
        tokens.token().await.unwrap();
        server.close();
        server.advance(seconds(2880));
        let mut second = 2880;
        while tokens.status().state == TokenState::Fresh {
            server.advance(seconds(1));
            second += 1;
        }
        instants.push(second);
    }
    let (first, last) = (*instants.iter().min().unwrap(), *instants.iter().max().unwrap());
    assert!((2880..=3240).contains(&first) && (2880..=3240).contains(&last));
    assert!(last - first >= 288, "80 % of the band: {first} to {last}");
    for tenth in 0..10 {
        let from = 2880 + tenth * 36;
        let here = instants.iter().filter(|at| (from..from + 36).contains(*at)).count();
        assert!((60..=140).contains(&here), "{here} of 1000 refreshes between {from} s and {} s", from + 36);
    }
}

#[tokio::test]
async fn a_token_of_ten_years_is_refreshed_within_a_day_and_usable_meanwhile() {
    // K13
    let server = Server::new([], Reply::New(10 * 365 * 86_400));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(77_000));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    assert_eq!(server.hits(), 1);
    server.advance(seconds(86_400 - 77_000));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn an_endless_lifetime_does_not_overflow() {
    let server = Server::new([], Reply::New(u64::MAX));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    assert_eq!(value(&tokens), "t1");
}

#[tokio::test]
async fn a_monotonic_clock_that_is_stepped_back_causes_no_panic() {
    // K14
    let (server, tokens) = with_an_hour().await;
    server.hands.set_mono(|hand| hand - seconds(7200));
    assert_eq!(value(&tokens), "t1");
    let token = tokens.token().await.unwrap();
    tokens.reject(&token);
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
    server.hands.set_mono(|_| Duration::ZERO);
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn a_wall_clock_before_1970_causes_no_panic() {
    // K15: it is treated as 1970.
    let (server, tokens) = with_an_hour().await;
    server.hands.set_wall(|_| Duration::ZERO);
    assert_eq!(value(&tokens), "t1");
    server.advance(seconds(3600));
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
}

#[tokio::test]
async fn an_expired_source_fetches_when_it_is_called() {
    let (server, tokens) = with_an_hour().await;
    server.advance(seconds(3600));
    settle().await;
    assert_eq!(server.hits(), 1);
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
}
