//! The macro for `tracing` events; without the feature `tracing` it does nothing.

/// `event!(level, field = value, .., "text")`, for something to report once to an operator.
macro_rules! event {
    ($level:ident, $($arguments:tt)+) => {{
        #[cfg(feature = "tracing")]
        tracing::$level!(target: "client_credentials", $($arguments)+);
    }};
}

pub(crate) use event;
