//! Packets of the kernel, which meet the outbound policies like any other (RFC 4301 4.4.1).

use ironlane_fib::VrfId;
use ironlane_ipsec::{Action, Direction, Encapsulated, Event, Flow, PolicyDirection, Protocol};
use ironlane_packet::eth::EtherType;
use ironlane_packet::icmp6::{self, Icmp6Kind};
use ironlane_packet::proto::{ip, port};

use super::open::header_at;
use super::{L2, Tag};
use crate::burst::BurstStore;
use crate::eal::{Mbuf, MbufBatch};
use crate::lcore::poll::Lcore;
use crate::reason::DropReason;
use crate::stage::TablesView;

impl Lcore {
    /// Sends a burst of the kernel's packets: in clear, protected, or not at all, as the policies say.
    #[cold]
    pub(crate) fn inject_by_policy(
        &mut self,
        batch: &mut MbufBatch,
        store: &mut BurstStore,
        view: &TablesView<'_>,
    ) {
        for mut mbuf in batch.drain() {
            let to = Tag::port(mbuf.port());
            let interface = view.interfaces.of_port(to);
            let vrf = self.crypto.arrival(to).map(|arrival| arrival.vrf);
            let (flow, len) = match flow(&mut mbuf, vrf, view) {
                Told::Ours(flow, len) => (flow, len),
                // By an IPsec interface nothing is exempt, and nothing is Ethernet.
                Told::Exempt(Some((flow, len))) if interface.is_some() => (flow, len),
                Told::Exempt(None) if interface.is_some() => {
                    self.outlet.lose(to, DropReason::IpsecMalformed, mbuf);
                    continue;
                }
                Told::Exempt(_) => {
                    self.outlet.send_by(to, mbuf);
                    continue;
                }
                Told::Malformed => {
                    self.outlet.lose(to, DropReason::IpsecMalformed, mbuf);
                    continue;
                }
                Told::OtherSealed => {
                    self.outlet.lose(to, DropReason::IpsecOtherSealed, mbuf);
                    continue;
                }
            };
            if !view.ipsec.knows_policies() {
                self.outlet.lose(to, DropReason::PolicyNotKnown, mbuf);
                continue;
            }
            let rule = vrf.and_then(|vrf| {
                let (ipsec, out) = (view.ipsec, PolicyDirection::Out);
                let (if_id, mark) = interface.map_or((0, 0), |one| (one.if_id, one.mark));
                ipsec.find_policy(view.guard, vrf, out, &flow, if_id, mark)
            });
            let is_clear = rule.is_none_or(|rule| rule.spec().action == Action::Bypass);
            if is_clear && interface.is_some() {
                let reason = DropReason::IpsecInterfaceNoPolicy;
                self.outlet.lose(to, reason, mbuf);
                continue;
            }
            let Some(rule) = rule else {
                self.outlet.send_by(to, mbuf);
                continue;
            };
            rule.touch(view.now_s());
            match (rule.spec().action, rule.sa()) {
                (Action::Bypass, _) => self.outlet.send_by(to, mbuf),
                (Action::Discard, _) => self.outlet.lose(to, DropReason::PolicyDiscard, mbuf),
                (Action::Protect { .. }, Some(sa)) => {
                    mbuf.truncate(L2 + len);
                    mbuf.set_port(to.0 | Tag::INJECTED);
                    // The lists are empty between bursts.
                    if let Err(mbuf) = self.outlet.ipsec.seal.push(sa, mbuf) {
                        self.outlet.lose(to, DropReason::IpsecNested, mbuf);
                    }
                }
                (Action::Protect { .. }, None) => {
                    if rule.wants_acquire(view.now_s()) {
                        let policy = rule.id();
                        view.ipsec.events().push(Event::Acquire { policy, flow });
                    }
                    self.outlet.lose(to, DropReason::PolicyNoSa, mbuf);
                }
            }
        }
        self.cross_ipsec(store, view);
    }
}

/// What a frame of the kernel is to the policies.
enum Told {
    /// They decide about it; with the length of its IP packet.
    Ours(Flow, usize),
    /// They have no say: it is not IP; or IKE, which makes the SAs; or neighbour discovery, which is to
    /// IPv6 what ARP is to IPv4, so that no SA can come up before it; or lcores have sealed it, and the
    /// kernel only found its neighbour. With what it is if it is IP.
    Exempt(Option<(Flow, usize)>),
    /// An SA of lcores sealed it, and not they: see [`sealed`].
    OtherSealed,
    /// It says it is IP, and what policies look at cannot be seen.
    Malformed,
}

fn flow(mbuf: &mut Mbuf, vrf: Option<VrfId>, view: &TablesView<'_>) -> Told {
    let all = mbuf.pkt_len();
    if mbuf.nb_segs() > 1 {
        mbuf.pullup(all.min(mbuf.pullup_max()));
    }
    let frame = mbuf.data();
    let word = |at: usize| {
        let bytes = frame.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| u16::from_be_bytes(*bytes))
    };
    let len = match word(12).map(EtherType) {
        Some(EtherType::IP4) => word(L2 + 2).map(usize::from),
        Some(EtherType::IP6) => word(L2 + 4).map(|len| usize::from(len) + 40),
        _ => return Told::Exempt(None),
    };
    let (Some(len), Some(packet)) = (len, frame.get(L2..)) else {
        return Told::Malformed;
    };
    let flow = match Flow::of(&packet[..packet.len().min(len)]) {
        Some(flow) if L2 + len <= all => flow,
        _ => return Told::Malformed,
    };
    match sealed(packet, &flow, vrf, view) {
        Some(true) => return Told::Exempt(Some((flow, len))),
        Some(false) => return Told::OtherSealed,
        None => {}
    }
    let is_exempt = match (flow.proto, flow.ports) {
        (ip::UDP, Some((from, _))) => matches!(from, port::IKE | port::IKE_NAT),
        (ip::ICMP6, Some((kind, _))) => {
            icmp6::kind(kind as u8) == Icmp6Kind::NeighbourDiscovery
                && packet.get(7) == Some(&u8::MAX)
        }
        _ => false,
    };
    match is_exempt {
        true => Told::Exempt(Some((flow, len))),
        false => Told::Ours(flow, len),
    }
}

/// Whether lcores used the sequence number of a packet that is sealed by one of their outbound SAs; `None`
/// if it is not. Linux may seal by the same SA where it has it, too: with a number that lcores take later
/// the packet would break counter modes (RFC 4106 2), so it must not leave.
fn sealed(packet: &[u8], flow: &Flow, vrf: Option<VrfId>, view: &TablesView<'_>) -> Option<bool> {
    if !matches!(flow.proto, ip::ESP | ip::AH | ip::UDP) || !view.ipsec.has_sas() {
        return None;
    }
    let (at, _) = header_at(packet)?;
    let header = packet.get(at..)?;
    let (protocol, words) = match (flow.proto, flow.ports) {
        (ip::ESP, _) => (Protocol::Esp, header),
        (ip::AH, _) => (Protocol::Ah, header.get(4..)?),
        (ip::UDP, Some((port::IKE_NAT, _))) => match Encapsulated::of(header) {
            Encapsulated::Esp => (Protocol::Esp, header),
            _ => return None,
        },
        _ => return None,
    };
    let (spi, rest) = words.split_first_chunk()?;
    let number = u32::from_be_bytes(*rest.first_chunk()?);
    let spi = u32::from_be_bytes(*spi);
    let sa = view
        .ipsec
        .find_sa(view.guard, protocol, spi, flow.dst, vrf?)
        .filter(|sa| sa.spec().direction == Direction::Out)?;
    Some(sa.state().has_used(number))
}
