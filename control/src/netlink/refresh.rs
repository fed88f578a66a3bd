//! Neighbours in use stay fresh: the kernel sees none of the traffic that lcores forward, so
//! that to it every neighbour is idle. It is told which ones are not.

use std::collections::HashSet;
use std::net::IpAddr;

use ironlane_fib::{AdjacencyKind, NexthopRef, Tables};
use ironlane_rcu::{Domain, Reader};
use ironlane_rib::{Family, HopSlot, IfIndex, NeighbourState, ObjectKind, Rib};

use super::NetlinkError;
use super::decode::{AF_INET, AF_INET6, RTM_NEWNEIGH};
use super::neigh;
use super::socket::{NetlinkSocket, Received};

const NLM_F_CREATE: u16 = 0x400;
/// The kernel takes note that the entry is used: it will probe a stale one, and resolve one that
/// it does not know or that failed (`neigh_event_send`).
const NTF_USE: u8 = 0x01;

/// Looks at which adjacencies carry traffic.
pub(super) struct Refresher {
    socket: NetlinkSocket,
    reader: Reader,
    /// Gleans that carried traffic when last looked at.
    gleaning: HashSet<(IfIndex, IpAddr)>,
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refreshed {
    /// How many neighbours the kernel was asked to keep fresh.
    pub probes: u64,
    /// Gleans in use for long: the kernel may know their neighbours, and we missed it.
    pub doubtful: Vec<ObjectKind>,
}

impl Refresher {
    /// Opens a socket in the network namespace of this thread.
    pub fn open(tables: &Tables) -> Result<Self, NetlinkError> {
        let reader = Domain::register(tables.domain()).map_err(|_| NetlinkError::Readers)?;
        Ok(Self {
            socket: NetlinkSocket::orders()?,
            reader,
            gleaning: HashSet::new(),
        })
    }

    /// Clears the marks of the adjacencies that were used since the last look, and asks the
    /// kernel to keep their neighbours fresh.
    pub fn look(&mut self, rib: &Rib, tables: &Tables) -> Result<Refreshed, NetlinkError> {
        let used = self.used(rib, tables);
        let mut refreshed = Refreshed::default();
        let gleaning = used
            .iter()
            .filter(|(_, kind)| *kind == AdjacencyKind::Glean);
        let gleaning: HashSet<_> = gleaning
            .map(|(hop, _)| (hop.ifindex, hop.gateway))
            .collect();
        let mut doubtful: Vec<_> = gleaning
            .intersection(&self.gleaning)
            .map(|(_, gateway)| ObjectKind::Neighbours(Family::of(*gateway)))
            .collect();
        doubtful.sort();
        doubtful.dedup();
        refreshed.doubtful = doubtful;
        self.gleaning = gleaning;

        let mut asked: Vec<_> = used
            .iter()
            // The kernel would take `permanent` from an entry that it is told to use.
            .filter(|(hop, _)| hop.neighbour.is_none_or(is_mortal))
            .map(|(hop, _)| (hop.ifindex, hop.gateway))
            .collect();
        asked.sort();
        asked.dedup();
        refreshed.probes = asked.len() as u64;
        let bodies = asked
            .into_iter()
            .map(|(ifindex, address)| use_body(ifindex, address));
        self.socket.send_all(RTM_NEWNEIGH, NLM_F_CREATE, bodies)?;
        // Refusals: an interface that is gone or down meanwhile, which its own event tells.
        while !matches!(self.socket.receive()?, Received::Empty) {}
        Ok(refreshed)
    }

    fn used(&mut self, rib: &Rib, tables: &Tables) -> Vec<(HopSlot, AdjacencyKind)> {
        let guard = self.reader.read();
        let nexthops = tables.nexthops().of_burst(&guard);
        let take = |hop: HopSlot| match nexthops.get(hop.index) {
            Some(NexthopRef::Adjacency(adjacency)) if nexthops.take_used(hop.index) => {
                Some((hop, adjacency.kind()))
            }
            _ => None,
        };
        let used = rib.hops().filter_map(take).collect();
        drop(guard);
        // The mirror sleeps between looks: a reader that is online would hold up reclamation.
        self.reader.offline();
        used
    }
}

fn is_mortal(state: NeighbourState) -> bool {
    !matches!(state, NeighbourState::Permanent | NeighbourState::NoArp)
}

/// `struct ndmsg` and the address.
fn use_body(ifindex: IfIndex, address: IpAddr) -> Vec<u8> {
    let mut body = vec![0; neigh::HEADER_LEN];
    body[4..8].copy_from_slice(&ifindex.0.to_ne_bytes());
    body[10] = NTF_USE;
    let mut push = |octets: &[u8]| {
        body.extend_from_slice(&(4 + octets.len() as u16).to_ne_bytes());
        body.extend_from_slice(&neigh::NDA_DST.to_ne_bytes());
        body.extend_from_slice(octets);
    };
    match address {
        IpAddr::V4(v4) => push(&v4.octets()),
        IpAddr::V6(v6) => push(&v6.octets()),
    }
    body[0] = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    body
}
