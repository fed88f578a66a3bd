//! What an SA is, as IKE or an operator says it.

mod check;

use std::net::IpAddr;

use ironlane_fib::VrfId;

use crate::{Algorithm, Secret, Selector};

pub use check::MAX_REPLAY_WINDOW;

/// The protocol that protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// Encapsulating security payload (RFC 4303).
    Esp = 50,
    /// Authentication header (RFC 4302).
    Ah = 51,
}

impl Protocol {
    /// The protocol of this number, if it is one of IPsec.
    ///
    /// ```
    /// use ironlane_ipsec::Protocol;
    ///
    /// assert_eq!(Protocol::from_number(50), Some(Protocol::Esp));
    /// assert_eq!(Protocol::from_number(108), None); // IPComp
    /// ```
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            50 => Some(Self::Esp),
            51 => Some(Self::Ah),
            _ => None,
        }
    }

    /// Its number in IP headers.
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What is protected, and in which header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// What follows the IP header, which stays (end to end).
    Transport,
    /// A whole packet, in a new one.
    Tunnel,
    /// As tunnel for the user, as transport on the wire: the inner header is not sent but known by
    /// the SA, whose only selector has two single addresses (draft-nikander-esp-beet-mode).
    Beet,
}

/// Which way an SA protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Packets that arrive protected.
    In,
    /// Packets to be protected.
    Out,
}

/// ESP in UDP (RFC 3948): what the outer UDP header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UdpEncap {
    /// Source port of protected packets.
    pub src_port: u16,
    /// Destination port of protected packets.
    pub dst_port: u16,
}

/// A mark that packets of a policy or SA carry, as XFRM has it: `packet & mask == value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mark {
    /// Value.
    pub value: u32,
    /// Which bits count; 0 matches every packet.
    pub mask: u32,
}

impl Mark {
    /// Whether a packet with this mark is meant.
    ///
    /// ```
    /// use ironlane_ipsec::Mark;
    ///
    /// let mark = Mark { value: 2, mask: 3 };
    /// assert!(mark.matches(6) && !mark.matches(1) && Mark::default().matches(1));
    /// ```
    #[inline]
    pub const fn matches(self, packet: u32) -> bool {
        packet & self.mask == self.value
    }
}

/// The DSCP of the outer header of a tunnel (RFC 4301 5.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dscp {
    /// That of the inner packet; the inner one is kept on arrival.
    #[default]
    Copy,
    /// This one, 0 to 63.
    Set(u8),
}

/// The DF bit of an outer IPv4 header (RFC 4301 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Df {
    /// That of an inner IPv4 packet; set for an inner IPv6 packet.
    #[default]
    Copy,
    /// Always set.
    Set,
    /// Never set: routers on the way may fragment.
    Clear,
}

/// How much an SA may protect; 0 is no limit. Limits of time are the control plane's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// Bytes after which [`Event::Soft`](crate::Event::Soft) is raised.
    pub soft_bytes: u64,
    /// Bytes after which [`Event::Hard`](crate::Event::Hard) is raised and no packet passes.
    pub hard_bytes: u64,
    /// Packets after which the soft event is raised.
    pub soft_packets: u64,
    /// Packets after which the hard event is raised and no packet passes.
    pub hard_packets: u64,
}

/// A security association to be. [`Writer::add_sa`](crate::Writer::add_sa) checks it.
///
/// [`SaSpec::new`] has the usual values of all that is not an argument, to be changed in place:
/// ```
/// use ironlane_ipsec::{Algorithm, Auth, Cipher, Direction, Mode, SaSpec, Secret};
///
/// let gcm = Algorithm { cipher: Cipher::AesGcm { icv: 16 }, auth: Auth::None };
/// let (src, dst) = ("192.0.2.1".parse()?, "198.51.100.1".parse()?);
/// let spec = SaSpec {
///     mode: Mode::Tunnel,
///     enc_key: Secret::take(&mut [7; 20])?, // 16 bytes of key, 4 of salt
///     ..SaSpec::new(Direction::Out, 0xc2d8_41b8, src, dst, gcm)
/// };
/// assert_eq!(spec.check(), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Fields stand in this order in memory: those that lcores look at for each packet come first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct SaSpec {
    /// Security parameters index, host order; not 0. Those below 256 are reserved.
    pub spi: u32,
    /// XFRM interface: packets of an inbound SA appear there; 0 for none.
    pub if_id: u32,
    /// Ties the SA to policies; 0 for none.
    pub reqid: u32,
    /// Mark of packets of the SA.
    pub mark: Mark,
    /// Where outer packets are routed and received.
    pub vrf: VrfId,
    /// Inner packets of a tunnel are padded to this many bytes (RFC 4303 2.7); 0 for none.
    pub tfc_pad: u16,
    /// ESP in UDP.
    pub encap: Option<UdpEncap>,
    /// Outer destination.
    pub dst: IpAddr,
    /// Which way.
    pub direction: Direction,
    /// ESP or AH.
    pub protocol: Protocol,
    /// What is protected.
    pub mode: Mode,
    /// Cipher and authenticator.
    pub algorithm: Algorithm,
    /// Extended sequence numbers of 64 bits.
    pub esn: bool,
    /// DSCP of outer headers.
    pub dscp: Dscp,
    /// DF of outer IPv4 headers.
    pub df: Df,
    /// Whether ECN is carried between inner and outer header (RFC 6040). Without it, outer packets
    /// are not ECN-capable, and what they say on arrival does not count.
    pub ecn: bool,
    /// Outer source; of an inbound SA it is what the peer was known to have, and not checked.
    pub src: IpAddr,
    /// Key of the cipher, with the salt behind it where the algorithm has one, as IKE derives it.
    pub enc_key: Secret,
    /// Key of the authenticator, with the salt behind it for GMAC; empty if there is none.
    pub auth_key: Secret,
    /// Packets in the anti-replay window: 0 for none, or 32 to 4096 (others are rounded up).
    pub replay_window: u32,
    /// The last sequence number that was used or seen before: 0 for a new SA. An outbound SA whose
    /// key was used before must never start below that; rekey where the number is not known.
    pub last_seq: u64,
    /// What inner packets may be, as packets in the direction of the SA are addressed: one of these
    /// must match a packet that arrived. Empty: anything, and policies decide alone.
    pub selectors: Vec<Selector>,
    /// How much it may protect.
    pub limits: Limits,
}

impl SaSpec {
    /// How many bytes the fields have that lcores look at for each packet.
    pub(crate) const HOT_BYTES: usize = std::mem::offset_of!(Self, src);

    /// An ESP tunnel in the default VRF without keys, with a replay window of 64 and the defaults
    /// of all else.
    pub fn new(
        direction: Direction,
        spi: u32,
        src: IpAddr,
        dst: IpAddr,
        algorithm: Algorithm,
    ) -> Self {
        Self {
            direction,
            protocol: Protocol::Esp,
            spi,
            src,
            dst,
            vrf: VrfId::DEFAULT,
            mode: Mode::Tunnel,
            algorithm,
            enc_key: Secret::EMPTY,
            auth_key: Secret::EMPTY,
            esn: false,
            replay_window: 64,
            last_seq: 0,
            encap: None,
            reqid: 0,
            if_id: 0,
            mark: Mark::default(),
            selectors: Vec::new(),
            dscp: Dscp::Copy,
            df: Df::Copy,
            ecn: true,
            tfc_pad: 0,
            limits: Limits::default(),
        }
    }

    /// The cipher's key, without the salt.
    pub fn cipher_key(&self) -> &[u8] {
        let key = self.enc_key.expose();
        &key[..key
            .len()
            .saturating_sub(self.algorithm.cipher.salt_len_bytes())]
    }

    /// The authenticator's key, without the salt.
    pub fn authenticator_key(&self) -> &[u8] {
        let key = self.auth_key.expose();
        &key[..key
            .len()
            .saturating_sub(self.algorithm.auth.salt_len_bytes())]
    }

    /// The salt of the nonce; zeros where the algorithm has none.
    pub fn salt(&self) -> [u8; 4] {
        let of = |key: &[u8], len: usize| (len == 4).then(|| key.last_chunk().copied()).flatten();
        let Algorithm { cipher, auth } = self.algorithm;
        of(self.enc_key.expose(), cipher.salt_len_bytes())
            .or_else(|| of(self.auth_key.expose(), auth.salt_len_bytes()))
            .unwrap_or([0; 4])
    }

    /// Whether a packet with these fields is of this SA.
    #[inline]
    pub(crate) fn is_named_by(
        &self,
        protocol: Protocol,
        spi: u32,
        dst: IpAddr,
        vrf: VrfId,
    ) -> bool {
        self.spi == spi && self.dst == dst && self.protocol == protocol && self.vrf == vrf
    }

    /// Whether an SA of this can become one of `other` and keep its session and state.
    pub(crate) fn differs_only_in_what_may_change(&self, other: &Self) -> bool {
        let fixed = |spec: &Self| {
            (
                (spec.direction, spec.protocol, spec.spi, spec.algorithm),
                (spec.esn, spec.replay_window, spec.last_seq, spec.limits),
            )
        };
        fixed(self) == fixed(other)
            && self.enc_key == other.enc_key
            && self.auth_key == other.auth_key
    }
}
