//! What paths to peers take (RFC 4301 8.2): less than the first link does, as routers on the way have said.
//!
//! As in Linux an error counts that is about an SA of ours, for ten minutes; then larger packets are tried
//! again. It never raises what is known, and never says less than every path takes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ironlane_ipsec::{Direction, Protocol, SaSpec, UdpEncap};

use super::{Model, SaKey};

/// How long it counts (RFC 1191 6.3, RFC 8201 4; Linux's `mtu_expires`).
const COUNTS: Duration = Duration::from_secs(600);

/// The least that is believed: Linux's `min_pmtu`, and what each link of IPv6 takes (RFC 8200 5).
const LEAST4: u16 = 552;
const LEAST6: u16 = 1280;

/// Peers that are remembered. Each has an SA when it is heard of.
const MOST: usize = 4096;

/// A router on the way says that a packet of ours was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooBig {
    /// Outer source of that packet.
    pub src: IpAddr,
    /// Its outer destination.
    pub dst: IpAddr,
    /// What was in it.
    pub quoted: Quoted,
    /// What the way takes, in bytes of IP; 0 from routers that do not say.
    pub mtu: u32,
    /// Who says so.
    pub by: IpAddr,
}

/// What an error quotes of a protected packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoted {
    /// ESP or AH with this SPI.
    Plain(Protocol, u32),
    /// ESP in UDP; the SPI is not there where a router quotes no more than eight bytes (RFC 792).
    Udp(UdpEncap, Option<u32>),
}

/// Paths by the outer address of the peer.
#[derive(Debug, Default)]
pub(super) struct Paths {
    known: BTreeMap<IpAddr, (u16, Instant)>,
    is_other: bool,
}

impl Paths {
    /// What the path to a peer takes, if anybody has said so.
    pub(super) fn to(&self, peer: IpAddr) -> Option<u16> {
        self.known.get(&peer).map(|(mtu, _)| *mtu)
    }

    fn learn(&mut self, too_big: &TooBig, now: Instant) {
        let peer = too_big.dst;
        let least = if peer.is_ipv4() { LEAST4 } else { LEAST6 };
        let mtu = u16::try_from(too_big.mtu).unwrap_or(u16::MAX).max(least);
        match self.known.get(&peer) {
            Some((known, _)) if *known <= mtu => return,
            None if self.known.len() >= MOST => return,
            _ => {}
        }
        tracing::info!(
            "the path to {peer} takes packets of {mtu} bytes, says {}",
            too_big.by
        );
        self.known.insert(peer, (mtu, now + COUNTS));
        self.is_other = true;
    }

    /// Forgets what has counted long enough.
    pub(super) fn forget(&mut self, now: Instant) {
        let before = self.known.len();
        self.known.retain(|_, (_, until)| *until > now);
        self.is_other |= self.known.len() != before;
    }
}

impl Model {
    /// Takes in what a router on the way says, if it is about an SA that there is.
    pub fn too_big(&mut self, too_big: &TooBig, now: Instant) {
        if self.is_about_us(too_big) {
            self.paths.learn(too_big, now);
        }
    }

    /// All paths that take less than their first link, if they are others than at the last call: outer addresses
    /// of peers, and bytes.
    pub fn take_paths(&mut self) -> Option<Vec<(IpAddr, u16)>> {
        let paths = self
            .paths
            .known
            .iter()
            .map(|(peer, (mtu, _))| (*peer, *mtu));
        std::mem::take(&mut self.paths.is_other).then(|| paths.collect())
    }

    fn is_about_us(&self, too_big: &TooBig) -> bool {
        let is_ours = |spec: &SaSpec, encap| {
            (spec.direction, spec.src, spec.dst) == (Direction::Out, too_big.src, too_big.dst)
                && spec.encap == encap
        };
        let has = |protocol, spi, encap| {
            let key = SaKey {
                protocol,
                spi,
                dst: too_big.dst,
            };
            let entry = self.sas.get(&key);
            entry.is_some_and(|entry| is_ours(&entry.spec, encap))
        };
        match too_big.quoted {
            Quoted::Plain(protocol, spi) => has(protocol, spi, None),
            Quoted::Udp(encap, Some(spi)) => has(Protocol::Esp, spi, Some(encap)),
            Quoted::Udp(encap, None) => {
                let mut all = self.sas.iter();
                all.any(|(_, entry)| is_ours(&entry.spec, Some(encap)))
            }
        }
    }
}
