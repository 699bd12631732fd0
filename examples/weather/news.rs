//! What happens at the servers, for whoever shows it.

/// In the order of the story.
pub(crate) enum News {
    TokenRevoked,
    Down,
    Back { refused_requests: u32 },
}
