//! The story that a failed test prints.

use std::fmt::Write;

use super::world::World;

/// A line for each request that the server has received.
pub(super) fn story(world: &World) -> String {
    let World { issuer, api, .. } = world;
    let mut story = format!("The authorization server {issuer} and its API {api} have seen:\n");
    let state = world.state();
    let shown = state.recorded.len().min(LONGEST);
    match state.latest - shown {
        0 if shown == 0 => story.push_str("  nothing\n"),
        0 => {}
        earlier => {
            let _ = writeln!(story, "  .. {earlier} earlier requests");
        }
    }
    for request in state.recorded.values().skip(state.recorded.len() - shown) {
        let _ = writeln!(story, "{request}");
    }
    story
}

/// 100: the last lines suffice to explain a failure.
const LONGEST: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::message::Incoming;
    use super::super::{Answer, Endpoint};
    use super::*;

    fn get(path: &str) -> Incoming {
        let (head, ()) = http::Request::get(path).body(()).unwrap().into_parts();
        Incoming { head, body: bytes::Bytes::new(), certificate: None }
    }

    #[test]
    fn of_many_requests_the_latest_are_kept_and_fewer_are_printed() {
        let world = World::new("http://issuer".to_owned(), "http://api".to_owned());
        for number in 0..10_050 {
            let (index, ..) = world.state().record(Endpoint::Api, &get(&format!("/{number}")));
            world.state().conclude(index, Some(401), None, "no token");
        }
        let state = world.state();
        let paths: Vec<_> = state.recorded.values().map(|request| (request.path(), request.status())).collect();
        assert_eq!((paths.len(), paths[0], paths[9_999]), (10_000, ("/50", Some(401)), ("/10049", Some(401))));
        drop(state);
        let story = story(&world);
        assert_eq!((story.lines().count(), story.lines().nth(1)), (102, Some("  .. 9950 earlier requests")));
        assert!(story.ends_with("GET /10049  without a token  ->  401, no token\n"), "{story}");
    }

    #[test]
    fn an_answer_to_a_forgotten_request_is_not_assigned_to_another() {
        let world = World::new(String::new(), String::new());
        world.state().script(Endpoint::Api).next.push_back(Answer::Hang);
        let (first, ..) = world.state().record(Endpoint::Api, &get("/first"));
        for _ in 0..10_000 {
            world.state().record(Endpoint::Api, &get("/later"));
        }
        world.state().conclude(first, Some(200), None, "late");
        assert!(world.state().recorded.values().all(|request| request.status().is_none()));
    }
}
