//! Straight: plain unicast IPv4 and IPv6 from the frame's first byte to the verdict "send". Before
//! all other stages.
//!
//! Most packets break no rule and need nothing special. For those the rules of `classify`, the
//! checks, the lookups and the rewrites come down to a few compares, which are made here for the
//! burst as a whole: sort by family, check each header, look all destinations up, rewrite. A packet
//! that fails any compare is left as it arrived, to the stages behind, which know the rule, its
//! reason and its exceptions. So nothing is decided here but "send": whatever is judged plain must
//! be what the other stages would forward, to the same port and with the same bytes. A test holds
//! that for any packet.
//!
//! What was sent is a word with a bit for each place; all other packets are left. So nothing can be
//! lost.
//!
//! Cost on a Zen 5 (2026-11-26, ticks of a time stamp counter of 2.6 GHz, bursts of 64):
//! see `docs/forwarding.md`.

use ironlane_fib::{Egress, NexthopIndex, PortId, SlotWord};
use ironlane_packet::eth::Mac;
use ironlane_packet::flow;

use super::simd::{self, Found, HeaderPath};
use super::{StageCard, TablesView};
use crate::burst::{Arrival, BurstStore, Fate, Lane, Plain, PlainList, Sole, Straightway};
use crate::eal::{BURST_MAX, Mbuf, RxChecksum};
use crate::reason::StageId;

/// Length of the Ethernet header, in bytes.
pub(super) const L2: usize = 14;

/// What the stage may do.
pub(super) const CARD: StageCard = StageCard {
    id: StageId::Straight,
    input: Lane::Input,
    lanes: &[Lane::Frame],
    next: None,
    drops: &[],
    punts: &[],
};

/// Sends what is plain, and says which packets it left.
pub(super) fn run(
    path: HeaderPath,
    store: &mut BurstStore,
    arrival: Arrival,
    view: &TablesView<'_>,
) -> u64 {
    let mut way = store.straightway();
    let sorted = sort_plain(path, &mut way, arrival.mac);
    let (ip4, ip6) = (
        sorted.ip4.count_ones() as usize,
        sorted.ip6.count_ones() as usize,
    );
    let mut sent = 0;
    // What turns back to the port it came by may be to be redirected (RFC 1812 5.2.7.2, RFC 4861 8.2).
    if ip4 != 0 {
        let list = &mut *way.ip4;
        let fib = view.tables.ip4(view.guard, arrival.vrf);
        fib.lookup_bulk(view.guard, &list.addresses[..ip4], &mut list.answers[..ip4]);
        let missed = forward::<V4>(
            way.packets,
            list,
            ip4,
            view,
            arrival.turning_port(),
            way.ports,
        );
        sent |= sorted.ip4 & !missed;
    }
    if ip6 != 0 {
        let list = &mut *way.ip6;
        let fib = view.tables.ip6(view.guard, arrival.vrf);
        fib.lookup_bulk(view.guard, &list.addresses[..ip6], &mut list.answers[..ip6]);
        let missed = forward::<V6>(
            way.packets,
            list,
            ip6,
            view,
            arrival.turning_port(),
            way.ports,
        );
        sent |= sorted.ip6 & !missed;
    }
    settle_plain(&mut way, sorted, (ip4, ip6), sent, 0);
    all(way.packets.len()) & !sent
}

/// Lists what is plain by the path.
#[inline]
pub(super) fn sort_plain(path: HeaderPath, way: &mut Straightway<'_>, own: Mac) -> Found {
    match simd::find(path, way, own) {
        Some(found) => found,
        None => sort(way, own),
    }
}

/// Cuts what is behind the packets that were sent, or are `gone` elsewhere, and puts down the fates of those
/// that were sent; `counts` are those of the lists.
#[inline]
pub(super) fn settle_plain(
    way: &mut Straightway<'_>,
    sorted: Found,
    (ip4, ip6): (usize, usize),
    sent: u64,
    gone: u64,
) {
    let longer = (sent | gone) & sorted.cut;
    if longer != 0 {
        cut(way, ip4, ip6, longer);
    }
    let count = way.packets.len();
    let left = all(count) & !sent;
    // What was listed and not sent has its length among the others.
    *way.sole = match sent == sorted.ip4 | sorted.ip6 {
        true => sole_port(&mut way.ports[..count], sent, left),
        false => None,
    };
    if let Some(sole) = way.sole {
        let l3 = way.ip4.len_bytes(ip4) + way.ip6.len_bytes(ip6);
        sole.bytes = (sent.count_ones() as usize * L2 + l3) as u64;
        if left != 0 {
            way.fates[..count].fill(Fate::Send(sole.port));
        }
    } else {
        for (place, &port) in way.ports[..count].iter().enumerate() {
            if sent >> place & 1 != 0 {
                way.fates[place] = Fate::Send(port);
            }
        }
    }
}

/// The port, if it is one and the same for all that is sent.
#[inline]
fn sole_port(ports: &mut [PortId], sent: u64, left: u64) -> Option<Sole> {
    let first = *ports.get(sent.trailing_zeros() as usize)?;
    let mut others = left;
    while others != 0 {
        ports[others.trailing_zeros() as usize] = first;
        others &= others - 1;
    }
    // And-ed and or-ed numbers differ if any two do. Without an exit on the way it is done in vectors.
    let fold = |(all, any), port: &PortId| (all & port.0, any | port.0);
    let (all, any) = ports.iter().fold((u16::MAX, 0), fold);
    (all == any).then_some(Sole {
        port: first,
        bytes: 0,
        left,
    })
}

/// The word of all places of a burst of `count` packets.
pub(super) const fn all(count: usize) -> u64 {
    match count {
        0 => 0,
        _ => u64::MAX >> (BURST_MAX - count),
    }
}

#[inline]
fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// Lists the plain packets of each family: unicast frames for `own` in one buffer each, with a
/// header that breaks no rule and needs nothing special.
#[inline]
fn sort(way: &mut Straightway<'_>, own: Mac) -> Found {
    let [a, b, c, d, e, f] = own.0;
    let own = word([a, b, c, d, e, f, 0, 0]) << 16;
    let (mut ip4, mut ip6) = (0, 0);
    let mut found = Found::default();
    for (place, mbuf) in (0..BURST_MAX as u8).zip(&*way.packets) {
        let frame = mbuf.data();
        let Some(head) = frame.first_chunk::<HEADS>() else {
            continue;
        };
        let (eth, _) = head.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let eth = u128::from_le_bytes(*eth);
        let (dst, src) = ((eth as u64) << 16, (eth >> 32) as u64 >> 16 << 16);
        // All of these are zero for a plain frame.
        let odd = dst ^ own | src & GROUP | u64::from(mbuf.nb_segs() ^ 1);
        if odd != 0 || src == own {
            continue;
        }
        // Type, version, header length.
        let kind = (eth >> 96) as u32;
        if kind & 0xff_ffff == 0x45_0008 {
            if let Some(plain) = check4(head, mbuf) {
                found.cut |= u64::from(is_longer(mbuf, plain.len)) << place;
                found.ip4 |= 1 << place;
                way.ip4.push(&mut ip4, place, plain);
            }
        } else if kind & 0xf0_ffff == 0x60_dd86
            && let Some(plain) = check6(frame)
        {
            found.cut |= u64::from(is_longer(mbuf, plain.len)) << place;
            found.ip6 |= 1 << place;
            way.ip6.push(&mut ip6, place, plain);
        }
    }
    found
}

/// Whether the frame goes on behind the IP packet.
#[inline]
fn is_longer(mbuf: &Mbuf, len: u16) -> bool {
    mbuf.data_len() > L2 + usize::from(len)
}

/// The group bit of an address in the upper six bytes of a word.
const GROUP: u64 = 1 << 16;

/// Bytes of a frame that hold what is rewritten; the shortest plain frame has them.
const HEADS: usize = 34;

/// What is known of an IPv4 packet if it is plain, from the first bytes of its frame.
#[inline]
fn check4(head: &[u8; HEADS], mbuf: &Mbuf) -> Option<Plain<u32>> {
    const HEADER: usize = 20;
    let front = word(*head[L2..].first_chunk()?);
    let back = word(*head[L2 + 8..].first_chunk()?);
    let to = u32::from_le_bytes(*head[L2 + 16..].first_chunk()?);
    let len = ((front >> 16) as u16).swap_bytes();
    // Not below a header, not beyond the frame, in one compare.
    let plain = usize::from(len).wrapping_sub(HEADER) <= mbuf.data_len() - HEADS
        && back & 0xfe != 0
        && is_ordinary4((back >> 32) as u32)
        && is_ordinary4(to)
        && match mbuf.ip_checksum() {
            RxChecksum::Unknown => is_right(front, back, to),
            said => said == RxChecksum::Good,
        };
    // One hop less. RFC 1624 (eqn. 3): ~m + m' is 0xfeff for any word of TTL and protocol. All of it
    // with the bytes turned round, which a sum does not mind.
    let sum = u32::from(!(back >> 16) as u16) + 0xfffe;
    let sum = u32::from(!(sum + (sum >> 16)) as u16);
    let plain_word = sum << 16 | u32::from(back as u16).wrapping_sub(1) & 0xffff;
    plain.then_some(Plain {
        address: to.swap_bytes(),
        len,
        word: plain_word,
    })
}

/// Whether a header of five words sums up (RFC 1071, to which the order of bytes is all one).
#[inline]
const fn is_right(front: u64, back: u64, dst: u32) -> bool {
    let (sum, carry) = front.overflowing_add(back);
    let (sum, carry) = sum.overflowing_add(dst as u64 + carry as u64);
    let sum = sum + carry as u64;
    let (sum, carry) = ((sum >> 32) as u32).overflowing_add(sum as u32);
    let sum = sum + carry as u32;
    // The upper half is now the sum of both, with the carry of the lower one.
    sum.wrapping_add(sum.rotate_left(16)) >> 16 == 0xffff
}

/// Unicast, on the wire by right, and not link-local. The first byte of the address is the lowest.
#[inline]
fn is_ordinary4(address: u32) -> bool {
    NETS[usize::from(address as u8)] == Net::Ordinary
        || address as u8 == 169 && address & 0xffff != LINK_LOCAL
}

/// 169.254, the first byte the lowest.
const LINK_LOCAL: u32 = 0xfea9;

/// What the first byte of an IPv4 address says.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Net {
    Ordinary,
    Other,
}

/// By first byte. One load instead of four compares.
static NETS: [Net; 256] = {
    let mut nets = [Net::Other; 256];
    let mut net = 1;
    while net < 224 {
        if net != 127 && net != 169 {
            nets[net] = Net::Ordinary;
        }
        net += 1;
    }
    nets
};

/// What is known of an IPv6 packet if it is plain.
#[inline]
fn check6(frame: &[u8]) -> Option<Plain<u128>> {
    const HEADER: usize = 40;
    const HOP_BY_HOP: u8 = 0;
    let head = frame.first_chunk::<{ L2 + HEADER }>()?;
    let front = word(*head[L2..].first_chunk()?);
    let src = word(*head[L2 + 8..].first_chunk()?);
    let dst = u128::from_be_bytes(*head[L2 + 24..].first_chunk()?);
    let payload = ((front >> 32) as u16).swap_bytes();
    let (next_header, hop_limit) = ((front >> 48) as u8, (front >> 56) as u8);
    let plain = usize::from(payload) <= frame.len() - head.len()
        && hop_limit > 1
        && next_header != HOP_BY_HOP
        && is_ordinary6(src.swap_bytes())
        && is_ordinary6((dst >> 64) as u64);
    // No overflow: not longer than the data of a buffer, which is a u16.
    plain.then(|| Plain {
        address: dst,
        len: payload + HEADER as u16,
        // One hop less, in the upper byte.
        word: ((front >> 32) as u32).wrapping_sub(1 << 24),
    })
}

/// Neither in `::/64` nor in `fe00::/7`, by the upper half: no address with special meaning.
#[inline]
const fn is_ordinary6(high: u64) -> bool {
    (high != 0) & (high >> 57 != 0x7f)
}

/// What differs between IPv4 and IPv6 behind the lookup.
pub(super) trait Family {
    /// What a destination is.
    type Address: Copy;

    /// Where the word with TTL or hop limit is in the frame.
    const WORD_AT: usize;

    /// The hash of a flow over its packet.
    fn hash(packet: &[u8]) -> u32;
}

pub(super) struct V4;

impl Family for V4 {
    type Address = u32;
    const WORD_AT: usize = L2 + 8;

    fn hash(packet: &[u8]) -> u32 {
        flow::hash4(packet)
    }
}

pub(super) struct V6;

impl Family for V6 {
    type Address = u128;
    const WORD_AT: usize = L2 + 4;

    fn hash(packet: &[u8]) -> u32 {
        flow::hash6(packet)
    }
}

/// Rewrites what a list of packets of one family holds, where the nexthop is one to forward to and
/// the packet not too big for it, by any port but `except`, and notes their ports. Returns the places
/// of the others.
///
/// Functions of their own: in one with the checks the loops would have too few registers.
#[inline(never)]
fn forward<F: Family>(
    packets: &mut [Mbuf],
    list: &mut PlainList<F::Address>,
    count: usize,
    view: &TablesView<'_>,
    except: PortId,
    ports: &mut [PortId; BURST_MAX],
) -> u64 {
    let nexthops = view.tables.nexthops().of_burst(view.guard);
    let common = nexthops.words(&list.answers[..count], &mut list.slots[..count]);
    match common {
        // Neighbours behind one port, as nearly always: what is asked of each packet is asked once.
        Some((egress, in_use))
            if egress.port() != except && list.longest(count) <= egress.forwards_up_to() =>
        {
            for (place, word, slot) in list.hops(count) {
                if let Some(mbuf) = packets.get_mut(usize::from(place)) {
                    rewrite::<F>(mbuf, word, slot, egress);
                }
            }
            if !in_use {
                for &answer in &list.answers[..count] {
                    nexthops.mark_used(answer);
                }
            }
            if count == packets.len() {
                ports[..count].fill(egress.port());
            } else {
                for &place in &list.places[..count] {
                    ports[usize::from(place) % BURST_MAX] = egress.port();
                }
            }
            0
        }
        _ => one_by_one::<F>(packets, list, count, view, except, ports),
    }
}

/// As [`forward`], for nexthops that differ in port or rules, are groups, or not to be forwarded to.
#[inline(never)]
fn one_by_one<F: Family>(
    packets: &mut [Mbuf],
    list: &PlainList<F::Address>,
    count: usize,
    view: &TablesView<'_>,
    except: PortId,
    ports: &mut [PortId; BURST_MAX],
) -> u64 {
    let mut missed = 0;
    let nexthops = view.tables.nexthops().of_burst(view.guard);
    let lens = list.lens[..count].iter().zip(&list.answers[..count]);
    for ((place, word, slot), (&len, &answer)) in list.hops(count).zip(lens) {
        let place = usize::from(place) % BURST_MAX;
        let Some(mbuf) = packets.get_mut(place) else {
            break;
        };
        let (mut hop, mut slot) = (answer, slot);
        if !slot.is_adjacency() {
            hop = member::<F>(mbuf, len, answer, view);
            slot = nexthops.word(hop);
        }
        let egress = match slot.is_adjacency() {
            true => nexthops.egress(slot),
            // Changed since `member` looked.
            false => Egress::NOWHERE,
        };
        let port = egress.port();
        if len > egress.forwards_up_to() || port == except {
            missed |= 1 << place;
            continue;
        }
        rewrite::<F>(mbuf, word, slot, egress);
        if !slot.is_used() {
            nexthops.mark_used(hop);
        }
        ports[place] = port;
    }
    missed
}

/// Takes off what is behind the packets at these places.
#[inline(never)]
fn cut(way: &mut Straightway<'_>, ip4: usize, ip6: usize, longer: u64) {
    let lens = way.ip4.lens_by_place(ip4).chain(way.ip6.lens_by_place(ip6));
    for (place, len) in lens {
        if longer >> place & 1 != 0
            && let Some(mbuf) = way.packets.get_mut(usize::from(place))
        {
            mbuf.cut_single(L2 as u16 + len);
        }
    }
}

/// The single hop of a nexthop that is a group, or none.
#[inline(never)]
pub(super) fn member<F: Family>(
    mbuf: &Mbuf,
    len: u16,
    nexthop: NexthopIndex,
    view: &TablesView<'_>,
) -> NexthopIndex {
    let hash = mbuf.rss_hash().unwrap_or_else(|| {
        let packet = mbuf.data().get(L2..L2 + usize::from(len));
        F::hash(packet.unwrap_or(&[]))
    });
    let nexthops = view.tables.nexthops();
    nexthops.resolve(view.guard, nexthop, hash).index
}

/// The new addresses, one hop less; the type stays what it is.
#[inline]
pub(super) fn rewrite<F: Family>(mbuf: &mut Mbuf, word: u32, slot: SlotWord, egress: Egress) {
    if let Some(frame) = mbuf.data_mut().first_chunk_mut::<HEADS>() {
        let (first, last) = slot.addresses(egress);
        if let Some(at) = frame.first_chunk_mut() {
            *at = first;
        }
        if let Some(at) = frame[first.len()..].first_chunk_mut() {
            *at = last;
        }
        if let Some(at) = frame[F::WORD_AT..].first_chunk_mut() {
            *at = word.to_le_bytes();
        }
    }
}
