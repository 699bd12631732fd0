use proptest::prelude::*;

use super::*;

fn v4(bits: u32) -> Ipv4Addr {
    Ipv4Addr::from(bits)
}

#[test]
fn every_special_block_is_refused_from_its_first_address_to_its_last() {
    for (network, length) in SPECIAL_V4 {
        let first = u32::from(network);
        let last = first | u32::MAX.checked_shr(length).unwrap_or(0);
        assert_eq!(first & u32::MAX.checked_shr(length).unwrap_or(0), 0, "{network}");
        for inside in [first, last, first + (last - first) / 2] {
            assert!(!is_public_v4(v4(inside)), "{} of {network}", v4(inside));
        }
        let is_special = |bits: u32| {
            SPECIAL_V4.iter().any(|(network, length)| {
                (u64::from(bits) >> (32 - length)) == (u64::from(u32::from(*network)) >> (32 - length))
            })
        };
        for outside in [first.checked_sub(1), last.checked_add(1)].into_iter().flatten() {
            assert_eq!(is_public_v4(v4(outside)), !is_special(outside), "{} beside {network}", v4(outside));
        }
    }
}

#[test]
fn the_borders_are_those_of_the_registry() {
    let public = [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.1.255",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "8.8.8.8",
        "2000::",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2003::",
        "2606:4700:4700::1111",
        "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff:1000::",
        "64:ff9b::8.8.8.8",
    ];
    let refused = [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.192",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.88.99.0",
        "192.88.99.255",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.0",
        "198.51.100.255",
        "203.0.113.0",
        "203.0.113.255",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::1:0:0",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001::1",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "2002::",
        "2002:7f00:1::",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff::",
        "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        "4000::",
        "5f00::1",
        "fc00::",
        "fd00:ec2::254",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff00::",
        "ff02::1",
    ];
    for (addresses, expected) in [(&public[..], true), (&refused[..], false)] {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }
}

proptest! {
    #[test]
    fn every_address_that_std_knows_to_be_special_is_refused(bits: u32) {
        let address = v4(bits);
        if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
            || address.is_broadcast() || address.is_documentation() || address.is_unspecified() {
            prop_assert!(!is_public_v4(address));
        }
        let mapped = address.to_ipv6_mapped();
        prop_assert!(!is_public_v6(mapped));
        let translated = Ipv6Addr::from(u128::from(NAT64.0) | u128::from(bits));
        prop_assert_eq!(is_public_v6(translated), is_public_v4(address));
    }

    #[test]
    fn public_ipv6_addresses_are_global_unicast(bits: u128) {
        let address = Ipv6Addr::from(bits);
        if is_public_v6(address) {
            prop_assert!(bits >> 125 == 1 || bits >> 32 == u128::from(NAT64.0) >> 32);
            prop_assert!(!address.is_loopback() && !address.is_multicast() && !address.is_unspecified());
        }
    }
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
}

#[test]
fn only_the_public_addresses_of_a_name_are_connected_to() {
    let mixed = public(addresses(&["127.0.0.1", "8.8.8.8", "fe80::1"]));
    assert_eq!(mixed, Ok(addresses(&["8.8.8.8"])));
    // DNS rebinding: the next answer is checked again.
    let error = public(addresses(&["10.0.0.1", "::1"])).unwrap_err();
    assert_eq!(error, NotPublic(vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()]));
    let text = error.to_string();
    assert!(text.starts_with("is at 10.0.0.1, ::1, which is not a public address"), "{text}");
    assert_eq!(public(Vec::new()), Ok(Vec::new()));
}

#[test]
fn an_address_in_a_url_is_checked_in_every_notation() {
    let hosts = NamedHosts::new(["auth.example.com".to_owned(), "10.0.0.1".to_owned(), "[::1]".to_owned()]);
    let flaw = |url: &str| hosts.flaw(&Url::parse(url).unwrap()).is_some();
    for url in [
        "https://169.254.169.254/token",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a00:1]/",
        "https://[::]/",
        "https://10.0.0.2/",
    ] {
        assert!(flaw(url), "{url}");
    }
    for url in [
        "https://8.8.8.8/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://auth.example.com/",
        "https://evil.example/",
    ] {
        assert!(!flaw(url), "{url}");
    }
    assert!(hosts.has(&Url::parse("https://AUTH.example.com:8443/x").unwrap()));
    for other in ["https://auth.example.com.evil.example/", "https://auth.example.com./", "https://evil.example/"] {
        assert!(!hosts.has(&Url::parse(other).unwrap()), "{other}");
    }
}
