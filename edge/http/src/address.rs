use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses a client may connect to; checked on what a name resolved to, so that no name can get around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Anything: for addresses that the operator or the person at the keyboard chose.
    #[default]
    Any,
    /// No loopback, link-local, metadata or unspecified address: for addresses that a tenant chose (design
    /// invariant 9). Private networks stay allowed: stores inside the cluster live there.
    NoLocal,
}

impl AddressPolicy {
    /// Why `address` may not be reached, in words for people; `None` where it may.
    pub fn refusal(self, address: IpAddr) -> Option<&'static str> {
        match (self, address) {
            (Self::Any, _) => None,
            (Self::NoLocal, IpAddr::V4(address)) => local_v4(address),
            (Self::NoLocal, IpAddr::V6(address)) => local_v6(address),
        }
    }
}

/// Metadata services outside 169.254.0.0/16: Alibaba Cloud, Azure's wire server, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Metadata services of AWS (IMDS, time, pod identity) and Google Cloud over IPv6.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn local_v4(address: Ipv4Addr) -> Option<&'static str> {
    if METADATA_V4.contains(&address) {
        Some("a cloud metadata address")
    } else if address.is_link_local() {
        Some("a link-local or cloud metadata address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.octets()[0] == 0 {
        // Linux takes all of 0.0.0.0/8 for this host or refuses it.
        Some("an unspecified address")
    } else if address.is_multicast() || address.is_broadcast() {
        Some("a multicast or broadcast address")
    } else {
        None
    }
}

fn local_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(inner) = embedded_v4(address) {
        return local_v4(inner);
    }
    if METADATA_V6.contains(&address) {
        Some("a cloud metadata address")
    } else if address.is_unicast_link_local() {
        Some("a link-local address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_unspecified() {
        Some("an unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 or 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(from(high, low)),
        // ::1 and :: are their own cases.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(from(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_refused_in_every_spelling() {
        let refused = [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
        ];
        for address in refused {
            let parsed: IpAddr = address.parse().unwrap();
            assert!(AddressPolicy::NoLocal.refusal(parsed).is_some(), "{address} must be refused");
            assert_eq!(AddressPolicy::Any.refusal(parsed), None, "{address} is allowed to operators");
        }
    }

    #[test]
    fn public_and_private_addresses_are_allowed() {
        let allowed = [
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "100.64.0.1",
            "8.8.8.8",
            "2001:db8::1",
            "fd12:3456::1",
            "64:ff9b::8.8.8.8",
        ];
        for address in allowed {
            assert_eq!(AddressPolicy::NoLocal.refusal(address.parse().unwrap()), None, "{address}");
        }
    }
}
