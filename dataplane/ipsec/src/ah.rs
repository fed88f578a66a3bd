//! AH (RFC 4302): where things are, and what counts as zero.
//!
//! The ICV covers the whole packet as the receiver will see it, with zeros for what routers change
//! and for the ICV itself. The headers are set to that while the engine works, and put back
//! afterwards from a copy behind the packet:
//!
//! ```text
//!  | IP headers | AH | ICV = 0 | pad | ... packet ... | upper half | ICV | copy of IP headers |
//!                                                     '---------- behind the packet ---------'
//! ```

mod mutable;

use crate::buffer::{get_u32, put_u32};
use crate::esp::nonce;
use crate::header::Header;
use crate::inner::Payload;
use crate::{Auth, Cipher, Layout, Reject, Room, Sa, SaSpec, Span};

/// Up to the ICV: next header, length, reserved, SPI, sequence number.
const FIXED_LEN: usize = 12;

/// The IV of GMAC, in front of its ICV (RFC 4543 section 4).
const GMAC_IV_LEN: usize = 8;

/// Length of the header with its ICV, padded to what the IP version asks for (RFC 4302 2.6, 3.3.3.2.1).
pub(crate) fn header_len(spec: &SaSpec) -> usize {
    let align = if spec.dst.is_ipv4() { 4 } else { 8 };
    (FIXED_LEN + spec.algorithm.icv_len_bytes()).next_multiple_of(align)
}

/// Bytes behind the packet for ICV and headers.
pub(crate) fn scratch_len(spec: &SaSpec, headers_len: usize) -> usize {
    iv_and_tag(spec).1 + headers_len
}

/// Lengths of IV and of what the engine computes.
fn iv_and_tag(spec: &SaSpec) -> (usize, usize) {
    let iv_len = match spec.algorithm.auth {
        Auth::AesGmac => GMAC_IV_LEN,
        _ => 0,
    };
    (iv_len, spec.algorithm.icv_len_bytes() - iv_len)
}

impl<S> Sa<S> {
    /// Lays out a packet whose AH is at `at`; see [`Sa::open`].
    pub(crate) fn open_ah(
        &self,
        buffer: &mut [u8],
        len: usize,
        at: usize,
    ) -> Result<Layout, Reject> {
        let spec = self.spec();
        if len < at + FIXED_LEN {
            return Err(Reject::Malformed);
        }
        let header_len = (usize::from(buffer[at + 1]) + 2) * 4;
        let least = FIXED_LEN + spec.algorithm.icv_len_bytes();
        // Some peers align to eight bytes in IPv4 too.
        let lens = [least.next_multiple_of(4), least.next_multiple_of(8)];
        if !lens.contains(&header_len) || len < at + header_len {
            return Err(Reject::Malformed);
        }
        let low = get_u32(buffer, at + 8);
        let seq = match self.state().replay() {
            Some(window) => window.check(low).ok_or(Reject::Replay)?,
            None => u64::from(low),
        };
        let wire = Span::between(0, len);
        self.mute(buffer, wire, at, seq)
    }

    /// The payload of a packet that was found authentic, whose headers are as they arrived again.
    pub(crate) fn payload_ah(&self, layout: &Layout, buffer: &mut [u8]) -> Payload {
        layout.unmute(buffer);
        let header_at = layout.header_at as usize;
        let at = header_at + (usize::from(buffer[header_at + 1]) + 2) * 4;
        Payload {
            headers_end: header_at,
            at,
            len: layout.wire_len as usize - at,
            next: buffer[header_at],
        }
    }

    /// Writes AH between the headers, which are there already, and the body, and lays out the packet.
    pub(crate) fn seal_ah(
        &self,
        room: &Room,
        buffer: &mut [u8],
        seq: u64,
    ) -> Result<Layout, Reject> {
        let spec = self.spec();
        let at = room.start + room.headers_len;
        let header_len = header_len(spec);
        let header = &mut buffer[at..at + header_len];
        header.fill(0);
        header[0] = room.next;
        header[1] = (header_len / 4 - 2) as u8;
        put_u32(header, 4, spec.spi);
        put_u32(header, 8, seq as u32);
        if spec.algorithm.auth == Auth::AesGmac {
            header[FIXED_LEN..FIXED_LEN + GMAC_IV_LEN].copy_from_slice(&seq.to_be_bytes());
        }
        let wire = Span::between(room.start, room.start + room.wire_len);
        self.mute(buffer, wire, at, seq)
    }

    /// Puts the computed ICV in its place, and the headers back as they are sent.
    pub(crate) fn sealed_ah(&self, layout: &Layout, buffer: &mut [u8]) {
        let at = layout.header_at as usize + FIXED_LEN;
        let (iv_len, tag_len) = iv_and_tag(self.spec());
        if iv_len > 0 {
            buffer[at..at + iv_len].copy_from_slice(&layout.nonce[4..4 + iv_len]);
        }
        let tag = layout.icv.range();
        debug_assert_eq!(tag.len(), tag_len);
        buffer.copy_within(tag, at + iv_len);
        layout.unmute(buffer);
    }

    /// Copies what will be needed again behind the packet at `wire`, and sets to zero what counts
    /// as zero.
    fn mute(&self, buffer: &mut [u8], wire: Span, at: usize, seq: u64) -> Result<Layout, Reject> {
        let spec = self.spec();
        let (iv_len, tag_len) = iv_and_tag(spec);
        let start = wire.at as usize;
        let headers_len = at - start;
        let half_len = if spec.esn { 4 } else { 0 };
        let icv_at = wire.end() + half_len;
        let copy_at = icv_at + tag_len;
        if buffer.len() < copy_at + headers_len {
            return Err(Reject::NoRoom);
        }
        let field = at + FIXED_LEN;
        let mut layout = Layout {
            auth: Span::between(start, icv_at),
            icv: Span::between(icv_at, copy_at),
            seq,
            header_at: at as u32,
            wire_at: wire.at,
            wire_len: wire.len,
            ..Layout::default()
        };
        if iv_len > 0 {
            let iv = &buffer[field..field + iv_len];
            layout.nonce = nonce::nonce(Cipher::AesGmac, self.salt, iv);
        }
        if spec.esn {
            put_u32(buffer, wire.end(), (seq >> 32) as u32);
        }
        let tag_at = field + iv_len;
        buffer.copy_within(tag_at..tag_at + tag_len, icv_at);
        buffer[field..tag_at + tag_len].fill(0);
        buffer.copy_within(start..at, copy_at);
        mutable::zero(&mut buffer[start..at])?;
        Ok(layout)
    }
}

impl Layout {
    /// Puts the headers in front of AH back.
    fn unmute(&self, buffer: &mut [u8]) {
        let copy_at = self.icv.end();
        let start = self.wire_at as usize;
        let headers_len = self.header_at as usize - start;
        buffer.copy_within(copy_at..copy_at + headers_len, start);
    }
}

impl Header {
    /// Whether `headers` are those of one whole packet, up to AH.
    fn are_whole(headers: &[u8]) -> bool {
        Self::parse(headers).is_some()
    }
}
