//! Splitting IPv4 packets into fragments (RFC 791 3.2).

use ironlane_packet::checksum;
use ironlane_packet::ip4::{DF, HEADER_LEN_BYTES, Ip4, MF, OFFSET};

use crate::eal::{BURST_MAX, DATA_ROOM, Mbuf, MbufBatch, Mempool};
use crate::reason::DropReason;

/// Why a packet is not fragmented.
const TOO_BIG: DropReason = DropReason::IpsecTooBig;

/// The longest header.
const HEADER_MAX: usize = 60;

/// Room that a piece keeps for what IPsec puts behind it.
const TAIL: usize = 128;

/// The fragments of the IPv4 packet behind the first `base` bytes of `mbuf`, each in a buffer of its
/// own with a copy of those bytes, and none longer than `mtu`. They may be fragmented again, whether
/// the packet might be or not; one that might not gets `id`, since it may have none of its own.
///
/// # Errors
/// [`DropReason::IpsecTooBig`] if it is no whole packet, or more than a burst of pieces;
/// [`DropReason::IpsecNoBuffer`] if there are no buffers.
pub(super) fn split(
    pool: &Mempool,
    mbuf: &Mbuf,
    base: usize,
    mtu: usize,
    id: u16,
) -> Result<MbufBatch, DropReason> {
    let packet = mbuf.data().get(base..).unwrap_or(&[]);
    let header = Ip4::new(packet).ok_or(TOO_BIG)?;
    let (header_len, total_len) = (header.header_len_bytes(), header.total_len_bytes());
    let first = packet.get(..header_len).ok_or(TOO_BIG)?;
    let body_len = usize::from(total_len)
        .checked_sub(header_len)
        .ok_or(TOO_BIG)?;
    if header_len < HEADER_LEN_BYTES || mbuf.pkt_len() < base + usize::from(total_len) {
        return Err(TOO_BIG);
    }
    let later = Header::of_later(first);
    let (step, count) = steps(body_len, base, header_len, mtu).ok_or(TOO_BIG)?;
    let (word, new_id) = match header.fragment_word() {
        word if word & DF != 0 => (word & !DF, Some(id)),
        word => (word, None),
    };
    let mut pieces = MbufBatch::new();
    if !pool.alloc(&mut pieces, count) {
        return Err(DropReason::IpsecNoBuffer);
    }
    for (place, piece) in pieces.as_mut_slice().iter_mut().enumerate() {
        let at = place * step;
        let len = step.min(body_len - at);
        let header = match place {
            0 => Header::of_first(first),
            _ => later,
        };
        let more = match place + 1 == count {
            true => word & MF,
            false => MF,
        };
        let offset = (word & OFFSET) + (at / 8) as u16;
        // Checked against the smallest buffer above.
        let Some(room) = piece.append(base + header.len + len) else {
            pieces.free();
            return Err(TOO_BIG);
        };
        room[..base].copy_from_slice(&mbuf.data()[..base]);
        header.write(&mut room[base..], more | offset, new_id);
        mbuf.copy_to(base + header_len + at, &mut room[base + header.len..]);
        piece.set_port(mbuf.port());
    }
    Ok(pieces)
}

/// How many bytes of a body each piece has but for the last, and how many pieces there are, with `base` bytes
/// and headers of `header_len` before each.
pub(super) fn steps(
    body_len: usize,
    base: usize,
    header_len: usize,
    mtu: usize,
) -> Option<(usize, usize)> {
    let room = mtu.min(usize::from(DATA_ROOM).saturating_sub(base + TAIL));
    let step = room.checked_sub(header_len)? / 8 * 8;
    let count = body_len.checked_div(step)? + usize::from(!body_len.is_multiple_of(step));
    (1..=BURST_MAX).contains(&count).then_some((step, count))
}

/// The header of a piece.
#[derive(Clone, Copy)]
struct Header {
    bytes: [u8; HEADER_MAX],
    len: usize,
}

impl Header {
    fn of_first(header: &[u8]) -> Self {
        let mut bytes = [0; HEADER_MAX];
        bytes[..header.len()].copy_from_slice(header);
        let len = header.len();
        Self { bytes, len }
    }

    /// Later fragments have those options alone that say so (RFC 791 3.1, copied flag).
    fn of_later(header: &[u8]) -> Self {
        let mut this = Self::of_first(&header[..HEADER_LEN_BYTES]);
        let mut options = &header[HEADER_LEN_BYTES..];
        while let Some((&kind, rest)) = options.split_first() {
            let len = match (kind, rest.first()) {
                (0, _) => break,
                (1, _) => 1,
                (_, Some(&len)) if (2..=options.len()).contains(&usize::from(len)) => {
                    usize::from(len)
                }
                _ => break,
            };
            if kind & 0x80 != 0 {
                this.bytes[this.len..this.len + len].copy_from_slice(&options[..len]);
                this.len += len;
            }
            options = &options[len..];
        }
        // The rest of the last word is zeros: the end of the options.
        this.len = this.len.next_multiple_of(4);
        this
    }

    /// Writes the header at the start of `packet`, all of which it is for.
    fn write(&self, packet: &mut [u8], word: u16, id: Option<u16>) {
        let total_len = packet.len() as u16;
        let header = &mut packet[..self.len];
        header.copy_from_slice(&self.bytes[..self.len]);
        header[0] = 0x40 | (self.len / 4) as u8;
        header[2..4].copy_from_slice(&total_len.to_be_bytes());
        if let Some(id) = id {
            header[4..6].copy_from_slice(&id.to_be_bytes());
        }
        header[6..8].copy_from_slice(&word.to_be_bytes());
        header[10..12].fill(0);
        let sum = checksum::of(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_fragments_have_copied_options_alone() {
        let mut header = [0u8; 36];
        header[0] = 0x49;
        // No operation, record route (not copied), loose source route (copied), end.
        header[20..].copy_from_slice(&[1, 7, 7, 4, 1, 2, 3, 4, 131, 3, 4, 0, 0, 0, 0, 0]);
        let later = Header::of_later(&header);
        assert_eq!(later.len, 24);
        assert_eq!(later.bytes[20..24], [131, 3, 4, 0]);
        // Cut options end the list.
        let mut cut = [0u8; 24];
        cut[20..].copy_from_slice(&[1, 1, 131, 9]);
        assert_eq!(Header::of_later(&cut).len, 20);
    }
}
