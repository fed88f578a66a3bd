//! The addresses by which the router may answer others.

use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_fib::PortId;

use crate::object::{Address, IfIndex};
use crate::rib::Rib;

/// The scope of what is valid on one link alone (`RT_SCOPE_LINK`), and of narrower ones behind it.
const SCOPE_LINK: u8 = 253;

impl Rib {
    /// [`own_addresses`](Self::own_addresses), if they may be others than at the last call.
    pub fn take_own_addresses(&mut self) -> Option<Vec<(Option<PortId>, IpNet)>> {
        std::mem::take(&mut self.own_moved).then(|| self.own_addresses())
    }

    /// The router's addresses that may leave their link, with the ports that have them: those of ports and of
    /// loopback interfaces first, then those of other interfaces. Of link-local addresses others could not be told
    /// which link they mean (RFC 4443 2.2).
    pub fn own_addresses(&self) -> Vec<(Option<PortId>, IpNet)> {
        let port = |ifindex: IfIndex| Some(self.state.bindings.get(&ifindex)?.port);
        let is_first = |ifindex: IfIndex| {
            let is_loopback =
                |ifindex| self.state.links.get(&ifindex).is_some_and(|l| l.0.loopback);
            port(ifindex).is_some() || is_loopback(ifindex)
        };
        let usable = self
            .addresses
            .values()
            .map(|(address, _)| address)
            .filter(|address| leaves_its_link(address));
        let mut usable: Vec<_> = usable.collect();
        // The order among them stays.
        usable.sort_by_key(|address| !is_first(address.ifindex));
        let own = |address: &Address| {
            let net = IpNet::new(address.address, address.prefix_len).ok()?;
            Some((port(address.ifindex), net))
        };
        usable.into_iter().filter_map(own).collect()
    }
}

fn leaves_its_link(address: &Address) -> bool {
    let is_link_local = match address.address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    address.scope < SCOPE_LINK && !address.tentative && !is_link_local
}

#[cfg(test)]
mod tests {
    use ironlane_fib::VrfId;

    use super::*;
    use crate::change::{Change, PortBinding};
    use crate::object::Link;

    fn address(ifindex: u32, net: &str, scope: u8) -> Address {
        let net: IpNet = net.parse().unwrap();
        Address {
            ifindex: IfIndex(ifindex),
            address: net.addr(),
            prefix_len: net.prefix_len(),
            peer: None,
            broadcast: None,
            scope,
            tentative: false,
        }
    }

    #[test]
    fn ports_and_loopback_come_first_and_nothing_that_stays_on_its_link() {
        let mut rib = Rib::new(VrfId::DEFAULT);
        for (index, loopback) in [(1, true), (2, false), (5, false)] {
            rib.apply(Change::SetLink(Link {
                loopback,
                ..Link::new(IfIndex(index))
            }));
        }
        let binding = PortBinding {
            port: PortId(3),
            mac: None,
            mtu: 1500,
        };
        rib.bind_port(IfIndex(5), binding);
        let unchecked = Address {
            tentative: true,
            ..address(5, "2001:db8::2/64", 0)
        };
        let all = [
            address(1, "127.0.0.1/8", 254),
            address(1, "10.255.0.1/32", 0),
            address(2, "203.0.113.2/24", 0),
            address(5, "192.0.2.1/24", 0),
            address(5, "169.254.0.1/16", 253),
            address(5, "2001:db8::1/64", 0),
            address(5, "fe80::1/64", 253),
            unchecked,
        ];
        for address in &all {
            rib.apply(Change::SetAddress(address.clone()));
        }
        let own = |rib: &Rib| -> Vec<_> {
            let all = rib.own_addresses().into_iter();
            all.map(|(port, net)| (port.map(|port| port.0), net.to_string()))
                .collect()
        };
        let own_of = |port, net: &str| (port, net.to_owned());
        let mut expected = vec![
            own_of(None, "10.255.0.1/32"),
            own_of(Some(3), "192.0.2.1/24"),
            own_of(Some(3), "2001:db8::1/64"),
            own_of(None, "203.0.113.2/24"),
        ];
        assert_eq!(own(&rib), expected);
        assert!(rib.take_own_addresses().is_some() && rib.take_own_addresses().is_none());
        rib.apply(Change::SetAddress(all[3].clone()));
        assert!(rib.take_own_addresses().is_none(), "told again");
        rib.apply(Change::DelAddress(all[3].clone()));
        expected.remove(1);
        assert_eq!(own(&rib), expected);
        assert!(rib.take_own_addresses().is_some());
    }
}
