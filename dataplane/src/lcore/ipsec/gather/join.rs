//! Making one packet of its fragments.

use ironlane_fib::VrfId;
use ironlane_ipsec::OPEN_ROOM_BYTES;
use ironlane_ipsec::fragments::{Loss, Piece, Whole};
use ironlane_packet::eth::Mac;
use ironlane_packet::ip4::Ip4;
use ironlane_packet::ip6::{HEADER_LEN_BYTES as IP6_LEN, Ip6};

use super::super::{L2, Tag, write_ethernet};
use super::Gathering;
use crate::burst::{Arrival, Origin};
use crate::eal::{DATA_ROOM, Mbuf, MbufBatch};
use crate::reason::DropReason;

/// Bytes of data in the buffers for long packets: what DPDK counts in 16 bits, with the headroom.
pub(crate) const LONG_ROOM: u16 = 65_280;

impl Gathering<'_, '_> {
    /// Makes one packet of all its fragments, which are in order, and has it run through the stages.
    pub(super) fn join(&mut self, whole: Whole, mut parts: MbufBatch) {
        match self.joined(&whole, parts.as_slice()) {
            Ok(mbuf) => {
                for part in parts.as_slice().iter().skip(1) {
                    let port = Tag::port(part.port());
                    self.lcore.outlet.counters.joined(port, 1);
                }
                parts.free();
                self.push_ready(Origin::Wire, mbuf);
            }
            Err(reason) => {
                for part in parts.drain() {
                    self.lose(reason, part);
                }
            }
        }
    }

    /// The whole packet, in a buffer with room for what is to be done to it.
    fn joined(&self, whole: &Whole, parts: &[Mbuf]) -> Result<Mbuf, DropReason> {
        let len = L2 + whole.len();
        let pool = match len + OPEN_ROOM_BYTES {
            room if room <= usize::from(DATA_ROOM) => &self.lcore.crypto.pool,
            room if room <= usize::from(LONG_ROOM) => &self.gatherer.long,
            _ => return Err(DropReason::IpsecFragmentTooLong),
        };
        let port = parts.first().map(|first| Tag::port(first.port()));
        let arrival = port.and_then(|port| self.lcore.crypto.arrival(port));
        let arrival = arrival.ok_or(DropReason::IpsecDevice)?;
        let mut batch = MbufBatch::new();
        pool.alloc(&mut batch, 1);
        let mut mbuf = batch.pop().ok_or(DropReason::IpsecNoBuffer)?;
        if mbuf.append(len).is_some() && fill(whole, parts, arrival, &mut mbuf).is_some() {
            return Ok(mbuf);
        }
        debug_assert!(
            false,
            "fragments are what they were, and the buffer is large enough"
        );
        mbuf.free();
        Err(DropReason::IpsecFragmentBad)
    }
}

/// Writes the packet into a buffer of its length. `None` if the fragments are none of it.
fn fill(whole: &Whole, parts: &[Mbuf], arrival: Arrival, mbuf: &mut Mbuf) -> Option<()> {
    let first = parts.first()?;
    let src = Mac(*first.data().get(6..)?.first_chunk()?);
    let packet = mbuf.data_mut().get_mut(L2..)?;
    let (head, mut body) = packet.split_at_mut(whole.head_len());
    first.copy_to(l3_of(first), head);
    for part in parts {
        let piece = read(part, arrival.vrf).ok()?;
        let to = body.split_off_mut(..piece.len)?;
        part.copy_to(l3_of(part) + piece.body_at, to);
    }
    whole.finish(packet);
    mbuf.set_port(arrival.port.0);
    write_ethernet(mbuf, arrival.mac, src).then_some(())
}

/// Where the IP header of a fragment is.
pub(super) fn l3_of(mbuf: &Mbuf) -> usize {
    mbuf.user() as usize
}

/// Reads a fragment: its headers have been checked, and lie in the first segment.
pub(super) fn read(mbuf: &Mbuf, vrf: VrfId) -> Result<Piece, Loss> {
    let packet = mbuf.data().get(l3_of(mbuf)..).unwrap_or(&[]);
    let len = match (Ip4::new(packet), Ip6::new(packet)) {
        (Some(header), _) if header.version() == 4 => header.total_len_bytes().into(),
        (_, Some(header)) => IP6_LEN + usize::from(header.payload_len_bytes()),
        _ => return Err(Loss::Malformed),
    };
    Piece::of(packet, len, vrf)
}

/// Whether the bytes of two fragments are the same; where they are has been compared.
pub(super) fn is_same(a: &Mbuf, b: &Mbuf) -> bool {
    let (Ok(a_piece), Ok(b_piece)) = (read(a, VrfId::DEFAULT), read(b, VrfId::DEFAULT)) else {
        return false;
    };
    let (a_at, b_at) = (l3_of(a) + a_piece.body_at, l3_of(b) + b_piece.body_at);
    let len = a_piece.len.min(b_piece.len);
    let (mut done, mut left, mut right) = (0, [0; 256], [0; 256]);
    while done < len {
        let count = (len - done).min(left.len());
        a.copy_to(a_at + done, &mut left[..count]);
        b.copy_to(b_at + done, &mut right[..count]);
        if left[..count] != right[..count] {
            return false;
        }
        done += count;
    }
    true
}
