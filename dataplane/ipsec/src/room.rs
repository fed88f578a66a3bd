//! How much larger a packet becomes, and what goes where.

use crate::header::{Header, IP4_LEN, IP6_LEN};
use crate::inner::{IP_IN_IP, IP6_IN_IP};
use crate::outer::{Outer, encap_len, header_len};
use crate::{Auth, Mode, Protocol, Reject, Sa, SaSpec, ah, beet, esp};

/// The longest packet that IP can say, without jumbograms.
const LONGEST: usize = u16::MAX as usize;

/// What protecting a packet takes; made by [`Sa::room`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Free bytes that the buffer must have before the packet.
    pub head: usize,
    /// Free bytes that it must have behind it; some of them are for work only.
    pub tail: usize,
    /// How long the packet on the wire is: compare it with the MTU before sealing.
    pub wire_len: usize,
    /// How long the packet is.
    pub(crate) packet_len: usize,
    /// Where the packet on the wire begins in the buffer.
    pub(crate) start: usize,
    /// Length of the headers in front of UDP, ESP or AH, on the wire.
    pub(crate) headers_len: usize,
    /// Where what is protected begins in the packet, how long it is, and its protocol.
    pub(crate) body_at: usize,
    pub(crate) body_len: usize,
    pub(crate) next: u8,
    /// Padding behind it, by TFC and to align it.
    pub(crate) tfc_len: usize,
    pub(crate) pad_len: usize,
    /// What the header in front is made of.
    pub(crate) front: Front,
}

/// The headers in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// Those that the packet had, moved.
    Kept(Header),
    /// A new one.
    New(Outer),
}

/// What is protected of a packet, and the headers in front of it.
struct Body {
    front: Front,
    headers_len: usize,
    at: usize,
    next: u8,
}

fn body(spec: &SaSpec, packet: &[u8]) -> Result<Body, Reject> {
    let next = match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= IP4_LEN => IP_IN_IP,
        Some(6) if packet.len() >= IP6_LEN => IP6_IN_IP,
        _ => return Err(Reject::Malformed),
    };
    let outer = |at, next| Body {
        front: Front::New(Outer::of(spec, packet)),
        headers_len: header_len(spec),
        at,
        next,
    };
    match spec.mode {
        Mode::Tunnel => Ok(outer(0, next)),
        Mode::Beet => {
            let body = beet::body(spec, packet)?;
            Ok(outer(body.at, body.next))
        }
        Mode::Transport => {
            let header = Header::to_stay(packet)?;
            Ok(Body {
                front: Front::Kept(header),
                headers_len: header.len,
                at: header.len,
                next: header.next(packet),
            })
        }
    }
}

/// What protecting `packet` takes in an SA of any kind; see [`Sa::room`].
pub(crate) fn general_room(spec: &SaSpec, packet: &[u8]) -> Result<Room, Reject> {
    let body = body(spec, packet)?;
    let len = packet.len() - body.at;
    let sizes = Sizes::of(spec, len, body.headers_len);
    let wire_len = body.headers_len + sizes.shim + len + sizes.trailer;
    if wire_len > LONGEST {
        return Err(Reject::TooLong);
    }
    let before = body.headers_len + sizes.shim;
    let head = before.saturating_sub(body.at);
    Ok(Room {
        head,
        tail: sizes.trailer + sizes.scratch,
        wire_len,
        packet_len: packet.len(),
        start: head + body.at - before,
        headers_len: body.headers_len,
        body_at: body.at,
        body_len: len,
        next: body.next,
        tfc_len: sizes.tfc,
        pad_len: sizes.pad,
        front: body.front,
    })
}

impl<S> Sa<S> {
    /// What protecting `packet` takes; it starts with its IP header and ends where that says. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`Reject::TooLong`], [`Reject::Fragment`], [`Reject::Malformed`], [`Reject::Selector`] (of
    /// BEET).
    #[inline]
    pub fn room(&self, packet: &[u8]) -> Result<Room, Reject> {
        match &self.usual {
            Some(usual) => usual.room(self.spec(), packet),
            None => general_room(self.spec(), packet),
        }
    }

    /// The longest inner packet of a tunnel whose outer packet is no longer than `mtu`, or the
    /// longest packet before transport mode makes it longer than that; what "packet too big" should
    /// tell (RFC 4301 8.2). 0 if nothing fits.
    pub fn inner_mtu(&self, mtu: usize) -> usize {
        let spec = self.spec();
        let (headers, removed) = match spec.mode {
            Mode::Tunnel => (header_len(spec), 0),
            // What is left out is at least the header without options.
            Mode::Beet => (header_len(spec), beet_header_len(spec)),
            // The headers are in both.
            Mode::Transport => (0, 0),
        };
        let sizes = Sizes::of(spec, 0, headers);
        let Some(room) = mtu.min(LONGEST).checked_sub(headers + sizes.shim) else {
            return 0;
        };
        if spec.protocol == Protocol::Ah {
            return room + removed;
        }
        let (icv, align) = (spec.algorithm.icv_len_bytes(), spec.algorithm.align_bytes());
        // In transport mode, what is aligned is less than the packet by its headers: by 20 bytes
        // or more, in steps of 4. The worst case loses one block.
        let text = match spec.mode {
            Mode::Transport => room.saturating_sub(icv).saturating_sub(align - 4) / 4 * 4,
            _ => room.saturating_sub(icv) / align * align,
        };
        let fits = text.saturating_sub(esp::TRAILER_LEN_BYTES);
        if fits == 0 { 0 } else { fits + removed }
    }
}

fn beet_header_len(spec: &SaSpec) -> usize {
    match spec.beet_addresses() {
        Some((src, _)) if src.is_ipv4() => IP4_LEN,
        _ => IP6_LEN,
    }
}

/// Lengths that do not depend on what the bytes are.
struct Sizes {
    /// Between IP headers and what is protected: UDP, ESP header and IV; or AH.
    shim: usize,
    tfc: usize,
    pad: usize,
    /// Behind what is protected: TFC, padding, ESP trailer, ICV.
    trailer: usize,
    /// Behind the packet, for work.
    scratch: usize,
}

impl Sizes {
    fn of(spec: &SaSpec, len: usize, headers_len: usize) -> Self {
        let algorithm = spec.algorithm;
        let esn = if spec.esn { 4 } else { 0 };
        if spec.protocol == Protocol::Ah {
            let shim = ah::header_len(spec);
            return Self {
                shim,
                tfc: 0,
                pad: 0,
                trailer: 0,
                scratch: esn + ah::scratch_len(spec, headers_len),
            };
        }
        let tfc = usize::from(spec.tfc_pad).saturating_sub(len);
        let pad = esp::pad_len(len + tfc, algorithm.align_bytes());
        Self {
            shim: encap_len(spec) + esp::HEADER_LEN_BYTES + algorithm.iv_len_bytes(),
            tfc,
            pad,
            trailer: tfc + pad + esp::TRAILER_LEN_BYTES + algorithm.icv_len_bytes(),
            scratch: match algorithm.auth {
                Auth::None => 0,
                _ => esn,
            },
        }
    }
}
