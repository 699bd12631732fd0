//! Public addresses, for hosts that only a document names. The metadata of an API must not direct requests to servers
//! that only this machine can reach (RFC 9728 section 7.7).

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use url::{Host, Url};

/// Hosts that the user named, which may have any address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NamedHosts(Arc<[String]>);

impl NamedHosts {
    /// Hosts in the form that they have in URLs.
    pub(crate) fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        NamedHosts(hosts.into_iter().collect())
    }

    /// What is wrong with the host of this URL, if it is an address.
    pub(crate) fn flaw(&self, url: &Url) -> Option<NotPublic> {
        let address = match url.host()? {
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
            Host::Domain(_) => return None,
        };
        let refused = !self.has(url) && !is_public(address);
        refused.then_some(NotPublic(vec![address]))
    }

    pub(crate) fn has(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.0.iter().any(|named| named.eq_ignore_ascii_case(host))
    }
}

/// All addresses of a host are refused.
#[derive(Debug, PartialEq)]
pub(crate) struct NotPublic(Vec<IpAddr>);

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first few are enough.
        let shown: Vec<_> = self.0.iter().take(4).map(ToString::to_string).collect();
        write!(
            f,
            "is at {}, which is not a public address, and only metadata names its host: if it is right, name the host by pin_token_endpoint_origin",
            shown.join(", ")
        )
    }
}

impl StdError for NotPublic {}

impl NotPublic {
    /// Finds this error as the reason why a connection failed.
    pub(crate) fn find<'e>(e: &'e (dyn StdError + 'static)) -> Option<&'e NotPublic> {
        e.downcast_ref().or_else(|| e.source().and_then(NotPublic::find))
    }
}

/// Returns the public ones; an error if there are none.
pub(crate) fn public(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotPublic> {
    let (kept, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| is_public(one.ip()));
    if kept.is_empty() && !refused.is_empty() {
        return Err(NotPublic(refused.iter().map(SocketAddr::ip).collect()));
    }
    Ok(kept)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    let is_in = |&(network, length): &(Ipv4Addr, u32)| (bits ^ u32::from(network)).leading_zeros() >= length;
    !SPECIAL_V4.iter().any(is_in)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let is_in = |&(network, length): &(Ipv6Addr, u32)| (bits ^ u128::from(network)).leading_zeros() >= length;
    if is_in(&NAT64) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    is_in(&GLOBAL_UNICAST) && !SPECIAL_V6.iter().any(is_in)
}

/// The IANA IPv4 Special-Purpose Address Registry (RFC 6890), and addresses that are not unicast. The few globally
/// reachable blocks are included, since they have no authorization servers.
const SPECIAL_V4: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),          // this network, RFC 791
    (Ipv4Addr::new(10, 0, 0, 0), 8),         // private use, RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),      // carriers' NAT, RFC 6598; the metadata of Alibaba Cloud
    (Ipv4Addr::new(127, 0, 0, 0), 8),        // loopback, RFC 1122
    (Ipv4Addr::new(168, 63, 129, 16), 32),   // Azure's platform: a public number, the same for every machine there
    (Ipv4Addr::new(169, 254, 0, 0), 16),     // link-local, RFC 3927; the metadata of most clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),      // private use, RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24),       // IETF protocols, RFC 6890; the metadata of Oracle Cloud
    (Ipv4Addr::new(192, 0, 2, 0), 24),       // documentation, RFC 5737
    (Ipv4Addr::new(192, 88, 99, 0), 24),     // relays of 6to4, RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16),     // private use, RFC 1918
    (Ipv4Addr::new(198, 18, 0, 0), 15),      // benchmarks, RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24),    // documentation, RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24),     // documentation, RFC 5737
    (Ipv4Addr::new(224, 0, 0, 0), 4),        // multicast, RFC 5771
    (Ipv4Addr::new(240, 0, 0, 0), 4),        // reserved, RFC 1112
    (Ipv4Addr::new(255, 255, 255, 255), 32), // broadcast, RFC 919
];

/// The block that IANA assigns (RFC 4291 section 2.4). Outside are `::`, loopback, IPv4-mapped (`::ffff:0:0/96`),
/// unique local (RFC 4193), link-local and multicast addresses, and reserved ones.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// IPv4 behind a translator (RFC 6052 section 2.1): the last 32 bits are the address.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Within that, the IANA IPv6 Special-Purpose Address Registry (RFC 6890).
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF protocols, RFC 2928: Teredo, benchmarks, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation, RFC 3849
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, RFC 3056: an IPv4 address inside
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation, RFC 9637
];

#[cfg(test)]
#[path = "public_tests.rs"]
mod tests;
