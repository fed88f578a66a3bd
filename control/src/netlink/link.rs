//! `RTM_NEWLINK`, `RTM_DELLINK`: interfaces.

use ironlane_rib::{IfIndex, Link};

use super::Malformed;
use super::attr::Attributes;
use super::decode::{header, u32_at};

/// `struct ifinfomsg`.
pub(super) const HEADER_LEN: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
/// What `netif_oper_up` says.
const IFF_RUNNING: u32 = 0x40;
/// What `netif_carrier_ok` says, which is also what marks nexthops `linkdown`.
const IFF_LOWER_UP: u32 = 0x1_0000;

/// The interface; `None` for what a bridge says of its members (family `AF_BRIDGE`).
pub(super) fn decode(body: &[u8]) -> Result<Option<Link>, Malformed> {
    let (family, fixed) = header::<HEADER_LEN>(body)?;
    if family != 0 {
        return Ok(None);
    }
    let flags = u32_at(fixed, 8);
    let mut link = Link {
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        running: flags & IFF_RUNNING != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        ..Link::new(IfIndex(u32_at(fixed, 4)))
    };
    for attribute in Attributes::after(body, HEADER_LEN) {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_ADDRESS => link.mac = attribute.mac(),
            IFLA_IFNAME => link.name = attribute.text(),
            IFLA_MTU => link.mtu = attribute.u32()?,
            IFLA_MASTER => link.master = Some(IfIndex(attribute.u32()?)),
            IFLA_LINKINFO => {
                for info in attribute.nested() {
                    let info = info?;
                    if info.kind == IFLA_INFO_KIND {
                        link.kind = Some(info.text());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Some(link))
}
