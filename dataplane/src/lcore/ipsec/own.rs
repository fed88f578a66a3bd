//! Addresses of the router, for errors that lcores send themselves.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_fib::PortId;

/// Addresses that are remembered of each family.
const MOST: usize = 64;

/// The router's addresses, in the order in which they should be taken.
///
/// ```
/// use ironlane_dataplane::lcore::OwnAddresses;
/// use ironlane_fib::PortId;
///
/// let lan = (Some(PortId(0)), "2001:db8::1/64".parse().unwrap());
/// assert_eq!(OwnAddresses::new([lan]).iter().count(), 1);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddresses(Vec<(Option<PortId>, IpNet)>);

impl OwnAddresses {
    /// These, each with the port that has it; those of interfaces that are no port have none. Of each family
    /// the first 64 are taken. They should be such as may leave the link: RFC 4443 2.2.
    pub fn new(addresses: impl IntoIterator<Item = (Option<PortId>, IpNet)>) -> Self {
        let mut left = [MOST; 2];
        let is_wanted = |(_, net): &(Option<PortId>, IpNet)| {
            let left = &mut left[usize::from(net.addr().is_ipv6())];
            let is_wanted = *left > 0;
            *left = left.saturating_sub(1);
            is_wanted
        };
        Self(addresses.into_iter().filter(is_wanted).collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Option<PortId>, IpNet)> {
        self.0.iter().copied()
    }

    /// The address to tell `sender` from, whose packet arrived by `port`: one that the answer is protected
    /// from (`is_protected`), so that it goes the way that the packet came; else one of the port, of the
    /// sender's own network if there is one (RFC 1812 4.3.2.4); else any.
    pub(crate) fn to(
        &self,
        sender: IpAddr,
        port: PortId,
        is_protected: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let of_family = self
            .0
            .iter()
            .filter(|(_, net)| net.addr().is_ipv4() == sender.is_ipv4());
        let rank = |(by, net): &&(Option<PortId>, IpNet)| {
            let is_near = *by == Some(port);
            let rank = (is_protected(net.addr()), is_near, net.contains(&sender));
            // Of equals the first.
            Reverse(rank)
        };
        of_family.min_by_key(rank).map(|(_, net)| net.addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(addresses: &[(u16, &str)]) -> OwnAddresses {
        let one = |&(port, net): &(u16, &str)| {
            let port = (port != 99).then_some(PortId(port));
            (port, net.parse().unwrap())
        };
        OwnAddresses::new(addresses.iter().map(one))
    }

    fn to(own: &OwnAddresses, sender: &str, port: u16, protected: &str) -> Option<String> {
        let is_protected = |address: IpAddr| address.to_string() == protected;
        let address = own.to(sender.parse().unwrap(), PortId(port), is_protected);
        address.map(|address| address.to_string())
    }

    #[test]
    fn the_address_is_the_nearest_to_the_sender() {
        let own = own(&[
            (99, "10.255.0.1/32"),
            (0, "10.0.0.1/24"),
            (0, "10.1.0.1/24"),
            (1, "192.0.2.1/24"),
            (1, "2001:db8:1::1/64"),
        ]);
        let found = |sender, port| to(&own, sender, port, "").unwrap();
        assert_eq!(found("10.1.0.9", 0), "10.1.0.1");
        assert_eq!(found("203.0.113.9", 0), "10.0.0.1");
        assert_eq!(found("10.1.0.9", 1), "192.0.2.1", "that of the port");
        assert_eq!(found("203.0.113.9", 7), "10.255.0.1", "the first");
        assert_eq!(found("2001:db8::9", 0), "2001:db8:1::1");
        // What came out of a tunnel is answered through it.
        assert_eq!(to(&own, "10.3.0.9", 1, "10.1.0.1").unwrap(), "10.1.0.1");
    }

    #[test]
    fn without_one_of_the_family_there_is_none() {
        assert_eq!(to(&own(&[(0, "10.0.0.1/24")]), "2001:db8::9", 0, ""), None);
        assert_eq!(to(&OwnAddresses::default(), "10.0.0.9", 0, ""), None);
    }

    #[test]
    fn the_first_of_each_family_are_kept() {
        let many: Vec<_> = (0..100).map(|_| (0, "10.0.0.1/24")).collect();
        let own = own(&[&many[..], &[(0, "2001:db8::1/64")]].concat());
        assert_eq!(own.iter().count(), MOST + 1);
    }
}
