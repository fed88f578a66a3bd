//! Packets that others made, both directions: `data/esp/packets.json` of the larger collection, in
//! `$IRONLANE_SHARED` or `shared` beside the checkout.

mod soft;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironlane_ipsec::{
    Algorithm, Auth, Cipher, Direction, Encapsulated, Events, Flow, Ipsec, Layout, Mode,
    OPEN_ROOM_BYTES, Protocol, Reject, SaSpec, Secret, UdpEncap, Writer,
};
use ironlane_packet::ip6_ext;
use ironlane_rcu::Domain;
use serde_json::Value;

const INSTEAD_OF_0: u32 = 1;

/// One packet of the collection.
struct Known(Value);

impl Known {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or("")
    }

    fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or(0)
    }

    fn hex(&self, field: &str) -> Vec<u8> {
        let digits = self.text(field).as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex") as u8;
        let (pairs, []) = digits.as_chunks::<2>() else {
            panic!("an odd number of digits");
        };
        pairs
            .iter()
            .map(|&[a, b]| digit(a) << 4 | digit(b))
            .collect()
    }

    fn algorithm(&self) -> Algorithm {
        let cipher = match self.text("crypt") {
            "AES-CBC" => Cipher::AesCbc,
            "AES-CTR" => Cipher::AesCtr,
            "AES-GCM" => Cipher::AesGcm {
                icv: self.number("icv_len") as u8,
            },
            "AES-NULL-GMAC" => Cipher::AesGmac,
            "CHACHA20-POLY1305" => Cipher::ChaCha20Poly1305,
            "NULL" | "" => Cipher::Null,
            other => panic!("cipher {other}"),
        };
        let auth = match self.text("auth") {
            "NULL" => Auth::None,
            "HMAC-SHA1-96" => Auth::HmacSha1_96,
            "SHA2-256-128" => Auth::HmacSha256_128,
            "SHA2-512-256" => Auth::HmacSha512_256,
            other => panic!("authenticator {other}"),
        };
        Algorithm { cipher, auth }
    }

    /// The SPI of the SA. One vector for the cipher alone has 0, which no SA may have: another
    /// stands for it, up to the additional data.
    fn spi(&self) -> u32 {
        match self.number("spi") as u32 {
            0 => INSTEAD_OF_0,
            spi => spi,
        }
    }

    /// The SA of either end. It has used, or seen, all sequence numbers before this packet's.
    fn spec(&self, direction: Direction, wire: &[u8]) -> SaSpec {
        let flow = Flow::of(wire).expect("an outer header");
        let algorithm = self.algorithm();
        let seq = self.number("seq_hi") << 32 | self.number("seq");
        let key = [self.hex("key"), self.hex("salt")].concat();
        let nat = &self.0["nat_t"];
        let port = |name: &str| nat[name].as_u64().expect("a port") as u16;
        SaSpec {
            protocol: match self.text("proto") {
                "esp" => Protocol::Esp,
                _ => Protocol::Ah,
            },
            mode: match self.text("mode") {
                "transport" => Mode::Transport,
                _ => Mode::Tunnel,
            },
            enc_key: Secret::new(&key).expect("locked memory"),
            auth_key: Secret::new(&self.hex("auth_key")).expect("locked memory"),
            esn: self.0["esn"].as_bool().expect("a flag"),
            last_seq: seq.saturating_sub(1),
            replay_window: if algorithm.has_integrity() { 64 } else { 0 },
            encap: nat.is_object().then(|| UdpEncap {
                src_port: port("sport"),
                dst_port: port("dport"),
            }),
            ..SaSpec::new(direction, self.spi(), flow.src, flow.dst, algorithm)
        }
    }
}

fn known() -> Option<Vec<Known>> {
    let root = std::env::var_os("IRONLANE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join("data/esp/packets.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!(
            "SKIP ipsec/known_answers: {} is not there; only packets of our own were tested",
            path.display()
        );
        return None;
    };
    let list: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    Some(list.into_iter().map(Known).collect())
}

/// What becomes of a packet that arrives.
#[derive(Debug, PartialEq)]
enum Outcome {
    Packet(Vec<u8>),
    /// The decrypted text, of a packet that is no packet.
    Text(Vec<u8>),
    Drop(Option<Reject>),
    Punt,
}

/// Where ESP or AH is in a packet, as the stage for local packets finds it.
fn locate(wire: &[u8]) -> Result<(Protocol, usize, IpAddr), Outcome> {
    let flow = Flow::of(wire).ok_or(Outcome::Drop(None))?;
    let at = match wire[0] >> 4 {
        4 => usize::from(wire[0] & 15) * 4,
        _ => match ip6_ext::walk_for_ipsec(wire[6], &wire[40..]) {
            ip6_ext::Walk::Upper { offset_bytes, .. } => 40 + offset_bytes,
            _ => 40,
        },
    };
    if flow.proto == 17 {
        return match Encapsulated::of(&wire[at + 8..]) {
            Encapsulated::Esp => Ok((Protocol::Esp, at + 8, flow.dst)),
            Encapsulated::Ike => Err(Outcome::Punt),
            Encapsulated::Keepalive | Encapsulated::Short => Err(Outcome::Drop(None)),
        };
    }
    let protocol = Protocol::from_number(flow.proto).ok_or(Outcome::Drop(None))?;
    Ok((protocol, at, flow.dst))
}

fn receive(known: &Known, wire: &[u8]) -> Outcome {
    let spec = known.spec(Direction::In, wire);
    let domain = Domain::new();
    let ipsec = Arc::new(Ipsec::new(&domain));
    let mut writer = Writer::without_device(Arc::clone(&ipsec));
    writer.add_sa(spec).expect("an SA");
    let mut reader = Domain::register(&domain).expect("the first");
    let burst = reader.read();

    let (protocol, at, dst) = match locate(wire) {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    let Some(spi_at) = wire.get(at + if protocol == Protocol::Ah { 4 } else { 0 }..) else {
        return Outcome::Drop(None);
    };
    let Some(spi) = spi_at.first_chunk::<4>().copied().map(u32::from_be_bytes) else {
        return Outcome::Drop(None);
    };
    let spi = if spi == 0 { INSTEAD_OF_0 } else { spi };
    let Some(sa) = ipsec.find_sa(&burst, protocol, spi, dst, Default::default()) else {
        return Outcome::Drop(None);
    };
    let mut buffer = [wire, &[0; OPEN_ROOM_BYTES]].concat();
    let mut layout = match sa.open(&mut buffer, wire.len(), at) {
        Ok(layout) => layout,
        Err(reject) => return Outcome::Drop(Some(reject)),
    };
    if spi == INSTEAD_OF_0 {
        layout.aad[..4].fill(0);
    }
    if !soft::open(sa.spec(), &layout, &mut buffer) {
        return Outcome::Drop(Some(Reject::Integrity));
    }
    if known.text("mode") == "crypto-only" {
        return Outcome::Text(buffer[layout.cipher.range()].to_vec());
    }
    match sa.opened(&layout, &mut buffer, 1, ipsec.events()) {
        Ok(inner) => Outcome::Packet(buffer[inner.range()].to_vec()),
        Err(reject) => Outcome::Drop(Some(reject)),
    }
}

#[test]
fn packets_of_others_are_opened_or_dropped_as_they_should_be() {
    let Some(all) = known() else { return };
    let mut wrong = Vec::new();
    for known in &all {
        let outcome = receive(known, &known.hex("wire_packet"));
        let right = match (known.text("expect"), &outcome) {
            ("accept", Outcome::Packet(packet)) => *packet == known.hex("plaintext_packet"),
            ("accept", Outcome::Text(text)) => *text == known.hex("esp_plaintext"),
            ("drop", Outcome::Drop(_)) | ("punt", Outcome::Punt) => true,
            ("either", Outcome::Drop(_) | Outcome::Packet(_)) => true,
            _ => false,
        };
        if !right {
            wrong.push(format!("{}: {outcome:02x?}", known.text("id")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(all.len(), 124);
}

/// Puts the known IV in place of ours, as the engine will see it.
fn use_known_iv(
    known: &Known,
    spec: &SaSpec,
    layout: &mut Layout,
    buffer: &mut [u8],
    iv_at: usize,
) {
    let iv = known.hex("iv");
    buffer[iv_at..iv_at + iv.len()].copy_from_slice(&iv);
    match spec.algorithm.cipher {
        Cipher::Null => {}
        // The IV is what the first block encrypts to.
        Cipher::AesCbc => {
            let iv = iv.try_into().expect("16 bytes");
            let block = soft::aes_block(spec.cipher_key(), iv, false);
            buffer[iv_at..iv_at + 16].copy_from_slice(&block);
        }
        _ => layout.nonce[4..12].copy_from_slice(&iv),
    }
}

#[test]
fn packets_sealed_with_the_same_iv_are_those_of_others() {
    let Some(all) = known() else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for known in &all {
        let (wire, packet) = (known.hex("wire_packet"), known.hex("plaintext_packet"));
        // A whole packet behind next header 1 is no packet of any mode; 255 bytes of padding and TFC
        // padding are the sender's choice.
        if known.text("expect") != "accept"
            || known.text("mode") == "crypto-only"
            || ["pad-255", "tfc-padding"].contains(&known.text("id"))
        {
            continue;
        }
        let spec = known.spec(Direction::Out, &wire);
        let ipsec = Arc::new(Ipsec::new(&Domain::new()));
        let mut writer = Writer::without_device(Arc::clone(&ipsec));
        let id = writer.add_sa(spec).expect("an SA");
        let sa = writer.sa(id).expect("just added");

        let room = sa.room(&packet).expect("a whole packet");
        let mut buffer = vec![0xee; room.head];
        buffer.extend(&packet);
        buffer.resize(buffer.len() + room.tail, 0xee);
        let mut layout = sa.seal(&room, &mut buffer).expect("room for it");
        let (protocol, at, _) = locate(&wire).expect("it was accepted");
        if protocol == Protocol::Esp {
            // The buffer begins with the packet on the wire, whose headers are as long.
            let iv_at = at + 8;
            use_known_iv(known, sa.spec(), &mut layout, &mut buffer, iv_at);
        }
        soft::seal(sa.spec(), &layout, &mut buffer);
        let sealed = sa.sealed(&layout, &mut buffer, packet.len(), 1, &Events::new());
        let sealed = &buffer[sealed.range()];
        assert_eq!(sealed.len(), room.wire_len, "{}", known.text("id"));
        // Headers in front of a tunnel are a matter of policy, and AH covers them.
        if protocol == Protocol::Ah && sa.spec().mode == Mode::Tunnel {
            continue;
        }
        let from = if sa.spec().mode == Mode::Transport {
            0
        } else {
            at
        };
        compared += 1;
        if sealed.len() != wire.len() || sealed[from..] != wire[from..] {
            wrong.push(format!("{}:\n{sealed:02x?}\n{wire:02x?}", known.text("id")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared >= 60, "{compared}");
}
