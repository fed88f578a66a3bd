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
//! Which packets are meant is a word with a bit for each place. A step works on the packets of such
//! a word and makes the next one; what is in none in the end is left. So nothing can be lost.
//!
//! Cost on a Zen 5 (2026-11-26, ticks of a time stamp counter of 2.6 GHz, bursts of 64):
//! see `docs/forwarding.md`.

use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, NexthopRef, PortId};
use ironlane_packet::eth::Mac;
use ironlane_packet::flow;

use super::{StageCard, TablesView};
use crate::burst::{Arrival, BurstStore, Fate, Lane, Scratch, Straightway};
use crate::eal::{BURST_MAX, Mbuf, RxChecksum};
use crate::reason::StageId;

/// How many packets ahead the first line of the data is fetched.
const DATA_AHEAD: usize = 8;

/// How many packets ahead the adjacency is fetched.
const ADJACENCY_AHEAD: usize = 8;

/// Length of the Ethernet header, in bytes.
const L2: usize = 14;

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
pub(super) fn run(store: &mut BurstStore, arrival: Arrival, view: &TablesView<'_>) -> u64 {
    let mut way = store.straightway();
    let (ip4, ip6) = sort(way.packets, arrival.mac);
    let mut sent = Sent::NONE;
    if ip4 != 0 {
        forward::<V4>(&mut way, ip4, arrival, view, &mut sent);
    }
    if ip6 != 0 {
        forward::<V6>(&mut way, ip6, arrival, view, &mut sent);
    }
    let left = all(way.packets.len()) & !sent.places;
    *way.sole = sent.sole_port().filter(|_| left == 0);
    left
}

/// The word of all places of a burst of `count` packets.
const fn all(count: usize) -> u64 {
    match count {
        0 => 0,
        _ => u64::MAX >> (BURST_MAX - count),
    }
}

/// The places in a word, in order.
struct Places(u64);

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = self.0.trailing_zeros() as usize;
        let rest = self.0.checked_sub(1)?;
        self.0 &= rest;
        Some(place)
    }
}

/// Packets that were sent.
struct Sent {
    places: u64,
    /// All port numbers, and-ed and or-ed: they differ if any two ports do.
    ports: (u16, u16),
}

impl Sent {
    const NONE: Self = Self {
        places: 0,
        ports: (u16::MAX, 0),
    };

    fn sole_port(&self) -> Option<PortId> {
        (self.ports.0 == self.ports.1).then_some(PortId(self.ports.0))
    }
}

#[inline]
fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// Plain unicast frames for `own` in one buffer each, by family: IPv4 without options, IPv6.
#[inline]
fn sort(packets: &[Mbuf], own: Mac) -> (u64, u64) {
    let [a, b, c, d, e, f] = own.0;
    let own = word([a, b, c, d, e, f, 0, 0]) << 16;
    for mbuf in packets.iter().take(DATA_AHEAD) {
        mbuf.prefetch_data();
    }
    let (mut ip4, mut ip6) = (0, 0);
    for (place, mbuf) in packets.iter().enumerate() {
        if let Some(later) = packets.get(place + DATA_AHEAD) {
            later.prefetch_data();
        }
        let Some(&head) = mbuf.data().first_chunk::<16>() else {
            continue;
        };
        let head = u128::from_le_bytes(head);
        let (dst, src) = ((head as u64) << 16, (head >> 32) as u64 >> 16 << 16);
        // All of these are zero for a plain frame.
        let odd = dst ^ own | src & GROUP | u64::from(mbuf.nb_segs() ^ 1);
        if odd != 0 || src == own {
            continue;
        }
        // Type, version, header length. No branch: who could guess the family?
        let kind = (head >> 96) as u32;
        ip4 |= u64::from(kind & 0xff_ffff == 0x45_0008) << place;
        ip6 |= u64::from(kind & 0xf0_ffff == 0x60_dd86) << place;
    }
    (ip4, ip6)
}

/// The group bit of an address in the upper six bytes of a word.
const GROUP: u64 = 1 << 16;

/// What differs between IPv4 and IPv6.
trait Family {
    type Address: Copy;

    /// Notes a destination at a place of the list.
    fn note(scratch: &mut Scratch, at: usize, address: Self::Address);

    /// Destination and length of a plain packet. `mbuf` holds a frame that `sort` knows.
    fn check(mbuf: &Mbuf) -> Option<(Self::Address, u16)>;

    /// Looks up the first `count` of the list.
    fn lookup(view: &TablesView<'_>, arrival: Arrival, scratch: &mut Scratch, count: usize);

    /// One hop less, in a frame that `check` has seen.
    fn lower(frame: &mut [u8; HEADS]);

    /// The hash of a flow over its packet.
    fn hash(packet: &[u8]) -> u32;
}

/// Carries the packets of `places`, all of one family, through check, lookup and rewrite.
#[inline]
fn forward<F: Family>(
    way: &mut Straightway<'_>,
    places: u64,
    arrival: Arrival,
    view: &TablesView<'_>,
    sent: &mut Sent,
) {
    let mut count = 0;
    for place in Places(places) {
        let Some(mbuf) = way.packets.get(place) else {
            break;
        };
        if let Some((address, len)) = F::check(mbuf) {
            let at = count % BURST_MAX;
            F::note(way.scratch, at, address);
            way.scratch.lens[at] = len;
            way.scratch.places[at] = place as u8; // below 64
            count += 1;
        }
    }
    let count = count.min(BURST_MAX);
    F::lookup(view, arrival, way.scratch, count);
    let nexthops = view.tables.nexthops().of_burst(view.guard);
    let scratch = &*way.scratch;
    let answers = &scratch.answers[..count];
    for &answer in answers.iter().take(ADJACENCY_AHEAD) {
        nexthops.prefetch(answer);
    }
    let mut later = answers.iter().skip(ADJACENCY_AHEAD);
    let plain = scratch.places.iter().zip(&scratch.lens);
    for ((&place, &len), &answer) in plain.zip(answers) {
        if let Some(&answer) = later.next() {
            nexthops.prefetch(answer);
        }
        let place = usize::from(place) % BURST_MAX;
        let Some(mbuf) = way.packets.get_mut(place) else {
            break;
        };
        let adjacency = match nexthops.get(answer) {
            Some(NexthopRef::Adjacency(adjacency)) => adjacency,
            _ => member::<F>(mbuf, len, answer, view),
        };
        if (adjacency.kind() != AdjacencyKind::Forward) | (len > adjacency.mtu()) {
            continue;
        }
        rewrite::<F>(mbuf, len, adjacency);
        adjacency.mark_used();
        let port = adjacency.port();
        way.fates[place] = Fate::Send(port);
        sent.places |= 1 << place;
        sent.ports = (sent.ports.0 & port.0, sent.ports.1 | port.0);
    }
}

/// The adjacency of a nexthop that is a group, or none.
#[inline(never)]
fn member<'q, F: Family>(
    mbuf: &Mbuf,
    len: u16,
    nexthop: NexthopIndex,
    view: &TablesView<'q>,
) -> &'q Adjacency {
    let hash = mbuf.rss_hash().unwrap_or_else(|| {
        let packet = mbuf.data().get(L2..L2 + usize::from(len));
        F::hash(packet.unwrap_or(&[]))
    });
    view.tables.nexthops().resolve(view.guard, nexthop, hash)
}

/// The new addresses, one hop less, and no padding; the type stays what it is.
#[inline]
fn rewrite<F: Family>(mbuf: &mut Mbuf, len: u16, adjacency: &Adjacency) {
    if let Some(frame) = mbuf.data_mut().first_chunk_mut() {
        let [new @ .., _, _] = *adjacency.rewrite();
        if let Some(addresses) = frame.first_chunk_mut() {
            *addresses = new;
        }
        F::lower(frame);
    }
    mbuf.cut_single(L2 as u16 + len);
}

/// Bytes of a frame that hold what is rewritten; the shortest plain frame has them.
const HEADS: usize = 34;

struct V4;

impl Family for V4 {
    type Address = u32;

    #[inline]
    fn note(scratch: &mut Scratch, at: usize, address: u32) {
        scratch.ip4[at] = address;
    }

    #[inline]
    fn check(mbuf: &Mbuf) -> Option<(u32, u16)> {
        const HEADER: usize = 20;
        let frame = mbuf.data();
        let head = frame.first_chunk::<{ L2 + HEADER }>()?;
        let front = word(*head[L2..].first_chunk()?);
        let back = word(*head[L2 + 8..].first_chunk()?);
        let to = u32::from_le_bytes(*head[L2 + 16..].first_chunk()?);
        let len = ((front >> 16) as u16).swap_bytes();
        let nic = mbuf.ip_checksum();
        // Not below a header, not beyond the frame, in one compare.
        let plain = usize::from(len).wrapping_sub(HEADER) <= frame.len() - head.len()
            && back & 0xfe != 0
            && is_ordinary4((back >> 32) as u32)
            && is_ordinary4(to)
            && match nic {
                RxChecksum::Unknown => is_right(front, back, to),
                said => said == RxChecksum::Good,
            };
        plain.then_some((to.swap_bytes(), len))
    }

    #[inline]
    fn lookup(view: &TablesView<'_>, arrival: Arrival, scratch: &mut Scratch, count: usize) {
        let fib = view.tables.ip4(view.guard, arrival.vrf);
        let (addresses, answers) = (&scratch.ip4[..count], &mut scratch.answers[..count]);
        fib.lookup_bulk(view.guard, addresses, answers);
    }

    #[inline]
    fn lower(frame: &mut [u8; HEADS]) {
        let [.., ttl, _, high, low, _, _, _, _, _, _, _, _] = frame;
        // RFC 1624 (eqn. 3): ~m + m' is the same for any word of TTL and protocol.
        let sum = u32::from(!u16::from_be_bytes([*high, *low])) + 0xfeff;
        [*high, *low] = (!(sum + (sum >> 16)) as u16).to_be_bytes();
        *ttl = ttl.wrapping_sub(1);
    }

    fn hash(packet: &[u8]) -> u32 {
        flow::hash4(packet)
    }
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

struct V6;

impl Family for V6 {
    type Address = u128;

    #[inline]
    fn note(scratch: &mut Scratch, at: usize, address: u128) {
        scratch.ip6[at] = address;
    }

    #[inline]
    fn check(mbuf: &Mbuf) -> Option<(u128, u16)> {
        const HEADER: usize = 40;
        const HOP_BY_HOP: u8 = 0;
        let frame = mbuf.data();
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
        plain.then(|| (dst, payload + HEADER as u16))
    }

    #[inline]
    fn lookup(view: &TablesView<'_>, arrival: Arrival, scratch: &mut Scratch, count: usize) {
        let fib = view.tables.ip6(view.guard, arrival.vrf);
        let (addresses, answers) = (&scratch.ip6[..count], &mut scratch.answers[..count]);
        fib.lookup_bulk(view.guard, addresses, answers);
    }

    #[inline]
    fn lower(frame: &mut [u8; HEADS]) {
        frame[21] = frame[21].wrapping_sub(1);
    }

    fn hash(packet: &[u8]) -> u32 {
        flow::hash6(packet)
    }
}

/// Neither in `::/64` nor in `fe00::/7`, by the upper half: no address with special meaning.
#[inline]
const fn is_ordinary6(high: u64) -> bool {
    (high != 0) & (high >> 57 != 0x7f)
}
