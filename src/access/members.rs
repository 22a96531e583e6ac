//! Members: lists of names and networks in which one entry is found quickly, however long they are.
//!
//! Comes in: lists as configured, once. Goes out: whether something is in them; nothing is allocated for that. Never folds
//! case: `Alice` is not `alice`.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Names of users or groups, values of a claim; sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Box<[String]>);

impl Names {
    /// Whether this is one of them.
    pub fn has(&self, name: &str) -> bool {
        self.0.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of their letters.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether all of these are in `other`.
    pub fn are_in(&self, other: &Self) -> bool {
        self.iter().all(|name| other.has(name))
    }
}

impl<S: Into<String>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into())
    }
}

/// Networks; sorted, and none of them within another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

impl Networks {
    /// Whether an address is in one of them. An IPv4 address is one, also when it is written as IPv6.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let before = self.0.partition_point(|network| network.network() <= address);
        before > 0 && self.0[before - 1].contains(&address)
    }

    /// All of them, in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether all of these are in `other`.
    pub fn are_in(&self, other: &Self) -> bool {
        self.iter().all(|network| other.iter().any(|wide| wide.contains(network)))
    }

    /// Whether some address is in both.
    pub fn meet(&self, other: &Self) -> bool {
        self.iter().any(|one| other.iter().any(|two| one.contains(two) || two.contains(one)))
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let networks: Vec<IpNet> = networks.into_iter().map(canonical).collect();
        let mut networks = IpNet::aggregate(&networks);
        networks.sort_unstable();
        Self(networks.into())
    }
}

/// IPv4 addresses that are written as IPv6 (RFC 4291, section 2.5.5.2) are IPv4 addresses.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(wide) = network else { return network.trunc() };
    let narrow = wide.network().to_ipv4_mapped().zip(wide.prefix_len().checked_sub(96));
    let narrow = narrow.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    narrow.map_or(network.trunc(), IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(written: &[&str]) -> Networks {
        written.iter().map(|network| network.parse::<IpNet>().expect("a network")).collect()
    }

    #[test]
    fn a_name_is_found_among_many_and_no_other_spelling_of_it() {
        let names: Names = (0..1000).map(|n| format!("user{n}")).collect();
        assert!(names.has("user0") && names.has("user999"));
        assert!(!names.has("user") && !names.has("User1") && !names.has("user1000"));
        assert!(!Names::default().has(""));
    }

    #[test]
    fn an_address_is_found_whatever_else_is_in_the_list() {
        let office =
            networks(&["10.0.0.0/8", "10.1.2.3/32", "192.0.2.128/25", "fd00::/8", "::ffff:198.51.100.0/120"]);
        assert_eq!(office.iter().count(), 4);
        for (address, inside) in [
            ("10.255.0.1", true),
            ("10.1.2.4", true),
            ("11.0.0.1", false),
            ("192.0.2.127", false),
            ("192.0.2.128", true),
            ("::ffff:10.0.0.1", true),
            ("198.51.100.7", true),
            ("fd12::1", true),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(office.contain(address.parse().expect("an address")), inside, "{address}");
        }
        assert!(!Networks::default().contain([10, 0, 0, 1].into()));
    }

    #[test]
    fn lists_are_compared() {
        let (wide, narrow) = (networks(&["10.0.0.0/8"]), networks(&["10.1.0.0/16", "10.2.0.0/16"]));
        assert!(narrow.are_in(&wide) && !wide.are_in(&narrow));
        assert!(wide.meet(&narrow) && narrow.meet(&wide) && !wide.meet(&networks(&["fd00::/8"])));
    }
}
