//! Errors to senders of packets that are too long once they are protected (RFC 4301 8.2.1).

use std::net::{IpAddr, Ipv4Addr};

use ironlane_ipsec::{Action, Flow, PolicyDirection, Sa};
use ironlane_packet::checksum;
use ironlane_packet::eth::Mac;
use ironlane_packet::ip4::{HEADER_LEN_BYTES as IP4_LEN, Ip4, Ip4Fields};
use ironlane_packet::ip6::{HEADER_LEN_BYTES as IP6_LEN, Ip6, Ip6Fields};
use ironlane_packet::proto::ip;
use ironlane_packet::{icmp, icmp6};

use super::{L2, write_ethernet};
use crate::burst::Arrival;
use crate::eal::Mbuf;
use crate::eal::crypto::Session;
use crate::lcore::poll::Lcore;
use crate::stage::TablesView;
use crate::stage::icmp_rules::{is_broadcast, may_answer4, may_answer6};

/// Source of an ICMP error where the router is known by no IPv4 address: the dummy address of RFC 7600
/// 4.8, made for that.
const DUMMY4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8));

/// The longest errors (RFC 1812 4.3.2.3, RFC 4443 2.4 c).
const LONGEST4: usize = 576;
const LONGEST6: usize = 1280;

/// ICMP: fragmentation needed and DF set.
const FRAGMENTATION_NEEDED: u8 = 4;

/// ICMP and ICMPv6 header of such an error.
const ICMP_LEN: usize = 8;

/// The hops of what the router sends; one more is taken by the rewrite.
const HOPS: u8 = 65;

impl Lcore {
    /// The address by which to tell the sender of a packet, which begins with its IP header, that it is too
    /// long for `sa`; RFC 4443 2.2, RFC 1812 4.3.2.4. `None`: the router is known by none of the family.
    pub(super) fn teller(
        &self,
        packet: &[u8],
        sa: &Sa<Session>,
        arrival: Arrival,
        view: &TablesView<'_>,
    ) -> Option<IpAddr> {
        let sender = Flow::of(packet)?.src;
        let (proto, ports) = match sender {
            IpAddr::V4(_) => (ip::ICMP, (icmp::UNREACHABLE, FRAGMENTATION_NEEDED)),
            IpAddr::V6(_) => (ip::ICMP6, (icmp6::TOO_BIG, 0)),
        };
        let is_protected = |src| {
            let flow = Flow {
                src,
                dst: sender,
                proto,
                ports: Some((ports.0.into(), ports.1.into())),
            };
            let (vrf, out) = (arrival.vrf, PolicyDirection::Out);
            let rule = view.ipsec.find_policy(view.guard, vrf, out, &flow, 0, 0);
            rule.is_some_and(|rule| matches!(rule.spec().action, Action::Protect { .. }))
        };
        let own = self.shared.own.load(view.guard);
        let of_tunnel = Some(sa.spec().src).filter(|src| src.is_ipv4() == sender.is_ipv4());
        own.to(sender, arrival.port, is_protected)
            .or(of_tunnel)
            .or(sender.is_ipv4().then_some(DUMMY4))
    }
}

/// Turns a packet, which begins with its IP header behind an Ethernet header, into the error that tells
/// its sender to send no more than `mtu` bytes. `from` is an address of the router, of the same family.
///
/// False: none may answer it, or none can; the packet is then not to be used.
pub(super) fn make_too_big(
    mbuf: &mut Mbuf,
    mtu: usize,
    from: IpAddr,
    arrival: Arrival,
    src: Mac,
    view: &TablesView<'_>,
) -> bool {
    let packet = mbuf.data().get(L2..).unwrap_or(&[]);
    let made = match (Ip4::new(packet), Ip6::new(packet), from) {
        (Some(header), _, IpAddr::V4(from)) if header.version() == 4 => {
            let to = header.src();
            let may = may_answer4(header, packet) && !is_broadcast(view, arrival.vrf, to);
            may && write4(mbuf, mtu, from.to_bits(), to)
        }
        (_, Some(header), IpAddr::V6(from)) => {
            let to = header.src();
            may_answer6(header, packet) && write6(mbuf, mtu, from.to_bits(), to)
        }
        _ => false,
    };
    mbuf.set_ol_flags(0);
    made && mbuf.prepend(L2).is_some() && write_ethernet(mbuf, arrival.mac, src)
}

/// Leaves as much of the packet as an error of `longest` bytes quotes, with room for `headers` before.
fn quote(mbuf: &mut Mbuf, longest: usize, headers: usize) -> Option<&mut [u8]> {
    mbuf.adj(L2);
    mbuf.truncate(longest - headers);
    if mbuf.nb_segs() > 1 && !mbuf.pullup(mbuf.pkt_len()) {
        return None;
    }
    mbuf.prepend(headers)?;
    Some(mbuf.data_mut())
}

fn write4(mbuf: &mut Mbuf, mtu: usize, src: u32, dst: u32) -> bool {
    let Some(answer) = quote(mbuf, LONGEST4, IP4_LEN + ICMP_LEN) else {
        return false;
    };
    let fields = Ip4Fields {
        tos: NETWORK_CONTROL,
        ttl: HOPS,
        protocol: ip::ICMP,
        src,
        dst,
        ..Ip4Fields::default()
    };
    let (header, message) = answer.split_at_mut(IP4_LEN);
    // At most 576 bytes.
    header.copy_from_slice(&fields.to_bytes(message.len() as u16));
    // RFC 1191 4: the MTU in the low half of the word that was unused.
    message[..6].copy_from_slice(&[icmp::UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, 0, 0]);
    message[6..8].copy_from_slice(&(mtu.min(0xffff) as u16).to_be_bytes());
    let sum = checksum::of(message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    true
}

/// Precedence of errors (RFC 1812 4.3.2.5).
const NETWORK_CONTROL: u8 = 0xc0;

fn write6(mbuf: &mut Mbuf, mtu: usize, src: u128, dst: u128) -> bool {
    let Some(answer) = quote(mbuf, LONGEST6, IP6_LEN + ICMP_LEN) else {
        return false;
    };
    let fields = Ip6Fields {
        traffic_class: 0,
        flow_label: 0,
        next_header: ip::ICMP6,
        hop_limit: HOPS,
        src,
        dst,
    };
    let (header, message) = answer.split_at_mut(IP6_LEN);
    // At most 1280 bytes.
    header.copy_from_slice(&fields.to_bytes(message.len() as u16));
    message[..4].copy_from_slice(&[icmp6::TOO_BIG, 0, 0, 0]);
    message[4..8].copy_from_slice(&(mtu as u32).to_be_bytes());
    let pseudo = checksum::pseudo6(src, dst, ip::ICMP6, message.len() as u32);
    let sum = !checksum::fold(checksum::add(pseudo, message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    true
}
