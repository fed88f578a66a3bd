//! Two ends of an SA, packets to send between them, and all algorithms.
#![allow(dead_code)] // each test uses its part

use std::net::IpAddr;
use std::sync::Arc;

use ironlane_ipsec::{
    Algorithm, Auth, Cipher, Direction, Events, Ipsec, Mode, OPEN_ROOM_BYTES, Reject, Sa, SaSpec,
    Secret, Writer,
};
use ironlane_packet::checksum;
use ironlane_packet::ip4::{DF, Ip4Fields};
use ironlane_packet::ip6::Ip6Fields;
use ironlane_rcu::Domain;

use crate::soft;

pub const CIPHERS: [(Cipher, usize); 11] = [
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
pub const HMACS: [Auth; 4] = [
    Auth::HmacSha1_96,
    Auth::HmacSha256_128,
    Auth::HmacSha384_192,
    Auth::HmacSha512_256,
];

/// Two ends of one SA.
pub struct Ends {
    pub out: Sa,
    pub back: Sa,
    pub events: Events,
}

impl Ends {
    /// `out` describes the outbound end; the other one gets the same, the other way round.
    pub fn new(out: SaSpec) -> Self {
        let ipsec = Arc::new(Ipsec::new(&Domain::new()));
        let mut writer = Writer::without_device(ipsec);
        let back = SaSpec {
            direction: Direction::In,
            ..out.clone()
        };
        let out = writer.add_sa(out).expect("a good SA");
        let out = writer.sa(out).expect("just added").clone();
        writer.flush_sas();
        let back = writer.add_sa(back).expect("a good SA");
        let back = writer.sa(back).expect("just added").clone();
        Self {
            out,
            back,
            events: Events::new(),
        }
    }

    /// The packet on the wire.
    pub fn seal(&self, packet: &[u8]) -> Vec<u8> {
        let room = self.out.room(packet).expect("a good packet");
        let mut buffer = vec![0xee; room.head];
        buffer.extend(packet);
        buffer.resize(buffer.len() + room.tail, 0xee);
        let layout = self.out.seal(&room, &mut buffer).expect("room");
        soft::seal(self.out.spec(), &layout, &mut buffer);
        let wire = self
            .out
            .sealed(&layout, &mut buffer, packet.len(), 7, &self.events);
        assert_eq!(wire.len as usize, room.wire_len);
        buffer[wire.range()].to_vec()
    }

    /// Where ESP or AH is on the wire: behind headers that are as long as they were in `packet`.
    pub fn header_at(&self, packet: &[u8], wire: &[u8]) -> usize {
        let udp = if self.out.spec().encap.is_some() {
            8
        } else {
            0
        };
        let headers = match (self.out.spec().mode, wire[0] >> 4) {
            (Mode::Transport, 4) => usize::from(packet[0] & 15) * 4,
            (_, 4) => 20,
            _ => 40,
        };
        headers + udp
    }

    pub fn open(&self, wire: &[u8], at: usize) -> Result<Vec<u8>, Reject> {
        let mut buffer = [wire, &[0xdd; OPEN_ROOM_BYTES]].concat();
        let layout = self.back.open(&mut buffer, wire.len(), at)?;
        if !soft::open(self.back.spec(), &layout, &mut buffer) {
            return Err(Reject::Integrity);
        }
        let inner = self.back.opened(&layout, &mut buffer, 7, &self.events)?;
        Ok(buffer[inner.range()].to_vec())
    }
}

/// A UDP datagram, with IPv4 options or an IPv6 extension header or without.
pub fn packet(is_ip6: bool, options: bool, class: u8, payload: &[u8]) -> Vec<u8> {
    let udp_len = 8 + payload.len();
    let udp = [
        &[0x10, 0, 0x20, 0][..],
        &(udp_len as u16).to_be_bytes(),
        &[0, 0],
        payload,
    ]
    .concat();
    if is_ip6 {
        let extension: &[u8] = if options {
            &[17, 0, 1, 4, 0, 0, 0, 0]
        } else {
            &[]
        };
        let fields = Ip6Fields {
            traffic_class: class,
            next_header: if options { 60 } else { 17 },
            hop_limit: 61,
            src: 0x2001 << 112 | 5,
            dst: 0x2001 << 112 | 9,
            ..Ip6Fields::default()
        };
        let header = fields.to_bytes((extension.len() + udp_len) as u16);
        return [&header[..], extension, &udp].concat();
    }
    let options: &[u8] = if options {
        &[148, 4, 0, 0, 1, 1, 1, 0]
    } else {
        &[]
    };
    let fields = Ip4Fields {
        tos: class,
        id: 0x4242,
        fragment_word: DF,
        ttl: 61,
        protocol: 17,
        src: 0x0a01_0005,
        dst: 0x0a02_0009,
    };
    let mut header = fields.to_bytes((options.len() + udp_len) as u16).to_vec();
    header[0] += (options.len() / 4) as u8;
    header.extend(options);
    header[10..12].fill(0);
    let sum = checksum::of(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [header, udp].concat()
}

pub fn outer(is_ip6: bool) -> (IpAddr, IpAddr) {
    let [a, b] = if is_ip6 {
        ["2001:db8::1", "2001:db8::2"]
    } else {
        ["192.0.2.1", "198.51.100.1"]
    };
    (
        a.parse().expect("an address"),
        b.parse().expect("an address"),
    )
}

pub fn algorithms() -> Vec<(Algorithm, usize)> {
    let mut all = Vec::new();
    for (cipher, key_len) in CIPHERS {
        if cipher.is_aead() {
            all.push((
                Algorithm {
                    cipher,
                    auth: Auth::None,
                },
                key_len,
            ));
        } else {
            all.extend(HMACS.map(|auth| (Algorithm { cipher, auth }, key_len)));
        }
    }
    all
}

pub fn spec(algorithm: Algorithm, key_len: usize, is_ip6: bool, esn: bool) -> SaSpec {
    let (src, dst) = outer(is_ip6);
    let Algorithm { cipher, auth } = algorithm;
    let auth_len = auth.key_lens_bytes()[0] + auth.salt_len_bytes();
    let key = |len: usize| Secret::new(&vec![0x5a; len]).expect("locked memory");
    SaSpec {
        enc_key: key(key_len + cipher.salt_len_bytes()),
        auth_key: key(auth_len),
        esn,
        // Just before the lower half wraps, so that both values of the upper half are met.
        last_seq: if esn { 0x0000_0007_ffff_fffd } else { 41 },
        ..SaSpec::new(Direction::Out, 0xc2d8_41b8, src, dst, algorithm)
    }
}

pub fn gcm() -> SaSpec {
    let cipher = Cipher::AesGcm { icv: 16 };
    let auth = Auth::None;
    spec(Algorithm { cipher, auth }, 16, false, false)
}
