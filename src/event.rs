//! What is told to `tracing`, behind the feature of that name; without it, nothing.

/// `event!(level, field = value, .., "text")`, for what an operator wants to know once.
macro_rules! event {
    ($level:ident, $($arguments:tt)+) => {{
        #[cfg(feature = "tracing")]
        tracing::$level!(target: "client_credentials", $($arguments)+);
    }};
}

pub(crate) use event;
