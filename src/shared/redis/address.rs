//! The address of a Redis server: what a URL says.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

/// TLS is separate: this crate implements it itself, so that the system's roots are read once and no option in the URL can
/// disable the verification.
pub(super) struct Address {
    info: ConnectionInfo,
    pub(super) tls: bool,
}

impl Address {
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (tls, plain) = match url.split_once("://") {
            _ if url.contains('#') => return None,
            Some(("rediss" | "valkeys", rest)) => (true, format!("redis://{rest}")),
            _ => (false, url.to_owned()),
        };
        Some(Address { info: plain.into_connection_info().ok()?, tls })
    }

    pub(super) fn settings(&self) -> &RedisConnectionInfo {
        self.info.redis_settings()
    }

    pub(super) fn node(&self) -> &ConnectionAddr {
        self.info.addr()
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.node() {
            ConnectionAddr::Unix(_) => "redis+unix",
            _ if self.tls => "rediss",
            _ => "redis",
        };
        write!(f, "{scheme}://{}", self.node())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_with_its_scheme_and_without_the_password() {
        for (url, shown) in [
            ("redis://me:hush@host:1", "redis://host:1"),
            ("rediss://me:hush@host", "rediss://host:6379"),
            ("redis+unix:///run/redis.sock?pass=hush", "redis+unix:///run/redis.sock"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(matches!(address.node(), ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_)), "{url}");
        }
    }
}
