//! Sources without a server.

use std::time::Duration;

use client_credentials::testing::{AuthorizationServer, FakeStep, FakeTokens, Gate};
use client_credentials::{AccessToken, Cached, Error, ManualClock};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_script_runs_step_by_step_and_repeats_its_last_step() {
    let own = AccessToken::builder("own").build().unwrap();
    let fake = FakeTokens::script([FakeStep::Token(HOUR), FakeStep::This(own), FakeStep::Error(Error::other("down"))]);
    let (first, second) = (fake.token().await.unwrap(), fake.token().await.unwrap());
    assert_eq!(second.expose_secret(), "own");
    for _ in 0..3 {
        assert!(fake.token().await.is_err());
    }
    fake.reject(&second);
    fake.reject(&first);
    fake.reject(&AccessToken::builder("own").build().unwrap());
    assert_eq!((fake.calls(), fake.rejected()), (5, vec![2, 1, 0]));
    let error = "error: the token source failed: down";
    let story =
        format!("token 1, token 2, {error}, {error}, {error}, token 2 rejected, token 1 rejected, token 0 rejected");
    assert_eq!(fake.story(), format!("The fake source was asked 5 times: {story}\n"));
    fake.change([FakeStep::Token(HOUR)]);
    assert_ne!(fake.token().await.unwrap().expose_secret(), fake.token().await.unwrap().expose_secret());
    assert!(FakeTokens::script([]).token().await.is_ok());
}

#[tokio::test]
async fn under_a_cache_one_clock_controls_time() {
    let clock = ManualClock::new();
    let fake = FakeTokens::script([
        FakeStep::Token(HOUR),
        FakeStep::Error(Error::other("down")),
        FakeStep::Panic,
        FakeStep::Token(HOUR),
    ])
    .clock(&clock);
    let tokens = Cached::new(fake.clone()).clock(&clock);
    let first = tokens.token().await.unwrap();
    assert_eq!(tokens.token().await.unwrap().expose_secret(), first.expose_secret());
    clock.advance(HOUR);
    for _ in 0..2 {
        assert!(tokens.token().await.is_err());
        clock.advance(Duration::from_secs(60));
    }
    assert!(tokens.token().await.is_ok());
    assert_eq!(fake.calls(), 4);
}

#[tokio::test]
async fn a_token_can_be_held_back() {
    let gate = Gate::new();
    let fake = FakeTokens::script([FakeStep::Held(gate.clone(), HOUR), FakeStep::Hang]);
    let source = fake.clone();
    let waiting = tokio::spawn(async move { source.token().await });
    while fake.calls() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(fake.issued().is_empty());
    gate.open();
    assert!(waiting.await.unwrap().is_ok());
    assert_eq!(fake.issued().len(), 1);
}

#[test]
fn all_of_it_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>() {}
    shared::<FakeTokens>();
    shared::<AuthorizationServer>();
    shared::<Gate>();
}
