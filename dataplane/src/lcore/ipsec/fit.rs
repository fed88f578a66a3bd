//! Whether packets fit the way to the peer once they are protected, and what becomes of those that do
//! not (RFC 4301 8.2, RFC 4303 3.3.4).
//!
//! | packet | of | what becomes of it |
//! | --- | --- | --- |
//! | IPv4, may be fragmented | a tunnel | fragments are sealed, each by itself |
//! | IPv4, may be fragmented | BEET, transport | fragmented once it is sealed: SAs of these modes carry whole packets |
//! | IPv4, DF | anything | its sender is told; but the kernel's own is fragmented as if it had no DF |
//! | IPv6 | anything | its sender is told; but what IPv6 promises to carry, 1,280 bytes, is fragmented once it is sealed (RFC 2473 7.1) |
//! | IPv6, from a router without an address of IPv6 that could tell | an SA over IPv4 | fragmented once it is sealed |
//!
//! Which way is not for policies to choose: charon knows no such option.
//!
//! The kernel does not learn of tunnels that the router adds behind it, so its TCP would send what is
//! too long again and again if IPv4 packets with DF were lost.

use std::net::IpAddr;

use ironlane_ipsec::{Mode, Sa, SaId, SaSpec};
use ironlane_packet::ip4::Ip4;

use super::answer::make_too_big;
use super::seal::NOBODY;
use super::split::split;
use super::split6::split6;
use super::{L2, Tag};
use crate::burst::{BurstStore, Outlet};
use crate::eal::crypto::Session;
use crate::eal::{BURST_MAX, Mbuf, MbufBatch};
use crate::lcore::poll::Lcore;
use crate::reason::{DropReason, PuntReason};
use crate::stage::TablesView;

/// IPv6 packets of this length pass every link (RFC 8200 5): no sender makes them shorter.
const IP6_MTU: usize = 1280;

/// Packets that can be sealed.
pub(super) struct Fitting<'v> {
    pub(super) packets: MbufBatch,
    pub(super) sas: [Option<&'v Sa<Session>>; BURST_MAX],
    /// Packets are fragmented that are longer than this once they are sealed.
    pub(super) split_at: [usize; BURST_MAX],
}

impl<'v> Fitting<'v> {
    pub(super) const fn new() -> Self {
        Self {
            packets: MbufBatch::new(),
            sas: [None; BURST_MAX],
            split_at: [usize::MAX; BURST_MAX],
        }
    }

    /// Adds a packet; a full list gives it back.
    pub(super) fn push(&mut self, mbuf: Mbuf, sa: &'v Sa<Session>, at: usize) -> Result<(), Mbuf> {
        let place = self.packets.len();
        self.packets.push(mbuf)?;
        self.sas[place] = Some(sa);
        self.split_at[place] = at;
        Ok(())
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It is sealed.
    Whole,
    /// Fragments of at most so many bytes are.
    Pieces(usize),
    /// It is sealed, then fragmented.
    PiecesAfter,
    /// Its sender is told this MTU.
    Tell(usize),
}

/// Decides about a packet of `len` bytes that begins with `packet`; `inner_mtu` is what fits.
fn fit(spec: &SaSpec, packet: &[u8], len: usize, inner_mtu: usize, is_ours: bool) -> Fit {
    if len <= inner_mtu {
        return Fit::Whole;
    }
    match Ip4::new(packet) {
        Some(header) if header.version() == 4 => match spec.mode {
            _ if header.dont_fragment() && !is_ours => Fit::Tell(inner_mtu),
            Mode::Tunnel => Fit::Pieces(inner_mtu),
            Mode::Transport | Mode::Beet => Fit::PiecesAfter,
        },
        _ if len > IP6_MTU => Fit::Tell(inner_mtu.max(IP6_MTU)),
        _ => Fit::PiecesAfter,
    }
}

/// What was found out about the way to the other end of the SA before: packets of one SA come in runs.
#[derive(Clone, Copy)]
pub(super) struct Way {
    sa: SaId,
    /// The largest packet that it takes, and the largest that fits once it is protected.
    mtu: usize,
    inner_mtu: usize,
}

impl Lcore {
    /// The largest packet that the way to the other end of an SA takes: the first link, and the path behind it as
    /// far as it is known.
    pub(super) fn mtu_to(&self, sa: &Sa<Session>, view: &TablesView<'_>) -> usize {
        let (tables, guard, vrf) = (view.tables, view.guard, sa.spec().vrf);
        let nexthop = match sa.spec().dst {
            IpAddr::V4(dst) => tables.ip4(guard, vrf).lookup(guard, dst.to_bits()),
            IpAddr::V6(dst) => tables.ip6(guard, vrf).lookup(guard, dst.to_bits()),
        };
        let link = tables.nexthops().resolve(guard, nexthop, 0).mtu();
        self.mtu_behind(link, sa.spec().dst, view)
    }

    /// The same where the first link is known.
    #[inline]
    pub(super) fn mtu_behind(&self, link: u16, dst: IpAddr, view: &TablesView<'_>) -> usize {
        let path = self.shared.path_mtus.load(view.guard).to(dst);
        usize::from(path.map_or(link, |path| path.min(link)))
    }

    #[allow(clippy::too_many_arguments)] // what a packet may meet
    /// Adds a packet to what can be sealed, whole or in pieces; or tells its sender, by a packet in
    /// `answers`. A full list is sealed.
    pub(super) fn fit<'v>(
        &mut self,
        mut mbuf: Mbuf,
        sa: &'v Sa<Session>,
        known: &mut Option<Way>,
        fitting: &mut Fitting<'v>,
        answers: &mut MbufBatch,
        store: &mut BurstStore,
        view: &TablesView<'v>,
    ) {
        let word = mbuf.port();
        let (port, is_ours) = (Tag::port(word), word & Tag::INJECTED != 0);
        let way = match *known {
            Some(way) if way.sa == sa.id() => way,
            _ => {
                let mtu = self.mtu_to(sa, view);
                *known.insert(Way {
                    sa: sa.id(),
                    mtu,
                    inner_mtu: sa.inner_mtu(mtu),
                })
            }
        };
        let packet = mbuf.data().get(L2..).unwrap_or(&[]);
        let len = mbuf.pkt_len().saturating_sub(L2);
        match fit(sa.spec(), packet, len, way.inner_mtu, is_ours) {
            Fit::Whole => self.add(mbuf, sa, usize::MAX, fitting, store, view),
            Fit::PiecesAfter => self.add(mbuf, sa, way.mtu, fitting, store, view),
            Fit::Pieces(longest) => {
                let mut pieces = match self.split(&mbuf, L2, longest) {
                    Ok(pieces) => pieces,
                    Err(reason) => return self.outlet.lose(port, reason, mbuf),
                };
                mbuf.free();
                for piece in pieces.drain() {
                    self.add(piece, sa, usize::MAX, fitting, store, view);
                }
            }
            Fit::Tell(mtu) => {
                let Some(arrival) = self.crypto.arrival(port) else {
                    return self.outlet.lose(port, DropReason::IpsecTooBig, mbuf);
                };
                let Some(from) = self.teller(packet, sa, arrival, view) else {
                    return self.add(mbuf, sa, way.mtu, fitting, store, view);
                };
                let is_told = self.outlet.may_tell(view.now_ns)
                    && make_too_big(&mut mbuf, mtu, from, arrival, NOBODY, view);
                if !is_told {
                    return self.outlet.lose(port, DropReason::IpsecTooBig, mbuf);
                }
                // The packet is lost; its buffer has another.
                let counters = &mut self.outlet.counters;
                counters.dropped(port, DropReason::IpsecTooBig, 1);
                counters.made(port, 1);
                if is_ours {
                    // The kernel is the sender: as if it had arrived there.
                    self.outlet.begin(port, view.now_ns);
                    self.outlet.punt(PuntReason::Icmp, mbuf);
                } else if let Err(mbuf) = answers.push(mbuf) {
                    self.outlet.lose(port, DropReason::IpsecTooBig, mbuf);
                }
            }
        }
    }

    fn add<'v>(
        &mut self,
        mbuf: Mbuf,
        sa: &'v Sa<Session>,
        split_at: usize,
        fitting: &mut Fitting<'v>,
        store: &mut BurstStore,
        view: &TablesView<'v>,
    ) {
        if fitting.packets.is_full() {
            self.seal_fitting(fitting, store, view);
        }
        if let Err(mbuf) = fitting.push(mbuf, sa, split_at) {
            self.outlet
                .lose(Tag::port(mbuf.port()), DropReason::IpsecTooBig, mbuf);
        }
    }

    /// Fragments of a packet, counted as made but for one, which stands for the packet.
    pub(super) fn split(
        &mut self,
        mbuf: &Mbuf,
        base: usize,
        mtu: usize,
    ) -> Result<MbufBatch, DropReason> {
        let (pool, id) = (&self.crypto.pool, self.crypto.next_id);
        let pieces = match mbuf.data().get(base).map(|byte| byte >> 4) {
            Some(6) => split6(pool, mbuf, base, mtu, id)?,
            // The lower half is all that IPv4 has room for.
            _ => split(pool, mbuf, base, mtu, id as u16)?,
        };
        self.crypto.next_id = id.wrapping_add(1);
        let more = pieces.len() as u64 - 1;
        self.outlet.counters.made(Tag::port(mbuf.port()), more);
        Ok(pieces)
    }
}
