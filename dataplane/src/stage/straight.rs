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
use crate::burst::{Arrival, BurstStore, Fate, Lane, PlainList, Sole, Straightway, places};
use crate::eal::{BURST_MAX, HEAD_BYTES, Heads, Mbuf};
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
    let mut heads = way.heads.note(way.packets);
    let sorted = simd::find(path, &heads, way.ip4, way.ip6, arrival.mac);
    let (ip4, ip6) = (
        sorted.ip4.count_ones() as usize,
        sorted.ip6.count_ones() as usize,
    );
    let mut sent = 0;
    // What turns back to the port it came by may be to be redirected (RFC 1812 5.2.7.2, RFC 4861 8.2).
    let except = arrival.turning_port();
    if ip4 != 0 {
        let list = &mut *way.ip4;
        let fib = view.tables.ip4(view.guard, arrival.vrf);
        fib.lookup_burst(view.guard, &list.addresses, ip4, &mut list.answers);
        let missed = forward::<V4>(&mut heads, list, ip4, view, except, way.ports);
        sent |= sorted.ip4 & !missed;
    }
    if ip6 != 0 {
        let list = &mut *way.ip6;
        let fib = view.tables.ip6(view.guard, arrival.vrf);
        fib.lookup_burst(view.guard, &list.addresses, ip6, &mut list.answers);
        let missed = forward::<V6>(&mut heads, list, ip6, view, except, way.ports);
        sent |= sorted.ip6 & !missed;
    }
    *way.arrived = sorted.arrived;
    settle_plain(&mut way, sorted, (ip4, ip6), sent, 0);
    places(way.packets.len()) & !sent
}

/// Lists what is plain by the path.
#[inline]
pub(super) fn sort_plain(path: HeaderPath, way: &mut Straightway<'_>, own: Mac) -> Found {
    let heads = way.heads.note(way.packets);
    let found = simd::find(path, &heads, way.ip4, way.ip6, own);
    *way.arrived = found.arrived;
    found
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
    let left = places(count) & !sent;
    // What was listed and not sent has its length among the others.
    *way.sole = match sent == sorted.ip4 | sorted.ip6 {
        true => sole_port(&mut way.ports[..count], sent, left),
        false => None,
    };
    if let Some(sole) = way.sole {
        sole.bytes = match left | sorted.cut {
            0 => sorted.arrived.bytes,
            _ => {
                let l3 = way.ip4.len_bytes(ip4) + way.ip6.len_bytes(ip6);
                (sent.count_ones() as usize * L2 + l3) as u64
            }
        };
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
    heads: &mut Heads<'_>,
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
            let hops = list.hops(count);
            let frames = hops.map(|(place, word, slot)| (place, slot.addresses(egress), word));
            if count == heads.packets().len() {
                // Each in its place.
                heads.rewrite_all(
                    F::WORD_AT,
                    frames.map(|(_, addresses, word)| (addresses, word)),
                );
                ports[..count].fill(egress.port());
            } else {
                heads.rewrite(F::WORD_AT, frames);
                for &place in &list.places[..count] {
                    ports[usize::from(place) % BURST_MAX] = egress.port();
                }
            }
            if !in_use {
                for &answer in &list.answers[..count] {
                    nexthops.mark_used(answer);
                }
            }
            0
        }
        _ => one_by_one::<F>(heads, list, count, view, except, ports),
    }
}

/// As [`forward`], for nexthops that differ in port or rules, are groups, or not to be forwarded to.
#[inline(never)]
fn one_by_one<F: Family>(
    heads: &mut Heads<'_>,
    list: &PlainList<F::Address>,
    count: usize,
    view: &TablesView<'_>,
    except: PortId,
    ports: &mut [PortId; BURST_MAX],
) -> u64 {
    let mut missed = 0;
    let nexthops = view.tables.nexthops().of_burst(view.guard);
    let lens = list.lens[..count].iter().zip(&list.answers[..count]);
    for ((at, word, slot), (&len, &answer)) in list.hops(count).zip(lens) {
        let place = usize::from(at) % BURST_MAX;
        let (mut hop, mut slot) = (answer, slot);
        if !slot.is_adjacency()
            && let Some(mbuf) = heads.packets().get(place)
        {
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
        heads.rewrite(F::WORD_AT, [(at, slot.addresses(egress), word)].into_iter());
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
    if let Some(frame) = mbuf.data_mut().first_chunk_mut::<HEAD_BYTES>() {
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
