//! Packets to be protected, by one SA in a row.

use std::net::IpAddr;

use super::front::Ip4Front;
use super::{IV_LEN, Text, Usual};
use crate::buffer::put_u16;
use crate::esp;
use crate::inner::{IP_IN_IP, IP6_IN_IP};
use crate::outer::{Outer, UDP_LEN, encap_len, header_len};
use crate::{Df, Dscp, Events, Sa, SaSpec, UdpEncap, ecn};

/// Bytes that are written behind a packet at once: padding, trailer, and what the ICV is then written over.
const TAIL: usize = 8;

/// Padding and its length, by how much there is; what is behind them is the next header's.
const PADDING: [u64; 4] = [0, 0x01_01, 0x02_02_01, 0x03_03_02_01];

/// Seals whole packets by one SA, one after the other. Owner lcore only.
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_ipsec::{Algorithm, Auth, Cipher, Direction, Ipsec, SaSpec, Secret, Writer};
/// use ironlane_packet::ip4::Ip4Fields;
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let ipsec = Arc::new(Ipsec::new(&domain));
/// let mut writer = Writer::without_device(Arc::clone(&ipsec));
/// let gcm = Algorithm { cipher: Cipher::AesGcm { icv: 16 }, auth: Auth::None };
/// let id = writer.add_sa(SaSpec {
///     enc_key: Secret::take(&mut [7; 20])?,
///     ..SaSpec::new(Direction::Out, 0x1000, "192.0.2.1".parse()?, "198.51.100.1".parse()?, gcm)
/// })?;
/// let mut reader = Domain::register(&domain)?;
/// let burst = reader.read();
/// let sa = ipsec.sa(&burst, id).unwrap();
///
/// let run = sa.seal_run().unwrap();
/// let packet = Ip4Fields::default().to_bytes(0);
/// let (head, tail) = (run.head_len(), run.tail_len(packet.len()));
/// let mut wire = vec![0; head + packet.len() + tail];
/// wire[head..][..packet.len()].copy_from_slice(&packet);
/// let text = run.seal(&mut wire, packet.len()).unwrap();
/// assert_eq!((usize::from(text.at), usize::from(text.len)), (20 + 8 + 8, 20 + 4));
/// // An engine encrypts it; then:
/// run.count(1, packet.len() as u64, 0, ipsec.events());
/// assert_eq!(sa.stats().packets, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SealRun<'a, S> {
    sa: &'a Sa<S>,
    usual: &'a Usual,
    /// The outer header as it is nearly always: IPv4 without UDP.
    ip4: Option<Ip4Front>,
    front_len: usize,
    head_len: usize,
    icv_len: usize,
    align: usize,
    outer: Outers,
    /// Source and destination port of ESP in UDP, as on the wire.
    udp: Option<[u8; 4]>,
    spi: u32,
    esn: bool,
}

/// What outer headers take from inner packets.
#[derive(Debug, Clone, Copy)]
struct Outers {
    /// What of the traffic class is copied, and what is set beside it.
    class_mask: u8,
    class: u8,
    df: Df,
}

impl Outers {
    #[inline]
    fn of(spec: &SaSpec) -> Self {
        let (dscp_mask, class) = match spec.dscp {
            Dscp::Copy => (!0b11, 0),
            Dscp::Set(dscp) => (0, dscp << 2),
        };
        Self {
            class_mask: dscp_mask | ecn::encapsulate(0b11, spec.ecn),
            class,
            df: spec.df,
        }
    }

    /// For a packet that begins like this, as [`Outer::of`] says.
    #[inline]
    fn outer(self, packet: &[u8; 8]) -> Outer {
        let is_ip4 = packet[0] >> 4 == 4;
        let class = match is_ip4 {
            true => packet[1],
            false => packet[0] << 4 | packet[1] >> 4,
        };
        let df = match self.df {
            // IPv6 is never fragmented on the way.
            Df::Copy => !is_ip4 || packet[6] & 0x40 != 0,
            Df::Set => true,
            Df::Clear => false,
        };
        Outer::of_tunnel(class & self.class_mask | self.class, df)
    }
}

impl<S> Sa<S> {
    /// To seal packets that come in a row. `None` for an SA of another kind than ESP tunnels whose cipher
    /// authenticates, and one that passes nothing any more: packets then go by [`Sa::seal`] one by one.
    #[inline]
    pub fn seal_run(&self) -> Option<SealRun<'_, S>> {
        let (usual, spec) = (self.usual.as_ref()?, self.spec());
        // The checksum of UDP over IPv6 is over what comes out of the engine.
        let sums = spec.encap.is_some() && spec.dst.is_ipv6();
        if sums || self.state().is_expired() {
            return None;
        }
        let front_len = header_len(spec) + encap_len(spec);
        Some(SealRun {
            sa: self,
            usual,
            ip4: spec
                .encap
                .is_none()
                .then(|| Ip4Front::of(usual, spec))
                .flatten(),
            front_len,
            head_len: front_len + esp::HEADER_LEN_BYTES + IV_LEN,
            icv_len: spec.algorithm.icv_len_bytes(),
            align: spec.algorithm.align_bytes(),
            outer: Outers::of(spec),
            udp: spec.encap.map(|UdpEncap { src_port, dst_port }| {
                let [[a, b], [c, d]] = [src_port, dst_port].map(u16::to_be_bytes);
                [a, b, c, d]
            }),
            spi: spec.spi,
            esn: spec.esn,
        })
    }
}

impl<'a, S> SealRun<'a, S> {
    /// The SA.
    #[inline]
    pub fn sa(&self) -> &'a Sa<S> {
        self.sa
    }

    /// Outer source of what leaves. As the header says it, so that no other line of the SA is looked at.
    #[inline]
    pub fn src(&self) -> IpAddr {
        self.usual.src()
    }

    /// How many bytes come before a packet.
    #[inline]
    pub fn head_len(&self) -> usize {
        self.head_len
    }

    /// How many bytes come behind a packet of this length.
    #[inline]
    pub fn tail_len(&self, packet_len: usize) -> usize {
        let pad_len = esp::pad_len(packet_len, self.align);
        pad_len + esp::TRAILER_LEN_BYTES + self.icv_len
    }

    /// Protects a packet up to what the engine does, with the next sequence number. `wire` has
    /// [`head_len`](Self::head_len) free bytes, the packet, [`tail_len`](Self::tail_len) free bytes, and all of it is
    /// what leaves. `None`, and nothing done, if one by one is told why it cannot.
    #[inline]
    pub fn seal(&self, wire: &mut [u8], packet_len: usize) -> Option<Text> {
        let head = self.head_len();
        let pad_len = esp::pad_len(packet_len, self.align);
        let len = packet_len + pad_len + esp::TRAILER_LEN_BYTES;
        let tail_at = head + packet_len;
        let is_whole = wire.len() == head + len + self.icv_len
            && wire.len() <= usize::from(u16::MAX)
            && wire.len() >= tail_at + TAIL;
        let packet = wire.get(head..tail_at)?.first_chunk()?;
        let next = match packet[0] >> 4 {
            4 => IP_IN_IP,
            6 => IP6_IN_IP,
            _ => return None,
        };
        let outer = self.outer.outer(packet);
        if !is_whole {
            return None;
        }
        let seq = self.sa.state().next_seq().ok()?;
        let iv = seq.to_be_bytes();
        let wire_len = wire.len() as u16;
        if let Some(front) = &self.ip4
            && let Some(to) = wire.first_chunk_mut()
        {
            front.write(outer, wire_len, seq, to);
        } else {
            self.write_front(outer, wire, seq);
        }
        if let Some(tail) = wire[tail_at..].first_chunk_mut::<TAIL>() {
            let word = PADDING[pad_len % 4] | u64::from(next) << (8 * (pad_len + 1));
            *tail = word.to_le_bytes();
        }
        let (aad, _) = esp::nonce::aad(self.spi, seq, self.esn);
        Some(Text {
            // No truncation: the packet is not longer.
            at: head as u16,
            len: len as u16,
            nonce: nonce(self.sa.salt, iv),
            aad,
        })
    }

    /// Writes all that is before the text.
    fn write_front(&self, outer: Outer, wire: &mut [u8], seq: u64) {
        self.usual.write_front(outer, wire, seq as u16);
        let front_len = self.front_len;
        if let Some(ports) = self.udp {
            // Without checksum (RFC 3948 2.1).
            let at = front_len - UDP_LEN;
            let datagram_len = (wire.len() - at) as u16;
            let udp = &mut wire[at..front_len];
            udp[..4].copy_from_slice(&ports);
            put_u16(udp, 4, datagram_len);
            put_u16(udp, 6, 0);
        }
        let (spi, iv) = (self.spi.to_be_bytes(), seq.to_be_bytes());
        if let Some(esp) = wire[front_len..].first_chunk_mut::<16>() {
            esp[..4].copy_from_slice(&spi);
            esp[4..8].copy_from_slice(&iv[4..]);
            // The sequence number, as in `nonce`.
            esp[8..].copy_from_slice(&iv);
        }
    }

    /// Counts packets that the engine has sealed, `bytes` long together before they were.
    #[inline]
    pub fn count(&self, packets: u64, bytes: u64, now_s: u64, events: &Events) {
        let (state, id) = (self.sa.state(), self.sa.id());
        state.count_all(id, packets, bytes, now_s, events);
    }
}

/// Salt and IV, and zeros.
#[inline]
pub(super) fn nonce(salt: [u8; 4], iv: [u8; IV_LEN]) -> [u8; 16] {
    // In registers: what is written in pieces would be waited for when it is read as one.
    let (salt, iv) = (u32::from_le_bytes(salt), u64::from_le_bytes(iv));
    (u128::from(salt) | u128::from(iv) << 32).to_le_bytes()
}
