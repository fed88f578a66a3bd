//! Other ends of SAs, one for each algorithm, mode, family and encapsulation, with a crypto engine that is
//! not ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ironlane_ipsec::{
    Action, Algorithm, Auth, Cipher, Direction, Events, Ipsec, Mode, OPEN_ROOM_BYTES,
    PolicyDirection, PolicySpec, Protocol, Sa, SaSpec, Secret, Selector, UdpEncap, Writer,
};
use ironlane_packet::ip6_ext::{Walk, walk_for_ipsec};
use ironlane_packet::proto::ip;
use ironlane_rcu::Domain;
use ironlane_tests::WholeDp;

use crate::soft;

const CIPHERS: [(Cipher, usize); 11] = [
    (Cipher::Null, 0),
    (Cipher::AesCbc, 16),
    (Cipher::AesCbc, 32),
    (Cipher::AesCtr, 16),
    (Cipher::AesCtr, 24),
    (Cipher::AesGcm { icv: 8 }, 16),
    (Cipher::AesGcm { icv: 12 }, 24),
    (Cipher::AesGcm { icv: 16 }, 32),
    (Cipher::AesGmac, 16),
    (Cipher::AesGmac, 32),
    (Cipher::ChaCha20Poly1305, 32),
];
const HMACS: [Auth; 4] = [
    Auth::HmacSha1_96,
    Auth::HmacSha256_128,
    Auth::HmacSha384_192,
    Auth::HmacSha512_256,
];

/// The router's addresses towards its peers.
pub const OURS: [&str; 2] = ["198.51.100.1", "2001:db8:0:2::1"];
/// A host behind the router, on p0.
pub const HOST: [&str; 2] = ["192.0.2.10", "2001:db8:0:1::10"];

/// What the SAs with a peer are.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub protocol: Protocol,
    pub mode: Mode,
    pub algorithm: Algorithm,
    pub key_len: usize,
    /// Whether outer and inner packets are IPv6.
    pub outer6: bool,
    pub inner6: bool,
    pub esn: bool,
    pub in_udp: bool,
}

/// All that are worth a peer.
pub fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    let mut add = |protocol, mode, cipher, auth, key_len, outer6, in_udp| {
        let n = kinds.len();
        kinds.push(Kind {
            protocol,
            mode,
            algorithm: Algorithm { cipher, auth },
            key_len,
            outer6,
            inner6: if mode == Mode::Transport {
                outer6
            } else {
                n % 3 == 0
            },
            esn: n % 2 == 1,
            in_udp,
        });
    };
    for (n, (cipher, key_len)) in CIPHERS.into_iter().enumerate() {
        let auths = if cipher.is_aead() {
            &[Auth::None][..]
        } else {
            &HMACS
        };
        for (m, &auth) in auths.iter().enumerate() {
            for outer6 in [false, true] {
                for mode in [Mode::Tunnel, Mode::Transport] {
                    add(Protocol::Esp, mode, cipher, auth, key_len, outer6, false);
                }
            }
            let mode = [Mode::Tunnel, Mode::Transport][(n + m) % 2];
            add(Protocol::Esp, mode, cipher, auth, key_len, n % 3 == 0, true);
            add(
                Protocol::Esp,
                Mode::Beet,
                cipher,
                auth,
                key_len,
                n % 2 == 0,
                false,
            );
        }
    }
    for auth in HMACS.into_iter().chain([Auth::AesGmac]) {
        for outer6 in [false, true] {
            for mode in [Mode::Tunnel, Mode::Transport] {
                add(Protocol::Ah, mode, Cipher::Null, auth, 0, outer6, false);
            }
        }
    }
    kinds
}

/// The other end of two SAs, one each way.
pub struct Peer {
    pub kind: Kind,
    /// The peer's own address, and what is behind it.
    pub address: IpAddr,
    pub inner: IpAddr,
    out: Sa,
    back: Sa,
    events: Events,
}

fn address(is_ip6: bool, v4: [u8; 2], v6: u16, n: usize) -> IpAddr {
    match is_ip6 {
        false => Ipv4Addr::new(v4[0], v4[1], (n / 200) as u8, (n % 200 + 1) as u8).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, v6, 0, 0, 0, 0, n as u16 + 1).into(),
    }
}

impl Peer {
    /// Peers of all kinds, and the router's SAs and policies with them. Their addresses are routed by p1.
    pub fn all(dp: &mut WholeDp) -> Vec<Self> {
        dp.route("10.0.0.0/8 via 198.51.100.9")
            .route("2001:db8:1000::/36 via 2001:db8:0:2::9")
            .neighbour("192.0.2.10 dev p0 lladdr 02::aa")
            .neighbour("2001:db8:0:1::10 dev p0 lladdr 02::aa");
        let ipsec = Arc::new(Ipsec::with_room(&Domain::new(), 1024, 16));
        let mut writer = Writer::without_device(ipsec);
        let kinds = kinds().into_iter().enumerate();
        kinds
            .map(|(n, kind)| Self::new(n, kind, &mut writer, dp))
            .collect()
    }

    fn new(n: usize, kind: Kind, writer: &mut Writer<()>, dp: &mut WholeDp) -> Self {
        let peer = address(kind.outer6, [10, 3], 0x1003, n);
        let inner = match kind.mode {
            Mode::Transport => peer,
            Mode::Tunnel | Mode::Beet => address(kind.inner6, [10, 2], 0x1002, n),
        };
        let host = match kind.mode {
            Mode::Transport => OURS[usize::from(kind.outer6)],
            Mode::Tunnel | Mode::Beet => HOST[usize::from(kind.inner6)],
        };
        let host: IpAddr = host.parse().expect("an address");
        let to_us = spec(n, kind, peer, inner, host, true);
        let to_peer = spec(n, kind, peer, inner, host, false);
        let turned = |spec: &SaSpec, direction| SaSpec {
            direction,
            ..spec.clone()
        };
        let here = dp.ipsec();
        here.add_sa(turned(&to_us, Direction::In)).expect("an SA");
        let sending = here
            .add_sa(turned(&to_peer, Direction::Out))
            .expect("an SA");
        let action = Action::Protect {
            reqid: to_us.reqid,
            protocol: kind.protocol,
            mode: kind.mode,
            optional: false,
        };
        let (there, us) = (inner.into(), host.into());
        for direction in [PolicyDirection::In, PolicyDirection::Fwd] {
            let selector = Selector::between(there, us);
            here.add_policy(PolicySpec::new(direction, selector, action))
                .expect("a policy");
        }
        let selector = Selector::between(us, there);
        let rule = here
            .add_policy(PolicySpec::new(PolicyDirection::Out, selector, action))
            .expect("a policy");
        here.bind(rule, Some(sending)).expect("both are there");
        let mut end = |spec: SaSpec| {
            let id = writer.add_sa(spec).expect("an SA");
            writer.sa(id).expect("just added").clone()
        };
        Self {
            kind,
            address: peer,
            inner,
            out: end(turned(&to_us, Direction::Out)),
            back: end(turned(&to_peer, Direction::In)),
            events: Events::new(),
        }
    }

    /// Where packets that it protects go to.
    pub fn host(&self) -> IpAddr {
        let (ours, hosts) = (
            OURS[usize::from(self.kind.outer6)],
            HOST[usize::from(self.kind.inner6)],
        );
        let text = if self.kind.mode == Mode::Transport {
            ours
        } else {
            hosts
        };
        text.parse().expect("an address")
    }

    /// Protects a packet. `tamper` gets what is about to be encrypted and authenticated, trailer included;
    /// of AH, all from its header on, but for SPI and sequence number. `None`: it cannot be protected.
    pub fn seal(&self, packet: &[u8], tamper: impl FnOnce(&mut [u8])) -> Option<Vec<u8>> {
        let room = self.out.room(packet).ok()?;
        let mut buffer = vec![0xee; room.head];
        buffer.extend(packet);
        buffer.resize(buffer.len() + room.tail, 0xee);
        let layout = self.out.seal(&room, &mut buffer).ok()?;
        let Kind { algorithm, esn, .. } = self.kind;
        let half = if esn { 4 } else { 0 };
        let range = if !layout.cipher.is_empty() {
            // The IV of CBC is encrypted, too.
            let iv = if algorithm.cipher == Cipher::AesCbc {
                16
            } else {
                0
            };
            layout.cipher.at as usize + iv..layout.cipher.end()
        } else if self.kind.protocol == Protocol::Ah {
            let start = layout.auth.at as usize;
            let headers = protected_at(&buffer[start..]).map_or(0, |(at, _)| at);
            start + headers..layout.auth.end() - half
        } else if algorithm.cipher == Cipher::AesGmac {
            layout.auth.at as usize + 8 + 8 + half..layout.auth.end()
        } else {
            layout.auth.at as usize + 8..layout.auth.end() - half
        };
        let text = &mut buffer[range];
        let numbers = text.get(4..12).map(<[u8]>::to_vec);
        tamper(text);
        if self.kind.protocol == Protocol::Ah
            && let Some(numbers) = numbers
        {
            text[4..12].copy_from_slice(&numbers);
        }
        soft::seal(self.out.spec(), &layout, &mut buffer);
        let wire = self
            .out
            .sealed(&layout, &mut buffer, packet.len(), 7, &self.events);
        Some(buffer[wire.range()].to_vec())
    }

    /// The SPI by which the router knows what it sends.
    pub fn spi_here(&self) -> u32 {
        self.out.spec().spi
    }

    /// Opens what the router has protected for this peer.
    pub fn open(&self, wire: &[u8]) -> Option<Vec<u8>> {
        let (at, _) = protected_at(wire)?;
        let mut buffer = [wire, &[0xdd; OPEN_ROOM_BYTES]].concat();
        let layout = self.back.open(&mut buffer, wire.len(), at).ok()?;
        if !soft::open(self.back.spec(), &layout, &mut buffer) {
            return None;
        }
        let inner = self
            .back
            .opened(&layout, &mut buffer, 7, &self.events)
            .ok()?;
        Some(buffer[inner.range()].to_vec())
    }
}

/// Where ESP or AH is in a packet, and whether it is in UDP.
pub fn protected_at(packet: &[u8]) -> Option<(usize, bool)> {
    let (protocol, at) = match packet.first()? >> 4 {
        4 => (*packet.get(9)?, usize::from(packet[0] & 15) * 4),
        _ => match walk_for_ipsec(*packet.get(6)?, packet.get(40..)?) {
            Walk::Upper {
                protocol,
                offset_bytes,
                ..
            } => (protocol, 40 + offset_bytes),
            _ => return None,
        },
    };
    match protocol {
        ip::ESP | ip::AH => Some((at, false)),
        ip::UDP => Some((at + 8, true)),
        _ => None,
    }
}

fn spec(n: usize, kind: Kind, peer: IpAddr, inner: IpAddr, host: IpAddr, to_us: bool) -> SaSpec {
    let Algorithm { cipher, auth } = kind.algorithm;
    let ours: IpAddr = OURS[usize::from(kind.outer6)].parse().expect("an address");
    let (src, dst, spi) = match to_us {
        true => (peer, ours, 0x1000 + n as u32),
        false => (ours, peer, 0x2000 + n as u32),
    };
    let (from, to) = if to_us { (inner, host) } else { (host, inner) };
    let key =
        |len: usize, byte: u8| Secret::new(&vec![byte ^ n as u8; len]).expect("locked memory");
    SaSpec {
        protocol: kind.protocol,
        mode: kind.mode,
        enc_key: key(
            kind.key_len + cipher.salt_len_bytes(),
            if to_us { 0x5a } else { 0xa5 },
        ),
        auth_key: key(
            auth.key_lens_bytes()[0] + auth.salt_len_bytes(),
            if to_us { 0x3c } else { 0xc3 },
        ),
        esn: kind.esn,
        // Just before the lower half wraps, so that both values of the upper half are met.
        last_seq: if kind.esn { 0x0000_0007_ffff_ffe0 } else { 41 },
        encap: kind.in_udp.then_some(UdpEncap {
            src_port: 4500,
            dst_port: 4500,
        }),
        reqid: n as u32 + 1,
        selectors: match kind.mode {
            Mode::Beet => vec![Selector::between(from.into(), to.into())],
            Mode::Tunnel | Mode::Transport => Vec::new(),
        },
        ..SaSpec::new(Direction::In, spi, src, dst, kind.algorithm)
    }
}
