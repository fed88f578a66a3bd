//! `xfrm_selector`: which packets a policy or an SA is for.

use std::net::IpAddr;

use ipnet::IpNet;

use super::wire::{Fixed, is_ip6, len};
use crate::ipsec::model::{Refusal, TrafficSelector};
use crate::netlink::Malformed;

const ICMP: [u8; 2] = [1, 58];
const MOBILITY: u8 = 135;
const GRE: u8 = 47;

/// A selector, as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelSelector {
    /// Destination.
    pub dst: IpNet,
    /// Source.
    pub src: IpNet,
    /// Destination port and which of its bits count; the code for ICMP.
    pub dst_port: (u16, u16),
    /// Source port and which of its bits count; the type for ICMP.
    pub src_port: (u16, u16),
    /// Protocol; 0 for any.
    pub proto: u8,
    /// Interface by which packets come or leave; 0 for any.
    pub ifindex: u32,
}

impl KernelSelector {
    /// Reads the selector at `at`; `family` counts where it has none of its own.
    pub(super) fn read(fixed: Fixed<'_>, at: usize, family: u16) -> Result<Self, Malformed> {
        // SAs for both families have selectors of none.
        let own = fixed.u16(at + 40);
        let is_ip6 = is_ip6(if own == 0 { family } else { own })?;
        let net = |addr: IpAddr, len| IpNet::new(addr, len).map_err(|_| Malformed::PrefixLength);
        Ok(Self {
            dst: net(fixed.address(at, is_ip6), fixed.u8(at + 42))?,
            src: net(fixed.address(at + 16, is_ip6), fixed.u8(at + 43))?,
            dst_port: (fixed.be16(at + 32), fixed.be16(at + 34)),
            src_port: (fixed.be16(at + 36), fixed.be16(at + 38)),
            proto: fixed.u8(at + 44),
            ifindex: fixed.u32(at + 48),
        })
    }

    /// Source and destination as the model has them.
    ///
    /// # Errors
    /// A [`Refusal`] for what lcores cannot tell apart.
    pub fn sides(&self) -> Result<(TrafficSelector, TrafficSelector), Refusal> {
        if self.ifindex != 0 {
            return unsupported("a selector that is bound to an interface (dev)");
        }
        let (src, dst) = match self.proto {
            GRE if self.has_ports() => return unsupported("a selector with a GRE key"),
            proto if ICMP.contains(&proto) || proto == MOBILITY => (self.icmp()?, ANY),
            _ => (range(self.src_port)?, range(self.dst_port)?),
        };
        Ok((self.side(self.src, src), self.side(self.dst, dst)))
    }

    /// Source and destination of more packets, where [`sides`](Self::sides) refuses.
    pub fn wide_sides(&self) -> (TrafficSelector, TrafficSelector) {
        (self.side(self.src, ANY), self.side(self.dst, ANY))
    }

    fn side(&self, net: IpNet, (first, last): (u16, u16)) -> TrafficSelector {
        TrafficSelector::new(net.network(), net.broadcast(), self.proto, first, last)
            .unwrap_or_else(|_| TrafficSelector::net(net))
    }

    fn has_ports(&self) -> bool {
        (self.src_port.1, self.dst_port.1) != (0, 0)
    }

    /// Type and code, as IKE packs them into a port.
    fn icmp(&self) -> Result<(u16, u16), Refusal> {
        match (range(self.src_port)?, range(self.dst_port)?) {
            (ANY, ANY) => Ok(ANY),
            (ANY, _) => unsupported("a selector with an ICMP code and no type"),
            (kinds, _) if kinds.1 > 0xff => unsupported("a selector with an ICMP type above 255"),
            (kinds, codes) if kinds.0 == kinds.1 && codes != ANY && codes.1 <= 0xff => {
                Ok((kinds.0 << 8 | codes.0, kinds.0 << 8 | codes.1))
            }
            (kinds, ANY) => Ok((kinds.0 << 8, kinds.1 << 8 | 0xff)),
            _ => unsupported("a selector with ICMP codes of several types"),
        }
    }
}

const ANY: (u16, u16) = (0, u16::MAX);

/// The ports of a port and a mask.
fn range((port, mask): (u16, u16)) -> Result<(u16, u16), Refusal> {
    // Ones first, then zeros: the numbers are in a row.
    if mask.leading_ones() + mask.trailing_zeros().min(16) != 16 {
        return unsupported(format!("a selector with the mask {mask:#06x} of ports"));
    }
    Ok((port & mask, port | !mask))
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotSupported(what.into()))
}

const _: () = assert!(len::SELECTOR == 56);

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(proto: u8, src_port: (u16, u16), dst_port: (u16, u16)) -> KernelSelector {
        KernelSelector {
            dst: "10.2.0.0/16".parse().unwrap(),
            src: "10.1.0.7/16".parse().unwrap(),
            dst_port,
            src_port,
            proto,
            ifindex: 0,
        }
    }

    fn told(selector: KernelSelector) -> Result<[String; 2], String> {
        let sides = selector.sides().map_err(|e| e.to_string());
        sides.map(|(src, dst)| [src.to_string(), dst.to_string()])
    }

    #[test]
    fn ports_and_masks_are_ranges() {
        let any = (0, 0);
        assert_eq!(
            told(selector(0, any, any)).unwrap(),
            ["10.1.0.0/16", "10.2.0.0/16"]
        );
        assert_eq!(
            told(selector(6, any, (443, 0xffff))).unwrap(),
            ["10.1.0.0/16[6]", "10.2.0.0/16[6/443]"]
        );
        assert_eq!(
            told(selector(17, (0x1234, 0xfff0), any)).unwrap()[0],
            "10.1.0.0/16[17/4656-4671]"
        );
        let odd = told(selector(17, (1, 0x0001), any)).unwrap_err();
        assert!(odd.contains("mask 0x0001"), "{odd}");
        let bound = KernelSelector {
            ifindex: 3,
            ..selector(0, any, any)
        };
        assert!(told(bound).unwrap_err().contains("interface"));
        assert!(told(selector(47, (1, 0xffff), any)).is_err());
    }

    #[test]
    fn icmp_types_and_codes_are_packed_as_ike_does() {
        let (any, one) = ((0, 0), 0xffff);
        let ports = |s: KernelSelector| s.sides().map(|(src, dst)| (src.ports(), dst.ports()));
        let (all, echo) = ((0, 0xffff), (0x0800, 0x08ff));
        assert_eq!(ports(selector(1, any, any)), Ok((all, all)));
        assert_eq!(ports(selector(1, (8, one), any)), Ok((echo, all)));
        assert_eq!(
            ports(selector(58, (1, one), (4, one))),
            Ok(((0x0104, 0x0104), all))
        );
        assert!(ports(selector(1, any, (4, one))).is_err());
        assert!(ports(selector(1, (300, one), any)).is_err());
    }
}
